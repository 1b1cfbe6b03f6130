/* rollback.c: the rollback decision against other policies, on simulated fleets. See README.md in this folder.
 *
 * usage: bench-rollback [--seeds FIRST:N] [--machines N] [--steps N] [--tries N] [--held-out] [--tune NAME=VALUE] [--losses N] */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tests/bench/rollback/world.h"
#include "vecstore/decide/choose.h"

enum policy { LAST_GOOD, PREVIOUS, BISECT, RANDOM, OWN, FLEET, ORACLE, POLICIES };
static const char *const policy_names[POLICIES] = {"last known good", "previous", "bisect", "random", "history, own", "history, fleet", "oracle"};

static struct {
	unsigned first, seeds, machines, steps, tries, losses;
	bool held_out;
	struct decide_params params;
} set = {.first = 1, .seeds = 3, .machines = 60, .steps = 120, .tries = 1, .losses = 5};

/* --- what a policy did in one episode --- */

struct result { unsigned boots, kept_of, kept; bool needless; };

struct sum { double boots, kept, needless, n; };

struct episode {
	const struct world *w;
	const struct step *s;
	unsigned machine, step;
	unsigned boot;                 /* so far */
	unsigned all;                  /* mask of all changes */
};

static bool try_boot(struct episode *e, unsigned mask)
{
	return world_boots(e->w, e->s, e->machine, e->step, mask, e->boot++);
}

static struct result ended(const struct episode *e, unsigned mask)
{
	return (struct result){.boots = e->boot, .kept = (unsigned)__builtin_popcount(mask), .kept_of = e->s->n,
		.needless = e->s->fault == FAULT_TRANSIENT && mask != e->all};
}

static unsigned prefix(unsigned n)
{
	return (1u << n) - 1;
}

/* What the rules do when the last known good one is no longer good: the newest first, each once per round. */
static struct result rules_from(struct episode *e)
{
	if (try_boot(e, 0))
		return ended(e, 0);
	for (unsigned round = 0; round < 20; round++)
		for (unsigned k = e->s->n + 1; k-- > 0;)
			if (try_boot(e, prefix(k)))
				return ended(e, prefix(k));
	return ended(e, 0);
}

/* --- the history's part: the same code that stage 1 runs --- */

struct opinion { float total; unsigned first; float trust; bool known; };

static struct result by_history(struct episode *e, const struct evidence *ev, struct opinion *o, float *blamed)
{
	const struct step *s = e->s;
	struct ev_tokens q[STAGED_MAX];
	struct risk risks[STAGED_MAX];
	float p[STAGED_MAX], weight[STAGED_MAX], works = 1;
	struct blame b = {.suspect = blamed};
	struct seen seen[STAGED_MAX + 2] = {0};
	struct candidate c[STAGED_MAX + 1] = {0};
	struct choice choice;

	for (unsigned i = 0; i < s->n; i++)
		q[i] = s->c[i].tokens;
	evidence_risks(ev, &set.params, q, s->n, risks);
	for (unsigned i = 0; i < s->n; i++) {
		p[i] = risks[i].p;
		weight[i] = risks[i].weight;
		works *= 1 - p[i];
		suspect_put(&seen[0].has, i);
	}
	o->total = 1 - works;
	seen[0].failed = e->boot; /* the default's tries */
	unsigned n_seen = 1;
	for (unsigned spent = 0;; spent++) {
		blame_suspects(&set.params, p, s->n, seen, n_seen, &b);
		for (unsigned k = 0; k <= s->n; k++) { /* 0: last known good; n: the default again */
			c[k] = (struct candidate){.snapshot = k, .proven = k == 0, .last_good = k == 0, .failed = k == s->n ? e->boot : 0};
			for (unsigned j = 0; j < k; j++)
				suspect_put(&c[k].has, j);
		}
		c[s->n].failed = 0; /* the transient hypothesis has it */
		choose_candidate(&set.params, &b, weight, s->n, c, s->n + 1, &choice);
		if (spent == 0) {
			o->first = 0;
			for (unsigned j = 1; j < s->n; j++)
				if (blamed[j] > blamed[o->first])
					o->first = j;
			o->trust = choice.trust;
		}
		if (choice.best < 0 || spent == set.params.budget)
			return rules_from(e);
		unsigned mask = prefix((unsigned)choice.best);
		if (try_boot(e, mask))
			return ended(e, mask);
		seen[n_seen] = (struct seen){.failed = 1};
		for (unsigned j = 0; j < (unsigned)choice.best; j++)
			suspect_put(&seen[n_seen].has, j);
		n_seen++;
	}
}

