/* varlink-conn.c: one connection of the server: its input, its queue of output, its end. See varlink-server.h. */
#include "base/varlink-server.h"

#include <errno.h>
#include <malloc.h>
#include <sys/socket.h>
#include "base/file.h"

bool conn_is_privileged(const struct conn *c)
{
	return c->uid == 0 || c->uid == geteuid();
}

struct conn *conn_ref(struct conn *c)
{
	c->refs++;
	return c;
}

static void drop_output(struct conn *c)
{
	while (c->out) {
		struct out_msg *m = c->out;
		c->out = m->next;
		out_msg_free(m);
	}
	c->out_tail = &c->out;
	c->out_bytes = 0;
}

void conn_unref(struct conn *c)
{
	if (--c->refs > 0)
		return;
	free(c);
}

/* Give memory of a big message back when nothing of it is left: malloc would keep it for a day that may never come. */
static void trim(struct conn *c)
{
	if (!c->big || c->out || in_stream_pending(&c->in) > 0 || c->call)
		return;
	c->big = false;
	(void)malloc_trim(0);
}

static void count_input(struct conn *c)
{
	size_t now = in_stream_pending(&c->in);

	if (!c->server || conn_is_privileged(c))
		return;
	c->server->input_of_others += now - c->counted;
	c->counted = now;
}

static void cancel_call(struct conn *c)
{
	struct varlink_call *call = c->call;

	c->call = NULL;
	if (call)
		call_cancel(call);
}

/* Nobody reads answers any more. What was sent before still counts. */
static void set_gone(struct conn *c)
{
	c->gone = true;
	drop_output(c);
	cancel_call(c);
}

void conn_close(struct conn *c)
{
	struct varlink_server *s = c->server;

	if (!s)
		return;
	s->input_of_others -= c->counted;
	c->server = NULL;
	c->gone = true;
	if (c->prev)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->n_conns--;
	timer_disarm(s->loop, &c->resume);
	loop_remove_fd(c->source);
	closep(&c->fd);
	in_stream_free(&c->in);
	drop_output(c);
	cancel_call(c);
	trim(c);
	conn_unref(c);
}

/* Who doesn't read the answers need not be read either. */
static bool paused(const struct conn *c)
{
	return !c->gone && (c->call || c->out_bytes > OUTPUT_MAX);
}

static void update_events(struct conn *c)
{
	uint32_t events = (c->out ? EPOLLOUT : 0) | (c->eof || paused(c) || timer_armed(&c->resume) ? 0 : EPOLLIN);

	if (!c->server || events == c->events)
		return;
	c->events = events;
	(void)loop_modify_fd(c->source, events);
}

/* 0, also when the socket is full; negative errno when the peer is gone. */
static int flush(struct conn *c)
{
	while (c->out) {
		struct out_msg *m = c->out;
		size_t before = m->sent;
		int r = out_msg_send(m, c->fd);
		c->out_bytes -= m->sent - before;
		if (r <= 0)
			return r;
		c->out = m->next;
		if (!c->out)
			c->out_tail = &c->out;
		out_msg_free(m);
	}
	return 0;
}

int conn_send(struct conn *c, struct out_msg *m)
{
	bool first = !c->out;

	if (!m)
		return -ENOMEM;
	if (c->gone) {
		out_msg_free(m);
		return 0;
	}
	c->big |= m->buf.len >= BIG;
	c->out_bytes += m->buf.len;
	*c->out_tail = m;
	c->out_tail = &m->next;
	if (first && flush(c) < 0) {
		c->gone = true;
		drop_output(c);
		if (!c->in_dispatch) /* not here, where its owner is at work: cancel the call in a round of its own */
			(void)timer_arm_in(c->server->loop, &c->resume, 0);
	}
	update_events(c);
	return 0;
}

