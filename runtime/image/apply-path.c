/* apply-path.c: folders of the tree by name, and what is in them. */
#include "runtime/image/apply-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"

#define DEPTH_MAX 512 /* of folders that a whiteout walks through; one descriptor each */

/* --- numbers of inodes --- */

static struct ino_slot *slot_of(const struct ino_set *set, uint64_t ino)
{
	size_t i = (size_t)(ino * 0x9e3779b97f4a7c15u >> 20) & (set->cap - 1);

	while (set->v[i].ino && set->v[i].ino != ino)
		i = (i + 1) & (set->cap - 1);
	return &set->v[i];
}

bool ino_has(const struct ino_set *set, ino_t ino)
{
	return set->cap > 0 && slot_of(set, ino)->ino == ino;
}

int ino_add(struct ino_set *set, ino_t ino, size_t value)
{
	if (set->n * 2 >= set->cap) {
		struct ino_set bigger = {.cap = set->cap ? set->cap * 2 : 1024};
		bigger.v = calloc(bigger.cap, sizeof(*bigger.v));
		if (!bigger.v)
			return -ENOMEM;
		for (size_t i = 0; i < set->cap; i++)
			if (set->v[i].ino)
				*slot_of(&bigger, set->v[i].ino) = set->v[i];
		bigger.n = set->n;
		free(set->v);
		*set = bigger;
	}
	struct ino_slot *slot = slot_of(set, ino);
	set->n += slot->ino == 0;
	*slot = (struct ino_slot){ino, value};
	return 0;
}

/* --- names --- */

int path_clean(char *path)
{
	char *to = path;

	for (const char *c = path; *c;) {
		size_t n = strcspn(c, "/");
		if (n == 2 && c[0] == '.' && c[1] == '.')
			return -EPERM;
		if (n > 0 && !(n == 1 && c[0] == '.')) {
			if (to > path)
				*to++ = '/';
			memmove(to, c, n);
			to += n;
		}
		c += n + (c[n] == '/');
	}
	*to = '\0';
	return 0;
}

void path_split(char *path, const char **name)
{
	char *slash = strrchr(path, '/');

	if (slash) {
		*slash = '\0';
		*name = slash + 1;
	} else { /* the root's: path is cut to "", the name moves out of the way */
		size_t n = strlen(path);
		memmove(path + 1, path, n + 1);
		path[0] = '\0';
		*name = path + 1;
	}
}

/* --- folders --- */

