/* logger.c: what rastd tells the logger. Nothing here waits: when the socket is full the announcements go on when it is writable again; the
 * services write into their pipes meanwhile. */
#include "supervisor/process/logger.h"

#include <string.h>
#include "services/logger/protocol.h"

#define PUMP_MAX 64u
#define RETRY 20000u /* us: too many descriptors in flight: the logger has to take some first */

struct sync {
	uint64_t token;
	void (*cb)(struct manager *m, int error, void *data);
	void *data;
	struct sync *next;
};

static void pump(struct manager *m);

/* q: what is to be said besides the name; fd goes with it, -1: none. */
static int send_request(struct manager *m, struct logd_request q, const char *name, int fd)
{
	q.version = LOGD_VERSION;
	if (m->lg_fd < 0)
		return -ENOTCONN;
	snprintf(q.name, sizeof(q.name), "%s", name);
	ssize_t n = fd_send(m->lg_fd, &q, sizeof(q), &fd, fd >= 0 ? 1 : 0, MSG_DONTWAIT);
	return n < 0 ? (int)n : 0;
}

/* What the service's file says about its log, in the words of the protocol. */
static struct logd_request add_request(const struct gsettings *c)
{
	uint32_t files = c->log_files == 1 ? UINT32_MAX : c->log_files ? c->log_files - 1u : 0;
	return (struct logd_request){.type = LOGD_ADD, .max_size = c->log_size, .max_files = files};
}

static int read_end(int write_fd)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", write_fd);
	return sys_openat(AT_FDCWD, path, O_RDONLY, 0);
}

/* --- announcements --- */

static void lag(struct manager *m, int why)
{
	m->lg_lagging = true;
	if (why == -ETOOMANYREFS)
		timer_arm_in(m->loop, &m->lg_timer, RETRY);
	else if (m->lg_source)
		loop_modify_fd(m->lg_source, EPOLLIN | EPOLLOUT);
}

void logger_add(struct manager *m, struct svc *s, int read_fd)
{
	if (m->lg_lagging)
		return; /* its turn comes: it is not marked as added */
	int r = send_request(m, add_request(cfg(&m->e, s)), nm(m, s), read_fd);
	if (r == 0)
		s->log_added = 1;
	else if (r == -EAGAIN || r == -ETOOMANYREFS)
		lag(m, r);
	else
		log_warning("tell the logger of service '%s': %s", nm(m, s), strerror(-r));
}

static void add_own(struct manager *m)
{
	_cleanup_close_ int fd = m->own_log_fd >= 0 && !m->own_log_added ? read_end(m->own_log_fd) : -1;
	if (fd >= 0 && send_request(m, (struct logd_request){.type = LOGD_ADD}, "rastd", fd) == 0)
		m->own_log_added = true;
}

static int on_pump(void *data)
{
	struct manager *m = data;
	m->lg_pump_deferred = false;
	pump(m);
	return 0;
}

static void pump_soon(struct manager *m)
{
	if (!m->lg_pump_deferred)
		m->lg_pump_deferred = loop_defer(m->loop, on_pump, m) == 0;
}

/* Some at a time: clients are waiting, too. */
static void pump(struct manager *m)
{
	unsigned n = 0;
	m->lg_lagging = false;
	add_own(m);
	for (uint32_t i = 0; i < m->e.n && !m->lg_lagging; i++) {
		struct svc *s = &m->e.s[i];
		if (s->log_fd < 0 || s->log_added)
			continue;
		if (n++ == PUMP_MAX) {
			pump_soon(m);
			break;
		}
		_cleanup_close_ int fd = read_end(s->log_fd);
		if (fd >= 0)
			logger_add(m, s, fd);
	}
	if (!m->lg_lagging && m->lg_source)
		loop_modify_fd(m->lg_source, EPOLLIN);
	idle_check(m);
}

static int on_retry(struct timer *t, void *data)
{
	pump(data);
	return 0;
}

void logger_flush(struct manager *m, const char *name)
{
	if (m->lg_alive)
		send_request(m, (struct logd_request){.type = LOGD_FLUSH}, name, -1);
}

void logger_idle(struct manager *m)
{
	if (m->lg_alive)
		send_request(m, (struct logd_request){.type = LOGD_IDLE}, "", -1);
}

void logger_drop(struct manager *m, const char *name)
{
	send_request(m, (struct logd_request){.type = LOGD_DROP}, name, -1);
}

/* --- sync --- */

int output_sync(struct manager *m, bool disk, void (*cb)(struct manager *m, int error, void *data), void *data)
{
	if (!m->lg_alive)
		return -ENOTCONN;
	struct sync *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct sync){.token = ++m->sync_token, .cb = cb, .data = data, .next = m->syncs};
	struct logd_request q = {.type = LOGD_SYNC, .token = s->token, .flags = LOGD_SYNC_PARTIAL | (disk ? LOGD_SYNC_DISK : 0)};
	int r = send_request(m, q, "", -1);
	if (r < 0) {
		free(s);
		return r;
	}
	m->syncs = s;
	return 0;
}

