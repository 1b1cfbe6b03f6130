/* world.h: a simulated fleet: machines whose configurations change step by step, and faults of the kinds that are found in practice.
 *
 * Everything is drawn from hashes of (seed, machine, step, what for), never from a sequence: whatever a policy does, the next step of the same
 * machine is the same. That is what makes the comparison of policies a paired one. */
#ifndef RAST_BENCH_WORLD_H
#define RAST_BENCH_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vecstore/decide/evidence.h"

enum { SERVICES = 24, KEYS = 10, PACKAGES = 80, SYSCTLS = 20, SUBJECTS = SERVICES * KEYS + PACKAGES + SYSCTLS, STAGED_MAX = 6 };

enum fault { FAULT_NONE, FAULT_VALUE, FAULT_PACKAGE, FAULT_FLAKY, FAULT_TRANSIENT, FAULT_AGAIN, FAULT_PAIR, FAULT_DRIFT, FAULT_LATER, FAULTS };
extern const char *const fault_names[FAULTS];

struct world { uint64_t seed; unsigned machines, steps; uint32_t kinds; /* bit per fault that occurs */ };

struct step_change { uint16_t subject; uint16_t from, to; struct ev_tokens tokens; };

/* What happens to a machine in one step: changes staged one over the other, and what is wrong with them. */
struct step {
	struct step_change c[STAGED_MAX];
	unsigned n;
	enum fault fault;
	int culprit, second;      /* which of the changes; -1: none of them */
	bool last_good_dead;      /* drift: it no longer works, nor does anything without change `culprit` */
	unsigned passes_after;    /* transient: the first so many boots fail, whatever boots */
	float flaky;              /* of what holds the culprit: this share of the boots fail */
};

struct machine { uint16_t value[SUBJECTS]; struct step_change bad; bool has_bad; };

uint64_t draw(uint64_t seed, uint64_t a, uint64_t b, uint64_t c);
static inline double uniform(uint64_t h) { return (double)(h >> 11) / 9007199254740992.0; }
void world_step(const struct world *w, struct machine *m, unsigned machine, unsigned step, struct step *ret);
/* Does the snapshot that holds these of the staged changes (bit per change) come up? boot: how many boots this episode has had. */
bool world_boots(const struct world *w, const struct step *s, unsigned machine, unsigned step, unsigned mask, unsigned boot);
void world_machine(const struct world *w, unsigned machine, struct machine *ret);

#endif
