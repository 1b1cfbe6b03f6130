/* evidence.c: see evidence.h. One pass over all tokens finds those that the questions have, too; all else is done with these hits. */
#include "vecstore/decide/evidence.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const struct decide_params decide_params_default = {
	.m = 1.0f, .prior = 0.5f, .floor = 0.2f, .cap_own = 3.0f, .cap_fleet = 6.0f, .fleet_share = 0.6f, .k = 0.1f, .threshold = 0.7f,
	.transient = 0.02f, .again = 0.4f, .pair = 0.01f, .outside = 0.01f, .slip = 0.03f, .budget = 1,
};

static int by_weight(const void *a, const void *b)
{
	const struct token *x = *(const struct token *const *)a, *y = *(const struct token *const *)b;

	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	return (x->hash > y->hash) - (x->hash < y->hash);
}

void ev_from_tokens(const struct tokens *ts, struct ev_tokens *ret)
{
	_cleanup_free_ const struct token **order = malloc((ts->n + 1) * sizeof(*order));
	size_t n = 0;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; order && i < ts->n; i++)
		if (ts->t[i].class != TOKEN_GRAM)
			order[n++] = &ts->t[i];
	if (n)
		qsort(order, n, sizeof(*order), by_weight);
	for (size_t i = 0; i < MIN(n, (size_t)EV_TOKENS_MAX); i++) {
		ret->t[ret->n++] = (struct ev_token){(uint32_t)(order[i]->hash ^ order[i]->hash >> 32), order[i]->weight};
		ret->norm2 += order[i]->weight * order[i]->weight;
	}
}

static int grow(void **p, size_t *cap, size_t want, size_t size)
{
	size_t n = MAX(*cap, (size_t)64);

	while (n < want)
		n *= 2;
	if (n == *cap)
		return 0;
	void *q = reallocarray(*p, n, size);
	if (!q)
		return -ENOMEM;
	*p = q;
	*cap = n;
	return 0;
}

int evidence_add(struct evidence *ev, const struct ev_token *t, uint32_t n, float ok, float bad, bool fleet, uint64_t ref)
{
	void *c = ev->c, *tokens = ev->tokens;
	int r = grow(&c, &ev->cap, ev->n + 1, sizeof(*ev->c));

	ev->c = c;
	if (r == 0)
		r = grow(&tokens, &ev->cap_tokens, ev->n_tokens + n, sizeof(*ev->tokens));
	ev->tokens = tokens;
	if (r < 0)
		return r;
	struct ev_change *new = &ev->c[ev->n++];
	*new = (struct ev_change){.first = (uint32_t)ev->n_tokens, .n = n, .ok = ok, .bad = bad, .fleet = fleet, .ref = ref};
	if (n)
		memcpy(ev->tokens + ev->n_tokens, t, n * sizeof(*t));
	ev->n_tokens += n;
	for (uint32_t i = 0; i < n; i++)
		new->norm2 += t[i].weight * t[i].weight;
	return 0;
}

void evidence_free(struct evidence *ev)
{
	free(ev->c);
	free(ev->tokens);
	memset(ev, 0, sizeof(*ev));
}

static float share(const struct ev_change *c)
{
	return c->ok + c->bad > 0 ? c->bad / (c->ok + c->bad) : 0;
}

/* One failure in ten is assumed where nothing is known, and never forgotten wholly. */
float evidence_base_rate(const struct evidence *ev)
{
	float bad = 1, all = 10;

	for (size_t i = 0; i < ev->n; i++) {
		float mass = MIN(ev->c[i].ok + ev->c[i].bad, 1.0f);
		if (ev->c[i].fleet)
			continue;
		bad += mass * share(&ev->c[i]);
		all += mass;
	}
	return MIN(MAX(bad / all, 0.02f), 0.5f);
}

/* --- the questions' tokens, in a table --- */

struct asked {
	uint32_t hash, df;     /* df: how many changes of the evidence have it */
	uint32_t first;        /* of the list of (question, weight); UINT32_MAX: free slot */
	float rare;            /* when all has been counted; 0: too frequent to tell anything */
};
struct use { uint32_t question, next; float weight; };
struct hit { uint32_t change, slot; float weight; };

struct asking {
	struct asked *slot;
	uint32_t mask;
	struct use *use;
	struct hit *hit;
	size_t n_hits, cap_hits;
};

static struct asked *find(const struct asking *a, uint32_t hash)
{
	uint32_t i = (hash * 0x9e3779b1u) & a->mask;

	while (a->slot[i].first != UINT32_MAX && a->slot[i].hash != hash)
		i = (i + 1) & a->mask;
	return &a->slot[i];
}

static int ask(struct asking *a, const struct ev_tokens *q, size_t n)
{
	size_t total = 0, used = 0;
	uint32_t size = 64;

	for (size_t i = 0; i < n; i++)
		total += q[i].n;
	while (size < total * 4)
		size *= 2;
	a->mask = size - 1;
	a->slot = malloc(size * sizeof(*a->slot));
	a->use = calloc(total + 1, sizeof(*a->use));
	if (!a->slot || !a->use)
		return -ENOMEM;
	memset(a->slot, 0xff, size * sizeof(*a->slot));
	for (size_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < q[i].n; k++) {
			struct asked *s = find(a, q[i].t[k].hash);
			if (s->first == UINT32_MAX) {
				s->hash = q[i].t[k].hash;
				s->df = 0;
			}
			a->use[used] = (struct use){(uint32_t)i, s->first, q[i].t[k].weight};
			s->first = (uint32_t)used++;
		}
	return 0;
}

