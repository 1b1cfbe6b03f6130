/* The theorem of docs/decision.md as a property: two machines with the same snapshots and the same faults, one that goes by the rules alone and one whose
 * history answers anything at all. Case after case is drawn at random; RAST_CASES=N draws more. */
#include <errno.h>
#include "storage/decide.h"
#include "tests/unit/unit.h"

enum { SNAPSHOTS = 6, BOOTS = 40 };

static uint64_t state;

static uint32_t draw(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % below;
}

struct machine {
	struct ledger l;
	uint32_t snapshots[SNAPSHOTS];
	bool works[SNAPSHOTS], mounts[SNAPSHOTS];
	uint32_t booted[BOOTS];
	bool explored[BOOTS], healthy[BOOTS];
	unsigned n, paid;
};

static unsigned index_of(const struct machine *m, uint32_t snapshot)
{
	for (unsigned i = 0; i < SNAPSHOTS; i++)
		if (m->snapshots[i] == snapshot)
			return i;
	ck_abort_msg("snapshot %u was chosen, and is not there", snapshot);
}

static unsigned asked, asked_max_n;

/* A history that answers anything: nonsense, errors, any candidate. */
static int anything(const struct ledger *l, const uint32_t *c, unsigned n, uint32_t failed, uint32_t otherwise, void *data)
{
	asked++;
	asked_max_n = n > asked_max_n ? n : asked_max_n;
	switch (draw(8)) {
	case 0: return -ENODATA;
	case 1: return -ETIMEDOUT;
	case 2: return (int)n + (int)draw(1000);
	default: return (int)draw(n);
	}
}

static int nothing(const struct ledger *l, const uint32_t *c, unsigned n, uint32_t failed, uint32_t otherwise, void *data)
{
	return -ENODATA;
}

/* One power-on. */
static bool boot(struct machine *m, decide_rank rank)
{
	uint32_t available[SNAPSHOTS];
	unsigned n = SNAPSHOTS;
	struct decision d;

	memcpy(available, m->snapshots, sizeof(available));
	ledger_settle(&m->l);
	for (;;) {
		decide(&m->l, available, n, LEDGER_NONE, rank, NULL, &d);
		if (d.reason == DECIDE_NOTHING)
			return false;
		ck_assert(d.explores == (d.reason == DECIDE_RANKED));
		(d.explores ? ledger_explore : ledger_attempt)(&m->l, d.snapshot);
		ledger_reason(&m->l, (uint8_t)d.reason);
		m->paid += d.explores;
		unsigned i = index_of(m, d.snapshot);
		if (m->mounts[i]) {
			m->booted[m->n] = d.snapshot;
			m->explored[m->n] = d.explores;
			m->healthy[m->n] = m->works[i];
			m->n++;
			if (m->works[i])
				ledger_good(&m->l, d.snapshot);
			return true;
		}
		ledger_failed(&m->l, d.snapshot, LEDGER_RESULT_UNMOUNTABLE);
		unsigned left = 0;
		for (unsigned k = 0; k < n; k++)
			if (available[k] != d.snapshot)
				available[left++] = available[k];
		n = left;
	}
}

/* A machine with a past: some snapshots have been healthy, some are no longer, the newest was deployed just now. */
static void random_machine(struct machine *m)
{
	memset(m, 0, sizeof(*m));
	ledger_empty(&m->l);
	for (unsigned i = 0; i < SNAPSHOTS; i++) {
		m->snapshots[i] = 10 + i * (1 + draw(3));
		for (unsigned k = 0; k < i; k++)
			if (m->snapshots[k] == m->snapshots[i])
				m->snapshots[i] = 100 + i;
		m->works[i] = draw(3) != 0;
		m->mounts[i] = draw(8) != 0;
		if (draw(2)) {
			ledger_deploy(&m->l, m->snapshots[i]);
			ledger_attempt(&m->l, m->snapshots[i]);
			if (draw(3))
				ledger_good(&m->l, m->snapshots[i]);
			else if (draw(2))
				ledger_failed(&m->l, m->snapshots[i], LEDGER_RESULT_FAILED);
		}
	}
	if (draw(4))
		ledger_deploy(&m->l, m->snapshots[draw(SNAPSHOTS)]);
	ledger_settle(&m->l);
	if (m->l.def == LEDGER_NONE)
		m->l.def = m->snapshots[SNAPSHOTS - 1];
}

