/* sys.c: see sys.h. */
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef RAST_FAULTS
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FAULTS_MAX 16

struct fault {
	char call[24];
	unsigned nth; /* 0: every time; n: the n-th call from now */
	int err;
};

static struct fault faults[FAULTS_MAX];
static size_t n_faults;

void sys_fault_clear(void)
{
	n_faults = 0;
}

void sys_fault_set(const char *call, unsigned nth, int err)
{
	size_t i = 0;

	while (i < n_faults && strcmp(faults[i].call, call) != 0)
		i++;
	if (i == FAULTS_MAX)
		return;
	if (i == n_faults)
		n_faults++;
	faults[i] = (struct fault){ .nth = nth, .err = err };
	snprintf(faults[i].call, sizeof(faults[i].call), "%s", call);
}

/* "ENOSPC" or "28". The names are those of strerrorname_np(3). */
static int errno_from_text(const char *s)
{
	for (int e = 1; e < 134; e++) {
		const char *name = strerrorname_np(e);
		if (name && strcmp(name, s) == 0)
			return e;
	}
	return (int)strtol(s, NULL, 10);
}

static void read_environment(void)
{
	static bool done;
	const char *env;
	char call[24], name[24];
	unsigned nth;
	int used;

	if (done)
		return;
	done = true;
	env = getenv("RAST_FAULT");
	while (env && sscanf(env, "%23[^:]:%u:%23[A-Z0-9]%n", call, &nth, name, &used) == 3) {
		sys_fault_set(call, nth, errno_from_text(name));
		env += used;
		if (*env++ != ',')
			break;
	}
}

int sys_fault(const char *call)
{
	read_environment();
	for (size_t i = 0; i < n_faults; i++) {
		struct fault *f = &faults[i];
		if (f->err == 0 || strcmp(f->call, call) != 0)
			continue;
		if (f->nth == 0)
			return -f->err;
		if (--f->nth == 0) {
			int err = f->err;
			f->err = 0;
			return -err;
		}
	}
	return 0;
}
#endif

/* Call again while a signal handler interrupts; the value, or the negative errno. */
#define RETRY(expr)                                 \
	({                                          \
		__typeof__(expr) r_;                \
		do                                  \
			r_ = (expr);                \
		while (r_ < 0 && errno == EINTR);   \
		r_ < 0 ? (__typeof__(r_))-errno : r_; \
	})

int sys_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	SYS_FAULT("openat");
	return RETRY(openat(dirfd, path, flags | O_CLOEXEC, mode));
}

ssize_t sys_read(int fd, void *buf, size_t n)
{
	SYS_FAULT("read");
	return RETRY(read(fd, buf, n));
}

ssize_t sys_write(int fd, const void *buf, size_t n)
{
	SYS_FAULT("write");
	return RETRY(write(fd, buf, n));
}

ssize_t sys_pread(int fd, void *buf, size_t n, off_t off)
{
	SYS_FAULT("pread");
	return RETRY(pread(fd, buf, n, off));
}

ssize_t sys_pwrite(int fd, const void *buf, size_t n, off_t off)
{
	SYS_FAULT("pwrite");
	return RETRY(pwrite(fd, buf, n, off));
}

int sys_fsync(int fd)
{
	SYS_FAULT("fsync");
	return RETRY(fsync(fd));
}

int sys_fdatasync(int fd)
{
	SYS_FAULT("fdatasync");
	return RETRY(fdatasync(fd));
}

int sys_ftruncate(int fd, off_t size)
{
	SYS_FAULT("ftruncate");
	return RETRY(ftruncate(fd, size));
}

int sys_renameat(int olddir, const char *old, int newdir, const char *new)
{
	SYS_FAULT("renameat");
	return RETRY(renameat(olddir, old, newdir, new));
}

int sys_unlinkat(int dirfd, const char *path, int flags)
{
	SYS_FAULT("unlinkat");
	return RETRY(unlinkat(dirfd, path, flags));
}

int sys_mkdirat(int dirfd, const char *path, mode_t mode)
{
	SYS_FAULT("mkdirat");
	return RETRY(mkdirat(dirfd, path, mode));
}

int sys_mount(const char *src, const char *target, const char *type, unsigned long flags, const void *data)
{
	SYS_FAULT("mount");
	return RETRY(mount(src, target, type, flags, data));
}

int sys_umount2(const char *target, int flags)
{
	SYS_FAULT("umount2");
	return RETRY(umount2(target, flags));
}

int sys_pipe2(int fds[2], int flags)
{
	SYS_FAULT("pipe2");
	return RETRY(pipe2(fds, flags));
}

int sys_socketpair(int domain, int type, int protocol, int fds[2])
{
	SYS_FAULT("socketpair");
	return RETRY(socketpair(domain, type, protocol, fds));
}

ssize_t sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	SYS_FAULT("sendmsg");
	return RETRY(sendmsg(fd, msg, flags | MSG_NOSIGNAL));
}

ssize_t sys_recvmsg(int fd, struct msghdr *msg, int flags)
{
	SYS_FAULT("recvmsg");
	return RETRY(recvmsg(fd, msg, flags | MSG_CMSG_CLOEXEC));
}

/* fork(2) in all but flags. The child runs on a copy of the stack; glibc knows nothing of it, so that pthread_atfork
 * handlers don't run: fine for a single thread that execs. */
int sys_clone3(struct clone_args *args, size_t size)
{
	SYS_FAULT("clone3");
	return (int)RETRY(syscall(SYS_clone3, args, size));
}

int sys_pidfd_open(pid_t pid, unsigned flags)
{
	SYS_FAULT("pidfd_open");
	return (int)RETRY(syscall(SYS_pidfd_open, pid, flags));
}

int sys_pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags)
{
	SYS_FAULT("pidfd_send_signal");
	return (int)RETRY(syscall(SYS_pidfd_send_signal, pidfd, sig, info, flags));
}

int sys_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	SYS_FAULT("waitid");
	info->si_pid = 0; /* with WNOHANG and nothing waiting POSIX leaves it alone */
	return RETRY(waitid(type, id, info, options));
}

void *sys_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	void *p;

#ifdef RAST_FAULTS
	int fault = sys_fault("mmap");
	if (fault)
		return (void *)(intptr_t)fault;
#endif
	p = mmap(addr, len, prot, flags, fd, off);
	return p == MAP_FAILED ? (void *)(intptr_t)-errno : p;
}
