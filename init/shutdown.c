/* shutdown.c: the end, in order, each step with a deadline: this always ends.
 *
 * PID 1 itself only kills and waits. What can hang in the kernel (sync, swapoff, umount) is done by one child, which says in shared memory
 * what it is at; when that takes too long the child is given up and another one goes on with the next thing. */
#include "init/shutdown.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/proc.h"
#include "base/sys.h"
#include "init/console.h"
#include "init/pid1.h"

#define TERM_US (2 * SECOND_US)
#define KILL_US (5 * SECOND_US)
#define PROGRESS_KIB 1024 /* less than this in a step's time is no progress */
#define IMPATIENT 7 /* ctrl-alt-dels */

static void restart_now(struct pid1 *p)
{
	console_say("restarting without waiting any longer");
	if (p->machine)
		reboot(RB_AUTOBOOT);
	_exit(1);
}

/* Sleep until a child changes, at most until the deadline; the watchdog is fed meanwhile. */
static void wait_some(struct pid1 *p, uint64_t deadline)
{
	static unsigned cads;
	struct pollfd fd = {.fd = p->signals, .events = POLLIN};
	struct signalfd_siginfo si;
	uint64_t now = now_us(), until = p->due[DUE_WATCHDOG] ? MIN(deadline, p->due[DUE_WATCHDOG]) : deadline;

	poll(&fd, 1, until <= now ? 0 : (int)((until - now) / 1000 + 1));
	while (read(p->signals, &si, sizeof(si)) == sizeof(si))
		if (si.ssi_signo == SIGINT && ++cads >= IMPATIENT)
			restart_now(p);
	if (p->due[DUE_WATCHDOG] && now_us() >= p->due[DUE_WATCHDOG])
		watchdog_feed(p);
}

/* Reap until nobody is left; false when somebody is, at the deadline. */
static bool wait_for_all(struct pid1 *p, uint64_t us)
{
	uint64_t deadline = now_us() + us;

	for (;;) {
		pid_t pid;
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (pid < 0)
			return true;
		if (now_us() >= deadline)
			return false;
		wait_some(p, deadline);
	}
}

static void name_survivors(void)
{
	char names[512] = "", comm[64];
	size_t len = 0;
	unsigned n = 0;

	for (pid_t pid = 2; pid < 4194304 && n < 5 && len < sizeof(names) - 80; pid++) {
		pid_t parent;
		if (kill(pid, 0) < 0 || proc_parent(pid, &parent) < 0 || parent == 0 || parent == 2 || pid == 2 || proc_comm(pid, comm) < 0)
			continue; /* 2 is kthreadd */
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s (%d)", n ? ", " : "", comm, (int)pid);
		n++;
	}
	console_say("processes that can't be killed: %s%s", names, n == 5 ? ", ..." : "");
}

/* rastd has stopped the services, or has had its time: what is left goes, whole cgroups first. */
static void kill_everything(struct pid1 *p)
{
	if (p->rastd)
		kill(p->rastd, SIGKILL); /* it has nothing more to do, and must not start anything while we clear up */
	groups_kill(GROUP_SERVICES);
	groups_kill(GROUP_CONTAINERS);
	groups_kill(GROUP_RASTD);
	groups_kill(GROUP_SHELL);
	if (wait_for_all(p, 0))
		return;
	if (kill(-1, SIGTERM) < 0 && errno == ESRCH) {
		wait_for_all(p, SECOND_US);
		return;
	}
	kill(-1, SIGCONT);
	if (wait_for_all(p, TERM_US))
		return;
	kill(-1, SIGKILL);
	if (!wait_for_all(p, KILL_US))
		name_survivors();
}

/* KiB that are to be written to disks yet. */
static uint64_t dirty_kib(void)
{
	static const char *const keys[] = {"\nDirty:", "\nWriteback:"};
	char text[4096];
	uint64_t sum = 0;
	ssize_t n;

	_cleanup_close_ int fd = sys_openat(AT_FDCWD, "/proc/meminfo", O_RDONLY, 0);
	n = fd < 0 ? fd : sys_read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *at = strstr(text, keys[i]);
		if (at)
			sum += strtoull(at + strlen(keys[i]), NULL, 10);
	}
	return sum;
}

/* What is waited for, and since when; a slow disk that still gets somewhere is given its time. */
struct patience {
	uint64_t since, from, dirty;
};

