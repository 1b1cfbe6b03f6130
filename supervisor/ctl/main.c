/* main.c: the tables. Verbs, options, help, man page and completion are all made of these. */
#include <limits.h>
#include <locale.h>
#include "base/opt.h"
#include "config.h"
#include "storage/ledger.h"
#include "supervisor/ctl/power.h"

struct settings set = {
	.run_dir = "/run/rastos",
	.etc_dir = RAST_ETCDIR,
	.lib_dir = RAST_LIBDIR,
	.log_dir = "/var/log/rastos",
	.ledger = LEDGER_DEFAULT_PATH,
	.lines = -1,
};

static const struct opt program_options[] = {
	{"json", 'j', OPT_FLAG, NULL, "print JSON, errors included", &set.json},
	{"quiet", 'q', OPT_FLAG, NULL, "print only what was asked for, and errors", &set.quiet},
	{"no-color", 0, OPT_FLAG, NULL, "no colours; NO_COLOR in the environment says the same", &text_no_color},
	{"timeout", 't', OPT_DURATION, "TIME", "how long to wait for rastd (for ever)", &set.timeout_us},
	{"run-dir", 0, OPT_STRING, "DIR", "where rastd's socket is (/run/rastos)", &set.run_dir},
	{"etc-dir", 0, OPT_STRING, "DIR", "where services/ and enabled/ are (" RAST_ETCDIR ")", &set.etc_dir},
	{"lib-dir", 0, OPT_STRING, "DIR", "where the distribution's services/ is", &set.lib_dir},
	{"log-dir", 0, OPT_STRING, "DIR", "where the logs are (/var/log/rastos)", &set.log_dir},
};

#define NO_WAIT "no-wait", 0, OPT_FLAG, NULL, "don't wait until it is done", &set.no_wait
#define DRY_RUN "dry-run", 'n', OPT_FLAG, NULL, "only say what would change", &set.dry_run

static const struct opt act_options[] = {
	{"force", 'f', OPT_FLAG, NULL, "stop: what depends on it, too; start: stop what conflicts with it", &set.force},
	{DRY_RUN},
	{NO_WAIT},
};
static const struct opt signal_options[] = {
	{"signal", 's', OPT_STRING, "SIGNAL", "which one (TERM)", &set.signal},
	{"all", 'a', OPT_FLAG, NULL, "to all processes of the service, not only its main one", &set.all},
};
static const struct opt list_options[] = {
	{"failed", 0, OPT_FLAG, NULL, "only what has failed", &set.failed},
	{"state", 's', OPT_STRING, "STATE", "only what is in this state", &set.state},
	{"type", 0, OPT_STRING, "TYPE", "only oneshot, longrun, bundle or virtual", &set.type},
	{"names", 0, OPT_FLAG, NULL, "only the names, one a line", &set.names},
};
static const struct opt status_options[] = {{"lines", 'n', OPT_INT, "N", "how many lines of its log (10)", &set.lines}};
static const struct opt tree_options[] = {
	{"reverse", 'r', OPT_FLAG, NULL, "what needs it, instead of what it needs", &set.reverse},
	{"all", 'a', OPT_FLAG, NULL, "also what is only ordered by `after`", &set.all},
};
static const struct opt wait_options[] = {
	{"state", 's', OPT_STRING, "STATE", "for this state (up); settled: for any that lasts", &set.state}};
static const struct opt events_options[] = {{"all", 'a', OPT_FLAG, NULL, "first the state of each service as it is now", &set.all}};
static const struct opt logs_options[] = {
	{"follow", 'f', OPT_FLAG, NULL, "go on with what comes, through rotations", &set.follow},
	{"lines", 'n', OPT_INT, "N", "only the last N lines (all; 10 with --follow)", &set.lines},
	{"since", 'S', OPT_STRING, "TIME", "from then on: 10:30, '2026-11-22 10:30', '5min ago', yesterday", &set.since},
	{"until", 'U', OPT_STRING, "TIME", "up to then", &set.until},
	{"plain", 0, OPT_FLAG, NULL, "only the text, without time and name", &set.plain},
	{"no-sync", 0, OPT_FLAG, NULL, "don't have the logger write what is on its way first", &set.no_sync},
};
static const struct opt apply_options[] = {
	{DRY_RUN},
	{"restart", 0, OPT_FLAG, NULL, "restart what runs with a definition that has changed", &set.restart},
};
static const struct opt link_options[] = {
	{"now", 0, OPT_FLAG, NULL, "enable: start it too; disable: stop it too", &set.now},
	{"force", 'f', OPT_FLAG, NULL, "with --now: as for start and stop", &set.force},
	{DRY_RUN},
};
static const struct opt power_options[] = {
	{"force", 'f', OPT_COUNT, NULL, "PID 1 goes on without stopping services; twice: the kernel does it at once", &force_count},
	{"no-sync", 0, OPT_FLAG, NULL, "with --force: don't write back what is in memory", &set.no_sync},
	{"message", 'm', OPT_STRING, "TEXT", "printed on the console", &set.message},
	{DRY_RUN},
};
static const struct opt rescue_options[] = {{DRY_RUN}, {NO_WAIT}};
static const struct opt isolate_options[] = {
	{"force", 'f', OPT_FLAG, NULL, "take something that is no bundle, too", &set.force},
	{DRY_RUN},
	{NO_WAIT},
};
static const struct opt boot_options[] = {{"ledger", 0, OPT_STRING, "FILE", "read this one (" LEDGER_DEFAULT_PATH ")", &set.ledger}};
static const struct opt reexec_options[] = {{NO_WAIT}};

