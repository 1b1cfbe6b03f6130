/* files.c: see files.h. */
#include "runtime/image/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/image/apply-priv.h"
#include "runtime/image/inflate.h"
#include "runtime/image/priv.h"
#include "runtime/image/stream.h"

#define MEMBERS_MAX 65536
#define HOPS_MAX 8

struct member {
	char *name;
	char *link; /* where it leads to, from the archive's top; NULL: a file */
	uint64_t offset, size;
	size_t order; /* the last one of a name counts, as when it is unpacked */
};

struct files {
	int fd; /* the folder or the archive */
	bool archive;
	uint64_t size;
	struct member *members; /* sorted by name */
	size_t n, cap;
};

/* --- archives --- */

struct reading {
	int fd;
	uint64_t at, size;
	char buf[32768];
};

static ssize_t next_piece(void *data, const void **piece)
{
	struct reading *r = data;
	ssize_t n = sys_pread(r->fd, r->buf, sizeof(r->buf), (off_t)r->at);

	if (n > 0)
		r->at += (uint64_t)n;
	*piece = r->buf;
	return n;
}

static int skip_bytes(void *data, uint64_t n)
{
	struct reading *r = data;

	if (n > r->size - r->at)
		return -ENODATA;
	r->at += n;
	return 0;
}

static int add_member(struct files *f, char *name, char *link, uint64_t offset, uint64_t size)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 64;
		struct member *v = cap <= MEMBERS_MAX ? realloc(f->members, cap * sizeof(*v)) : NULL;
		if (!v)
			return cap > MEMBERS_MAX ? -E2BIG : -ENOMEM;
		f->members = v;
		f->cap = cap;
	}
	struct member *m = &f->members[f->n];
	*m = (struct member){strdup(name), link ? strdup(link) : NULL, offset, size, f->n};
	f->n++;
	return m->name && (m->link || !link) ? 0 : -ENOMEM;
}

/* A link's target as a name from the archive's top; -EPERM: it leads out of it. */
static int link_target(const char *name, const struct tar_entry *t, char *buf, size_t size)
{
	const char *slash = t->type == '2' && t->link[0] != '/' ? strrchr(name, '/') : NULL;
	char *to = buf, *from = buf;

	if ((size_t)snprintf(buf, size, "%.*s/%s", slash ? (int)(slash - name) : 0, name, t->link) >= size)
		return -EPERM;
	while (*from) { /* components, ".." takes the one before */
		size_t n = strcspn(from, "/");
		if (n == 2 && from[0] == '.' && from[1] == '.') {
			if (to == buf)
				return -EPERM;
			while (to > buf && *--to != '/')
				;
		} else if (n > 0 && !(n == 1 && *from == '.')) {
			if (to > buf)
				*to++ = '/';
			memmove(to, from, n);
			to += n;
		}
		from += n + (from[n] == '/');
	}
	*to = '\0';
	return 0;
}

static int take_entry(struct files *f, const struct tar_entry *t, uint64_t offset)
{
	char name[TAR_NAME_MAX + 2], link[2 * TAR_NAME_MAX + 2];

	snprintf(name, sizeof(name), "%s", t->path);
	if (path_clean(name) < 0 || !*name)
		return 0; /* nothing that anybody will ask for */
	if (t->type == '1' || t->type == '2')
		return link_target(name, t, link, sizeof(link)) < 0 ? 0 : add_member(f, name, link, 0, 0);
	return t->type == '0' && !t->pieces ? add_member(f, name, NULL, offset, t->size) : 0;
}

static int by_name(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int c = strcmp(x->name, y->name);
	return c ? c : (x->order < y->order) - (x->order > y->order);
}

static int scan(struct files *f, struct err *e)
{
	struct reading reading = {.fd = f->fd, .size = f->size};
	_cleanup_tar_ struct tar *tar = NULL;
	const struct tar_entry *t;
	int r = tar_new(next_piece, &reading, &tar);

	if (r < 0)
		return err_set(e, r, "out of memory");
	tar_set_skip(tar, skip_bytes);
	while ((r = tar_next(tar, &t, e)) > 0) {
		uint64_t offset = tar_position(tar);
		if (t->size > f->size - MIN(offset, f->size))
			return err_set(e, -EBADMSG, "the archive is cut off in %s", t->path);
		r = take_entry(f, t, offset);
		if (r < 0)
			return err_sys(e, r, "the archive's list of files");
	}
	if (r == 0 && f->n)
		qsort(f->members, f->n, sizeof(*f->members), by_name);
	return r;
}

