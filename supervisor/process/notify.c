/* notify.c: readiness and news from services: sd_notify(3) on one datagram socket for all (the sender's pid tells whose it is), and
 * notify=fd:N, a pipe per run. A service whose helpers may speak, too (notify-access=all), has a socket of its own: a helper is
 * often gone before its message is read, and then nobody can tell any more whose it was.
 *
 * The socket is in PID 1's fd store: what is sent while rastd is away waits there. So is the pipe's read end until the service is ready:
 * else a service that becomes ready just then would get SIGPIPE. */
#include "supervisor/process/notify.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "supervisor/process/spawn.h"

#define NOTIFY_MAX 8192

/* --- reading messages --- */

/* Whose process sent it? Gone processes can't be placed: libraries avoid that by BARRIER=1, which we answer by closing what came with it.
 */
static bool identify(struct manager *m, struct news *n)
{
	bool aux = false;
	n->is_main = pidmap_get(&m->pids, n->pid, &n->i, &aux) && !aux;
	if (!n->is_main && !aux)
		n->i = cgroups_find(m, n->pid);
	return n->i != NONE;
}

static ssize_t receive(int fd, char *buf, size_t size, struct news *n, int *fds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(PLAN_EXTRA_MAX * sizeof(int))];
	} control;
	struct iovec iov = {buf, size - 1};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t len = sys_recvmsg(fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	n->fds = fds;
	for (struct cmsghdr *c = len < 0 ? NULL : CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS) {
			struct ucred u;
			memcpy(&u, CMSG_DATA(c), sizeof(u));
			n->pid = u.pid;
		} else if (c->cmsg_type == SCM_RIGHTS) {
			n->n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(c), n->n_fds * sizeof(int));
		}
	}
	if (len >= 0)
		buf[len] = '\0';
	if (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		log_warning("a message of pid %d on the notify socket is too long, or has too many descriptors: only what fits counts", n->pid);
	return len;
}

static void take_one(struct manager *m, char *buf, struct news *n, struct svc_ext *own)
{
	bool known = identify(m, n);
	if (own && (!known || n->i == own->i)) { /* gone already: only its user can write here */
		n->i = own->i;
		known = true;
	}
	if (known && (!own || n->i == own->i))
		news_take(m, buf, n);
	else
		log_debug("message of pid %d, which is no process of a service, or not of this one: ignored", n->pid);
}

static void take_all(struct manager *m, int fd, struct svc_ext *own)
{
	static char buf[NOTIFY_MAX];
	for (int k = 0; k < 32; k++) {
		int fds[PLAN_EXTRA_MAX];
		struct news n = {.i = NONE};
		if (receive(fd, buf, sizeof(buf), &n, fds) < 0)
			break;
		take_one(m, buf, &n, own);
		for (size_t j = 0; j < n.n_fds; j++)
			closep(&fds[j]);
	}
}

static int on_notify(struct source *src, int fd, uint32_t events, void *data)
{
	take_all(data, fd, NULL);
	return 0;
}

static int on_own_notify(struct source *src, int fd, uint32_t events, void *data)
{
	struct svc_ext *x = data;
	take_all(x->manager, fd, x);
	return 0;
}

static int make_notify_socket(const char *path, mode_t mode)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int one = 1;
	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(a.sun_path, path, strlen(path) + 1);
	unlink(path);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		chmod(path, mode) < 0)
		return -errno;
	return take_fd(&fd);
}

void notify_path(struct manager *m, const struct svc *s, char *buf, size_t size)
{
	if (cfg(&m->e, s)->notify_access == ACCESS_ALL)
		snprintf(buf, size, "%s/notify.d/%s", m->opt.run_dir, nm(m, s));
	else
		snprintf(buf, size, "%s/notify", m->opt.run_dir);
}

static int watch_own(struct manager *m, struct svc_ext *x, int fd)
{
	x->own_notify_fd = fd;
	return loop_add_fd(m->loop, fd, EPOLLIN, on_own_notify, x, &x->own_notify_source);
}

