/* main.c: rastinit's table of contents.
 *
 * One program, because the initramfs holds one: /init is stage 1, PID 1 of the real root is stage 2, anything else is a command. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/opt.h"
#include "base/str.h"
#include "config.h"
#include "init/ledgercmd.h"
#include "init/pid1.h"
#include "init/stage1.h"
#include "storage/ledger.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static struct options {
	bool stage1, json, once;
	const char *mark, *ledger, *deploy, *ledger_file, *supervisor, *after_crash, *reexec;
} opts = {.ledger_file = LEDGER_DEFAULT_PATH};

static const struct opt table[] = {
	{"The boot ledger", 0, OPT_GROUP, NULL, NULL, NULL},
	{"mark", 0, OPT_STRING, "RESULT", "record how the boot of SNAPSHOT (the operand) went: good, failed, or left (shut down before it was judged)", &opts.mark},
	{"deploy", 0, OPT_STRING, "SNAPSHOT", "make this snapshot the default of the next boot, with all its tries", &opts.deploy},
	{"once", 0, OPT_FLAG, NULL, "with --deploy: for the next boot only; the default stays", &opts.once},
	{"ledger", 0, OPT_STRING, "show", "print the ledger", &opts.ledger},
	{"json", 0, OPT_FLAG, NULL, "with --ledger show: as JSON", &opts.json},
	{"ledger-file", 0, OPT_STRING, "FILE", "in place of " LEDGER_DEFAULT_PATH, &opts.ledger_file},
	{"As PID 1", 0, OPT_GROUP, NULL, NULL, NULL},
	{"stage1", 0, OPT_FLAG, NULL, "be the initramfs's /init", &opts.stage1},
	{"supervisor", 0, OPT_STRING, "PATH", "start this in place of " RAST_LIBDIR "/rastd; operands are its arguments", &opts.supervisor},
	{"after-crash", 0, OPT_STRING, "FD", "internal: take over the state of a PID 1 that had a fault", &opts.after_crash},
	{"reexec", 0, OPT_STRING, "FD", "internal: take over the state of the PID 1 before an upgrade", &opts.reexec},
};

static const struct program program = {
	.name = "rastinit",
	.summary = "PID 1 of rastOS, in the initramfs and afterwards; and the boot ledger's tool",
	.man = "rastinit(8)",
	.opts = table,
	.n_opts = ARRAY_SIZE(table),
	.operands = "[SNAPSHOT]",
	.version = RAST_VERSION,
};

/* The kernel starts an initramfs's program as "/init" on a file system that lives in memory. */
static bool in_initramfs(const char *argv0)
{
	struct statfs fs;

	return getpid() == 1 && streq(argv0, "/init") && statfs("/", &fs) == 0 && (fs.f_type == RAMFS_MAGIC || fs.f_type == TMPFS_MAGIC);
}

/* `init q`, `init 6`: sysvinit's init, started by a person, is telinit. Options are ours, as `rastinit` they are reached too. */
static void be_telinit(char **argv)
{
	const char *slash = strrchr(argv[0], '/');

	if (!streq(slash ? slash + 1 : argv[0], "init") || !argv[1] || argv[1][0] == '-')
		return;
	argv[0] = (char *)(uintptr_t)"telinit";
	execv(RAST_SBINDIR "/telinit", argv);
	fprintf(stderr, "init: start " RAST_SBINDIR "/telinit, which does what is asked for: %s\n", strerror(errno));
	exit(EXIT_FAILED);
}

static int usage(const char *text)
{
	fprintf(stderr, "rastinit: %s; see rastinit --help\n", text);
	return EXIT_USAGE;
}

static int snapshot_operand(const char *text, uint32_t *ret)
{
	uint64_t n;

	if (!text || parse_u64(text, &n) < 0 || n >= LEDGER_NONE)
		return -1;
	*ret = (uint32_t)n;
	return 0;
}

static int ledger_command(int argc, char **argv)
{
	_cleanup_err_ struct err e = {0};
	uint32_t snapshot = 0;
	int r;

	if (opts.ledger && !streq(opts.ledger, "show"))
		return usage("--ledger knows 'show' only");
	if (!opts.ledger && snapshot_operand(opts.deploy ? opts.deploy : argc > 0 ? argv[0] : NULL, &snapshot) < 0)
		return usage("a snapshot is a number, as in rastinit --mark good 12");
	if (opts.ledger)
		r = ledger_show(opts.ledger_file, opts.json, &e);
	else if (opts.deploy)
		r = ledger_make_default(opts.ledger_file, snapshot, opts.once, &e);
	else
		r = ledger_mark(opts.ledger_file, opts.mark, snapshot, &e);
	if (r < 0)
		fprintf(stderr, "rastinit: %s\n", err_text(&e));
	return r == 0 ? 0 : r == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

int main(int argc, char **argv)
{
	int r;

	if (in_initramfs(argv[0]))
		stage1_main(argv);
	if (getpid() == 1 && !(argc > 1 && str_starts(argv[1], "--")))
		return pid1_main(&(struct pid1_options){.argv = argv}); /* the kernel hands us words of its command line as arguments */
	if (getpid() != 1)
		be_telinit(argv);
	r = opt_parse(&program, table, ARRAY_SIZE(table), &argc, &argv);
	if (r != 0)
		return r;
	if (opts.mark || opts.deploy || opts.ledger)
		return ledger_command(argc, argv);
	if (getpid() != 1)
		return usage("this is PID 1's program: nothing to do");
	if (opts.stage1) /* argv is at the operands now: the slot before them is for the name of the next program */
		stage1_main(argv - 1);
	return pid1_main(&(struct pid1_options){
		.argv = argv,
		.supervisor = opts.supervisor,
		.arguments = opts.supervisor ? argv : NULL,
		.after_crash = opts.after_crash,
		.reexec = opts.reexec,
	});
}
