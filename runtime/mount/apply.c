/* apply.c: mounts, one after the other, in the child. */
#include "runtime/mount/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include "base/mem.h"
#include "base/str.h"
#include "runtime/path/path.h"

int mnt_clone(int dirfd, const char *path, unsigned flags)
{
	long fd = syscall(SYS_open_tree, dirfd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
	return fd < 0 ? -errno : (int)fd;
}

int mnt_set(int tree, uint64_t set, uint64_t clr, uint64_t propagation, int userns, bool recursive)
{
	struct mount_attr a = { .attr_set = set, .attr_clr = clr, .propagation = propagation, .userns_fd = userns >= 0 ? (uint64_t)userns : 0 };

	return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a, sizeof(a)) < 0 ? -errno : 0;
}

int mnt_attach(int tree, int target)
{
	return syscall(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ? -errno : 0;
}

/* --- file systems --- */

/* The kernel's own words on what it did not like, fsopen(2): "e tmpfs: Bad value for 'size'". */
static void add_kernels_words(int fs, struct err *e)
{
	char text[256];
	ssize_t n = read(fs, text, sizeof(text) - 1);

	if (n <= 2)
		return;
	text[n] = 0;
	text[strcspn(text, "\n")] = 0;
	err_prefix(e, "%s", text + 2);
}

static int set_string(int fs, const char *key, const char *value, struct err *e)
{
	if (syscall(SYS_fsconfig, fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0) == 0)
		return 0;
	err_sys(e, -errno, "option '%s%s%s'", key, value ? "=" : "", value ? value : "");
	add_kernels_words(fs, e);
	return e ? e->code : -EINVAL;
}

static int set_option(int fs, const char *option, struct err *e)
{
	char key[128];
	size_t n = strcspn(option, "=");

	if (n >= sizeof(key))
		return err_set(e, -EINVAL, "option '%s' is too long", option);
	memcpy(key, option, n);
	key[n] = 0;
	return set_string(fs, key, option[n] ? option + n + 1 : NULL, e);
}

static bool has_mode(const struct oci_mount *m)
{
	for (size_t i = 0; i < m->fs_options.n; i++)
		if (str_starts(m->fs_options.v[i], "mode="))
			return true;
	return false;
}

/* A tmpfs takes the mode of the folder that it covers, unless it is told another. */
static int keep_mode(int fs, const struct oci_mount *m, int target, struct err *e)
{
	struct stat st;
	char text[16];

	if (!streq(m->type, "tmpfs") || has_mode(m) || fstat(target, &st) < 0)
		return 0;
	snprintf(text, sizeof(text), "%04o", st.st_mode & 07777);
	return set_string(fs, "mode", text, e);
}

static int set_options(const struct mnt_child *c, int fs, const struct oci_mount *m, bool late_ro, int target, struct err *e)
{
	int r = set_string(fs, "source", *m->source ? m->source : m->type, e);

	for (size_t i = 0; r == 0 && i < m->sb_options.n; i++)
		if (!(late_ro && streq(m->sb_options.v[i], "ro")))
			r = set_string(fs, m->sb_options.v[i], NULL, e);
	for (size_t i = 0; r == 0 && i < m->fs_options.n; i++)
		r = set_option(fs, m->fs_options.v[i], e);
	if (r == 0)
		r = keep_mode(fs, m, target, e);
	if (r == 0 && c->plan->label && !streq(m->type, "proc") && !streq(m->type, "sysfs") && !streq(m->type, "mqueue"))
		r = set_string(fs, "context", c->plan->spec->mount_label, e);
	return r;
}

/* A detached mount of a new file system. late_ro: not read-only yet. */
static int make_fs(const struct mnt_child *c, const struct oci_mount *m, const char *type, bool late_ro, int target, struct err *e)
{
	_scratch_ int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	uint64_t attr = m->attr_set;
	int tree, r;

	if (fs < 0)
		return err_sys(e, -errno, "file system '%s'", type);
	r = set_options(c, fs, m, late_ro, target, e);
	if (r < 0)
		return r;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
		r = -errno;
		err_sys(e, r, "file system '%s'", type);
		add_kernels_words(fs, e);
		return r;
	}
	tree = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, late_ro ? attr & ~(uint64_t)MOUNT_ATTR_RDONLY : attr);
	return tree < 0 ? err_sys(e, -errno, "file system '%s'", type) : tree;
}

