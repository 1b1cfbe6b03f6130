/* PID 1 allocates nothing after boot: init/pid1.h. What its loop does is done here with an allocator that counts. */
#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "base/log.h"
#include "base/mem.h"
#include "init/exits.h"
#include "init/fdstore.h"
#include "init/pid1.h"
#include "tests/unit/unit.h"

#ifdef __SANITIZE_ADDRESS__
static unsigned calls, counting; /* the sanitizer has its own allocator: only what the code does is checked there */
#else
static volatile unsigned calls, counting;
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
	calls += counting;
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	calls += counting;
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	calls += counting;
	return __libc_realloc(p, n);
}
#endif

/* Only PID 1's own code is counted: Check allocates too. */
#define COUNTED(what) do { counting = 1; what; counting = 0; } while (0)

static struct pid1 p;

static void send_to_pid1(enum rinit_type type, const void *payload, size_t n, const int *fds, size_t n_fds, uint64_t seq, uint64_t arg)
{
	static struct {
		struct rinit_msg head;
		char payload[RINIT_PAYLOAD_MAX];
	} m;
	union {
		char space[CMSG_SPACE(RINIT_BATCH_MAX * RINIT_FDS_PER_ENTRY * sizeof(int))];
		struct cmsghdr align;
	} c;
	struct iovec iov = {&m, sizeof(m.head) + n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	m.head = (struct rinit_msg){.version = RINIT_VERSION, .type = (uint16_t)type, .len = (uint32_t)n, .seq = seq, .arg = arg};
	memcpy(m.payload, payload, n);
	if (n_fds) {
		msg.msg_control = &c;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c.align = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n_fds * sizeof(int))};
		memcpy(CMSG_DATA(&c.align), fds, n_fds * sizeof(int));
	}
	ck_assert_int_gt(sendmsg(p.theirs, &msg, 0), 0);
}

/* What PID 1 has sent: how many packets of a type. */
static unsigned receive(enum rinit_type type)
{
	static char buf[sizeof(struct rinit_msg) + RINIT_PAYLOAD_MAX];
	unsigned n = 0;

	while (recv(p.theirs, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		n += ((struct rinit_msg *)buf)->type == type;
	return n;
}

static void setup(void)
{
	struct epoll_event ev = {.events = EPOLLIN};

	memset(&p, 0, sizeof(p));
	p.watchdog = -1;
	p.phase = PHASE_RUN;
	p.shutdown_limit = SECOND_US;
	calls = 0;
	ck_assert_int_eq(link_make(&p), 0);
	p.epoll = epoll_create1(EPOLL_CLOEXEC);
	ck_assert_int_eq(epoll_ctl(p.epoll, EPOLL_CTL_ADD, p.ours, &ev), 0);
	log_init("test", LOG_TO_FD, open("/dev/null", O_WRONLY | O_CLOEXEC));
}

START_TEST(nothing_that_the_supervisor_says_makes_pid_one_allocate)
{
	struct rinit_fd_entry e = {.n_fds = 2};
	int fds[2] = {0, 1};

	setup();
	send_to_pid1(RINIT_HELLO, "", 0, NULL, 0, 0, 0);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(e.name, sizeof(e.name), "service/%u/log", i);
		send_to_pid1(RINIT_FD_STORE, &e, sizeof(e), fds, 2, 0, 0);
		COUNTED(link_read(&p));
	}
	send_to_pid1(RINIT_FD_DROP, "service/7/log\0service/8/log", 28, NULL, 0, 0, 0);
	send_to_pid1(RINIT_STATUS, "starting", 8, NULL, 0, 0, 0);
	send_to_pid1(RINIT_ALIVE, "", 0, NULL, 0, 0, 1000000);
	send_to_pid1(RINIT_BOOTED, "", 0, NULL, 0, 0, 1);
	send_to_pid1(99, "what", 4, NULL, 0, 0, 0);
	COUNTED(link_read(&p));
	COUNTED(link_flush(&p));
	ck_assert_uint_eq(receive(RINIT_READY), 1);
	ck_assert_uint_eq(fdstore_count(), 198);
	ck_assert_str_eq(p.status, "starting");
	ck_assert_uint_eq(calls, 0);
	fdstore_clear();
}
END_TEST

START_TEST(five_thousand_exit_reports_make_pid_one_allocate_nothing)
{
	setup();
	send_to_pid1(RINIT_HELLO, "", 0, NULL, 0, 0, 0);
	COUNTED(link_read(&p));
	COUNTED(link_flush(&p));
	ck_assert_uint_eq(receive(RINIT_READY), 1);
	for (int i = 0; i < 5000; i++)
		COUNTED(exits_push(i, 1, 0, 1));
	COUNTED(link_flush(&p));
	ck_assert_uint_ge(receive(RINIT_EXIT), 5000 / 256);
	send_to_pid1(RINIT_ACK, "", 0, NULL, 0, exits_last(), 0);
	COUNTED(link_read(&p));
	ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(signals_and_requests_to_end_the_machine_make_pid_one_allocate_nothing)
{
	setup();
	send_to_pid1(RINIT_HELLO, "", 0, NULL, 0, 0, 0);
	COUNTED(link_read(&p));
	COUNTED(link_flush(&p));
	COUNTED(power_signal(&p, SIGHUP));
	COUNTED(power_signal(&p, SIGRTMIN + 5));
	ck_assert_uint_eq(p.phase, PHASE_STOPPING);
	ck_assert_uint_eq(receive(RINIT_POWER), 1);
	send_to_pid1(RINIT_SHUTDOWN_BEGIN, "", 0, NULL, 0, 0, RINIT_REBOOT);
	send_to_pid1(RINIT_SHUTDOWN, "firmware", 8, NULL, 0, 0, RINIT_REBOOT);
	COUNTED(link_read(&p));
	ck_assert_uint_eq(p.phase, PHASE_END);
	ck_assert(p.power_orderly);
	ck_assert_str_eq(p.power_argument, "firmware");
	ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(a_full_queue_loses_nothing_and_goes_on_when_it_is_read)
{
	unsigned got = 0;

	setup();
	send_to_pid1(RINIT_HELLO, "", 0, NULL, 0, 0, 0);
	COUNTED(link_read(&p));
	COUNTED(link_flush(&p));
	receive(RINIT_READY);
	for (int i = 0; i < EXITS_MAX && !exits_full(); i++)
		COUNTED(exits_push(i, 1, 0, 1));
	int small = 4096;
	setsockopt(p.ours, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (unsigned rounds = 0; rounds < 1000; rounds++) {
		struct epoll_event ev;
		COUNTED(link_flush(&p));
		unsigned n = receive(RINIT_EXIT);
		got += n;
		if (n == 0)
			break;
		if (epoll_wait(p.epoll, &ev, 1, 0) == 1)
			ck_assert(ev.events & EPOLLOUT);
	}
	ck_assert_uint_ge(got, EXITS_MAX / 256);
	struct rinit_exit e;
	ck_assert_uint_eq(exits_after(exits_last() - 1, &e, 1), 1);
	COUNTED(link_flush(&p));
	ck_assert_uint_eq(receive(RINIT_EXIT), 0);
	exits_ack(exits_last());
}
END_TEST

PROMISES("init: no allocation after boot", nothing_that_the_supervisor_says_makes_pid_one_allocate,
	five_thousand_exit_reports_make_pid_one_allocate_nothing, signals_and_requests_to_end_the_machine_make_pid_one_allocate_nothing,
	a_full_queue_loses_nothing_and_goes_on_when_it_is_read)
