/* legacy.c: reboot, poweroff, halt, shutdown and telinit, as scripts and fingers know them. */
#include "supervisor/ctl/power.h"

#include <errno.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <utmpx.h>
#include "base/opt.h"
#include "config.h"

static bool o_poweroff, o_reboot, o_halt, o_wtmp_only, o_no_wtmp, o_no_wall, o_ignored, o_kexec;
static bool o_warn_only, o_cancel, o_show;
static const char *o_ignored_arg;

/* --- wtmp: last(1) shows when a machine went down --- */

static void write_wtmp(void)
{
	struct utmpx u = {.ut_type = RUN_LVL};
	struct utsname name;
	struct timeval tv;
	if (uname(&name) == 0)
		snprintf(u.ut_host, sizeof u.ut_host, "%s", name.release);
	snprintf(u.ut_user, sizeof u.ut_user, "shutdown");
	snprintf(u.ut_line, sizeof u.ut_line, "~~");
	memcpy(u.ut_id, "~~", 2);
	gettimeofday(&tv, NULL);
	u.ut_tv.tv_sec = (int32_t)tv.tv_sec;
	u.ut_tv.tv_usec = (int32_t)tv.tv_usec;
	updwtmpx("/var/log/wtmp", &u);
}

/* --- reboot, poweroff, halt --- */

static const struct opt reboot_options[] = {
	{"poweroff", 'p', OPT_FLAG, NULL, "power off", &o_poweroff},
	{"reboot", 0, OPT_FLAG, NULL, "reboot", &o_reboot},
	{"halt", 0, OPT_FLAG, NULL, "stop the machine with its power on", &o_halt},
	{"force", 'f', OPT_COUNT, NULL, "don't stop services first; twice: ask the kernel at once", &force_count},
	{"wtmp-only", 'w', OPT_FLAG, NULL, "only write the record for last(1)", &o_wtmp_only},
	{"no-wtmp", 'd', OPT_FLAG, NULL, "don't write that record", &o_no_wtmp},
	{"no-sync", 'n', OPT_FLAG, NULL, "with --force: don't write back what is in memory", &set.no_sync},
	{"no-wall", 0, OPT_FLAG, NULL, "don't tell the users", &o_no_wall},
	{"dry-run", 0, OPT_FLAG, NULL, "only say what would happen", &set.dry_run},
	{"run-dir", 0, OPT_STRING, "DIR", "where rastd's socket is", &set.run_dir},
	{"interfaces", 'i', OPT_FLAG, NULL, "accepted for sysvinit's sake: the network goes down with its services", &o_ignored},
};

static enum power_kind kind_of_name(void)
{
	return streq(ctl_name, "reboot") ? POWER_REBOOT : streq(ctl_name, "halt") ? POWER_HALT : POWER_POWEROFF;
}

static enum power_kind chosen_kind(enum power_kind otherwise)
{
	return o_poweroff ? POWER_POWEROFF : o_reboot ? POWER_REBOOT : o_halt ? POWER_HALT : otherwise;
}

int main_reboot(int argc, char **argv, void *data)
{
	const struct program p = {.name = ctl_name,
		.summary = "power off, reboot or halt the machine",
		.man = "reboot(8)",
		.opts = reboot_options,
		.n_opts = ARRAY_SIZE(reboot_options),
		.operands = "",
		.version = RAST_VERSION};
	int r = opt_parse(&p, reboot_options, ARRAY_SIZE(reboot_options), &argc, &argv);
	if (r)
		return r;
	if (argc > 0)
		return ctl_error(CTL_USAGE, "takes no operand; a time is for shutdown(8)");
	if (geteuid() == 0 && !o_no_wtmp && !set.dry_run)
		write_wtmp();
	if (o_wtmp_only)
		return CTL_OK;
	enum power_kind kind = chosen_kind(kind_of_name());
	if (geteuid() == 0 && !o_no_wall && !force_count && !set.dry_run)
		wall("This machine is going down now.");
	return power_request(kind, NULL);
}

/* --- shutdown --- */

static const struct opt shutdown_options[] = {
	{"poweroff", 'P', OPT_FLAG, NULL, "power off (the default)", &o_poweroff},
	{"reboot", 'r', OPT_FLAG, NULL, "reboot", &o_reboot},
	{"halt", 'H', OPT_FLAG, NULL, "stop the machine with its power on", &o_halt},
	{"kexec", 0, OPT_FLAG, NULL, "start the kernel that kexec(8) has loaded", &o_kexec},
	{"down", 'h', OPT_FLAG, NULL, "as --poweroff, or as --halt if that is given too", &o_ignored},
	{"warn-only", 'k', OPT_FLAG, NULL, "only tell the users", &o_warn_only},
	{"cancel", 'c', OPT_FLAG, NULL, "cancel a scheduled shutdown", &o_cancel},
	{"show", 0, OPT_FLAG, NULL, "show the scheduled shutdown", &o_show},
	{"no-wall", 0, OPT_FLAG, NULL, "don't tell the users", &o_no_wall},
	{"dry-run", 0, OPT_FLAG, NULL, "only say what would happen, and when", &set.dry_run},
	{"run-dir", 0, OPT_STRING, "DIR", "where rastd's socket is", &set.run_dir},
	{"quick", 'f', OPT_FLAG, NULL, "accepted for sysvinit's sake", &o_ignored},
	{"fsck", 'F', OPT_FLAG, NULL, "accepted for sysvinit's sake", &o_ignored},
	{"allowed", 'a', OPT_FLAG, NULL, "accepted for sysvinit's sake", &o_ignored},
	{"delay", 't', OPT_STRING, "SECONDS", "accepted for sysvinit's sake: each service has a time-out of its own", &o_ignored_arg},
};

