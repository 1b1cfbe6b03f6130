/* pid1.c: the supervisor's end of init/protocol.h. */
#include "supervisor/manager.h"

#include <poll.h>
#include <string.h>

#define SYNC_TIMEOUT_MS 10000 /* PID 1 answers HELLO at once, or something is badly wrong */
#define REFS_TRIES 200        /* of 1 ms each: too many descriptors in flight (ETOOMANYREFS) */

static ssize_t send_fds(struct manager *m, const void *data, size_t n, const int *fds, size_t n_fds)
{
	for (int k = 0;; k++) {
		ssize_t r = fd_send(m->p1_fd, data, n, fds, n_fds, 0);
		if (r != -ETOOMANYREFS || k == REFS_TRIES)
			return r;
		poll(NULL, 0, 1);
	}
}

static int send_msg(struct manager *m, const struct rinit_msg *h, const void *payload, const int *fds, size_t n_fds)
{
	_Alignas(8) char buf[sizeof(*h) + RINIT_PAYLOAD_MAX];
	if (m->p1_fd < 0)
		return 0;
	if (h->len > RINIT_PAYLOAD_MAX)
		return -EMSGSIZE;
	memcpy(buf, h, sizeof(*h));
	if (h->len)
		memcpy(buf + sizeof(*h), payload, h->len);
	ssize_t r = send_fds(m, buf, sizeof(*h) + h->len, fds, n_fds);
	return r < 0 ? (int)r : 0;
}

int pid1_send(struct manager *m, unsigned type, uint64_t arg, uint64_t arg2, const char *text)
{
	struct rinit_msg h = {
		.version = RINIT_VERSION, .type = (uint16_t)type, .arg = arg, .arg2 = arg2, .len = text ? (uint32_t)strlen(text) : 0};
	return send_msg(m, &h, text, NULL, 0);
}

void pid1_ack(struct manager *m)
{
	if (!m->p1_ack_due)
		return;
	m->p1_ack_due = false;
	struct rinit_msg h = {.version = RINIT_VERSION, .type = RINIT_ACK, .seq = m->p1_seq};
	send_msg(m, &h, NULL, NULL, 0);
}

int pid1_store(struct manager *m, const struct pid1_entry *v, size_t n)
{
	struct rinit_fd_entry e[RINIT_BATCH_MAX];
	int fds[RINIT_BATCH_MAX * RINIT_FDS_PER_ENTRY], r = 0;
	while (n && r == 0 && m->p1_fd >= 0) {
		size_t batch = MIN(n, (size_t)RINIT_BATCH_MAX), n_fds = 0;
		for (size_t k = 0; k < batch; k++) {
			e[k] = (struct rinit_fd_entry){.n_fds = v[k].n};
			snprintf(e[k].name, sizeof(e[k].name), "%s", v[k].name);
			for (unsigned j = 0; j < v[k].n; j++)
				fds[n_fds++] = v[k].fd[j];
		}
		struct rinit_msg h = {.version = RINIT_VERSION, .type = RINIT_FD_STORE, .len = (uint32_t)(batch * sizeof(*e))};
		r = send_msg(m, &h, e, fds, n_fds);
		v += batch;
		n -= batch;
	}
	return r;
}

void pid1_drop(struct manager *m, const char *name)
{
	struct rinit_msg h = {.version = RINIT_VERSION, .type = RINIT_FD_DROP, .len = (uint32_t)strlen(name) + 1};
	send_msg(m, &h, name, NULL, 0);
}

/* --- what it says --- */

static int keep_entry(struct manager *m, const char *name, const int *fds, size_t n)
{
	struct found *f = calloc(1, sizeof(*f));
	if (!f) {
		for (size_t k = 0; k < n; k++)
			close(fds[k]);
		return -ENOMEM;
	}
	snprintf(f->name, sizeof(f->name), "%s", name);
	for (size_t k = 0; k < n; k++)
		f->fd[k] = fds[k];
	f->n = n;
	f->next = m->found;
	m->found = f;
	return 0;
}

static void on_entries(struct manager *m, const struct rinit_msg *h, const void *payload, const int *fds, size_t n_fds)
{
	const struct rinit_fd_entry *e = payload;
	size_t at = 0;
	for (size_t k = 0; k < h->len / sizeof(*e) && e[k].n_fds <= RINIT_FDS_PER_ENTRY && at + e[k].n_fds <= n_fds; k++) {
		char name[RINIT_NAME_MAX + 1];
		snprintf(name, sizeof(name), "%.*s", RINIT_NAME_MAX, e[k].name);
		keep_entry(m, name, fds + at, e[k].n_fds);
		at += e[k].n_fds;
	}
	for (; at < n_fds; at++)
		close(fds[at]);
}

