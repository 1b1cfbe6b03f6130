/* child.c: what a new process does before it becomes the service's program: one list of steps, at the end of this file.
 *
 * Most often it runs in the memory of its parent, which sleeps meanwhile (CLONE_VFORK): system calls only, nothing is allocated, nothing but *plan->err is
 * written. Steps that need more are for plans that are `late`, whose child has memory of its own. */
#include "supervisor/process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HIGH_FD 256 /* sources of descriptors are moved up here, out of the way of their targets */

/* Before anything is done to a descriptor. Copying only what is below is what makes it cheap: rastd has two for each service whose output is logged, and
 * all copies would have to be closed again by exec. */
static int own_files(struct plan *p)
{
	return p->own_fds && close_range(p->own_fds, ~0u, CLOSE_RANGE_UNSHARE) < 0 ? -1 : 0;
}

static int join_cgroup(struct plan *p)
{
	return p->join_fd >= 0 && write(p->join_fd, "0", 1) < 0 ? -1 : 0;
}

static int new_session(struct plan *p)
{
	return setsid() < 0 ? -1 : 0;
}

static int place(int fd, int to)
{
	if (fd == to) /* it must not be closed by exec */
		return fcntl(fd, F_SETFD, 0);
	return dup2(fd, to) < 0 ? -1 : 0;
}

