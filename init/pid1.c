/* pid1.c: the steps of stage 2, and the loop that PID 1 spends its life in. See pid1.h. */
#include "init/pid1.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "base/trim.h"
#include "config.h"
#include "init/console.h"
#include "init/exits.h"

#define SETUP_LIMIT_US (90 * SECOND_US)
#define NOFILE_OWN 65536 /* twice what a full descriptor store needs, and some */

enum { EV_SIGNALS, EV_LINK };

/* ---- deadlines and children ---- */

void pid1_arm(struct pid1 *p, enum deadline d, uint64_t in_us)
{
	p->due[d] = now_us() + in_us;
}

void pid1_disarm(struct pid1 *p, enum deadline d)
{
	p->due[d] = 0;
}

void pid1_child_add(struct pid1 *p, pid_t pid, enum role role)
{
	for (unsigned i = 0; i < CHILDREN_MAX; i++)
		if (p->children[i].pid == 0) {
			p->children[i] = (struct child){pid, role};
			return;
		}
	log_err("no room to remember child %d: its exit goes to rastd", (int)pid);
}

pid_t pid1_child(const struct pid1 *p, enum role role)
{
	for (unsigned i = 0; i < CHILDREN_MAX; i++)
		if (p->children[i].pid != 0 && p->children[i].role == role)
			return p->children[i].pid;
	return 0;
}

void pid1_reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Born there, not moved: a move waits for a grace period of the kernel. */
static pid_t fork_into(const char *group)
{
	_cleanup_close_ int fd = groups_open(group);
	struct clone_args a = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)fd};

	return fd < 0 ? fd : sys_clone3(&a, sizeof(a));
}

pid_t pid1_fork(struct pid1 *p, enum role role, const char *group)
{
	pid_t pid = group ? fork_into(group) : -1;

	if (pid < 0) {
		pid = fork();
		if (pid == 0 && group)
			groups_enter(group);
	}
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		pid1_child_add(p, pid, role);
		return pid;
	}
	pid1_reset_signals();
	return 0;
}

static void start_setup(struct pid1 *p)
{
	pid_t pid;

	p->phase = PHASE_SETUP;
	pid = pid1_fork(p, ROLE_SETUP, NULL);
	if (pid == 0) {
		setsid();
		_exit(setup_run(p));
	}
	if (pid < 0) {
		console_say("the machine can't be set up: fork: %s; starting services all the same", strerror(-(int)pid));
		supervise_start(p);
		return;
	}
	pid1_arm(p, DUE_SETUP, SETUP_LIMIT_US);
}

static void setup_overdue(struct pid1 *p)
{
	pid_t pid = pid1_child(p, ROLE_SETUP);

	console_say("setting the machine up takes longer than %llu s: going on without waiting for the rest",
		(unsigned long long)(SETUP_LIMIT_US / SECOND_US));
	if (pid > 0)
		kill(-pid, SIGKILL);
	if (p->phase == PHASE_SETUP)
		supervise_start(p);
}

static bool trim_wanted; /* before the next sleep, once */

void pid1_idle(struct pid1 *p)
{
	if (!apifs_mount_late(p)) /* else when that has ended */
		trim_wanted = true;
}

static void child_died(struct pid1 *p, enum role role, const siginfo_t *si)
{
	switch (role) {
	case ROLE_RASTD:
		supervise_died(p, si);
		break;
	case ROLE_SETUP:
		pid1_disarm(p, DUE_SETUP);
		if (si->si_code != CLD_EXITED)
			console_say("setting the machine up was ended by signal %d: going on", si->si_status);
		watchdog_open(p); /* its driver may have come from modules-load.d */
		if (p->phase == PHASE_SETUP)
			supervise_start(p);
		break;
	case ROLE_EMERGENCY:
		if (p->phase == PHASE_EMERGENCY)
			start_setup(p);
		break;
	case ROLE_HELPER:
		trim_wanted = true;
		break;
	case ROLE_SHELL:
	case ROLE_NONE:
	case N_ROLES:
		break;
	}
}

/* True if it was ours; then it has been dealt with. */
static bool own_child(struct pid1 *p, const siginfo_t *si)
{
	for (unsigned i = 0; i < CHILDREN_MAX; i++)
		if (p->children[i].pid == si->si_pid) {
			enum role role = p->children[i].role;
			p->children[i].pid = 0;
			child_died(p, role, si);
			return true;
		}
	return false;
}

