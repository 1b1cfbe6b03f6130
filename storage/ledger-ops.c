/* ledger-ops.c: what happens to a deployment, as changes of the ledger in memory. No clock, no files. */
#include <string.h>

#include "base/mem.h"
#include "storage/ledger.h"

struct ledger_entry *ledger_find(struct ledger *l, uint32_t snapshot)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (l->e[i].snapshot == snapshot)
			return &l->e[i];
	return NULL;
}

static bool precious(const struct ledger *l, uint32_t snapshot)
{
	return snapshot == l->def || snapshot == l->last_good || snapshot == l->in_progress || snapshot == l->once;
}

/* The one whose last boot is longest ago; among those that never booted the lowest number. At most four are precious: there is always one. */
static void forget_oldest(struct ledger *l)
{
	uint32_t oldest = LEDGER_NONE;

	for (uint32_t i = 0; i < l->n; i++) {
		const struct ledger_entry *c = &l->e[i], *o = oldest == LEDGER_NONE ? NULL : &l->e[oldest];
		if (precious(l, c->snapshot))
			continue;
		if (!o || c->last_boot < o->last_boot || (c->last_boot == o->last_boot && c->snapshot < o->snapshot))
			oldest = i;
	}
	l->e[oldest] = l->e[--l->n];
}

struct ledger_entry *ledger_add(struct ledger *l, uint32_t snapshot)
{
	struct ledger_entry *e = ledger_find(l, snapshot);

	if (e)
		return e;
	if (l->n == LEDGER_MAX)
		forget_oldest(l);
	e = &l->e[l->n++];
	memset(e, 0, sizeof(*e));
	e->snapshot = snapshot;
	e->tries_left = LEDGER_TRIES;
	return e;
}

void ledger_deploy(struct ledger *l, uint32_t snapshot)
{
	struct ledger_entry *e = ledger_add(l, snapshot);

	e->tries_left = LEDGER_TRIES;
	e->fails = 0;
	e->proven = 0;
	e->spent = 0;
	if (snapshot != l->in_progress)
		e->last_result = LEDGER_RESULT_NONE;
	l->def = snapshot;
	l->once = LEDGER_NONE;
	l->explored = 0;
}

/* The newest attempt's row, if it was of this snapshot. */
static void judge_attempt(struct ledger *l, uint32_t snapshot, enum ledger_result result)
{
	struct ledger_attempt *a = &l->attempts[l->boot % LEDGER_ATTEMPTS];

	if (a->result != LEDGER_RESULT_NONE && a->snapshot == snapshot)
		a->result = (uint8_t)result;
}

void ledger_reason(struct ledger *l, uint8_t reason)
{
	l->attempts[l->boot % LEDGER_ATTEMPTS].reason = reason;
}

static bool exploratory(const struct ledger *l, uint32_t snapshot)
{
	const struct ledger_attempt *a = &l->attempts[l->boot % LEDGER_ATTEMPTS];

	return a->explores && a->snapshot == snapshot;
}

const struct ledger_attempt *ledger_attempt_of(const struct ledger *l, uint64_t boot)
{
	const struct ledger_attempt *a = &l->attempts[boot % LEDGER_ATTEMPTS];

	return boot == 0 || boot > l->boot || l->boot - boot >= LEDGER_ATTEMPTS || a->result == LEDGER_RESULT_NONE ? NULL : a;
}

static void count_failure(struct ledger_entry *e)
{
	if (e->fails < UINT32_MAX)
		e->fails++;
	e->spent = 0;
	if (e->proven && e->fails >= LEDGER_FAILS_UNPROVE) {
		e->proven = 0;
		e->tries_left = 0; /* tries anew on deploy only */
	}
}

/* An attempt that nobody judged: the power went, the kernel died, the watchdog bit. Its result stays "attempt". */
void ledger_settle(struct ledger *l)
{
	struct ledger_entry *e = l->in_progress == LEDGER_NONE ? NULL : ledger_find(l, l->in_progress);

	if (e && e->last_result == LEDGER_RESULT_ATTEMPT && !exploratory(l, l->in_progress))
		count_failure(e);
	l->in_progress = LEDGER_NONE;
}

