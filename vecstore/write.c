/* write.c: changing a store: cells, the log, records. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <sys/random.h>
#include "vecstore/meta.h"
#include "vecstore/private.h"
#include "vecstore/vector.h"

#define LOG_CHUNK 1500u /* bytes: two to a page */

/* LMDB gives the place, we fill it: no copy between. */
int kv_put(struct vs_txn *t, enum table table, const void *key, size_t n, const struct slice *parts, size_t n_parts, bool append)
{
	MDB_val k = { n, (void *)(uintptr_t)key }, v = { CELL_HEAD, NULL };
	uint8_t *to;
	uint32_t crc;
	int r;

	for (size_t i = 0; i < n_parts; i++)
		v.mv_size += parts[i].n;
	if (v.mv_size >= UINT32_MAX)
		return -E2BIG;
	r = mdb_put(t->mdb, t->s->dbi[table], &k, &v, MDB_RESERVE | (append ? MDB_APPEND : 0));
	if (r)
		return mdb_error(r);
	to = v.mv_data;
	memset(to, 0, CELL_HEAD);
	to[4] = (uint8_t)table;
	to += CELL_HEAD;
	for (size_t i = 0; i < n_parts; i++) {
		if (parts[i].n)
			memcpy(to, parts[i].p, parts[i].n);
		to += parts[i].n;
	}
	crc = crc32c(crc32c(0, key, n), (uint8_t *)v.mv_data + 4, v.mv_size - 4);
	memcpy(v.mv_data, &crc, 4);
	return 0;
}

int kv_del(struct vs_txn *t, enum table table, const void *key, size_t n)
{
	MDB_val k = { n, (void *)(uintptr_t)key };
	int r = mdb_del(t->mdb, t->s->dbi[table], &k, NULL);
	return r ? mdb_error(r) : 0;
}

/* --- the log --- */

int log_flush(struct vs_txn *t)
{
	struct log_head head = { .time_us = t->time_us };
	uint8_t key[12];
	struct slice part[2] = { { (const uint8_t *)&head, t->chunk == 0 ? sizeof(head) : 0 }, { (const uint8_t *)t->log.data, t->log.len } };
	int r;

	if (t->log.failed)
		return -ENOMEM;
	if (t->log.len == 0 && t->chunk > 0)
		return 0;
	if (t->chunk == 0) {
		if (getrandom(&head.chain, sizeof(head.chain), 0) != (ssize_t)sizeof(head.chain))
			return -EIO;
		t->head.chain = head.chain;
	}
	put_be64(key, t->version);
	put_be32(key + 8, t->chunk++);
	r = kv_put(t, T_LOG, key, sizeof(key), part, 2, true);
	t->log.len = 0;
	return r;
}

int log_add(struct vs_txn *t, enum log_op op, uint32_t coll, uint64_t row, uint64_t gone, const void *key, size_t n)
{
	struct log_entry en = { .op = (uint8_t)op, .key_len = (uint16_t)n, .coll = coll, .row = row, .gone = gone };

	t->changed = true;
	buf_add(&t->log, &en, sizeof(en));
	if (n)
		buf_add(&t->log, key, n);
	if (t->log.failed)
		return -ENOMEM;
	return t->log.len >= LOG_CHUNK ? log_flush(t) : 0;
}

/* --- records --- */

/* The record is in `live` under its row: move it to `old`, or forget it when it came and went within this transaction. */
static int retire(struct vs_txn *t, struct coll_state *c, uint64_t row)
{
	uint8_t key[ROW_KEY];
	struct slice v, part[2];
	struct rec_disk head;
	_cleanup_free_ uint8_t *copy = NULL;
	int r;

	row_key(key, c->d.number, row);
	r = kv_get(t, T_LIVE, key, sizeof(key), &v);
	if (r < 0)
		return r == -ENOENT ? -EBADMSG : r;
	if (v.n < sizeof(head))
		return -EBADMSG;
	memcpy(&head, v.p, sizeof(head));
	if (head.version != t->version) {
		/* LMDB may move what v points to while it writes. */
		copy = malloc(v.n);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, v.p, v.n);
		head.until = t->version;
		part[0] = (struct slice){ (const uint8_t *)&head, sizeof(head) };
		part[1] = (struct slice){ copy + sizeof(head), v.n - sizeof(head) };
		r = kv_put(t, T_OLD, key, sizeof(key), part, 2, false);
		if (r < 0)
			return r;
		c->d.old_rows++;
	}
	c->d.rows--;
	c->dirty = true;
	return kv_del(t, T_LIVE, key, sizeof(key));
}

