/* console.c: see console.h */
#include "init/console.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "base/log.h"
#include "base/sys.h"

#define SAY_MAX 1024

void console_stdio(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_NOCTTY);
	if (fd < 0)
		return;
	for (int i = 0; i < 3; i++)
		if (fd != i)
			dup2(fd, i);
	if (fd > 2)
		close(fd);
}

/* Opened each time: a console that went away (a serial line hung up) must not leave us with a dead descriptor. Never blocks: a stopped
 * terminal (Ctrl-S) must not stop PID 1. */
static void to_console(const char *text, size_t n)
{
	_cleanup_close_ int fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_APPEND | O_CLOEXEC);
	ssize_t w = write(fd >= 0 ? fd : STDERR_FILENO, text, n);

	(void)w;
}

static _printf_(2, 0) void print(bool log, const char *fmt, va_list ap)
{
	static const char name[] = "rastinit: ";
	char text[SAY_MAX];
	size_t at = log ? sizeof(name) - 1 : 0, len;

	memcpy(text, name, at);
	vsnprintf(text + at, sizeof(text) - at - 1, fmt, ap);
	len = strlen(text);
	if (log) {
		log_msg(LOG_DEBUG, "%s", text + at);
		text[len++] = '\n';
	}
	to_console(text, len);
}

void console_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(true, fmt, ap);
	va_end(ap);
}

void console_print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(false, fmt, ap);
	va_end(ap);
}

/* A terminal that somebody left in raw mode, and the signals that we ignore, are not what a shell expects. */
static void own_console(void)
{
	struct termios t;
	sigset_t none;

	setsid();
	console_stdio();
	(void)ioctl(0, TIOCSCTTY, 1);
	if (tcgetattr(0, &t) == 0) {
		t.c_iflag |= ICRNL | IXON;
		t.c_oflag |= OPOST | ONLCR;
		t.c_lflag |= ISIG | ICANON | ECHO | ECHOE | ECHOK;
		(void)tcsetattr(0, TCSANOW, &t);
	}
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void enter_cgroup(const char *procs)
{
	_cleanup_close_ int fd = *procs ? open(procs, O_WRONLY | O_CLOEXEC) : -1;
	ssize_t w = fd >= 0 ? write(fd, "0", 1) : 0;

	(void)w;
}

/* A serial line understands a VT220; the kernel's own screen is "linux". */
static void choose_term(char term[32])
{
	char active[128] = "", *last;
	_cleanup_close_ int fd = open("/sys/class/tty/console/active", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, active, sizeof(active) - 1) : 0;

	active[n > 0 ? n : 0] = '\0';
	last = strrchr(active, ' ');
	last = last ? last + 1 : active;
	snprintf(term, 32, "TERM=%s", strncmp(last, "tty", 3) == 0 && last[3] >= '0' && last[3] <= '9' ? "linux" : "vt220");
}

/* The one of util-linux, which with --force also lets in a root without a password: whoever sits at the console could have the initramfs's shell as well.
 * busybox's does not know that, and would lock everybody out. */
static void try_sulogin(char *const env[])
{
	static const char *const paths[] = {"/usr/sbin/sulogin", "/sbin/sulogin"};
	static char name[] = "sulogin", force[] = "--force";
	char *const argv[] = {name, force, NULL};
	char target[256] = "";

	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
		ssize_t n = readlink(paths[i], target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (!strstr(target, "busybox"))
			execve(paths[i], argv, env);
	}
}

pid_t console_shell(bool login, const char *cgroup)
{
	static char bash_name[] = "-bash", sh_name[] = "-sh", home[] = "HOME=/root", term[32];
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char *const bash[] = {bash_name, NULL}, *const sh[] = {sh_name, NULL}, *const env[] = {path, home, term, NULL};
	pid_t pid = fork();

	if (pid != 0)
		return pid < 0 ? -errno : pid;
	enter_cgroup(cgroup);
	own_console();
	choose_term(term);
	if (chdir("/root") < 0 && chdir("/") < 0)
		_exit(127);
	if (login)
		try_sulogin(env);
	execve("/bin/bash", bash, env);
	execve("/bin/sh", sh, env);
	console_say("there is no shell to start (/bin/sh: %s)", strerror(errno));
	_exit(127);
}