/* The ring is full: what is orphaned stays a zombie until rastd has acknowledged something, but our own are seen to. */
static void reap_own(struct pid1 *p)
{
	siginfo_t si;

	for (unsigned i = 0; i < CHILDREN_MAX; i++)
		if (p->children[i].pid != 0 && sys_waitid(P_PID, (id_t)p->children[i].pid, &si, WEXITED | WNOHANG) == 0 && si.si_pid != 0)
			own_child(p, &si);
}

void pid1_reap(struct pid1 *p)
{
	siginfo_t si;

	while (!exits_full()) {
		si.si_pid = 0;
		if (sys_waitid(P_ALL, 0, &si, WEXITED | WNOHANG) < 0 || si.si_pid == 0)
			return;
		if (!own_child(p, &si))
			exits_push(si.si_pid, si.si_code, si.si_status, now_us());
	}
	reap_own(p);
}

/* ---- the loop ---- */

static void (*const overdue[N_DEADLINES])(struct pid1 *) = {
	[DUE_SETUP] = setup_overdue,	   [DUE_RASTD_START] = supervise_start, [DUE_ALIVE] = supervise_silent,
	[DUE_ALIVE_KILL] = supervise_silent, [DUE_POWER] = power_overdue,	      [DUE_LINK] = link_flush,	      [DUE_WATCHDOG] = watchdog_feed,
};

static int next_timeout_ms(const struct pid1 *p)
{
	uint64_t first = UINT64_MAX, now;

	for (unsigned i = 0; i < N_DEADLINES; i++)
		if (p->due[i])
			first = MIN(first, p->due[i]);
	if (first == UINT64_MAX)
		return -1; /* nothing is due: no wakeups */
	now = now_us();
	return first <= now ? 0 : (int)MIN((first - now) / 1000 + 1, (uint64_t)INT32_MAX);
}

static void run_deadlines(struct pid1 *p)
{
	uint64_t now = now_us();

	for (unsigned i = 0; i < N_DEADLINES; i++)
		if (p->due[i] && p->due[i] <= now) {
			p->due[i] = 0;
			overdue[i](p);
		}
}

static void read_signals(struct pid1 *p)
{
	struct signalfd_siginfo si[8];
	ssize_t n;

	while ((n = read(p->signals, si, sizeof(si))) > 0)
		for (size_t i = 0; i < (size_t)n / sizeof(si[0]); i++)
			if (si[i].ssi_signo != SIGCHLD) /* children are looked at after every round anyway */
				power_signal(p, (int)si[i].ssi_signo);
}

static int wait_events(struct pid1 *p, struct epoll_event *ev, int max)
{
	int timeout = next_timeout_ms(p), n = epoll_wait(p->epoll, ev, max, trim_wanted ? 0 : timeout);

	if (!trim_wanted || n != 0 || timeout == 0)
		return n;
	trim_wanted = false;
	return trim_and_wait(p->epoll, ev, max, timeout);
}

static void loop_round(struct pid1 *p)
{
	struct epoll_event ev[4];
	int n = wait_events(p, ev, ARRAY_SIZE(ev));

	for (int i = 0; i < n; i++) {
		if (ev[i].data.u32 == EV_SIGNALS)
			read_signals(p);
		else if (ev[i].events & EPOLLIN)
			link_read(p);
	}
	pid1_reap(p);
	run_deadlines(p);
	link_flush(p);
}

static int make_loop(struct pid1 *p)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = EV_SIGNALS};
	sigset_t all;

	/* All of them, so that none is missed; the faults stay deliverable: crash.c */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGABRT);
	sigprocmask(SIG_SETMASK, &all, NULL);
	p->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (p->signals < 0 || p->epoll < 0 || epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->signals, &ev) < 0)
		return -errno;
	ev.data.u32 = EV_LINK;
	return epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->ours, &ev) < 0 ? -errno : 0;
}

/* ---- who we are ---- */

static void choose_supervisor(struct pid1 *p, const struct pid1_options *o)
{
	size_t len = 0;

	snprintf(p->supervisor, sizeof(p->supervisor), "%s", o->supervisor ? o->supervisor : RAST_LIBDIR "/rastd");
	if (!o->supervisor)
		cmdline_get(p->cmdline, "rast.supervisor", p->supervisor, sizeof(p->supervisor));
	for (char **a = o->arguments; a && *a && p->n_args < SUPERVISOR_ARGS_MAX; a++) {
		size_t n = strlen(*a) + 1;
		if (len + n > sizeof(p->args))
			break;
		memcpy(p->args + len, *a, n);
		len += n;
		p->n_args++;
	}
}

