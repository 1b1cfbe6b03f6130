/* spawn.h: the plan for a new process, made by the parent, and carried out by the child.
 *
 * What needs no disk is looked up, allocated and made into strings beforehand: a child that runs in the parent's memory (vfork) does nothing but system
 * calls. What has to be read from files (accounts, environment-file) is not the parent's business, since a disk may take its time: such a plan is `late`,
 * its child is forked, and reads it by itself. The child's steps are one list, in child.c; each is named by an enum spawn_step, and one that fails is in
 * the service's state record with its errno. */
#ifndef RAST_SUPERVISOR_SPAWN_H
#define RAST_SUPERVISOR_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include "base/err.h"
#include "supervisor/graph.h"

enum spawn_step {
	STEP_NONE, STEP_CLONE, STEP_MEMORY, STEP_CGROUP, STEP_JOIN, STEP_SESSION, STEP_OUTPUT, STEP_TTY, STEP_FDS, STEP_LIMITS, STEP_NICE, STEP_OOM, STEP_ROOT,
	STEP_CHDIR, STEP_USER, STEP_GROUPS, STEP_SETGID, STEP_SETUID, STEP_NNP, STEP_ENVIRONMENT, STEP_EXEC, STEP_MAX
};

#define PLAN_EXTRA_MAX 64          /* descriptors passed above 2 */

/* Settings KEY=value, a later one in place of an earlier one. Memory is the scratch's (plan.h). */
struct env {
	char **v;
	unsigned n, cap;
	bool failed;               /* there was no memory */
};

struct plan {
	char **argv;
	struct env env;
	const char *path;          /* PATH of env, for a program without a slash */
	const struct graph *graph; /* for what is late */
	const struct gsettings *settings;
	bool late;                 /* accounts and environment files are still to be read: by a forked child only */
	const char *own_socket;    /* path of a notify socket that belongs to the service's user, NULL */
	unsigned own_fds;          /* > 0: the table of descriptors is still the parent's; a copy of those below is ours */
	int in, out;               /* become 0, and 1 and 2; borrowed */
	const int *extra; unsigned n_extra; /* become 3, 4, ... in this order */
	int notify_to, notify_fd;  /* write end that becomes descriptor notify_to, -1; owned */
	bool kept;                 /* the cgroup is that of the last run */
	volatile bool ran;         /* set by the child, whose memory is ours: it has come to its first instruction */
	int cgroup, own_stdin;     /* its cgroup; what `in` is when it is a pipe; owned, -1 */
	char *listen_pid;          /* room for the child to write its pid as text (LISTEN_PID=), NULL */
	const char *tty;           /* opened and made the controlling terminal */
	bool tty_stdio;            /* it is stdin, stdout and stderr, too */
	const char *root, *cwd;
	const struct glimit *limits; uint32_t n_limits;
	struct rlimit nofile;
	bool set_nofile;
	int nice, umask;           /* INT32_MIN, -1: leave */
	const char *oom;           /* text for /proc/self/oom_score_adj, NULL: leave */
	bool set_user;
	uid_t uid; gid_t gid;
	gid_t *groups; int n_groups; /* -1: leave */
	bool no_new_privs;
	int join_fd;               /* cgroup.procs to write "0" to, -1: born there, or no cgroups */
	volatile uint32_t *err;    /* step << 16 | errno */
	int report_fd;             /* forked child: closed by exec; -1 */
};

/* The child's part. Never returns: executes the program or leaves the reason in *p->err and ends. */
int plan_child(void *plan) __attribute__((noreturn));

/* late.c: the child's steps that read files: the account with its groups, and the environment with all that comes into it after the account. 0, or -1 with
 * errno. env_settings: what the service's file says, which is put in last; the parent does it when nothing is late. */
int late_account(struct plan *p);
int late_environment(struct plan *p);
void env_settings(struct plan *p);
void env_put(struct env *x, char *setting);
void env_done(struct plan *p);

/* creds.c: users and groups from /etc/passwd and /etc/group, without NSS. Names or numbers. */
int creds_user(const char *name, uid_t *uid, gid_t *gid, char *home, size_t home_size); /* -ENOENT */
int creds_group(const char *name, gid_t *gid);
/* Groups in which the user is listed, besides gid; *ret is heap memory. */
int creds_groups_of(const char *user, gid_t gid, gid_t **ret, int *n);

#endif
