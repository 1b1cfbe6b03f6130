/* What happens to deployments over many boots: storage/ledger.h and storage/decide.h together. */
#include "storage/decide.h"

#include <errno.h>
#include "base/mem.h"
#include "tests/unit/unit.h"

/* A machine: which snapshots exist, and what becomes of each when it is booted. */
enum fate { HEALTHY, DIES /* panic, power cut, hang: nobody judges */, FAILS /* judged unhealthy */, UNMOUNTABLE, LEFT /* shut down before it was judged */ };

struct machine {
	struct ledger l;
	uint32_t snapshots[8];
	enum fate fate[8];
	unsigned n;
};

static enum fate fate_of(const struct machine *m, uint32_t snapshot)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->snapshots[i] == snapshot)
			return m->fate[i];
	ck_abort_msg("snapshot %u was chosen, and is not there", snapshot);
}

static void add(struct machine *m, uint32_t snapshot, enum fate fate)
{
	m->snapshots[m->n] = snapshot;
	m->fate[m->n++] = fate;
}

static void set(struct machine *m, uint32_t snapshot, enum fate fate)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->snapshots[i] == snapshot)
			m->fate[i] = fate;
}

static struct decision choose(const struct machine *m, const uint32_t *available, unsigned n)
{
	struct decision d;

	decide(&m->l, available, n, LEDGER_NONE, NULL, NULL, &d);
	return d;
}

/* One power-on, as stage 1 and rastd do it. Returns the snapshot that ran, LEDGER_NONE for none. */
static uint32_t boot(struct machine *m)
{
	uint32_t available[8];
	unsigned n = m->n;

	memcpy(available, m->snapshots, sizeof(available));
	ledger_settle(&m->l);
	for (;;) {
		struct decision d = choose(m, available, n);
		if (d.reason == DECIDE_NOTHING)
			return LEDGER_NONE;
		if (m->l.def == LEDGER_NONE && d.reason == DECIDE_NEWEST_LEFT)
			m->l.def = d.snapshot;
		ledger_attempt(&m->l, d.snapshot);
		switch (fate_of(m, d.snapshot)) {
		case HEALTHY:
			ledger_good(&m->l, d.snapshot);
			return d.snapshot;
		case FAILS:
			ledger_failed(&m->l, d.snapshot, LEDGER_RESULT_FAILED);
			return d.snapshot;
		case LEFT:
			ledger_left(&m->l, d.snapshot);
			return d.snapshot;
		case DIES:
			return d.snapshot;
		case UNMOUNTABLE:
			ledger_failed(&m->l, d.snapshot, LEDGER_RESULT_UNMOUNTABLE);
			for (unsigned i = 0, k = 0, old = n; i < old; i++)
				if (available[i] != d.snapshot)
					available[k++] = available[i];
			n--;
		}
	}
}

static void machine_with_good_zero(struct machine *m)
{
	memset(m, 0, sizeof(*m));
	ledger_empty(&m->l);
	add(m, 0, HEALTHY);
	ledger_deploy(&m->l, 0);
	ck_assert_uint_eq(boot(m), 0);
	ck_assert_uint_eq(m->l.last_good, 0);
}

START_TEST(a_new_deployment_that_dies_gets_exactly_its_tries_then_the_last_good_one_boots)
{
	struct machine m;

	machine_with_good_zero(&m);
	add(&m, 1, DIES);
	ledger_deploy(&m.l, 1);
	for (unsigned i = 0; i < LEDGER_TRIES; i++) {
		ck_assert_uint_eq(choose(&m, m.snapshots, m.n).reason, DECIDE_DEFAULT_TRIES);
		ck_assert_uint_eq(boot(&m), 1);
		ck_assert_uint_eq(ledger_find(&m.l, 1)->tries_left, LEDGER_TRIES - 1 - i);
	}
	ck_assert_uint_eq(choose(&m, m.snapshots, m.n).reason, DECIDE_LAST_GOOD);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_uint_eq(boot(&m), 0);
	ck_assert_uint_eq(ledger_find(&m.l, 1)->fails, LEDGER_TRIES);
	ck_assert_uint_eq(m.l.def, 1); /* what the administrator chose is not forgotten: deploying again gives tries anew */
	ledger_deploy(&m.l, 1);
	ck_assert_uint_eq(boot(&m), 1);
}
END_TEST