static struct ledger_entry *begin_attempt(struct ledger *l, uint32_t snapshot, bool explores)
{
	struct ledger_entry *e;

	ledger_settle(l);
	l->in_progress = snapshot;
	e = ledger_add(l, snapshot);
	l->boot++;
	e->last_result = LEDGER_RESULT_ATTEMPT;
	l->attempts[l->boot % LEDGER_ATTEMPTS] = (struct ledger_attempt){.snapshot = snapshot, .result = LEDGER_RESULT_ATTEMPT, .explores = explores};
	if (l->once == snapshot)
		l->once = LEDGER_NONE;
	return e;
}

void ledger_attempt(struct ledger *l, uint32_t snapshot)
{
	struct ledger_entry *e = begin_attempt(l, snapshot, false);

	e->last_boot = l->boot;
	e->spent = !e->proven && e->tries_left > 0;
	e->tries_left -= e->spent;
}

void ledger_explore(struct ledger *l, uint32_t snapshot)
{
	begin_attempt(l, snapshot, true)->spent = 0;
	if (l->explored < UINT32_MAX)
		l->explored++;
}

void ledger_good(struct ledger *l, uint32_t snapshot)
{
	struct ledger_entry *e = ledger_add(l, snapshot);
	bool again = e->last_result == LEDGER_RESULT_GOOD && l->in_progress != snapshot; /* said twice in one boot */

	if (l->in_progress == snapshot)
		e->last_boot = l->boot;
	e->proven = 1;
	e->fails = 0;
	e->spent = 0;
	e->tries_left = LEDGER_TRIES;
	e->last_result = LEDGER_RESULT_GOOD;
	if (!again && e->goods < UINT32_MAX)
		e->goods++;
	l->last_good = snapshot;
	if (l->def == snapshot)
		l->explored = 0;
	judge_attempt(l, snapshot, LEDGER_RESULT_GOOD);
	if (l->in_progress == snapshot)
		l->in_progress = LEDGER_NONE;
}

void ledger_failed(struct ledger *l, uint32_t snapshot, enum ledger_result why)
{
	struct ledger_entry *e = ledger_add(l, snapshot);
	bool again = why == LEDGER_RESULT_FAILED && e->last_result == why && l->in_progress != snapshot; /* said twice in one boot, by a rastd that was restarted */

	if (!again && !exploratory(l, snapshot))
		count_failure(e);
	e->last_result = (uint8_t)why;
	judge_attempt(l, snapshot, why);
	if (l->in_progress == snapshot)
		l->in_progress = LEDGER_NONE;
	if (l->once == snapshot)
		l->once = LEDGER_NONE;
}

void ledger_left(struct ledger *l, uint32_t snapshot)
{
	struct ledger_entry *e = ledger_find(l, snapshot);

	if (!e || l->in_progress != snapshot || e->last_result != LEDGER_RESULT_ATTEMPT)
		return;
	if (e->spent && e->tries_left < LEDGER_TRIES)
		e->tries_left++;
	e->spent = 0;
	e->last_result = LEDGER_RESULT_SHUTDOWN;
	judge_attempt(l, snapshot, LEDGER_RESULT_SHUTDOWN);
	l->in_progress = LEDGER_NONE;
}

const char *ledger_result_name(unsigned result)
{
	static const char *const names[] = {
		[LEDGER_RESULT_NONE] = "never booted",	[LEDGER_RESULT_ATTEMPT] = "not judged", [LEDGER_RESULT_GOOD] = "good",
		[LEDGER_RESULT_FAILED] = "failed",	[LEDGER_RESULT_UNMOUNTABLE] = "unmountable",
		[LEDGER_RESULT_SHUTDOWN] = "shut down before it was judged",
	};

	return result < ARRAY_SIZE(names) ? names[result] : "unknown";
}
