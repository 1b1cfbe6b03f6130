/* problem.c: see problem.h */
#include "vecstore/decide/problem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "storage/decide.h"

#define FOREIGN_ALL 2048u
#define FOREIGN_MAX 64u /* a candidate that differs in more ways than this from both is not one that we know about */

void suspects_free(struct suspects *s)
{
	free(s->row);
	free(s->known);
	free(s->tokens);
	free(s->risk);
	free(s->blame);
	memset(s, 0, sizeof(*s));
}

/* The newest own change that led to this. Rows come in the order of their versions. */
static size_t find_change(const struct knowledge *k, uint64_t subject, uint64_t after)
{
	for (size_t i = k->ev.n; i-- > 0;)
		if (!k->ev.c[i].fleet && k->row[i].subject == subject && k->row[i].after == after)
			return i;
	return SIZE_MAX;
}

static void tokens_of_row(const struct knowledge *k, size_t i, struct ev_tokens *ret)
{
	const struct ev_change *c = &k->ev.c[i];

	ret->n = c->n;
	ret->norm2 = c->norm2;
	memcpy(ret->t, k->ev.tokens + c->first, c->n * sizeof(struct ev_token));
}

static int add_suspect(const struct knowledge *k, struct suspects *s, uint64_t subject, uint64_t hash)
{
	if (s->n == SUSPECTS_MAX)
		return -E2BIG;
	size_t known = find_change(k, subject, hash);
	s->row[s->n] = (struct state_row){subject, hash};
	s->known[s->n] = known;
	if (known != SIZE_MAX)
		tokens_of_row(k, known, &s->tokens[s->n]);
	s->n++;
	return 0;
}

/* Calls cb for each subject about which a and b differ, with b's hash. */
static int each_difference(const struct state *a, const struct state *b, int (*cb)(uint64_t subject, uint64_t hash_a, uint64_t hash_b, void *data), void *data)
{
	for (uint32_t i = 0, k = 0; i < a->n || k < b->n;) {
		bool take_a = k == b->n || (i < a->n && a->row[i].subject <= b->row[k].subject), take_b = i == a->n || (k < b->n && b->row[k].subject <= a->row[i].subject);
		uint64_t subject = take_a ? a->row[i].subject : b->row[k].subject;
		uint64_t ha = take_a ? a->row[i].hash : 0, hb = take_b ? b->row[k].hash : 0;
		i += take_a;
		k += take_b;
		int r = ha == hb ? 0 : cb(subject, ha, hb, data);
		if (r)
			return r;
	}
	return 0;
}

struct gathering { const struct knowledge *k; struct suspects *s; };

static int gather(uint64_t subject, uint64_t before, uint64_t after, void *data)
{
	struct gathering *g = data;

	return add_suspect(g->k, g->s, subject, after);
}

static int count_one(uint64_t subject, uint64_t before, uint64_t after, void *data)
{
	++*(uint32_t *)data;
	return 0;
}

int suspects_between(const struct knowledge *k, const struct state *good, const struct state *failed, struct suspects *ret)
{
	uint32_t n = 0;

	each_difference(good, failed, count_one, &n);
	*ret = (struct suspects){.row = calloc(n + 1, sizeof(*ret->row)), .known = calloc(n + 1, sizeof(*ret->known)), .tokens = calloc(n + 1, sizeof(*ret->tokens)),
		.risk = calloc(n + 1, sizeof(*ret->risk)), .blame = calloc(n + 1, sizeof(*ret->blame))};
	int r = ret->row && ret->known && ret->tokens && ret->risk && ret->blame ? 0 : -ENOMEM;
	if (r == 0)
		r = each_difference(good, failed, gather, &(struct gathering){k, ret});
	if (r < 0)
		suspects_free(ret);
	return r;
}

int suspects_risks(const struct knowledge *k, const struct decide_params *params, struct suspects *s)
{
	return evidence_risks(&k->ev, params, s->tokens, s->n, s->risk);
}

/* --- the problem --- */

struct problem {
	struct vs_txn *t;
	const struct ledger *l;
	const struct decide_params *params;
	struct knowledge k;
	struct state good, failed;
	struct suspects s;
	struct seen seen[LEDGER_ATTEMPTS + 1];
	uint32_t seen_snapshot[LEDGER_ATTEMPTS + 1];
	uint32_t n_seen;
	struct candidate c[CANDIDATES_MAX];
	struct choice choice;
	struct blame blame;
};