START_TEST(a_proven_deployment_that_fails_in_a_row_falls_to_the_last_good_one)
{
	struct machine m;

	machine_with_good_zero(&m);
	add(&m, 1, HEALTHY);
	ledger_deploy(&m.l, 1);
	boot(&m);
	ledger_good(&m.l, 0); /* somebody blessed 0 afterwards */
	set(&m, 1, FAILS);
	for (unsigned i = 0; i < LEDGER_FAILS_UNPROVE; i++) {
		ck_assert_uint_eq(choose(&m, m.snapshots, m.n).reason, DECIDE_DEFAULT_PROVEN);
		ck_assert_uint_eq(boot(&m), 1);
	}
	ck_assert_uint_eq(ledger_find(&m.l, 1)->proven, 0);
	ck_assert_uint_eq(ledger_find(&m.l, 1)->tries_left, 0);
	ck_assert_uint_eq(boot(&m), 0);
}
END_TEST

START_TEST(failures_that_are_not_in_a_row_unprove_nothing)
{
	struct machine m;

	machine_with_good_zero(&m);
	add(&m, 1, HEALTHY);
	ledger_deploy(&m.l, 1);
	for (unsigned i = 0; i < 12; i++) {
		set(&m, 1, i % LEDGER_FAILS_UNPROVE ? DIES : HEALTHY);
		ck_assert_uint_eq(boot(&m), 1);
	}
}
END_TEST

START_TEST(a_deployment_that_is_its_own_last_good_one_and_dies_gives_way_to_another_healthy_one)
{
	struct machine m;

	machine_with_good_zero(&m);
	add(&m, 1, HEALTHY);
	ledger_deploy(&m.l, 1);
	boot(&m);
	ck_assert_uint_eq(m.l.last_good, 1);
	set(&m, 1, DIES);
	for (unsigned i = 0; i < LEDGER_FAILS_UNPROVE; i++)
		ck_assert_uint_eq(boot(&m), 1);
	ck_assert_uint_eq(boot(&m), 0);
	ck_assert_uint_eq(boot(&m), 0);
}
END_TEST

START_TEST(shutting_down_before_the_boot_was_judged_costs_no_try_and_is_no_failure)
{
	struct machine m;

	machine_with_good_zero(&m);
	add(&m, 1, LEFT);
	ledger_deploy(&m.l, 1);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_uint_eq(boot(&m), 1);
	ck_assert_uint_eq(ledger_find(&m.l, 1)->tries_left, LEDGER_TRIES);
	ck_assert_uint_eq(ledger_find(&m.l, 1)->fails, 0);
	ck_assert_uint_eq(ledger_find(&m.l, 1)->last_result, LEDGER_RESULT_SHUTDOWN);
}
END_TEST

START_TEST(leaving_gives_back_no_try_that_was_not_spent)
{
	struct ledger l;

	ledger_empty(&l);
	ledger_deploy(&l, 1);
	for (unsigned i = 0; i < LEDGER_TRIES; i++)
		ledger_attempt(&l, 1);
	ledger_attempt(&l, 1); /* forced on the kernel command line, with no tries left */
	ledger_left(&l, 1);
	ck_assert_uint_eq(ledger_find(&l, 1)->tries_left, 0);
	ledger_left(&l, 1); /* said twice */
	ck_assert_uint_eq(ledger_find(&l, 1)->tries_left, 0);
}
END_TEST

