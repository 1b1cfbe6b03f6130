/* notify.c: readiness and news from services: sd_notify(3) on one datagram socket for all (the sender's pid tells whose it is), and
 * notify=fd:N, a pipe per run. A service whose helpers may speak, too (notify-access=all), has a socket of its own: a helper is
 * often gone before its message is read, and then nobody can tell any more whose it was.
 *
 * The socket is in PID 1's fd store: what is sent while rastd is away waits there. So is the pipe's read end until the service is ready:
 * else a service that becomes ready just then would get SIGPIPE. */
#include "supervisor/manager.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/mman.h>
#include <sys/un.h>
#include "supervisor/process/spawn.h"

#define NOTIFY_MAX 8192
#define STATUS_MAX 512

struct news {
	uint32_t i;
	pid_t pid;
	bool is_main;
	int *fds;
	size_t n_fds;
	const char *fdname;
};

/* --- what a message may say --- */

static void on_ready(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	if (!streq(v, "1"))
		return;
	if (svc_has(s, F_RELOADING) && s->r.state == ST_UP) {
		s->r.flags &= (uint16_t)~F_RELOADING;
		m->e.ops->commit(&m->e, s);
		m->jobs_dirty = true;
		manager_schedule(m);
	} else if (s->def->notify == NOTIFY_SOCKET) {
		manager_deliver(m, s, EV_READY);
	}
}

static void on_reloading(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	if (s->r.state != ST_UP)
		return;
	s->r.flags |= F_RELOADING;
	m->e.ops->commit(&m->e, s);
}

static void on_stopping(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	log_debug("service '%s' says that it is stopping", nm(m, s));
}

static void on_status(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	struct svc_ext *x = manager_ext(m, s);
	if (!x)
		return;
	free(x->status_text);
	x->status_text = strndup(v, STATUS_MAX);
	for (char *p = x->status_text; p && *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p == 0x7f)
			*p = '?';
}

static void on_extend(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	uint64_t us, now = now_us();
	if (parse_u64(v, &us) < 0 || us > UINT64_MAX / 2 || !s->r.deadline || s->r.state == ST_UP || s->r.state == ST_BACKOFF ||
		s->r.state == ST_KILLING)
		return;
	if (now + us > s->r.deadline)
		engine_extend(&m->e, s, now + us);
	manager_schedule(m);
}

static void on_watchdog(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	if (!svc_has(s, F_WD_ON) || s->r.state != ST_UP)
		return;
	if (streq(v, "trigger"))
		manager_deliver(m, s, EV_TIMEOUT);
	else
		engine_extend(&m->e, s, now_us() + cfg(&m->e, s)->watchdog);
}

/* Another process of the service is its main one from now on. It has to be the service's: 0, 1 and strangers are not. */
static void on_mainpid(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	uint64_t pid;
	if (parse_u64(v, &pid) < 0 || pid < 2 || pid > INT32_MAX || (pid_t)pid == getpid() || (pid_t)pid == s->r.pid)
		return;
	if (m->cg_fd < 0 || cgroups_find(m, (pid_t)pid) != n->i) {
		log_warning("service '%s': MAINPID=%s is not a process of it: ignored", nm(m, s), v);
		return;
	}
	pid_t parent = 0;
	if (s->r.pid)
		pidmap_del(&m->pids, s->r.pid);
	s->r.pid = (int32_t)pid;
	pidmap_put(&m->pids, s->r.pid, n->i, false);
	m->e.ops->commit(&m->e, s);
	s->adopted = proc_parent(s->r.pid, &parent) < 0 || parent != getpid();
	if (s->adopted)
		exits_watch(m, s);
}

/* --- descriptors that outlive a run --- */

/* Entry "fd/SERVICE/N": the descriptor, and a memfd with its FDNAME beside it, since the name of an entry is too short for both. */
static void store_fd(struct manager *m, struct svc *s, unsigned k)
{
	char name[RINIT_NAME_MAX + 1];
	_cleanup_close_ int text = memfd_create("fdname", MFD_CLOEXEC);
	snprintf(name, sizeof(name), "fd/%s/%u", nm(m, s), k);
	struct pid1_entry e = {.name = name, .fd = {s->ext->fds[k], text}, .n = text >= 0 ? 2 : 1};
	if (text >= 0 && write_all(text, s->ext->fd_names[k], strlen(s->ext->fd_names[k])) < 0)
		e.n = 1;
	int r = pid1_store(m, &e, 1);
	if (r < 0)
		log_warning("service '%s': keep its descriptor %s: %s", nm(m, s), s->ext->fd_names[k], strerror(-r));
}

