/* sync.c: see process.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/process/process.h"

int sync_send(int chan, enum sync_kind kind, int value, const char *text)
{
	struct sync_msg m = { .kind = kind, .value = value };
	size_t n = text ? strnlen(text, sizeof(m.text) - 1) : 0;
	ssize_t r;

	if (text)
		memcpy(m.text, text, n);
	r = sys_write(chan, &m, offsetof(struct sync_msg, text) + n + 1);
	return r < 0 ? (int)r : 0;
}

int sync_send_fd(int chan, enum sync_kind kind, int fd)
{
	struct sync_msg m = { .kind = kind };
	ssize_t r = fd_send(chan, &m, offsetof(struct sync_msg, text) + 1, &fd, 1, 0);

	return r < 0 ? (int)r : 0;
}

int sync_recv(int chan, struct sync_msg *m, int *ret_fd)
{
	size_t n_fds = 1;
	ssize_t n;

	memset(m, 0, offsetof(struct sync_msg, text) + 1);
	if (ret_fd) {
		*ret_fd = -1;
		n = fd_recv(chan, m, sizeof(*m) - 1, ret_fd, &n_fds, 0);
	} else {
		n = sys_read(chan, m, sizeof(*m) - 1);
	}
	if (n == 0 || n == -ECONNRESET)
		return SYNC_EOF;
	if (n < 0)
		return (int)n;
	if (n < (ssize_t)offsetof(struct sync_msg, text))
		return -EBADMSG;
	((char *)m)[n] = 0;
	return m->kind;
}

int sync_expect(int chan, enum sync_kind kind, struct sync_msg *m, int *ret_fd, struct err *e)
{
	int r = sync_recv(chan, m, ret_fd);

	if (r == (int)kind)
		return 0;
	if (r < 0)
		return err_sys(e, r, "talking to the container's process");
	if (r == SYNC_ERROR)
		return err_set(e, m->value < 0 ? m->value : -EIO, "%s", m->text);
	if (r == SYNC_EOF)
		return err_set(e, -EPIPE, "the container's process is gone before it was ready (killed, or out of memory?)");
	return err_set(e, -EPROTO, "the container's process said '%c', not '%c'", r, (char)kind);
}
