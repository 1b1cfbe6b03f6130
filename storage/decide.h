/* decide.h: which snapshot boots. Pure: no clock, no files, no allocation. Policy: docs/design.md, "The boot decision". */
#ifndef RAST_STORAGE_DECIDE_H
#define RAST_STORAGE_DECIDE_H

#include "storage/ledger.h"

enum decide_reason { DECIDE_FORCED /* rast.snapshot=N */, DECIDE_ONCE, DECIDE_DEFAULT_PROVEN, DECIDE_DEFAULT_TRIES, DECIDE_RANKED /* the history's choice */, DECIDE_LAST_GOOD, DECIDE_NEWEST_LEFT /* nothing is known to be good: the newest that is there */, DECIDE_NOTHING };

struct decision {
	uint32_t snapshot;          /* LEDGER_NONE with DECIDE_NOTHING */
	enum decide_reason reason;
	bool explores;              /* the rules alone would have chosen another: ledger_explore() in place of ledger_attempt() */
	char text[256];             /* why, in words, for the console and `rast why` */
};

/* The history's ranking of candidates, asked when the default has no tries left: returns the index of the best one, or a negative errno
 * (-ENODATA: thin evidence) which means what the rules say. The candidates: what the rules would boot first (`otherwise`), the default `failed` itself
 * (a fault that passes), the snapshots that have been healthy, then those that have not failed yet. It may answer anything: decide() counts
 * an answer that differs from the rules as exploratory, and doesn't ask when LEDGER_EXPLORE of them have been spent in this episode. */
typedef int (*decide_rank)(const struct ledger *l, const uint32_t *candidates, unsigned n, uint32_t failed, uint32_t otherwise, void *data);

/* l: settled (ledger_settle). available: snapshots that exist and have not been found unmountable in this boot. forced: rast.snapshot=N or LEDGER_NONE for auto. rank may be NULL. */
void decide(const struct ledger *l, const uint32_t *available, unsigned n, uint32_t forced, decide_rank rank, void *rank_data, struct decision *d);

#endif
