/* rmtree.c: removal of trees.
 *
 * Every pass walks down to one folder that has no folders in it and removes that. It costs a few more openat(2) than
 * recursion and needs two descriptors and no stack however deep a hostile tree is. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include "base/sys.h"

struct removal {
	bool files;  /* unlink what is no folder; cgroupfs removes those by itself */
	dev_t dev;
};

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* 1 for a folder, 0 for anything else, negative errno. */
static int is_folder(int dirfd, const struct dirent *d)
{
	struct stat st;

	if (d->d_type != DT_UNKNOWN)
		return d->d_type == DT_DIR;
	if (fstatat(dirfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return S_ISDIR(st.st_mode);
}

/* Find the first folder in dirfd, removing files on the way. 1: found, its name in child; 0: none left. */
static int next_folder(const struct removal *rm, int dirfd, char child[NAME_MAX + 1])
{
	int fd = sys_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0), r;

	if (fd < 0)
		return fd;
	_cleanup_closedir_ DIR *dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	for (;;) {
		errno = 0;
		struct dirent *d = readdir(dir);
		if (!d)
			return -errno;
		if (is_dot(d->d_name))
			continue;
		r = is_folder(dirfd, d);
		if (r > 0) {
			snprintf(child, NAME_MAX + 1, "%s", d->d_name);
			return 1;
		}
		if (r == 0 && rm->files)
			r = sys_unlinkat(dirfd, d->d_name, 0);
		if (r < 0 && r != -ENOENT)
			return r;
	}
}

static int open_same_fs(const struct removal *rm, int dirfd, const char *name)
{
	struct stat st;
	int fd = sys_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0), r = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (st.st_dev != rm->dev)
		r = -EXDEV;
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

/* Remove one leaf of the tree at name. 1: it was the tree itself. */
static int remove_leaf(const struct removal *rm, int dirfd, const char *name)
{
	char child[NAME_MAX + 1], cur_name[NAME_MAX + 1];
	_cleanup_close_ int parent = -1;
	_cleanup_close_ int cur = open_same_fs(rm, dirfd, name);
	int depth = 0, r;

	if (cur < 0)
		return cur;
	while ((r = next_folder(rm, cur, child)) > 0) {
		int next = open_same_fs(rm, cur, child);
		if (next < 0)
			return next == -ENOENT ? 0 : next;
		closep(&parent);
		parent = cur;
		cur = next;
		memcpy(cur_name, child, sizeof(child));
		depth++;
	}
	if (r < 0)
		return r;
	r = depth > 0 ? sys_unlinkat(parent, cur_name, AT_REMOVEDIR) : sys_unlinkat(dirfd, name, AT_REMOVEDIR);
	return r < 0 ? r : depth == 0;
}

static int remove_tree(int dirfd, const char *path, bool files)
{
	struct removal rm = { .files = files };
	struct stat st;
	int r;

	if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return files ? sys_unlinkat(dirfd, path, 0) : -ENOTDIR;
	rm.dev = st.st_dev;
	do
		r = remove_leaf(&rm, dirfd, path);
	while (r == 0);
	return r < 0 && r != -ENOENT ? r : 0;
}

int rm_rf(int dirfd, const char *path)
{
	return remove_tree(dirfd, path, true);
}

int rmdir_r(int dirfd, const char *path)
{
	return remove_tree(dirfd, path, false);
}