static int collect(struct asking *a, const struct evidence *ev)
{
	for (size_t c = 0; c < ev->n; c++)
		for (uint32_t k = 0; k < ev->c[c].n; k++) {
			const struct ev_token *t = &ev->tokens[ev->c[c].first + k];
			struct asked *s = find(a, t->hash);
			if (s->first == UINT32_MAX)
				continue;
			s->df++;
			void *hits = a->hit;
			if (grow(&hits, &a->cap_hits, a->n_hits + 1, sizeof(*a->hit)) < 0)
				return -ENOMEM;
			a->hit = hits;
			a->hit[a->n_hits++] = (struct hit){(uint32_t)c, (uint32_t)(s - a->slot), t->weight};
		}
	return 0;
}

/* What most changes have tells nothing, and would cost the most. Of a handful nothing is rare yet: as if there were 50 more. */
static void count_rarity(struct asking *a, const struct evidence *ev)
{
	for (uint32_t i = 0; i <= a->mask; i++)
		if (a->slot[i].first != UINT32_MAX)
			a->slot[i].rare = ev->n > 200 && a->slot[i].df > ev->n / 2 ? 0 : logf(((float)ev->n + 50.0f) / ((float)a->slot[i].df + 1.0f)) + 0.3f;
}

/* --- likeness and risk --- */

static void keep_near(struct risk *r, uint32_t i, float likeness, float w)
{
	unsigned at = r->n_near;

	while (at > 0 && r->near[at - 1].weight < w)
		at--;
	if (at >= RISK_NEAR)
		return;
	r->n_near = MIN(r->n_near + 1, RISK_NEAR);
	memmove(&r->near[at + 1], &r->near[at], (r->n_near - 1 - at) * sizeof(r->near[0]));
	r->near[at].i = i;
	r->near[at].likeness = likeness;
	r->near[at].weight = w;
}

/* shared: of the question (rarity counted) and of the old change, both as sums of squares. */
struct sums { float wy, g, gy; }; /* sum of w y; the same of what is only remotely alike, for the prior */

static void weigh(const struct evidence *ev, const struct decide_params *p, uint32_t i, float cover_new, float cover_old, struct risk *r, struct sums *sum)
{
	const struct ev_change *c = &ev->c[i];
	float likeness = sqrtf(MIN(cover_new, 1.0f) * MIN(cover_old, 1.0f));
	float mass = c->fleet ? MIN(c->ok + c->bad, p->cap_fleet) * p->fleet_share : MIN(c->ok + c->bad, p->cap_own);

	float g = likeness * likeness * MIN(mass, 1.0f);
	sum->g += g;
	sum->gy += g * share(c);
	if (likeness <= p->floor || mass <= 0)
		return;
	float x = (likeness - p->floor) / (1.0f - p->floor), w = x * x * mass;
	r->weight += w;
	sum->wy += w * share(c);
	keep_near(r, i, likeness, w);
}

/* The hits are in the order of the changes: for each change sum up what each question shares with it. */
static int from_hits(const struct asking *a, const struct evidence *ev, const struct decide_params *p, const struct ev_tokens *q, size_t n, struct risk *ret)
{
	_cleanup_free_ float *acc = calloc(n * 3 + 1, sizeof(*acc)); /* shared new, shared old, norm of the question */
	_cleanup_free_ struct sums *sum = calloc(n + 1, sizeof(*sum));
	_cleanup_free_ uint32_t *touched = calloc(n + 1, sizeof(*touched)); /* questions that share something with the change at hand */

	if (!acc || !touched || !sum)
		return -ENOMEM;
	float *new = acc, *old = acc + n, *norm = acc + 2 * n;
	for (size_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < q[i].n; k++) {
			float w = q[i].t[k].weight * find(a, q[i].t[k].hash)->rare;
			norm[i] += w * w;
		}
	for (size_t h = 0; h < a->n_hits;) {
		uint32_t c = a->hit[h].change, n_touched = 0;
		for (; h < a->n_hits && a->hit[h].change == c; h++) {
			const struct asked *s = &a->slot[a->hit[h].slot];
			float own = a->hit[h].weight * a->hit[h].weight;
			if (s->rare <= 0)
				continue;
			for (uint32_t u = s->first; u != UINT32_MAX; u = a->use[u].next) {
				uint32_t i = a->use[u].question;
				float w = a->use[u].weight * s->rare;
				if (w <= 0)
					continue;
				if (new[i] == 0.0f)
					touched[n_touched++] = i;
				new[i] += w * w;
				old[i] += own;
			}
		}
		for (uint32_t k = 0; k < n_touched; k++) {
			uint32_t i = touched[k];
			weigh(ev, p, c, new[i] / norm[i], old[i] / ev->c[c].norm2, &ret[i], &sum[i]);
			new[i] = old[i] = 0;
		}
	}
	float b = evidence_base_rate(ev);
	for (size_t i = 0; i < n; i++) {
		float prior = (p->prior * b + sum[i].gy) / (p->prior + sum[i].g);
		ret[i].p = (p->m * prior + sum[i].wy) / (p->m + ret[i].weight);
	}
	return 0;
}

int evidence_risks(const struct evidence *ev, const struct decide_params *p, const struct ev_tokens *q, size_t n, struct risk *ret)
{
	struct asking a = {0};

	memset(ret, 0, n * sizeof(*ret));
	int r = ask(&a, q, n);
	if (r == 0)
		r = collect(&a, ev);
	if (r == 0)
		count_rarity(&a, ev);
	if (r == 0)
		r = from_hits(&a, ev, p, q, n, ret);
	free(a.slot);
	free(a.use);
	free(a.hit);
	return r;
}
