/* rows.h: walking the rows of a collection, of the version that a transaction looks at. */
#ifndef RAST_VECSTORE_ROWS_H
#define RAST_VECSTORE_ROWS_H

#include "vecstore/private.h"

struct rows {
	struct vs_txn *t;
	const struct coll_state *c;
	bool back, open[2], there[2];
	int pending;            /* cursor + 1 that has to move before the next row */
	uint64_t row;           /* the one that rows_next looked at, for messages */
	struct kv_cur cur[2];   /* live, old */
};
/* from: the first row that is wanted (forwards only). */
int rows_open(struct rows *it, struct vs_txn *t, const struct coll_state *c, bool newest_first, uint64_t from);
int rows_next(struct rows *it, struct vs_record *ret, float *inv_norm); /* -ENOENT at the end */
void rows_close(struct rows *it);
#define _cleanup_rows_ _cleanup_(rows_close)

#endif
