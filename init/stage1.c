/* stage1.c: the initramfs: see stage1.h. stage1_main() reads like the list that it is. */
#include "init/stage1.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "init/console.h"
#include "init/modules.h"
#include "storage/btrfs.h"

void stage1_reason(struct stage1 *s, const char *fmt, ...)
{
	char text[sizeof(s->reasons[0])];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	console_say("%s", text);
	if (s->n_reasons < STAGE1_REASONS)
		memcpy(s->reasons[s->n_reasons], text, sizeof(text));
	s->n_reasons++;
}

static void mount_api(void)
{
	static const struct { const char *type, *at, *options; unsigned long flags; } api[] = {
		{"proc", "/proc", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV},
		{"sysfs", "/sys", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV},
		{"devtmpfs", "/dev", "mode=0755", MS_NOSUID},
		{"tmpfs", "/run", "mode=0755", MS_NOSUID | MS_NODEV},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(api); i++) {
		mkdir(api[i].at, 0755);
		if (mount(api[i].type, api[i].at, api[i].type, api[i].flags, api[i].options) < 0 && errno != EBUSY)
			log_err("mount %s: %s", api[i].at, strerror(errno));
	}
}

static void start_logging(struct stage1 *s)
{
	char level[16];

	log_init("rastinit", LOG_TO_KMSG, -1);
	if (cmdline_get(s->cmdline, "rast.log", level, sizeof(level)) && log_level_from_name(level) >= 0)
		log_set_max_level(log_level_from_name(level));
	else
		log_set_max_level(LOG_DEBUG); /* the kernel's log level decides what reaches the console */
}

static void load_modules(struct stage1 *s)
{
	_cleanup_free_ char *list = NULL;
	_cleanup_err_ struct err e = {0};
	struct modules m;

	if (modules_open(&m, "", NULL, &e) < 0) {
		log_notice("no kernel modules in the initramfs (%s): everything needed must be built into the kernel", err_text(&e));
		return;
	}
	m.cmdline = s->cmdline;
	if (file_read(AT_FDCWD, "/etc/modules-load", 65536, &list, NULL) == 0)
		modules_load_list(&m, list, "/etc/modules-load");
	modules_coldplug(&m);
	if (modules_load(&m, "btrfs", &e) < 0)
		stage1_reason(s, "the btrfs module could not be loaded: %s", err_text(&e));
	log_debug("%u modules loaded, %u failed", m.loaded, m.failed);
	modules_close(&m);
}

static void list_snapshots(struct stage1 *s)
{
	_cleanup_err_ struct err e = {0};
	int n = btrfs_list_snapshots(s->topfd, s->available, STAGE1_SNAPSHOTS_MAX, &e);

	s->n_available = n < 0 ? 0 : (unsigned)n;
	if (n < 0)
		stage1_reason(s, "%s", err_text(&e));
	else if (n == 0)
		stage1_reason(s, "there is no snapshot in " BTRFS_SNAPSHOTS " on %s", s->device);
}

static uint32_t forced_snapshot(const struct stage1 *s)
{
	char text[32] = "auto";
	uint64_t n;

	cmdline_get(s->cmdline, "rast.snapshot", text, sizeof(text));
	if (parse_u64(text, &n) == 0 && n < LEDGER_NONE)
		return (uint32_t)n;
	return LEDGER_NONE;
}

static void forget_available(struct stage1 *s, uint32_t snapshot)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_available; i++)
		if (s->available[i] != snapshot)
			s->available[n++] = s->available[i];
	s->n_available = n;
}

/* Choose, record the attempt durably, mount; what can't be mounted is recorded as such, and the next one is chosen. */
static int choose_and_mount(struct stage1 *s)
{
	for (;;) {
		_cleanup_err_ struct err e = {0};
		decide(&s->ledger, s->available, s->n_available, forced_snapshot(s), stage1_ask_history, s, &s->decision);
		if (s->decision.reason == DECIDE_NOTHING) {
			stage1_reason(s, "%s", s->decision.text);
			return -ENOENT;
		}
		console_say("booting snapshot %u: %s", s->decision.snapshot, s->decision.text);
		stage1_record_attempt(s);
		if (stage1_mount_snapshot(s, s->decision.snapshot, &e) == 0)
			return 0;
		stage1_reason(s, "snapshot %u is skipped: %s", s->decision.snapshot, err_text(&e));
		stage1_unmount_snapshot();
		stage1_record_unmountable(s, s->decision.snapshot);
		forget_available(s, s->decision.snapshot);
	}
}

static void reboot_soon(const char *why)
{
	console_say("%s: rebooting in 10 s", why);
	nanosleep(&(struct timespec){.tv_sec = 10}, NULL);
	sync();
	reboot(RB_AUTOBOOT);
}

static int boot(struct stage1 *s)
{
	_cleanup_err_ struct err e = {0};
	int r;

	r = stage1_find_root(s, &e);
	if (r == 0)
		r = stage1_mount_top(s, &e);
	if (r < 0) {
		stage1_reason(s, "%s", err_text(&e));
		return r;
	}
	stage1_ledger_load(s);
	list_snapshots(s);
	r = choose_and_mount(s);
	if (r < 0)
		return r;
	r = stage1_switch_root(s, &e);
	stage1_reason(s, "%s", err_text(&e));
	stage1_record_unmountable(s, s->decision.snapshot);
	if (access(STAGE1_SYSROOT, F_OK) < 0) /* the initramfs is gone: nothing here to go on with */
		reboot_soon("the next boot chooses another snapshot");
	return r;
}

/* Until the shell is left; then everything is tried again. */
static void rescue(struct stage1 *s)
{
	pid_t pid, dead;

	console_say("this machine can't boot by itself. What went wrong:");
	for (unsigned i = 0; i < MIN(s->n_reasons, STAGE1_REASONS); i++)
		console_say("  %u. %s", i + 1, s->reasons[i]);
	if (s->n_reasons > STAGE1_REASONS)
		console_say("  ... and %u more", s->n_reasons - STAGE1_REASONS);
	if (!cmdline_bool(s->cmdline, "rast.rescue-shell", true))
		reboot_soon("rast.rescue-shell=no");
	console_say("a shell follows; leave it (exit, Ctrl-D) to try again, or `reboot -f`");
	pid = console_shell(false, "");
	if (pid < 0)
		reboot_soon("no shell can be started");
	for (int status; (dead = wait(&status)) != pid || !(WIFEXITED(status) || WIFSIGNALED(status));)
		if (dead < 0 && errno == ECHILD)
			break;
		else if (dead == pid && WIFEXITED(status) && WEXITSTATUS(status) == 127)
			reboot_soon("there is no shell in the initramfs");
	stage1_unmount_snapshot();
	if (s->topfd >= 0)
		close(s->topfd);
	umount2(STAGE1_TOP, MNT_DETACH);
	s->topfd = -1;
	s->n_reasons = 0;
}

static void say(const char *text, void *data)
{
	console_say("%s", text);
}

void stage1_main(char **argv)
{
	static struct stage1 s = {.topfd = -1};

	s.argv = argv;
	mount_api();
	console_stdio();
	cmdline_read(s.cmdline);
	start_logging(&s);
	load_modules(&s);
	stage1_gate(&s);
	cmdline_check(s.cmdline, say, NULL);
	for (;;) {
		boot(&s);
		rescue(&s);
	}
}
