/* varlink-call.c: from a message to its handler, and replies. See varlink.h and varlink-server.h. */
#include "base/varlink-server.h"

#include <errno.h>
#include <sys/socket.h>

/* Answer. more: further replies follow. params are stolen. Takes the call from its connection unless more. */
static int answer(struct varlink_call *call, const char *error, json_t *params, bool more)
{
	struct conn *c = call->conn;
	json_t *msg;
	int r;

	if (!params)
		params = json_object();
	if (!c || c->gone || call->oneway) {
		json_decref(params);
		r = 0;
	} else {
		msg = json_object();
		r = error ? json_object_set_new(msg, "error", json_string(error)) : 0;
		if (more)
			r |= json_object_set_new(msg, "continues", json_true());
		r |= json_object_set_new(msg, "parameters", params);
		r = r < 0 ? -ENOMEM : conn_send(c, out_msg_new(msg, &call->out_fds));
		json_decref(msg);
	}
	fd_queue_free(&call->out_fds);
	if (r < 0) /* no memory for the answer: an end of the connection is one, too */
		(void)shutdown(c->fd, SHUT_RDWR);
	if (!more && c) {
		call->conn = NULL;
		call->answered = true;
		conn_call_done(c);
		conn_unref(c);
		varlink_call_unref(call); /* the connection's */
	}
	return r;
}

int varlink_reply(struct varlink_call *c, json_t *params)
{
	return answer(c, NULL, params, false);
}

int varlink_reply_continues(struct varlink_call *c, json_t *params)
{
	if (!c->more) {
		json_decref(params);
		return -EPROTO;
	}
	if (c->conn && c->conn->out_bytes > OUTPUT_MAX) {
		json_decref(params);
		c->conn->want_drain = true;
		return -EAGAIN;
	}
	return answer(c, NULL, params, true);
}

int varlink_error(struct varlink_call *c, const char *error, json_t *params)
{
	return answer(c, error, params, false);
}

int varlink_error_errno(struct varlink_call *c, int err, const char *text)
{
	char error[256];
	const char *name;

	err = abs(err);
	name = strerrorname_np(err);
	snprintf(error, sizeof(error), "%s.Error", c->def ? c->def->name : "io.rastos");
	return answer(c, error,
		json_pack("{s:i, s:s, s:s}", "errno", err, "name", name ? name : "EUNKNOWN", "text", text ? text : strerror(err)), false);
}

bool varlink_call_wants_more(const struct varlink_call *c)
{
	return c->more;
}

void varlink_call_peer(const struct varlink_call *c, uid_t *uid, gid_t *gid, pid_t *pid)
{
	if (uid)
		*uid = c->uid;
	if (gid)
		*gid = c->gid;
	if (pid)
		*pid = c->pid;
}

struct varlink_call *varlink_call_ref(struct varlink_call *c)
{
	c->refs++;
	return c;
}

void varlink_call_unref(struct varlink_call *c)
{
	if (!c)
		return;
	if (--c->refs == 1 && c->conn) { /* kept and then forgotten by its handler: don't let the peer wait for ever */
		varlink_error_errno(c, EIO, "the method gave no answer");
		return;
	}
	if (c->refs > 0)
		return;
	fd_queue_free(&c->in_fds);
	fd_queue_free(&c->out_fds);
	free(c);
}

void varlink_call_on_close(struct varlink_call *c, void (*cb)(struct varlink_call *c, void *data), void *data)
{
	c->on_close = cb;
	c->close_data = data;
}

void varlink_call_on_drain(struct varlink_call *c, void (*cb)(struct varlink_call *c, void *data), void *data)
{
	c->on_drain = cb;
	c->drain_data = data;
}

int varlink_call_push_fd(struct varlink_call *c, int fd)
{
	return fd_queue_push(&c->out_fds, fd, 0);
}

int varlink_call_take_fd(struct varlink_call *c)
{
	return fd_queue_take(&c->in_fds);
}

void call_cancel(struct varlink_call *call)
{
	struct conn *c = call->conn;

	call->conn = NULL;
	if (call->on_close)
		call->on_close(call, call->close_data);
	conn_unref(c);
	varlink_call_unref(call);
}

