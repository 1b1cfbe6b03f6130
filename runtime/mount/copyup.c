/* copyup.c: the contents of a folder into the tmpfs that is going to cover it (option tmpcopyup). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/mount/mount.h"

#define DEPTH_MAX 64 /* each level holds two descriptors */
#define COPY_CHUNK (1u << 20)

static int copy_data(int from, int to)
{
	for (;;) {
		ssize_t n = sendfile(to, from, NULL, COPY_CHUNK);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

/* What the tmpfs can't hold (a security label of another policy) is left out. */
static void copy_xattrs(int from, int to)
{
	char names[4096], value[4096];
	ssize_t n = flistxattr(from, names, sizeof(names));

	for (ssize_t i = 0; i < n; i += (ssize_t)strlen(names + i) + 1) {
		ssize_t len = fgetxattr(from, names + i, value, sizeof(value));
		if (len >= 0)
			(void)!fsetxattr(to, names + i, value, (size_t)len, 0);
	}
}

static int copy_meta(int from, int to, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return -errno;
	copy_xattrs(from, to);
	return futimens(to, times) < 0 ? -errno : 0;
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	_cleanup_close_ int from = sys_openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (from < 0)
		return from;
	_cleanup_close_ int to = sys_openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (to < 0)
		return to;
	int r = copy_data(from, to);
	return r < 0 ? r : copy_meta(from, to, st);
}

static int copy_link(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = 0;
	if (symlinkat(target, to_dir, name) < 0 || fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int copy_node(int to_dir, const char *name, const struct stat *st)
{
	if (mknodat(to_dir, name, st->st_mode & (S_IFMT | 07777), st->st_rdev) < 0)
		return errno == EPERM ? 0 : -errno; /* a device, in a user namespace */
	return fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_folder(int from, int to, int depth, struct err *e);

static int copy_one(int from_dir, int to_dir, const char *name, int depth, struct err *e)
{
	struct stat st;
	int r;

	if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISREG(st.st_mode))
		return copy_file(from_dir, to_dir, name, &st);
	if (S_ISLNK(st.st_mode))
		return copy_link(from_dir, to_dir, name, &st);
	if (!S_ISDIR(st.st_mode))
		return copy_node(to_dir, name, &st);
	if (depth >= DEPTH_MAX)
		return -ELOOP;
	_cleanup_close_ int from = sys_openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (from < 0)
		return from;
	r = sys_mkdirat(to_dir, name, 0700);
	_cleanup_close_ int to = r < 0 ? r : sys_openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	return to < 0 ? to : copy_folder(from, to, depth + 1, e);
}

static int copy_folder(int from, int to, int depth, struct err *e)
{
	int copy = fcntl(from, F_DUPFD_CLOEXEC, 3), r = 0;
	struct stat st;
	_cleanup_closedir_ DIR *d = copy < 0 ? NULL : fdopendir(copy);

	if (!d) {
		r = -errno;
		closep(&copy);
		return err_sys(e, r, "copying");
	}
	for (struct dirent *ent; r == 0 && (errno = 0, ent = readdir(d));) {
		if (streq(ent->d_name, ".") || streq(ent->d_name, ".."))
			continue;
		r = copy_one(from, to, ent->d_name, depth, e);
		if (r < 0)
			return e && e->code ? err_prefix(e, "%s", ent->d_name) : err_sys(e, r, "copying %s", ent->d_name);
	}
	if (fstat(from, &st) < 0)
		return err_sys(e, -errno, "copying");
	r = copy_meta(from, to, &st);
	return r < 0 ? err_sys(e, r, "copying") : 0;
}

int mnt_copy_up(int from, int to, struct err *e)
{
	_cleanup_close_ int folder = sys_openat(to, ".", O_RDONLY | O_DIRECTORY, 0); /* fsmount(2)'s descriptor is O_PATH */

	return folder < 0 ? err_sys(e, folder, "copying") : copy_folder(from, folder, 0, e);
}