static int open_in_root(int root, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
	int fd;

	do
		fd = (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : fd;
}

/* The folder's components that are missing, one after the other. Each is made in a folder that was opened before, so a link on the way
 * leads to where openat2() says. */
static int make_folders(struct apply *a, const char *path)
{
	char prefix[PATH_MAX];
	struct stat st;
	int r;

	for (size_t n = strcspn(path, "/");; n += 1 + strcspn(path + n + 1, "/")) {
		snprintf(prefix, sizeof(prefix), "%.*s", (int)n, path);
		_cleanup_close_ int fd = open_in_root(a->root, prefix, O_PATH | O_DIRECTORY);
		if (fd == -ENOENT) {
			char *slash = strrchr(prefix, '/');
			if (slash)
				*slash = '\0';
			_cleanup_close_ int above = open_in_root(a->root, slash ? prefix : "", O_PATH | O_DIRECTORY);
			const char *name = slash ? slash + 1 : prefix;
			r = above < 0 ? above : folder_time(a, above, slash ? prefix : "", NULL);
			r = r < 0 ? r : sys_mkdirat(above, name, 0755);
			if (r == 0 && fstatat(above, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
				r = -errno;
			if (r == 0)
				r = ino_add(&a->ours, st.st_ino, 0);
			if (r < 0)
				return r == -EEXIST ? -ENOENT : r; /* a link to nowhere */
		} else if (fd < 0) {
			return fd;
		}
		if (!path[n])
			return 0;
	}
}

int parent_open(struct apply *a, const char *path, bool make)
{
	for (unsigned i = 0; i < PARENTS; i++)
		if (a->parents[i].path && streq(a->parents[i].path, path))
			return a->parents[i].fd;
	if (strlen(path) >= PATH_MAX)
		return -ENAMETOOLONG;
	int fd = open_in_root(a->root, path, O_PATH | O_DIRECTORY);
	if (fd == -ENOENT && make) {
		int r = make_folders(a, path);
		fd = r < 0 ? r : open_in_root(a->root, path, O_PATH | O_DIRECTORY);
	}
	if (fd < 0)
		return fd;
	int r = folder_time(a, fd, path, NULL);
	struct parent *p = &a->parents[a->next_parent++ % PARENTS];
	char *copy = strdup(path);
	if (p->path && p->fd == a->busy) /* the entry that is being made is in it */
		p = &a->parents[a->next_parent++ % PARENTS];
	if (r < 0 || !copy) {
		free(copy);
		close(fd);
		return r < 0 ? r : -ENOMEM;
	}
	if (p->path)
		close(p->fd);
	free(p->path);
	*p = (struct parent){copy, fd};
	return fd;
}

void parents_flush(struct apply *a)
{
	for (unsigned i = 0; i < PARENTS; i++) {
		if (a->parents[i].path)
			close(a->parents[i].fd);
		free(a->parents[i].path);
		a->parents[i] = (struct parent){NULL, -1};
	}
}

/* --- times of folders --- */

static int add_folder(struct apply *a, ino_t ino, const char *path, const struct timespec *mtime)
{
	if (a->n_folders == a->cap_folders) {
		size_t cap = a->cap_folders ? a->cap_folders * 2 : 256;
		struct folder *v = realloc(a->folders, cap * sizeof(*v));
		if (!v)
			return -ENOMEM;
		a->folders = v;
		a->cap_folders = cap;
	}
	a->folder_bytes += strlen(path) + 1;
	if (a->folder_bytes > FOLDER_PATHS_MAX)
		return -E2BIG;
	char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	a->folders[a->n_folders++] = (struct folder){ino, *mtime, copy};
	return ino_add(&a->timed, ino, a->n_folders - 1);
}

int folder_time(struct apply *a, int fd, const char *path, const struct timespec *mtime)
{
	struct stat st;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	if (!ino_has(&a->timed, st.st_ino))
		return add_folder(a, st.st_ino, path, mtime ? mtime : &st.st_mtim);
	if (mtime)
		a->folders[slot_of(&a->timed, st.st_ino)->value].mtime = *mtime;
	return 0;
}

int folders_finish(struct apply *a, struct err *e)
{
	for (size_t i = 0; i < a->n_folders; i++) {
		const struct folder *f = &a->folders[i];
		struct timespec t[2] = {f->mtime, f->mtime};
		struct stat st;
		_cleanup_close_ int fd = open_in_root(a->root, f->path, O_RDONLY | O_DIRECTORY);
		if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != f->ino)
			continue; /* it was removed, or something else is there now */
		if (futimens(fd, t) < 0)
			return err_sys(e, -errno, "set the time of %s", f->path);
	}
	return 0;
}

/* --- removal --- */

static int remove_in(struct apply *a, int dirfd, unsigned depth);

/* A folder with something of ours in it stays, as far as it leads there. */
static int remove_one(struct apply *a, int dirfd, const char *name, unsigned depth)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return ino_has(&a->ours, st.st_ino) ? 0 : sys_unlinkat(dirfd, name, 0);
	if (depth >= DEPTH_MAX)
		return -ELOOP;
	_cleanup_close_ int fd = sys_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	int r = fd < 0 ? fd : remove_in(a, fd, depth + 1);
	if (r < 0 || ino_has(&a->ours, st.st_ino))
		return r;
	r = sys_unlinkat(dirfd, name, AT_REMOVEDIR);
	return r == -ENOTEMPTY || r == -EEXIST ? 0 : r;
}

static int remove_in(struct apply *a, int dirfd, unsigned depth)
{
	_cleanup_closedir_ DIR *d = NULL;
	int r = dir_open(dirfd, ".", &d);

	if (r < 0)
		return r;
	for (struct dirent *de; r == 0 && (de = readdir(d));)
		if (!streq(de->d_name, ".") && !streq(de->d_name, ".."))
			r = remove_one(a, dirfd, de->d_name, depth);
	return r;
}

int remove_lower(struct apply *a, int dirfd, const char *name)
{
	return name ? remove_one(a, dirfd, name, 0) : remove_in(a, dirfd, 0);
}

void apply_clear(struct apply *a)
{
	parents_flush(a);
	for (size_t i = 0; i < a->n_folders; i++)
		free(a->folders[i].path);
	free(a->folders);
	free(a->ours.v);
	free(a->timed.v);
}