START_TEST(a_failure_that_is_said_twice_in_one_boot_counts_once)
{
	struct ledger l;

	ledger_empty(&l);
	ledger_deploy(&l, 1);
	for (uint32_t boots = 1; boots <= 3; boots++) {
		ledger_attempt(&l, 1);
		ledger_failed(&l, 1, LEDGER_RESULT_FAILED);
		ledger_failed(&l, 1, LEDGER_RESULT_FAILED);
		ck_assert_uint_eq(ledger_find(&l, 1)->fails, boots);
	}
	ledger_attempt(&l, 1);
	ledger_good(&l, 1);
	ledger_failed(&l, 1, LEDGER_RESULT_FAILED); /* it was good, and then it was not */
	ck_assert_uint_eq(ledger_find(&l, 1)->fails, 1);
}
END_TEST

START_TEST(leaving_after_the_boot_was_judged_changes_nothing)
{
	struct ledger l, before;

	ledger_empty(&l);
	ledger_deploy(&l, 1);
	ledger_attempt(&l, 1);
	ledger_good(&l, 1);
	before = l;
	ledger_left(&l, 1);
	ck_assert_mem_eq(&l, &before, sizeof(l));
}
END_TEST

START_TEST(power_cycling_during_boot_counts_as_a_failure_up_to_the_tries)
{
	struct machine m;

	machine_with_good_zero(&m);
	add(&m, 1, DIES);
	ledger_deploy(&m.l, 1);
	for (unsigned i = 0; i < LEDGER_TRIES; i++)
		boot(&m);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(boot(&m), 0);
	ck_assert_uint_eq(ledger_find(&m.l, 1)->fails, LEDGER_TRIES);
}
END_TEST

START_TEST(what_cannot_be_mounted_is_skipped_in_the_same_boot)
{
	struct machine m;

	machine_with_good_zero(&m);
	add(&m, 1, UNMOUNTABLE);
	add(&m, 2, UNMOUNTABLE);
	ledger_deploy(&m.l, 2);
	ck_assert_uint_eq(boot(&m), 0);
	ck_assert_uint_eq(ledger_find(&m.l, 2)->last_result, LEDGER_RESULT_UNMOUNTABLE);
	set(&m, 0, UNMOUNTABLE);
	ck_assert_uint_eq(boot(&m), LEDGER_NONE);
}
END_TEST

START_TEST(once_is_once_even_when_the_power_is_cut)
{
	struct machine m;

	machine_with_good_zero(&m);
	add(&m, 1, DIES);
	m.l.once = 1;
	ck_assert_uint_eq(choose(&m, m.snapshots, m.n).reason, DECIDE_ONCE);
	ck_assert_uint_eq(boot(&m), 1);
	ck_assert_uint_eq(boot(&m), 0);
}
END_TEST

START_TEST(a_forced_snapshot_boots_and_spends_nobody_elses_try)
{
	struct machine m;
	struct decision d;

	machine_with_good_zero(&m);
	add(&m, 1, HEALTHY);
	ledger_deploy(&m.l, 1);
	decide(&m.l, m.snapshots, m.n, 0, NULL, NULL, &d);
	ck_assert_uint_eq(d.snapshot, 0);
	ck_assert_uint_eq(d.reason, DECIDE_FORCED);
	ledger_attempt(&m.l, 0);
	ck_assert_uint_eq(ledger_find(&m.l, 1)->tries_left, LEDGER_TRIES);
}
END_TEST

START_TEST(a_forced_snapshot_that_is_not_there_does_not_keep_the_machine_from_booting)
{
	struct machine m;
	struct decision d;

	machine_with_good_zero(&m);
	decide(&m.l, m.snapshots, m.n, 99, NULL, NULL, &d);
	ck_assert_uint_eq(d.snapshot, 0);
	ck_assert_ptr_nonnull(strstr(d.text, "snapshot 99 of the kernel command line is not bootable"));
}
END_TEST

static int rank_answer;
static uint32_t rank_seen[8], rank_failed;
static unsigned rank_n;

static int rank(const struct ledger *l, const uint32_t *c, unsigned n, uint32_t failed, uint32_t otherwise, void *data)
{
	memcpy(rank_seen, c, MIN(n, 8u) * sizeof(c[0]));
	rank_n = n;
	rank_failed = failed;
	return rank_answer;
}