static size_t ver_key(uint8_t key[KV_KEY_MAX], uint32_t coll, const char *id, size_t n, uint64_t version)
{
	put_be32(key, coll);
	memcpy(key + 4, id, n + 1);
	put_be64(key + 5 + n, version);
	return 13 + n;
}

static int put_ver(struct vs_txn *t, const struct coll_state *c, const char *id, uint64_t row, bool deleted)
{
	uint8_t key[KV_KEY_MAX];
	struct ver_disk v = { .row = row, .deleted = deleted, .time_us = t->time_us };
	struct slice part = { (const uint8_t *)&v, sizeof(v) };
	size_t n = ver_key(key, c->d.number, id, strlen(id), t->version);
	return kv_put(t, T_VER, key, n, &part, 1, false);
}

static int del_ver(struct vs_txn *t, const struct coll_state *c, const char *id)
{
	uint8_t key[KV_KEY_MAX];
	size_t n = ver_key(key, c->d.number, id, strlen(id), t->version);
	return kv_del(t, T_VER, key, n);
}

static int check_put(const struct coll_state *c, const char *id, const float *vector, const struct vs_meta *m, struct err *e)
{
	size_t n = strlen(id);
	double sum = 0;

	if (n == 0 || n > VS_ID_MAX || utf8_span(id, n) != n)
		return err_set(e, -EINVAL, "an id is 1 to %u bytes of UTF-8", VS_ID_MAX);
	if (m && m->failed)
		return err_set(e, m->failed, "record '%s': its metadata has %s", id, m->failed == -E2BIG ? "too many bytes" : m->failed == -ENOMEM ? "found no memory" : "an invalid name or value");
	if ((c->d.dim == 0) != !vector)
		return err_set(e, -EINVAL, "record '%s': collection %s has %u dimensions", id, c->name, c->d.dim);
	for (uint32_t i = 0; i < c->d.dim; i++) {
		if (!isfinite(vector[i]))
			return err_set(e, -EINVAL, "record '%s': number %u of its vector is not finite", id, i);
		sum += (double)vector[i] * vector[i];
	}
	if (c->d.dim && (!isfinite((float)sum) || (c->d.metric == VS_COSINE && sum < 1e-30)))
		return err_set(e, -EINVAL, "record '%s': a vector of length %g can't be compared by %s", id, sqrt(sum), vs_metric_name(c->d.metric));
	return 0;
}

static int put_row(struct vs_txn *t, struct coll_state *c, uint64_t row, const char *id, const float *vector, const struct vs_meta *m)
{
	struct rec_disk head = { .version = t->version, .time_us = t->time_us, .dim = c->d.dim, .element = c->d.element, .id_len = (uint16_t)strlen(id), .meta_len = m ? (uint32_t)m->b.len : 0 };
	_cleanup_free_ uint8_t *encoded = NULL;
	float scale = 0;
	struct slice part[4] = { { (const uint8_t *)&head, sizeof(head) }, { (const uint8_t *)vector, 4ul * c->d.dim }, { m ? (const uint8_t *)m->b.data : NULL, head.meta_len }, { (const uint8_t *)id, head.id_len + 1u } };
	uint8_t key[ROW_KEY];

	if (c->d.dim && c->d.element != VS_F32) {
		encoded = malloc(element_bytes(c->d.element, c->d.dim));
		if (!encoded)
			return -ENOMEM;
		vector_encode(c->d.element, vector, c->d.dim, encoded, &scale);
		head.scale = scale;
		part[1] = (struct slice){ encoded, element_bytes(c->d.element, c->d.dim) };
	}
	if (c->d.dim)
		head.inv_norm = vector_inv_norm(c->d.element, part[1].p, c->d.dim, scale);
	row_key(key, c->d.number, row);
	/* Rows grow store-wide: the new one is behind all others of its collection, and of the newest collection behind all there are. */
	return kv_put(t, T_LIVE, key, sizeof(key), part, 4, c->d.number + 1 == t->head.next_coll);
}

