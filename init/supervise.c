/* supervise.c: keeping rastd alive.
 *
 * An instance that got as far as HELLO and is killed is started again at once, however often. One that dies before HELLO, or by its own fault,
 * five times in ten seconds is given a rest of some seconds between starts, and a root shell appears on the console: somebody has to look. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "init/console.h"
#include "init/pid1.h"

#define BAD_DEATHS 5                    /* this many ... */
#define BAD_DEATHS_US (10 * SECOND_US)  /* ... in this time: back off */
#define EARLY_KILLS 64                  /* SIGKILLs before HELLO in a row that are somebody's test, not a fault */
#define REST_US (3 * SECOND_US)
#define GRACE_US (1 * SECOND_US)        /* between SIGABRT and SIGKILL for one that hangs */
#define ENV_MAX 64

static char **environment(void)
{
	static char *env[ENV_MAX + 2];
	unsigned n = 0;

	for (char **v = environ; *v && n < ENV_MAX; v++)
		env[n++] = *v;
	env[n] = NULL;
	if (!getenv("PATH"))
		env[n++] = (char *)"PATH=" PID1_DEFAULT_PATH;
	env[n] = NULL;
	return env;
}

/* In the child. */
static void exec_rastd(const struct pid1 *p)
{
	char *argv[SUPERVISOR_ARGS_MAX + 2] = {(char *)p->supervisor};
	struct rlimit nofile = {1024, 524288};
	const char *arg = p->args;

	for (unsigned i = 0; i < p->n_args; i++, arg += strlen(arg) + 1)
		argv[i + 1] = (char *)arg;
	setsid();
	(void)setrlimit(RLIMIT_NOFILE, &nofile); /* rastd raises its own; services get what programs expect, and may raise it */
	if (p->theirs == RINIT_FD)
		(void)fcntl(RINIT_FD, F_SETFD, 0);
	else if (dup2(p->theirs, RINIT_FD) < 0)
		_exit(126);
	execve(p->supervisor, argv, environment());
	console_say("start the supervisor %s: %s", p->supervisor, strerror(errno));
	_exit(127);
}

void supervise_start(struct pid1 *p)
{
	pid_t pid;

	if (pid1_child(p, ROLE_RASTD) || p->phase == PHASE_END)
		return;
	if (p->phase < PHASE_RUN)
		p->phase = PHASE_RUN;
	pid1_disarm(p, DUE_RASTD_START);
	p->hello = false;
	pid = pid1_fork(p, ROLE_RASTD, GROUP_RASTD);
	if (pid == 0)
		exec_rastd(p);
	if (pid < 0) {
		console_say("the supervisor can't be started: fork: %s; trying again in %llu s", strerror(-(int)pid),
			(unsigned long long)(REST_US / SECOND_US));
		pid1_arm(p, DUE_RASTD_START, REST_US);
		return;
	}
	p->rastd = pid;
	p->starts++;
}

void supervise_shell(struct pid1 *p)
{
	pid_t pid;

	if (!p->machine || pid1_child(p, ROLE_SHELL) || !cmdline_bool(p->cmdline, "rast.rescue-shell", true))
		return;
	console_say("a root shell follows, while the supervisor is tried again every %llu s", (unsigned long long)(REST_US / SECOND_US));
	pid = console_shell(true, GROUP_ROOT "/" GROUP_SHELL "/cgroup.procs");
	if (pid > 0)
		pid1_child_add(p, pid, ROLE_SHELL);
}

/* True when it has died badly too often lately. */
static bool note_bad_death(struct pid1 *p)
{
	uint64_t now = now_us();

	memmove(p->deaths + 1, p->deaths, sizeof(p->deaths) - sizeof(p->deaths[0]));
	p->deaths[0] = now;
	return p->deaths[BAD_DEATHS - 1] && now - p->deaths[BAD_DEATHS - 1] < BAD_DEATHS_US;
}

static void say_death(const struct pid1 *p, const siginfo_t *si)
{
	const char *how = si->si_code == CLD_EXITED ? "exited with status" : "was ended by signal";

	if (si->si_code == CLD_EXITED && si->si_status == 127)
		log_err("the supervisor %s could not be started", p->supervisor);
	else
		log_warning("the supervisor (pid %d, start %u) %s %d%s: starting it again", (int)si->si_pid, p->starts, how, si->si_status,
			p->hello ? "" : " before it was ready");
}

void supervise_died(struct pid1 *p, const siginfo_t *si)
{
	bool killed = si->si_code != CLD_EXITED && si->si_status == SIGKILL, bad;

	p->rastd = 0;
	link_reset(p); /* first what it still had to say, a request to shut down for example */
	pid1_disarm(p, DUE_ALIVE);
	pid1_disarm(p, DUE_ALIVE_KILL);
	p->alive_every = 0;
	if (p->phase == PHASE_END)
		return;
	say_death(p, si);
	p->early_kills = killed && !p->hello ? p->early_kills + 1 : 0;
	bad = !(killed && (p->hello || p->early_kills < EARLY_KILLS));
	if (!bad || !note_bad_death(p)) {
		supervise_start(p);
		return;
	}
	console_say("the supervisor %s has died %d times in %llu s%s%s: something is wrong with it", p->supervisor, BAD_DEATHS,
		(unsigned long long)(BAD_DEATHS_US / SECOND_US), *p->status ? "; the last that it said: " : "", p->status);
	pid1_arm(p, DUE_RASTD_START, REST_US);
	supervise_shell(p);
}

void supervise_hello(struct pid1 *p)
{
	p->hello = true;
	p->early_kills = 0;
}

void supervise_alive(struct pid1 *p, uint64_t every_us)
{
	p->alive_every = every_us;
	pid1_disarm(p, DUE_ALIVE_KILL);
	if (every_us)
		pid1_arm(p, DUE_ALIVE, every_us);
	else
		pid1_disarm(p, DUE_ALIVE);
}

void supervise_silent(struct pid1 *p)
{
	if (!p->rastd)
		return;
	if (p->alive_every) {
		console_say("the supervisor has not answered for %llu ms: SIGABRT; the last that it said: %s", (unsigned long long)(p->alive_every / 1000),
			*p->status ? p->status : "nothing");
		p->alive_every = 0;
		kill(p->rastd, SIGABRT);
		pid1_arm(p, DUE_ALIVE_KILL, GRACE_US);
		return;
	}
	kill(p->rastd, SIGKILL);
}
