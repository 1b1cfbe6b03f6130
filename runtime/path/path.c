/* path.c: see path.h. */
#include "runtime/path/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"

#define RACES_MAX 128 /* openat2(2): EAGAIN while something is renamed beside; an attacker may keep at it */
#define LINKS_MAX 40  /* as the kernel's own limit, path_resolution(7) */

static int open_in(int rootfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)flags | O_CLOEXEC, .mode = mode, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve};

	for (int i = 0; i < RACES_MAX; i++) {
		long fd = syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return -EAGAIN;
}

int path_open(int rootfd, const char *path, int flags)
{
	return open_in(rootfd, path, flags, 0, 0);
}

int path_open_plain(int rootfd, const char *path, int flags)
{
	return open_in(rootfd, path, flags, 0, RESOLVE_NO_SYMLINKS);
}

/* path without its last component in dir; the component's place in path. "/" for one at the top. */
static int split(const char *path, char dir[PATH_MAX], const char **name)
{
	size_t n = strlen(path);
	const char *slash;

	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	while (n > 1 && path[n - 1] == '/')
		n--;
	memcpy(dir, path, n);
	dir[n] = 0;
	slash = strrchr(dir, '/');
	*name = slash ? path + (slash + 1 - dir) : path;
	if (!slash)
		dir[0] = 0;
	else
		dir[slash == dir ? 1 : slash - dir] = 0;
	return 0;
}

/* The component of a path that may have slashes behind it. */
static int component(const char *name, char buf[NAME_MAX + 1])
{
	size_t n = strcspn(name, "/");

	if (n == 0 || n > NAME_MAX || name[strspn(name + n, "/") + n])
		return n > NAME_MAX ? -ENAMETOOLONG : -EINVAL;
	memcpy(buf, name, n);
	buf[n] = 0;
	return streq(buf, ".") || streq(buf, "..") ? -EINVAL : 0;
}

static int make_dir(int rootfd, const char *path, mode_t mode, int links, uint64_t resolve);

/* `name` in dirfd is in the way of mkdir: a folder that somebody made meanwhile, or a link of the image that points to nothing. */
static int make_behind_link(int rootfd, int dirfd, const char *dir, const char *name, mode_t mode, int links)
{
	char target[PATH_MAX], joined[PATH_MAX];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);

	if (n < 0)
		return errno == EINVAL ? -ENOTDIR : -errno;
	if (links >= LINKS_MAX)
		return -ELOOP;
	target[n] = 0;
	if (target[0] == '/')
		return make_dir(rootfd, target, mode, links + 1, 0);
	if (snprintf(joined, sizeof(joined), "%s/%s", dir, target) >= (int)sizeof(joined))
		return -ENAMETOOLONG;
	return make_dir(rootfd, joined, mode, links + 1, 0);
}

static int make_dir(int rootfd, const char *path, mode_t mode, int links, uint64_t resolve)
{
	char dir[PATH_MAX], last[NAME_MAX + 1];
	const char *name;
	int r = open_in(rootfd, path, O_PATH | O_DIRECTORY, 0, resolve);

	if (r != -ENOENT)
		return r;
	r = split(path, dir, &name);
	if (r == 0)
		r = component(name, last);
	if (r < 0)
		return r;
	_cleanup_close_ int parent = make_dir(rootfd, dir, mode, links, resolve);
	if (parent < 0)
		return parent;
	r = sys_mkdirat(parent, last, mode);
	if (r < 0 && r != -EEXIST)
		return r;
	if (r == 0)
		return open_in(parent, last, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	r = open_in(rootfd, path, O_PATH | O_DIRECTORY, 0, resolve);
	return r == -ENOENT ? make_behind_link(rootfd, parent, dir, last, mode, links) : r;
}

int path_make_dir(int rootfd, const char *path, mode_t mode)
{
	return make_dir(rootfd, path, mode, 0, 0);
}

int path_make_dir_plain(int rootfd, const char *path, mode_t mode)
{
	return make_dir(rootfd, path, mode, 0, RESOLVE_NO_SYMLINKS);
}

int path_make_parent(int rootfd, const char *path, const char **ret_name)
{
	char dir[PATH_MAX];
	int r = split(path, dir, ret_name);

	if (r == 0 && (!**ret_name || strchr(*ret_name, '/') || streq(*ret_name, ".") || streq(*ret_name, "..")))
		r = -EINVAL;
	return r < 0 ? r : make_dir(rootfd, dir, 0755, 0, 0);
}

static int make_file(int rootfd, const char *path, mode_t mode, int links)
{
	char dir[PATH_MAX], last[NAME_MAX + 1], target[PATH_MAX], joined[PATH_MAX];
	const char *name;
	struct stat st;
	int r = open_in(rootfd, path, O_PATH, 0, 0);

	if (r >= 0) {
		if (fstat(r, &st) == 0 && !S_ISDIR(st.st_mode))
			return r;
		close(r);
		return -EISDIR;
	}
	if (r != -ENOENT)
		return r;
	r = split(path, dir, &name);
	if (r == 0)
		r = component(name, last);
	if (r < 0)
		return r;
	_cleanup_close_ int parent = make_dir(rootfd, dir, 0755, 0, 0);
	if (parent < 0)
		return parent;
	_cleanup_close_ int fd = open_in(parent, last, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDONLY, mode, RESOLVE_NO_SYMLINKS);
	if (fd >= 0)
		return open_in(parent, last, O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	if (fd != -EEXIST)
		return fd;
	ssize_t n = readlinkat(parent, last, target, sizeof(target) - 1);
	if (n < 0)
		return open_in(rootfd, path, O_PATH, 0, 0);
	if (links >= LINKS_MAX)
		return -ELOOP;
	target[n] = 0;
	if (snprintf(joined, sizeof(joined), "%s%s%s", target[0] == '/' ? "" : dir, target[0] == '/' ? "" : "/", target) >= (int)sizeof(joined))
		return -ENAMETOOLONG;
	return make_file(rootfd, joined, mode, links + 1);
}

int path_make_file(int rootfd, const char *path, mode_t mode)
{
	return make_file(rootfd, path, mode, 0);
}

bool path_is_inside(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 0 && dir[n - 1] == '/')
		n--;
	return strncmp(path, dir, n) == 0 && (path[n] == 0 || path[n] == '/');
}
