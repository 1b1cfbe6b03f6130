/* registries.h: which registries there are, and how they are reached: an INI file with a section for each host,
 *
 *   [registry.example:5000]
 *   mirrors = mirror.example cache.example:5000
 *   ca-file = /etc/rastos/registry.pem
 *   tls-verify = yes
 *
 *   [default]
 *   registry = registry.example:5000      ; for names without a host
 */
#ifndef RAST_IMAGE_REGISTRIES_H
#define RAST_IMAGE_REGISTRIES_H

#include <stdbool.h>
#include "base/err.h"

struct registry_settings {
	char **mirrors; /* NULL-terminated; may be NULL */
	char *ca_file;
	bool no_verify;
};
/* What file says of host. A file that isn't there is an error only if `must`. */
int registries_read(const char *file, bool must, const char *host, struct registry_settings *ret, struct err *e);
/* The host for names without one; *ret NULL: none is named. Owned by the caller. */
int registries_default(const char *file, bool must, char **ret, struct err *e);
void registry_settings_clear(struct registry_settings *s);
#define _cleanup_registry_settings_ _cleanup_(registry_settings_clear)

#endif