static const struct member *find(const struct files *f, const char *name)
{
	size_t low = 0, high = f->n;

	while (low < high) { /* the first of its name: the last one in the archive */
		size_t mid = (low + high) / 2;
		if (strcmp(f->members[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < f->n && streq(f->members[low].name, name) ? &f->members[low] : NULL;
}

/* --- compressed archives --- */

static int unpack_archive(int fd, uint64_t size, int scratch, uint64_t max, int *ret, struct err *e)
{
	struct stream_input in = {.fd = fd, .size = size, .max = max};
	_cleanup_stream_ struct stream *s = NULL;
	_cleanup_close_ int to = sys_openat(scratch, ".", O_RDWR | O_TMPFILE, 0600);
	const void *piece;
	ssize_t n;
	int r = to < 0 ? err_sys(e, to, "make a temporary file") : stream_open(&in, &s, e);

	if (r < 0)
		return r;
	while ((n = stream_next(s, &piece)) > 0)
		if ((r = write_all(to, piece, (size_t)n)) < 0)
			return err_sys(e, r, "unpack the archive");
	r = stream_finish(s, NULL, NULL, e);
	if (r == 0)
		*ret = take_fd(&to);
	return r;
}

static int open_archive(struct files *f, uint64_t size, int scratch, uint64_t max, struct err *e)
{
	unsigned char magic[4] = {0};
	struct stat st;

	f->archive = true;
	f->size = size;
	if (sys_pread(f->fd, magic, sizeof(magic), 0) < 0)
		return err_sys(e, -EIO, "read it");
	if (compression_of(magic, sizeof(magic)) != COMPRESSION_NONE) {
		int fd = -1, r = unpack_archive(f->fd, size, scratch, max, &fd, e);
		if (r < 0)
			return r;
		close(f->fd);
		f->fd = fd;
		if (fstat(fd, &st) < 0)
			return err_sys(e, -errno, "look at the unpacked archive");
		f->size = (uint64_t)st.st_size;
	}
	return scan(f, e);
}

int files_open(const char *path, int scratch, uint64_t max, struct files **ret, struct err *e)
{
	_cleanup_files_ struct files *f = calloc(1, sizeof(*f));
	struct stat st;
	int r = 0;

	if (!f)
		return err_set(e, -ENOMEM, "out of memory");
	f->fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0);
	if (f->fd < 0 || fstat(f->fd, &st) < 0)
		return err_sys(e, f->fd < 0 ? f->fd : -errno, "open %s", path);
	if (S_ISREG(st.st_mode))
		r = open_archive(f, (uint64_t)st.st_size, scratch, max, e);
	else if (!S_ISDIR(st.st_mode))
		r = err_set(e, -EINVAL, "it is neither a folder nor a tar archive");
	if (r < 0)
		return within(r, e, "%s", path);
	*ret = TAKE_PTR(f);
	return 0;
}

void files_close(struct files *f)
{
	if (!f)
		return;
	closep(&f->fd);
	for (size_t i = 0; i < f->n; i++) {
		free(f->members[i].name);
		free(f->members[i].link);
	}
	free(f->members);
	free(f);
}

void files_closep(struct files **f)
{
	files_close(*f);
}

/* --- getting --- */

static int get_from_folder(const struct files *f, const char *name, struct file_part *ret, struct err *e)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	_cleanup_close_ int fd = (int)syscall(SYS_openat2, f->fd, name, &how, sizeof(how));
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : err_sys(e, -errno, "open %s", name);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, -EBADMSG, "%s is not a file", name);
	*ret = (struct file_part){take_fd(&fd), 0, (uint64_t)st.st_size};
	return 0;
}

int files_get(const struct files *f, const char *name, struct file_part *ret, struct err *e)
{
	if (!f->archive)
		return get_from_folder(f, name, ret, e);
	for (int hop = 0; hop < HOPS_MAX; hop++) {
		const struct member *m = find(f, name);
		if (!m)
			return -ENOENT;
		if (!m->link) {
			int fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 3);
			if (fd < 0)
				return err_sys(e, -errno, "open %s", name);
			*ret = (struct file_part){fd, m->offset, m->size};
			return 0;
		}
		name = m->link;
	}
	return err_set(e, -ELOOP, "%s: too many links in the archive", name);
}

int files_read(const struct files *f, const char *name, size_t max, char **ret, size_t *ret_n, struct err *e)
{
	struct file_part p = {.fd = -1};
	int r = files_get(f, name, &p, e);

	if (r < 0)
		return r;
	_cleanup_close_ int fd = p.fd;
	if (p.size > max)
		return err_set(e, -EFBIG, "%s has %llu bytes, more than the %zu that it may have", name, (unsigned long long)p.size, max);
	_cleanup_free_ char *text = malloc((size_t)p.size + 1);
	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	for (size_t at = 0; at < p.size;) {
		ssize_t n = sys_pread(fd, text + at, (size_t)p.size - at, (off_t)(p.offset + at));
		if (n <= 0)
			return err_sys(e, n < 0 ? (int)n : -EIO, "read %s", name);
		at += (size_t)n;
	}
	text[p.size] = '\0';
	*ret_n = (size_t)p.size;
	*ret = TAKE_PTR(text);
	return 0;
}

bool files_have(const struct files *f, const char *name)
{
	struct file_part p = {.fd = -1};

	if (files_get(f, name, &p, NULL) < 0)
		return false;
	close(p.fd);
	return true;
}
