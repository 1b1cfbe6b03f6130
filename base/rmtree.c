/* rmtree.c: removal of trees.
 *
 * One walk without recursion: down to a folder that has no folders in it, remove it, one up, and so on. Only the last
 * LEVELS folders are held open; above them the walk starts anew from the top. So it needs a fixed number of descriptors
 * and a fixed piece of stack however deep a hostile tree is, and never has to trust "..". */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include "base/sys.h"

#define LEVELS 64

struct level {
	int fd;
	char name[NAME_MAX + 1]; /* in the folder above */
};

struct removal {
	bool files;  /* unlink what is no folder; cgroupfs removes those by itself */
	dev_t dev;
	int depth, lowest;            /* levels lowest...depth are open, in level[i % LEVELS] */
	struct level level[LEVELS];
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
	_cleanup_closedir_ DIR *dir = NULL;
	int r = dir_open(dirfd, ".", &dir);

	if (r < 0)
		return r;
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

static struct level *level_at(struct removal *rm, int depth)
{
	return &rm->level[depth % LEVELS];
}

/* Go to folder name below the present one (or below dirfd, to begin with). -ENOENT: it is gone meanwhile. */
static int descend(struct removal *rm, int dirfd, const char *name)
{
	int fd = open_same_fs(rm, dirfd, name);
	struct level *l;

	if (fd < 0)
		return fd;
	l = level_at(rm, ++rm->depth);
	if (rm->depth - rm->lowest >= LEVELS) {
		close(l->fd);
		rm->lowest++;
	}
	l->fd = fd;
	if (rm->depth > 0)
		snprintf(l->name, sizeof(l->name), "%s", name);
	return 0;
}

/* Remove the present folder, which is empty, and go to the one above. */
static int ascend(struct removal *rm)
{
	struct level *l = level_at(rm, rm->depth), *above = level_at(rm, --rm->depth);
	int r;

	close(l->fd);
	r = sys_unlinkat(above->fd, l->name, AT_REMOVEDIR);
	return r == -ENOENT ? 0 : r;
}

/* One walk from the top. 0: nothing is left below the highest folder that is still open. */
static int walk(struct removal *rm)
{
	char child[NAME_MAX + 1];
	int r;

	for (;;) {
		int fd = level_at(rm, rm->depth)->fd;
		r = next_folder(rm, fd, child);
		if (r > 0) {
			r = descend(rm, fd, child);
			if (r == -ENOENT)
				r = 0;
		} else if (r == 0) {
			if (rm->depth == rm->lowest)
				return 0;
			r = ascend(rm);
		}
		if (r < 0)
			return r;
	}
}

/* 1: the whole tree is gone; 0: a part of it is. */
static int remove_some(struct removal *rm, int dirfd, const char *path)
{
	bool whole;
	int r;

	rm->depth = -1;
	rm->lowest = 0;
	r = descend(rm, dirfd, path);
	if (r < 0)
		return r;
	r = walk(rm);
	whole = rm->lowest == 0;
	for (; rm->depth >= rm->lowest; rm->depth--)
		close(level_at(rm, rm->depth)->fd);
	if (r < 0 || !whole)
		return r;
	r = sys_unlinkat(dirfd, path, AT_REMOVEDIR);
	return r < 0 ? r : 1;
}

static int remove_tree(int dirfd, const char *path, bool files)
{
	struct removal rm;
	struct stat st;
	int r;

	if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return files ? sys_unlinkat(dirfd, path, 0) : -ENOTDIR;
	rm.files = files;
	rm.dev = st.st_dev;
	do
		r = remove_some(&rm, dirfd, path);
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
