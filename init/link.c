/* link.c: PID 1's side of protocol.h. Nothing here blocks: what the queue does not take waits in the tables (descriptors, exits) and goes when
 * the socket can be written again. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "init/console.h"
#include "init/exits.h"
#include "init/fdstore.h"
#include "init/pid1.h"

#define QUEUE_BYTES (1 << 20)
#define FDS_MAX (RINIT_BATCH_MAX * RINIT_FDS_PER_ENTRY)
#define EXITS_BATCH 128 /* reports in one packet: 4096 bytes */
#define PACKETS_PER_ROUND 256
#define RETRY_US 2000

static struct packet {
	struct rinit_msg head;
	char payload[RINIT_PAYLOAD_MAX + 1];
} in, out;
static union {
	char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct cmsghdr align;
} control;

/* What this instance of rastd has been sent. */
static struct {
	enum { WAIT_HELLO, ENTRIES, EXITS, LIVE } stage;
	unsigned entry;
	uint64_t exit;
	bool writable_wanted;
} sent;

int link_make(struct pid1 *p)
{
	int pair[2], size = QUEUE_BYTES;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		if (setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
			setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	p->ours = pair[0];
	p->theirs = pair[1];
	return 0;
}

static void want_writable(struct pid1 *p, bool on)
{
	struct epoll_event ev = {.events = EPOLLIN | (on ? EPOLLOUT : 0u), .data.u32 = 1 /* EV_LINK */};

	if (on != sent.writable_wanted && epoll_ctl(p->epoll, EPOLL_CTL_MOD, p->ours, &ev) == 0)
		sent.writable_wanted = on;
}

static int send_packet(const struct pid1 *p, enum rinit_type type, uint64_t seq, uint64_t arg, size_t len, const int *fds, unsigned n_fds)
{
	struct iovec iov = {.iov_base = &out, .iov_len = sizeof(out.head) + len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	out.head = (struct rinit_msg){.version = RINIT_VERSION, .type = (uint16_t)type, .len = (uint32_t)len, .seq = seq, .arg = arg};
	if (n_fds > 0) {
		struct cmsghdr *c = &control.align;
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	n = sys_sendmsg(p->ours, &msg, MSG_DONTWAIT);
	return n < 0 ? (int)n : 0;
}

/* 1: something was sent, 0: nothing is left, negative: the queue is full. */
static int send_entries(const struct pid1 *p)
{
	struct rinit_fd_entry *e = (struct rinit_fd_entry *)out.payload;
	unsigned pos = sent.entry, n = 0, n_fds = 0;
	int fds[FDS_MAX], r;

	while (n < RINIT_BATCH_MAX && fdstore_next(&pos, &e[n], fds + n_fds))
		n_fds += e[n++].n_fds;
	if (n == 0)
		return 0;
	r = send_packet(p, RINIT_FD_ENTRY, 0, 0, n * sizeof(*e), fds, n_fds);
	if (r < 0)
		return r;
	sent.entry = pos;
	return 1;
}

static int send_exits(const struct pid1 *p)
{
	struct rinit_exit *e = (struct rinit_exit *)out.payload;
	unsigned n = exits_after(sent.exit, e, EXITS_BATCH);
	int r;

	if (n == 0)
		return 0;
	r = send_packet(p, RINIT_EXIT, e[n - 1].seq, 0, n * sizeof(*e), NULL, 0);
	if (r < 0)
		return r;
	sent.exit = ((struct rinit_exit *)out.payload)[n - 1].seq;
	return 1;
}

static int send_ready(struct pid1 *p)
{
	int r = send_packet(p, RINIT_READY, 0, p->starts, 0, NULL, 0);

	if (r == 0 && p->power && !p->power_orderly) /* this instance may not know that the machine is to end */
		r = send_packet(p, RINIT_POWER, 0, p->power, 0, NULL, 0);
	return r;
}

void link_flush(struct pid1 *p)
{
	int r = 0;

	if (sent.stage == ENTRIES) {
		while ((r = send_entries(p)) > 0)
			;
		if (r == 0)
			sent.stage = EXITS;
	}
	if (sent.stage == EXITS) {
		while ((r = send_exits(p)) > 0)
			;
		if (r == 0 && (r = send_ready(p)) == 0)
			sent.stage = LIVE;
	}
	if (sent.stage == LIVE)
		while ((r = send_exits(p)) > 0)
			;
	want_writable(p, r == -EAGAIN);
	if (r == -ETOOMANYREFS || r == -ENOMEM || r == -ENOBUFS) /* too many descriptors in flight (unix(7)), or no memory: soon again */
		pid1_arm(p, DUE_LINK, RETRY_US);
}

void link_send(struct pid1 *p, enum rinit_type type, uint64_t arg)
{
	if (sent.stage == LIVE && send_packet(p, type, 0, arg, 0, NULL, 0) < 0)
		log_warning("rastd does not read what PID 1 sends it: message %d is lost", (int)type);
}

bool link_is_live(void)
{
	return sent.stage == LIVE;
}

void link_resume(bool live)
{
	/* After a re-exec reports may have been sent that we no longer know of: sending them again is harmless, they have numbers. */
	sent.stage = live ? LIVE : WAIT_HELLO;
	sent.exit = 0;
}

/* ---- receiving ---- */

struct received {
	int fds[FDS_MAX];
	unsigned n_fds;
};

static void close_from(struct received *r, unsigned first)
{
	for (unsigned i = first; i < r->n_fds; i++)
		close(r->fds[i]);
}

static void on_hello(struct pid1 *p, struct received *r)
{
	sent.stage = ENTRIES;
	sent.entry = 0;
	sent.exit = 0;
	supervise_hello(p);
}

static void on_ack(struct pid1 *p, struct received *r)
{
	if (exits_ack(in.head.seq))
		pid1_reap(p); /* the ring was full: zombies are waiting, and no SIGCHLD will tell */
}

static void on_fd_store(struct pid1 *p, struct received *r)
{
	struct rinit_fd_entry e;
	unsigned taken = 0;

	for (size_t at = 0; at + sizeof(e) <= in.head.len; at += sizeof(e)) {
		int result;
		memcpy(&e, in.payload + at, sizeof(e));
		e.name[RINIT_NAME_MAX] = '\0';
		if (e.n_fds > r->n_fds - taken) {
			log_err("rastd wants '%s' stored with %u descriptors, %u came", e.name, e.n_fds, r->n_fds - taken);
			break;
		}
		result = fdstore_put(e.name, r->fds + taken, e.n_fds);
		taken += e.n_fds;
		if (result < 0)
			log_err("descriptors '%s' can't be stored: %s (%u of %u entries are in use)", e.name, strerror(-result), fdstore_count(), FDSTORE_MAX);
	}
	close_from(r, taken);
	r->n_fds = 0;
}

static void on_fd_drop(struct pid1 *p, struct received *r)
{
	for (const char *name = in.payload; name < in.payload + in.head.len; name += strlen(name) + 1)
		fdstore_drop(name);
}

static void on_status(struct pid1 *p, struct received *r)
{
	size_t n = MIN((size_t)in.head.len, sizeof(p->status) - 1);

	memcpy(p->status, in.payload, n);
	p->status[n] = '\0';
}

static void on_shutdown(struct pid1 *p, struct received *r)
{
	power_finish(p, (enum rinit_power)in.head.arg, in.payload);
}

static void on_shutdown_begin(struct pid1 *p, struct received *r)
{
	rcu_hurry(p, true);
	power_begun(p, (enum rinit_power)in.head.arg, in.head.arg2);
}

static void on_booted(struct pid1 *p, struct received *r)
{
	log_notice(in.head.arg ? "the boot target is up" : "the boot target did not come up");
	watchdog_open(p); /* its driver may have been loaded by a service */
	rcu_hurry(p, false);
}

static void on_idle(struct pid1 *p, struct received *r)
{
	pid1_idle(p);
}

static void on_alive(struct pid1 *p, struct received *r)
{
	supervise_alive(p, in.head.arg);
}

static const struct {
	enum rinit_type type;
	void (*run)(struct pid1 *p, struct received *r);
} handlers[] = {
	{RINIT_HELLO, on_hello},       {RINIT_ACK, on_ack},	       {RINIT_FD_STORE, on_fd_store},
	{RINIT_FD_DROP, on_fd_drop},   {RINIT_STATUS, on_status},      {RINIT_SHUTDOWN, on_shutdown},
	{RINIT_BOOTED, on_booted},     {RINIT_SHUTDOWN_BEGIN, on_shutdown_begin}, {RINIT_ALIVE, on_alive},
	{RINIT_IDLE, on_idle},
};

static void take_fds(struct msghdr *msg, struct received *r)
{
	r->n_fds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		unsigned n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(r->fds + r->n_fds, CMSG_DATA(c), MIN(n, FDS_MAX - r->n_fds) * sizeof(int));
		r->n_fds += MIN(n, FDS_MAX - r->n_fds);
	}
	if (msg->msg_flags & MSG_CTRUNC)
		log_err("descriptors from rastd were lost: PID 1 has too many open");
}

static void dispatch(struct pid1 *p, struct received *r, size_t n)
{
	if (n < sizeof(in.head) || in.head.version != RINIT_VERSION || in.head.len > n - sizeof(in.head)) {
		log_err("a packet from rastd is not understood (%zu bytes, version %u): ignored", n, n < sizeof(in.head) ? 0u : in.head.version);
		return;
	}
	in.payload[in.head.len] = '\0';
	for (unsigned i = 0; i < ARRAY_SIZE(handlers); i++)
		if (handlers[i].type == in.head.type) {
			handlers[i].run(p, r);
			return;
		}
	log_err("a packet from rastd has the unknown type %u: ignored", in.head.type);
}

/* True when there may be more. */
static bool read_some(struct pid1 *p)
{
	struct received r;

	for (unsigned i = 0; i < PACKETS_PER_ROUND; i++) {
		struct iovec iov = {.iov_base = &in, .iov_len = sizeof(in) - 1};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
		ssize_t n = sys_recvmsg(p->ours, &msg, MSG_DONTWAIT);
		if (n <= 0)
			return false;
		take_fds(&msg, &r);
		dispatch(p, &r, (size_t)n);
		close_from(&r, 0);
	}
	return true;
}

void link_read(struct pid1 *p)
{
	read_some(p);
}

void link_reset(struct pid1 *p)
{
	struct iovec iov = {.iov_base = &out, .iov_len = sizeof(out)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1}; /* no room for descriptors: the kernel closes them */

	while (read_some(p)) /* what it said still counts; a HELLO of its among it must not be taken for the next one's */
		;
	while (recvmsg(p->theirs, &msg, MSG_DONTWAIT) > 0)
		msg.msg_flags = 0;
	sent.stage = WAIT_HELLO;
	want_writable(p, false);
}
