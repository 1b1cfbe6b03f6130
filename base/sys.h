/* sys.h: the seam between rastOS and the kernel.
 *
 * Every system call whose failure a test must be able to provoke goes through
 * a sys_*() wrapper here. A wrapper returns what the call returns, or the
 * negative errno (never -1 with errno). Built with -DRAST_FAULTS (meson option
 * `faults`), each wrapper first asks sys_fault(), which a unit test programs
 * through sys_fault_set() and an integration test through the environment
 * RAST_FAULT="call:nth:ERRNO[,call:nth:ERRNO...]" (nth = 0: every time). */
#ifndef RAST_BASE_SYS_H
#define RAST_BASE_SYS_H

#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <linux/sched.h>

#ifdef RAST_FAULTS
int  sys_fault(const char *call);                       /* 0, or the negative errno to return instead of calling */
void sys_fault_set(const char *call, unsigned nth, int err); /* the nth call from now fails with err (positive); nth 0: all; err 0: never */
void sys_fault_clear(void);
#define SYS_FAULT(call) do { int f_ = sys_fault(call); if (f_) return f_; } while (0)
#else
#define SYS_FAULT(call) do { } while (0)
#endif

int     sys_openat(int dirfd, const char *path, int flags, mode_t mode); /* O_CLOEXEC is always added */
ssize_t sys_read(int fd, void *buf, size_t n);            /* EINTR is retried in all of these */
ssize_t sys_write(int fd, const void *buf, size_t n);
ssize_t sys_pread(int fd, void *buf, size_t n, off_t off);
ssize_t sys_pwrite(int fd, const void *buf, size_t n, off_t off);
int     sys_fsync(int fd);
int     sys_fdatasync(int fd);
int     sys_ftruncate(int fd, off_t size);
int     sys_renameat(int olddir, const char *old, int newdir, const char *new);
int     sys_unlinkat(int dirfd, const char *path, int flags);
int     sys_mkdirat(int dirfd, const char *path, mode_t mode);
int     sys_mount(const char *src, const char *target, const char *type, unsigned long flags, const void *data);
int     sys_umount2(const char *target, int flags);
int     sys_pipe2(int fds[2], int flags);
int     sys_socketpair(int domain, int type, int protocol, int fds[2]);
ssize_t sys_sendmsg(int fd, const struct msghdr *msg, int flags); /* MSG_NOSIGNAL is always added */
ssize_t sys_recvmsg(int fd, struct msghdr *msg, int flags);       /* MSG_CMSG_CLOEXEC is always added */
int     sys_clone3(struct clone_args *args, size_t size);  /* only for clones without CLONE_VM; see supervisor/spawn.c for the others */
int     sys_pidfd_open(pid_t pid, unsigned flags);
int     sys_pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags);
int     sys_waitid(idtype_t type, id_t id, siginfo_t *info, int options); /* info->si_pid is 0 when nothing is waiting */
void   *sys_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off); /* on failure (void *)(intptr_t)-errno; test with SYS_IS_ERR */
#define SYS_IS_ERR(p) ((uintptr_t)(p) >= (uintptr_t)-4095)
#define SYS_ERR(p)    ((int)(intptr_t)(p))

#endif