static void problem_free(struct problem *p)
{
	knowledge_free(&p->k);
	state_free(&p->good);
	state_free(&p->failed);
	suspects_free(&p->s);
}

static void mark_suspects(const struct problem *p, const struct state *s, struct suspect_set *set)
{
	for (uint32_t j = 0; j < p->s.n; j++)
		if (state_hash_of(s, p->s.row[j].subject) == p->s.row[j].hash)
			suspect_put(set, j);
}

/* What this episode has shown: the attempts since the last healthy one, and that one. */
static int look_back(struct problem *p, struct err *e)
{
	for (uint64_t b = p->l->boot; b > 0; b--) {
		const struct ledger_attempt *a = ledger_attempt_of(p->l, b);
		uint32_t i = 0;
		if (!a || a->result == LEDGER_RESULT_GOOD)
			break;
		if (a->result == LEDGER_RESULT_SHUTDOWN)
			continue;
		while (i < p->n_seen && p->seen_snapshot[i] != a->snapshot)
			i++;
		if (i == p->n_seen) {
			_cleanup_state_ struct state s = {0};
			int r = state_load(p->t, a->snapshot, &s, e);
			if (r == -ENOENT) {
				err_clear(e);
				continue;
			}
			if (r < 0)
				return r;
			mark_suspects(p, &s, &p->seen[i].has);
			p->seen_snapshot[p->n_seen++] = a->snapshot;
		}
		p->seen[i].failed++;
	}
	return 0;
}

/* What candidates have and neither the good nor the failed one has: each such thing once, however many have it. */
struct foreign {
	struct state_row *row;
	struct ev_tokens *tokens;
	struct risk *risk;
	bool *data;                       /* it could touch data that the others live on */
	uint32_t n, cap;
	uint16_t (*of)[FOREIGN_MAX];      /* of candidate i */
	uint16_t *count;                  /* FOREIGN_MAX + 1: too many */
};

struct finding { struct problem *p; struct foreign *f; unsigned candidate; };

static int add_foreign(uint64_t subject, uint64_t good, uint64_t own, void *data)
{
	struct finding *x = data;
	struct foreign *f = x->f;
	uint32_t k = 0;

	if (own == state_hash_of(&x->p->failed, subject) || own == 0)
		return 0;
	if (f->count[x->candidate] >= FOREIGN_MAX)
		return -E2BIG;
	while (k < f->n && (f->row[k].subject != subject || f->row[k].hash != own))
		k++;
	if (k == f->n) {
		if (f->n == f->cap)
			return -E2BIG;
		size_t known = find_change(&x->p->k, subject, own);
		f->row[f->n] = (struct state_row){subject, own};
		f->data[f->n] = known == SIZE_MAX || x->p->k.row[known].data;
		if (known != SIZE_MAX)
			tokens_of_row(&x->p->k, known, &f->tokens[f->n]);
		f->n++;
	}
	f->of[x->candidate][f->count[x->candidate]++] = (uint16_t)k;
	return 0;
}

static void foreign_free(struct foreign *f)
{
	free(f->row);
	free(f->tokens);
	free(f->risk);
	free(f->data);
	free(f->of);
	free(f->count);
}

static int foreign_make(struct foreign *f, unsigned candidates)
{
	f->cap = FOREIGN_ALL;
	f->row = calloc(f->cap, sizeof(*f->row));
	f->tokens = calloc(f->cap, sizeof(*f->tokens));
	f->risk = calloc(f->cap, sizeof(*f->risk));
	f->data = calloc(f->cap, sizeof(*f->data));
	f->of = calloc(candidates + 1, sizeof(*f->of));
	f->count = calloc(candidates + 1, sizeof(*f->count));
	return f->row && f->tokens && f->risk && f->data && f->of && f->count ? 0 : -ENOMEM;
}

/* All of their risks in one pass over the evidence. */
static int weigh_foreign(struct problem *p, struct foreign *f, unsigned candidates)
{
	int r = f->n ? evidence_risks(&p->k.ev, p->params, f->tokens, f->n, f->risk) : 0;

	for (unsigned i = 0; r == 0 && i < candidates; i++) {
		float works = 1;
		if (f->count[i] > FOREIGN_MAX || p->c[i].foreign > 0)
			continue; /* not known well enough: look_at_candidate has said so */
		for (uint32_t k = 0; k < f->count[i]; k++) {
			works *= 1.0f - f->risk[f->of[i][k]].p;
			p->c[i].foreign_data |= f->data[f->of[i][k]] && !p->c[i].proven;
		}
		p->c[i].foreign = 1.0f - works;
	}
	return r;
}

