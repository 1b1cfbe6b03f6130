/* build.h: an index that is being built, in memory. */
#ifndef RAST_VECSTORE_BUILD_H
#define RAST_VECSTORE_BUILD_H

#include "vecstore/index.h"

struct build {
	struct vs_txn *t;
	const struct coll_state *c;
	uint32_t n, room, dim, stride, m, ef;
	unsigned threads;
	bool with_graph;
	uint64_t *row;
	float *scale, *bias;    /* bias: l2 only */
	uint8_t *codes;
	uint64_t *fact_at;
	struct buf facts;
	/* the graph */
	uint8_t *level, *lock;  /* lock: of a node's links */
	uint32_t *links, *upper_at, *upper;
	uint32_t upper_lists, entry, top;
	uint32_t linked;        /* nodes below this one are in the graph already */
	struct err *e;
};

int build_rooms(struct build *b, uint32_t room);
void build_free(struct build *b);
/* Copy what is left of an index (and, repaired, its graph) to the beginning. */
int build_from_index(struct build *b, const struct index *x);
/* Append the rows from `from` on. */
int build_from_rows(struct build *b, uint64_t from);
/* Put the nodes that are not in it yet into the graph, with all threads. */
int build_graph(struct build *b);
/* The nearest of sorted candidates that are nearer to `of` than to each other; their number. Candidates are overwritten. */
uint32_t choose_links(const struct graph *g, uint32_t of, struct candidate *at, uint32_t n, uint32_t want);
void graph_of_build(const struct build *b, struct graph *g);
int build_levels(struct build *b, uint32_t from); /* draw levels of the nodes from there on; makes room for their lists */
/* Write it as a file: temporary, sync, rename, sync of the folder. */
int build_write(const struct build *b, int dirfd, const char *file, struct err *e);

#endif
