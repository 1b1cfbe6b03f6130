/* kv.c: reading the tables, through LMDB or through pages.c. */
#include <string.h>
#include "base/str.h"
#include "vecstore/private.h"

const char *const table_names[TABLES] = { "sys", "live", "old", "ver", "log", "doc" };

int mdb_error(int rc)
{
	switch (rc) {
	case MDB_NOTFOUND: return -ENOENT;
	case MDB_KEYEXIST: return -EEXIST;
	case MDB_MAP_FULL: case MDB_TXN_FULL: case MDB_PAGE_FULL: case MDB_CURSOR_FULL: return -ENOSPC;
	case MDB_READERS_FULL: case MDB_DBS_FULL: return -EAGAIN;
	case MDB_CORRUPTED: case MDB_PAGE_NOTFOUND: case MDB_INVALID: case MDB_VERSION_MISMATCH: case MDB_INCOMPATIBLE: return -EBADMSG;
	case MDB_MAP_RESIZED: case MDB_BAD_RSLOT: case MDB_BAD_TXN: case MDB_BAD_VALSIZE: case MDB_BAD_DBI: return -EINVAL;
	case MDB_PANIC: return -EIO;
	default: return rc > 0 ? -rc : rc;
	}
}

int cell_check(enum table table, struct slice key, struct slice raw, struct slice *value)
{
	uint32_t want;

	if (raw.n < CELL_HEAD || raw.p[4] != (uint8_t)table)
		return -EBADMSG;
	memcpy(&want, raw.p, 4);
	if (crc32c(crc32c(0, key.p, key.n), raw.p + 4, raw.n - 4) != want)
		return -EBADMSG;
	*value = (struct slice){ raw.p + CELL_HEAD, raw.n - CELL_HEAD };
	return 0;
}

static int tree_of(struct vs_txn *t, enum table table, struct tree *tree)
{
	int r = tree_find(t->s->pages, table_names[table], tree);
	return r == -ENOENT ? -EBADMSG : r;
}

static int raw_get(struct vs_txn *t, enum table table, struct slice key, struct slice *raw)
{
	MDB_val k = { key.n, (void *)(uintptr_t)key.p }, v;
	struct tree_cur c;
	struct slice found;
	struct tree tree;
	int r;

	if (t->mdb) {
		r = mdb_get(t->mdb, t->s->dbi[table], &k, &v);
		*raw = (struct slice){ v.mv_data, v.mv_size };
		return r ? mdb_error(r) : 0;
	}
	r = tree_of(t, table, &tree);
	if (r < 0)
		return r;
	tree_cur_init(&c, t->s->pages, &tree);
	r = tree_cur_seek(&c, key, &found, raw);
	return r < 0 ? r : key_cmp(found, key) == 0 ? 0 : -ENOENT;
}

int kv_get(struct vs_txn *t, enum table table, const void *key, size_t n, struct slice *value)
{
	struct slice k = { key, n }, raw;
	int r = raw_get(t, table, k, &raw);
	return r < 0 ? r : cell_check(table, k, raw, value);
}

int kv_cur_open(struct vs_txn *t, enum table table, struct kv_cur *c)
{
	struct tree tree;
	int r;

	*c = (struct kv_cur){ .t = t, .table = table };
	if (t->mdb) {
		MDB_cursor *m = NULL;
		r = mdb_cursor_open(t->mdb, t->s->dbi[table], &m);
		c->mdb = m;
		return r ? mdb_error(r) : 0;
	}
	r = tree_of(t, table, &tree);
	if (r == 0)
		tree_cur_init(&c->tree, t->s->pages, &tree);
	return r;
}

void kv_cur_close(struct kv_cur *c)
{
	if (c->mdb)
		mdb_cursor_close(c->mdb);
	c->mdb = NULL;
}

static int move(struct kv_cur *c, MDB_cursor_op op, MDB_val *k)
{
	MDB_val v;
	int r = mdb_cursor_get(c->mdb, k, &v, op);

	if (r)
		return mdb_error(r);
	c->key = (struct slice){ k->mv_data, k->mv_size };
	c->raw = (struct slice){ v.mv_data, v.mv_size };
	return 0;
}

int kv_cur_seek(struct kv_cur *c, const void *key, size_t n)
{
	MDB_val k = { n, (void *)(uintptr_t)key };
	return c->mdb ? move(c, MDB_SET_RANGE, &k) : tree_cur_seek(&c->tree, (struct slice){ key, n }, &c->key, &c->raw);
}

int kv_cur_next(struct kv_cur *c)
{
	MDB_val k;
	return c->mdb ? move(c, MDB_NEXT, &k) : tree_cur_step(&c->tree, 1, &c->key, &c->raw);
}

int kv_cur_prev(struct kv_cur *c)
{
	MDB_val k;
	return c->mdb ? move(c, MDB_PREV, &k) : tree_cur_step(&c->tree, -1, &c->key, &c->raw);
}

int kv_cur_last(struct kv_cur *c)
{
	MDB_val k;
	return c->mdb ? move(c, MDB_LAST, &k) : tree_cur_last(&c->tree, &c->key, &c->raw);
}

int kv_cur_value(const struct kv_cur *c, struct slice *value)
{
	return cell_check(c->table, c->key, c->raw, value);
}
