/* fdpass.c: descriptors beside a packet (SCM_RIGHTS, unix(7)). */
#include "base/file.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include "base/sys.h"

#define FDS_MAX 253 /* SCM_MAX_FD of include/net/scm.h */

union fd_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

ssize_t fd_send(int sock, const void *data, size_t n, const int *fds, size_t n_fds, int flags)
{
	union fd_control control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds > FDS_MAX)
		return -EINVAL;
	if (n_fds > 0) {
		memset(&control, 0, CMSG_SPACE(n_fds * sizeof(int)));
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	return sys_sendmsg(sock, &msg, flags);
}

/* Keep what there is room for and close the rest: descriptors that nobody asked for must not pile up. */
static size_t take_fds(struct msghdr *msg, int *fds, size_t room)
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n < room)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

ssize_t fd_recv(int sock, void *data, size_t n, int *fds, size_t *n_fds, int flags)
{
	union fd_control control;
	struct iovec iov = { .iov_base = data, .iov_len = n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof(control.buf) };
	size_t room = n_fds ? *n_fds : 0;
	ssize_t r = sys_recvmsg(sock, &msg, flags);

	if (n_fds)
		*n_fds = 0;
	if (r < 0)
		return r;
	room = take_fds(&msg, fds, room);
	if (n_fds)
		*n_fds = room;
	return r;
}