static int add_fd(struct manager *m, struct svc *s, int fd, const char *name)
{
	struct svc_ext *x = manager_ext(m, s);
	if (!x || x->n_fds >= PLAN_EXTRA_MAX)
		return -ENOSPC;
	int *fds = realloc(x->fds, (x->n_fds + 1) * sizeof(*fds));
	if (fds)
		x->fds = fds;
	char **names = realloc(x->fd_names, (x->n_fds + 1) * sizeof(*names));
	if (names)
		x->fd_names = names;
	char *copy = strdup(name);
	if (!fds || !names || !copy) {
		free(copy);
		return -ENOMEM;
	}
	fds[x->n_fds] = fd;
	names[x->n_fds++] = copy;
	return 0;
}

static void on_fdstore(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	const char *name = n->fdname && *n->fdname && strlen(n->fdname) < 256 && !strchr(n->fdname, ':') ? n->fdname : "stored";
	for (size_t k = 0; k < n->n_fds; k++) {
		int r = add_fd(m, s, n->fds[k], name);
		if (r < 0) {
			log_warning("service '%s': can't keep descriptor %s: %s", nm(m, s), name, strerror(-r));
			continue;
		}
		n->fds[k] = -1;
		store_fd(m, s, s->ext->n_fds - 1);
	}
}

static void drop_entry(struct manager *m, struct svc *s, unsigned k)
{
	char name[RINIT_NAME_MAX + 1];
	snprintf(name, sizeof(name), "fd/%s/%u", nm(m, s), k);
	pid1_drop(m, name);
}

void fdstore_drop(struct manager *m, struct svc *s)
{
	struct svc_ext *x = s->ext;
	if (!x)
		return;
	for (unsigned k = 0; k < x->n_fds; k++) {
		drop_entry(m, s, k);
		close(x->fds[k]);
		free(x->fd_names[k]);
	}
	free(x->fds);
	free(x->fd_names);
	x->fds = NULL;
	x->fd_names = NULL;
	x->n_fds = 0;
}

/* The entries are numbered: the last one takes the place of the one that goes. */
static void on_fdremove(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	struct svc_ext *x = s->ext;
	for (unsigned k = 0; x && n->fdname && k < x->n_fds;) {
		if (!streq(x->fd_names[k], n->fdname)) {
			k++;
			continue;
		}
		close(x->fds[k]);
		free(x->fd_names[k]);
		x->n_fds--;
		drop_entry(m, s, x->n_fds);
		x->fds[k] = x->fds[x->n_fds];
		x->fd_names[k] = x->fd_names[x->n_fds];
		if (k < x->n_fds)
			store_fd(m, s, k);
	}
}

int fdstore_adopt(struct manager *m, const char *name, const int *fds, size_t n)
{
	char service[RINIT_NAME_MAX + 1], text[256] = "stored";
	const char *slash = strrchr(name, '/');
	if (!str_starts(name, "fd/") || slash <= name + 3 || n < 1)
		return 0;
	snprintf(service, sizeof(service), "%.*s", (int)(slash - name - 3), name + 3);
	uint32_t i = graph_find(m->g, service);
	if (i == NONE)
		return 0;
	if (n > 1) {
		ssize_t len = sys_pread(fds[1], text, sizeof(text) - 1, 0);
		text[MAX(len, 0)] = '\0';
		close(fds[1]);
	}
	if (add_fd(m, &m->e.s[i], fds[0], text) < 0)
		close(fds[0]);
	return 1;
}

/* --- reading messages --- */

static const struct {
	const char *key;
	void (*run)(struct manager *m, struct svc *s, const char *v, struct news *n);
} keys[] = {
	{"READY", on_ready},
	{"RELOADING", on_reloading},
	{"STOPPING", on_stopping},
	{"STATUS", on_status},
	{"EXTEND_TIMEOUT_USEC", on_extend},
	{"WATCHDOG", on_watchdog},
	{"MAINPID", on_mainpid},
	{"FDSTORE", on_fdstore},
	{"FDSTOREREMOVE", on_fdremove},
};

static bool may_tell(struct manager *m, const struct svc *s, const struct news *n)
{
	switch (cfg(&m->e, s)->notify_access) {
	case ACCESS_NONE:
		return false;
	case ACCESS_MAIN:
		return n->is_main || n->pid == s->r.aux_pid;
	default:
		return true;
	}
}

static void run_line(struct manager *m, struct svc *s, char *line, struct news *n)
{
	char *v = strchr(line, '=');
	if (!v)
		return;
	*v++ = '\0';
	for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
		if (streq(line, keys[k].key))
			keys[k].run(m, s, v, n);
}

static void take_message(struct manager *m, char *text, struct news *n)
{
	struct svc *s = &m->e.s[n->i];
	if (!may_tell(m, s, n)) {
		log_debug("service '%s': message of pid %d not accepted (notify-access)", nm(m, s), n->pid);
		return;
	}
	char *at = strstr(text, "FDNAME=");
	_cleanup_free_ char *fdname = at && (at == text || at[-1] == '\n') ? strndup(at + 7, strcspn(at + 7, "\n")) : NULL;
	n->fdname = fdname;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
		run_line(m, s, line, n);
}

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
		take_message(m, buf, n);
	else
		log_debug("message of pid %d, which is no process of the service: ignored", n->pid);
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