static struct result run_policy(enum policy policy, struct episode *e, const struct evidence *ev, struct opinion *o, float *blamed)
{
	unsigned n = e->s->n;

	switch (policy) {
	case PREVIOUS:
		for (unsigned k = n; k-- > 0;)
			if (try_boot(e, prefix(k)))
				return ended(e, prefix(k));
		return rules_from(e);
	case BISECT: {
		unsigned mask = prefix(n / 2);
		if (n > 1 && try_boot(e, mask))
			return ended(e, mask);
		return rules_from(e);
	}
	case RANDOM:
		for (unsigned i = 0; i < 40; i++) {
			unsigned mask = prefix((unsigned)(draw(e->w->seed, e->machine * 7919 + e->step, i, 5) % (n + 1)));
			if (try_boot(e, mask))
				return ended(e, mask);
		}
		return rules_from(e);
	case ORACLE:
		for (unsigned k = n + 1; k-- > 0;)
			if (world_boots(e->w, e->s, e->machine, e->step, prefix(k), e->boot)) {
				try_boot(e, prefix(k));
				return ended(e, prefix(k));
			}
		return rules_from(e);
	case OWN:
	case FLEET: return by_history(e, ev, o, blamed);
	default: return rules_from(e);
	}
}

/* --- learning: as vecstore/history/label.c does --- */

static void learn(struct evidence *ev, const struct step *s, unsigned machine, unsigned step, bool failed, unsigned healthy_mask, unsigned fails, const float *p)
{
	float blamed[STAGED_MAX];
	struct blame b = {.suspect = blamed};
	struct seen seen[2] = {{.failed = fails}, {.worked = 1}};

	memset(blamed, 0, sizeof(blamed));
	for (unsigned j = 0; j < s->n; j++) {
		suspect_put(&seen[0].has, j);
		if (healthy_mask >> j & 1)
			suspect_put(&seen[1].has, j);
	}
	if (failed)
		blame_suspects(&set.params, p, s->n, seen, 2, &b);
	for (unsigned j = 0; j < s->n; j++) {
		float ok = healthy_mask >> j & 1, bad = failed && blamed[j] > 0.01f ? blamed[j] * MIN((float)fails, 3.0f) : 0;
		if (ok > 0 || bad > 0)
			evidence_add(ev, s->c[j].tokens.t, s->c[j].tokens.n, ok, bad, false, (uint64_t)machine << 32 | step << 8 | j);
	}
}

static void risks_of(const struct evidence *ev, const struct step *s, float *p)
{
	struct ev_tokens q[STAGED_MAX];
	struct risk risks[STAGED_MAX];

	for (unsigned i = 0; i < s->n; i++)
		q[i] = s->c[i].tokens;
	evidence_risks(ev, &set.params, q, s->n, risks);
	for (unsigned i = 0; i < s->n; i++)
		p[i] = risks[i].p;
}

/* --- one world --- */

struct totals {
	struct sum by_machine[POLICIES][512];
	struct sum by_fault[POLICIES][FAULTS];
	unsigned n_machines;
	double brier[POLICIES], brier_base[POLICIES], n_brier;
	unsigned named[POLICIES], nameable[POLICIES], named_sure[POLICIES], sure[POLICIES];
	unsigned losses;
};

static void add(struct sum *to, const struct result *r)
{
	to->boots += r->boots;
	to->kept += (double)r->kept / r->kept_of;
	to->needless += r->needless;
	to->n++;
}

