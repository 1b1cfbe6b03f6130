/* main.c: the table of commands. */
#include "runtime/cli/cli.h"

#include <jansson.h>
#include <malloc.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/str.h"
#include "config.h"

struct cli cli = { .log_format = "text" };

static const struct opt opts[] = {
	{ "root", 0, OPT_STRING, "DIR", "Keep the state of containers in DIR (default /run/rastrun, or $XDG_RUNTIME_DIR/rastrun)", &cli.root },
	{ "log", 0, OPT_STRING, "FILE", "Write log lines to FILE (default stderr)", &cli.log },
	{ "log-format", 0, OPT_STRING, "FORMAT", "text or json", &cli.log_format },
	{ "log-level", 0, OPT_STRING, "LEVEL", "error, warning, info or debug", &cli.log_level },
	{ "debug", 0, OPT_FLAG, NULL, "Log more", &cli.debug },
	{ "systemd-cgroup", 0, OPT_FLAG, NULL, "cgroupsPath is slice:prefix:name", &cli.systemd_cgroup },
	{ "cgroup-manager", 0, OPT_STRING, "NAME", "cgroupfs, systemd (as --systemd-cgroup) or disabled", &cli.cgroup_manager },
	{ "rootless", 0, OPT_STRING, "WHEN", "true: place cgroups as for an ordinary user, below the own one; false: as for root; auto (default)", &cli.rootless },
};

static const struct verb verbs[] = {
	{ "Life of a container", NULL, NULL, NULL, NULL, 0, NULL, false },
	{ "run", "ID", "Create a container and start it", cmd_run, run_opts, ARRAY_SIZE(run_opts), "", false },
	{ "create", "ID", "Create a container from a bundle", cmd_create, create_opts, ARRAY_SIZE(create_opts), "", false },
	{ "start", "ID", "Start a created container", cmd_start, NULL, 0, "$(rastrun list -q 2>/dev/null)", false },
	{ "kill", "ID [SIGNAL]", "Send a signal to a container", cmd_kill, kill_opts, ARRAY_SIZE(kill_opts), "$(rastrun list -q 2>/dev/null)", false },
	{ "delete", "ID...", "Remove what is left of a container", cmd_delete, delete_opts, ARRAY_SIZE(delete_opts), "$(rastrun list -q 2>/dev/null)", false },
	{ "Processes", NULL, NULL, NULL, NULL, 0, NULL, false },
	{ "exec", "ID COMMAND...", "Run a program in a container", cmd_exec, exec_opts, ARRAY_SIZE(exec_opts), "$(rastrun list -q 2>/dev/null)", true },
	{ "ps", "ID [PS-OPTION...]", "Show a container's processes", cmd_ps, ps_opts, ARRAY_SIZE(ps_opts), "$(rastrun list -q 2>/dev/null)", true },
	{ "pause", "ID", "Freeze all processes of a container", cmd_pause, NULL, 0, "$(rastrun list -q 2>/dev/null)", false },
	{ "resume", "ID", "Let them go on", cmd_resume, NULL, 0, "$(rastrun list -q 2>/dev/null)", false },
	{ "Looking and changing", NULL, NULL, NULL, NULL, 0, NULL, false },
	{ "list", "", "List containers", cmd_list, list_opts, ARRAY_SIZE(list_opts), "", false },
	{ "state", "ID", "Print a container's state as JSON", cmd_state, NULL, 0, "$(rastrun list -q 2>/dev/null)", false },
	{ "events", "ID", "Print what a container uses, as JSON", cmd_events, events_opts, ARRAY_SIZE(events_opts), "$(rastrun list -q 2>/dev/null)", false },
	{ "update", "ID", "Change a container's limits", cmd_update, update_opts, ARRAY_SIZE(update_opts), "$(rastrun list -q 2>/dev/null)", false },
	{ "mounts add", "ID FILE", "Mount what FILE lists (JSON, as mounts of config.json) into a running container", cmd_mounts_add, NULL, 0, "file", false },
	{ "mounts remove", "ID FILE", "Unmount the destinations that FILE lists", cmd_mounts_remove, NULL, 0, "file", false },
	{ "Without a container", NULL, NULL, NULL, NULL, 0, NULL, false },
	{ "spec", "", "Write a config.json to begin with", cmd_spec, spec_opts, ARRAY_SIZE(spec_opts), "", false },
	{ "features", "", "Print what this runtime can do, as JSON", cmd_features, NULL, 0, "", false },
};

const struct program rastrun = { .name = "rastrun", .summary = "Run containers as the Open Container Initiative describes them.", .man = "rastrun(8)",
	.opts = opts, .n_opts = ARRAY_SIZE(opts), .verbs = verbs, .n_verbs = ARRAY_SIZE(verbs), .version = RAST_VERSION };

/* What callers left open stays theirs: nothing of it may reach a container by accident (CVE-2024-21626). */
static void close_leaks(void)
{
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
}

/* Before the options are parsed, which changes argv. A word that only looks like one of the commands does no harm. */
static bool enters_a_container(char **argv)
{
	for (char **w = argv + 1; *argv && *w; w++)
		if (streq(*w, "run") || streq(*w, "create") || streq(*w, "exec") || streq(*w, "restore"))
			return true;
	return false;
}

/* jansson would read /dev/urandom; the kernel has given us 16 random bytes already (getauxval(3)). */
static void seed_hashes(void)
{
	const void *random = (const void *)getauxval(AT_RANDOM);
	size_t seed;

	if (!random)
		return;
	memcpy(&seed, random, sizeof(seed));
	json_object_seed(seed | 1);
}

int main(int argc, char **argv)
{
	_cleanup_err_ struct err e = { 0 };

	if (enters_a_container(argv) && protect_self(argv, &e) < 0)
		return cli_fail(&e);
	close_leaks();
	mallopt(M_TOP_PAD, 256 << 10); /* one brk(2) in place of many */
	seed_hashes();
	return program_main(&rastrun, argc, argv, NULL);
}
