/* state.h: containers that are written down, so that one program creates, another starts and a third deletes them.
 *
 *   ROOT/ID/             0700; the id is taken as long as it exists. flock(2) on it: who changes the container holds it
 *   ROOT/ID/state.json   what runc's `state` and more; replaced whole
 *   ROOT/ID/config.json  the configuration as it was read at create
 *   ROOT/ID/cgroup       link: the text is the cgroup's path, before there is one, so that a create that was killed can be deleted
 *   ROOT/ID/start        socket: the process waits there for `start`; so long the container is "created"
 *
 * ROOT is /run/rastrun, for an ordinary user $XDG_RUNTIME_DIR/rastrun. It is a tmpfs: nothing is flushed. */
#ifndef RAST_RUNTIME_STATE_H
#define RAST_RUNTIME_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/security/security.h"
#include "runtime/spec/spec.h"

enum status { STATUS_CREATING, STATUS_CREATED, STATUS_RUNNING, STATUS_PAUSED, STATUS_STOPPED };
const char *status_name(enum status s);

struct state { /* strings are owned */
	char *id, *oci_version, *bundle, *rootfs, *created, *owner;
	char *cgroup_path;   /* as struct cgroup has it; NULL: none */
	char *config;        /* name of the configuration file in bundle it came from, for messages */
	bool systemd_cgroup;
	pid_t pid;           /* 0: none yet */
	uint64_t start_time; /* proc_start_time(): pids come back */
	struct rdt rdt;
};

struct container {
	int root, dir;         /* owned descriptors: ROOT, ROOT/ID */
	struct state st;
	struct oci_spec *spec; /* of ROOT/ID/config.json; NULL until container_spec() */
};
#define CONTAINER_INIT { .root = -1, .dir = -1 }

int state_root(const char *root, bool make, int *ret, struct err *e); /* root NULL: the default place */
/* A new folder for id, locked. -EEXIST: "container with id exists: ID". */
int container_new(const char *root, const char *id, struct container *c, struct err *e);
/* lock: wait for whoever changes it. -ENOENT: "container "ID" does not exist". */
int container_open(const char *root, const char *id, bool lock, struct container *c, struct err *e);
void container_close(struct container *c);
void container_unlock(struct container *c);
int  container_relock(struct container *c); /* -ENOENT: somebody has deleted it meanwhile */
#define _cleanup_container_ _cleanup_(container_close)

int container_note_cgroup(struct container *c, const char *path, struct err *e); /* sets st.cgroup_path; NULL: none after all */
int container_save(struct container *c, struct err *e);
int container_save_config(struct container *c, const char *text, size_t n, struct err *e);
int container_spec(struct container *c, struct err *e);
int container_forget(struct container *c, struct err *e); /* remove ROOT/ID */
bool container_alive(const struct container *c);          /* the very process that was created, and no zombie */
enum status container_status(const struct container *c);
int container_pidfd(const struct container *c, struct err *e); /* of the process, owned; -ESRCH: "container not running" */
int container_listen(struct container *c, struct err *e); /* the socket `start`, listening; owned */
void container_started(struct container *c);              /* it waits no longer */
char *container_state_json(struct container *c, struct err *e); /* what `state` prints; heap; with the annotations of its spec */

/* Ids below root, in order; heap (strv_free). A root that isn't there has none. */
int state_list(const char *root, char ***ret, struct err *e);

#endif
