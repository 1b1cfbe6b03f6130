/* process.h: from a plan to a process; shared by the files of runtime/process. See runtime/runtime.h for what callers see.
 *
 *   spawn.c  the parent's side: clone, id maps, hooks of the runtime, ready, start
 *   init.c   the child's side: the list of steps
 *   join.c   a child in between, where namespaces have to be joined before the process can be cloned into them
 *   plan.c   what is worked out beforehand;  sync.c  what the two say to each other
 *   tty.c, fds.c, program.c   terminal, descriptors, environment and the program's path */
#ifndef RAST_RUNTIME_PROCESS_H
#define RAST_RUNTIME_PROCESS_H

#include "runtime/hooks/hooks.h"
#include "runtime/mount/mount.h"
#include "runtime/net/netdev.h"
#include "runtime/runtime.h"
#include "runtime/seccomp/seccomp.h"

struct rt_plan {
	struct rt_request rq;
	const struct oci_spec *spec;
	const struct oci_process *process;
	struct mnt_plan mnt;
	struct filter filter;
	struct state_text state;
	struct netdev_plan net;
	int new_ns;             /* CLONE_NEW* to be made */
	int join_fd[OCI_NS_N];  /* owned; -1 */
	int procfd;             /* owned: opened before a container is joined; -1 */
	bool by_stage;          /* a child in between is needed */
	bool new_user;          /* new user namespace */
	bool userns;            /* new or joined */
	bool keep_groups;       /* setgroups(2) is denied there */
	bool waits;             /* the child has to wait for what only the parent can do */
	bool mounts;            /* a mount namespace of its own, to be filled */
	const char **env;       /* owned array; strings borrowed; room for EXTRA_ENV more */
	size_t n_env;
	bool has_home;
	char home[256], listen_pid[32], listen_fds[32];
};
#define EXTRA_ENV 4

/* --- sync.c: packets on a SOCK_SEQPACKET pair --- */
enum sync_kind {
	SYNC_EOF = 0,        /* the other end is gone: after START, the program has been executed */
	SYNC_ERROR = 'E',    /* value: negative errno; text */
	SYNC_PID = 'P',      /* child in between: value is the process's pid */
	SYNC_WANT_MAPS = 'U', SYNC_GO = 'G', /* GO: value is the pid as the parent sees it */
	SYNC_HOOKS = 'H',    /* mounts are made: the runtime's hooks may run */
	SYNC_MASTER = 'T',   /* the terminal's master comes with it */
	SYNC_READY = 'R',
	SYNC_DETACH = 'D', SYNC_START = 'S',
	SYNC_LISTENER = 'N', /* value: the seccomp listener's descriptor in the child */
};
struct sync_msg {
	int32_t kind, value;
	char text[1024];
};
int sync_send(int chan, enum sync_kind kind, int value, const char *text); /* with write(2) alone: it has to pass the container's filter */
int sync_send_fd(int chan, enum sync_kind kind, int fd);
int sync_recv(int chan, struct sync_msg *m, int *ret_fd); /* its kind, or negative errno; ret_fd NULL: plain read(2) */
/* Wait for that kind; an error of the other side becomes ours. */
int sync_expect(int chan, enum sync_kind kind, struct sync_msg *m, int *ret_fd, struct err *e);

/* --- init.c, join.c: the child --- */
struct child {
	struct rt_plan *plan;
	int chan;        /* -1: rt_enter(), nobody to talk to */
	int procfd;
	pid_t host_pid;  /* what the runtime calls us; 0: not told */
	int tty;         /* the terminal's slave, -1 */
	int master;
	bool filtered;   /* the seccomp filter is loaded */
	struct mnt_child mnt;
	char program[4096]; /* PATH_MAX */
};
int child_run(struct rt_plan *p, int chan, struct err *e);  /* returns only on failure */
_Noreturn void child_main(struct rt_plan *p, int chan);     /* the same in a child of rt_spawn(): reports and exits */
_Noreturn void stage_main(struct rt_plan *p, int chan);
int child_begin(struct rt_plan *p, struct err *e);          /* what the first of our processes does while it is still the host's */

/* --- steps with files of their own --- */
int tty_open(struct child *c, struct err *e);               /* sets tty and master, sends the master to the console socket if there is one */
int tty_use(struct child *c, struct err *e);                /* controlling terminal, 0, 1 and 2 */
int fds_arrange(struct child *c, struct err *e);
void fds_give_to_user(const struct child *c);               /* 0, 1 and 2, where they are files or pipes */
int program_environment(struct child *c, struct err *e);    /* HOME, LISTEN_*, NOTIFY_SOCKET */
int program_find(struct child *c, struct err *e);           /* into c->program; messages as podman and containerd look for them */
int program_directory(struct child *c, struct err *e);      /* chdir, verified to be inside of the root */
bool plan_needs_proc(const struct rt_plan *p);
int sysctl_apply(const struct oci_spec *spec, int procfd, struct err *e);
int sysctl_check(const struct oci_spec *spec, struct err *e);

#endif