static void keep_exit(struct manager *m, const struct rinit_exit *x)
{
	struct rinit_exit *v = realloc(m->early, (m->n_early + 1) * sizeof(*v));
	if (!v)
		return;
	m->early = v;
	v[m->n_early++] = *x;
}

/* A report from before the process in question was started is of another process that had the same pid. */
static void take_exit(struct manager *m, const struct rinit_exit *x)
{
	uint32_t i;
	bool aux;
	if (!pidmap_get(&m->pids, x->pid, &i, &aux))
		return;
	if (!aux && x->time_us < m->e.s[i].r.started)
		return;
	exits_report(m, x->pid, x->code, x->status);
}

static void on_exits(struct manager *m, const struct rinit_msg *h, const void *payload)
{
	const struct rinit_exit *x = payload;
	for (size_t k = 0; k < h->len / sizeof(*x); k++) {
		if (m->ready)
			take_exit(m, &x[k]);
		else
			keep_exit(m, &x[k]);
		m->p1_seq = MAX(m->p1_seq, x[k].seq);
		m->p1_ack_due = true;
	}
	if (m->ready) /* their consequences are in the state file */
		pid1_ack(m);
}

void pid1_take_early(struct manager *m)
{
	m->ready = true;
	for (uint32_t k = 0; k < m->n_early; k++)
		take_exit(m, &m->early[k]);
	free(m->early);
	m->early = NULL;
	m->n_early = 0;
	pid1_ack(m);
}

static void on_signal(struct manager *m, int sig)
{
	if (sig == SIGHUP)
		apply_from_signal(m);
	else
		log_debug("PID 1 forwards signal %d: nothing to do", sig);
}

/* Read one packet. 1: READY was it; 0: another one; negative errno: none (-EAGAIN), or PID 1 is gone. */
static int take_packet(struct manager *m, int flags)
{
	_Alignas(8) char buf[sizeof(struct rinit_msg) + RINIT_PAYLOAD_MAX];
	int fds[RINIT_BATCH_MAX * RINIT_FDS_PER_ENTRY];
	size_t n_fds = ARRAY_SIZE(fds);
	ssize_t n = fd_recv(m->p1_fd, buf, sizeof(buf), fds, &n_fds, flags);
	const struct rinit_msg *h = (void *)buf;
	if (n <= 0)
		return n < 0 ? (int)n : -EPIPE;
	bool known = n >= (ssize_t)sizeof(*h) && h->version == RINIT_VERSION && h->len <= (size_t)n - sizeof(*h);
	if (known && h->type == RINIT_FD_ENTRY) {
		on_entries(m, h, buf + sizeof(*h), fds, n_fds);
		return 0;
	}
	for (size_t k = 0; k < n_fds; k++)
		close(fds[k]);
	if (!known)
		log_warning("PID 1 sent %zd bytes that this rastd doesn't understand", n);
	else if (h->type == RINIT_EXIT)
		on_exits(m, h, buf + sizeof(*h));
	else if (h->type == RINIT_READY)
		m->instance = (uint32_t)h->arg;
	else if (h->type == RINIT_POWER && m->ready)
		power_begin(m, (enum rinit_power)h->arg, false, NULL);
	else if (h->type == RINIT_POWER)
		m->early_power = (uint32_t)h->arg;
	else if (h->type == RINIT_SIGNAL && m->ready)
		on_signal(m, (int)h->arg);
	return known && h->type == RINIT_READY;
}

static int on_pid1(struct source *src, int fd, uint32_t events, void *data)
{
	struct manager *m = data;
	for (int k = 0; k < 32; k++) {
		int r = take_packet(m, MSG_DONTWAIT);
		if (r == -EPIPE) {
			log_err("PID 1 has closed our socket");
			loop_remove_fd(src);
			return 0;
		}
		if (r < 0)
			break;
	}
	return 0;
}

int pid1_init(struct manager *m)
{
	if (m->p1_fd < 0)
		return 0;
	fd_set_cloexec(m->p1_fd, true);
	int r = pid1_send(m, RINIT_HELLO, 0, 0, NULL), got = 0;
	while (r == 0 && !got) {
		struct pollfd p = {.fd = m->p1_fd, .events = POLLIN};
		if (poll(&p, 1, SYNC_TIMEOUT_MS) <= 0)
			return -ETIMEDOUT;
		got = take_packet(m, MSG_DONTWAIT);
		if (got == -EAGAIN)
			got = 0;
		if (got < 0)
			return got;
	}
	return r < 0 ? r : loop_add_fd(m->loop, m->p1_fd, EPOLLIN, on_pid1, m, &m->p1_source);
}
