/* stage1-mount.c: the tree of the real root: docs/design.md, "The image".
 *
 * The top level of the btrfs is mounted once; everything else is a bind mount of a subvolume in it (open_tree, mount_setattr, move_mount):
 * one superblock whose state can't be read-only for one subvolume and writable for the next, and no second look at the device. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "base/log.h"
#include "base/sys.h"
#include "init/console.h"
#include "init/stage1.h"
#include "storage/btrfs.h"

enum { REQUIRED = 1, READ_ONLY = 2, MAKE_DIR = 4 };

static const struct row {
	const char *subvolume; /* with %u: N */
	const char *target;    /* below the new root */
	unsigned flags;
} rows[] = {
	{BTRFS_SNAPSHOT_FMT, "", REQUIRED | READ_ONLY},
	{BTRFS_ETC_FMT, "etc", REQUIRED},
	{"@var", "var", REQUIRED},
	{"@log", "var/log", MAKE_DIR},
	{"@home", "home", 0},
	{"@root", "root", 0},
	{"@srv", "srv", 0},
	{"@rastos", "var/lib/rastos", MAKE_DIR},
};

int stage1_mount_top(struct stage1 *s, struct err *e)
{
	char flags[512] = "", options[600];

	cmdline_get(s->cmdline, "rast.rootflags", flags, sizeof(flags));
	snprintf(options, sizeof(options), "subvolid=5%s%s", *flags ? "," : "", flags);
	mkdir(STAGE1_TOP, 0700);
	s->read_only = false;
	if (mount(s->device, STAGE1_TOP, "btrfs", MS_NOATIME, options) < 0) {
		int first = -errno;
		if (mount(s->device, STAGE1_TOP, "btrfs", MS_NOATIME | MS_RDONLY, options) < 0)
			return err_sys(e, first, "mount root device %s as btrfs (options %s; see dmesg for the kernel's reasons)", s->device, options);
		console_say("root device %s can only be mounted read-only (%s): this boot will not be recorded, and nothing can be written", s->device,
			strerror(-first));
		s->read_only = true;
	}
	s->topfd = sys_openat(AT_FDCWD, STAGE1_TOP, O_RDONLY | O_DIRECTORY, 0);
	return s->topfd < 0 ? err_sys(e, s->topfd, "open " STAGE1_TOP) : 0;
}

static int bind_at(int topfd, const char *subvolume, const char *at, bool read_only)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

	_cleanup_close_ int tree = open_tree(topfd, subvolume, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (tree < 0)
		return -errno;
	if (read_only && mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return move_mount(tree, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

static int mount_row(struct stage1 *s, const struct row *row, uint32_t snapshot, struct err *e)
{
	char subvolume[128], at[128];
	int r;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the formats are the table's */
	snprintf(subvolume, sizeof(subvolume), row->subvolume, snapshot);
#pragma GCC diagnostic pop
	snprintf(at, sizeof(at), STAGE1_SYSROOT "/%s", row->target);
	if (!btrfs_is_subvolume(s->topfd, subvolume))
		return err_set(e, -ENOENT, "there is no subvolume %s", subvolume);
	if (row->flags & MAKE_DIR)
		(void)mkdir_p(at, 0755);
	r = bind_at(s->topfd, subvolume, at, row->flags & READ_ONLY);
	return r < 0 ? err_sys(e, r, "mount subvolume %s at /%s", subvolume, row->target) : 0;
}

/* Absolute links inside of the snapshot are followed inside of it. */
static bool has_program(const char *root, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	struct stat st;

	_cleanup_close_ int rootfd = sys_openat(AT_FDCWD, root, O_PATH | O_DIRECTORY, 0);
	_cleanup_close_ int fd = (int)syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

static int check_init(const struct stage1 *s, struct err *e)
{
	char init[256];

	if (cmdline_get(s->cmdline, "init", init, sizeof(init)) && !has_program(STAGE1_SYSROOT, init))
		console_say("init=%s of the kernel command line is not in this snapshot: ignored", init);
	else if (*init)
		return 0;
	if (has_program(STAGE1_SYSROOT, "usr/lib/rastos/rastinit") || has_program(STAGE1_SYSROOT, "sbin/init"))
		return 0;
	return err_set(e, -ENOEXEC, "it has no program to start as PID 1 (neither /usr/lib/rastos/rastinit nor /sbin/init is executable)");
}

int stage1_mount_snapshot(struct stage1 *s, uint32_t snapshot, struct err *e)
{
	mkdir(STAGE1_SYSROOT, 0755);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_err_ struct err why = {0};
		int r = mount_row(s, &rows[i], snapshot, &why);
		if (r < 0 && (rows[i].flags & REQUIRED))
			return err_set(e, r, "%s", err_text(&why));
		if (r < 0)
			console_say("%s: /%s stays as it is in the snapshot", err_text(&why), rows[i].target);
	}
	if (mount("tmpfs", STAGE1_SYSROOT "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") < 0)
		console_say("no tmpfs on /tmp: %s", strerror(errno));
	return check_init(s, e);
}

void stage1_unmount_snapshot(void)
{
	umount2(STAGE1_SYSROOT, MNT_DETACH);
}
