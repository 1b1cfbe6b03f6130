#include <errno.h>
#include <math.h>
#include "tests/unit/unit.h"
#include "vecstore/decide/choose.h"

static const struct decide_params *const P = &decide_params_default;

/* A change with tokens FIRST ... FIRST + n - 1, all of the same weight. */
static struct ev_tokens tokens(uint32_t first, uint32_t n)
{
	struct ev_tokens t = {.n = n};
	for (uint32_t i = 0; i < n; i++) {
		t.t[i] = (struct ev_token){first + i, 1.0f};
		t.norm2 += 1.0f;
	}
	return t;
}

static void add(struct evidence *ev, uint32_t first, float ok, float bad)
{
	struct ev_tokens t = tokens(first, 8);
	ck_assert_int_eq(evidence_add(ev, t.t, t.n, ok, bad, false, ev->n), 0);
}

static struct risk risk_of(const struct evidence *ev, uint32_t first)
{
	struct ev_tokens q = tokens(first, 8);
	struct risk r;
	ck_assert_int_eq(evidence_risks(ev, P, &q, 1, &r), 0);
	return r;
}

START_TEST(without_evidence_every_change_has_the_base_rate_and_no_weight)
{
	_cleanup_evidence_ struct evidence ev = {0};
	struct risk r = risk_of(&ev, 100);
	ck_assert(fabsf(r.p - evidence_base_rate(&ev)) < 1e-6f && r.weight == 0.0f && r.n_near == 0);
	for (uint32_t i = 0; i < 50; i++)
		add(&ev, 1000 + 10 * i, 1, 0);
	r = risk_of(&ev, 100);
	ck_assert(r.weight == 0.0f && fabsf(r.p - evidence_base_rate(&ev)) < 1e-6f);
}
END_TEST

START_TEST(a_change_that_failed_before_is_riskier_and_one_that_went_well_is_safer_than_an_unknown_one)
{
	_cleanup_evidence_ struct evidence ev = {0};
	for (uint32_t i = 0; i < 20; i++)
		add(&ev, 1000 + 10 * i, 1, 0);
	add(&ev, 100, 0, 3);
	add(&ev, 200, 3, 0);
	float unknown = risk_of(&ev, 300).p;
	struct risk bad = risk_of(&ev, 100);
	ck_assert(bad.p > 0.5f && bad.n_near == 1 && bad.near[0].i == 20);
	ck_assert(risk_of(&ev, 200).p < unknown);
	struct risk half = risk_of(&ev, 104); /* half of its tokens */
	ck_assert(half.p > unknown && half.p < bad.p);
}
END_TEST

START_TEST(many_questions_at_once_get_the_answers_that_each_gets_alone)
{
	_cleanup_evidence_ struct evidence ev = {0};
	struct ev_tokens q[16];
	struct risk all[16];
	srand(3);
	for (uint32_t i = 0; i < 300; i++)
		add(&ev, (uint32_t)rand() % 400, (float)(rand() % 3), (float)(rand() % 2));
	for (uint32_t i = 0; i < 16; i++)
		q[i] = tokens((uint32_t)rand() % 400, 8);
	ck_assert_int_eq(evidence_risks(&ev, P, q, 16, all), 0);
	/* Rarity is that of the evidence: the same whoever asks. */
	for (uint32_t i = 0; i < 16; i++) {
		struct risk one;
		ck_assert_int_eq(evidence_risks(&ev, P, &q[i], 1, &one), 0);
		ck_assert(fabsf(one.p - all[i].p) < 1e-5f && one.n_near == all[i].n_near);
		ck_assert(all[i].p >= 0 && all[i].p <= 1);
	}
}
END_TEST

START_TEST(blame_is_a_probability_and_moves_to_what_only_the_failed_one_has)
{
	float p[4] = {0.1f, 0.1f, 0.1f, 0.1f}, s[4];
	struct blame b = {.suspect = s};
	struct seen seen[2] = {{.failed = 1}, {.worked = 1}};
	for (uint32_t j = 0; j < 4; j++)
		suspect_put(&seen[0].has, j);
	blame_suspects(P, p, 4, seen, 1, &b);
	ck_assert(fabsf(s[0] + s[1] + s[2] + s[3] + b.pair + b.transient + b.outside - 1.0f) < 1e-4f);
	ck_assert(fabsf(s[0] - s[3]) < 1e-5f);
	for (uint32_t j = 0; j < 3; j++)
		suspect_put(&seen[1].has, j);
	blame_suspects(P, p, 4, seen, 2, &b);
	ck_assert(s[3] > 0.7f && s[0] < 0.05f);
	float before = b.transient;
	seen[0].failed = 3;
	blame_suspects(P, p, 4, seen, 2, &b);
	ck_assert(b.transient < before);
}
END_TEST

