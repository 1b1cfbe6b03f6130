/* replace.c: atomic, durable replacement of a file.
 *
 * The order is what makes it durable: the data reach the disk (fsync) before the name points at them (rename), and the
 * name reaches the disk (fsync of the folder) before success is reported. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include "base/sys.h"

#define TMP_NAME_MAX (NAME_MAX + 1)

/* Split path into its folder, which is opened, and the name in it (borrowed from path). */
static int open_folder(int dirfd, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	size_t n;

	*ret_name = slash ? slash + 1 : path;
	if (!**ret_name)
		return -EISDIR;
	if (!slash)
		return sys_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	n = slash == path ? 1 : (size_t)(slash - path);
	if (n >= sizeof(folder))
		return -ENAMETOOLONG;
	memcpy(folder, path, n);
	folder[n] = 0;
	return sys_openat(dirfd, folder, O_RDONLY | O_DIRECTORY, 0);
}

/* Hidden, so that readers of "*.ini" folders pass it by, and random, so that two writers never share one. */
static void temporary_name(char tmp[TMP_NAME_MAX], const char *name)
{
	uint64_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random)) /* early boot */
		random = (uint64_t)getpid() << 32 ^ (uintptr_t)tmp;
	snprintf(tmp, TMP_NAME_MAX, ".%.200s.%08x", name, (unsigned)(random ^ random >> 32));
}

static int write_new(int dir, const char *tmp, const void *data, size_t n, mode_t mode)
{
	_cleanup_close_ int fd = sys_openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return fd;
	r = write_all(fd, data, n);
	if (r >= 0 && fchmod(fd, mode) < 0) /* open(2) would apply the umask */
		r = -errno;
	if (r >= 0)
		r = sys_fsync(fd);
	if (r < 0)
		(void)unlinkat(dir, tmp, 0);
	return r;
}

static int put(int dir, const char *name, const void *data, size_t n, mode_t mode)
{
	char tmp[TMP_NAME_MAX];
	int r;

	temporary_name(tmp, name);
	r = write_new(dir, tmp, data, n, mode);
	if (r < 0)
		return r;
	r = sys_renameat(dir, tmp, dir, name);
	if (r < 0)
		(void)unlinkat(dir, tmp, 0);
	return r;
}

/* The folder could not be synced, so that nobody knows which name the disk has. What readers see must agree with the
 * failure that is reported: bring the old content back from the descriptor that still holds it. */
static void undo(int dir, const char *name, int oldfd)
{
	_cleanup_free_ char *data = NULL;
	struct stat st;

	if (oldfd == -ENOENT) {
		(void)unlinkat(dir, name, 0);
		return;
	}
	if (oldfd < 0 || fstat(oldfd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	data = malloc((size_t)st.st_size + 1);
	if (data && sys_pread(oldfd, data, (size_t)st.st_size, 0) == st.st_size)
		(void)put(dir, name, data, (size_t)st.st_size, st.st_mode & 07777);
}

int file_replace(int dirfd, const char *path, const void *data, size_t n, mode_t mode)
{
	const char *name;
	_cleanup_close_ int dir = open_folder(dirfd, path, &name);
	int r;

	if (dir < 0)
		return dir;
	_cleanup_close_ int old = sys_openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	if (old < 0 && old != -ENOENT && old != -ELOOP) /* a link is replaced, as rename(2) does */
		return old;
	r = put(dir, name, data, n, mode);
	if (r < 0)
		return r;
	r = sys_fsync(dir);
	if (r < 0)
		undo(dir, name, old);
	return r;
}