static char *join(int argc, char **argv)
{
	struct buf b = {0};
	for (int i = 0; i < argc; i++)
		buf_addf(&b, "%s%s", i ? " " : "", argv[i]);
	return b.data;
}

static int at_time(enum power_kind kind, uint64_t now, uint64_t when, const char *message)
{
	char text[48];
	if (set.dry_run) {
		printf("would %s at %s\n", power_word(kind), time_text(text, when));
		return CTL_OK;
	}
	if (o_warn_only) {
		wall(strempty(message) ? "This machine is going down (a warning only)." : message);
		return CTL_OK;
	}
	if (when > now)
		return schedule(kind, when, message, o_no_wall);
	if (geteuid() == 0) {
		write_wtmp();
		if (!o_no_wall)
			wall(strempty(message) ? "This machine is going down now." : message);
	}
	return power_request(kind, message);
}

int main_shutdown(int argc, char **argv, void *data)
{
	static const struct program p = {.name = "shutdown",
		.summary = "power off, reboot or halt the machine, now or later",
		.man = "shutdown(8)",
		.opts = shutdown_options,
		.n_opts = ARRAY_SIZE(shutdown_options),
		.operands = "[now|+MINUTES|HH:MM] [MESSAGE...]",
		.version = RAST_VERSION};
	int r = opt_parse(&p, shutdown_options, ARRAY_SIZE(shutdown_options), &argc, &argv);
	if (r)
		return r;
	if (o_show)
		return schedule_show();
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	uint64_t now = (uint64_t)ts.tv_sec * 1000000, when;
	const char *time = argc > 0 && !o_cancel ? argv[0] : "+1";
	if (schedule_parse(time, now, &when) < 0)
		return ctl_error(CTL_USAGE, "'%s' is not a time; it is now, +MINUTES or HH:MM", time);
	int skip = argc > 0 && !o_cancel;
	_cleanup_free_ char *message = join(argc - skip, argv + skip);
	if (o_cancel)
		return schedule_cancel(message, o_no_wall);
	return at_time(o_kexec ? POWER_KEXEC : chosen_kind(POWER_POWEROFF), now, when, message);
}

/* --- telinit --- */

static const struct opt telinit_options[] = {
	{"no-wall", 0, OPT_FLAG, NULL, "don't tell the users", &o_no_wall},
	{"dry-run", 0, OPT_FLAG, NULL, "only say what would happen", &set.dry_run},
	{"run-dir", 0, OPT_STRING, "DIR", "where rastd's socket is", &set.run_dir},
	{"delay", 't', OPT_STRING, "SECONDS", "accepted for sysvinit's sake: each service has a time-out of its own", &o_ignored_arg},
};

static int level_poweroff(void)
{
	return power_request(POWER_POWEROFF, NULL);
}

static int level_reboot(void)
{
	return power_request(POWER_REBOOT, NULL);
}

static int level_single(void)
{
	char *words[] = {(char[]){"rescue"}, NULL};
	return verb_rescue(1, words, NULL);
}

static int level_many(void)
{
	char *words[] = {(char[]){"default"}, NULL};
	return verb_default(1, words, NULL);
}

static int reload(void)
{
	return ctl_call("Apply", NULL, NULL);
}

static int reexec(void)
{
	set.quiet = true;
	char *words[] = {(char[]){"reexec"}, NULL};
	return verb_reexec(1, words, NULL);
}

int main_telinit(int argc, char **argv, void *data)
{
	static const struct {
		const char *letters, *what;
		int (*run)(void);
	} levels[] = {
		{"0", "power off", level_poweroff},
		{"6", "reboot", level_reboot},
		{"1sS", "go into rescue mode", level_single},
		{"2345", "go over to everything that is enabled", level_many},
		{"qQ", "read the service files anew", reload},
		{"uU", "execute rastd anew", reexec},
	};
	static const struct program p = {.name = "telinit",
		.summary = "what the runlevels of sysvinit mean here",
		.man = "telinit(8)",
		.opts = telinit_options,
		.n_opts = ARRAY_SIZE(telinit_options),
		.operands = "0|6|1|s|2|3|4|5|q|u",
		.version = RAST_VERSION};
	int r = opt_parse(&p, telinit_options, ARRAY_SIZE(telinit_options), &argc, &argv);
	if (r)
		return r;
	for (size_t i = 0; argc == 1 && strlen(argv[0]) == 1 && i < ARRAY_SIZE(levels); i++) {
		if (!strchr(levels[i].letters, argv[0][0]))
			continue;
		if (!set.dry_run)
			return levels[i].run();
		printf("would %s\n", levels[i].what);
		return CTL_OK;
	}
	return ctl_error(CTL_USAGE,
		"%s%s%s: it is one of 0 (power off), 6 (reboot), 1 or s (rescue), 2 to 5 (everything), q (read the service files anew), u "
		"(execute rastd anew)",
		argc ? "'" : "", argc ? argv[0] : "no level", argc ? "'" : "");
}
