/* runtime.h: containers by direct system calls.
 *
 * A configuration (struct oci_spec, read from a config.json or filled in by the caller) becomes a process in three calls:
 *
 *     rt_plan_make()    all that can fail, allocate or be looked up beforehand
 *     rt_spawn()        the process, the caller's own child, born in its cgroup and namespaces; returns when it stands before its execve
 *     rt_start()        the execve
 *
 * rt_enter() is the child's side alone, for a caller that clones by itself: a service's [sandbox] is an oci_spec without root. It allocates
 * nothing unless it fails, so that the child may share the caller's memory. No call here depends on, or leaves behind, state of the whole
 * process: no working directory, no environment, no signal handler, no namespace. rt_container_*() is what `rastrun` does with a container
 * that is written down in a state directory, so that several programs can work on it one after the other (runtime/state/state.h).
 *
 * Errors: negative errno, with the whole story in struct err; a failure in the child arrives in the parent's err. */
#ifndef RAST_RUNTIME_H
#define RAST_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"
#include "runtime/spec/spec.h"

/* What a caller adds to the configuration. Everything is borrowed until rt_spawn() or rt_enter() has returned. Start from RT_REQUEST_INIT. */
struct rt_request {
	const struct oci_spec *spec;
	const struct oci_process *process; /* NULL: the spec's */
	const char *id;          /* for hooks' state, the session keyring, messages */
	const char *bundle;      /* absolute: what root.path and sources of binds are relative to; NULL when all are absolute */
	int cgroup_fd;           /* the cgroup that the process is born in (O_DIRECTORY or O_PATH), -1: the caller's */
	const char *cgroup_path; /* that cgroup's folder, absolute; NULL: not known. For a cgroup mount without a cgroup namespace */
	int stdio[3];            /* become 0, 1, 2; -1: the caller's own. Ignored with a terminal */
	int console_socket;      /* process.terminal: the terminal's master is sent here (SCM_RIGHTS); -1: it comes back in struct rt_child */
	const int *fds;          /* become 3, 4, ... in this order (LISTEN_FDS, --preserve-fds), -1 leaves one out; all others are closed */
	size_t n_fds;
	unsigned listen_fds;     /* >= 1: LISTEN_FDS and LISTEN_PID are put into the environment */
	const char *notify_socket; /* a socket of the host, bound into the container as /run/notify/notify, which NOTIFY_SOCKET then names */
	int start_socket;        /* a listening SOCK_SEQPACKET socket at which the process waits for rt_start_at(), after rt_detach(); -1: none */
	int target_pidfd;        /* >= 0: no new container, join the namespaces of this process that the spec lists (exec) */
	bool no_pivot, no_new_keyring;
	const char *seccomp_cache; /* folder for compiled filters, NULL: none */
};
#define RT_REQUEST_INIT { .cgroup_fd = -1, .stdio = { -1, -1, -1 }, .console_socket = -1, .start_socket = -1, .target_pidfd = -1 }

struct rt_plan;
int  rt_plan_make(const struct rt_request *rq, struct rt_plan **ret, struct err *e);
void rt_plan_free(struct rt_plan *p);
void rt_plan_freep(struct rt_plan **p);

struct rt_child {
	pid_t pid;
	int pidfd;     /* owned */
	int channel;   /* owned: to the child, until it has executed its program */
	int master;    /* owned: of the terminal, -1: none, or sent to console_socket */
};
#define RT_CHILD_INIT { .pidfd = -1, .channel = -1, .master = -1 }

/* The process stands before its execve: namespaces, mounts and limits are made, hooks up to createContainer have run. On failure nothing is left of it
 * (it has been killed and reaped). */
int rt_spawn(struct rt_plan *p, struct rt_child *ret, struct err *e);
/* Let it execute its program; returns when it has, or with the reason why it could not (then it has been reaped). */
int rt_start(struct rt_plan *p, struct rt_child *c, struct err *e);
/* Let it wait at its start_socket in place of the channel, which is closed; the caller may end. */
int rt_detach(struct rt_child *c, struct err *e);
/* From another program: connect to the start socket (state directory, name in it), and start. pid: the process, for a seccomp listener. */
int rt_start_at(int dirfd, const char *name, const struct oci_spec *spec, const char *id, const char *bundle, pid_t pid, struct err *e);
void rt_child_close(struct rt_child *c); /* the descriptors; the process is left alone */

/* In a child of the caller's own making: do all that the plan says in this process, in the namespaces that it was cloned into or that the
 * plan makes by unshare(2), and execute the program. Returns only on failure. A new PID namespace wants rt_spawn(). */
int rt_enter(struct rt_plan *p, struct err *e);
int rt_clone_flags(const struct rt_plan *p); /* CLONE_NEW* that are new in the plan */

#endif
