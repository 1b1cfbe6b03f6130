/* decide.c: which snapshot boots. The policy of docs/design.md, "The boot decision", as a list of rules in order of precedence.
 *
 * The promise behind the last rule: as long as any available snapshot works it is reached after finitely many boots. Every failure
 * raises that snapshot's `fails`, and the last rule prefers the fewest, so that no broken snapshot can hold its place for ever. */
#include "storage/decide.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct input {
	const struct ledger *l;
	const uint32_t *available;
	unsigned n;
	uint32_t forced;
	decide_rank rank;
	void *rank_data;
	char note[96]; /* what was asked for and can't be done: goes in front of the reason's text */
};

static const struct ledger_entry *entry(const struct input *in, uint32_t snapshot)
{
	for (uint32_t i = 0; i < in->l->n; i++)
		if (in->l->e[i].snapshot == snapshot)
			return &in->l->e[i];
	return NULL;
}

static bool available(const struct input *in, uint32_t snapshot)
{
	for (unsigned i = 0; snapshot != LEDGER_NONE && i < in->n; i++)
		if (in->available[i] == snapshot)
			return true;
	return false;
}

static _printf_(5, 6) bool choose(const struct input *in, struct decision *d, uint32_t snapshot, enum decide_reason why, const char *fmt, ...)
{
	int n = snprintf(d->text, sizeof(d->text), "%s", in->note);
	va_list ap;

	d->snapshot = snapshot;
	d->reason = why;
	va_start(ap, fmt);
	vsnprintf(d->text + n, sizeof(d->text) - (size_t)n, fmt, ap);
	va_end(ap);
	return true;
}

static bool rule_forced(struct input *in, struct decision *d)
{
	if (in->forced == LEDGER_NONE)
		return false;
	if (available(in, in->forced))
		return choose(in, d, in->forced, DECIDE_FORCED, "the kernel command line asks for snapshot %u", in->forced);
	snprintf(in->note, sizeof(in->note), "snapshot %u of the kernel command line is not bootable; ", in->forced);
	return false;
}

static bool rule_once(struct input *in, struct decision *d)
{
	return available(in, in->l->once) &&
	       choose(in, d, in->l->once, DECIDE_ONCE, "snapshot %u was asked for, for this boot only", in->l->once);
}

static bool rule_default(struct input *in, struct decision *d)
{
	uint32_t def = in->l->def;
	const struct ledger_entry *e = entry(in, def);
	unsigned tries = e ? e->tries_left : LEDGER_TRIES;

	if (!available(in, def))
		return false;
	if (e && e->proven && e->fails == 0)
		return choose(in, d, def, DECIDE_DEFAULT_PROVEN, "the default, proven (%u healthy boots)", e->goods);
	if (e && e->proven)
		return choose(in, d, def, DECIDE_DEFAULT_PROVEN, "the default, proven (%u healthy boots; failed %u of %u times in a row)", e->goods,
			e->fails, LEDGER_FAILS_UNPROVE);
	if (tries > 0)
		return choose(in, d, def, DECIDE_DEFAULT_TRIES, "the default, not yet proven: try %u of %u", LEDGER_TRIES - MIN(tries, LEDGER_TRIES) + 1,
			LEDGER_TRIES);
	return false;
}

/* What the later rules fall back from. Its buffer is longer than its longest text. */
static const char *default_gone(const struct input *in, char buf[80])
{
	if (in->l->def == LEDGER_NONE)
		return "there is no default";
	snprintf(buf, 80, available(in, in->l->def) ? "the default, snapshot %u, has no tries left" : "the default, snapshot %u, can't be mounted",
		in->l->def);
	return buf;
}

static bool rule_last_good(struct input *in, struct decision *d)
{
	const struct ledger_entry *best = entry(in, in->l->last_good);
	char gone[80];

	if (best && best->proven && best->snapshot != in->l->def && available(in, best->snapshot))
		return choose(in, d, best->snapshot, DECIDE_LAST_GOOD, "%s; snapshot %u is the last known good one", default_gone(in, gone),
			best->snapshot);
	best = NULL;
	for (uint32_t i = 0; i < in->l->n; i++) {
		const struct ledger_entry *c = &in->l->e[i];
		if (c->proven && available(in, c->snapshot) && (!best || c->last_boot > best->last_boot))
			best = c;
	}
	return best && choose(in, d, best->snapshot, DECIDE_LAST_GOOD, "%s; snapshot %u has been healthy", default_gone(in, gone), best->snapshot);
}

