/* evidence.h: what became of earlier changes, and what that says about a new one.
 *
 * Evidence is a list of changes, each a set of weighted token hashes (vecstore/embed/) with two masses: how much speaks for it (`ok`: it was
 * in a configuration that booted healthily) and against it (`bad`: the share of a failure that is put down to it). A new change's risk is
 *     p = (m a + sum w y) / (m + sum w)          y = bad / (ok + bad),  w = likeness^2 * mass
 * over what is like it. The prior a is the base rate b of all evidence, moved by what is only remotely alike (the same trend of a number,
 * the same sort of value under a key with a word in common), which counts as no evidence. Likeness is the geometric mean of two coverages: how much of the new change is in
 * the old one (tokens weighed by how rare they are in this evidence), and how much of the old one is in the new one.
 * Pure: no files, no clock. The formulas and why: docs/decision.md. */
#ifndef RAST_VECSTORE_EVIDENCE_H
#define RAST_VECSTORE_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vecstore/embed/embed.h"

#define EV_TOKENS_MAX 24u /* of one change: the weightiest; 3-grams are in the vector only */
#define RISK_NEAR 5u

struct ev_token { uint32_t hash; float weight; };

struct ev_tokens { struct ev_token t[EV_TOKENS_MAX]; uint32_t n; float norm2; /* sum of the weights' squares */ };

struct ev_change {
	uint32_t first, n;     /* its tokens in evidence.tokens */
	float norm2, ok, bad;
	bool fleet;            /* of a pack, not of this machine */
	uint64_t ref;          /* the caller's: which change it was */
};

struct evidence {
	struct ev_change *c;
	size_t n, cap;
	struct ev_token *tokens;
	size_t n_tokens, cap_tokens;
};

/* How sure we want to be, and what is believed before anything is known. One set for all: decide_params_default, frozen by tests/bench/rollback. */
struct decide_params {
	float m;               /* weight of the prior */
	float prior;           /* weight of the base rate in it */
	float floor;           /* likeness below this is chance */
	float cap_own, cap_fleet; /* mass that one change of one's own, or of a pack, can have */
	float fleet_share;     /* what evidence of others is worth */
	float k;               /* this much evidence is half trusted */
	float threshold;       /* explore only what works with at least this probability */
	float transient;       /* odds of a fault that is gone at the next boot */
	float again;           /* such a fault strikes the next boot too with this probability */
	float pair;            /* odds of a fault of two changes together, per pair of average risk */
	float outside;         /* odds of a fault in what no snapshot holds */
	float slip;            /* an innocent snapshot fails, a guilty one works, with this probability */
	unsigned budget;       /* exploratory boots per episode */
};
extern const struct decide_params decide_params_default;

/* The tokens of a change, cut to what evidence keeps. Sealed tokens in. */
void ev_from_tokens(const struct tokens *ts, struct ev_tokens *ret);

/* Zero-initialise. Copies the tokens. 0 or -ENOMEM. */
int evidence_add(struct evidence *ev, const struct ev_token *t, uint32_t n, float ok, float bad, bool fleet, uint64_t ref);
void evidence_free(struct evidence *ev);
#define _cleanup_evidence_ _cleanup_(evidence_free)

struct risk {
	float p;               /* of failing */
	float weight;          /* sum w: how much evidence that stands on; 0: p is the base rate */
	struct { uint32_t i; float likeness, weight; } near[RISK_NEAR]; /* the ones that count most, first */
	unsigned n_near;
};

/* Risks of n changes at once, in one pass over the evidence. 0 or -ENOMEM. */
int evidence_risks(const struct evidence *ev, const struct decide_params *p, const struct ev_tokens *q, size_t n, struct risk *ret);
float evidence_base_rate(const struct evidence *ev);

#endif
