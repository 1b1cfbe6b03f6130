/* mask.c: what of the kernel's files a container doesn't see, or sees read-only.
 *
 * A masked file gets the host's /dev/null over it, by a descriptor that was verified to be that device: not whatever the container calls
 * /dev/null (CVE-2025-31133). Masked folders share one empty read-only tmpfs. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/mount/mount.h"
#include "runtime/path/path.h"

int mnt_verified_device(const char *host_path, mode_t type, uint32_t major, uint32_t minor)
{
	_scratch_ int fd = sys_openat(AT_FDCWD, host_path, O_PATH | O_NOFOLLOW, 0);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & S_IFMT) != type || st.st_rdev != makedev(major, minor))
		return -ENODEV;
	return take_fd(&fd);
}

static int null_device(struct mnt_child *c, struct err *e)
{
	if (c->null_fd < 0)
		c->null_fd = mnt_verified_device("/dev/null", S_IFCHR, 1, 3);
	return c->null_fd < 0 ? err_sys(e, c->null_fd, "the host's /dev/null isn't character device 1:3") : c->null_fd;
}

static int empty_folder(struct mnt_child *c, struct err *e)
{
	if (c->empty >= 0)
		return c->empty;
	_scratch_ int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
		syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(e, -errno, "an empty folder");
	c->empty = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return c->empty < 0 ? err_sys(e, -errno, "an empty folder") : c->empty;
}

/* The first folder gets the tmpfs itself, so that no detached mount is left to be taken apart; the others clones of it, which is then
 * a mount of our namespace. */
static int mask_folder(struct mnt_child *c, int target, struct err *e)
{
	bool first = c->empty < 0;
	int empty = empty_folder(c, e), r;

	if (empty < 0)
		return empty;
	if (first)
		return mnt_attach(empty, target);
	_scratch_ int tree = mnt_clone(empty, "", AT_EMPTY_PATH);
	r = tree < 0 ? tree : mnt_attach(tree, target);
	return r;
}

static int mask_file(struct mnt_child *c, int target, struct err *e)
{
	int null = null_device(c, e);

	if (null < 0)
		return null;
	_scratch_ int tree = mnt_clone(null, "", AT_EMPTY_PATH);
	return tree < 0 ? tree : mnt_attach(tree, target);
}

static int mask(struct mnt_child *c, const char *path, struct err *e)
{
	_scratch_ int target = path_open(c->rootfd, path, O_PATH);
	struct stat st;
	int r;

	if (target == -ENOENT || target == -ENOTDIR || target == -EACCES)
		return 0; /* nothing to hide, as runc has it */
	if (target < 0 || fstat(target, &st) < 0)
		return err_sys(e, target < 0 ? target : -errno, "mask '%s'", path);
	r = S_ISDIR(st.st_mode) ? mask_folder(c, target, e) : mask_file(c, target, e);
	return r < 0 ? (e && e->code ? err_prefix(e, "mask '%s'", path) : err_sys(e, r, "mask '%s'", path)) : 0;
}

static int make_read_only(struct mnt_child *c, const char *path, struct err *e)
{
	_scratch_ int target = path_open(c->rootfd, path, O_PATH);
	int r;

	if (target == -ENOENT || target == -ENOTDIR)
		return 0;
	if (target < 0)
		return err_sys(e, target, "read-only path '%s'", path);
	_scratch_ int tree = mnt_clone(target, "", AT_EMPTY_PATH | AT_RECURSIVE);
	r = tree < 0 ? tree : mnt_set(tree, MOUNT_ATTR_RDONLY, 0, 0, -1, false);
	if (r == 0)
		r = mnt_attach(tree, target);
	return r < 0 ? err_sys(e, r, "read-only path '%s'", path) : 0;
}

int mnt_mask(struct mnt_child *c, struct err *e)
{
	const struct oci_spec *s = c->plan->spec;
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->readonly_paths.n; i++)
		r = make_read_only(c, s->readonly_paths.v[i], e);
	for (size_t i = 0; r == 0 && i < s->masked_paths.n; i++)
		r = mask(c, s->masked_paths.v[i], e);
	return r;
}
