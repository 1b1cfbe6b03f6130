/* container.h: what is done with containers that are written down (runtime/state), as the command line has it; no output, no options of getopt.
 *
 * container_create() and container_exec() leave a process before its execve in struct run; container_go() lets it execute. */
#ifndef RAST_RUNTIME_CONTAINER_H
#define RAST_RUNTIME_CONTAINER_H

#include "runtime/runtime.h"
#include "runtime/state/state.h"

/* The descriptors from 3 on that are to be passed on: n and LISTEN_FDS of the environment. To be called before anything of ours is open. */
struct preserved {
	unsigned n, listen;
	bool gap[256]; /* nobody had it open: kept so */
};

struct create { /* zero-initialise */
	const char *root, *id, *bundle; /* bundle NULL: the working folder */
	const char *config;             /* NULL: config.json in the bundle */
	const char *console_socket, *pidfd_socket, *pid_file; /* NULL: none */
	struct preserved preserve;
	bool no_pivot, no_new_keyring, systemd_cgroup, no_cgroup;
	bool rootless;                  /* cgroups as for an ordinary user: runs_rootless(), unless the caller knows better */
	bool waits;                     /* create: it is going to wait for `start` */
};

struct run { /* RUN_INIT */
	struct rt_plan *plan;
	struct rt_child child;
	struct oci_process *process; /* loaded alone; owned */
	int console, start, target;  /* owned descriptors */
	int fds[256];
};
#define RUN_INIT { .child = RT_CHILD_INIT, .console = -1, .start = -1, .target = -1 }
void run_free(struct run *r);
#define _cleanup_run_ _cleanup_(run_free)

/* Make everything, up to the process that waits. On failure nothing is left. c is locked. */
int container_create(const struct create *o, struct container *c, struct run *run, struct err *e);
/* create: leave it waiting at its socket. */
int container_leave(struct run *run, struct err *e);
/* run: execute, and the poststart hooks. On failure it is killed. */
int container_go(struct container *c, struct run *run, struct err *e);
/* start: the same for one that another program has created. */
int container_start(struct container *c, struct err *e);

struct exec { /* zero-initialise */
	const char *process_file;       /* NULL: made from the container's own and what follows */
	const char *console_socket, *pidfd_socket, *pid_file, *cwd, *user, *apparmor, *label, *cgroup;
	char *const *env, *const *caps, *const *gids; /* may be NULL */
	char *const *args;
	bool tty, no_new_privs, ignore_paused;
	struct preserved preserve;
};
int container_exec(const struct exec *o, struct container *c, struct run *run, struct err *e);

int container_kill(struct container *c, int sig, bool all, struct err *e);
/* force: kill it first if it runs; without, -EBUSY when it does. Removes cgroup and state, runs poststop hooks (their failure is logged, not returned). */
int container_delete(struct container *c, bool force, struct err *e);
/* mounts add, mounts remove: text is JSON, an array of mounts as in config.json or an object with one; of those to be removed only the destinations count. */
int container_mounts(struct container *c, bool remove, const char *text, size_t n, struct err *e);
int container_cgroup(const struct container *c, struct cgroup *ret, struct err *e);

/* helpers of create and exec */
int socket_connect(const char *path, struct err *e); /* SOCK_STREAM, UNIX; owned */
int socket_send_fd(const char *path, const char *what, int fd, struct err *e);
int write_pid_file(const char *path, pid_t pid, struct err *e);
int preserved_find(unsigned n, struct preserved *ret, struct err *e);
void preserved_put(const struct preserved *p, int fds[256], struct rt_request *rq);
bool runs_rootless(void);

#endif