static int set_recursive_and_propagation(int tree, const struct oci_mount *m)
{
	int r = 0;

	if (m->rattr_set || m->rattr_clr)
		r = mnt_set(tree, m->rattr_set, m->rattr_clr, 0, -1, true);
	if (r == 0 && m->propagation)
		r = mnt_set(tree, 0, 0, m->propagation & ~(unsigned long)MS_REC, -1, m->propagation & MS_REC);
	return r;
}

/* The verified place for it. Mostly no link is on the way, which makes the check cheap. */
static int find_target(struct mnt_child *c, const struct oci_mount *m, bool dir, bool is_proc, struct err *e)
{
	_scratch_ int target = dir ? path_make_dir_plain(c->rootfd, m->destination, 0755) : path_open_plain(c->rootfd, m->destination, O_PATH);
	bool plain = target >= 0;
	struct stat st;
	int r;

	if (plain && !dir && fstat(target, &st) == 0 && S_ISDIR(st.st_mode))
		return err_sys(e, -EISDIR, "mount '%s': the source is a file and the destination is not", m->destination);
	if (!plain)
		target = mnt_target(c, m->destination, dir, m->flags & OCI_MOUNT_DEST_NOFOLLOW, e);
	r = target < 0 ? target : mnt_check_target(c, m->destination, target, plain, is_proc, e);
	return r < 0 ? r : take_fd(&target);
}

/* Put it where the configuration says. Takes tree and target; target -1: find it. */
static int place(struct mnt_child *c, const struct oci_mount *m, int tree_, int target_, bool dir, bool is_proc, struct err *e)
{
	_scratch_ int tree = tree_;
	_scratch_ int target = target_;
	int r;

	if (target < 0)
		target = find_target(c, m, dir, is_proc, e);
	if (target < 0)
		return target;
	r = mnt_attach(tree, target);
	if (r == 0)
		r = set_recursive_and_propagation(tree, m);
	return r < 0 ? err_sys(e, r, "mount '%s'", m->destination) : 0;
}

