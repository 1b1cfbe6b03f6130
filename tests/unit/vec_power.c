/* vec_power.c: see vec_power.h. The calls below take the place of libc's in this program, LMDB's calls included. */
#undef _FILE_OFFSET_BITS /* it would rename pwrite to pwrite64, and both are wanted */
#include "tests/unit/vec_power.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE, SYNC, CUT, CREATE, RENAME, REMOVE, SYNC_DIR, MARK };
struct op { enum kind kind; ino_t file; size_t at, n; bool durable; uint8_t *data; char name[64], to[64]; };
static struct op *op;
static size_t n_op;
static char folder[PATH_MAX];
static bool recording;
static ino_t known[256];
static size_t n_known;

static struct op *add(enum kind kind)
{
	if (n_op % 1024 == 0)
		op = realloc(op, (n_op + 1024) * sizeof(*op));
	if (!op)
		abort();
	op[n_op] = (struct op){ .kind = kind };
	return &op[n_op++];
}

/* The file's name in the folder; NULL: it is elsewhere, or LMDB's lock file. "": the folder. */
static const char *ours(int fd)
{
	static char path[PATH_MAX];
	char link[64];
	ssize_t n;
	size_t len = strlen(folder);

	if (!recording)
		return NULL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return NULL;
	path[n] = 0;
	if (strncmp(path, folder, len) != 0 || strstr(path, "lock"))
		return NULL;
	return path[len] == '/' ? path + len + 1 : path[len] ? NULL : "";
}

static ino_t inode(int fd, const char *name)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		abort();
	for (size_t i = 0; i < n_known; i++)
		if (known[i] == st.st_ino)
			return st.st_ino;
	known[n_known++] = st.st_ino;
	{
		struct op *o = add(CREATE);
		o->file = st.st_ino;
		snprintf(o->name, sizeof(o->name), "%s", name);
	}
	return st.st_ino;
}

static void record_write(int fd, const void *data, size_t n, off_t at)
{
	const char *name = ours(fd);
	struct op *o;
	ino_t file;

	if (!name || !*name || n == 0)
		return;
	file = inode(fd, name);
	o = add(WRITE);
	o->file = file;
	o->at = (size_t)at;
	o->n = n;
	o->durable = fcntl(fd, F_GETFL) & O_DSYNC;
	o->data = malloc(n);
	if (!o->data)
		abort();
	memcpy(o->data, data, n);
}

static void record_sync(int fd)
{
	const char *name = ours(fd);

	if (!name)
		return;
	if (!*name) {
		add(SYNC_DIR);
	} else {
		ino_t file = inode(fd, name);
		add(SYNC)->file = file;
	}
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	ssize_t r = syscall(SYS_pwrite64, fd, data, n, at);
	if (r > 0)
		record_write(fd, data, (size_t)r, at);
	return r;
}

ssize_t pwrite64(int fd, const void *data, size_t n, off_t at) { return pwrite(fd, data, n, at); }

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	ssize_t sum = 0;
	for (int i = 0; i < n; i++) {
		ssize_t r = pwrite(fd, v[i].iov_base, v[i].iov_len, at + sum);
		if (r < 0)
			return sum ? sum : r;
		sum += r;
	}
	return sum;
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off_t at) { return pwritev(fd, v, n, at); }

ssize_t write(int fd, const void *data, size_t n)
{
	off_t at = recording ? lseek(fd, 0, SEEK_CUR) : 0;
	ssize_t r = syscall(SYS_write, fd, data, n);
	if (r > 0 && at >= 0)
		record_write(fd, data, (size_t)r, at);
	return r;
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	ssize_t sum = 0;
	for (int i = 0; i < n; i++) {
		ssize_t r = write(fd, v[i].iov_base, v[i].iov_len);
		if (r < 0)
			return sum ? sum : r;
		sum += r;
	}
	return sum;
}

int fsync(int fd)
{
	int r = (int)syscall(SYS_fsync, fd);
	if (r == 0)
		record_sync(fd);
	return r;
}

int fdatasync(int fd)
{
	int r = (int)syscall(SYS_fdatasync, fd);
	if (r == 0)
		record_sync(fd);
	return r;
}

int ftruncate(int fd, off_t size)
{
	int r = (int)syscall(SYS_ftruncate, fd, size);
	const char *name = r == 0 ? ours(fd) : NULL;
	if (name && *name) {
		ino_t file = inode(fd, name);
		struct op *o = add(CUT);
		o->file = file;
		o->n = (size_t)size;
	}
	return r;
}

int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

int renameat(int a, const char *from, int b, const char *to)
{
	int r = (int)syscall(SYS_renameat2, a, from, b, to, 0);
	const char *dir = r == 0 ? ours(b) : NULL;
	if (dir && !*dir) {
		struct op *o = add(RENAME);
		snprintf(o->name, sizeof(o->name), "%s", from);
		snprintf(o->to, sizeof(o->to), "%s", to);
	}
	return r;
}

