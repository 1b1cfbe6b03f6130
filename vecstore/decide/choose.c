/* choose.c: see choose.h */
#include "vecstore/decide/choose.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

static uint32_t count(const struct suspect_set *s)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < SUSPECT_WORDS; i++)
		n += (uint32_t)__builtin_popcountll(s->bit[i]);
	return n;
}

/* Of all pairs of n suspects, the share that is wholly in a set of k. */
static float pairs_in(uint32_t k, uint32_t n)
{
	return n < 2 || k < 2 ? 0.0f : (float)k * (float)(k - 1) / ((float)n * (float)(n - 1));
}

/* Logarithm of how likely what was seen is, when a snapshot fails with probability f: so often failed, so often worked. */
static float log_seen(float f, const struct seen *s)
{
	f = MIN(MAX(f, 1e-4f), 1.0f - 1e-4f);
	return (float)s->failed * logf(f) + (float)s->worked * logf(1.0f - f);
}

/* A failure that is seen first is what the odds are about; only further ones tell whether it passes. */
static float log_seen_transient(const struct decide_params *params, const struct seen *seen, uint32_t n_seen)
{
	uint32_t failed = 0, worked = 0;

	for (uint32_t i = 0; i < n_seen; i++) {
		failed += seen[i].failed;
		worked += seen[i].worked;
	}
	return (failed > 1 ? (float)(failed - 1) * logf(params->again) : 0.0f) + (float)worked * logf(1.0f - params->slip);
}

static float odds(float p)
{
	p = MIN(MAX(p, 1e-4f), 1.0f - 1e-4f);
	return p / (1.0f - p);
}

void blame_suspects(const struct decide_params *params, const float *p, uint32_t n, const struct seen *seen, uint32_t n_seen, struct blame *blame)
{
	float log_pair = 0, log_outside = 0, mean = 0, most = -INFINITY, sum = 0;

	for (uint32_t j = 0; j < n; j++) {
		float l = logf(odds(p[j]));
		for (uint32_t i = 0; i < n_seen; i++)
			l += log_seen(suspect_in(&seen[i].has, j) ? 1.0f - params->slip : params->slip, &seen[i]);
		blame->suspect[j] = l;
		mean += p[j] / (float)n;
		most = MAX(most, l);
	}
	for (uint32_t i = 0; i < n_seen; i++) {
		log_pair += log_seen(pairs_in(count(&seen[i].has), n), &seen[i]);
		log_outside += log_seen(1.0f - params->slip, &seen[i]);
	}
	blame->pair = n < 2 ? -INFINITY : logf(params->pair * (1.0f + 10.0f * mean)) + log_pair;
	blame->transient = logf(params->transient) + log_seen_transient(params, seen, n_seen);
	blame->outside = logf(params->outside) + log_outside;
	most = MAX(MAX(most, blame->pair), MAX(blame->transient, blame->outside));
	float *const all[] = {&blame->pair, &blame->transient, &blame->outside};
	for (uint32_t j = 0; j < n + ARRAY_SIZE(all); j++) {
		float *x = j < n ? &blame->suspect[j] : all[j - n];
		*x = expf(*x - most);
		sum += *x;
	}
	for (uint32_t j = 0; j < n + ARRAY_SIZE(all); j++)
		*(j < n ? &blame->suspect[j] : all[j - n]) /= sum;
}

/* The probability that it comes up healthily. */
static float works(const struct decide_params *params, const struct blame *b, uint32_t n, const struct candidate *c)
{
	float q = b->transient * (1.0f - params->again) + b->outside * params->slip + b->pair * (1.0f - pairs_in(count(&c->has), n));

	for (uint32_t j = 0; j < n; j++)
		q += b->suspect[j] * (suspect_in(&c->has, j) ? params->slip : 1.0f - params->slip);
	for (uint32_t i = 0; i < c->failed; i++)
		q *= params->slip;
	return q * (1.0f - c->foreign * (c->proven ? 0.2f : 1.0f));
}

/* How much is known: of the likely culprits, or of all of them on average. */
static float evidence_on(const struct blame *b, const float *weight, uint32_t n)
{
	float likely = 0, mean = 0;

	for (uint32_t j = 0; j < n; j++) {
		likely += b->suspect[j] * weight[j];
		mean += weight[j] / (float)n;
	}
	return MAX(likely, mean);
}

void choose_candidate(const struct decide_params *params, const struct blame *blame, const float *weight, uint32_t n, struct candidate *c, uint32_t n_candidates, struct choice *ret)
{
	float best = 0;
	bool dead = false; /* the last known good one is no longer good: then anything that works is worth something */

	*ret = (struct choice){.best = n_candidates ? -ENODATA : -ENOENT, .evidence = evidence_on(blame, weight, n)};
	ret->trust = ret->evidence / (ret->evidence + params->k);
	for (uint32_t i = 0; i < n_candidates; i++)
		dead |= c[i].last_good && c[i].failed > 0;
	for (uint32_t i = 0; i < n_candidates; i++) {
		c[i].q = works(params, blame, n, &c[i]);
		c[i].discounted = c[i].q * ret->trust;
		c[i].kept = n ? (float)count(&c[i].has) / (float)n : 0.0f;
		if (c[i].last_good)
			ret->last_good_q = c[i].q;
		if (c[i].last_good || c[i].foreign_data || c[i].discounted < params->threshold)
			continue;
		float worth = c[i].discounted * (c[i].kept + (dead ? 1.0f : 0.0f));
		if (worth > best) {
			best = worth;
			ret->best = (int)i;
		}
	}
}