/* Becomes read-only at the end, when all that is mounted in it has its place. */
static int remember_late(struct mnt_child *c, int tree, struct err *e)
{
	if (c->n_late == ARRAY_SIZE(c->late))
		return err_set(e, -E2BIG, "more than %zu read-only tmpfs mounts", ARRAY_SIZE(c->late));
	int copy = fcntl(tree, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return err_sys(e, -errno, "read-only tmpfs");
	c->late[c->n_late++] = copy;
	return 0;
}

/* The machine's /sys, where a new one isn't ours to make (a user namespace without a network namespace). */
static int bind_sys(const struct oci_mount *m, struct err *e)
{
	_scratch_ int tree = mnt_clone(AT_FDCWD, "/sys", AT_RECURSIVE);
	int r = tree;

	if (tree >= 0 && m->attr_set & MOUNT_ATTR_RDONLY)
		r = mnt_set(tree, MOUNT_ATTR_RDONLY, 0, 0, -1, true);
	if (r >= 0)
		r = mnt_set(tree, m->attr_set & (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC), 0, 0, -1, false);
	return r < 0 ? err_sys(e, r, "bind of the machine's /sys") : take_fd(&tree);
}

static int mount_fs(struct mnt_child *c, const struct oci_mount *m, struct err *e)
{
	bool tmpfs = streq(m->type, "tmpfs");
	bool late = tmpfs && (m->attr_set & MOUNT_ATTR_RDONLY || m->sb_flags & MS_RDONLY);
	_scratch_ int target = -1;
	_scratch_ int tree = -1;
	bool proc = streq(m->type, "proc");
	int r = 0;

	if (tmpfs && (!has_mode(m) || m->flags & OCI_MOUNT_TMPCOPYUP)) { /* mode and contents come from there */
		target = find_target(c, m, true, proc, e);
		if (target < 0)
			return target;
	}
	tree = make_fs(c, m, m->type, late, target, e);
	if (tree == -EPERM && streq(m->type, "sysfs")) {
		err_clear(e);
		tree = bind_sys(m, e);
	}
	if (tree < 0)
		return err_prefix(e, "mount '%s'", m->destination);
	if (m->flags & OCI_MOUNT_TMPCOPYUP && tmpfs) {
		_scratch_ int from = path_open(c->rootfd, m->destination, O_RDONLY | O_DIRECTORY);
		r = from < 0 ? err_sys(e, from, "tmpcopyup") : mnt_copy_up(from, tree, e);
		if (r < 0)
			return err_prefix(e, "mount '%s'", m->destination);
	}
	if (late)
		r = remember_late(c, tree, e);
	return r < 0 ? r : place(c, m, take_fd(&tree), take_fd(&target), true, proc, e);
}

/* --- binds --- */

static int copy_symlink(struct mnt_child *c, const struct mnt_op *op, struct err *e)
{
	char text[PATH_MAX];
	const char *name;
	ssize_t n = readlink(op->source, text, sizeof(text) - 1);

	if (n < 0)
		return -errno;
	text[n] = 0;
	_scratch_ int dir = path_make_parent(c->rootfd, op->m->destination, &name);
	if (dir < 0)
		return err_sys(e, dir, "mount '%s'", op->m->destination);
	if (symlinkat(text, dir, name) < 0 && errno != EEXIST)
		return err_sys(e, -errno, "mount '%s': a copy of the link %s", op->m->destination, op->source);
	return 0;
}

static int bind_attributes(int tree, const struct oci_mount *m)
{
	int r = m->attr_set || m->attr_clr ? mnt_set(tree, m->attr_set, m->attr_clr, 0, -1, false) : 0;
	/* Where the mount's access time mode is locked (it belongs to another user namespace), it stays as it is. */
	if (r == -EPERM && m->attr_clr & MOUNT_ATTR__ATIME)
		r = mnt_set(tree, m->attr_set & ~(uint64_t)MOUNT_ATTR__ATIME, m->attr_clr & ~(uint64_t)MOUNT_ATTR__ATIME, 0, -1, false);
	return r;
}

static int mount_bind(struct mnt_child *c, const struct mnt_op *op, struct err *e)
{
	const struct oci_mount *m = op->m;
	_scratch_ int tree = -1;
	struct statfs fs;
	struct stat st;
	int r;

	if (m->flags & OCI_MOUNT_COPY_SYMLINK) {
		r = copy_symlink(c, op, e);
		if (r != -EINVAL)
			return r < 0 && !(e && e->code) ? err_sys(e, r, "mount '%s': %s", m->destination, op->source) : r;
	}
	tree = op->tree >= 0 ? fcntl(op->tree, F_DUPFD_CLOEXEC, 3)
			     : mnt_clone(AT_FDCWD, op->source,
					 (m->flags & OCI_MOUNT_REC ? AT_RECURSIVE : 0) | (m->flags & OCI_MOUNT_SRC_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0));
	if (tree < 0)
		return err_sys(e, tree, "mount '%s': the source %s", m->destination, op->source);
	if (fstat(tree, &st) < 0)
		return err_sys(e, -errno, "mount '%s': the source %s", m->destination, op->source);
	r = bind_attributes(tree, m);
	if (r < 0)
		return err_sys(e, r, "mount '%s': its attributes", m->destination);
	bool proc = S_ISDIR(st.st_mode) && fstatfs(tree, &fs) == 0 && (unsigned long)fs.f_type == PROC_SUPER_MAGIC;
	return place(c, m, take_fd(&tree), -1, S_ISDIR(st.st_mode), proc, e);
}

/* --- cgroup, remount --- */

/* The container's own cgroup of the machine's tree, read-only whatever was asked for when it isn't a namespace of its own that
 * hides the rest (CVE-2023-25809). */
static int bind_cgroup(struct mnt_child *c, const struct oci_mount *m, struct err *e)
{
	const char *from = c->plan->cgroup_path;
	_scratch_ int tree = -1;
	int r;

	if (!from)
		return err_set(e, -EPERM, "the container has no cgroup of its own: add {\"type\": \"cgroup\"} to linux.namespaces, or leave the mount out");
	tree = mnt_clone(AT_FDCWD, from, 0);
	if (tree < 0)
		return err_sys(e, tree, "bind of %s", from);
	r = mnt_set(tree, m->attr_set | (c->plan->bind_devices ? MOUNT_ATTR_RDONLY : 0), m->attr_clr & ~(uint64_t)MOUNT_ATTR_RDONLY, 0, -1, false);
	return r < 0 ? err_sys(e, r, "bind of %s", from) : take_fd(&tree);
}

static int mount_cgroup(struct mnt_child *c, const struct oci_mount *m, struct err *e)
{
	int tree = c->plan->own_cgroup_ns ? make_fs(c, m, "cgroup2", false, -1, e) : -EPERM;

	if (tree == -EPERM || tree == -EBUSY) {
		err_clear(e);
		tree = bind_cgroup(c, m, e);
	}
	return tree < 0 ? err_prefix(e, "mount '%s'", m->destination) : place(c, m, tree, -1, true, false, e);
}

static int reconfigure(int target, const struct oci_mount *m, struct err *e)
{
	_scratch_ int fs = (int)syscall(SYS_fspick, target, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	int r = fs < 0 ? err_sys(e, -errno, "remount '%s'", m->destination) : 0;

	for (size_t i = 0; r == 0 && i < m->sb_options.n; i++)
		r = set_string(fs, m->sb_options.v[i], NULL, e);
	for (size_t i = 0; r == 0 && i < m->fs_options.n; i++)
		r = set_option(fs, m->fs_options.v[i], e);
	if (r == 0 && syscall(SYS_fsconfig, fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		r = err_sys(e, -errno, "remount '%s'", m->destination);
	return r;
}

static int change_mount(struct mnt_child *c, const struct oci_mount *m, struct err *e)
{
	_scratch_ int target = path_open(c->rootfd, m->destination, O_PATH);
	int r;

	if (target < 0)
		return err_sys(e, target, "remount '%s'", m->destination);
	if (m->flags & OCI_MOUNT_REMOUNT && !(m->flags & OCI_MOUNT_BIND) && (m->sb_options.n || m->fs_options.n)) {
		r = reconfigure(target, m, e);
		if (r < 0)
			return r;
	}
	r = m->attr_set || m->attr_clr ? mnt_set(target, m->attr_set, m->attr_clr, 0, -1, false) : 0;
	if (r == 0)
		r = set_recursive_and_propagation(target, m);
	return r < 0 ? err_sys(e, r, "remount '%s'", m->destination) : 0;
}

int mnt_one(struct mnt_child *c, const struct mnt_op *op, struct err *e)
{
	switch (op->kind) {
	case MNT_BIND:
		return mount_bind(c, op, e);
	case MNT_CGROUP:
		return mount_cgroup(c, op->m, e);
	case MNT_CHANGE:
		return change_mount(c, op->m, e);
	case MNT_FS:
		break;
	}
	return mount_fs(c, op->m, e);
}

int mnt_all(struct mnt_child *c, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->plan->n_ops; i++)
		r = mnt_one(c, &c->plan->ops[i], e);
	return r;
}
