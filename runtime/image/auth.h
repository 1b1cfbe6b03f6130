/* auth.h: who we are for a registry (containers-auth.json(5), and the token protocol of the distribution project: RFC 6750 challenges). */
#ifndef RAST_IMAGE_AUTH_H
#define RAST_IMAGE_AUTH_H

#include "runtime/image/http.h"

struct credentials {
	char *basic;    /* base64 of USER:PASSWORD; NULL: none */
	char *identity; /* a refresh token; NULL: none */
};
/* From file, or, if it is NULL, $REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json, /run/containers/UID/auth.json,
 * ~/.config/containers/auth.json, ~/.docker/config.json: the first that there is. The longest of "HOST/PATH", its parents and "HOST" counts. */
int credentials_find(const char *file, const char *host, const char *path, struct credentials *ret, struct err *e);
void credentials_clear(struct credentials *c);
#define _cleanup_credentials_ _cleanup_(credentials_clear)

struct challenge {
	bool bearer;
	char realm[1024], service[256], scope[512];
};
int challenge_parse(const char *header, struct challenge *ret); /* -EINVAL */

/* The Authorization header that answers a challenge: owned by the caller. -EACCES: there is none. */
int auth_answer(struct http *h, const char *challenge, const struct credentials *c, const char *scope, char **ret, struct err *e);

#endif
