/* create.c: create, run, start. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include "base/mem.h"
#include "base/str.h"
#include "runtime/cli/cli.h"

static struct create o;
static long preserve_fds;
static bool detach, keep, no_subreaper;

#define COMMON_OPTS \
	{ "bundle", 'b', OPT_STRING, "DIR", "The bundle (default: the working folder)", &o.bundle }, \
	{ "config", 'f', OPT_STRING, "FILE", "Its configuration (default config.json)", &o.config }, \
	{ "console-socket", 0, OPT_STRING, "PATH", "Send the terminal's master to this UNIX socket", &o.console_socket }, \
	{ "pidfd-socket", 0, OPT_STRING, "PATH", "Send a pidfd of the first process to this UNIX socket", &o.pidfd_socket }, \
	{ "pid-file", 0, OPT_STRING, "FILE", "Write the first process's pid to FILE", &o.pid_file }, \
	{ "no-pivot", 0, OPT_FLAG, NULL, "Move the root in place of pivot_root; for hosts that run from an initramfs", &o.no_pivot }, \
	{ "no-new-keyring", 0, OPT_FLAG, NULL, "Keep the caller's session keyring", &o.no_new_keyring }, \
	{ "preserve-fds", 0, OPT_INT, "N", "Pass on N descriptors, from 3", &preserve_fds }

const struct opt create_opts[] = {
	COMMON_OPTS,
	{ "no-subreaper", 0, OPT_FLAG, NULL, "Accepted for compatibility; create never reaps others' children", &no_subreaper },
};

const struct opt run_opts[] = {
	COMMON_OPTS,
	{ "detach", 'd', OPT_FLAG, NULL, "Return when it runs", &detach },
	{ "keep", 0, OPT_FLAG, NULL, "Don't delete the container when it ends", &keep },
	{ "no-subreaper", 0, OPT_FLAG, NULL, "Don't reap what the container leaves behind", &no_subreaper },
};

static int prepare(int argc, char **argv, struct err *e)
{
	if (argc != 2)
		return err_set(e, -EINVAL, "%s: exactly one container id is wanted; try 'rastrun %s --help'", argv[0], argv[0]);
	if (preserve_fds < 0 || preserve_fds > 256)
		return err_set(e, -EINVAL, "--preserve-fds=%ld: 0 to 256", preserve_fds);
	if (log_open() != 0)
		return err_set(e, -EINVAL, "--log-format");
	o.root = cli.root;
	o.id = argv[1];
	o.systemd_cgroup = cli.systemd_cgroup;
	o.rootless = runs_rootless();
	if (cli.rootless && !streq(cli.rootless, "auto") && parse_bool(cli.rootless, &o.rootless) < 0)
		return err_set(e, -EINVAL, "--rootless=%s: true, false or auto", cli.rootless);
	o.no_cgroup = cli.cgroup_manager && streq(cli.cgroup_manager, "disabled");
	return preserved_find((unsigned)preserve_fds, &o.preserve, e);
}

int cmd_create(int argc, char **argv, void *data)
{
	_cleanup_container_ struct container c = CONTAINER_INIT;
	_cleanup_run_ struct run run = RUN_INIT;
	_cleanup_err_ struct err e = { 0 };
	int r = prepare(argc, argv, &e);

	o.waits = true;
	if (r == 0)
		r = container_create(&o, &c, &run, &e);
	if (r == 0 && run.child.master >= 0) {
		r = err_set(&e, -EINVAL, "process.terminal: give --console-socket to create, or use run");
		container_delete(&c, true, NULL);
	}
	if (r == 0)
		r = container_leave(&run, &e);
	return r < 0 ? cli_fail(&e) : 0;
}

static int wait_and_delete(struct container *c, struct run *run, struct err *e)
{
	_cleanup_err_ struct err own = { 0 };
	int status, r;

	container_unlock(c); /* others may look at it and change it meanwhile */
	status = foreground(&run->child, e);
	if (keep)
		return status;
	r = container_relock(c);
	if (r == 0)
		r = container_delete(c, true, &own);
	if (r < 0 && r != -ENOENT && status >= 0)
		return err_set(e, r, "%s", err_text(&own));
	return status;
}

int cmd_run(int argc, char **argv, void *data)
{
	_cleanup_container_ struct container c = CONTAINER_INIT;
	_cleanup_run_ struct run run = RUN_INIT;
	_cleanup_err_ struct err e = { 0 };
	int r = prepare(argc, argv, &e);

	if (r == 0 && !detach && !no_subreaper)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (!detach)
		foreground_block();
	if (r == 0)
		r = container_create(&o, &c, &run, &e);
	if (r < 0)
		return cli_fail(&e);
	if (detach && run.child.master >= 0)
		r = err_set(&e, -EINVAL, "process.terminal: give --console-socket to run --detach");
	if (r == 0)
		r = container_go(&c, &run, &e);
	if (r < 0) {
		container_delete(&c, true, NULL);
		return cli_fail(&e);
	}
	if (detach)
		return 0;
	r = wait_and_delete(&c, &run, &e);
	return r < 0 ? cli_fail(&e) : r;
}

int cmd_start(int argc, char **argv, void *data)
{
	_cleanup_container_ struct container c = CONTAINER_INIT;
	_cleanup_err_ struct err e = { 0 };
	int r;

	if (argc != 2)
		return cli_usage("start", "exactly one container id is wanted");
	if (log_open() != 0)
		return 1;
	r = container_open(cli.root, argv[1], true, &c, &e);
	if (r == 0)
		r = container_start(&c, &e);
	return r < 0 ? cli_fail(&e) : 0;
}