static void synced(struct manager *m, uint64_t token, int error)
{
	for (struct sync **p = &m->syncs; *p;) {
		struct sync *s = *p;
		if (s->token > token) {
			p = &s->next;
			continue;
		}
		*p = s->next;
		s->cb(m, error, s->data);
		free(s);
	}
}

/* --- what it says --- */

static void use_own_log(struct manager *m)
{
	if (m->own_log_fd >= 0 && !m->opt.debug)
		log_init("rastd", LOG_TO_LOGGER, m->own_log_fd);
}

/* Until the next one is ready our own lines go where they went at first. */
void output_logger_gone(struct manager *m)
{
	if (!m->lg_alive)
		return;
	m->lg_alive = false;
	log_init("rastd", m->opt.standalone ? LOG_TO_STDERR : LOG_TO_KMSG, -1);
	synced(m, UINT64_MAX, -EPIPE);
}

static void ready(struct manager *m)
{
	m->lg_alive = true;
	m->own_log_added = false;
	for (uint32_t i = 0; i < m->e.n; i++)
		m->e.s[i].log_added = 0;
	synced(m, UINT64_MAX, -EPIPE); /* the former logger took the questions with it */
	pump(m);
	use_own_log(m);
}

static void trouble(const struct logd_event *ev)
{
	if (ev->error)
		log_err("logger: %s.log can't be written: %s: lines are kept in memory (/run/rastos/log)%s", ev->name, strerror(-ev->error),
			ev->lost ? ", some are lost" : "");
	else
		log_notice("logger: %s.log can be written again", ev->name);
}

static int on_logger(struct source *src, int fd, uint32_t events, void *data)
{
	struct manager *m = data;
	struct logd_event ev;
	if (events & EPOLLOUT)
		pump(m);
	for (int k = 0; k < 64; k++) {
		size_t n_fds = 0;
		ssize_t n = fd_recv(fd, &ev, sizeof(ev), NULL, &n_fds, MSG_DONTWAIT);
		if (n <= 0)
			break;
		ev.name[LOGD_NAME_MAX] = '\0';
		if (n != sizeof(ev) || ev.version != LOGD_VERSION)
			log_warning("logger: packet of %zd bytes, version %u: not understood", n, ev.version);
		else if (ev.type == LOGD_READY)
			ready(m);
		else if (ev.type == LOGD_SYNCED)
			synced(m, ev.token, ev.error);
		else if (ev.type == LOGD_TROUBLE)
			trouble(&ev);
		else if (ev.type == LOGD_REFUSED)
			log_warning("logger: request %llu for %s refused: %s", (unsigned long long)ev.token, ev.name, strerror(-ev.error));
	}
	return 0;
}

/* --- the sockets --- */

static int store2(struct manager *m, const char *name, int a, int b)
{
	struct pid1_entry e = {.name = name, .fd = {a, b}, .n = 2};
	return pid1_store(m, &e, 1);
}

int logger_adopt(struct manager *m, const char *name, const int *fds, size_t n)
{
	if (n == 2 && streq(name, "logger")) {
		m->lg_fd = fds[0];
		m->lg_peer = fds[1];
		m->lg_alive = true; /* it was; when it is not, a new one says READY */
		return 1;
	}
	if (n == 2 && streq(name, "logstage")) {
		m->stage[0] = fds[0];
		m->stage[1] = fds[1];
		return 1;
	}
	return 0;
}

static int make_sockets(struct manager *m)
{
	int sv[2], r = 0;
	if (m->lg_fd < 0) {
		r = sys_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv);
		if (r < 0)
			return r;
		m->lg_fd = sv[0];
		m->lg_peer = sv[1];
		r = store2(m, "logger", sv[0], sv[1]);
	}
	if (r == 0 && m->stage[0] < 0) {
		r = sys_pipe2(m->stage, O_CLOEXEC);
		if (r == 0)
			r = store2(m, "logstage", m->stage[0], m->stage[1]);
	}
	return r;
}

static int make_own_pipe(struct manager *m)
{
	int fds[2];
	if (m->own_log_fd >= 0)
		return 0;
	int r = sys_pipe2(fds, O_CLOEXEC | O_NONBLOCK);
	if (r < 0)
		return r;
	m->own_log_fd = fds[1];
	r = store2(m, "log/rastd", fds[0], fds[1]);
	close(fds[0]);
	return r;
}

void logger_init(struct manager *m)
{
	timer_init(&m->lg_timer, on_retry, m);
	if (m->logger == NONE)
		return;
	int r = make_sockets(m);
	if (r == 0 && !m->lg_source)
		r = loop_add_fd(m->loop, m->lg_fd, EPOLLIN, on_logger, m, &m->lg_source);
	if (r == 0)
		r = make_own_pipe(m);
	if (r < 0)
		log_err("prepare the logger: %s", strerror(-r));
	if (m->lg_alive) { /* a new rastd: the logger may not have all pipes; announcing one twice does no harm */
		pump_soon(m);
		use_own_log(m);
	}
}