static void read_settings(struct pid1 *p)
{
	char text[32];

	p->shutdown_limit = MAX(cmdline_seconds(p->cmdline, "rast.shutdown-timeout", 60), (uint64_t)1) * SECOND_US;
	p->watchdog_us = cmdline_seconds(p->cmdline, "rast.watchdog", 30) * SECOND_US;
	p->crash_reboot = cmdline_get(p->cmdline, "rast.crash", text, sizeof(text)) && streq(text, "reboot");
	if (cmdline_get(p->cmdline, "rast.log", text, sizeof(text)) && log_level_from_name(text) >= 0)
		log_set_max_level(log_level_from_name(text));
}

/* A container sees its host's command line, which says nothing to it, unless one of its own has been bound over it. */
static bool own_cmdline(void)
{
	struct stat file, proc;

	return stat("/proc/cmdline", &file) == 0 && stat("/proc", &proc) == 0 && file.st_dev != proc.st_dev;
}

/* What doesn't need anybody else. */
static void identify(struct pid1 *p, const struct pid1_options *o)
{
	struct rlimit nofile = {NOFILE_OWN, 524288};

	umask(022);
	(void)!chdir("/");
	p->machine = proc_is_machine_init();
	p->container = !p->machine && getenv("container");
	if (p->machine || own_cmdline())
		cmdline_read(p->cmdline);
	choose_supervisor(p, o);
	log_init("rastinit", p->machine ? LOG_TO_KMSG : LOG_TO_STDERR, -1);
	read_settings(p);
	if (setrlimit(RLIMIT_NOFILE, &nofile) < 0) { /* without CAP_SYS_RESOURCE: as far as it goes */
		getrlimit(RLIMIT_NOFILE, &nofile);
		nofile.rlim_cur = nofile.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &nofile);
	}
	p->exe = sys_openat(AT_FDCWD, "/proc/self/exe", O_PATH, 0);
	(void)!readlink("/proc/self/exe", p->path, sizeof(p->path) - 1);
	p->watchdog = -1;
}

static bool emergency_wanted(const struct pid1 *p)
{
	char target[64];

	return cmdline_has(p->cmdline, "emergency") || cmdline_has(p->cmdline, "-b") ||
	       (cmdline_get(p->cmdline, "rast.target", target, sizeof(target)) && streq(target, "emergency"));
}

static void emergency(struct pid1 *p)
{
	pid_t pid;

	p->phase = PHASE_EMERGENCY;
	console_say("emergency: a root shell, before anything is set up. Leave it (exit, Ctrl-D) to go on with the boot.");
	pid = console_shell(true, GROUP_ROOT "/" GROUP_SHELL "/cgroup.procs");
	if (pid > 0)
		pid1_child_add(p, pid, ROLE_EMERGENCY);
	else
		start_setup(p);
}

/* True when another instance of ours, before us in this same process, left a state to go on from. */
static bool take_over(struct pid1 *p, const struct pid1_options *o)
{
	const char *text = o->after_crash ? o->after_crash : o->reexec;
	uint64_t fd;
	int r;

	if (!text)
		return false;
	r = parse_u64(text, &fd) < 0 ? -EINVAL : state_load(p, (int)fd);
	if (r == 0)
		return true;
	console_say("the state of the PID 1 before could not be read (%s): starting a new supervisor; services go on, unsupervised until it knows them",
		strerror(-r));
	groups_kill_and_renew(GROUP_RASTD);
	return false;
}

static void first_steps(struct pid1 *p)
{
	apifs_mount(p);
	rcu_hurry(p, true);
	groups_make();
	watchdog_open(p);
}

int pid1_main(const struct pid1_options *o)
{
	static struct pid1 self;
	struct pid1 *p = &self;
	bool resumed;
	int r;

	apifs_proc();
	identify(p, o);
	resumed = take_over(p, o);
	if (!resumed)
		first_steps(p);
	crash_install(p);
	r = resumed ? 0 : link_make(p);
	if (r == 0)
		r = make_loop(p);
	if (r < 0) {
		console_say("PID 1 can't make what it needs to run (%s): nothing will be supervised", strerror(-r));
		supervise_shell(p);
		crash_keep_alive();
	}
	power_accept(p);
	if (resumed)
		console_say("PID 1 is back, with %s", pid1_child(p, ROLE_RASTD) ? "its supervisor" : "no supervisor running");
	else if (emergency_wanted(p))
		emergency(p);
	else
		start_setup(p);
	if (resumed && !pid1_child(p, ROLE_RASTD) && p->phase >= PHASE_RUN)
		supervise_start(p);
	/* From now on we must not die: nothing below allocates, opens what it could have opened before, or ends the loop. */
	while (p->phase != PHASE_END)
		loop_round(p);
	shutdown_run(p);
}
