/* dev.c: /dev of a container: the nodes and links that every one has (config-linux.md, "Default Devices"), linux.devices, the console. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/mount/mount.h"
#include "runtime/path/path.h"

static const struct oci_device default_devices[] = {
	{ .path = "/dev/null", .type = S_IFCHR, .major = 1, .minor = 3, .has_mode = true, .mode = 0666 },
	{ .path = "/dev/zero", .type = S_IFCHR, .major = 1, .minor = 5, .has_mode = true, .mode = 0666 },
	{ .path = "/dev/full", .type = S_IFCHR, .major = 1, .minor = 7, .has_mode = true, .mode = 0666 },
	{ .path = "/dev/tty", .type = S_IFCHR, .major = 5, .minor = 0, .has_mode = true, .mode = 0666 },
	{ .path = "/dev/random", .type = S_IFCHR, .major = 1, .minor = 8, .has_mode = true, .mode = 0666 },
	{ .path = "/dev/urandom", .type = S_IFCHR, .major = 1, .minor = 9, .has_mode = true, .mode = 0666 },
};

static const struct { const char *name, *to; } links[] = {
	{ "fd", "/proc/self/fd" }, { "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
};

/* What is there already (an image with nodes in its /dev): kept if it is the same device, replaced otherwise. */
static int replace_node(int dir, const char *name, const struct oci_device *d, mode_t mode, dev_t rdev)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if ((st.st_mode & S_IFMT) == d->type && (d->type == S_IFIFO || st.st_rdev == rdev))
		return fchmodat(dir, name, mode, 0) < 0 ? -errno : 0;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (unlinkat(dir, name, 0) < 0 || mknodat(dir, name, d->type | mode, rdev) < 0)
		return -errno;
	return 0;
}

/* A user namespace makes no nodes; the host's are bound, after a look that they are what their name says. */
static int bind_node(struct mnt_child *c, const struct oci_device *d)
{
	_scratch_ int from = mnt_verified_device(d->path, d->type, d->major, d->minor);
	if (from < 0)
		return from;
	_scratch_ int target = path_make_file(c->rootfd, d->path, 0666);
	if (target < 0)
		return target;
	_scratch_ int tree = mnt_clone(from, "", AT_EMPTY_PATH);
	int r = tree < 0 ? tree : mnt_set(tree, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, 0, -1, false);
	return r < 0 ? r : mnt_attach(tree, target);
}

/* dir -1: d->path's own folder, else the one that it is in. */
static int make_node(struct mnt_child *c, int dir, const struct oci_device *d, struct err *e)
{
	mode_t mode = d->has_mode ? d->mode : 0666;
	dev_t rdev = d->type == S_IFIFO ? 0 : makedev(d->major, d->minor);
	const char *name = d->path + strlen("/dev/");
	_scratch_ int own = -1;
	int r;

	if (c->plan->bind_devices && d->type != S_IFIFO) {
		r = bind_node(c, d);
		return r < 0 ? err_sys(e, r, "device '%s' of the host can't be bound", d->path) : 0;
	}
	if (dir < 0) {
		dir = own = path_make_parent(c->rootfd, d->path, &name);
		if (own < 0)
			return err_sys(e, own, "device '%s'", d->path);
	}
	r = mknodat(dir, name, d->type | mode, rdev) < 0 ? -errno : 0;
	if (r == -EEXIST)
		r = replace_node(dir, name, d, mode, rdev);
	if (r == -EPERM && d->type != S_IFIFO) /* inside a user namespace that somebody else made for us */
		r = bind_node(c, d);
	else if (r == 0 && (d->uid || d->gid) && fchownat(dir, name, d->uid, d->gid, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	return r < 0 ? err_sys(e, r, "device '%s'", d->path) : 0;
}

static bool configured(const struct oci_spec *s, const char *path)
{
	for (size_t i = 0; i < s->n_devices; i++)
		if (streq(s->devices[i].path, path))
			return true;
	return false;
}

static int make_link(int dev, const char *name, const char *to)
{
	return symlinkat(to, dev, name) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_links(int dev, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(links); i++)
		r = make_link(dev, links[i].name, links[i].to);
	if (r == 0)
		r = make_link(dev, "ptmx", "pts/ptmx");
	if (r == 0 && faccessat(AT_FDCWD, "/proc/kcore", F_OK, 0) == 0)
		r = make_link(dev, "core", "/proc/kcore");
	return r < 0 ? err_sys(e, r, "the links in /dev") : 0;
}

int mnt_devices(struct mnt_child *c, struct err *e)
{
	const struct oci_spec *s = c->plan->spec;
	int r = 0;

	if (!c->plan->make_dev)
		return 0;
	_scratch_ int dev = path_make_dir_plain(c->rootfd, "/dev", 0755);
	if (dev == -ELOOP || dev == -ENOTDIR)
		return err_set(e, dev, "/dev of the image is a symbolic link or no folder: mount a tmpfs there, or make it a folder");
	if (dev < 0)
		return err_sys(e, dev, "/dev in the container");
	mode_t mask = umask(0);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(default_devices); i++)
		if (!configured(s, default_devices[i].path))
			r = make_node(c, dev, &default_devices[i], e);
	for (size_t i = 0; r == 0 && i < s->n_devices; i++)
		r = make_node(c, -1, &s->devices[i], e);
	if (r == 0)
		r = make_links(dev, e);
	umask(mask);
	return r;
}

int mnt_console(struct mnt_child *c, int slave, struct err *e)
{
	_scratch_ int tree = mnt_clone(slave, "", AT_EMPTY_PATH);
	if (tree < 0)
		return err_sys(e, tree, "the terminal at /dev/console");
	_scratch_ int target = path_make_file(c->rootfd, "/dev/console", 0600);
	int r = target < 0 ? target : mnt_attach(tree, target);

	return r < 0 ? err_sys(e, r, "the terminal at /dev/console") : 0;
}

int mnt_notify_socket(struct mnt_child *c, const char *host_path, struct err *e)
{
	_scratch_ int tree = mnt_clone(AT_FDCWD, host_path, 0);
	if (tree < 0)
		return err_sys(e, tree, "the notify socket %s", host_path);
	_scratch_ int target = path_make_file(c->rootfd, "/run/notify/notify", 0777);
	int r = target < 0 ? target : mnt_attach(tree, target);

	return r < 0 ? err_sys(e, r, "the notify socket at /run/notify/notify") : 0;
}
