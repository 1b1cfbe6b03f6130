/* control.c: packets from rastd, and what is told to it. */
#include <errno.h>
#include <stdio.h>
#include "base/base.h"
#include "services/logger/logd.h"
#include "services/logger/protocol.h"

void control_event(struct logd *d, uint16_t type, const char *name, int error, uint64_t token, uint64_t lost)
{
	struct logd_event ev = {.version = LOGD_VERSION, .type = type, .pid = getpid(), .error = error, .token = token, .lost = lost};
	if (d->control < 0)
		return;
	snprintf(ev.name, sizeof ev.name, "%.63s", name);
	struct iovec iov = {&ev, sizeof ev};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	/* Never blocks: rastd may be away for long. What it can't be told for lack of room it asks for again. But READY makes it send the
	 * pipes, without which there is nothing to do. */
	ssize_t r = sys_sendmsg(d->control, &msg, type == LOGD_READY ? 0 : MSG_DONTWAIT);
	if (r < 0 && r != -EAGAIN && r != -EPIPE && r != -ECONNRESET)
		log_warning("can't tell rastd about '%s': %s", name, strerror((int)-r));
}

static void refuse(struct logd *d, const struct logd_request *q, int error)
{
	log_warning("request %u for '%s' refused: %s", q->type, q->name, strerror(-error));
	control_event(d, LOGD_REFUSED, q->name, error, q->type, 0);
}

static void do_add(struct logd *d, const struct logd_request *q, int *fd)
{
	int r = *fd < 0 ? -EBADF : !name_valid(q->name) ? -EINVAL : service_add(d, q->name, take_fd(fd), q->max_size, q->max_files);
	if (r < 0 && !d->fatal)
		refuse(d, q, r);
}

static void do_flush(struct logd *d, const struct logd_request *q, int *fd)
{
	struct service *s = service_find(d, q->name);
	if (s)
		service_drain(d, s, TAIL_END);
	else
		refuse(d, q, -ENOENT);
}

static void do_drop(struct logd *d, const struct logd_request *q, int *fd)
{
	struct service *s = service_find(d, q->name);
	if (s && service_drain(d, s, TAIL_END) >= 0)
		service_remove(d, s);
}

void control_drain_all(struct logd *d, enum format_tail tail)
{
	for (size_t i = 0; i < d->n_services && !d->fatal; i++)
		service_drain(d, d->services[i], tail);
}

static void do_sync(struct logd *d, const struct logd_request *q, int *fd)
{
	enum format_tail tail = q->flags & LOGD_SYNC_PARTIAL ? TAIL_END : TAIL_KEEP;
	struct service *s = q->name[0] ? service_find(d, q->name) : NULL;
	if (s)
		service_drain(d, s, tail);
	else if (!q->name[0])
		control_drain_all(d, tail);
	if (d->fatal)
		return;
	int error = q->flags & LOGD_SYNC_DISK ? store_fdatasync(d) : 0;
	control_event(d, LOGD_SYNCED, q->name, error, q->token, 0);
}

static void do_reopen(struct logd *d, const struct logd_request *q, int *fd)
{
	store_close_all(d);
}

static void do_idle(struct logd *d, const struct logd_request *q, int *fd)
{
	d->trim = true;
}

static void (*const handlers[])(struct logd *, const struct logd_request *, int *fd) = {
	[LOGD_ADD] = do_add,
	[LOGD_FLUSH] = do_flush,
	[LOGD_DROP] = do_drop,
	[LOGD_SYNC] = do_sync,
	[LOGD_REOPEN] = do_reopen,
	[LOGD_IDLE] = do_idle,
};

static void handle(struct logd *d, struct logd_request *q, size_t n, int *fd)
{
	q->name[sizeof q->name - 1] = '\0';
	if (n != sizeof *q || q->version != LOGD_VERSION || q->type >= ARRAY_SIZE(handlers) || !handlers[q->type])
		log_warning("a packet of %zu bytes, version %u, type %u is not for this logger (version %d): ignored", n, q->version,
			q->type, LOGD_VERSION);
	else
		handlers[q->type](d, q, fd);
}

void control_read(struct logd *d)
{
	while (!d->fatal) {
		struct logd_request q = {0};
		int fds[4] = {-1, -1, -1, -1};
		size_t n_fds = ARRAY_SIZE(fds);
		ssize_t n = fd_recv(d->control, &q, sizeof q, fds, &n_fds, MSG_DONTWAIT);
		if (n == -EAGAIN)
			return;
		if (n <= 0) { /* every copy of the other end is closed: pipes go on until their writers end */
			if (n < 0)
				log_warning("the connection to rastd: %s", strerror((int)-n));
			close(d->control);
			d->control = -1;
			return;
		}
		handle(d, &q, (size_t)n, &fds[0]);
		for (size_t i = 0; i < n_fds; i++)
			closep(&fds[i]);
	}
}