static int look_at_candidate(struct problem *p, struct foreign *f, unsigned index, uint32_t snapshot, struct err *e)
{
	_cleanup_state_ struct state s = {0};
	struct candidate *c = &p->c[index];

	c->snapshot = snapshot;
	for (uint32_t i = 0; i < p->l->n; i++)
		if (p->l->e[i].snapshot == snapshot)
			c->proven = p->l->e[i].proven;
	for (uint32_t i = 0; i < p->n_seen; i++)
		if (p->seen_snapshot[i] == snapshot)
			c->failed = p->seen[i].failed;
	int r = state_load(p->t, snapshot, &s, e);
	if (r == -ENOENT) { /* nothing is known about it: never explored */
		err_clear(e);
		c->foreign = 1;
		c->foreign_data = true;
		return 0;
	}
	if (r < 0)
		return r;
	mark_suspects(p, &s, &c->has);
	r = each_difference(&p->good, &s, add_foreign, &(struct finding){p, f, index});
	if (r == -E2BIG) {
		f->count[index] = FOREIGN_MAX + 1;
		c->foreign = 1;
		c->foreign_data = true;
	}
	return 0;
}

static int load(struct problem *p, uint32_t good, uint32_t failed, struct err *e)
{
	int r = state_load(p->t, good, &p->good, e);

	if (r == 0)
		r = state_load(p->t, failed, &p->failed, e);
	if (r == -ENOENT)
		return err_set(e, -ENODATA, "the history doesn't know both of snapshots %u and %u", good, failed);
	if (r == 0)
		r = knowledge_load(p->t, &p->k, e);
	if (r < 0)
		return r;
	r = suspects_between(&p->k, &p->good, &p->failed, &p->s);
	if (r == 0)
		r = suspects_risks(&p->k, p->params, &p->s);
	if (r == -E2BIG)
		return err_set(e, -ENODATA, "snapshots %u and %u differ in too many ways", good, failed);
	if (r == 0 && p->s.n == 0)
		return err_set(e, -ENODATA, "the history knows no difference between snapshots %u and %u", good, failed);
	return r < 0 ? err_sys(e, r, "compare snapshots %u and %u", good, failed) : 0;
}

static int solve(struct problem *p, const uint32_t *candidates, unsigned n, uint32_t otherwise, struct err *e)
{
	_cleanup_free_ float *risks = calloc(p->s.n + 1, sizeof(*risks)), *weights = calloc(p->s.n + 1, sizeof(*weights));

	if (!risks || !weights)
		return err_sys(e, -ENOMEM, "weigh the changes");
	for (uint32_t j = 0; j < p->s.n; j++) {
		risks[j] = p->s.risk[j].p;
		weights[j] = p->s.risk[j].weight;
	}
	struct foreign f = {0};
	int r = foreign_make(&f, n);
	if (r == 0)
		r = look_back(p, e);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		r = look_at_candidate(p, &f, i, candidates[i], e);
		p->c[i].last_good = candidates[i] == otherwise;
	}
	if (r == 0)
		r = weigh_foreign(p, &f, n);
	foreign_free(&f);
	if (r < 0)
		return e && e->code ? r : err_sys(e, r, "weigh the candidates");
	p->blame.suspect = p->s.blame;
	blame_suspects(p->params, risks, p->s.n, p->seen, p->n_seen, &p->blame);
	choose_candidate(p->params, &p->blame, weights, p->s.n, p->c, n, &p->choice);
	return p->choice.best;
}

/* --- the reasons --- */

static void add_near(const struct problem *p, const struct risk *r, struct buf *b)
{
	for (unsigned i = 0; i < r->n_near; i++) {
		uint32_t c = r->near[i].i;
		buf_addf(b, "%s{\"version\":%u,\"change\":%u,\"fleet\":%s,\"likeness\":%.3f,\"weight\":%.3f,\"ok\":%.2f,\"bad\":%.2f}", i ? "," : "", p->k.row[c].version,
			p->k.row[c].index, p->k.ev.c[c].fleet ? "true" : "false", (double)r->near[i].likeness, (double)r->near[i].weight, (double)p->k.ev.c[c].ok,
			(double)p->k.ev.c[c].bad);
	}
}