/* Fewest rounds of failures first, then those that have ever been healthy, then fewest failures, then the newest. */
static bool better(const struct ledger_entry *a, const struct ledger_entry *b)
{
	uint32_t ra = a->fails / LEDGER_FAILS_UNPROVE, rb = b->fails / LEDGER_FAILS_UNPROVE;

	if (ra != rb)
		return ra < rb;
	if ((a->goods > 0) != (b->goods > 0))
		return a->goods > 0;
	if (a->fails != b->fails)
		return a->fails < b->fails;
	return a->snapshot > b->snapshot;
}

static bool rule_newest(struct input *in, struct decision *d)
{
	struct ledger_entry best = {.snapshot = LEDGER_NONE};
	char gone[80];

	for (unsigned i = 0; i < in->n; i++) {
		const struct ledger_entry *known = entry(in, in->available[i]);
		struct ledger_entry c = known ? *known : (struct ledger_entry){.snapshot = in->available[i]};
		if (best.snapshot == LEDGER_NONE || better(&c, &best))
			best = c;
	}
	return best.snapshot != LEDGER_NONE && choose(in, d, best.snapshot, DECIDE_NEWEST_LEFT,
						       "%s and none is known to be good; of the %u that are there snapshot %u has failed least", default_gone(in, gone),
						       in->n, best.snapshot);
}

static bool rule_nothing(struct input *in, struct decision *d)
{
	return choose(in, d, LEDGER_NONE, DECIDE_NOTHING, "no snapshot is left that can be booted");
}

static void by_rules(struct input *in, struct decision *d)
{
	static bool (*const rules[])(struct input *, struct decision *) = {
		rule_forced, rule_once, rule_default, rule_last_good, rule_newest, rule_nothing,
	};

	memset(d, 0, sizeof(*d));
	for (unsigned i = 0; i < ARRAY_SIZE(rules) && !rules[i](in, d); i++)
		;
}

/* --- the history --- */

static unsigned add_candidate(const struct input *in, uint32_t *c, unsigned n, uint32_t snapshot)
{
	for (unsigned i = 0; i < n; i++)
		if (c[i] == snapshot)
			return n;
	if (n < LEDGER_MAX && available(in, snapshot))
		c[n++] = snapshot;
	return n;
}

/* See decide_rank. What failed in a snapshot that was never healthy is not tried again, but for the default. */
static unsigned list_candidates(const struct input *in, uint32_t otherwise, uint32_t candidates[LEDGER_MAX])
{
	unsigned n = add_candidate(in, candidates, add_candidate(in, candidates, 0, otherwise), in->l->def);

	for (uint32_t i = 0; i < in->l->n; i++)
		if (in->l->e[i].proven)
			n = add_candidate(in, candidates, n, in->l->e[i].snapshot);
	for (unsigned i = in->n; i-- > 0;) {
		const struct ledger_entry *e = entry(in, in->available[i]);
		if (!e || e->fails == 0)
			n = add_candidate(in, candidates, n, in->available[i]);
	}
	return n;
}

/* Whatever the history answers, it changes at most LEDGER_EXPLORE boots of an episode: the theorem of docs/decision.md rests on this function alone. */
static void ask_history(struct input *in, struct decision *d)
{
	uint32_t candidates[LEDGER_MAX], otherwise = d->snapshot;
	char gone[80];

	if (!in->rank || (d->reason != DECIDE_LAST_GOOD && d->reason != DECIDE_NEWEST_LEFT) || in->l->explored >= LEDGER_EXPLORE || in->l->def == LEDGER_NONE)
		return;
	unsigned n = list_candidates(in, otherwise, candidates);
	int best = in->rank(in->l, candidates, n, in->l->def, otherwise, in->rank_data);
	if (best < 0 || (unsigned)best >= n || candidates[best] == otherwise)
		return;
	d->explores = choose(in, d, candidates[best], DECIDE_RANKED, "%s; the history prefers snapshot %u to %u (it may choose %u more in this episode)",
		default_gone(in, gone), candidates[best], otherwise, LEDGER_EXPLORE - in->l->explored - 1);
}

void decide(const struct ledger *l, const uint32_t *avail, unsigned n, uint32_t forced, decide_rank rank, void *rank_data, struct decision *d)
{
	struct input in = {.l = l, .available = avail, .n = n, .forced = forced, .rank = rank, .rank_data = rank_data};

	by_rules(&in, d);
	ask_history(&in, d);
}
