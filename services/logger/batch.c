/* batch.c: from a service's pipe to its file, exactly once.
 *
 *   tee(pipe -> scratch), read scratch     look, without taking
 *   format whole lines
 *   journal STAGED {name, file, offset}
 *   splice(pipe -> stage)                  one system call moves the batch; from here on the stage pipe is where it lives
 *   pwrite(file, offset)
 *   journal WRITTEN
 *   splice(stage -> /dev/null)
 *
 * Killed before the splice: the stage pipe is empty, nothing happened. Between it and WRITTEN: the successor finds the batch in the stage
 * pipe and writes it at the recorded offset with the recorded time: the same bytes at the same place, whatever part of them is there
 * already. After WRITTEN: it throws away what is left. A read(2) in place of the stage pipe would not do: nothing tells afterwards whether
 * the bytes that were taken are the ones that the journal speaks of. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include "base/base.h"
#include "services/logger/crash.h"
#include "services/logger/logd.h"

struct batch {
	struct format_prefix prefix;
	uint64_t time_us;
	size_t in_len, out_len;
	enum format_tail tail;
	bool staged;
	struct target known; /* fd >= 0: the first choice, found in the journal */
	int fatal;
};

uint64_t realtime_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int bytes_in(int pipe)
{
	int n = 0;
	return ioctl(pipe, FIONREAD, &n) < 0 ? -errno : n;
}

/* --- looking --- */

/* What is in the scratch pipe, or one like it, goes to d->in. A pipe in packet mode (O_DIRECT) gives one packet per read. */
static int read_copy(struct logd *d, int from, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t r = read(from, d->in + got, n - got);
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		got += (size_t)r;
	}
	d->in_touched |= n > 4096;
	return 0;
}