static bool lost(struct patience *w, const struct shutdown_step *step, uint64_t since)
{
	uint64_t now = now_us(), dirty;

	if (since != w->since)
		*w = (struct patience){since, since, UINT64_MAX};
	if (!since || now <= w->from + step->limit_us)
		return false;
	dirty = step->writes ? dirty_kib() : UINT64_MAX;
	if (dirty >= w->dirty || (w->dirty == UINT64_MAX && dirty < PROGRESS_KIB) || (w->dirty != UINT64_MAX && w->dirty - dirty < PROGRESS_KIB))
		return true;
	w->dirty = dirty;
	w->from = now;
	return false;
}

/* One child, from step `from` on. 0: it came to the end; else the step to go on with, n_shutdown_steps + 1 for none. */
static unsigned run_steps(struct pid1 *p, struct progress *pr, const struct shutdown_plan *plan, unsigned from)
{
	struct patience w = {0};

	pr->step = from; /* what the last child was at is not what this one is at, before it has said so */
	pr->what[0] = 0;
	pr->since = 0;
	pid_t pid = fork();

	if (pid == 0) {
		pid1_reset_signals();
		for (unsigned i = from; i < n_shutdown_steps; i++) {
			pr->step = i;
			progress_at(pr, "");
			shutdown_steps[i].run(pr, plan);
		}
		_exit(0);
	}
	while (pid > 0) {
		const struct shutdown_step *step = &shutdown_steps[pr->step];
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return 0;
		if (lost(&w, step, pr->since))
			break;
		wait_some(p, MAX(w.from, now_us() - step->limit_us) + step->limit_us + 1000);
	}
	if (pid < 0)
		return 0;
	kill(pid, SIGKILL);
	console_say("%s%s%s takes longer than %llu s: going on without it", shutdown_steps[pr->step].name, *pr->what ? " " : "", pr->what,
		(unsigned long long)(shutdown_steps[pr->step].limit_us / SECOND_US));
	if (!*pr->what || pr->n_stuck == STUCK_MAX)
		return pr->step + 1;
	memcpy(pr->stuck[pr->n_stuck++], pr->what, sizeof(pr->what));
	return pr->step ? pr->step : 1; /* the same step again, without what hung */
}

static void put_to_bed(struct pid1 *p)
{
	struct progress *pr = mmap(NULL, sizeof(*pr), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct shutdown_plan plan = {.mark_left = p->power_orderly, .machine = p->machine};
	unsigned step = 0, rounds = 0;

	if (pr == MAP_FAILED) {
		sync();
		return;
	}
	do
		step = run_steps(p, pr, &plan, step);
	while (step != 0 && step < n_shutdown_steps && ++rounds < STUCK_MAX + n_shutdown_steps);
	if (pr->left_rw)
		console_say("%u file systems could not be made read-only: they will be checked when they are mounted next", pr->left_rw);
}

static bool kexec_loaded(void)
{
	char c = '0';

	_cleanup_close_ int fd = sys_openat(AT_FDCWD, "/sys/kernel/kexec_loaded", O_RDONLY, 0);
	return fd >= 0 && sys_read(fd, &c, 1) == 1 && c == '1';
}

static void __attribute__((noreturn)) end(struct pid1 *p)
{
	if (p->power == RINIT_KEXEC && !kexec_loaded()) {
		console_say("kexec: no kernel is loaded (kexec -l): rebooting by the firmware");
		p->power = RINIT_REBOOT;
	}
	if (p->power != RINIT_REBOOT)
		watchdog_disarm(p); /* else it stays armed: a reboot that hangs is ended by it */
	switch (p->power) {
	case RINIT_KEXEC:
		reboot(RB_KEXEC);
		break;
	case RINIT_HALT:
		console_say("halted: the power can be switched off");
		reboot(RB_HALT_SYSTEM);
		break;
	case RINIT_REBOOT:
		if (*p->power_argument)
			syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART2, p->power_argument);
		break;
	case RINIT_POWEROFF:
	case RINIT_SOFT_EXIT:
		reboot(RB_POWER_OFF);
		break;
	}
	reboot(RB_AUTOBOOT);
	console_say("the kernel does not end the machine (%s): switch it off", strerror(errno));
	for (;;)
		pause();
}

void shutdown_run(struct pid1 *p)
{
	memset(p->due, 0, sizeof(p->due[0]) * DUE_WATCHDOG);
	rcu_hurry(p, true);
	kill_everything(p);
	if (!p->machine)
		_exit(0); /* what is mounted and who is the host's hardware is not ours */
	put_to_bed(p);
	end(p);
}
