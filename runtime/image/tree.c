/* tree.c: see tree.h. */
#include "runtime/image/tree-priv.h"

#include <btrfsutil.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"

static int util_error(enum btrfs_util_error r)
{
	return r == BTRFS_UTIL_OK ? 0 : errno ? -errno : -EIO;
}

int tree_make(bool btrfs, int dirfd, const char *name, struct err *e)
{
	int r = btrfs ? util_error(btrfs_util_create_subvolume_fd(dirfd, name, 0, NULL, NULL)) : sys_mkdirat(dirfd, name, 0755);

	/* the root of a tree that says nothing about it */
	if (r == 0 && fchmodat(dirfd, name, 0755, 0) < 0)
		r = -errno;
	return r < 0 ? err_sys(e, r, "make the %s %s", btrfs ? "subvolume" : "folder", name) : 0;
}

int tree_clone(bool btrfs, int fromfd, const char *from, int dirfd, const char *name, struct err *e)
{
	_cleanup_close_ int fd = sys_openat(fromfd, from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	int r;

	if (fd < 0)
		return err_sys(e, fd, "open %s", from);
	if (btrfs) {
		r = util_error(btrfs_util_create_snapshot_fd2(fd, dirfd, name, 0, NULL, NULL));
		return r < 0 ? err_sys(e, r, "make a snapshot of %s", from) : 0;
	}
	r = sys_mkdirat(dirfd, name, 0700);
	_cleanup_close_ int to = r < 0 ? r : sys_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	return to < 0 ? err_sys(e, to, "make the folder %s", name) : tree_copy(fd, to, e);
}

int tree_read_only(bool btrfs, int dirfd, const char *name, bool on, struct err *e)
{
	if (!btrfs)
		return 0;
	_cleanup_close_ int fd = sys_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	int r = fd < 0 ? fd : util_error(btrfs_util_set_subvolume_read_only_fd(fd, on));
	return r < 0 ? err_sys(e, r, "make %s %s", name, on ? "read-only" : "writable") : 0;
}

int tree_remove(int dirfd, const char *name, struct err *e)
{
	_cleanup_close_ int fd = sys_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	int r;

	if (fd >= 0 && btrfs_util_is_subvolume_fd(fd) == BTRFS_UTIL_OK)
		r = util_error(btrfs_util_delete_subvolume_fd(dirfd, name, BTRFS_UTIL_DELETE_SUBVOLUME_RECURSIVE));
	else
		r = fd == -ENOENT ? 0 : rm_rf(dirfd, name);
	return r < 0 ? err_sys(e, r, "remove %s", name) : 0;
}

/* --- the digest --- */

struct digesting {
	struct hash *hash;
	bool content;
	char path[PATH_MAX];
};

static int read_through(int dirfd, const char *name)
{
	char buf[65536];
	ssize_t n;

	_cleanup_close_ int fd = sys_openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	while ((n = sys_read(fd, buf, sizeof(buf))) > 0)
		;
	return (int)n;
}

static int hash_folder(struct digesting *d, int fd, unsigned depth);

static int hash_one(struct digesting *d, int dirfd, const char *name, unsigned depth)
{
	char text[256], target[PATH_MAX];
	struct stat st;
	ssize_t n = 0;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	bool folder = S_ISDIR(st.st_mode);
	int len = snprintf(text, sizeof(text), "%o %u %u %" PRIu64 " %u %lld.%09ld %" PRIx64, st.st_mode, st.st_uid, st.st_gid, folder ? 0 : (uint64_t)st.st_size,
		folder ? 0 : (unsigned)st.st_nlink, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (uint64_t)st.st_rdev);
	if (S_ISLNK(st.st_mode) && (n = readlinkat(dirfd, name, target, sizeof(target))) < 0)
		return -errno;
	/* with their NULs: nothing can be taken for something else */
	int r = hash_add(d->hash, name, strlen(name) + 1);
	r = r < 0 ? r : hash_add(d->hash, text, (size_t)len + 1);
	r = r < 0 ? r : hash_add(d->hash, target, (size_t)n);
	if (r == 0 && d->content && S_ISREG(st.st_mode))
		r = read_through(dirfd, name);
	if (r < 0 || !folder)
		return r;
	if (depth >= TREE_DEPTH_MAX)
		return -ELOOP;
	_cleanup_close_ int fd = sys_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	return fd < 0 ? fd : hash_folder(d, fd, depth + 1);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_of(int dirfd, char ***ret, size_t *n)
{
	size_t cap = 0;
	_cleanup_closedir_ DIR *d = NULL;
	int r = dir_open(dirfd, ".", &d);

	if (r < 0)
		return r;
	for (struct dirent *de; (de = readdir(d));) {
		if (streq(de->d_name, ".") || streq(de->d_name, ".."))
			continue;
		if (*n + 1 >= cap) {
			char **v = realloc(*ret, (cap = cap ? cap * 2 : 32) * sizeof(*v));
			if (!v)
				return -ENOMEM;
			*ret = v;
		}
		(*ret)[*n] = strdup(de->d_name);
		(*ret)[++*n] = NULL;
		if (!(*ret)[*n - 1])
			return -ENOMEM;
	}
	if (*n)
		qsort(*ret, *n, sizeof(**ret), compare);
	return 0;
}

static int hash_folder(struct digesting *d, int fd, unsigned depth)
{
	_cleanup_strv_ char **names = NULL;
	size_t n = 0, at = strlen(d->path);
	int r = names_of(fd, &names, &n);

	for (size_t i = 0; i < n && r == 0; i++) {
		snprintf(d->path + at, sizeof(d->path) - at, "/%s", names[i]);
		r = hash_one(d, fd, names[i], depth);
		if (r == 0)
			d->path[at] = '\0';
	}
	return r < 0 ? r : hash_add(d->hash, "", 1); /* the end of the folder */
}

int tree_digest(int dirfd, const char *name, bool content, struct digest *ret, struct err *e)
{
	static const struct digest sha256 = {"sha256:"};
	_cleanup_hash_ struct hash *hash = NULL;
	struct digesting d = {.content = content};
	struct stat st;
	char root[64];

	_cleanup_close_ int fd = sys_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	int r = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : hash_new(&sha256, &hash);
	d.hash = hash;
	if (r == 0)
		r = hash_add(hash, root, (size_t)snprintf(root, sizeof(root), "%o %u %u", st.st_mode, st.st_uid, st.st_gid));
	r = r < 0 ? r : hash_folder(&d, fd, 0);
	r = r < 0 ? r : hash_end(hash, ret);
	return r < 0 ? err_sys(e, r, "read %s%s", name, d.path) : 0;
}
