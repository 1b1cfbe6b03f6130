/* check.h: what is damaged in a store, and what can be saved. */
#ifndef RAST_VECSTORE_CHECK_H
#define RAST_VECSTORE_CHECK_H

#include "vecstore/private.h"

/* Every sound cell that is found; from the tables first, then (lost) from leaf pages that no table leads to any more. Return non-zero to stop. */
typedef int (*cell_cb)(enum table table, struct slice key, struct slice payload, bool lost, void *data);
struct walk {
	const struct pages *p;
	uint8_t *use;                 /* per page: 0 unseen, 1 used, 2 free */
	cell_cb cell;
	void *data;
	void (*problem)(const char *text, void *data);
	void *problem_data;
	uint64_t problems, cells, bytes;
	bool branch_lost;             /* a branch page was damaged: leaves may hang in the air */
};
/* Walk all of the file. -ENOMEM, or what the callback returned; problems are counted and said. */
int walk_file(struct walk *w);

#endif
