/* varlink-client.c: the blocking client; see varlink.h. */
#include "base/varlink.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/file.h"
#include "base/varlink-io.h"

#define REPLY_MAX (64 << 20) /* a server is trusted more than a client, but not with all of the memory */

struct varlink_client {
	int fd;
	struct in_stream in;
	struct fd_queue out_fds, in_fds;
	bool broken; /* an answer that nobody waits for may still come: it must not be taken for that of another call */
};

int varlink_client_from_fd(int fd, struct varlink_client **ret)
{
	struct varlink_client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->fd = fd;
	*ret = c;
	return 0;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;
	int r;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	do
		r = connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : take_fd(&fd);
}

int varlink_connect(const char *path, struct varlink_client **ret, struct err *e)
{
	int fd = connect_unix(path), r;

	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return err_set(e, fd, "connect to %s: %s (is the service that listens there running?)", path, strerror(-fd));
	if (fd < 0)
		return err_sys(e, fd, "connect to %s", path);
	r = varlink_client_from_fd(fd, ret);
	return r < 0 ? err_sys(e, r, "connect to %s", path) : 0;
}

void varlink_client_free(struct varlink_client *c)
{
	if (!c)
		return;
	closep(&c->fd);
	in_stream_free(&c->in);
	fd_queue_free(&c->out_fds);
	fd_queue_free(&c->in_fds);
	free(c);
}

void varlink_client_freep(struct varlink_client **c)
{
	varlink_client_free(*c);
}

int varlink_client_fd(struct varlink_client *c)
{
	return c->fd;
}

int varlink_client_push_fd(struct varlink_client *c, int fd)
{
	return fd_queue_push(&c->out_fds, fd, 0);
}

int varlink_client_take_fd(struct varlink_client *c)
{
	return fd_queue_take(&c->in_fds);
}

static uint64_t deadline_of(uint64_t timeout_us)
{
	uint64_t at;

	return __builtin_add_overflow(now_us(), timeout_us, &at) ? UINT64_MAX : at;
}

static int wait_for(int fd, short events, uint64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	struct timespec ts;
	uint64_t now = now_us(), left = deadline > now ? deadline - now : 0;
	int r;

	ts = (struct timespec){ .tv_sec = (time_t)(left / 1000000), .tv_nsec = (long)(left % 1000000) * 1000 };
	r = ppoll(&p, 1, deadline == UINT64_MAX ? NULL : &ts, NULL);
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

static int send_msg(struct varlink_client *c, struct out_msg *m, uint64_t deadline)
{
	int r = 0;

	while (r >= 0) {
		r = out_msg_send(m, c->fd);
		if (r != 0)
			break;
		r = wait_for(c->fd, POLLOUT, deadline);
	}
	return MIN(r, 0);
}

/* flag: "more", "oneway" or NULL. params are stolen. */
static int send_call(struct varlink_client *c, const char *method, json_t *params, const char *flag, uint64_t deadline)
{
	json_t *msg;
	struct out_msg *m;
	int r;

	if (c->broken) {
		json_decref(params);
		return -ENOTCONN;
	}
	msg = json_object();
	r = json_object_set_new(msg, "method", json_string(method));
	if (flag)
		r |= json_object_set_new(msg, flag, json_true());
	if (params)
		r |= json_object_set_new(msg, "parameters", params);
	m = r < 0 ? NULL : out_msg_new(msg, &c->out_fds);
	json_decref(msg);
	if (!m) {
		fd_queue_free(&c->out_fds);
		return -ENOMEM;
	}
	r = send_msg(c, m, deadline);
	out_msg_free(m);
	return r;
}

/* Wait for a whole message; it stays valid until the next call. */
static int receive(struct varlink_client *c, uint64_t deadline, const char **msg, size_t *len)
{
	fd_queue_free(&c->in_fds); /* of the reply before, which nobody has taken */
	while (!in_stream_next(&c->in, msg, len, &c->in_fds)) {
		if (in_stream_pending(&c->in) > REPLY_MAX)
			return -EMSGSIZE;
		ssize_t n = in_stream_read(&c->in, c->fd, SIZE_MAX);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && n != -EAGAIN)
			return (int)n;
		int r = n < 0 ? wait_for(c->fd, POLLIN, deadline) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static void steal(json_t *from, json_t **to)
{
	if (to)
		*to = json_incref(from);
}

/* Take a message apart. -EBADMSG when it is no reply. */
static int take_reply(json_t *msg, json_t **reply, char **error, bool *continues)
{
	json_t *params = json_object_get(msg, "parameters"), *name = json_object_get(msg, "error");
	json_t *empty = params && !json_is_null(params) ? NULL : json_object();

	if (!json_is_object(msg) || (name && !json_is_string(name)) || (!empty && !json_is_object(params))) {
		json_decref(empty);
		return -EBADMSG;
	}
	*continues = json_is_true(json_object_get(msg, "continues"));
	if (name && error) {
		*error = strdup(json_string_value(name));
		if (!*error) {
			json_decref(empty);
			return -ENOMEM;
		}
	}
	steal(empty ? empty : params, reply);
	json_decref(empty);
	return name ? -EREMOTEIO : 0;
}

static int next_reply(struct varlink_client *c, uint64_t deadline, json_t **reply, char **error, bool *continues)
{
	const char *text;
	size_t len;
	json_t *msg;
	int r = receive(c, deadline, &text, &len);

	if (r < 0)
		return r;
	msg = json_loadb(text, len, 0, NULL);
	r = take_reply(msg, reply, error, continues);
	json_decref(msg);
	return r;
}

static void clear_results(json_t **reply, char **error)
{
	if (reply)
		*reply = NULL;
	if (error)
		*error = NULL;
}

int varlink_call_sync(struct varlink_client *c, const char *method, json_t *params, uint64_t timeout_us, json_t **reply, char **error)
{
	uint64_t deadline = deadline_of(timeout_us);
	bool continues = false;
	int r;

	clear_results(reply, error);
	r = send_call(c, method, params, NULL, deadline);
	if (r >= 0)
		r = next_reply(c, deadline, reply, error, &continues);
	c->broken |= continues || (r < 0 && r != -EREMOTEIO);
	if (r >= 0 && continues) { /* nobody asked for more */
		if (reply)
			json_decref(*reply);
		clear_results(reply, error);
		return -EPROTO;
	}
	return r;
}

int varlink_call_oneway(struct varlink_client *c, const char *method, json_t *params)
{
	return send_call(c, method, params, "oneway", UINT64_MAX);
}

int varlink_call_more(struct varlink_client *c, const char *method, json_t *params)
{
	return send_call(c, method, params, "more", UINT64_MAX);
}

int varlink_next(struct varlink_client *c, uint64_t timeout_us, json_t **reply, char **error, bool *continues)
{
	bool ignored;

	clear_results(reply, error);
	*(continues ? continues : &ignored) = false;
	return next_reply(c, deadline_of(timeout_us), reply, error, continues ? continues : &ignored);
}