/* Answer what is complete in the input, at most a round's share of it, so that others get their turn. */
static int run_calls(struct conn *c)
{
	struct fd_queue fds = { 0 };
	const char *msg;
	size_t len;
	int r = 0;

	c->in_dispatch = true;
	for (int n = 0; r >= 0 && c->server && !paused(c) && in_stream_has_message(&c->in); n++) {
		if (n == CALLS_PER_ROUND) {
			r = timer_arm_in(c->server->loop, &c->resume, 0);
			break;
		}
		(void)in_stream_next(&c->in, &msg, &len, &fds);
		c->big |= len >= BIG;
		r = len > MESSAGE_MAX ? -EMSGSIZE : call_dispatch(c, msg, len, &fds);
		fd_queue_free(&fds);
		if (c->gone)
			set_gone(c);
	}
	c->in_dispatch = false;
	count_input(c);
	return r;
}

static int read_input(struct conn *c)
{
	ssize_t n = in_stream_read(&c->in, c->fd, MESSAGE_MAX + 1);

	if (n == 0)
		c->eof = true;
	count_input(c);
	if (n > 0 && c->counted > 0 && c->server->input_of_others > INPUT_OF_OTHERS_MAX)
		return -ENOBUFS;
	return n < 0 && n != -EAGAIN ? (int)n : 0;
}

static void end_round(struct conn *c, int r)
{
	if (!c->server)
		return;
	if (in_stream_pending(&c->in) > MESSAGE_MAX && !in_stream_has_message(&c->in))
		r = -EMSGSIZE;
	if (r < 0 || (c->eof && !c->call && !c->out && !timer_armed(&c->resume))) {
		conn_close(c);
		return;
	}
	update_events(c);
	in_stream_shrink(&c->in);
	trim(c);
}

static void tell_drained(struct conn *c)
{
	struct varlink_call *call = c->call;

	if (!c->want_drain || c->out_bytes > OUTPUT_MAX / 2)
		return;
	c->want_drain = false;
	if (call && call->on_drain)
		call->on_drain(call, call->drain_data);
}

static int on_event(struct source *source, int fd, uint32_t events, void *data)
{
	struct conn *c = conn_ref(data);
	int r = 0;

	if ((events & (EPOLLHUP | EPOLLERR)) || ((events & EPOLLOUT) && flush(c) < 0)) /* HUP: both directions are shut */
		set_gone(c);
	if (c->server)
		tell_drained(c);
	if (c->server && !c->eof && !paused(c) && !timer_armed(&c->resume))
		r = read_input(c);
	if (r >= 0 && c->server && !timer_armed(&c->resume))
		r = run_calls(c);
	end_round(c, r);
	conn_unref(c);
	return 0;
}

static int on_resume(struct timer *t, void *data)
{
	struct conn *c = conn_ref(data);

	if (c->gone)
		set_gone(c);
	end_round(c, c->server ? run_calls(c) : 0);
	conn_unref(c);
	return 0;
}

void conn_call_done(struct conn *c)
{
	c->call = NULL;
	c->want_drain = false;
	if (!c->server || c->in_dispatch)
		return;
	/* From outside: not here, where a handler of another call may be on the stack. */
	if (in_stream_has_message(&c->in) || c->eof || c->big)
		(void)timer_arm_in(c->server->loop, &c->resume, 0);
	update_events(c);
}

int conn_new(struct varlink_server *s, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int r = c ? 0 : -ENOMEM;

	if (r >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		r = -errno;
	if (r >= 0)
		r = loop_add_fd(s->loop, fd, EPOLLIN, on_event, c, &c->source);
	if (r < 0) {
		free(c);
		close(fd);
		return r;
	}
	c->refs = 1;
	c->server = s;
	c->fd = fd;
	c->events = EPOLLIN;
	c->uid = cred.uid;
	c->gid = cred.gid;
	c->pid = cred.pid;
	c->out_tail = &c->out;
	timer_init(&c->resume, on_resume, c);
	c->next = s->conns;
	if (c->next)
		c->next->prev = c;
	s->conns = c;
	s->n_conns++;
	return 0;
}