static void note(struct totals *t, enum policy policy, const struct episode *e, const struct result *r, const struct opinion *o)
{
	const struct step *s = e->s;

	add(&t->by_machine[policy][t->n_machines + e->machine], r);
	add(&t->by_fault[policy][s->fault], r);
	if ((policy != OWN && policy != FLEET) || s->culprit < 0 || s->second >= 0 || s->fault == FAULT_DRIFT)
		return;
	bool right = o->first == (unsigned)s->culprit;
	t->nameable[policy]++;
	t->named[policy] += right;
	if (o->trust > 0.5f) {
		t->sure[policy]++;
		t->named_sure[policy] += right;
	}
}

static void print_loss(const struct totals *t, const struct episode *e, const struct result *lkg, const struct result *ours, const float *blamed)
{
	if (t->losses >= set.losses)
		return;
	printf("lost: seed %llu machine %u step %u, %s: %u boots in place of %u, kept %u of %u; blamed:", (unsigned long long)e->w->seed, e->machine, e->step, fault_names[e->s->fault], ours->boots,
		lkg->boots, ours->kept, ours->kept_of);
	for (unsigned j = 0; j < e->s->n; j++)
		printf(" %.2f%s", (double)blamed[j], (int)j == e->s->culprit ? "*" : "");
	putchar('\n');
}

/* The evidence as machine m sees it: its own as its own. */
static void whose(struct evidence *ev, unsigned machine)
{
	for (size_t i = 0; i < ev->n; i++)
		ev->c[i].fleet = ev->c[i].ref >> 32 != machine;
}

static void judge_risk(struct totals *t, enum policy policy, const float *p, unsigned n, bool failed, float base)
{
	double works = 1, plain = 1;

	for (unsigned i = 0; i < n; i++) {
		works *= 1 - (double)p[i];
		plain *= 1 - (double)base;
	}
	t->brier[policy] += pow(1 - works - failed, 2);
	t->brier_base[policy] += pow(1 - plain - failed, 2);
}

/* After a failure a person mends it: what was not to blame is deployed again, mostly. */
static void go_on(const struct world *w, struct machine *m, const struct step *s, unsigned machine, unsigned step, bool failed, struct evidence *own, struct evidence *fleet)
{
	bool again = !failed || uniform(draw(w->seed, machine, step, 55)) < 0.7;
	unsigned mask = 0;

	for (unsigned j = 0; again && j < s->n; j++)
		if (!failed || ((int)j != s->culprit && (int)j != s->second))
			mask |= 1u << j;
	for (unsigned j = 0; j < s->n; j++)
		if (mask >> j & 1)
			m->value[s->c[j].subject] = s->c[j].to;
	if (failed && s->culprit >= 0 && s->second < 0 && s->fault != FAULT_DRIFT && uniform(draw(w->seed, machine, step, 56)) < 0.6) {
		m->bad = s->c[s->culprit];
		m->has_bad = true;
	}
	if (failed && again) {
		learn(own, s, machine, step, false, mask, 0, NULL);
		learn(fleet, s, machine, step, false, mask, 0, NULL);
	}
}

static void one_step(struct totals *t, const struct world *w, struct machine *m, unsigned machine, unsigned step, struct evidence *own, struct evidence *fleet)
{
	struct step s;
	struct result r[POLICIES];
	float p[2][STAGED_MAX], blamed[2][STAGED_MAX];
	struct evidence *ev[2] = {own, fleet};
	unsigned tries = 0;

	world_step(w, m, machine, step, &s);
	whose(fleet, machine);
	for (unsigned k = 0; k < 2; k++)
		risks_of(ev[k], &s, p[k]);
	bool up = false;
	while (!up && tries < set.tries)
		up = world_boots(w, &s, machine, step, prefix(s.n), tries++);
	t->n_brier++;
	bool failed = tries > 1 || !up;
	judge_risk(t, OWN, p[0], s.n, failed, evidence_base_rate(own));
	judge_risk(t, FLEET, p[1], s.n, failed, evidence_base_rate(own));
	for (unsigned policy = 0; !up && policy < POLICIES; policy++) {
		struct episode e = {.w = w, .s = &s, .machine = machine, .step = step, .boot = tries, .all = prefix(s.n)};
		struct opinion o = {0};
		r[policy] = run_policy((enum policy)policy, &e, policy == FLEET ? fleet : own, &o, blamed[policy == FLEET]);
		note(t, (enum policy)policy, &e, &r[policy], &o);
	}
	if (!up && (r[FLEET].boots > r[LAST_GOOD].boots)) {
		struct episode e = {.w = w, .s = &s, .machine = machine, .step = step};
		print_loss(t, &e, &r[LAST_GOOD], &r[FLEET], blamed[1]);
		t->losses++;
	}
	unsigned lost = up ? 0 : tries;
	learn(own, &s, machine, step, !up, up ? prefix(s.n) : prefix(r[OWN].kept), lost, p[0]);
	learn(fleet, &s, machine, step, !up, up ? prefix(s.n) : prefix(r[FLEET].kept), lost, p[1]);
	go_on(w, m, &s, machine, step, !up, own, fleet);
}

