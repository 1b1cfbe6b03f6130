/* stage1-switch.c: leave the initramfs for good: /run/rastos/boot, move the API mounts, free the initramfs's memory, chroot, exec. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "init/console.h"
#include "init/stage1.h"

static const char *const reason_names[] = {
	[DECIDE_FORCED] = "forced",	  [DECIDE_ONCE] = "once",	    [DECIDE_DEFAULT_PROVEN] = "default-proven",
	[DECIDE_DEFAULT_TRIES] = "default-tries", [DECIDE_RANKED] = "ranked",	    [DECIDE_LAST_GOOD] = "last-good",
	[DECIDE_NEWEST_LEFT] = "newest-left",  [DECIDE_NOTHING] = "nothing",
};

/* A number, or "none". */
static void add_number(struct buf *b, const char *key, uint32_t n)
{
	if (n == LEDGER_NONE)
		buf_addf(b, "%s=none\n", key);
	else
		buf_addf(b, "%s=%u\n", key, n);
}

static int write_boot_file(const struct stage1 *s)
{
	_cleanup_buf_ struct buf b = {0};

	add_number(&b, "snapshot", s->decision.snapshot);
	buf_addf(&b, "attempt=%llu\nreason=%s\ntext=%s\nproven=%d\n", (unsigned long long)s->attempt, reason_names[s->decision.reason],
		s->decision.text, s->proven);
	add_number(&b, "default", s->ledger.def);
	add_number(&b, "last_good", s->ledger.last_good);
	buf_addf(&b, "ledger_damaged=%s\nalternatives=%u\nroot=%s\nread_only=%d\n", s->ledger_damaged, s->n_available - 1, s->device, s->read_only);
	for (unsigned i = 0; i < MIN(s->n_reasons, STAGE1_REASONS); i++)
		buf_addf(&b, "note=%s\n", s->reasons[i]);
	if (b.failed)
		return -ENOMEM;
	mkdir("/run/rastos", 0755);
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, "/run/rastos/boot", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	return fd < 0 ? fd : write_all(fd, b.data, b.len);
}

static int move_api_mounts(struct err *e)
{
	static const char *const api[] = {"/proc", "/sys", "/dev", "/run"};
	char to[64];

	for (unsigned i = 0; i < ARRAY_SIZE(api); i++) {
		snprintf(to, sizeof(to), STAGE1_SYSROOT "%s", api[i]);
		if (mount(api[i], to, NULL, MS_MOVE, NULL) < 0)
			return err_sys(e, -errno, "move %s into the snapshot (is the folder there?)", api[i]);
	}
	return 0;
}

/* The files of an initramfs are memory. Only on a file system that can't be anything else. */
static void free_initramfs(int oldroot)
{
	struct statfs fs;

	if (fstatfs(oldroot, &fs) < 0 || (fs.f_type != RAMFS_MAGIC && fs.f_type != TMPFS_MAGIC))
		return;
	_cleanup_closedir_ DIR *d = fdopendir(dup(oldroot));
	for (struct dirent *de; d && (de = readdir(d));)
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			rm_rf(oldroot, de->d_name);
}

static void exec_init(const struct stage1 *s)
{
	char init[256] = "";
	const char *const programs[] = {init, "/usr/lib/rastos/rastinit", "/sbin/init"};

	cmdline_get(s->cmdline, "init", init, sizeof(init));
	for (unsigned i = 0; i < ARRAY_SIZE(programs); i++) {
		if (!*programs[i])
			continue;
		s->argv[0] = (char *)programs[i];
		execv(programs[i], s->argv);
		if (errno != ENOENT || i > 0)
			console_say("start %s as PID 1: %s", programs[i], strerror(errno));
	}
}

int stage1_switch_root(struct stage1 *s, struct err *e)
{
	int r = write_boot_file(s);

	if (r < 0)
		console_say("/run/rastos/boot could not be written: %s", strerror(-r));
	_cleanup_close_ int oldroot = sys_openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY, 0);
	r = move_api_mounts(e);
	if (r < 0)
		return r;
	umount2(STAGE1_TOP, MNT_DETACH); /* s->topfd keeps it until exec: a failure below can still be recorded */
	if (chdir(STAGE1_SYSROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_sys(e, -errno, "make the snapshot the root");
	free_initramfs(oldroot);
	exec_init(s);
	return err_set(e, -ENOEXEC, "no program could be started as PID 1 in snapshot %u (is the loader for it there?)", s->decision.snapshot);
}
