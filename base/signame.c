/* signame.c: signal numbers and names (signal(7)). */
#include "base/str.h"

#include <errno.h>
#include <signal.h>

static const char *const names[] = {
	[SIGHUP] = "SIGHUP",       [SIGINT] = "SIGINT",       [SIGQUIT] = "SIGQUIT",   [SIGILL] = "SIGILL",
	[SIGTRAP] = "SIGTRAP",     [SIGABRT] = "SIGABRT",     [SIGBUS] = "SIGBUS",     [SIGFPE] = "SIGFPE",
	[SIGKILL] = "SIGKILL",     [SIGUSR1] = "SIGUSR1",     [SIGSEGV] = "SIGSEGV",   [SIGUSR2] = "SIGUSR2",
	[SIGPIPE] = "SIGPIPE",     [SIGALRM] = "SIGALRM",     [SIGTERM] = "SIGTERM",   [SIGSTKFLT] = "SIGSTKFLT",
	[SIGCHLD] = "SIGCHLD",     [SIGCONT] = "SIGCONT",     [SIGSTOP] = "SIGSTOP",   [SIGTSTP] = "SIGTSTP",
	[SIGTTIN] = "SIGTTIN",     [SIGTTOU] = "SIGTTOU",     [SIGURG] = "SIGURG",     [SIGXCPU] = "SIGXCPU",
	[SIGXFSZ] = "SIGXFSZ",     [SIGVTALRM] = "SIGVTALRM", [SIGPROF] = "SIGPROF",   [SIGWINCH] = "SIGWINCH",
	[SIGIO] = "SIGIO",         [SIGPWR] = "SIGPWR",       [SIGSYS] = "SIGSYS",
};

/* "RTMIN", "RTMIN+4", "RTMAX-1" without "SIG". */
static int parse_realtime(const char *s)
{
	bool from_min = str_starts(s, "RTMIN");
	uint64_t offset = 0;

	if (!from_min && !str_starts(s, "RTMAX"))
		return -EINVAL;
	s += strlen("RTMIN");
	if (*s && (*s != (from_min ? '+' : '-') || parse_u64(s + 1, &offset) < 0))
		return -EINVAL;
	if (offset > (uint64_t)(SIGRTMAX - SIGRTMIN))
		return -EINVAL;
	return from_min ? SIGRTMIN + (int)offset : SIGRTMAX - (int)offset;
}

int parse_signal(const char *s)
{
	uint64_t number;

	if (strempty(s))
		return -EINVAL;
	if (parse_u64(s, &number) == 0)
		return number >= 1 && number <= (uint64_t)SIGRTMAX ? (int)number : -EINVAL;
	if (str_starts(s, "SIG"))
		s += 3;
	for (size_t i = 1; i < ARRAY_SIZE(names); i++)
		if (names[i] && streq(s, names[i] + 3))
			return (int)i;
	return parse_realtime(s);
}

const char *signal_name(int sig)
{
	static char buf[16];

	if (sig > 0 && (size_t)sig < ARRAY_SIZE(names) && names[sig])
		return names[sig];
	if (sig >= SIGRTMIN && sig <= SIGRTMAX)
		snprintf(buf, sizeof(buf), "SIGRTMIN+%d", sig - SIGRTMIN);
	else
		snprintf(buf, sizeof(buf), "%d", sig);
	return buf;
}