#define OPTS(table) table, ARRAY_SIZE(table)
#define GROUP(title) title, NULL, NULL, NULL, NULL, 0, NULL

static const struct verb verbs[] = {
	{GROUP("Look")},
	{"status", "[NAME...]", "Show services in detail, or how the machine is", verb_status, OPTS(status_options), "service"},
	{"list", "[PATTERN...]", "List services and their states", verb_list, OPTS(list_options), "service"},
	{"tree", "[NAME]", "Draw what a service is made of", verb_tree, OPTS(tree_options), "service"},
	{"logs", "[NAME...]", "Show the output of services, merged by time", verb_logs, OPTS(logs_options), "service"},
	{"events", "", "Print changes of state as they happen", verb_events, OPTS(events_options), ""},
	{"monitor", "", NULL, verb_events, OPTS(events_options), ""},
	{"cat", "NAME...", "Print the files that define services", verb_cat, NULL, 0, "service"},
	{"boot", "", "Show which snapshot was booted, why, and the boot ledger", verb_boot, OPTS(boot_options), ""},
	{"is-active", "NAME...", "Succeed if one of them is up", verb_is_active, NULL, 0, "service"},
	{"is-failed", "NAME...", "Succeed if one of them has failed", verb_is_failed, NULL, 0, "service"},
	{"is-enabled", "NAME...", "Succeed if one of them is enabled", verb_is_enabled, NULL, 0, "service"},
	{"version", "", "Show which rastd is running", verb_ping, NULL, 0, ""},
	{GROUP("Change what runs")},
	{"start", "NAME...", "Start services and what they need", verb_start, OPTS(act_options), "service"},
	{"stop", "NAME...", "Stop services", verb_stop, OPTS(act_options), "service"},
	{"restart", "NAME...", "Stop and start services", verb_restart, OPTS(act_options), "service"},
	{"reload", "NAME...", "Have services read their configuration anew", verb_reload, OPTS(act_options), "service"},
	{"signal", "NAME...", "Send a signal to services", verb_signal, OPTS(signal_options), "service"},
	{"kill", "NAME...", NULL, verb_signal, OPTS(signal_options), "service"},
	{"reset", "[NAME...]", "Forget failures, and count restarts anew", verb_reset, NULL, 0, "service"},
	{"reset-failed", "[NAME...]", NULL, verb_reset, NULL, 0, "service"},
	{"wait", "[NAME...]", "Wait until services are up (without a name: the boot target)", verb_wait, OPTS(wait_options), "service"},
	{GROUP("Change what is defined")},
	{"check", "[DIR|FILE...]", "Check service files; needs no rastd", verb_check, NULL, 0, "file"},
	{"apply", "", "Go over to the service files as they are now, all or nothing", verb_apply, OPTS(apply_options), ""},
	{"enable", "NAME...", "Start services at boot", verb_enable, OPTS(link_options), "service"},
	{"disable", "NAME...", "Don't start services at boot", verb_disable, OPTS(link_options), "service"},
	{"reexec", "", "Put the installed rastd in place of the running one; no service notices", verb_reexec, OPTS(reexec_options), ""},
	{GROUP("The machine")},
	{"poweroff", "", "Stop all services and power off", verb_poweroff, OPTS(power_options), ""},
	{"reboot", "", "Stop all services and reboot", verb_reboot, OPTS(power_options), ""},
	{"halt", "", "Stop all services and halt with the power on", verb_halt, OPTS(power_options), ""},
	{"kexec", "", "Stop all services and start the kernel that kexec(8) has loaded", verb_kexec, OPTS(power_options), ""},
	{"isolate", "NAME", "Start a bundle and stop everything that it does not need", verb_isolate, OPTS(isolate_options), "service"},
	{"rescue", "", "The same with the bundle rescue: a root shell on the console", verb_rescue, OPTS(rescue_options), ""},
	{"emergency", "", "The same with emergency: the shell alone, whatever was added to rescue", verb_emergency, OPTS(rescue_options), ""},
	{"default", "", "The same with default: everything that is enabled", verb_default, OPTS(rescue_options), ""},
};

static const struct program program = {
	.name = "rastctl",
	.summary = "control services, and the machine as a whole",
	.man = "rastctl(1)",
	.opts = program_options,
	.n_opts = ARRAY_SIZE(program_options),
	.verbs = verbs,
	.n_verbs = ARRAY_SIZE(verbs),
	.version = RAST_VERSION,
};

static const struct {
	const char *name;
	int (*run)(int argc, char **argv, void *data);
} names[] = {
	{"reboot", main_reboot}, {"poweroff", main_reboot}, {"halt", main_reboot}, {"shutdown", main_shutdown}, {"telinit", main_telinit}};

int main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "rastctl";
	setlocale(LC_TIME, "C");
	log_init("rastctl", LOG_TO_STDERR, -1);
	char help[] = "--help";
	if (argc > 1 && streq(argv[1], "help")) { /* `rastctl help list` is `rastctl list --help` */
		bool about = argc > 2 && argv[2][0] != '-';
		argv[1] = about ? argv[2] : help;
		if (about)
			argv[2] = help;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(name, names[i].name)) {
			ctl_name = names[i].name;
			return names[i].run(argc, argv, NULL);
		}
	return ctl_finish(program_main(&program, argc, argv, NULL));
}