/* Copy what is in pipe to d->in without taking it. Returns bytes, 0: empty and no writer is left, -EAGAIN: empty. */
static ssize_t peek(struct logd *d, int pipe)
{
	ssize_t n;
	do
		n = tee(pipe, d->scratch[1], LOGD_IN_MAX, SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	int r = read_copy(d, d->scratch[0], (size_t)n);
	return r < 0 ? r : n;
}

/* A pipe with as few slots as another one, for one look at that. The scratch pipe is not made smaller: a user who has many pipes may not be
 * allowed to make it larger again. */
static int small_copy(int fds[2], int size)
{
	int r = sys_pipe2(fds, O_CLOEXEC);
	return r < 0 ? r : fcntl(fds[1], F_SETPIPE_SZ, size) < 0 ? -errno : 0;
}

/* As peek, and says whether the pipe can take no more: its writer waits and will not end the line before we make room. A pipe is full when
 * all of its slots are used, however little is in each; only the write end can be asked for that, so it is asked of a pipe with a copy in
 * it and as many slots. */
static ssize_t peek_full(struct logd *d, int pipe, bool *full)
{
	int small[2] = {-1, -1}, *copy = d->scratch, size = fcntl(pipe, F_GETPIPE_SZ);
	bool smaller = size > 0 && (unsigned)size < d->scratch_size, unknown = smaller && small_copy(small, size) < 0;
	if (smaller && !unknown)
		copy = small;
	_cleanup_close_ int small_read = small[0], small_write = small[1];
	ssize_t n = tee(pipe, copy[1], LOGD_IN_MAX, SPLICE_F_NONBLOCK);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	struct pollfd p = {.fd = copy[1], .events = POLLOUT};
	*full = unknown || poll(&p, 1, 0) == 0; /* a line split for nothing is better than a service that waits for ever */
	int r = read_copy(d, copy[0], (size_t)n);
	return r < 0 ? r : n;
}

/* --- taking and writing --- */

static int stage(struct logd *d, struct service *s, struct batch *b)
{
	ssize_t n = splice(s->pipe, NULL, d->stage[1], NULL, b->in_len, SPLICE_F_NONBLOCK);
	if (n != (ssize_t)b->in_len) {
		b->fatal = n < 0 ? -errno : -EIO;
		log_err("service '%s': %zd of %zu bytes could be taken from its pipe (%s); starting again", s->name, n, b->in_len,
			strerror(-b->fatal));
		return b->fatal;
	}
	b->staged = true;
	return 0;
}

static int unstage(struct logd *d)
{
	for (;;) {
		ssize_t n = splice(d->stage[0], NULL, d->null, NULL, LOGD_IN_MAX * 16, SPLICE_F_NONBLOCK);
		if (n > 0)
			continue;
		int left = bytes_in(d->stage[0]);
		if (left == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		return left < 0 ? left : n < 0 ? -errno : -EIO;
	}
}

static void commit(struct logd *d, struct service *s, const struct batch *b, enum journal_phase phase, const struct target *t)
{
	struct journal_record r = {.phase = (uint8_t)phase, .tail = (uint8_t)b->tail, .time_us = b->time_us, .length = b->in_len};
	if (t) {
		r.place = (uint8_t)t->place;
		r.offset = t->offset;
		r.inode = t->inode;
	}
	snprintf(r.name, sizeof r.name, "%.63s", s->name);
	journal_commit(&d->journal, &r);
}

/* One attempt at one place. */
static int try_write(struct logd *d, struct service *s, struct batch *b)
{
	struct target t = b->known;
	b->known.fd = -1;
	int r = t.fd >= 0 ? 0 : s->spare ? spare_target(d, s, b->out_len, &t) : store_target(d, s, b->out_len, &t);
	if (r < 0)
		return r;
	commit(d, s, b, J_STAGED, &t);
	crash_point("journalled");
	if (!b->staged) {
		r = stage(d, s, b);
		if (r < 0)
			return r;
	}
	crash_point("staged");
	return store_write(&t, d->out, b->out_len);
}

/* A place refused: old lines make room for new ones, then it is the spare folder's turn. */
static bool another_place(struct logd *d, struct service *s, int error)
{
	if (s->spare)
		return false;
	bool full = error == -ENOSPC || error == -EDQUOT;
	if (full && store_drop_oldest(d->log_fd, s->name, s->max_files) == 0)
		return true;
	spare_enter(d, s, error);
	return s->spare;
}

static int write_batch(struct logd *d, struct service *s, struct batch *b)
{
	int r;
	while ((r = try_write(d, s, b)) < 0 && !b->fatal && another_place(d, s, r))
		;
	if (b->fatal)
		return b->fatal;
	if (r < 0)
		spare_lost(d, s, d->out, b->out_len);
	crash_point("written");
	commit(d, s, b, J_WRITTEN, NULL);
	crash_point("committed");
	if (!b->staged && (r = stage(d, s, b)) < 0)
		return r;
	r = unstage(d);
	crash_point("consumed");
	if (r < 0)
		log_err("can't empty the stage pipe: %s; starting again", strerror(-r));
	return r;
}

/* Write what in[0..n) has of lines. Returns the bytes taken. */
static ssize_t write_lines(struct logd *d, struct service *s, struct batch *b, size_t n, enum format_tail tail)
{
	size_t pos = 0;
	while (pos < n) {
		b->tail = tail;
		b->staged = false;
		b->in_len = format_lines(&b->prefix, d->in + pos, n - pos, &b->tail, d->out, LOGD_OUT_MAX, &b->out_len);
		if (!b->in_len)
			break;
		d->in_touched |= b->out_len > 4096;
		int r = write_batch(d, s, b);
		if (r < 0)
			return r;
		pos += b->in_len;
	}
	return (ssize_t)pos;
}

static void batch_now(struct batch *b, const char *name)
{
	*b = (struct batch){.time_us = realtime_us(), .known.fd = -1};
	format_prefix(&b->prefix, b->time_us, name);
}

/* One look at the pipe. Returns bytes taken, -EAGAIN when it was empty, -EPIPE when moreover nobody can write to it. */
static ssize_t round_of(struct logd *d, struct service *s, enum format_tail tail)
{
	ssize_t n = peek(d, s->pipe);
	if (n <= 0)
		return n ? n : -EPIPE;
	struct batch b;
	batch_now(&b, s->name);
	ssize_t taken = write_lines(d, s, &b, (size_t)n, tail);
	if (taken)
		return taken;
	bool full = false;
	n = peek_full(d, s->pipe, &full);
	if (n < 0)
		return n;
	bool stuck = full && !memchr(d->in, '\n', (size_t)n); /* more may have come since the first look */
	return write_lines(d, s, &b, (size_t)n, stuck ? TAIL_SPLIT : TAIL_KEEP);
}

/* Why an edge is not enough, fs/pipe.c (Linux 5.14 to 6.18 at least): a writer wakes epoll when it found the pipe empty, and when its
 * write(2) has come to its end. One that found something in it and falls asleep in the middle, because the pipe got full, wakes nobody. So:
 * an edge may only be waited for when the pipe was seen empty. While an unfinished line stays in it, SIGIO is asked for: that is sent
 * before a writer falls asleep, too. It does not say which pipe; main.c then looks at all that have it on. */
static void set_async(struct service *s, bool on)
{
	if (s->async == on)
		return;
	int flags = fcntl(s->pipe, F_GETFL);
	if (on && fcntl(s->pipe, F_SETOWN, getpid()) < 0)
		log_warning("service '%s': F_SETOWN: %s", s->name, strerror(errno));
	if (flags < 0 || fcntl(s->pipe, F_SETFL, on ? flags | O_ASYNC : flags & ~O_ASYNC) < 0)
		log_warning("service '%s': O_ASYNC: %s", s->name, strerror(errno));
	s->async = on;
}

/* It writes faster than we read: others have their turn, then its. Modifying makes an edge if there is something to read. */
static void look_again_later(struct logd *d, struct service *s)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = s};
	epoll_ctl(d->epoll, EPOLL_CTL_MOD, s->pipe, &ev);
}

