/* apply.c: see apply.h. */
#include "runtime/image/apply-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"

#define HOLE_MIN (32u << 10) /* zeros in a row, aligned to it, that are not written */

/* An entry's place: its folder's descriptor (borrowed) and its last component. */
struct place {
	char path[TAR_NAME_MAX + 2]; /* of the folder, cleaned; the name stands behind it */
	const char *name;
	int dirfd;
};

/* --- extended attributes --- */

/* Those that mean something to overlayfs or to this machine's policy are not an image's to set. */
static bool xattr_is_for_us(const char *name)
{
	if (str_starts(name, "trusted.overlay.") || str_starts(name, "user.overlay."))
		return false;
	return str_starts(name, "user.") || str_starts(name, "trusted.") || streq(name, "security.capability") ||
		streq(name, "system.posix_acl_access") || streq(name, "system.posix_acl_default");
}

/* fd, or name in dirfd when fd is -1 (a link or a device, which can't be opened): then through /proc, whose link leads to the folder. */
static int set_xattr(int fd, const struct place *at, const struct tar_xattr *x)
{
	char path[64 + NAME_MAX];

	if (fd >= 0)
		return fsetxattr(fd, x->name, x->value, x->n, 0) < 0 ? -errno : 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", at->dirfd, at->name);
	return lsetxattr(path, x->name, x->value, x->n, 0) < 0 ? -errno : 0;
}

static int set_xattrs(struct apply *a, int fd, const struct place *at, const struct tar_entry *t, struct err *e)
{
	for (size_t i = 0; i < t->n_xattrs; i++) {
		const struct tar_xattr *x = &t->xattrs[i];
		if (!xattr_is_for_us(x->name)) {
			a->counts.lost_xattrs++;
			continue;
		}
		int r = set_xattr(fd, at, x);
		if (r == -EOPNOTSUPP || (r == -EPERM && !str_starts(x->name, "security."))) /* what this file system or kind of file can't have */
			a->counts.lost_xattrs++;
		else if (r < 0)
			return err_sys(e, r, "%s: set the attribute %s", t->path, x->name);
	}
	return 0;
}

/* What a folder had from a lower layer, and this layer says nothing about, goes. */
static int drop_xattrs(int fd)
{
	char names[4096];
	ssize_t n = flistxattr(fd, names, sizeof(names));

	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (const char *s = names; s < names + n; s += strlen(s) + 1)
		if (xattr_is_for_us(s) && fremovexattr(fd, s) < 0 && errno != ENODATA)
			return -errno;
	return 0;
}

/* --- owner, mode, attributes, time: in this order, since a new owner clears set-id bits and capabilities --- */

static int set_meta_fd(struct apply *a, int fd, const struct place *at, const struct tar_entry *t, const struct stat *st, struct err *e)
{
	if ((st->st_uid != t->uid || st->st_gid != t->gid) && fchown(fd, t->uid, t->gid) < 0)
		return err_sys(e, -errno, "%s: set the owner to %u:%u", t->path, t->uid, t->gid);
	if (((st->st_mode & 07777) != t->mode || t->mode & 06000) && fchmod(fd, t->mode) < 0)
		return err_sys(e, -errno, "%s: set the mode to %o", t->path, t->mode);
	return set_xattrs(a, fd, at, t, e);
}

