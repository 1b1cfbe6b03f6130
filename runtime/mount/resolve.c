/* resolve.c: where in the container a mount may go. */
#include "runtime/mount/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include "base/mem.h"
#include "base/str.h"
#include "runtime/path/path.h"

/* What may be covered below /proc: files that programs like lxcfs make up per container. A cover anywhere else could forge what is read
 * and written there (CVE-2019-16884, CVE-2019-19921). */
static const char *const proc_allowed[] = {
	"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime", "/proc/loadavg", "/proc/slabinfo",
	"/proc/net/dev", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled",
};

/* "//a/./b/" -> "/a/b"; false when there is a ".." or it is too long. */
static bool clean(const char *path, char out[PATH_MAX])
{
	size_t n = 0;

	while (*path) {
		path += strspn(path, "/");
		size_t len = strcspn(path, "/");
		if (len == 2 && path[0] == '.' && path[1] == '.')
			return false;
		if (len > 0 && !(len == 1 && path[0] == '.')) {
			if (n + len + 2 > PATH_MAX)
				return false;
			out[n++] = '/';
			memcpy(out + n, path, len);
			n += len;
		}
		path += len;
	}
	if (n == 0)
		out[n++] = '/';
	out[n] = 0;
	return true;
}

static bool on_procfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type == PROC_SUPER_MAGIC;
}

static bool is_containers_proc(struct mnt_child *c, int target)
{
	_scratch_ int proc = path_open(c->rootfd, "/proc", O_PATH);
	struct stat a, b;

	return proc >= 0 && fstat(proc, &a) == 0 && fstat(target, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int refuse(const char *path, struct err *e)
{
	return err_set(e, -EPERM, "mount '%s': it is inside /proc, where only lxcfs's files may be covered; choose another destination", path);
}

/* plain: no link was met on the way, so the text says where target is. Otherwise the descriptor is asked. */
int mnt_check_target(struct mnt_child *c, const char *path, int target, bool plain, bool is_proc, struct err *e)
{
	char text[PATH_MAX];

	if (plain && clean(path, text)) {
		if (!path_is_inside(text, "/proc"))
			return 0;
		if (streq(text, "/proc"))
			return is_proc ? 0 : refuse(path, e);
		for (size_t i = 0; i < ARRAY_SIZE(proc_allowed); i++)
			if (streq(text, proc_allowed[i]))
				return 0;
		return refuse(path, e);
	}
	if (is_containers_proc(c, target))
		return is_proc ? 0 : refuse(path, e);
	return on_procfs(target) ? refuse(path, e) : 0;
}

int mnt_target(struct mnt_child *c, const char *path, bool dir, bool nofollow, struct err *e)
{
	int fd;

	if (nofollow) {
		fd = path_open(c->rootfd, path, O_PATH | O_NOFOLLOW);
		if (fd != -ENOENT)
			return fd < 0 ? err_sys(e, fd, "mount '%s'", path) : fd;
	}
	fd = dir ? path_make_dir(c->rootfd, path, 0755) : path_make_file(c->rootfd, path, 0755);
	if (fd == -EISDIR || fd == -ENOTDIR)
		return err_sys(e, fd, "mount '%s': the source is a %s and the destination is not", path, dir ? "folder" : "file");
	return fd < 0 ? err_sys(e, fd, "mount '%s': the destination in the container can't be made", path) : fd;
}
