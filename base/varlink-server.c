/* varlink-server.c: the listening side; see varlink.h. */
#include "base/varlink-server.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include "base/file.h"
#include "base/log.h"

#define ACCEPTS_PER_ROUND 16

static size_t connections_of(const struct varlink_server *s, uid_t uid)
{
	size_t n = 0;

	for (const struct conn *c = s->conns; c; c = c->next)
		n += c->uid == uid;
	return n;
}

static bool has_room_for(const struct varlink_server *s, uid_t uid)
{
	if (s->n_conns >= CONNECTIONS_MAX)
		return false;
	if (uid == 0)
		return true;
	return s->n_conns < CONNECTIONS_MAX - CONNECTIONS_FOR_ROOT && connections_of(s, uid) < CONNECTIONS_PER_UID;
}

int varlink_server_add_connection(struct varlink_server *s, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int r = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		r = -errno;
	else if (!has_room_for(s, cred.uid))
		r = -EMFILE;
	if (r >= 0)
		r = fd_set_nonblock(fd, true);
	if (r >= 0)
		r = fd_set_cloexec(fd, true);
	if (r < 0) {
		close(fd);
		return r;
	}
	return conn_new(s, fd);
}

size_t varlink_server_connections(const struct varlink_server *s)
{
	return s->n_conns;
}

/* No descriptor is left: the connection would stay in the backlog and wake us up for ever. Take it with a spare one and close it. */
static void refuse_one(struct varlink_server *s)
{
	closep(&s->spare_fd);
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	closep(&fd);
	s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int on_accept(struct source *source, int listen_fd, uint32_t events, void *data)
{
	struct varlink_server *s = data;

	for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			(void)varlink_server_add_connection(s, fd);
		else if (errno == EMFILE || errno == ENFILE)
			refuse_one(s);
		else if (errno != ECONNABORTED && errno != EINTR)
			break;
	}
	return 0;
}

static int check_methods(const struct iface *i)
{
	for (size_t m = 0; m < i->def->n_methods; m++)
		if (!idl_find(i->idl, IDL_METHOD, i->def->methods[m].name)) {
			log_err("varlink: %s: method %s is not in the description", i->def->name, i->def->methods[m].name);
			return -EINVAL;
		}
	return 0;
}

static int open_interface(struct iface *i, const struct varlink_interface *def, void *data)
{
	_cleanup_err_ struct err e = { 0 };
	int r = idl_parse(def->description, &i->idl, &e);

	i->def = def;
	i->data = data;
	if (r >= 0 && !streq(idl_name(i->idl), def->name))
		r = err_set(&e, -EINVAL, "the description is of %s", idl_name(i->idl));
	if (r < 0) {
		log_err("varlink: %s: %s", def->name, err_text(&e));
		return -EINVAL;
	}
	return check_methods(i);
}

static int open_interfaces(struct varlink_server *s, const struct varlink_interface *ifs, size_t n, void *data)
{
	int r = 0;

	s->ifaces = calloc(n + 1, sizeof(*s->ifaces));
	if (!s->ifaces)
		return -ENOMEM;
	for (size_t i = 0; i <= n && r >= 0; i++) {
		s->n_ifaces++;
		r = i < n ? open_interface(&s->ifaces[i], &ifs[i], data) : open_interface(&s->ifaces[i], &varlink_service_interface, s);
	}
	return r;
}

static int start(struct varlink_server *s, const char *product, const char *version)
{
	int r;

	s->product = strdup(product);
	s->version = strdup(version);
	if (!s->product || !s->version)
		return -ENOMEM;
	if (s->listen_fd < 0)
		return 0;
	s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	r = fd_set_nonblock(s->listen_fd, true);
	if (r >= 0)
		r = fd_set_cloexec(s->listen_fd, true);
	return r < 0 ? r : loop_add_fd(s->loop, s->listen_fd, EPOLLIN, on_accept, s, &s->source);
}

int varlink_server_new(struct loop *l, int listen_fd, const struct varlink_interface *ifs, size_t n_ifs, const char *product,
	const char *version, void *data, struct varlink_server **ret)
{
	struct varlink_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		closep(&listen_fd);
		return -ENOMEM;
	}
	*s = (struct varlink_server){ .loop = l, .listen_fd = listen_fd, .spare_fd = -1 };
	r = open_interfaces(s, ifs, n_ifs, data);
	if (r >= 0)
		r = start(s, product, version);
	if (r < 0) {
		varlink_server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void varlink_server_free(struct varlink_server *s)
{
	if (!s)
		return;
	while (s->conns)
		conn_close(s->conns);
	loop_remove_fd(s->source);
	closep(&s->listen_fd);
	closep(&s->spare_fd);
	for (size_t i = 0; i < s->n_ifaces; i++)
		idl_free(s->ifaces[i].idl);
	free(s->ifaces);
	free(s->product);
	free(s->version);
	free(s);
}
