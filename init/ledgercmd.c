/* ledgercmd.c: see ledgercmd.h */
#include "init/ledgercmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "storage/ledger.h"

#define LOCK_WAIT_MS 5000

/* Load under the lock. A ledger that is missing or damaged in both slots is an empty one to the writers. */
static int open_locked(const char *path, struct ledger *l, struct err *e)
{
	bool damaged;
	int r, lock = ledger_lock(AT_FDCWD, path, LOCK_WAIT_MS, e);

	if (lock < 0)
		return lock;
	r = ledger_load(AT_FDCWD, path, l, &damaged, e);
	if (r < 0 && r != -ENOENT && r != -EBADMSG) {
		close(lock);
		return r;
	}
	err_clear(e);
	return lock;
}

int ledger_mark(const char *path, const char *result, uint32_t snapshot, struct err *e)
{
	unsigned char before[LEDGER_SLOT_SIZE], after[LEDGER_SLOT_SIZE];
	struct ledger l;

	_cleanup_close_ int lock = open_locked(path, &l, e);
	if (lock < 0)
		return lock;
	ledger_encode(&l, before);
	if (streq(result, "good"))
		ledger_good(&l, snapshot);
	else if (streq(result, "failed"))
		ledger_failed(&l, snapshot, LEDGER_RESULT_FAILED);
	else if (streq(result, "left"))
		ledger_left(&l, snapshot);
	else
		return err_set(e, -EINVAL, "a boot is marked 'good', 'failed' or 'left', not '%s'", result);
	ledger_encode(&l, after);
	return memcmp(before, after, sizeof(after)) == 0 ? 0 : ledger_save(AT_FDCWD, path, &l, e);
}

int ledger_make_default(const char *path, uint32_t snapshot, bool once, struct err *e)
{
	struct ledger l;

	_cleanup_close_ int lock = open_locked(path, &l, e);
	if (lock < 0)
		return lock;
	if (once)
		l.once = ledger_add(&l, snapshot)->snapshot;
	else
		ledger_deploy(&l, snapshot);
	return ledger_save(AT_FDCWD, path, &l, e);
}

static void print_number(const char *key, uint32_t n, bool json)
{
	char text[16] = "none";

	if (n != LEDGER_NONE || json)
		snprintf(text, sizeof(text), n == LEDGER_NONE ? "null" : "%u", n);
	if (json)
		printf("\"%s\": %s, ", key, text);
	else
		printf("%-12s %s\n", key, text);
}

static void print_entry(const struct ledger_entry *e, bool json, bool first)
{
	const char *result = ledger_result_name(e->last_result);

	if (json)
		printf("%s{\"snapshot\": %u, \"tries_left\": %u, \"fails\": %u, \"goods\": %u, \"last_boot\": %llu, \"proven\": %s, \"last_result\": \"%s\"}",
			first ? "" : ", ", e->snapshot, e->tries_left, e->fails, e->goods, (unsigned long long)e->last_boot, e->proven ? "true" : "false",
			result);
	else
		printf("%8u %6s %5u %5u %5u %9llu  %s\n", e->snapshot, e->proven ? "yes" : "no", e->tries_left, e->fails, e->goods,
			(unsigned long long)e->last_boot, result);
}

int ledger_show(const char *path, bool json, struct err *e)
{
	struct ledger l;
	bool damaged;
	int r = ledger_load(AT_FDCWD, path, &l, &damaged, e);

	if (r == -ENOENT)
		return err_set(e, r, "there is no boot ledger %s", path);
	if (r < 0)
		return r;
	if (damaged)
		fprintf(stderr, "%s\n", err_text(e));
	if (json)
		printf("{\"boot\": %llu, \"damaged\": %s, ", (unsigned long long)l.boot, damaged ? "true" : "false");
	else
		printf("%-12s %llu\n", "boots", (unsigned long long)l.boot);
	print_number("default", l.def, json);
	print_number("last_good", l.last_good, json);
	print_number("in_progress", l.in_progress, json);
	print_number("once", l.once, json);
	if (json)
		printf("\"deployments\": [");
	else
		printf("%8s %6s %5s %5s %5s %9s  %s\n", "snapshot", "proven", "tries", "fails", "goods", "last boot", "last result");
	for (uint32_t i = 0; i < l.n; i++)
		print_entry(&l.e[i], json, i == 0);
	if (json)
		printf("]}\n");
	return fflush(stdout) == 0 ? 0 : err_sys(e, -errno, "write");
}
