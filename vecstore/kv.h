/* kv.h: the tables under the store, read through LMDB or, with VS_NOLOCK, through pages.h; written through LMDB. */
#ifndef RAST_VECSTORE_KV_H
#define RAST_VECSTORE_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vecstore/format.h"
#include "vecstore/pages.h"

struct vs_txn;

#define KV_KEY_MAX 511u /* LMDB's */

/* *value is the payload, behind the cell's head; -ENOENT; -EBADMSG when the checksum is wrong. */
int kv_get(struct vs_txn *t, enum table table, const void *key, size_t n, struct slice *value);

struct kv_cur {
	struct vs_txn *t;
	enum table table;
	void *mdb;             /* MDB_cursor */
	struct tree_cur tree;
	struct slice key, raw; /* raw: the whole cell, unchecked */
};
int  kv_cur_open(struct vs_txn *t, enum table table, struct kv_cur *c);
void kv_cur_close(struct kv_cur *c);
#define _cleanup_kv_cur_ _cleanup_(kv_cur_close)
/* Each sets key and raw, or says -ENOENT. seek: the first one at or behind key. */
int kv_cur_seek(struct kv_cur *c, const void *key, size_t n);
int kv_cur_next(struct kv_cur *c);
int kv_cur_prev(struct kv_cur *c);
int kv_cur_last(struct kv_cur *c);
/* Check the cell under the cursor and give its payload. */
int kv_cur_value(const struct kv_cur *c, struct slice *value);
int cell_check(enum table table, struct slice key, struct slice raw, struct slice *value);

/* --- writing (write side) --- */
/* Store a cell whose payload is made of parts. append: the key is higher than all others (LMDB then fills its pages). */
int kv_put(struct vs_txn *t, enum table table, const void *key, size_t n, const struct slice *parts, size_t n_parts, bool append);
int kv_del(struct vs_txn *t, enum table table, const void *key, size_t n);

#endif
