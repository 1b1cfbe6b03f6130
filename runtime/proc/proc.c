/* proc.c: see proc.h. */
#include "runtime/proc/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "base/sys.h"

#define PROC_ROOT_INO 1 /* linux/proc_fs.h of the kernel; the same in every version */

static int check_procfs(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	return (unsigned long)fs.f_type == PROC_SUPER_MAGIC ? 0 : -EXDEV;
}

static int check_top(int fd)
{
	struct stat st;
	int r = check_procfs(fd);

	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	return r == 0 && st.st_ino != PROC_ROOT_INO ? -EXDEV : r;
}

int procfs_private(struct err *e)
{
	_cleanup_close_ int fs = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return err_sys(e, -errno, "a private procfs");
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(e, -errno, "a private procfs");
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? err_sys(e, -errno, "a private procfs") : fd;
}

int procfs_open(struct err *e)
{
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	int r = fd < 0 ? fd : check_top(fd);

	return r == 0 ? take_fd(&fd) : procfs_private(e);
}

int procfs_file(int procfd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS};
	long fd;

	do
		fd = syscall(SYS_openat2, procfd, path, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	if (fd < 0 && errno == EXDEV) { /* something is mounted there: not the kernel's file */
		_cleanup_close_ int own = procfs_private(NULL);
		if (own < 0)
			return -EXDEV;
		fd = syscall(SYS_openat2, own, path, &how, sizeof(how));
	}
	if (fd < 0)
		return -errno;
	int r = check_procfs((int)fd);
	if (r < 0) {
		close((int)fd);
		return r;
	}
	return (int)fd;
}

int procfs_write(int procfd, const char *path, const char *value)
{
	_cleanup_close_ int fd = procfs_file(procfd, path, O_WRONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = sys_write(fd, value, strlen(value));
	return n < 0 ? (int)n : n == (ssize_t)strlen(value) ? 0 : -EIO;
}

int procfs_read(int procfd, const char *path, char *buf, size_t size)
{
	_cleanup_close_ int fd = procfs_file(procfd, path, O_RDONLY);
	size_t got = 0;

	if (fd < 0)
		return fd;
	while (got < size - 1) {
		ssize_t n = sys_read(fd, buf + got, size - 1 - got);
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	buf[got] = 0;
	return (int)got;
}
