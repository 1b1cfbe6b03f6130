/* apifs.c: the API file systems. What is mounted already, by stage 1 or a container's runtime, is left alone. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/sys.h"
#include "init/pid1.h"

#ifndef EFIVARFS_MAGIC
#define EFIVARFS_MAGIC 0xde5e81e4
#endif
#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202 /* ipc/mqueue.c */
#endif

#define LATE_S 3 /* seconds after the boot */

static const struct api {
	const char *type, *at, *options;
	unsigned long flags;
	long magic; /* of statfs(2), when it is mounted; -1: unlike its parent folder's device */
	bool optional; /* only where the kernel has made the folder */
	bool late;     /* costs time that the services would wait for: once the machine is quiet */
} apis[] = {
	{"proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, PROC_SUPER_MAGIC},
	{"sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, SYSFS_MAGIC},
	{"devtmpfs", "/dev", "mode=0755", MS_NOSUID, TMPFS_MAGIC},
	{"devpts", "/dev/pts", "mode=0620,gid=5,ptmxmode=0666", MS_NOSUID | MS_NOEXEC, DEVPTS_SUPER_MAGIC},
	{"tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV, -1},
	{"mqueue", "/dev/mqueue", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, MQUEUE_MAGIC},
	{"tmpfs", "/run", "mode=0755", MS_NOSUID | MS_NODEV, TMPFS_MAGIC},
	{"cgroup2", "/sys/fs/cgroup", "nsdelegate,memory_recursiveprot", MS_NOSUID | MS_NODEV | MS_NOEXEC, CGROUP2_SUPER_MAGIC},
	{"securityfs", "/sys/kernel/security", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, SECURITYFS_MAGIC, true},
	/* its first mount has the kernel run modprobe for bpf_preload and wait for it (kernel/bpf/inode.c) */
	{"bpf", "/sys/fs/bpf", "mode=0700", MS_NOSUID | MS_NODEV | MS_NOEXEC, BPF_FS_MAGIC, true, true},
	{"pstore", "/sys/fs/pstore", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, PSTOREFS_MAGIC, true},
	{"configfs", "/sys/kernel/config", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0x62656570 /* fs/configfs/mount.c */, true},
	{"debugfs", "/sys/kernel/debug", "mode=0700", MS_NOSUID | MS_NODEV | MS_NOEXEC, DEBUGFS_MAGIC, true},
	{"tracefs", "/sys/kernel/tracing", "mode=0700", MS_NOSUID | MS_NODEV | MS_NOEXEC, TRACEFS_MAGIC, true},
	/* read-only: firmware that loses its variables is a brick; mount -o remount,rw to change them */
	{"efivarfs", "/sys/firmware/efi/efivars", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, EFIVARFS_MAGIC, true},
};

static bool is_mounted(const struct api *a)
{
	struct stat st, parent;
	struct statfs fs;
	char up[64];

	if (a->magic >= 0)
		return statfs(a->at, &fs) == 0 && fs.f_type == a->magic;
	snprintf(up, sizeof(up), "%s", a->at);
	*strrchr(up, '/') = '\0';
	return stat(a->at, &st) == 0 && stat(up, &parent) == 0 && st.st_dev != parent.st_dev;
}

static int mount_one(const struct api *a)
{
	if (is_mounted(a))
		return 0;
	if (!a->optional)
		(void)mkdir(a->at, 0755);
	if (mount(a->type, a->at, a->type, a->flags, a->options) == 0)
		return 0;
	if (errno == EINVAL && a->options && mount(a->type, a->at, a->type, a->flags, NULL) == 0) /* a kernel without one of the options */
		return 0;
	return -errno;
}

void apifs_proc(void)
{
	bool mounted = is_mounted(&apis[0]);

	if (mounted || getpid() != 1 || mount_one(&apis[0]) < 0)
		return;
	if (!proc_is_machine_init() && !getenv("container"))
		umount2(apis[0].at, MNT_DETACH);
}

static void make_links(void)
{
	static const char *const links[][2] = {
		{"/proc/self/fd", "/dev/fd"},
		{"/proc/self/fd/0", "/dev/stdin"},
		{"/proc/self/fd/1", "/dev/stdout"},
		{"/proc/self/fd/2", "/dev/stderr"},
		{"/proc/kcore", "/dev/core"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(links); i++)
		(void)!symlink(links[i][0], links[i][1]); /* there already, or /dev is read-only */
}

static void mount_all(const struct pid1 *p, bool late)
{
	int r;

	for (unsigned i = 0; i < ARRAY_SIZE(apis); i++) {
		if (apis[i].late != late || (apis[i].optional && !p->machine))
			continue;
		r = mount_one(&apis[i]);
		if (r < 0 && !apis[i].optional)
			log_msg(p->machine ? LOG_ERR : LOG_DEBUG, "mount %s on %s: %s", apis[i].type, apis[i].at, strerror(-r));
	}
}

void apifs_mount(const struct pid1 *p)
{
	if (!p->machine && !p->container)
		return; /* whose mount namespace this is nobody said */
	mount_all(p, false);
	make_links();
	if (mkdir("/run/lock", 01777) == 0)
		(void)chmod("/run/lock", 01777);
	(void)mkdir("/run/rastos", 0755);
}

bool apifs_mount_late(struct pid1 *p)
{
	static bool done;
	pid_t pid;

	if (done || !p->machine)
		return false;
	done = true;
	pid = pid1_fork(p, ROLE_HELPER, NULL);
	if (pid == 0) {
		(void)sleep(LATE_S); /* services are still warming up */
		mount_all(p, true);
		_exit(0);
	}
	return pid > 0;
}

/* The kernel waits for grace periods of RCU in many a place that boots and shutdowns come by (moving processes between cgroups, mounts, sync, closing
 * some sockets): some ten milliseconds each when the machine is idle. Expedited they cost interrupts of other processors, which only then does not
 * matter. Documentation/RCU/ and kernel/ksysfs.c */
void rcu_hurry(const struct pid1 *p, bool on)
{
	_cleanup_close_ int fd = p->machine ? sys_openat(AT_FDCWD, "/sys/kernel/rcu_expedited", O_WRONLY, 0) : -1;

	if (fd >= 0)
		(void)sys_write(fd, on ? "1" : "0", 1);
}
