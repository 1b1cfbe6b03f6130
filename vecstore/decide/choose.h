/* choose.h: a deployment failed: which of its changes was it, and which snapshot boots next.
 *
 * The changes between the last known good deployment and the one that failed are the suspects. What was seen in this episode (which
 * snapshots failed, which worked, which suspects each holds) and each suspect's risk give a probability to every explanation: one suspect,
 * a pair of them, a fault that passes, one outside of all snapshots. A candidate works with q, the sum over the explanations under
 * which it would; q is discounted by how much evidence there is, and the candidate is worth exploring when what is left clears a threshold.
 * No evidence: no exploration, which is the last known good. How often exploring is allowed is not decided here but by decide() and the
 * ledger (storage/decide.h): the theorem in docs/decision.md needs nothing of what this file does. Pure: no files, no clock. */
#ifndef RAST_VECSTORE_CHOOSE_H
#define RAST_VECSTORE_CHOOSE_H

#include "vecstore/decide/evidence.h"

#define SUSPECTS_MAX 1024u
#define SUSPECT_WORDS (SUSPECTS_MAX / 64u)
#define CANDIDATES_MAX 96u

struct suspect_set { uint64_t bit[SUSPECT_WORDS]; };
static inline bool suspect_in(const struct suspect_set *s, uint32_t j) { return s->bit[j / 64] >> j % 64 & 1; }
static inline void suspect_put(struct suspect_set *s, uint32_t j) { s->bit[j / 64] |= UINT64_C(1) << j % 64; }

/* A snapshot that was booted in this episode. */
struct seen { struct suspect_set has; uint32_t failed, worked; };

struct candidate {
	uint32_t snapshot;
	struct suspect_set has;   /* suspects that it holds as the failed one does */
	float foreign;            /* risk of what it has and neither the last known good nor the failed one has: 1 - product of (1 - p) */
	bool proven;              /* it has booted healthily */
	bool last_good;
	bool foreign_data;        /* what is foreign in it keeps data in /var and never ran here: not to be tried */
	uint32_t failed;          /* times in this episode */
	/* results */
	float q, discounted, kept; /* kept: share of the suspects that it holds */
};

struct blame {
	float *suspect;           /* probability that it was this one (n of them) */
	float pair, transient, outside;
};

/* p: each suspect's risk. blame->suspect has room for n. */
void blame_suspects(const struct decide_params *params, const float *p, uint32_t n, const struct seen *seen, uint32_t n_seen, struct blame *blame);

struct choice {
	int best;                 /* index of the candidate; -ENODATA: thin evidence, i.e. the last known good; -ENOENT: no candidate */
	float evidence, trust;    /* how much there is, and what it is worth: evidence / (evidence + k) */
	float last_good_q;        /* what the last known good one is given, if it is among the candidates */
};

/* Fill in the candidates' results and choose. weight: each suspect's evidence (struct risk). retry: the failed snapshot itself may be among
 * the candidates. */
void choose_candidate(const struct decide_params *params, const struct blame *blame, const float *weight, uint32_t n, struct candidate *c, uint32_t n_candidates, struct choice *ret);

#endif
