/* power.c: power off, reboot, halt: through rastd, through PID 1, or at once. */
#include "supervisor/ctl/power.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <utmpx.h>
#include <linux/reboot.h>

int force_count;

/* Signals to PID 1, offsets from SIGRTMIN: those of systemd(1), which rastinit understands (init/power.c). */
static const struct {
	const char *word;
	int ask, at_once;
	unsigned command;
} kinds[] = {
	[POWER_POWEROFF] = {"poweroff", 4, 14, LINUX_REBOOT_CMD_POWER_OFF},
	[POWER_REBOOT] = {"reboot", 5, 15, LINUX_REBOOT_CMD_RESTART},
	[POWER_HALT] = {"halt", 3, 13, LINUX_REBOOT_CMD_HALT},
	[POWER_KEXEC] = {"kexec", 6, 16, LINUX_REBOOT_CMD_KEXEC},
};

const char *power_word(enum power_kind kind)
{
	return kinds[kind].word;
}

/* Another init would understand these signals differently, or die of them. */
static bool pid1_is_ours(void)
{
	char exe[4096], comm[64];
	ssize_t n = readlink("/proc/1/exe", exe, sizeof exe - 1);
	if (n < 0) /* it has capabilities that we have not */
		return proc_comm(1, comm) >= 0 && streq(comm, "rastinit");
	exe[n] = '\0';
	const char *slash = strrchr(exe, '/');
	return slash && str_starts(slash + 1, "rastinit"); /* " (deleted)" may follow after an upgrade */
}

static int signal_pid1(enum power_kind kind, bool at_once)
{
	if (!pid1_is_ours())
		return ctl_error(CTL_UNREACHABLE,
			"rastd can't be reached, and PID 1 of this machine is not rastinit: nothing was done ('%s -ff' asks the kernel at "
			"once)",
			power_word(kind));
	if (kill(1, SIGRTMIN + (at_once ? kinds[kind].at_once : kinds[kind].ask)) < 0)
		return ctl_error(errno == EPERM ? CTL_DENIED : CTL_FAILED, "signal PID 1: %s", strerror(errno));
	return CTL_OK;
}

static int at_once(enum power_kind kind)
{
	if (!set.no_sync)
		sync();
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, kinds[kind].command, NULL);
	int status = errno == EPERM ? CTL_DENIED : CTL_FAILED;
	return ctl_error(status, "the kernel refuses to %s: %s%s", power_word(kind), strerror(errno),
		kind == POWER_KEXEC ? " (is a kernel loaded? kexec -l)" : "");
}

/* "1\n" when there is one; a kernel without kexec has no such file. */
static bool kernel_is_loaded(void)
{
	_cleanup_free_ char *text = NULL;
	return file_read(AT_FDCWD, "/sys/kernel/kexec_loaded", 16, &text, NULL) == 0 && text[0] == '1';
}

int power_request(enum power_kind kind, const char *message)
{
	if (kind == POWER_KEXEC && !kernel_is_loaded())
		return ctl_error(CTL_FAILED, access("/sys/kernel/kexec_loaded", F_OK) == 0
						     ? "no kernel is loaded that kexec could start, and nothing was done; load one: kexec -l KERNEL --initrd=INITRAMFS --reuse-cmdline"
						     : "the kernel of this machine can't do kexec, and nothing was done");
	if (set.dry_run) {
		printf("would %s%s\n", power_word(kind),
			force_count ? force_count > 1 ? " at once, by the kernel" : " without stopping services" : "");
		return CTL_OK;
	}
	if (geteuid() != 0)
		return ctl_error(CTL_DENIED, "only root may %s this machine, and you are user %u; try it with sudo or su", power_word(kind),
			(unsigned)getuid());
	if (force_count > 1)
		return at_once(kind);
	if (force_count == 1) {
		if (!set.no_sync)
			sync();
		return signal_pid1(kind, true);
	}
	json_t *p = json_pack("{s:s, s:b}", "kind", power_word(kind), "force", 0);
	if (!strempty(message))
		json_object_set_new(p, "message", json_string(message));
	json_t *copy = json_deep_copy(p);
	int r = ctl_try("Power", p, 5000000, NULL);
	if (r == CTL_UNREACHABLE) {
		json_decref(copy);
		return signal_pid1(kind, false);
	}
	if (r) /* again, this time for its words */
		return ctl_call("Power", copy, NULL);
	json_decref(copy);
	return CTL_OK;
}

static int verb(enum power_kind kind, int argc, char **argv)
{
	if (argc > 1)
		return ctl_error(CTL_USAGE, "%s takes no operand; a time is for shutdown(8)", argv[0]);
	return power_request(kind, set.message);
}

VERB(poweroff)
{
	return verb(POWER_POWEROFF, argc, argv);
}

VERB(reboot)
{
	return verb(POWER_REBOOT, argc, argv);
}

VERB(halt)
{
	return verb(POWER_HALT, argc, argv);
}

VERB(kexec)
{
	return verb(POWER_KEXEC, argc, argv);
}

/* Everybody who is logged in on a terminal, as utmp has it. A terminal that takes nothing now is left alone. */
void wall(const char *text)
{
	char line[sizeof "/dev/" + 64], host[64] = "", head[256];
	gethostname(host, sizeof host - 1);
	snprintf(head, sizeof head, "\r\n\aBroadcast message from root@%s:\r\n\r\n", host);
	setutxent();
	for (struct utmpx *u; (u = getutxent());) {
		snprintf(line, sizeof line, "/dev/%.*s", (int)sizeof u->ut_line, u->ut_line); /* need not end in NUL */
		const char *name = line + strlen("/dev/");
		if (u->ut_type != USER_PROCESS || !*name || *name == ':' || strstr(name, ".."))
			continue;
		_cleanup_close_ int fd = open(line, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd < 0 || !isatty(fd))
			continue;
		if (write(fd, head, strlen(head)) > 0 && write(fd, text, strlen(text)) > 0 && write(fd, "\r\n", 2) < 0)
			continue;
	}
	endutxent();
}
