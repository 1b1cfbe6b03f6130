/* exec.c: exec. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/str.h"
#include "runtime/cli/cli.h"

static struct exec o;
static char **env, **caps, **gids;
static long preserve_fds;
static bool detach, no_subreaper;

const struct opt exec_opts[] = {
	{ "process", 'p', OPT_STRING, "FILE", "What to run, as process.json; other options then only say how", &o.process_file },
	{ "cwd", 0, OPT_STRING, "PATH", "Working folder in the container", &o.cwd },
	{ "env", 'e', OPT_LIST, "NAME=VALUE", "Set an environment variable; may be repeated", &env },
	{ "tty", 't', OPT_FLAG, NULL, "Give it a terminal", &o.tty },
	{ "user", 'u', OPT_STRING, "UID[:GID]", "Run as this user", &o.user },
	{ "additional-gids", 'g', OPT_LIST, "GID", "And in this group; may be repeated", &gids },
	{ "detach", 'd', OPT_FLAG, NULL, "Return when it runs", &detach },
	{ "pid-file", 0, OPT_STRING, "FILE", "Write its pid to FILE", &o.pid_file },
	{ "console-socket", 0, OPT_STRING, "PATH", "Send the terminal's master to this UNIX socket", &o.console_socket },
	{ "pidfd-socket", 0, OPT_STRING, "PATH", "Send a pidfd of it to this UNIX socket", &o.pidfd_socket },
	{ "process-label", 0, OPT_STRING, "LABEL", "SELinux label", &o.label },
	{ "apparmor", 0, OPT_STRING, "PROFILE", "AppArmor profile", &o.apparmor },
	{ "no-new-privs", 0, OPT_FLAG, NULL, "It gains nothing by setuid programs", &o.no_new_privs },
	{ "cap", 'c', OPT_LIST, "CAP", "Add a capability; may be repeated", &caps },
	{ "preserve-fds", 0, OPT_INT, "N", "Pass on N descriptors, from 3", &preserve_fds },
	{ "cgroup", 0, OPT_STRING, "PATH", "Run it in this cgroup below the container's", &o.cgroup },
	{ "ignore-paused", 0, OPT_FLAG, NULL, "Also in a paused container, where it waits for resume", &o.ignore_paused },
	{ "no-subreaper", 0, OPT_FLAG, NULL, "Accepted for compatibility", &no_subreaper },
};

int cmd_exec(int argc, char **argv, void *data)
{
	_cleanup_container_ struct container c = CONTAINER_INIT;
	_cleanup_run_ struct run run = RUN_INIT;
	_cleanup_err_ struct err e = { 0 };
	int r;

	if (argc < 2)
		return cli_usage("exec", "a container id and a command are wanted");
	if (argc < 3 && !o.process_file)
		return cli_usage("exec", "a command or --process FILE is wanted");
	if (preserve_fds < 0 || preserve_fds > 256)
		return cli_usage("exec", "--preserve-fds takes 0 to 256");
	if (log_open() != 0)
		return 1;
	o.args = argv + 2;
	o.env = env;
	o.caps = caps;
	o.gids = gids;
	if (!detach)
		foreground_block();
	r = preserved_find((unsigned)preserve_fds, &o.preserve, &e);
	if (r == 0)
		r = container_open(cli.root, argv[1], false, &c, &e);
	if (r == 0)
		r = container_exec(&o, &c, &run, &e);
	if (r == 0 && !detach)
		r = foreground(&run.child, &e);
	return r < 0 ? cli_fail(&e) : r;
}
