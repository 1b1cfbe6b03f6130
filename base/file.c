/* file.c: whole files and folders; see file.h. Replacement is in replace.c, removal of trees in rmtree.c. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include "base/sys.h"

/* One byte more than st_size, so that end of file shows at once; proc and sysfs say 0 or 4096 whatever the length is. */
static size_t first_size(int fd, size_t max)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
		return MIN((size_t)4096, max) + 1;
	return MIN((size_t)st.st_size, max) + 1;
}

/* Fill *data (cap bytes) until end of file, growing it up to max + 1 bytes. */
static int read_grow(int fd, size_t max, char **data, size_t cap, size_t *ret_len)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = sys_read(fd, *data + len, cap - len);
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
		if (len < cap)
			continue;
		cap = MIN(cap * 2, max + 1);
		char *p = realloc(*data, cap + 1);
		if (!p)
			return -ENOMEM;
		*data = p;
	}
	(*data)[len] = 0;
	*ret_len = len;
	return 0;
}

int fd_read_all(int fd, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *data = NULL;
	size_t cap, len;
	int r;

	max = MIN(max, (size_t)SSIZE_MAX / 2);
	cap = first_size(fd, max);
	data = malloc(cap + 1);
	if (!data)
		return -ENOMEM;
	r = read_grow(fd, max, &data, cap, &len);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(data);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int file_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_close_ int fd = sys_openat(dirfd, path, O_RDONLY | O_NOCTTY, 0);

	return fd < 0 ? fd : fd_read_all(fd, max, ret, ret_len);
}

int file_write_str(int dirfd, const char *path, const char *s)
{
	_cleanup_close_ int fd = sys_openat(dirfd, path, O_WRONLY | O_NOCTTY, 0);
	size_t len = strlen(s);

	if (fd < 0)
		return fd;
	ssize_t n = sys_write(fd, s, len);
	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -EIO;
}

int write_all(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n > 0) {
		ssize_t w = sys_write(fd, p, n);
		if (w < 0)
			return (int)w;
		if (w == 0)
			return -EIO;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

/* mkdir; what is there already is fine when it is a folder, or a link to one. */
static int mkdir_one(const char *path, mode_t mode)
{
	struct stat st;
	int r = sys_mkdirat(AT_FDCWD, path, mode);

	if (r >= 0)
		return 0;
	if ((r != -EEXIST && r != -EROFS) || stat(path, &st) < 0) /* a read-only file system says EROFS for existing ones too */
		return r;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int mkdir_p(const char *path, mode_t mode)
{
	char buf[PATH_MAX];
	size_t len = strlen(path);
	int r;

	if (len == 0)
		return -ENOENT;
	if (len >= sizeof(buf))
		return -ENAMETOOLONG;
	memcpy(buf, path, len + 1);
	for (char *p = strchr(buf + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		r = mkdir_one(buf, mode);
		if (r < 0)
			return r;
		*p = '/';
	}
	return mkdir_one(buf, mode);
}

static int change_flag(int fd, int get, int set, int flag, bool on)
{
	int old = fcntl(fd, get);
	int new = on ? old | flag : old & ~flag;

	if (old < 0)
		return -errno;
	if (new == old)
		return 0;
	return fcntl(fd, set, new) < 0 ? -errno : 0;
}

int fd_set_cloexec(int fd, bool on)
{
	return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int fd_set_nonblock(int fd, bool on)
{
	return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int dir_open(int dirfd, const char *name, DIR **ret)
{
	int fd = sys_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0), r;

	if (fd < 0)
		return fd;
	*ret = fdopendir(fd);
	if (*ret)
		return 0;
	r = -errno;
	close(fd);
	return r;
}
