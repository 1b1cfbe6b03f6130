/* tree-copy.c: a copy of a whole tree, where there are no snapshots. */
#include "runtime/image/tree-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"

struct linked { /* a file with several names: where its first one went */
	ino_t ino;
	char *path;
};

struct copying {
	int to_root;
	struct linked *linked; /* unsorted; few trees have many */
	size_t n_linked;
	char path[PATH_MAX];   /* from the tree's root, of what is being copied */
};

/* To another file system, which copy_file_range() doesn't do for all of them. */
static int copy_bytes(int from, int to, off_t at, off_t end)
{
	char buf[65536];

	while (at < end) {
		ssize_t n = sys_pread(from, buf, (size_t)MIN((off_t)sizeof(buf), end - at), at), w = 0;
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		for (ssize_t done = 0; done < n; done += w)
			if ((w = sys_pwrite(to, buf + done, (size_t)(n - done), at + done)) < 0)
				return (int)w;
		at += n;
	}
	return 0;
}

static int copy_range(int from, int to, off_t at, off_t end)
{
	while (at < end) {
		off_t to_at = at;
		ssize_t n = copy_file_range(from, &at, to, &to_at, (size_t)(end - at), 0);
		if (n < 0 && (errno == EXDEV || errno == EOPNOTSUPP || errno == EINVAL))
			return copy_bytes(from, to, at, end);
		if (n < 0)
			return -errno;
		if (n == 0) /* shorter than it was */
			return -EIO;
	}
	return 0;
}

/* Whole by reference, or what isn't holes by copy. */
static int copy_content(int from, int to, off_t size)
{
	off_t at = 0;
	int r = 0;

	if (size == 0 || ioctl(to, FICLONE, from) == 0)
		return 0;
	while (r == 0 && at < size) {
		off_t data = lseek(from, at, SEEK_DATA), hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0 || hole < 0)
			return -errno;
		at = hole;
		r = copy_range(from, to, data, hole);
	}
	return r < 0 ? r : sys_ftruncate(to, size);
}

static int copy_xattrs(int from, int to)
{
	char names[4096], value[65536];
	ssize_t n = flistxattr(from, names, sizeof(names));

	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (const char *s = names; s < names + n; s += strlen(s) + 1) {
		ssize_t len = str_starts(s, "security.") && !streq(s, "security.capability") ? -1 : fgetxattr(from, s, value, sizeof(value));
		if (len >= 0 && fsetxattr(to, s, value, (size_t)len, 0) < 0 && errno != EOPNOTSUPP)
			return -errno;
	}
	return 0;
}

static int copy_meta(int from, int to, const struct stat *st)
{
	struct timespec times[2] = {st->st_mtim, st->st_mtim};

	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return -errno;
	int r = copy_xattrs(from, to);
	return r == 0 && futimens(to, times) < 0 ? -errno : r;
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	_cleanup_close_ int from = sys_openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	_cleanup_close_ int to = from < 0 ? from : sys_openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	int r = to < 0 ? to : copy_content(from, to, st->st_size);

	return r < 0 ? r : copy_meta(from, to, st);
}

/* Links, devices, FIFOs, sockets: what has no content. */
static int copy_special(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	struct timespec times[2] = {st->st_mtim, st->st_mtim};
	char target[PATH_MAX];

	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);
		if (n < 0)
			return -errno;
		target[n] = '\0';
		if (symlinkat(target, to_dir, name) < 0)
			return -errno;
	} else if (mknodat(to_dir, name, st->st_mode, st->st_rdev) < 0) {
		return -errno;
	}
	if (fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISLNK(st->st_mode) && fchmodat(to_dir, name, st->st_mode & 07777, 0) < 0)
		return -errno;
	return utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* 1: the file was copied before under another name, and is now linked to it. */
static int link_again(struct copying *c, int to_dir, const char *name, const struct stat *st)
{
	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return 0;
	for (size_t i = 0; i < c->n_linked; i++)
		if (c->linked[i].ino == st->st_ino)
			return linkat(c->to_root, c->linked[i].path, to_dir, name, 0) < 0 ? -errno : 1;
	struct linked *v = realloc(c->linked, (c->n_linked + 1) * sizeof(*v));
	if (!v)
		return -ENOMEM;
	c->linked = v;
	v[c->n_linked] = (struct linked){st->st_ino, strdup(c->path)};
	return v[c->n_linked++].path ? 0 : -ENOMEM;
}

static int copy_folder(struct copying *c, int from, int to, unsigned depth);

static int copy_one(struct copying *c, int from_dir, int to_dir, const char *name, unsigned depth)
{
	struct stat st;

	if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	int r = link_again(c, to_dir, name, &st);
	if (r != 0)
		return r < 0 ? r : 0;
	if (S_ISREG(st.st_mode))
		return copy_file(from_dir, to_dir, name, &st);
	if (!S_ISDIR(st.st_mode))
		return copy_special(from_dir, to_dir, name, &st);
	if (depth >= TREE_DEPTH_MAX)
		return -ELOOP;
	r = sys_mkdirat(to_dir, name, 0700);
	_cleanup_close_ int from = r < 0 ? r : sys_openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	_cleanup_close_ int to = from < 0 ? from : sys_openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	return to < 0 ? to : copy_folder(c, from, to, depth + 1);
}

static int copy_folder(struct copying *c, int from, int to, unsigned depth)
{
	struct stat st;
	size_t n = strlen(c->path);
	_cleanup_closedir_ DIR *d = NULL;
	int r = dir_open(from, ".", &d);

	if (r < 0)
		return r;
	for (struct dirent *de; r == 0 && (de = readdir(d));) {
		if (streq(de->d_name, ".") || streq(de->d_name, ".."))
			continue;
		int len = snprintf(c->path + n, sizeof(c->path) - n, "%s%s", n ? "/" : "", de->d_name);
		r = (size_t)len >= sizeof(c->path) - n ? -ENAMETOOLONG : copy_one(c, from, to, de->d_name, depth);
		if (r == 0)
			c->path[n] = '\0';
	}
	if (r < 0)
		return r;
	return fstat(from, &st) < 0 ? -errno : copy_meta(from, to, &st); /* last: its time is not to change any more */
}

int tree_copy(int from, int to, struct err *e)
{
	struct copying c = {.to_root = to};
	int r = copy_folder(&c, from, to, 0);

	for (size_t i = 0; i < c.n_linked; i++)
		free(c.linked[i].path);
	free(c.linked);
	return r < 0 ? err_sys(e, r, "copy /%s", c.path) : 0;
}