/* A terminal line that waits for a carrier must not hold us up, hence O_NONBLOCK. What runs on it after us has it as it always was. */
static int open_tty(struct plan *p)
{
	if (!p->tty)
		return 0;
	int fd = open(p->tty, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int fl = fcntl(fd, F_GETFL);
	if (fl < 0 || fcntl(fd, F_SETFL, fl & ~O_NONBLOCK) < 0 || ioctl(fd, TIOCSCTTY, 1) < 0)
		return -1;
	if (!p->tty_stdio) {
		close(fd);
		return 0;
	}
	return place(fd, 0) < 0 || place(fd, 1) < 0 || place(fd, 2) < 0 ? -1 : 0;
}

static int set_stdio(struct plan *p)
{
	if (p->tty && p->tty_stdio)
		return 0;
	return place(p->in, 0) < 0 || place(p->out, 1) < 0 || place(p->out, 2) < 0 ? -1 : 0;
}

static int set_fds(struct plan *p)
{
	int high[PLAN_EXTRA_MAX + 1];
	unsigned n = p->n_extra;
	if (!n && p->notify_fd < 0)
		return 0;
	for (unsigned i = 0; i < n; i++)
		if ((high[i] = fcntl(p->extra[i], F_DUPFD_CLOEXEC, HIGH_FD)) < 0)
			return -1;
	high[n] = p->notify_fd < 0 ? -1 : fcntl(p->notify_fd, F_DUPFD_CLOEXEC, HIGH_FD);
	for (unsigned i = 0; i < n; i++)
		if (dup2(high[i], 3 + (int)i) < 0)
			return -1;
	return p->notify_fd >= 0 && (high[n] < 0 || dup2(high[n], p->notify_to) < 0) ? -1 : 0;
}

static int set_limits(struct plan *p)
{
	if (p->set_nofile && setrlimit(RLIMIT_NOFILE, &p->nofile) < 0)
		return -1;
	for (uint32_t i = 0; i < p->n_limits; i++) {
		struct rlimit l = {p->limits[i].soft, p->limits[i].hard};
		if (setrlimit((__rlimit_resource_t)p->limits[i].resource, &l) < 0)
			return -1;
	}
	return 0;
}

static int set_nice(struct plan *p)
{
	return p->nice != INT32_MIN && setpriority(PRIO_PROCESS, 0, p->nice) < 0 ? -1 : 0;
}

static int set_oom(struct plan *p)
{
	if (!p->oom)
		return 0;
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	bool done = write(fd, p->oom, strlen(p->oom)) >= 0 ||
		    errno == EACCES; /* a container without CAP_SYS_RESOURCE may not lower it: no reason not to run */
	close(fd);
	return done ? 0 : -1;
}

static int set_root(struct plan *p)
{
	if (p->umask >= 0)
		umask((mode_t)p->umask);
	return p->root && (chroot(p->root) < 0 || chdir("/") < 0) ? -1 : 0;
}

static int set_cwd(struct plan *p)
{
	return p->cwd && chdir(p->cwd) < 0 ? -1 : 0;
}

/* Direct system calls: libc's own set the ids of all threads, and that is bookkeeping in memory which is our parent's. */
static int set_groups(struct plan *p)
{
	return p->n_groups >= 0 && syscall(SYS_setgroups, p->n_groups, p->groups) < 0 ? -1 : 0;
}

static int set_gid(struct plan *p)
{
	return p->set_user && syscall(SYS_setresgid, p->gid, p->gid, p->gid) < 0 ? -1 : 0;
}
static int set_uid(struct plan *p)
{
	return p->set_user && syscall(SYS_setresuid, p->uid, p->uid, p->uid) < 0 ? -1 : 0;
}
static int set_nnp(struct plan *p)
{
	return p->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -1 : 0;
}

static int set_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A program without a slash is looked for in PATH, as execvp(3) does, but without malloc. */
static int exec_in_path(struct plan *p)
{
	char buf[PATH_MAX];
	size_t n = strlen(p->argv[0]);
	int saved = ENOENT;
	for (const char *d = p->path; d && *d; d += *d == ':') {
		size_t len = strcspn(d, ":");
		if (len && len + n + 2 <= sizeof(buf)) {
			memcpy(buf, d, len);
			buf[len] = '/';
			memcpy(buf + len + 1, p->argv[0], n + 1);
			execve(buf, p->argv, p->env.v);
			if (errno != ENOENT && errno != ENOTDIR)
				saved = errno;
		}
		d += len;
	}
	errno = saved;
	return -1;
}

/* sd_listen_fds(3) wants to know that the descriptors are meant for this very process. */
static void write_pid(char *to)
{
	char digits[16];
	int n = 0;
	for (unsigned pid = (unsigned)getpid(); pid; pid /= 10)
		digits[n++] = (char)('0' + pid % 10);
	while (n)
		*to++ = digits[--n];
	*to = '\0';
}

static int exec_program(struct plan *p)
{
	if (p->listen_pid)
		write_pid(p->listen_pid);
	if (set_signals() < 0)
		return -1;
	if (!strchr(p->argv[0], '/'))
		return exec_in_path(p);
	return execve(p->argv[0], p->argv, p->env.v);
}

/* The order matters: the cgroup before anything that costs memory; what is read from files before it is needed, and with root's rights; what needs root
 * before the user changes; the tty while we lead a session. A step for which there is nothing to do returns 0. */
static const struct {
	uint16_t step;
	int (*run)(struct plan *p);
} steps[] = {
	{STEP_FDS, own_files},
	{STEP_JOIN, join_cgroup},
	{STEP_SESSION, new_session},
	{STEP_USER, late_account},
	{STEP_ENVIRONMENT, late_environment},
	{STEP_TTY, open_tty},
	{STEP_OUTPUT, set_stdio},
	{STEP_FDS, set_fds},
	{STEP_LIMITS, set_limits},
	{STEP_NICE, set_nice},
	{STEP_OOM, set_oom},
	{STEP_ROOT, set_root},
	{STEP_GROUPS, set_groups},
	{STEP_SETGID, set_gid},
	{STEP_SETUID, set_uid},
	{STEP_CHDIR, set_cwd},
	{STEP_NNP, set_nnp},
	{STEP_EXEC, exec_program},
};

int plan_child(void *data)
{
	struct plan *p = data;
	p->ran = true;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (steps[i].run(p) < 0) {
			*p->err = (uint32_t)steps[i].step << 16 | (uint32_t)(errno & 0xffff);
			break;
		}
	_exit(127);
}
