/* tty.c: the container's terminal. The slave is never opened by a name, but from its master (TIOCGPTPEER, ioctl_tty(2)): what /dev/pts/0 is in a
 * container is the container's to say (CVE-2025-52565). */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/path/path.h"
#include "runtime/process/process.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

static int verify_ptmx(int fd)
{
	struct stat st;
	struct statfs fs;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	return S_ISCHR(st.st_mode) && st.st_rdev == makedev(5, 2) && (unsigned long)fs.f_type == DEVPTS_SUPER_MAGIC ? 0 : -ENOTTY;
}

static int open_master(struct child *c, struct err *e)
{
	_cleanup_close_ int own = c->mnt.rootfd >= 0 ? -1 : sys_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
	int root = c->mnt.rootfd >= 0 ? c->mnt.rootfd : own;
	_cleanup_close_ int master = path_open_plain(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
	int r = master < 0 ? master : verify_ptmx(master), zero = 0;

	if (r < 0)
		return err_sys(e, r, "process.terminal: /dev/pts/ptmx of the container (a mount of type devpts at /dev/pts is needed)");
	if (ioctl(master, TIOCSPTLCK, &zero) < 0)
		return err_sys(e, -errno, "process.terminal: unlocking it");
	return take_fd(&master);
}

int tty_open(struct child *c, struct err *e)
{
	const struct oci_process *p = c->plan->process;
	struct winsize size = { .ws_row = p->console_height, .ws_col = p->console_width };
	static const char name[] = "/dev/pts/ptmx";

	c->master = open_master(c, e);
	if (c->master < 0)
		return c->master;
	c->tty = ioctl(c->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (c->tty < 0)
		return err_sys(e, -errno, "process.terminal: the slave");
	if (p->has_console_size && ioctl(c->tty, TIOCSWINSZ, &size) < 0)
		return err_sys(e, -errno, "process.consoleSize");
	if (p->user.uid && fchown(c->tty, p->user.uid, (gid_t)-1) < 0 && errno != EINVAL && errno != EPERM)
		return err_sys(e, -errno, "process.terminal: its owner");
	if (c->plan->rq.console_socket < 0)
		return 0; /* goes to the parent with SYNC_MASTER */
	ssize_t r = fd_send(c->plan->rq.console_socket, name, strlen(name), &c->master, 1, 0);
	closep(&c->master);
	c->master = -1;
	return r < 0 ? err_sys(e, (int)r, "sending the terminal to the console socket") : 0;
}

int tty_use(struct child *c, struct err *e)
{
	if (ioctl(c->tty, TIOCSCTTY, 0) < 0)
		return err_sys(e, -errno, "process.terminal: making it the controlling one");
	for (int i = 0; i < 3; i++)
		if (dup2(c->tty, i) < 0)
			return err_sys(e, -errno, "process.terminal");
	return 0;
}
