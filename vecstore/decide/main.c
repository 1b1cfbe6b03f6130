/* main.c: rast-decide, which stage 1 asks. A process of its own, so that a damaged file, a dying disk or a fault of ours costs PID 1 nothing:
 * it is waited for with a deadline, and without an answer the last known good snapshot boots.
 *
 * stdin: one slot of the boot ledger (storage/ledger.h). stdout: "chosen INDEX" or "none TEXT", then the reasons as JSON; with --write
 * these go to that file, too, where `rast why` finds them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/opt.h"
#include "config.h"
#include "vecstore/decide/problem.h"

static struct { const char *store, *write; long failed, otherwise; } set = {.store = "/var/lib/rastos/store", .failed = -1, .otherwise = -1};

static const struct opt options[] = {
	{"store", 0, OPT_STRING, "DIR", "the history's store (/var/lib/rastos/store)", &set.store},
	{"failed", 0, OPT_INT, "N", "the snapshot that has no tries left", &set.failed},
	{"otherwise", 0, OPT_INT, "N", "the snapshot that the rules would boot", &set.otherwise},
	{"write", 0, OPT_STRING, "FILE", "write the reasons there", &set.write},
};
static const struct program program = {.name = "rast-decide", .summary = "say which snapshot is the likeliest to work, from what the history knows", .man = "rast-decide(8)",
	.opts = options, .n_opts = ARRAY_SIZE(options), .operands = "SNAPSHOT...", .version = RAST_VERSION};

static int read_ledger(struct ledger *l, struct err *e)
{
	unsigned char slot[LEDGER_SLOT_SIZE];
	_cleanup_free_ char *data = NULL;
	const char *why;
	size_t n;
	int r = fd_read_all(STDIN_FILENO, sizeof(slot) + 1, &data, &n);

	if (r == 0 && n != sizeof(slot))
		r = -EBADMSG;
	if (r < 0)
		return err_sys(e, r, "read the boot ledger from standard input (%u bytes are one slot)", LEDGER_SLOT_SIZE);
	memcpy(slot, data, sizeof(slot));
	r = ledger_decode(slot, l, &why);
	return r < 0 ? err_set(e, r, "the boot ledger on standard input: %s", why) : 0;
}

static int decide_by(const struct ledger *l, const uint32_t *candidates, unsigned n, struct buf *json, struct err *e)
{
	_cleanup_vs_ struct vs *s = NULL;
	_cleanup_vs_txn_ struct vs_txn *t = NULL;
	int r = vs_open(&s, set.store, VS_RDONLY | VS_NOLOCK, e);

	if (r == 0)
		r = vs_begin(s, VS_READ, &t, e);
	return r < 0 ? r : problem_decide(t, l, candidates, n, (uint32_t)set.failed, (uint32_t)set.otherwise, &decide_params_default, json, e);
}

static int answer(int r, const struct err *e, const struct buf *json)
{
	if (r >= 0)
		printf("chosen %d\n", r);
	else
		printf("none %s\n", err_text(e));
	if (json->data)
		fwrite(json->data, 1, json->len, stdout);
	return fflush(stdout) == 0 ? 0 : -errno;
}

int main(int argc, char **argv)
{
	uint32_t candidates[LEDGER_MAX];
	_cleanup_err_ struct err e = {0};
	_cleanup_buf_ struct buf json = {0};
	struct ledger l;
	int status = opt_parse(&program, options, ARRAY_SIZE(options), &argc, &argv);

	if (status)
		return status;
	if (set.failed < 0 || set.otherwise < 0 || argc < 1 || argc > (int)LEDGER_MAX) {
		fprintf(stderr, "rast-decide: --failed, --otherwise and 1 to %u snapshots are needed\n", LEDGER_MAX);
		return 2;
	}
	for (int i = 0; i < argc; i++) {
		uint64_t n;
		if (parse_u64(argv[i], &n) < 0 || n >= LEDGER_NONE) {
			fprintf(stderr, "rast-decide: '%s' is not the number of a snapshot\n", argv[i]);
			return 2;
		}
		candidates[i] = (uint32_t)n;
	}
	int r = read_ledger(&l, &e);
	if (r == 0)
		r = decide_by(&l, candidates, (unsigned)argc, &json, &e);
	if (answer(r, &e, &json) < 0)
		return 1;
	if (set.write && json.len && (r = file_replace(AT_FDCWD, set.write, json.data, json.len, 0600)) < 0)
		fprintf(stderr, "rast-decide: write %s: %s\n", set.write, strerror(-r));
	return 0;
}
