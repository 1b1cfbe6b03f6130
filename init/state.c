/* state.c: PID 1 hands itself to the program that comes next (an upgrade, or after a fault): everything that it knows in a memfd, every descriptor
 * kept open over exec.
 *
 * The file: struct header, struct pid1, the store's entries, the exit reports. Fields of struct pid1 are only ever appended, so that
 * an older one can be read by a newer program (what is missing stays as initialised); another order needs another VERSION. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "init/console.h"
#include "init/exits.h"
#include "init/fdstore.h"
#include "init/pid1.h"

#define MAGIC 0x54535452u /* "RTST" */
#define VERSION 1

struct header {
	uint32_t magic, version, base_size, n_entries, n_exits, pad;
	uint64_t last_exit;
};
struct kept {
	struct rinit_fd_entry e;
	int fds[RINIT_FDS_PER_ENTRY];
};

static int put(int fd, const void *data, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t w = write(fd, (const char *)data + done, n - done);
		if (w <= 0)
			return w < 0 ? -errno : -EIO;
		done += (size_t)w;
	}
	return 0;
}

static int get(int fd, void *data, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = sys_read(fd, (char *)data + done, n - done);
		if (r <= 0)
			return r < 0 ? (int)r : -EBADMSG;
		done += (size_t)r;
	}
	return 0;
}

int state_save(const struct pid1 *p, int fd)
{
	struct header h = {.magic = MAGIC, .version = VERSION, .base_size = sizeof(*p), .n_entries = fdstore_count(), .last_exit = exits_last()};
	struct rinit_exit e;
	struct kept k;
	unsigned pos = 0;
	uint64_t seq = 0;
	int r;

	if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = put(fd, &h, sizeof(h));
	if (r == 0)
		r = put(fd, p, sizeof(*p));
	while (r == 0 && fdstore_next(&pos, &k.e, k.fds))
		r = put(fd, &k, sizeof(k));
	for (; r == 0 && exits_after(seq, &e, 1) == 1; seq = e.seq, h.n_exits++)
		r = put(fd, &e, sizeof(e));
	if (r == 0 && pwrite(fd, &h, sizeof(h), 0) != sizeof(h)) /* now with the number of reports */
		r = -errno;
	return r;
}

static void cloexec(int fd, bool on)
{
	if (fd >= 0)
		(void)fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

static void cloexec_all(const struct pid1 *p, bool on)
{
	int fds[RINIT_FDS_PER_ENTRY];
	struct rinit_fd_entry e;

	for (unsigned pos = 0; fdstore_next(&pos, &e, fds);)
		for (unsigned i = 0; i < e.n_fds; i++)
			cloexec(fds[i], on);
	cloexec(p->ours, on);
	cloexec(p->theirs, on);
	cloexec(p->watchdog, on);
	cloexec(p->state_fd, on);
}

/* What belongs to this process image and not to the one that wrote the state. */
static void keep_own(struct pid1 *p, const struct pid1 *mine)
{
	p->machine = mine->machine;
	p->container = mine->container;
	p->exe = mine->exe;
	p->epoll = p->signals = -1;
}

static int load_tables(int fd, const struct header *h)
{
	struct rinit_exit e;
	struct kept k;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < h->n_entries; i++) {
		r = get(fd, &k, sizeof(k));
		k.e.name[RINIT_NAME_MAX] = '\0';
		if (r == 0)
			r = fdstore_put(k.e.name, k.fds, k.e.n_fds);
	}
	for (uint32_t i = 0; r == 0 && i < h->n_exits; i++) {
		r = get(fd, &e, sizeof(e));
		if (r == 0)
			exits_restore(&e);
	}
	exits_restore_last(h->last_exit);
	return r;
}

int state_load(struct pid1 *p, int fd)
{
	static struct pid1 mine;
	struct header h;
	int r;

	mine = *p;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = get(fd, &h, sizeof(h));
	if (r == 0 && (h.magic != MAGIC || h.version != VERSION || h.base_size > sizeof(*p) || h.n_entries > FDSTORE_MAX || h.n_exits > EXITS_MAX))
		r = -EPROTO;
	if (r == 0)
		r = get(fd, p, h.base_size);
	if (r == 0)
		r = load_tables(fd, &h);
	if (r < 0) {
		*p = mine;
		fdstore_clear();
		return r;
	}
	keep_own(p, &mine);
	cloexec_all(p, true);
	close(fd);
	link_resume(p->hello);
	return 0;
}

/* digits of a descriptor; snprintf is not needed for that in a crash handler */
static const char *decimal(int n, char buf[12])
{
	char *c = buf + 11;

	*c = '\0';
	do {
		*--c = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	return c;
}

void state_exec(struct pid1 *p, const char *option)
{
	char digits[12];
	const char *fd = p && p->state_fd >= 0 && state_save(p, p->state_fd) == 0 ? decimal(p->state_fd, digits) : "none";
	const char *const argv[] = {"rastinit", option, fd, NULL};

	if (p)
		cloexec_all(p, false);
	if (p && strcmp(option, "--reexec") == 0 && *p->path) /* an upgrade: what stands there now */
		execve(p->path, (char *const *)argv, environ);
	syscall(SYS_execveat, p ? p->exe : crash_exe(), "", argv, environ, AT_EMPTY_PATH);
	console_say("PID 1 could not execute itself: %s", strerror(errno));
	if (p)
		cloexec_all(p, true);
}