START_TEST(the_history_chooses_among_the_healthy_ones_and_thin_evidence_means_last_good)
{
	struct machine m;
	struct decision d;

	machine_with_good_zero(&m);
	for (uint32_t s = 1; s < 4; s++) {
		add(&m, s, HEALTHY);
		ledger_deploy(&m.l, s);
		boot(&m);
	}
	add(&m, 4, DIES);
	ledger_deploy(&m.l, 4);
	for (unsigned i = 0; i < LEDGER_TRIES; i++)
		boot(&m);
	rank_answer = 1;
	decide(&m.l, m.snapshots, m.n, LEDGER_NONE, rank, NULL, &d);
	ck_assert_uint_eq(rank_n, 5);
	ck_assert_uint_eq(rank_failed, 4);
	ck_assert_uint_eq(rank_seen[0], 3); /* what the rules would boot; then the default itself, then the others */
	ck_assert_uint_eq(rank_seen[1], 4);
	ck_assert_uint_eq(d.reason, DECIDE_RANKED);
	ck_assert(d.explores && d.snapshot == 4);
	rank_answer = 0;
	decide(&m.l, m.snapshots, m.n, LEDGER_NONE, rank, NULL, &d);
	ck_assert(!d.explores && d.reason == DECIDE_LAST_GOOD && d.snapshot == 3);
	static const int no_answer[] = {-ENODATA, 5, 1000};
	for (unsigned i = 0; i < 3; i++) {
		rank_answer = no_answer[i];
		decide(&m.l, m.snapshots, m.n, LEDGER_NONE, rank, NULL, &d);
		ck_assert_uint_eq(d.reason, DECIDE_LAST_GOOD);
		ck_assert_uint_eq(d.snapshot, 3);
	}
	m.l.explored = LEDGER_EXPLORE;
	rank_answer = 1;
	decide(&m.l, m.snapshots, m.n, LEDGER_NONE, rank, NULL, &d);
	ck_assert_uint_eq(d.reason, DECIDE_LAST_GOOD);
}
END_TEST

START_TEST(the_newest_attempts_are_kept_one_by_one_with_what_became_of_them)
{
	struct ledger l, back;
	unsigned char slot[LEDGER_SLOT_SIZE];
	const char *why;

	ledger_empty(&l);
	ck_assert_ptr_null(ledger_attempt_of(&l, 0));
	for (uint32_t b = 1; b <= 50; b++) {
		ledger_attempt(&l, b % 7);
		ledger_reason(&l, DECIDE_LAST_GOOD);
		if (b % 3 == 0)
			ledger_good(&l, b % 7);
		else if (b % 3 == 1)
			ledger_failed(&l, b % 7, LEDGER_RESULT_FAILED);
	}
	ledger_failed(&l, 99, LEDGER_RESULT_FAILED); /* not this boot's */
	ledger_encode(&l, slot);
	ck_assert_int_eq(ledger_decode(slot, &back, &why), 0);
	ck_assert_ptr_null(ledger_attempt_of(&back, 50 - LEDGER_ATTEMPTS));
	ck_assert_ptr_null(ledger_attempt_of(&back, 51));
	for (uint32_t b = 51 - LEDGER_ATTEMPTS; b <= 50; b++) {
		static const uint8_t results[] = {LEDGER_RESULT_GOOD, LEDGER_RESULT_FAILED, LEDGER_RESULT_ATTEMPT};
		const struct ledger_attempt *a = ledger_attempt_of(&back, b);
		ck_assert(a && a->snapshot == b % 7 && a->result == results[b % 3] && a->reason == DECIDE_LAST_GOOD);
	}
}
END_TEST

START_TEST(the_ledger_forgets_the_oldest_but_never_what_it_needs)
{
	struct ledger l;

	ledger_empty(&l);
	ledger_deploy(&l, 1000);
	ledger_attempt(&l, 1001);
	ledger_good(&l, 1001);
	l.once = ledger_add(&l, 1002)->snapshot;
	ledger_attempt(&l, 1003);
	for (uint32_t s = 0; s < 300; s++)
		ledger_add(&l, s);
	ck_assert_uint_eq(l.n, LEDGER_MAX);
	for (uint32_t s = 1000; s < 1004; s++)
		ck_assert_ptr_nonnull(ledger_find(&l, s));
	ck_assert_ptr_nonnull(ledger_find(&l, 299));
	ck_assert_ptr_null(ledger_find(&l, 0));
}
END_TEST