/* Suspects by blame, the 16 likeliest. */
static void add_suspects(const struct problem *p, struct buf *b)
{
	float below = 2;
	uint32_t last = UINT32_MAX;

	for (unsigned shown = 0; shown < MIN(p->s.n, 16u); shown++) {
		uint32_t best = UINT32_MAX;
		for (uint32_t j = 0; j < p->s.n; j++) {
			float x = p->s.blame[j];
			if ((x < below || (x == below && last != UINT32_MAX && j > last)) && (best == UINT32_MAX || x > p->s.blame[best]))
				best = j;
		}
		if (best == UINT32_MAX)
			break;
		below = p->s.blame[best];
		last = best;
		size_t known = p->s.known[best];
		buf_addf(b, "%s{\"subject\":\"%016llx\",\"version\":%u,\"change\":%u,\"blame\":%.4f,\"risk\":%.4f,\"evidence\":%.3f,\"near\":[", shown ? "," : "",
			(unsigned long long)p->s.row[best].subject, known == SIZE_MAX ? 0 : p->k.row[known].version, known == SIZE_MAX ? 0 : p->k.row[known].index,
			(double)p->s.blame[best], (double)p->s.risk[best].p, (double)p->s.risk[best].weight);
		add_near(p, &p->s.risk[best], b);
		buf_addf(b, "]}");
	}
}

static void explain(const struct problem *p, unsigned n, uint32_t failed, uint32_t otherwise, int r, const struct err *e, struct buf *b)
{
	buf_addf(b, "{\"failed\":%u,\"otherwise\":%u,\"chosen\":", failed, otherwise);
	if (r >= 0)
		buf_addf(b, "%u", p->c[r].snapshot);
	else
		buf_addf(b, "null");
	buf_addf(b, ",\"error\":\"");
	for (const char *s = r < 0 && e->code ? err_text(e) : ""; *s; s++)
		if (*s >= ' ' && *s != '"' && *s != '\\')
			buf_add(b, s, 1);
	buf_addf(b, "\",\"evidence\":%.3f,\"trust\":%.3f,\"threshold\":%.2f,\"base_rate\":%.3f,\"changes_known\":%zu,\"differences\":%u", (double)p->choice.evidence,
		(double)p->choice.trust, (double)p->params->threshold, (double)evidence_base_rate(&p->k.ev), p->k.ev.n, p->s.n);
	buf_addf(b, ",\"transient\":%.4f,\"pair\":%.4f,\"outside\":%.4f,\"suspects\":[", (double)p->blame.transient, (double)p->blame.pair, (double)p->blame.outside);
	if (p->blame.suspect)
		add_suspects(p, b);
	buf_addf(b, "],\"candidates\":[");
	for (unsigned i = 0; p->blame.suspect && i < n; i++)
		buf_addf(b, "%s{\"snapshot\":%u,\"works\":%.4f,\"discounted\":%.4f,\"kept\":%.3f,\"foreign\":%.3f,\"proven\":%s,\"failed\":%u,\"excluded\":%s}", i ? "," : "",
			p->c[i].snapshot, (double)p->c[i].q, (double)p->c[i].discounted, (double)p->c[i].kept, (double)p->c[i].foreign, p->c[i].proven ? "true" : "false",
			p->c[i].failed, p->c[i].foreign_data ? "true" : "false");
	buf_addf(b, "]}\n");
}

int problem_decide(struct vs_txn *t, const struct ledger *l, const uint32_t *candidates, unsigned n, uint32_t failed, uint32_t otherwise,
	const struct decide_params *params, struct buf *json, struct err *e)
{
	_cleanup_err_ struct err own = {0};
	struct problem *p = calloc(1, sizeof(*p));

	if (!p)
		return err_sys(e, -ENOMEM, "decide");
	*p = (struct problem){.t = t, .l = l, .params = params};
	n = MIN(n, CANDIDATES_MAX);
	int r = load(p, otherwise, failed, &own);
	if (r == 0)
		r = solve(p, candidates, n, otherwise, &own);
	if (json)
		explain(p, n, failed, otherwise, r, &own, json);
	if (r < 0)
		err_set(e, r, "%s", own.code ? err_text(&own) : r == -ENODATA ? "there is too little evidence to prefer another snapshot" : "no snapshot is preferred");
	problem_free(p);
	free(p);
	return r;
}