/* Until the pipe is empty, or has only an unfinished line, or `enough` bytes have been taken. */
static ssize_t drain_lines(struct logd *d, struct service *s, ssize_t enough)
{
	for (ssize_t done = 0;;) {
		ssize_t r = round_of(d, s, TAIL_KEEP);
		if (r == -EAGAIN)
			set_async(s, false);
		if (r < 0 || (r == 0 && s->async))
			return r;
		if (r == 0)
			set_async(s, true); /* and look once more: somebody may have written before that */
		done += r;
		if (done >= enough) {
			look_again_later(d, s);
			return 0;
		}
	}
}

int service_drain(struct logd *d, struct service *s, enum format_tail tail)
{
	if ((s->spare || s->lost) && now_us() >= d->retry_at)
		spare_move_back(d, s->name);
	ssize_t enough = tail == TAIL_KEEP ? (ssize_t)LOGD_IN_MAX * 16 : MAX(bytes_in(s->pipe), 1);
	ssize_t r = drain_lines(d, s, enough);
	if (tail != TAIL_KEEP && r >= 0)
		r = round_of(d, s, tail);
	if (r == -EPIPE)
		return 1;
	if (r >= 0 || r == -EAGAIN)
		return 0;
	d->fatal = (int)r;
	return d->fatal;
}

/* --- after a SIGKILL --- */

/* The file and offset that the journal names, if that file is still the same. */
static void recorded_target(struct logd *d, const struct journal_record *r, struct target *t)
{
	int dirfd = r->place == PLACE_SPARE ? d->spare_fd : d->log_fd;
	t->fd = -1;
	if (dirfd < 0 || store_open(dirfd, r->name, t) < 0)
		return;
	t->place = r->place == PLACE_SPARE ? PLACE_SPARE : PLACE_LOG;
	if (t->inode == r->inode && t->offset >= r->offset)
		t->offset = r->offset;
}

static int write_again(struct logd *d, struct service *s, const struct journal_record *j, size_t n)
{
	struct batch b = {.time_us = j->time_us};
	enum format_tail tail = j->tail == TAIL_END ? TAIL_END : TAIL_SPLIT;
	format_prefix(&b.prefix, j->time_us, j->name);
	for (size_t pos = 0; pos < n; pos += b.in_len) {
		b.tail = tail;
		b.staged = true;
		b.in_len = format_lines(&b.prefix, d->in + pos, n - pos, &b.tail, d->out, LOGD_OUT_MAX, &b.out_len);
		if (pos == 0)
			recorded_target(d, j, &b.known);
		else
			b.known.fd = -1;
		_cleanup_close_ int fd = b.known.fd;
		int r;
		while ((r = try_write(d, s, &b)) < 0 && another_place(d, s, r))
			;
		if (r < 0)
			spare_lost(d, s, d->out, b.out_len);
	}
	commit(d, s, &b, J_WRITTEN, NULL);
	return 0;
}

int batch_recover(struct logd *d, struct err *e)
{
	struct journal_record j = {.phase = J_IDLE};
	bool have = journal_last(&d->journal, &j);
	if (have && j.phase == J_MOVE)
		spare_recover(d, &j);
	int left = bytes_in(d->stage[0]);
	if (left < 0)
		return err_sys(e, left, "look into the stage pipe");
	if (!left)
		return 0;
	if (j.phase != J_WRITTEN) {
		if (j.phase != J_STAGED)
			j = (struct journal_record){.name = "rastlogd", .time_us = realtime_us()};
		ssize_t n = peek(d, d->stage[0]);
		if (n < 0)
			return err_sys(e, (int)n, "copy the stage pipe");
		_cleanup_free_ struct service *s = calloc(1, sizeof *s + sizeof j.name);
		if (!s)
			return err_sys(e, -ENOMEM, "recover");
		*s = (struct service){
			.pipe = -1, .slot = -1, .max_size = UINT32_MAX, .spare = j.phase == J_STAGED && j.place == PLACE_SPARE};
		memcpy(s->name, j.name, sizeof j.name);
		write_again(d, s, &j, (size_t)n);
		store_close(d, s);
	}
	int r = unstage(d);
	return r < 0 ? err_sys(e, r, "empty the stage pipe") : 0;
}
