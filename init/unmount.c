/* unmount.c: leave every file system clean.
 *
 * Rounds over mountinfo, newest mount first, until a round brings nothing new: unmount, then detach loop and device-mapper devices that nobody
 * uses any more (what is below them can be unmounted in the next round). What stays busy, the root at least, is made
 * read-only: for btrfs that is a last commit and a clean superblock. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "init/mountinfo.h"
#include "init/shutdown.h"

#define ROUNDS 6

static bool is_api(const struct mount_line *m)
{
	static const char *const types[] = {"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "mqueue", "securityfs", "debugfs", "tracefs",
		"configfs", "bpf", "efivarfs", "pstore", "hugetlbfs", "rootfs", "binfmt_misc", "fusectl"};

	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		if (streq(m->type, types[i]))
			return true;
	return streq(m->type, "tmpfs") && (streq(m->target, "/run") || str_starts(m->target, "/dev"));
}

static bool is_stuck(const struct progress *pr, const char *target)
{
	for (uint32_t i = 0; i < pr->n_stuck; i++)
		if (streq(pr->stuck[i], target))
			return true;
	return false;
}

static void read_only(struct progress *pr, const struct mount_line *m)
{
	if (mount(NULL, m->target, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0 || errno == EINVAL)
		return; /* EINVAL: hidden below another mount, which is remounted itself */
	log_warning("make %s read-only: %s", m->target, strerror(errno));
	pr->left_rw++;
}

/* What a child hung at is detached, without waiting for it. */
static bool unmount_one(struct progress *pr, const struct mount_line *m)
{
	int flags = UMOUNT_NOFOLLOW | (is_stuck(pr, m->target) ? MNT_DETACH | MNT_FORCE : 0);

	progress_at(pr, m->target);
	return umount2(m->target, flags) == 0;
}

enum what { UNMOUNT, READ_ONLY_AND_DETACH };

/* Returns how many were unmounted. */
static unsigned each_mount(struct progress *pr, enum what what)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ struct mount_line *m = NULL;
	unsigned n = 1, done = 0;

	if (file_read(AT_FDCWD, "/proc/self/mountinfo", 64u << 20, &text, NULL) < 0)
		return 0;
	for (const char *c = text; (c = strchr(c, '\n')); c++)
		n++;
	m = calloc(n, sizeof(*m));
	if (!m)
		return 0;
	n = mountinfo_parse(text, m, n);
	while (n-- > 0) {
		bool root = streq(m[n].target, "/");
		if (is_api(&m[n]))
			continue;
		if (what == UNMOUNT && !root)
			done += unmount_one(pr, &m[n]);
		if (what == READ_ONLY_AND_DETACH) {
			progress_at(pr, m[n].target);
			read_only(pr, &m[n]);
			if (!root && umount2(m[n].target, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
				log_warning("%s was still in use: detached", m[n].target);
		}
	}
	return done;
}

static unsigned detach_loops(void)
{
	_cleanup_closedir_ DIR *d = opendir("/sys/block");
	char path[300];
	unsigned done = 0;

	for (struct dirent *de; d && (de = readdir(d));) {
		snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", de->d_name);
		if (!str_starts(de->d_name, "loop") || access(path, F_OK) < 0)
			continue;
		snprintf(path, sizeof(path), "/dev/%s", de->d_name);
		_cleanup_close_ int fd = sys_openat(AT_FDCWD, path, O_RDONLY, 0);
		done += fd >= 0 && ioctl(fd, LOOP_CLR_FD, 0) == 0;
	}
	return done;
}

static bool has_dm(void)
{
	_cleanup_closedir_ DIR *d = opendir("/sys/block");

	for (struct dirent *de; d && (de = readdir(d));)
		if (str_starts(de->d_name, "dm-"))
			return true;
	return false;
}

/* All mappings that are not open; the others go with their last user (DM_DEFERRED_REMOVE). */
static void remove_dm(void)
{
	struct dm_ioctl io = {.version = {DM_VERSION_MAJOR, 0, 0}, .data_size = sizeof(io), .data_start = sizeof(io), .flags = DM_DEFERRED_REMOVE};

	if (!has_dm())
		return;
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, "/dev/mapper/control", O_RDWR, 0);
	if (fd >= 0)
		(void)ioctl(fd, DM_REMOVE_ALL, &io);
}

void unmount_all(struct progress *pr, const struct shutdown_plan *plan)
{
	(void)!chdir("/");
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned done = each_mount(pr, UNMOUNT) + detach_loops();
		remove_dm();
		if (done == 0)
			break;
	}
	each_mount(pr, READ_ONLY_AND_DETACH);
	progress_at(pr, "");
	sync();
}