int notify_own(struct manager *m, struct svc *s, uid_t uid)
{
	char path[4096], name[RINIT_NAME_MAX + 1];
	struct svc_ext *x = manager_ext(m, s);
	if (!x)
		return -ENOMEM;
	notify_path(m, s, path, sizeof(path));
	if (x->own_notify_fd < 0) {
		sys_mkdirat(m->run_fd, "notify.d", 0755);
		int fd = make_notify_socket(path, 0600), r = fd < 0 ? fd : watch_own(m, x, fd);
		if (r < 0)
			return r;
		snprintf(name, sizeof(name), "notify/%s", nm(m, s));
		struct pid1_entry e = {.name = name, .fd = {fd}, .n = 1};
		if ((r = pid1_store(m, &e, 1)) < 0)
			log_warning("service '%s': keep its notify socket: %s", nm(m, s), strerror(-r));
	}
	return chown(path, uid, (gid_t)-1) < 0 ? -errno : 0;
}

void notify_forget_own(struct manager *m, struct svc *s)
{
	char path[4096], name[RINIT_NAME_MAX + 1];
	struct svc_ext *x = s->ext;
	if (!x || x->own_notify_fd < 0)
		return;
	loop_remove_fd(x->own_notify_source);
	closep(&x->own_notify_fd);
	x->own_notify_fd = -1;
	snprintf(name, sizeof(name), "notify/%s", nm(m, s));
	pid1_drop(m, name);
	snprintf(path, sizeof(path), "%s/notify.d/%s", m->opt.run_dir, nm(m, s));
	unlink(path);
}

int notify_init(struct manager *m)
{
	char path[4096];
	if (m->notify_fd < 0) {
		snprintf(path, sizeof(path), "%s/notify", m->opt.run_dir);
		m->notify_fd = make_notify_socket(path, 0666);
		if (m->notify_fd < 0)
			return m->notify_fd;
		struct pid1_entry e = {.name = "notify", .fd = {m->notify_fd}, .n = 1};
		pid1_store(m, &e, 1);
	}
	return loop_add_fd(m->loop, m->notify_fd, EPOLLIN, on_notify, m, &m->notify_source);
}

/* --- notify=fd:N --- */

static void ready_entry(struct manager *m, const struct svc *s, char name[RINIT_NAME_MAX + 1])
{
	snprintf(name, RINIT_NAME_MAX + 1, "ready/%s", nm(m, s));
}

void notify_forget(struct manager *m, struct svc *s)
{
	struct svc_ext *x = s->ext;
	char name[RINIT_NAME_MAX + 1];
	if (!x || x->notify_fd < 0)
		return;
	loop_remove_fd(x->notify_source);
	x->notify_source = NULL;
	close(x->notify_fd);
	x->notify_fd = -1;
	ready_entry(m, s, name);
	pid1_drop(m, name);
}

static int on_notify_pipe(struct source *src, int fd, uint32_t events, void *data)
{
	struct svc_ext *x = data;
	struct svc *s = ext_svc(x);
	char buf[256];
	ssize_t n = sys_read(fd, buf, sizeof(buf));
	if (n > 0 && !memchr(buf, '\n', (size_t)n))
		return 0;
	notify_forget(x->manager, s);
	if (n > 0)
		manager_deliver(x->manager, s, EV_READY);
	return 0;
}

int notify_fd_watch(struct manager *m, struct svc *s, int fd)
{
	struct svc_ext *x = manager_ext(m, s);
	char name[RINIT_NAME_MAX + 1];
	if (!x) {
		close(fd);
		return -ENOMEM;
	}
	notify_forget(m, s);
	x->notify_fd = fd;
	fd_set_nonblock(fd, true);
	ready_entry(m, s, name);
	struct pid1_entry e = {.name = name, .fd = {fd}, .n = 1};
	int r = pid1_store(m, &e, 1);
	if (r < 0)
		log_warning("service '%s': keep its readiness pipe: %s", nm(m, s), strerror(-r));
	return loop_add_fd(m->loop, fd, EPOLLIN, on_notify_pipe, x, &x->notify_source);
}

int notify_adopt(struct manager *m, const char *name, const int *fds, size_t n)
{
	if (str_starts(name, "notify/") && n == 1) {
		uint32_t k = graph_find(m->g, name + 7);
		struct svc_ext *x = k == NONE ? NULL : manager_ext(m, &m->e.s[k]);
		return x && watch_own(m, x, fds[0]) == 0;
	}
	uint32_t i = str_starts(name, "ready/") && n == 1 ? graph_find(m->g, name + 6) : NONE;
	if (i == NONE || m->e.s[i].r.state != ST_STARTING)
		return 0;
	return notify_fd_watch(m, &m->e.s[i], fds[0]) < 0 ? 0 : 1;
}