static int set_meta_at(struct apply *a, const struct place *at, const struct tar_entry *t, struct err *e)
{
	struct timespec times[2] = {t->mtime, t->mtime};

	if (fchownat(at->dirfd, at->name, t->uid, t->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, -errno, "%s: set the owner to %u:%u", t->path, t->uid, t->gid);
	if (t->type != '2' && fchmodat(at->dirfd, at->name, t->mode, 0) < 0) /* not a link: it was just made, and is the one that mknodat() made */
		return err_sys(e, -errno, "%s: set the mode to %o", t->path, t->mode);
	int r = set_xattrs(a, -1, at, t, e);
	if (r == 0 && utimensat(at->dirfd, at->name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, -errno, "%s: set the time", t->path);
	return r;
}

/* --- making things --- */

/* Something else has the name: it goes, whatever it is, and the folder is looked up anew. */
static int make_way(struct apply *a, struct place *at)
{
	int r = rm_rf(at->dirfd, at->name);

	parents_flush(a);
	if (r < 0)
		return r;
	at->dirfd = parent_open(a, at->path, false);
	return at->dirfd < 0 ? at->dirfd : 0;
}

static int remember(struct apply *a, const struct place *at)
{
	struct stat st;

	if (fstatat(at->dirfd, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return ino_add(&a->ours, st.st_ino, 0);
}

static bool all_zero(const char *p, size_t n)
{
	return p[0] == '\0' && memcmp(p, p + 1, n - 1) == 0;
}

static int write_at(int fd, const char *p, size_t n, uint64_t offset)
{
	while (n > 0) {
		ssize_t w = sys_pwrite(fd, p, n, (off_t)offset);
		if (w < 0)
			return (int)w;
		p += w;
		n -= (size_t)w;
		offset += (uint64_t)w;
	}
	return 0;
}

/* Write p, leaving holes where there are long zeros. *end: how long the file is after that. */
static int write_sparse(int fd, const char *p, size_t n, uint64_t offset, uint64_t *end)
{
	size_t pending = 0; /* bytes at p that are to be written */
	int r = 0;

	while (r == 0 && pending < n) {
		uint64_t here = offset + pending;
		size_t some = MIN(n - pending, (size_t)(HOLE_MIN - here % HOLE_MIN));
		if (some == HOLE_MIN && all_zero(p + pending, some)) {
			r = write_at(fd, p, pending, offset);
			*end = pending ? offset + pending : *end;
			p += pending + some;
			offset += pending + some;
			n -= pending + some;
			pending = 0;
		} else {
			pending += some;
		}
	}
	*end = pending ? offset + pending : *end;
	return r < 0 ? r : write_at(fd, p, pending, offset);
}

static int write_content(struct apply *a, struct tar *tar, int fd, const struct tar_entry *t, struct err *e)
{
	struct tar_piece whole = {0, t->size}, now;
	const struct tar_piece *pieces = t->pieces ? t->pieces : &whole;
	size_t n_pieces = t->pieces ? t->n_pieces : 1;
	const void *data = NULL;
	uint64_t end = 0;
	ssize_t have = 0;
	int r = 0;

	for (size_t i = 0; i < n_pieces && r == 0; i++)
		for (now = pieces[i]; now.n > 0 && r == 0;) {
			if (have == 0 && (have = tar_data(tar, &data, e)) <= 0)
				return have < 0 ? (int)have : err_set(e, -EBADMSG, "%s: its content is cut off", t->path);
			size_t some = MIN((uint64_t)have, now.n);
			r = write_sparse(fd, data, some, now.offset, &end);
			a->counts.bytes += some;
			data = (const char *)data + some;
			have -= (ssize_t)some;
			now.offset += some;
			now.n -= some;
		}
	if (r == 0 && end < t->size) /* a hole at the end, which nobody has written */
		r = sys_ftruncate(fd, (off_t)t->size);
	return r < 0 ? err_sys(e, r, "%s: write it", t->path) : 0;
}

static int apply_file(struct apply *a, struct tar *tar, struct place *at, const struct tar_entry *t, struct err *e)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
	struct timespec times[2] = {t->mtime, t->mtime};
	struct stat st;
	int r = sys_openat(at->dirfd, at->name, flags, 0600);

	if (r == -EEXIST && (r = make_way(a, at)) == 0)
		r = sys_openat(at->dirfd, at->name, flags, 0600);
	_cleanup_close_ int fd = r;
	if (fd < 0)
		return err_sys(e, fd, "%s: make the file", t->path);
	if (fstat(fd, &st) < 0 || ino_add(&a->ours, st.st_ino, 0) < 0)
		return err_sys(e, -ENOMEM, "%s", t->path);
	r = write_content(a, tar, fd, t, e);
	if (r == 0)
		r = set_meta_fd(a, fd, at, t, &st, e);
	if (r == 0 && futimens(fd, times) < 0)
		r = err_sys(e, -errno, "%s: set the time", t->path);
	return r;
}

static int apply_folder(struct apply *a, struct place *at, const struct tar_entry *t, struct err *e)
{
	struct stat st;
	bool made = true;
	int r = sys_mkdirat(at->dirfd, at->name, 0700);

	if (r == -EEXIST) {
		made = false;
		r = fstatat(at->dirfd, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
		if (r == 0 && !S_ISDIR(st.st_mode)) {
			made = true;
			r = make_way(a, at);
			r = r < 0 ? r : sys_mkdirat(at->dirfd, at->name, 0700);
		}
	}
	_cleanup_close_ int fd = r < 0 ? r : sys_openat(at->dirfd, at->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return err_sys(e, fd, "%s: make the folder", t->path);
	r = fstat(fd, &st) < 0 ? -errno : ino_add(&a->ours, st.st_ino, 0);
	if (r == 0 && st.st_dev != a->dev)
		r = -EXDEV;
	if (r == 0 && !made)
		r = drop_xattrs(fd);
	if (r < 0)
		return err_sys(e, r, "%s", t->path);
	r = set_meta_fd(a, fd, at, t, &st, e);
	if (r < 0)
		return r;
	/* "" is the root, and what stands in at->path lacks the name */
	_cleanup_free_ char *whole = NULL;
	if (asprintf(&whole, "%s%s%s", at->path, *at->path ? "/" : "", at->name) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	r = folder_time(a, fd, whole, &t->mtime);
	return r < 0 ? err_sys(e, r, "%s", t->path) : 0;
}

/* The tree's root itself: "./" */
static int apply_root(struct apply *a, const struct tar_entry *t, struct err *e)
{
	struct place at = {.dirfd = a->root, .name = "."};
	struct stat st;

	if (t->type != '5')
		return err_set(e, -EPERM, "an entry that is not a folder would replace the root");
	_cleanup_close_ int fd = sys_openat(a->root, ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, fd < 0 ? fd : -errno, "open the root");
	int r = drop_xattrs(fd);
	if (r < 0)
		return err_sys(e, r, "the root");
	r = set_meta_fd(a, fd, &at, t, &st, e);
	if (r == 0 && (r = folder_time(a, fd, "", &t->mtime)) < 0)
		return err_sys(e, r, "the root");
	return r;
}

static int make_link(struct apply *a, const struct place *at, const struct tar_entry *t)
{
	struct place from;
	int r;

	snprintf(from.path, sizeof(from.path), "%s", t->link);
	r = path_clean(from.path);
	if (r < 0 || !*from.path)
		return -EPERM;
	path_split(from.path, &from.name);
	a->busy = at->dirfd; /* both are borrowed from the same cache */
	from.dirfd = parent_open(a, from.path, false);
	if (from.dirfd < 0)
		return from.dirfd;
	return linkat(from.dirfd, from.name, at->dirfd, at->name, 0) < 0 ? -errno : 0;
}

static int make_other(struct apply *a, const struct place *at, const struct tar_entry *t)
{
	static const struct {
		char type;
		mode_t kind;
	} kinds[] = {{'3', S_IFCHR}, {'4', S_IFBLK}, {'6', S_IFIFO}};

	if (t->type == '1')
		return make_link(a, at, t);
	if (t->type == '2')
		return symlinkat(t->link, at->dirfd, at->name) < 0 ? -errno : 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].type == t->type)
			return mknodat(at->dirfd, at->name, kinds[i].kind | 0600, makedev(t->major, t->minor)) < 0 ? -errno : 0;
	return -EBADMSG;
}

static bool is_same_file(const struct place *at, const struct tar_entry *t)
{
	char path[TAR_NAME_MAX + 2];

	snprintf(path, sizeof(path), "%s", t->link);
	if (path_clean(path) < 0)
		return false;
	size_t n = strlen(at->path);
	return strncmp(path, at->path, n) == 0 && streq(path + n + (n > 0 && path[n] == '/'), at->name);
}

static int apply_other(struct apply *a, struct place *at, const struct tar_entry *t, struct err *e)
{
	static const char *const what[] = {['1'] = "hard link", ['2'] = "symbolic link", ['3'] = "device", ['4'] = "device", ['6'] = "FIFO"};
	bool link = t->type == '1';

	if (link && is_same_file(at, t)) /* to itself; making way would remove it */
		return err_set(e, -EBADMSG, "%s: a hard link to itself", t->path);
	int r = make_other(a, at, t);
	if (r == -EEXIST && (r = make_way(a, at)) == 0)
		r = make_other(a, at, t);
	if (r == 0)
		r = remember(a, at);
	if (r < 0 && (link || t->type == '2'))
		return err_sys(e, r, "%s: make the %s to %s", t->path, what[(int)t->type], t->link);
	if (r < 0)
		return err_sys(e, r, "%s: make the %s", t->path, what[(int)t->type]);
	return link ? 0 : set_meta_at(a, at, t, e);
}

/* --- whiteouts --- */

static int apply_whiteout(struct apply *a, struct place *at, const struct tar_entry *t, struct err *e)
{
	const char *what = at->name + strlen(".wh.");
	bool opaque = streq(what, ".wh..opq");

	if (!opaque && (!*what || streq(what, ".") || streq(what, "..")))
		return err_set(e, -EPERM, "%s: a whiteout for a name that can't be", t->path);
	int dirfd = parent_open(a, at->path, false);
	if (dirfd == -ENOENT || dirfd == -ENOTDIR) /* there is nothing to be removed */
		return 0;
	int r = dirfd < 0 ? dirfd : remove_lower(a, dirfd, opaque ? NULL : what);
	parents_flush(a);
	return r < 0 ? err_sys(e, r, "%s: remove what it hides", t->path) : 0;
}

/* aufs's own, which means nothing here: .wh..wh.plnk, .wh..wh.aufs and what is in them. */
static bool is_of_aufs(const char *path)
{
	for (const char *c = path; *c; c += strcspn(c, "/"), c += *c == '/')
		if (str_starts(c, ".wh..wh.") && strcmp(c, ".wh..wh..opq") != 0)
			return true;
	return false;
}

/* --- the archive --- */

static int apply_entry(struct apply *a, struct tar *tar, const struct tar_entry *t, struct err *e)
{
	struct place at;

	if (++a->counts.entries > a->limits->entries)
		return err_set(e, -E2BIG, "the layer has more than %llu entries", (unsigned long long)a->limits->entries);
	if (t->size > a->limits->file_size)
		return err_set(e, -EFBIG, "%s: %llu bytes are more than a file may have here", t->path, (unsigned long long)t->size);
	snprintf(at.path, sizeof(at.path), "%s", t->path);
	if (path_clean(at.path) < 0)
		return err_set(e, -EPERM, "%s: '..' in a path: the image was made to break out of its root", t->path);
	if (!*at.path)
		return apply_root(a, t, e);
	if (is_of_aufs(at.path))
		return 0;
	path_split(at.path, &at.name);
	if (str_starts(at.name, ".wh."))
		return apply_whiteout(a, &at, t, e);
	at.dirfd = parent_open(a, at.path, true);
	if (at.dirfd < 0)
		return err_sys(e, at.dirfd, "%s: open the folder that it is in", t->path);
	if (t->type == '0')
		return apply_file(a, tar, &at, t, e);
	return t->type == '5' ? apply_folder(a, &at, t, e) : apply_other(a, &at, t, e);
}

int layer_apply(int rootfd, tar_source source, void *data, const struct apply_limits *limits, struct apply_counts *ret, struct err *e)
{
	_cleanup_(apply_clear) struct apply a = {.root = rootfd, .limits = limits, .busy = -1};
	_cleanup_tar_ struct tar *tar = NULL;
	const struct tar_entry *t;
	struct stat st;
	int r = tar_new(source, data, &tar);

	if (r < 0 || fstat(rootfd, &st) < 0)
		return err_sys(e, r < 0 ? r : -errno, "open the tree");
	a.dev = st.st_dev;
	while ((r = tar_next(tar, &t, e)) > 0) {
		r = apply_entry(&a, tar, t, e);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = folders_finish(&a, e);
	if (ret)
		*ret = a.counts;
	return r;
}