static void one_world(struct totals *t, const struct world *w)
{
	struct machine *m = calloc(w->machines, sizeof(*m));
	struct evidence *own = calloc(w->machines, sizeof(*own)), fleet = {0};

	for (unsigned i = 0; i < w->machines; i++)
		world_machine(w, i, &m[i]);
	for (unsigned step = 0; step < w->steps; step++)
		for (unsigned i = 0; i < w->machines; i++)
			one_step(t, w, &m[i], i, step, &own[i], &fleet);
	for (unsigned i = 0; i < w->machines; i++)
		evidence_free(&own[i]);
	evidence_free(&fleet);
	free(own);
	free(m);
	t->n_machines += w->machines;
}

/* --- printing --- */

/* 95 % by the machines' means: episodes of one machine are not independent of each other. */
static void interval(const struct sum *s, unsigned n, size_t at, double *mean, double *half)
{
	double sum = 0, squares = 0, used = 0;

	for (unsigned i = 0; i < n; i++) {
		if (s[i].n == 0)
			continue;
		double x = *(const double *)(const void *)((const char *)&s[i] + at) / s[i].n;
		sum += x;
		squares += x * x;
		used++;
	}
	*mean = sum / used;
	*half = 1.96 * sqrt(MAX(squares / used - *mean * *mean, 0) / used);
}

static void print_table(const struct totals *t)
{
	printf("\n| policy | boots to healthy | newer work kept | needless rollbacks |\n|---|---|---|---|\n");
	for (unsigned p = 0; p < POLICIES; p++) {
		double b, hb, k, hk, x, hx;
		interval(t->by_machine[p], t->n_machines, offsetof(struct sum, boots), &b, &hb);
		interval(t->by_machine[p], t->n_machines, offsetof(struct sum, kept), &k, &hk);
		interval(t->by_machine[p], t->n_machines, offsetof(struct sum, needless), &x, &hx);
		printf("| %s | %.3f +- %.3f | %.3f +- %.3f | %.3f |\n", policy_names[p], b, hb, k, hk, x);
	}
	printf("\n| fault | episodes | boots: last known good, own, fleet | kept: own, fleet, oracle |\n|---|---|---|---|\n");
	for (unsigned f = 0; f < FAULTS; f++) {
		const struct sum *l = &t->by_fault[LAST_GOOD][f], *o = &t->by_fault[OWN][f], *g = &t->by_fault[FLEET][f], *best = &t->by_fault[ORACLE][f];
		if (l->n > 0)
			printf("| %s | %.0f | %.2f, %.2f, %.2f | %.2f, %.2f, %.2f |\n", fault_names[f], l->n, l->boots / l->n, o->boots / o->n, g->boots / g->n, o->kept / o->n, g->kept / g->n, best->kept / best->n);
	}
	printf("\n| | own | fleet |\n|---|---|---|\n| Brier score of a deploy's risk (of the base rate alone) | %.4f (%.4f) | %.4f (%.4f) |\n", t->brier[OWN] / t->n_brier, t->brier_base[OWN] / t->n_brier,
		t->brier[FLEET] / t->n_brier, t->brier_base[FLEET] / t->n_brier);
	printf("| injected change named first | %.2f of %u | %.2f of %u |\n| the same where its evidence is trusted by more than half | %.2f of %u | %.2f of %u |\n",
		(double)t->named[OWN] / MAX(t->nameable[OWN], 1u), t->nameable[OWN], (double)t->named[FLEET] / MAX(t->nameable[FLEET], 1u), t->nameable[FLEET],
		(double)t->named_sure[OWN] / MAX(t->sure[OWN], 1u), t->sure[OWN], (double)t->named_sure[FLEET] / MAX(t->sure[FLEET], 1u), t->sure[FLEET]);
	printf("| episodes with more boots than last known good | | %u |\n", t->losses);
}

