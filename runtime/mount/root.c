/* root.c: the container's root: from a folder of the host to '/'. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/mount/mount.h"

/* No mount event of ours may reach the host; what the host mounts later arrives unless the configuration says otherwise. */
static int set_propagation(const struct mnt_child *c, struct err *e)
{
	unsigned long p = c->plan->spec->rootfs_propagation;
	unsigned long kind = p & (MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_UNBINDABLE);
	_scratch_ int top = sys_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
	int r = top < 0 ? top : 0;

	if (r == 0 && !(kind == MS_SHARED)) /* a root that is to be shared comes from a tree that stays as it is */
		r = mnt_set(top, 0, 0, kind == MS_PRIVATE || kind == MS_UNBINDABLE ? MS_PRIVATE : MS_SLAVE, -1, true);
	return r < 0 ? err_sys(e, r, "the propagation of mounts in the new namespace") : 0;
}

/* A shared parent would show our bind on the host, and pivot_root(2) refuses it. The mount that a folder is in has its top where
 * statx(2) says so. */
static int make_parent_private(int folder)
{
	int fd = sys_openat(folder, ".", O_PATH | O_DIRECTORY, 0), r = fd;

	while (r >= 0) {
		struct statx x;
		if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &x) < 0) {
			r = -errno;
			break;
		}
		if (x.stx_attributes & STATX_ATTR_MOUNT_ROOT) {
			r = mnt_set(fd, 0, 0, MS_PRIVATE, -1, false);
			break;
		}
		int up = sys_openat(fd, "..", O_PATH | O_DIRECTORY, 0);
		close(fd);
		fd = r = up;
	}
	closep(&fd);
	return r < 0 ? r : 0;
}

static int open_folder(struct mnt_child *c, struct err *e)
{
	int fd = sys_openat(AT_FDCWD, c->plan->root ? c->plan->root : "/", O_PATH | O_DIRECTORY, 0);

	return fd < 0 ? err_sys(e, fd, "root.path: %s", c->plan->root ? c->plan->root : "/") : fd;
}

/* Without a root of its own (a service's sandbox) the machine's is what the mounts are applied to; read-only first, so that what is
 * mounted in it can be written. */
static int machines_root(struct mnt_child *c, struct err *e)
{
	int r;

	c->rootfd = open_folder(c, e);
	if (c->rootfd < 0)
		return c->rootfd;
	if (!c->plan->spec->root_readonly)
		return 0;
	r = mnt_set(c->rootfd, MOUNT_ATTR_RDONLY, 0, 0, -1, true);
	return r < 0 ? err_sys(e, r, "read-only root") : 0;
}

int mnt_root(struct mnt_child *c, struct err *e)
{
	int r = set_propagation(c, e);

	if (r < 0)
		return r;
	if (!c->plan->root)
		return machines_root(c, e);
	_scratch_ int folder = open_folder(c, e);
	if (folder < 0)
		return folder;
	_scratch_ int tree = mnt_clone(folder, "", AT_EMPTY_PATH | AT_RECURSIVE);
	if (tree < 0)
		return err_sys(e, tree, "root.path: %s", c->plan->root);
	if (c->plan->spec->rootfs_propagation & MS_SHARED) {
		r = make_parent_private(folder);
		if (r == 0)
			r = mnt_set(tree, 0, 0, MS_PRIVATE, -1, false);
	}
	if (r == 0)
		r = mnt_attach(tree, folder);
	if (r < 0)
		return err_sys(e, r, "root.path: %s", c->plan->root);
	c->rootfd = take_fd(&tree); /* now a mount of the namespace */
	return 0;
}

int mnt_seal(struct mnt_child *c, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n_late; i++)
		r = mnt_set(c->late[i], MOUNT_ATTR_RDONLY, 0, 0, -1, false);
	if (r < 0)
		return err_sys(e, r, "a read-only tmpfs");
	if (c->plan->root && c->plan->spec->root_readonly) {
		r = mnt_set(c->rootfd, MOUNT_ATTR_RDONLY, 0, 0, -1, false);
		if (r < 0)
			return err_sys(e, r, "root.readonly");
	}
	return 0;
}

/* For roots that can't be pivoted away from (an initramfs): move over '/' and change root. Whoever has CAP_SYS_CHROOT may get out again,
 * which is why it has to be asked for. */
static int move_root(struct mnt_child *c, struct err *e)
{
	_scratch_ int top = sys_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
	int r = top < 0 ? top : mnt_attach(c->rootfd, top);

	if (r == 0 && (fchdir(c->rootfd) < 0 || chroot(".") < 0 || chdir("/") < 0))
		r = -errno;
	return r < 0 ? err_sys(e, r, "moving the root") : 0;
}

/* pivot_root(".", ".") puts the old root on top of the new one (pivot_root(2)), from where it is detached. */
static int swap_root(struct mnt_child *c, struct err *e)
{
	if (fchdir(c->rootfd) < 0)
		return err_sys(e, -errno, "the new root");
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(e, -errno, "pivot_root");
	/* Slave first: the unmount must not reach the host. */
	if (c->plan->spec->rootfs_propagation & MS_SHARED && mount("", ".", "", MS_SLAVE | MS_REC, NULL) < 0)
		return err_sys(e, -errno, "the old root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(e, -errno, "leaving the old root");
	return 0;
}

int mnt_pivot(struct mnt_child *c, struct err *e)
{
	unsigned long p = c->plan->spec->rootfs_propagation;
	int r;

	if (!c->plan->root)
		return 0;
	r = c->plan->no_pivot ? move_root(c, e) : swap_root(c, e);
	if (r == 0 && p) {
		r = mnt_set(c->rootfd, 0, 0, p & ~(unsigned long)MS_REC, -1, p & MS_REC);
		if (r < 0)
			return err_sys(e, r, "linux.rootfsPropagation");
	}
	return r;
}
