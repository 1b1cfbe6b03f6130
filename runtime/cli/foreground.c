/* foreground.c: the caller waits for a container's process as if it were its own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/cli/cli.h"

struct front {
	const struct rt_child *child;
	int signals;
	struct termios before; /* of our own terminal */
	bool raw;
	bool input_done;
};

static void our_signals(sigset_t *set)
{
	sigfillset(set);
	sigdelset(set, SIGSEGV);
	sigdelset(set, SIGBUS);
	sigdelset(set, SIGABRT);
	sigdelset(set, SIGFPE);
	sigdelset(set, SIGILL);
	sigdelset(set, SIGTTOU);
	sigdelset(set, SIGTTIN);
	sigdelset(set, SIGTSTP);
}

/* A signal that comes when the program already runs and we don't wait yet must not end us. The container's process takes the mask off again. */
void foreground_block(void)
{
	sigset_t set;

	our_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void copy_size(const struct front *f)
{
	struct winsize size;

	if (ioctl(0, TIOCGWINSZ, &size) == 0)
		ioctl(f->child->master, TIOCSWINSZ, &size);
}

static void make_raw(struct front *f)
{
	struct termios raw;

	if (f->child->master < 0 || tcgetattr(0, &f->before) < 0)
		return;
	raw = f->before;
	cfmakeraw(&raw);
	f->raw = tcsetattr(0, TCSANOW, &raw) == 0;
	copy_size(f);
}

static void on_signal(struct front *f)
{
	struct signalfd_siginfo si;

	if (sys_read(f->signals, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo == SIGWINCH && f->child->master >= 0)
		copy_size(f);
	else if (si.ssi_signo != SIGCHLD && si.ssi_signo != SIGPIPE && si.ssi_signo != SIGURG)
		sys_pidfd_send_signal(f->child->pidfd, (int)si.ssi_signo, NULL, 0);
}

/* 1: there may be more; 0: the end. */
static int move_bytes(int from, int to)
{
	char buf[8192];
	ssize_t n = sys_read(from, buf, sizeof(buf));

	return n > 0 && write_all(to, buf, (size_t)n) == 0;
}

static void send_end_of_input(struct front *f)
{
	static const char eot = 4;

	f->input_done = true;
	if (!f->raw) /* a pipe has ended, where a person would press ^D */
		(void)!write_all(f->child->master, &eot, 1);
}

static void drain(const struct front *f)
{
	struct pollfd p = { .fd = f->child->master, .events = POLLIN };

	while (f->child->master >= 0 && poll(&p, 1, 0) > 0 && p.revents & POLLIN && move_bytes(f->child->master, 1))
		;
}

/* Until the process has ended. */
static int watch(struct front *f)
{
	for (;;) {
		struct pollfd p[] = { { f->child->pidfd, POLLIN, 0 }, { f->signals, POLLIN, 0 },
			{ f->child->master, POLLIN, 0 }, { f->child->master >= 0 && !f->input_done ? 0 : -1, POLLIN, 0 } };
		if (poll(p, ARRAY_SIZE(p), -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (p[1].revents)
			on_signal(f);
		if (p[2].revents & POLLIN && !move_bytes(f->child->master, 1))
			return 0;
		if (p[3].revents && !move_bytes(0, f->child->master))
			send_end_of_input(f);
		if (p[0].revents)
			return 0;
	}
}

static int status_of(const siginfo_t *si)
{
	return si->si_code == CLD_EXITED ? si->si_status : 128 + si->si_status;
}

int foreground(const struct rt_child *child, struct err *e)
{
	struct front f = { .child = child };
	siginfo_t si = { 0 };
	sigset_t set;
	int r;

	foreground_block();
	our_signals(&set);
	f.signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (f.signals < 0)
		return err_sys(e, -errno, "signalfd");
	make_raw(&f);
	r = watch(&f);
	if (r == 0)
		r = sys_waitid(P_PID, (id_t)child->pid, &si, WEXITED);
	drain(&f);
	if (f.raw)
		tcsetattr(0, TCSANOW, &f.before);
	close(f.signals);
	return r < 0 ? err_sys(e, r, "waiting for the container's process") : status_of(&si);
}