/* --- options --- */

static int tune(const char *text)
{
	static const struct { const char *name; float *to; } rows[] = {{"m", &set.params.m}, {"prior", &set.params.prior}, {"floor", &set.params.floor}, {"cap_own", &set.params.cap_own}, {"cap_fleet", &set.params.cap_fleet},
		{"fleet_share", &set.params.fleet_share}, {"k", &set.params.k}, {"threshold", &set.params.threshold}, {"transient", &set.params.transient}, {"again", &set.params.again},
		{"pair", &set.params.pair}, {"outside", &set.params.outside}, {"slip", &set.params.slip}};
	const char *eq = strchr(text, '=');

	for (size_t i = 0; eq && i < ARRAY_SIZE(rows); i++)
		if (strncmp(rows[i].name, text, (size_t)(eq - text)) == 0 && rows[i].name[eq - text] == '\0') {
			*rows[i].to = strtof(eq + 1, NULL);
			return 0;
		}
	fprintf(stderr, "bench-rollback: --tune %s: no such parameter\n", text);
	return -EINVAL;
}

int main(int argc, char **argv)
{
	static struct totals t;

	set.params = decide_params_default;
	for (int i = 1; i < argc; i++) {
		const char *v = i + 1 < argc ? argv[i + 1] : "";
		if (streq(argv[i], "--held-out"))
			set.held_out = true;
		else if (streq(argv[i], "--seeds"))
			i += sscanf(v, "%u:%u", &set.first, &set.seeds) > 0;
		else if (streq(argv[i], "--machines"))
			i += sscanf(v, "%u", &set.machines);
		else if (streq(argv[i], "--steps"))
			i += sscanf(v, "%u", &set.steps);
		else if (streq(argv[i], "--tries"))
			i += sscanf(v, "%u", &set.tries);
		else if (streq(argv[i], "--losses"))
			i += sscanf(v, "%u", &set.losses);
		else if (streq(argv[i], "--budget"))
			i += sscanf(v, "%u", &set.params.budget);
		else if (streq(argv[i], "--tune") && tune(v) == 0)
			i++;
		else {
			fprintf(stderr, "usage: bench-rollback [--seeds FIRST:N] [--machines N] [--steps N] [--tries N] [--budget N] [--held-out] [--tune NAME=VALUE] [--losses N]\n");
			return 2;
		}
	}
	if (set.seeds * set.machines > ARRAY_SIZE(t.by_machine[0]) || set.tries == 0) {
		fprintf(stderr, "bench-rollback: at most %zu machines in all\n", ARRAY_SIZE(t.by_machine[0]));
		return 2;
	}
	const uint32_t known = 1u << FAULT_VALUE | 1u << FAULT_PACKAGE | 1u << FAULT_FLAKY | 1u << FAULT_TRANSIENT | 1u << FAULT_AGAIN, unseen = 1u << FAULT_PAIR | 1u << FAULT_DRIFT | 1u << FAULT_LATER;
	for (unsigned i = 0; i < set.seeds; i++) {
		struct world w = {.seed = set.first + i, .machines = set.machines, .steps = set.steps, .kinds = set.held_out ? known | unseen : known};
		one_world(&t, &w);
	}
	printf("%u machines, %u steps each, seeds %u to %u, %u tries, fault kinds: %s\n", t.n_machines, set.steps, set.first, set.first + set.seeds - 1, set.tries, set.held_out ? "with those held out" : "those tuned on");
	print_table(&t);
	return 0;
}