static int service_error(struct varlink_call *call, const char *error, const char *key, const char *value)
{
	char name[64];

	snprintf(name, sizeof(name), "org.varlink.service.%s", error);
	return answer(call, name, key ? json_pack("{s:s}", key, value) : NULL, false);
}

static const struct iface *find_iface(const struct varlink_server *s, const char *name)
{
	for (size_t i = 0; i < s->n_ifaces; i++)
		if (streq(s->ifaces[i].def->name, name))
			return &s->ifaces[i];
	return NULL;
}

static const struct varlink_method_entry *find_method(const struct varlink_interface *def, const char *name)
{
	for (size_t i = 0; i < def->n_methods; i++)
		if (streq(def->methods[i].name, name))
			return &def->methods[i];
	return NULL;
}

/* The handler has returned r: an answer is on its way, or kept for later, or it is given here. */
static void after_handler(struct varlink_call *call, int r)
{
	if (call->answered || !call->conn)
		return;
	if (r == -EPROTO && !call->more)
		service_error(call, "ExpectedMore", NULL, NULL);
	else if (r < 0)
		varlink_error_errno(call, r, NULL);
	else if (call->refs == 2) /* the connection's and run_call()'s: the handler has not kept it */
		call->oneway ? varlink_reply(call, NULL) : varlink_error_errno(call, EIO, "the method gave no answer");
}

/* method is the full name; the JSON is borrowed. Exactly one answer comes of it. */
static void run_call(struct varlink_call *call, const char *method, json_t *params)
{
	const struct varlink_method_entry *entry;
	const struct idl_member *m;
	const struct iface *i;
	char path[IDL_PATH_MAX], name[128];
	const char *dot = strrchr(method, '.');

	snprintf(name, sizeof(name), "%.*s", dot ? (int)MIN((size_t)(dot - method), sizeof(name)) : 0, method);
	i = find_iface(call->conn->server, name);
	if (!i || !dot) {
		service_error(call, "InterfaceNotFound", "interface", dot ? name : method);
		return;
	}
	call->def = i->def;
	m = idl_find(i->idl, IDL_METHOD, dot + 1);
	entry = find_method(i->def, dot + 1);
	if (!m)
		service_error(call, "MethodNotFound", "method", method);
	else if (!entry)
		service_error(call, "MethodNotImplemented", "method", method);
	else if (entry->privileged && !conn_is_privileged(call->conn))
		service_error(call, "PermissionDenied", NULL, NULL);
	else if (idl_check(m->in, params, path) < 0)
		service_error(call, "InvalidParameter", "parameter", *path ? path : "parameters");
	else
		after_handler(call, entry->run(call, params, i->data));
}

/* A member of the message that is true, false or not there. */
static int take_flag(json_t *msg, const char *name, bool *ret)
{
	json_t *v = json_object_get(msg, name);

	if (v && !json_is_boolean(v))
		return -EBADMSG;
	*ret = json_is_true(v);
	return 0;
}

static struct varlink_call *call_new(struct conn *c, json_t *msg, struct fd_queue *fds)
{
	struct varlink_call *call = calloc(1, sizeof(*call));
	bool upgrade;

	if (!call)
		return NULL;
	call->refs = 2; /* the connection's and ours */
	call->uid = c->uid;
	call->gid = c->gid;
	call->pid = c->pid;
	if (take_flag(msg, "oneway", &call->oneway) < 0 || take_flag(msg, "more", &call->more) < 0 || take_flag(msg, "upgrade", &upgrade) < 0 ||
	    upgrade) { /* another protocol on this connection: no interface of ours offers one */
		free(call);
		return NULL;
	}
	call->more = call->more && !call->oneway;
	call->in_fds = *fds;
	*fds = (struct fd_queue){ 0 };
	call->conn = conn_ref(c);
	c->call = call;
	return call;
}

int call_dispatch(struct conn *c, const char *text, size_t len, struct fd_queue *fds)
{
	json_t *msg = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	const char *method = json_string_value(json_object_get(msg, "method"));
	json_t *params = json_object_get(msg, "parameters");
	struct varlink_call *call = method ? call_new(c, msg, fds) : NULL;

	if (!call) {
		json_decref(msg);
		return -EBADMSG;
	}
	params = !params || json_is_null(params) ? json_object() : json_incref(params);
	run_call(call, method, params);
	json_decref(params);
	json_decref(msg);
	varlink_call_unref(call);
	return 0;
}
