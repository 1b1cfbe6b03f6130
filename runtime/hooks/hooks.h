/* hooks.h: programs that are run at six points of a container's life (config.md, "POSIX-platform Hooks").
 *
 * Each gets the container's state as JSON on stdin. They run one after the other; the first that fails ends it, but for poststop's, of which
 * all are run. A time-out kills. The hook's environment is what the configuration says; without `env` it is ours, as with runc and crun. */
#ifndef RAST_RUNTIME_HOOKS_H
#define RAST_RUNTIME_HOOKS_H

#include <sys/types.h>
#include "base/err.h"
#include "runtime/spec/spec.h"

/* The state in two pieces, between which status and pid go: made once in the parent, so that a child that runs hooks allocates nothing. */
struct state_text {
	char *head, *tail; /* owned */
};
int state_text_make(const struct oci_spec *spec, const char *id, const char *bundle, struct state_text *ret);
void state_text_free(struct state_text *t);
char *state_text_json(const struct state_text *t, const char *status, pid_t pid); /* heap; NULL: no memory */

/* All hooks of a kind. status: "creating", "created", "running", "stopped". The first failure's code, its text in e. */
int hooks_run(const struct oci_spec *spec, enum oci_hook_kind kind, const struct state_text *t, const char *status, pid_t pid, struct err *e);

#endif