static int put(struct vs_txn *t, struct coll_state *c, enum vs_put_mode mode, const char *id, const float *vector, const struct vs_meta *m, struct err *e)
{
	struct ver_disk was;
	int r = ver_find(t, c, id, UINT64_MAX, &was, NULL);
	bool there = r == 0 && !was.deleted;
	uint64_t row = t->head.next_row;

	if (r < 0 && r != -ENOENT)
		return err_set(e, r, "record '%s': its history is damaged; run rastvec check", id);
	if (mode == VS_INSERT && there)
		return err_set(e, -EEXIST, "record '%s' is in collection %s already", id, c->name);
	if (mode == VS_UPDATE && !there)
		return err_set(e, -ENOENT, "record '%s' is not in collection %s", id, c->name);
	t->head.next_row++;
	r = there ? retire(t, c, was.row) : 0;
	if (r == 0)
		r = put_row(t, c, row, id, vector, m);
	if (r == 0)
		r = put_ver(t, c, id, row, false);
	if (r == 0)
		r = log_add(t, LOG_PUT, c->d.number, row, there ? was.row : 0, NULL, 0);
	c->d.rows++;
	c->dirty = true;
	return r < 0 ? err_sys(e, t->broken = r, "record '%s': put into %s", id, c->name) : 0;
}

int vs_put(struct vs_txn *t, const char *coll, enum vs_put_mode mode, const char *id, const float *vector, const struct vs_meta *m, struct err *e)
{
	struct coll_state *c = NULL;
	int r = txn_writable(t, e);

	if (r == 0)
		r = txn_coll(t, coll, &c, e);
	if (r == 0 && c)
		r = check_put(c, id, vector, m, e);
	return r == 0 && c ? put(t, c, mode, id, vector, m, e) : r;
}

int vs_delete(struct vs_txn *t, const char *coll, const char *id, struct err *e)
{
	struct coll_state *c = NULL;
	struct ver_disk was, older;
	uint64_t version = 0;
	int r = txn_writable(t, e);

	if (r == 0)
		r = txn_coll(t, coll, &c, e);
	if (r < 0 || !c)
		return r;
	r = ver_find(t, c, id, UINT64_MAX, &was, &version);
	if (r == -ENOENT || (r == 0 && was.deleted))
		return err_set(e, -ENOENT, "record '%s' is not in collection %s", id, coll);
	if (r == 0)
		r = retire(t, c, was.row);
	/* One that came within this transaction, and was not there before, has never been. */
	if (r == 0 && version == t->version && ver_find(t, c, id, version - 1, &older, NULL) == -ENOENT)
		r = del_ver(t, c, id);
	else if (r == 0)
		r = put_ver(t, c, id, was.row, true);
	if (r == 0)
		r = log_add(t, LOG_DELETE, c->d.number, was.row, was.row, id, strlen(id));
	return r < 0 ? err_sys(e, t->broken = r, "record '%s': delete from %s", id, coll) : 0;
}

/* --- documents --- */

static int doc_key(uint8_t key[KV_KEY_MAX], const void *k, size_t n, struct err *e)
{
	if (n == 0 || n > VS_ID_MAX)
		return err_set(e, -EINVAL, "a document's key is 1 to %u bytes", VS_ID_MAX);
	key[0] = 'D';
	memcpy(key + 1, k, n);
	return 0;
}

int vs_doc_put(struct vs_txn *t, const void *k, size_t key_len, const void *data, size_t n, struct err *e)
{
	uint8_t key[KV_KEY_MAX];
	struct slice part = { data, n };
	int r = txn_writable(t, e);

	if (r == 0)
		r = doc_key(key, k, key_len, e);
	if (r < 0)
		return r;
	r = kv_put(t, T_DOC, key, key_len + 1, &part, 1, false);
	if (r == 0)
		r = log_add(t, LOG_DOC, 0, 0, 0, k, key_len);
	return r < 0 ? err_sys(e, t->broken = r, "write a document of %zu bytes", n) : 0;
}

int vs_doc_delete(struct vs_txn *t, const void *k, size_t key_len, struct err *e)
{
	uint8_t key[KV_KEY_MAX];
	int r = txn_writable(t, e);

	if (r == 0)
		r = doc_key(key, k, key_len, e);
	if (r < 0)
		return r;
	r = kv_del(t, T_DOC, key, key_len + 1);
	if (r == -ENOENT)
		return err_set(e, r, "no such document");
	if (r == 0)
		r = log_add(t, LOG_DOC_DELETE, 0, 0, 0, k, key_len);
	return r < 0 ? err_sys(e, t->broken = r, "delete a document") : 0;
}