static unsigned cases(void)
{
	const char *n = getenv("RAST_CASES");
	return n ? (unsigned)atoi(n) : 50000;
}

/* Boot until something is healthy, at most BOOTS times. Returns how many boots that took. */
static unsigned until_healthy(struct machine *m, decide_rank rank)
{
	while (m->n < BOOTS && boot(m, rank))
		if (m->healthy[m->n - 1])
			break;
	return m->n;
}

START_TEST(exploring_costs_at_most_its_budget_in_boots_and_leaves_the_rest_of_the_boots_as_they_were)
{
	for (unsigned seed = 1; seed <= cases(); seed++) {
		struct machine rules, history;
		state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
		random_machine(&rules);
		history = rules;
		unsigned by_rules = until_healthy(&rules, NULL), explored = 0, k = 0;
		unsigned before = history.l.explored;
		unsigned with_history = until_healthy(&history, anything);
		bool early = false;
		for (unsigned i = 0; i < with_history; i++) {
			if (history.explored[i]) {
				explored++;
				early |= history.healthy[i];
				continue;
			}
			ck_assert_msg(k < by_rules && history.booted[i] == rules.booted[k], "seed %u: boot %u is another one", seed, i);
			k++;
		}
		ck_assert_msg(explored + before <= MAX(LEDGER_EXPLORE, before), "seed %u: explored %u times", seed, explored);
		ck_assert_msg(with_history <= by_rules + LEDGER_EXPLORE || with_history == BOOTS, "seed %u: %u boots in place of %u", seed, with_history, by_rules);
		if (!early && by_rules < BOOTS)
			ck_assert_msg(k == by_rules, "seed %u: it ended elsewhere", seed);
	}
	ck_assert_uint_gt(asked, cases() / 20);
	ck_assert_uint_gt(asked_max_n, 3);
}
END_TEST

START_TEST(a_history_without_evidence_is_exactly_the_last_known_good_bit_for_bit)
{
	for (unsigned seed = 1; seed <= cases() / 4; seed++) {
		struct machine rules, history;
		state = seed * UINT64_C(0x9e3779b97f4a7c15) + 7;
		random_machine(&rules);
		history = rules;
		for (unsigned i = 0; i < 12; i++) {
			bool there = boot(&rules, NULL);
			ck_assert(boot(&history, nothing) == there);
		}
		ck_assert_mem_eq(&rules, &history, sizeof(rules));
	}
}
END_TEST

START_TEST(a_budget_that_is_spent_comes_back_with_the_next_deploy_or_when_the_default_is_healthy)
{
	for (unsigned seed = 1; seed <= cases() / 4; seed++) {
		struct machine m;
		unsigned explored = 0;
		state = seed * UINT64_C(0x9e3779b97f4a7c15) + 13;
		random_machine(&m);
		for (unsigned i = 0; i < BOOTS && boot(&m, anything); i++) {
			uint32_t s = m.booted[m.n - 1];
			explored += m.paid;
			m.paid = 0;
			ck_assert_msg(explored <= LEDGER_EXPLORE, "seed %u: boot %u", seed, i);
			if (m.healthy[m.n - 1] && s == m.l.def)
				explored = 0;
			if (draw(10) == 0) {
				ledger_deploy(&m.l, m.snapshots[draw(SNAPSHOTS)]);
				explored = 0;
			}
			ck_assert_uint_eq(m.l.explored, explored);
		}
	}
}
END_TEST

PROMISES("storage: the theorem of the decision", exploring_costs_at_most_its_budget_in_boots_and_leaves_the_rest_of_the_boots_as_they_were,
	a_history_without_evidence_is_exactly_the_last_known_good_bit_for_bit, a_budget_that_is_spent_comes_back_with_the_next_deploy_or_when_the_default_is_healthy)
