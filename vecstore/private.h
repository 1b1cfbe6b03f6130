/* private.h: what the files of vecstore/ share. The layout on disk is in format.h. */
#ifndef RAST_VECSTORE_PRIVATE_H
#define RAST_VECSTORE_PRIVATE_H

#include <errno.h>
#include <lmdb.h>
#include "base/mem.h"
#include "vecstore/format.h"
#include "vecstore/kv.h"
#include "vecstore/vecstore.h"

/* Address space, not memory: LMDB's file grows as it is filled. */
#define MAP_SIZE ((size_t)256 << 30)

struct index;
struct scratch;

struct vs {
	char *dir;
	int dirfd;
	unsigned flags;
	MDB_env *env;          /* NULL with VS_NOLOCK: then pages */
	MDB_dbi dbi[TABLES];
	struct pages *pages;
	struct vs_txn *txn;    /* the one that is open */
	struct index *indexes; /* loaded ones, a list (index.h) */
	struct scratch *scratch; /* of searches (search.c) */
	uint64_t cache_hits, cache_misses; /* filter results kept beside an index */
};

/* A collection that a transaction has looked at. */
struct coll_state {
	char name[VS_NAME_MAX + 1];
	struct coll_disk d;
	bool dirty;
};

struct vs_txn {
	struct vs *s;
	MDB_txn *mdb;          /* NULL with VS_NOLOCK */
	bool write, changed;
	int broken;            /* a change failed half-way: vs_commit answers with it */
	struct store_head head;
	uint64_t version;      /* what is looked at; head.version + 1 of a writer */
	bool as_of;
	struct coll_state *coll;
	size_t n_coll;
	struct buf log;        /* entries of the chunk being gathered */
	uint32_t chunk;
	uint64_t time_us;
};

/* Map LMDB's own error numbers to errno's; negative. */
int mdb_error(int rc);
int txn_coll(struct vs_txn *t, const char *name, struct coll_state **ret, struct err *e);
int txn_writable(struct vs_txn *t, struct err *e);
/* The log of changes: entries of the transaction; log_flush writes the chunk that is not full. */
int log_add(struct vs_txn *t, enum log_op op, uint32_t coll, uint64_t row, uint64_t gone, const void *key, size_t n);
int log_flush(struct vs_txn *t);
/* The newest version of a record that is not newer than `limit`. *version may be NULL. -ENOENT. */
int ver_find(struct vs_txn *t, const struct coll_state *c, const char *id, uint64_t limit, struct ver_disk *ret, uint64_t *version);
/* Scratch memory and loaded indexes of a handle. */
void scratch_free(struct scratch *s);
void index_cache_free(struct vs *s);
/* Decode a stored record: checks every length in it. The cell's checksum has been checked by the reader. */
int record_decode(const struct coll_state *c, uint64_t row, struct slice value, struct vs_record *ret, float *inv_norm);
int row_get(struct vs_txn *t, enum table table, const struct coll_state *c, uint64_t row, struct vs_record *ret, float *inv_norm);
uint64_t wall_us(void);

#endif
