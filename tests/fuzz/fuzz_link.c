/* PID 1's side of its protocol with rastd: whatever comes through the socket, with whatever descriptors, PID 1 lives, closes what it can't keep, and still
 * answers HELLO. Input: packets of [number of descriptors][length, 2 bytes][bytes]. */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "init/fdstore.h"
#include "init/pid1.h"
#include "tests/fuzz/fuzz.h"

static struct pid1 p;
static int null_fd = -1;

static void start(void)
{
	struct epoll_event ev = {.events = EPOLLIN};

	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	log_init("fuzz", LOG_TO_FD, null_fd);
	MUST(link_make(&p) == 0);
	p.epoll = epoll_create1(EPOLL_CLOEXEC);
	MUST(epoll_ctl(p.epoll, EPOLL_CTL_ADD, p.ours, &ev) == 0);
}

static void reset(void)
{
	int ours = p.ours, theirs = p.theirs, epoll = p.epoll;

	fdstore_clear();
	memset(&p, 0, sizeof(p));
	p.ours = ours;
	p.theirs = theirs;
	p.epoll = epoll;
	p.watchdog = -1;
	p.phase = PHASE_RUN;
	p.shutdown_limit = SECOND_US;
	link_reset(&p);
}

static void send_packet(const uint8_t *data, size_t n, unsigned n_fds)
{
	union {
		char space[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} c;
	struct iovec iov = {(void *)data, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[8] = {null_fd, null_fd, null_fd, null_fd, null_fd, null_fd, null_fd, null_fd};

	if (n_fds) {
		msg.msg_control = &c;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c.align = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n_fds * sizeof(int))};
		memcpy(CMSG_DATA(&c.align), fds, n_fds * sizeof(int));
	}
	(void)!sendmsg(p.theirs, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void hello(void)
{
	struct rinit_msg m = {.version = RINIT_VERSION, .type = RINIT_HELLO}, got = {0};
	char buf[sizeof(m) + RINIT_PAYLOAD_MAX];

	link_reset(&p);
	send_packet((const uint8_t *)&m, sizeof(m), 0);
	link_read(&p);
	link_flush(&p);
	while (recv(p.theirs, buf, sizeof(buf), MSG_DONTWAIT) > 0) {
		memcpy(&got, buf, sizeof(got));
		if (got.type == RINIT_READY)
			return;
	}
	MUST(!"READY came");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (null_fd < 0)
		start();
	reset();
	while (size >= 3) {
		size_t n = MIN((size_t)data[1] | (size_t)(data[2] & 0x1f) << 8, size - 3);
		if (n > 0)
			send_packet(data + 3, n, data[0] % 9);
		link_read(&p);
		link_flush(&p);
		data += 3 + n;
		size -= 3 + n;
	}
	MUST(memchr(p.status, 0, sizeof(p.status)) && memchr(p.power_argument, 0, sizeof(p.power_argument)));
	hello();
	int probe = dup(null_fd); /* descriptors that were not stored have been closed */
	MUST(probe >= 0 && probe < 64 + (int)fdstore_count() * RINIT_FDS_PER_ENTRY);
	close(probe);
	return 0;
}
