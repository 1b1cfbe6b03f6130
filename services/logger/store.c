/* store.c: the files: opened when there is something to write, few at a time, rotated by size. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include "base/base.h"
#include "services/logger/crash.h"
#include "services/logger/logd.h"

#define ROTATED_MAX 99

const char *store_name(char buf[STORE_NAME_MAX], const char *name, unsigned n)
{
	if (n)
		snprintf(buf, STORE_NAME_MAX, "%.63s.log.%u", name, n);
	else
		snprintf(buf, STORE_NAME_MAX, "%.63s.log", name);
	return buf;
}

static int open_dir(const char *path, mode_t mode)
{
	int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd >= 0)
		return fd;
	int r = mkdir_p(path, mode);
	return r < 0 ? r : sys_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
}

void store_open_dirs(struct logd *d)
{
	if (d->log_fd < 0)
		d->log_fd = open_dir(d->log_dir, 0755);
	if (d->spare_fd < 0 && d->spare_dir)
		d->spare_fd = open_dir(d->spare_dir, 0750);
}

/* --- the open files --- */

static void forget(struct logd *d, struct open_file *f)
{
	if (!f->owner)
		return;
	d->dirty_closed |= f->dirty;
	f->owner->slot = -1;
	close(f->fd);
	*f = (struct open_file){.fd = -1};
}

void store_close(struct logd *d, struct service *s)
{
	if (s->slot >= 0)
		forget(d, &d->open[s->slot]);
}

void store_close_all(struct logd *d)
{
	for (unsigned i = 0; i < STORE_OPEN_MAX; i++)
		forget(d, &d->open[i]);
	if (d->log_fd >= 0)
		close(d->log_fd);
	d->log_fd = -1;
	store_open_dirs(d);
}

static struct open_file *free_slot(struct logd *d)
{
	struct open_file *oldest = &d->open[0];
	for (unsigned i = 0; i < STORE_OPEN_MAX; i++) {
		struct open_file *f = &d->open[i];
		if (!f->owner)
			return f;
		if (d->clock - f->used > d->clock - oldest->used)
			oldest = f;
	}
	forget(d, oldest);
	return oldest;
}

int store_open(int dirfd, const char *name, struct target *t)
{
	char file[STORE_NAME_MAX];
	struct stat st;
	_cleanup_close_ int fd = sys_openat(dirfd, store_name(file, name, 0), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0640);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADF;
	*t = (struct target){.fd = take_fd(&fd), .offset = (uint64_t)st.st_size, .inode = st.st_ino};
	return 0;
}

static int open_log(struct logd *d, struct service *s, struct target *t)
{
	if (d->log_fd < 0)
		store_open_dirs(d);
	if (d->log_fd < 0)
		return d->log_fd;
	int r = store_open(d->log_fd, s->name, t);
	if (r < 0)
		return r;
	struct open_file *f = free_slot(d);
	*f = (struct open_file){.owner = s, .fd = t->fd};
	s->slot = (int16_t)(f - d->open);
	return 0;
}

/* The open file, unless somebody has removed it. The offset is asked for every time: an administrator may have truncated it. */
static bool open_already(struct logd *d, struct service *s, struct target *t)
{
	struct stat st;
	if (s->slot < 0)
		return false;
	struct open_file *f = &d->open[s->slot];
	if (fstat(f->fd, &st) < 0 || st.st_nlink == 0) {
		forget(d, f);
		return false;
	}
	*t = (struct target){.fd = f->fd, .offset = (uint64_t)st.st_size, .inode = st.st_ino};
	return true;
}

int store_target(struct logd *d, struct service *s, size_t n, struct target *t)
{
	if (!open_already(d, s, t)) {
		int r = open_log(d, s, t);
		if (r < 0)
			return r;
	}
	if (t->offset > 0 && t->offset + n > s->max_size) {
		int r = store_rotate(d->log_fd, s->name, s->max_files);
		if (r < 0)
			return r;
		store_close(d, s);
		r = open_log(d, s, t);
		if (r < 0)
			return r;
	}
	d->open[s->slot].used = ++d->clock;
	d->open[s->slot].dirty = true;
	return 0;
}

int store_write(const struct target *t, const char *data, size_t n)
{
	size_t done = 0;
	while (done < n) {
		ssize_t r = sys_pwrite(t->fd, data + done, n - done, (off_t)(t->offset + done));
		if (r > 0) {
			done += (size_t)r;
			crash_point("part-written");
			continue;
		}
		int error = r < 0 ? (int)r : -ENOSPC;
		int q = done ? sys_ftruncate(t->fd, (off_t)t->offset) : 0;
		if (q < 0)
			log_warning("can't cut a half-written log back to %llu bytes: %s", (unsigned long long)t->offset, strerror(-q));
		return error;
	}
	return 0;
}

int store_fdatasync(struct logd *d)
{
	int ret = 0;
	for (unsigned i = 0; i < STORE_OPEN_MAX; i++) {
		struct open_file *f = &d->open[i];
		if (!f->owner || !f->dirty)
			continue;
		int r = sys_fdatasync(f->fd);
		f->dirty = r < 0;
		ret = ret ? ret : r;
	}
	if (d->dirty_closed && d->log_fd >= 0) {
		if (syncfs(d->log_fd) < 0)
			return ret ? ret : -errno;
		d->dirty_closed = false;
	}
	return ret;
}

/* --- rotation --- */

int store_rotate(int dirfd, const char *name, unsigned max_files)
{
	char from[STORE_NAME_MAX], to[STORE_NAME_MAX];
	if (!max_files)
		return sys_unlinkat(dirfd, store_name(from, name, 0), 0);
	/* A gap is where an earlier rotation was interrupted, or the end: what is above it stays. */
	unsigned gap = 1;
	while (gap < max_files && faccessat(dirfd, store_name(to, name, gap), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		gap++;
	for (unsigned i = gap; i > 0; i--) {
		int r = sys_renameat(dirfd, store_name(from, name, i - 1), dirfd, store_name(to, name, i));
		crash_point("rotate");
		if (r < 0 && r != -ENOENT)
			return r;
	}
	/* The number was lowered: what is too old goes, at most up to the first gap. */
	for (unsigned i = max_files + 1; i <= ROTATED_MAX && sys_unlinkat(dirfd, store_name(from, name, i), 0) == 0; i++)
		;
	return 0;
}

int store_drop_oldest(int dirfd, const char *name, unsigned max_files)
{
	char file[STORE_NAME_MAX];
	for (unsigned i = max_files; i > 0; i--)
		if (sys_unlinkat(dirfd, store_name(file, name, i), 0) == 0)
			return 0;
	return -ENOENT;
}
