/* spare.c: when the disk can't be written (full, read-only, not there), a service must not block on it: its lines go to a folder on
 * tmpfs, bounded per service and in all, and are moved back when the disk takes them again. What goes beyond the bounds is counted, and the
 * number becomes a line of the log. The only timer of the logger is here, and runs only while something waits to be moved back. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include "base/base.h"
#include "services/logger/crash.h"
#include "services/logger/logd.h"
#include "services/logger/protocol.h"

#define RETRY_MIN_US 1000000u
#define RETRY_MAX_US 30000000u

static uint64_t size_of(int dirfd, const char *file)
{
	struct stat st;
	return fstatat(dirfd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

bool spare_has(struct logd *d, const char *name)
{
	char file[STORE_NAME_MAX];
	for (unsigned i = 0; i < 2; i++)
		if (d->spare_fd >= 0 && faccessat(d->spare_fd, store_name(file, name, i), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	return false;
}

static void retry_soon(struct logd *d)
{
	d->retry_in = RETRY_MIN_US;
	d->retry_at = now_us() + d->retry_in;
}

/* The folder as a stream; its own descriptor, so that the position is not shared. */
static DIR *open_folder(struct logd *d)
{
	int fd = d->spare_fd < 0 ? -1 : sys_openat(d->spare_fd, ".", O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

void spare_scan(struct logd *d)
{
	_cleanup_closedir_ DIR *dir = open_folder(d);
	d->spare_file = -1;
	d->spare_bytes = 0;
	for (struct dirent *e; dir && (e = readdir(dir));)
		if (e->d_name[0] != '.') {
			d->spare_bytes += size_of(d->spare_fd, e->d_name);
			d->spare_any = true;
		}
	d->retry_in = RETRY_MIN_US;
	d->retry_at = now_us();
}

void spare_enter(struct logd *d, struct service *s, int error)
{
	if (!d->spare_any) {
		log_warning("can't write %s/%s.log: %s; lines go to %s until it can be written again", d->log_dir, s->name,
			strerror(-error), d->spare_dir ? d->spare_dir : "nowhere");
		retry_soon(d);
	}
	d->spare_any = true;
	s->spare = true;
	store_close(d, s);
	control_event(d, LOGD_TROUBLE, s->name, error, 0, 0);
}

static unsigned count_lines(const char *p, size_t n)
{
	unsigned lines = 0;
	for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		lines++;
	return lines;
}

void spare_lost(struct logd *d, struct service *s, const char *out, size_t n)
{
	unsigned lines = count_lines(out, n);
	s->lost = s->lost + lines < s->lost ? UINT32_MAX : s->lost + lines;
	d->spare_any = true;
}

/* NAME.log becomes NAME.log.1; the lines of the old NAME.log.1 are lost, and counted. */
static int make_room(struct logd *d, struct service *s)
{
	char file[STORE_NAME_MAX];
	_cleanup_free_ char *old = NULL;
	size_t n = 0;
	store_name(file, s->name, 1);
	if (file_read(d->spare_fd, file, SPARE_FILE_MAX * 2, &old, &n) >= 0) {
		spare_lost(d, s, old, n);
		d->spare_bytes -= MIN(d->spare_bytes, n);
	}
	return store_rotate(d->spare_fd, s->name, 1);
}

int spare_target(struct logd *d, struct service *s, size_t n, struct target *t)
{
	if (!d->spare_dir)
		return -ENOENT;
	if (d->spare_fd < 0)
		store_open_dirs(d);
	if (d->spare_fd < 0)
		return d->spare_fd;
	char file[STORE_NAME_MAX];
	uint64_t size = size_of(d->spare_fd, store_name(file, s->name, 0));
	int r = size + n > SPARE_FILE_MAX && size > 0 ? make_room(d, s) : 0;
	if (r < 0)
		return r;
	if (d->spare_bytes + n > SPARE_TOTAL_MAX)
		return -ENOSPC;
	if (d->spare_file >= 0)
		close(d->spare_file);
	d->spare_file = -1;
	r = store_open(d->spare_fd, s->name, t);
	if (r < 0)
		return r;
	d->spare_file = t->fd;
	t->place = PLACE_SPARE;
	d->spare_bytes += n;
	return 0;
}

/* --- back --- */

static int copy_to(struct logd *d, int from, const struct target *to, uint64_t length)
{
	struct target t = *to;
	for (uint64_t done = 0; done < length;) {
		ssize_t n = sys_pread(from, d->out, (size_t)MIN(length - done, LOGD_OUT_MAX), (off_t)done);
		int r = n < 0 ? (int)n : n == 0 ? -EIO : store_write(&t, d->out, (size_t)n);
		if (r < 0) {
			sys_ftruncate(to->fd, (off_t)to->offset);
			return r;
		}
		crash_point("moving");
		done += (uint64_t)n;
		t.offset += (uint64_t)n;
	}
	d->in_touched = true;
	return 0;
}

/* Open the log for appending n bytes, rotated if they would not fit. */
static int open_main(struct logd *d, const char *name, uint64_t n, struct target *t)
{
	if (d->log_fd < 0)
		store_open_dirs(d);
	if (d->log_fd < 0)
		return d->log_fd;
	const struct service *s = service_find(d, name);
	int r = store_open(d->log_fd, name, t);
	if (r < 0 || t->offset == 0 || t->offset + n <= (s ? s->max_size : LOGD_DEFAULT_SIZE))
		return r;
	close(t->fd);
	r = store_rotate(d->log_fd, name, s ? s->max_files : LOGD_DEFAULT_FILES);
	return r < 0 ? r : store_open(d->log_fd, name, t);
}

/* One spare file: append it, then remove it. The removal is what makes it done: found again after SIGKILL, what was appended is cut off and
 * it starts anew. */
static int move_file(struct logd *d, const char *name, unsigned number)
{
	char file[STORE_NAME_MAX];
	struct stat st;
	struct target t = {.fd = -1};
	if (d->spare_fd < 0)
		return 0;
	_cleanup_close_ int from = sys_openat(d->spare_fd, store_name(file, name, number), O_RDONLY | O_NOFOLLOW, 0);
	if (from < 0 || fstat(from, &st) < 0)
		return from == -ENOENT ? 0 : from < 0 ? from : -errno;
	int r = open_main(d, name, (uint64_t)st.st_size, &t);
	if (r < 0)
		return r;
	_cleanup_close_ int to = t.fd;
	struct journal_record j = {.phase = J_MOVE,
		.spare = (uint8_t)number,
		.spare_inode = st.st_ino,
		.offset = t.offset,
		.inode = t.inode,
		.length = (uint64_t)st.st_size};
	snprintf(j.name, sizeof j.name, "%.63s", name);
	journal_commit(&d->journal, &j);
	r = copy_to(d, from, &t, (uint64_t)st.st_size);
	crash_point("moved");
	if (r >= 0)
		r = sys_unlinkat(d->spare_fd, file, 0);
	if (r >= 0)
		d->spare_bytes -= MIN(d->spare_bytes, (uint64_t)st.st_size);
	j.phase = J_IDLE;
	journal_commit(&d->journal, &j);
	return r;
}

static int tell_lost(struct logd *d, const char *name, unsigned lost)
{
	struct format_prefix p;
	struct target t;
	char line[sizeof p.text + 80];
	format_prefix(&p, realtime_us(), name);
	int n = snprintf(line, sizeof line, "%s[rastlogd: %u lines are missing here: they could not be written]\n", p.text, lost);
	int r = open_main(d, name, (uint64_t)n, &t);
	if (r < 0)
		return r;
	_cleanup_close_ int fd = t.fd;
	return store_write(&t, line, (size_t)n);
}

int spare_move_back(struct logd *d, const char *name)
{
	struct service *s = service_find(d, name);
	int r = move_file(d, name, 1);
	if (r >= 0)
		r = move_file(d, name, 0);
	if (r >= 0 && s && s->lost)
		r = tell_lost(d, name, s->lost);
	if (r < 0 || !s || (!s->spare && !s->lost))
		return r;
	control_event(d, LOGD_TROUBLE, name, 0, 0, s->lost);
	s->spare = false;
	s->lost = 0;
	return 0;
}

/* "NAME.log" or "NAME.log.1" -> NAME */
static bool name_of_file(const char *file, char name[64])
{
	const char *dot = strstr(file, ".log");
	for (const char *next = dot; next && (next = strstr(next + 1, ".log"));)
		dot = next;
	if (!dot || dot == file || dot - file > 63)
		return false;
	memcpy(name, file, (size_t)(dot - file));
	name[dot - file] = '\0';
	return name_valid(name);
}

static bool move_folder(struct logd *d)
{
	_cleanup_closedir_ DIR *dir = open_folder(d);
	bool ok = true;
	char name[64];
	for (struct dirent *e; ok && dir && (e = readdir(dir));)
		if (name_of_file(e->d_name, name))
			ok = spare_move_back(d, name) >= 0;
	return ok;
}

void spare_retry(struct logd *d)
{
	d->retry_at = 0; /* now */
	bool ok = move_folder(d);
	for (size_t i = 0; ok && i < d->n_services; i++)
		if (d->services[i]->spare || d->services[i]->lost)
			ok = spare_move_back(d, d->services[i]->name) >= 0;
	if (ok) {
		if (d->spare_any)
			log_notice("%s can be written again; nothing waits in %s any more", d->log_dir,
				d->spare_dir ? d->spare_dir : "memory");
		d->spare_any = false;
		d->retry_in = RETRY_MIN_US;
		return;
	}
	d->retry_in = MIN(d->retry_in * 2, RETRY_MAX_US);
	d->retry_at = now_us() + d->retry_in;
}

int spare_recover(struct logd *d, const struct journal_record *j)
{
	char file[STORE_NAME_MAX];
	struct stat st;
	struct target t;
	if (d->spare_fd < 0 || d->log_fd < 0 || fstatat(d->spare_fd, store_name(file, j->name, j->spare), &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		st.st_ino != j->spare_inode)
		return 0; /* it was removed: all of it is in the log */
	int r = store_open(d->log_fd, j->name, &t);
	if (r < 0)
		return r;
	_cleanup_close_ int fd = t.fd;
	if (t.inode == j->inode && t.offset > j->offset)
		r = sys_ftruncate(fd, (off_t)j->offset);
	struct journal_record idle = {.phase = J_IDLE};
	journal_commit(&d->journal, &idle);
	return r;
}
