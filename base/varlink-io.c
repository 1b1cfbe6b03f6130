/* varlink-io.c: see varlink-io.h. */
#include "base/varlink-io.h"

#include <errno.h>
#include <sys/socket.h>
#include "base/file.h"

#define READ_MAX 65536

int fd_queue_push(struct fd_queue *q, int fd, uint64_t pos)
{
	void *p;

	if (q->n >= VARLINK_FDS_MAX) {
		close(fd);
		return -EMFILE;
	}
	p = reallocarray(q->items, q->n + 1, sizeof(*q->items));
	if (!p) {
		close(fd);
		return -ENOMEM;
	}
	q->items = p;
	q->items[q->n].fd = fd;
	q->items[q->n++].pos = pos;
	return 0;
}

static void drop_first(struct fd_queue *q, size_t n)
{
	q->n -= n;
	memmove(q->items, q->items + n, q->n * sizeof(*q->items));
	if (q->n == 0) {
		free(q->items);
		q->items = NULL;
	}
}

int fd_queue_take(struct fd_queue *q)
{
	int fd;

	if (q->n == 0)
		return -ENOENT;
	fd = q->items[0].fd;
	drop_first(q, 1);
	return fd;
}

void fd_queue_split(struct fd_queue *from, uint64_t pos, struct fd_queue *to)
{
	size_t n = 0;

	for (; n < from->n && from->items[n].pos <= pos; n++)
		(void)fd_queue_push(to, from->items[n].fd, 0);
	if (n > 0)
		drop_first(from, n);
}

void fd_queue_free(struct fd_queue *q)
{
	for (size_t i = 0; i < q->n; i++)
		close(q->items[i].fd);
	free(q->items);
	*q = (struct fd_queue){ 0 };
}

/* Messages that were taken leave a gap in front: close it before more is read. */
static void compact(struct in_stream *in)
{
	if (in->start == 0)
		return;
	in->buf.len -= in->start;
	memmove(in->buf.data, in->buf.data + in->start, in->buf.len);
	in->start = 0;
}

void in_stream_shrink(struct in_stream *in)
{
	if (in_stream_pending(in) > 0)
		return;
	buf_free(&in->buf);
	in->start = in->scanned = 0;
}

/* The kernel ends a read behind the bytes that descriptors came with (unix(7), SCM_RIGHTS as a barrier), and they belong
 * to the message that holds the last of these. */
ssize_t in_stream_read(struct in_stream *in, int fd, size_t room)
{
	char chunk[READ_MAX];
	int fds[VARLINK_FDS_MAX];
	size_t n_fds = ARRAY_SIZE(fds);
	ssize_t n = fd_recv(fd, chunk, MIN(room, sizeof(chunk)), fds, &n_fds, MSG_DONTWAIT);
	int r;

	if (n < 0)
		return n;
	compact(in);
	r = n > 0 ? buf_add(&in->buf, chunk, (size_t)n) : 0;
	for (size_t i = 0; i < n_fds; i++)
		if (fd_queue_push(&in->fds, fds[i], in->pos + in->buf.len) < 0 && r >= 0)
			r = -EMFILE;
	return r < 0 ? r : n;
}

size_t in_stream_pending(const struct in_stream *in)
{
	return in->buf.len - in->start;
}

/* Length of the first message, or SIZE_MAX. Never looks at a byte twice. */
static size_t find_end(struct in_stream *in)
{
	const char *from, *nul;

	if (in_stream_pending(in) == 0)
		return SIZE_MAX;
	from = in->buf.data + in->start;
	nul = memchr(from + in->scanned, 0, in_stream_pending(in) - in->scanned);
	in->scanned = nul ? (size_t)(nul - from) : in_stream_pending(in);
	return nul ? in->scanned : SIZE_MAX;
}

bool in_stream_has_message(struct in_stream *in)
{
	return find_end(in) != SIZE_MAX;
}

bool in_stream_next(struct in_stream *in, const char **msg, size_t *len, struct fd_queue *fds)
{
	size_t n = find_end(in);

	if (n == SIZE_MAX)
		return false;
	*msg = in->buf.data + in->start;
	*len = n;
	in->start += n + 1;
	in->pos += n + 1;
	in->scanned = 0;
	fd_queue_split(&in->fds, in->pos, fds);
	return true;
}

void in_stream_free(struct in_stream *in)
{
	buf_free(&in->buf);
	fd_queue_free(&in->fds);
	*in = (struct in_stream){ 0 };
}

static int add_to_buf(const char *text, size_t n, void *data)
{
	return buf_add(data, text, n) < 0 ? -1 : 0;
}

struct out_msg *out_msg_new(json_t *json, struct fd_queue *fds)
{
	struct out_msg *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	if (json_dump_callback(json, add_to_buf, &m->buf, JSON_COMPACT) < 0 || buf_add(&m->buf, "", 1) < 0) {
		out_msg_free(m);
		return NULL;
	}
	m->fds = *fds;
	*fds = (struct fd_queue){ 0 };
	return m;
}

int out_msg_send(struct out_msg *m, int sock)
{
	int fds[VARLINK_FDS_MAX];

	while (m->sent < m->buf.len) {
		for (size_t i = 0; i < m->fds.n; i++)
			fds[i] = m->fds.items[i].fd;
		ssize_t n = fd_send(sock, m->buf.data + m->sent, m->buf.len - m->sent, fds, m->fds.n, MSG_DONTWAIT);
		if (n < 0)
			return n == -EAGAIN ? 0 : (int)n;
		m->sent += (size_t)n;
		fd_queue_free(&m->fds);
	}
	return 1;
}

void out_msg_free(struct out_msg *m)
{
	if (!m)
		return;
	buf_free(&m->buf);
	fd_queue_free(&m->fds);
	free(m);
}