int unlinkat(int dirfd, const char *path, int flags)
{
	int r = (int)syscall(SYS_unlinkat, dirfd, path, flags);
	const char *dir = r == 0 ? ours(dirfd) : NULL;
	if (dir && !*dir && !strstr(path, "lock"))
		snprintf(add(REMOVE)->name, sizeof(op->name), "%s", path);
	return r;
}

void power_record(const char *dir)
{
	if (!realpath(dir, folder))
		abort();
	recording = true;
}

void power_stop(void) { recording = false; }
void power_mark(void) { add(MARK); }
size_t power_points(void) { return n_op; }

/* --- making a state --- */

struct image { ino_t file; uint8_t *data; size_t n, room; };
struct name { char name[64]; ino_t file; };
static struct image images[256];
static size_t n_images;
static struct name names[256];
static size_t n_names;
static uint64_t dice;

static uint32_t roll(void)
{
	dice = dice * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(dice >> 33);
}

static struct image *image(ino_t file)
{
	for (size_t i = 0; i < n_images; i++)
		if (images[i].file == file)
			return &images[i];
	images[n_images].file = file;
	return &images[n_images++];
}

static void lay(struct image *im, const uint8_t *data, size_t at, size_t n)
{
	if (at + n > im->room) {
		im->room = (at + n) * 2;
		im->data = realloc(im->data, im->room);
		if (!im->data)
			abort();
	}
	if (at > im->n)
		memset(im->data + im->n, 0, at - im->n);
	memcpy(im->data + at, data, n);
	im->n = im->n > at + n ? im->n : at + n;
}

/* Was the file (0: the folder) synced between this op and the cut? */
static bool synced(size_t from, size_t at, ino_t file)
{
	for (size_t i = from + 1; i < at; i++)
		if (file ? op[i].kind == SYNC && op[i].file == file : op[i].kind == SYNC_DIR)
			return true;
	return false;
}

static void lay_write(const struct op *o, bool durable, unsigned mood)
{
	struct image *im = image(o->file);
	bool torn = mood != 0 && roll() % 4 == 0;

	if (durable || (mood == 0) || (mood == 1 && roll() % 2) || (mood == 2 && roll() % 8) || (mood == 3 && roll() % 8 == 0)) {
		if (durable || !torn) {
			lay(im, o->data, o->at, o->n);
			return;
		}
	} else if (!torn) {
		return;
	}
	for (size_t k = 0; k < o->n;) { /* sectors of the disk, not of the write */
		size_t len = 512 - (o->at + k) % 512;
		len = len < o->n - k ? len : o->n - k;
		if (roll() % 2)
			lay(im, o->data + k, o->at + k, len);
		k += len;
	}
}

static void apply_name(const struct op *o)
{
	size_t i = 0;

	while (i < n_names && strcmp(names[i].name, o->name) != 0)
		i++;
	if (o->kind == CREATE) {
		if (i == n_names)
			n_names++;
		snprintf(names[i].name, sizeof(names[i].name), "%s", o->name);
		names[i].file = o->file;
	} else if (i < n_names) {
		ino_t file = names[i].file;
		names[i] = names[--n_names];
		if (o->kind == RENAME) {
			struct op c = { .kind = CREATE, .file = file };
			snprintf(c.name, sizeof(c.name), "%s", o->to);
			apply_name(&c);
		}
	}
}

static void write_out(const char *to)
{
	for (size_t i = 0; i < n_names; i++) {
		char path[PATH_MAX + 80];
		struct image *im = image(names[i].file);
		int fd;

		snprintf(path, sizeof(path), "%.4000s/%.63s", to, names[i].name);
		fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
		if (fd < 0 || (im->n && syscall(SYS_write, fd, im->data, im->n) != (long)im->n))
			abort();
		close(fd);
	}
}

unsigned power_make(size_t at, unsigned seed, const char *to)
{
	unsigned marks = 0, mood = seed % 4; /* 0: all that was written is there; 1: half, 2: nearly all, 3: nearly nothing of what may be missing */
	bool names_end = false;

	dice = seed * 2654435761u + at + 1;
	for (size_t i = 0; i < n_images; i++)
		images[i].n = 0;
	n_names = 0;
	for (size_t i = 0; i < at; i++) {
		const struct op *o = &op[i];
		switch (o->kind) {
		case MARK: marks++; break;
		case WRITE: lay_write(o, o->durable || synced(i, at, o->file), mood); break;
		case CUT:
			if (o->n < image(o->file)->n)
				image(o->file)->n = o->n;
			break;
		case CREATE: case RENAME: case REMOVE:
			if (!synced(i, at, 0) && mood != 0 && roll() % 3 == 0)
				names_end = true;
			if (!names_end)
				apply_name(o);
			break;
		default: break;
		}
	}
	write_out(to);
	return marks;
}
