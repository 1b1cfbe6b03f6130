/* deploy.c: rast deploy: make a snapshot what boots next, remember its configuration, and say what it resembles. */
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "storage/rast/history.h"

#define LOCK_WAIT_MS 5000

/* Before anything is written: what the history thinks of it. Not knowing is no reason not to deploy. */
static void warn(uint32_t snapshot)
{
	_cleanup_history_ struct history h = {0};
	_cleanup_documents_ struct documents ds = {0};
	_cleanup_err_ struct err e = {0};
	struct risk_report rep = {0};
	uint32_t from;

	if (rast.quiet || history_open(&h, hist.dir, HISTORY_READ, &e) < 0 || !h.has_salt || history_begin(&h, HISTORY_READ, &e) < 0 || history_newest(&h, running_snapshot(), &from, &e) < 0 ||
		collect_snapshot(snapshot, &h.salt, &ds, &e) < 0 || history_risk(&h, from, &ds, &rep, &e) < 0)
		return;
	risk_warning(&rep, stderr);
	risk_report_free(&rep);
}

static int make_default(uint32_t snapshot, struct err *e)
{
	char path[4096];
	struct ledger l;
	bool damaged;

	snprintf(path, sizeof(path), "%s/ledger", hist.dir);
	_cleanup_close_ int lock = ledger_lock(AT_FDCWD, path, LOCK_WAIT_MS, e);
	if (lock < 0)
		return lock;
	int r = ledger_load(AT_FDCWD, path, &l, &damaged, e);
	if (r < 0 && r != -ENOENT && r != -EBADMSG)
		return r;
	err_clear(e);
	*e = (struct err){0};
	if (hist.once)
		l.once = ledger_add(&l, snapshot)->snapshot;
	else
		ledger_deploy(&l, snapshot);
	return ledger_save(AT_FDCWD, path, &l, e);
}

int verb_deploy(int argc, char **argv, void *data)
{
	_cleanup_err_ struct err e = {0};
	uint32_t all[4096];
	uint64_t snapshot;
	size_t n = 0;
	bool there = false;

	if (argc != 2 || parse_u64(argv[1], &snapshot) < 0 || snapshot >= LEDGER_NONE)
		return rast_error(RAST_USAGE, "deploy takes the number of a snapshot");
	if (existing_snapshots(all, ARRAY_SIZE(all), &n, &e) < 0)
		return rast_fail(&e);
	for (size_t i = 0; i < n; i++)
		there |= all[i] == snapshot;
	if (!there)
		return rast_error(RAST_NOT_THERE, "there is no snapshot %llu", (unsigned long long)snapshot);
	warn((uint32_t)snapshot);
	hist.kind = "deploy";
	hist.snapshot = (long)snapshot;
	bool quiet = rast.quiet;
	rast.quiet = true;
	char *words[] = {argv[0], NULL};
	if (verb_history_record(1, words, data) != RAST_OK) /* it has said why */
		fputs("rast: the deployment goes on without being remembered\n", stderr);
	rast.quiet = quiet;
	if (make_default((uint32_t)snapshot, &e) < 0)
		return rast_fail(&e);
	if (!rast.quiet)
		printf("snapshot %llu boots %s\n", (unsigned long long)snapshot, hist.once ? "once, next time" : "from the next time on; if it fails, the machine comes back by itself");
	return RAST_OK;
}