/* The promise: as long as one snapshot works, it runs after a bounded number of boots, whatever happened before. */
static void ck_recovers(struct machine *m, unsigned seed)
{
	bool any = false;

	for (unsigned i = 0; i < m->n; i++)
		any = any || m->fate[i] == HEALTHY;
	for (unsigned i = 0; i < 8 * (LEDGER_TRIES + LEDGER_FAILS_UNPROVE) * 4; i++) {
		uint32_t ran = boot(m);
		if (ran != LEDGER_NONE && fate_of(m, ran) == HEALTHY)
			return;
		ck_assert_msg(ran != LEDGER_NONE || !any, "seed %u: nothing was chosen although a snapshot works", seed);
	}
	ck_assert_msg(!any, "seed %u: a healthy snapshot was never reached", seed);
}

START_TEST(no_history_of_attempts_failures_and_power_cuts_keeps_a_working_snapshot_from_being_reached)
{
	for (unsigned seed = 0; seed < 20000; seed++) {
		struct machine m = {0};
		unsigned r = seed * 2654435761u;
		ledger_empty(&m.l);
		srand(seed);
		for (uint32_t s = 0; s < 1 + seed % 6; s++)
			add(&m, s, (enum fate)(rand() % 5));
		for (unsigned step = 0; step < 25; step++) {
			switch (rand() % 6) {
			case 0:
				ledger_deploy(&m.l, m.snapshots[rand() % (int)m.n]);
				break;
			case 1:
				m.fate[rand() % (int)m.n] = (enum fate)(rand() % 5);
				break;
			case 2:
				m.l.once = m.snapshots[rand() % (int)m.n];
				break;
			case 3:
				if (r % 7 == 0)
					ledger_empty(&m.l); /* both slots damaged */
				break;
			default:
				boot(&m);
			}
			ck_assert_uint_le(m.l.n, LEDGER_MAX);
			for (uint32_t i = 0; i < m.l.n; i++)
				ck_assert_uint_le(m.l.e[i].tries_left, LEDGER_TRIES);
		}
		for (unsigned i = 0; i < m.n; i++)
			if (m.fate[i] == LEFT) /* nobody can shut a machine down for ever */
				m.fate[i] = DIES;
		ck_recovers(&m, seed);
	}
}
END_TEST

PROMISES("storage: decision", a_new_deployment_that_dies_gets_exactly_its_tries_then_the_last_good_one_boots,
	a_proven_deployment_that_fails_in_a_row_falls_to_the_last_good_one, failures_that_are_not_in_a_row_unprove_nothing,
	a_deployment_that_is_its_own_last_good_one_and_dies_gives_way_to_another_healthy_one,
	shutting_down_before_the_boot_was_judged_costs_no_try_and_is_no_failure, leaving_gives_back_no_try_that_was_not_spent, a_failure_that_is_said_twice_in_one_boot_counts_once,
	leaving_after_the_boot_was_judged_changes_nothing, power_cycling_during_boot_counts_as_a_failure_up_to_the_tries,
	what_cannot_be_mounted_is_skipped_in_the_same_boot, once_is_once_even_when_the_power_is_cut,
	a_forced_snapshot_boots_and_spends_nobody_elses_try, a_forced_snapshot_that_is_not_there_does_not_keep_the_machine_from_booting,
	the_history_chooses_among_the_healthy_ones_and_thin_evidence_means_last_good,
	the_newest_attempts_are_kept_one_by_one_with_what_became_of_them, the_ledger_forgets_the_oldest_but_never_what_it_needs,
	no_history_of_attempts_failures_and_power_cuts_keeps_a_working_snapshot_from_being_reached)