static void candidates(struct candidate c[3])
{
	memset(c, 0, 3 * sizeof(*c));
	c[0] = (struct candidate){.snapshot = 1, .proven = true, .last_good = true};
	for (uint32_t k = 1; k < 3; k++) {
		c[k].snapshot = 1 + k;
		for (uint32_t j = 0; j < k; j++)
			suspect_put(&c[k].has, j);
	}
}

START_TEST(without_evidence_no_candidate_is_chosen_however_likely_it_seems)
{
	float p[3] = {0.02f, 0.02f, 0.9f}, s[3], none[3] = {0}, much[3] = {0, 0, 3};
	struct blame b = {.suspect = s};
	struct seen seen = {.failed = 1};
	struct candidate c[3];
	struct choice choice;
	for (uint32_t j = 0; j < 3; j++)
		suspect_put(&seen.has, j);
	blame_suspects(P, p, 3, &seen, 1, &b);
	candidates(c);
	choose_candidate(P, &b, none, 3, c, 3, &choice);
	ck_assert_int_eq(choice.best, -ENODATA);
	choose_candidate(P, &b, much, 3, c, 3, &choice);
	ck_assert_int_eq(choice.best, 2);
	ck_assert(c[2].q > c[2].discounted && c[2].kept > 0.6f);
	c[2].foreign_data = true;
	choose_candidate(P, &b, much, 3, c, 3, &choice);
	ck_assert_int_eq(choice.best, 1);
	choose_candidate(P, &b, much, 3, c, 0, &choice);
	ck_assert_int_eq(choice.best, -ENOENT);
}
END_TEST

START_TEST(whatever_goes_in_what_comes_out_is_a_probability)
{
	srand(7);
	for (unsigned round = 0; round < 3000; round++) {
		uint32_t n = 1 + (uint32_t)rand() % 70, k = (uint32_t)rand() % 6, m = (uint32_t)rand() % 5;
		float p[70], s[70], w[70];
		struct seen seen[6] = {0};
		struct candidate c[5] = {0};
		struct blame b = {.suspect = s};
		struct choice choice;
		for (uint32_t j = 0; j < n; j++) {
			p[j] = (float)(rand() % 1001) / 1000.0f;
			w[j] = (float)(rand() % 50);
			for (uint32_t i = 0; i < k; i++)
				if (rand() % 2)
					suspect_put(&seen[i].has, j);
			for (uint32_t i = 0; i < m; i++)
				if (rand() % 2)
					suspect_put(&c[i].has, j);
		}
		for (uint32_t i = 0; i < k; i++) {
			seen[i].failed = (uint32_t)rand() % 9;
			seen[i].worked = (uint32_t)rand() % 3;
		}
		for (uint32_t i = 0; i < m; i++)
			c[i].foreign = (float)(rand() % 1001) / 1000.0f;
		blame_suspects(P, p, n, seen, k, &b);
		float sum = b.pair + b.transient + b.outside;
		for (uint32_t j = 0; j < n; j++)
			sum += s[j];
		ck_assert_msg(fabsf(sum - 1.0f) < 1e-3f, "%g", (double)sum);
		choose_candidate(P, &b, w, n, c, m, &choice);
		ck_assert(choice.best < (int)m);
		for (uint32_t i = 0; i < m; i++)
			ck_assert(c[i].q >= -1e-4f && c[i].q <= 1.001f && c[i].kept >= 0 && c[i].kept <= 1);
	}
}
END_TEST

PROMISES("risk", without_evidence_every_change_has_the_base_rate_and_no_weight, a_change_that_failed_before_is_riskier_and_one_that_went_well_is_safer_than_an_unknown_one,
	many_questions_at_once_get_the_answers_that_each_gets_alone, blame_is_a_probability_and_moves_to_what_only_the_failed_one_has,
	without_evidence_no_candidate_is_chosen_however_likely_it_seems, whatever_goes_in_what_comes_out_is_a_probability)
