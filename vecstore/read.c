/* read.c: collections and records, read. */
#include <errno.h>
#include <stdio.h>
#include "vecstore/private.h"
#include "vecstore/rows.h"
#include "vecstore/vector.h"

static const char *const metrics[] = { "cosine", "dot", "l2" };
static const char *const elements[] = { "f32", "f16", "i8" };

const char *vs_metric_name(enum vs_metric m) { return m <= VS_L2 ? metrics[m] : "?"; }
const char *vs_element_name(enum vs_element t) { return t <= VS_I8 ? elements[t] : "?"; }

static int name_in(const char *const *names, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++)
		if (streq(names[i], s))
			return (int)i;
	return -EINVAL;
}

int vs_metric_parse(const char *s) { return name_in(metrics, ARRAY_SIZE(metrics), s); }
int vs_element_parse(const char *s) { return name_in(elements, ARRAY_SIZE(elements), s); }

static int coll_decode(struct slice v, struct coll_disk *d)
{
	if (v.n != sizeof(*d))
		return -EBADMSG;
	memcpy(d, v.p, sizeof(*d));
	return d->dim > VS_DIM_MAX || d->metric > VS_L2 || d->element > VS_I8 ? -EBADMSG : 0;
}

static int remember(struct vs_txn *t, const char *name, const struct coll_disk *d, struct coll_state **ret)
{
	struct coll_state *grown = realloc(t->coll, (t->n_coll + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	t->coll = grown;
	grown[t->n_coll] = (struct coll_state){ .d = *d };
	snprintf(grown[t->n_coll].name, sizeof(grown->name), "%s", name);
	*ret = &grown[t->n_coll++];
	return 0;
}

int txn_coll(struct vs_txn *t, const char *name, struct coll_state **ret, struct err *e)
{
	char key[VS_NAME_MAX + 2];
	struct coll_disk d = { 0 };
	struct slice v;
	int r;

	for (size_t i = 0; i < t->n_coll; i++)
		if (streq(t->coll[i].name, name)) {
			*ret = &t->coll[i];
			return 0;
		}
	if (!name_valid(name) || strlen(name) > VS_NAME_MAX)
		return err_set(e, -EINVAL, "'%s' is no name of a collection: 1 to %u of A-Z a-z 0-9 _ . @ : -", name, VS_NAME_MAX);
	snprintf(key, sizeof(key), "C%s", name);
	r = kv_get(t, T_SYS, key, strlen(key), &v);
	if (r == 0)
		r = coll_decode(v, &d);
	if (r == -ENOENT)
		return err_set(e, r, "there is no collection '%s'", name);
	if (r == 0)
		r = remember(t, name, &d, ret);
	return r < 0 ? err_sys(e, r, "collection '%s'", name) : 0;
}

static void coll_public(const char *name, const struct coll_disk *d, struct vs_coll *ret)
{
	*ret = (struct vs_coll){ .number = d->number, .dim = d->dim, .metric = d->metric, .element = d->element, .rows = d->rows, .old_rows = d->old_rows };
	snprintf(ret->name, sizeof(ret->name), "%s", name);
}

int vs_coll_find(struct vs_txn *t, const char *name, struct vs_coll *ret, struct err *e)
{
	struct coll_state *c;
	int r = txn_coll(t, name, &c, e);

	if (r == 0)
		coll_public(c->name, &c->d, ret);
	return r;
}

/* Walk the names that begin with a letter. */
static int sys_each(struct vs_txn *t, char letter, int (*each)(const char *name, struct slice v, void *data), void *data, struct err *e)
{
	_cleanup_kv_cur_ struct kv_cur cur = { 0 };
	int r = kv_cur_open(t, T_SYS, &cur);

	for (r = r < 0 ? r : kv_cur_seek(&cur, &letter, 1); r == 0; r = kv_cur_next(&cur)) {
		char name[VS_NAME_MAX + 1];
		struct slice v;

		if (cur.key.n < 2 || cur.key.p[0] != (uint8_t)letter)
			break;
		if (cur.key.n - 1 > VS_NAME_MAX || kv_cur_value(&cur, &v) < 0)
			return err_set(e, -EBADMSG, "the list of %s is damaged; run rastvec check", letter == 'C' ? "collections" : "tags");
		memcpy(name, cur.key.p + 1, cur.key.n - 1);
		name[cur.key.n - 1] = 0;
		r = each(name, v, data);
		if (r)
			return r;
	}
	return r == -ENOENT ? 0 : r < 0 ? err_sys(e, r, "read the list of %s", letter == 'C' ? "collections" : "tags") : 0;
}

struct coll_walk { struct vs_txn *t; int (*each)(const struct vs_coll *c, void *data); void *data; };

static int one_coll(const char *name, struct slice v, void *data)
{
	struct coll_walk *w = data;
	struct vs_coll c;
	struct coll_disk d;
	int r = coll_decode(v, &d);

	for (size_t i = 0; r == 0 && i < w->t->n_coll; i++) /* what this transaction has changed and not yet written */
		if (streq(w->t->coll[i].name, name))
			d = w->t->coll[i].d;
	if (r < 0)
		return r;
	coll_public(name, &d, &c);
	return w->each(&c, w->data);
}

int vs_coll_each(struct vs_txn *t, int (*each)(const struct vs_coll *c, void *data), void *data, struct err *e)
{
	struct coll_walk w = { t, each, data };
	return sys_each(t, 'C', one_coll, &w, e);
}

/* --- records --- */

int record_decode(const struct coll_state *c, uint64_t row, struct slice v, struct vs_record *ret, float *inv_norm)
{
	struct rec_disk h;
	size_t vec;

	if (v.n < sizeof(h))
		return -EBADMSG;
	memcpy(&h, v.p, sizeof(h));
	vec = element_bytes(h.element, h.dim);
	if (h.dim != c->d.dim || h.element != c->d.element || h.meta_len > VS_META_MAX || h.id_len == 0 || h.id_len > VS_ID_MAX ||
	    v.n != sizeof(h) + vec + h.meta_len + h.id_len + 1 || v.p[v.n - 1] != 0)
		return -EBADMSG;
	*ret = (struct vs_record){ .id = (const char *)v.p + v.n - 1 - h.id_len, .row = row, .version = h.version, .until = h.until, .time_us = h.time_us,
				   .meta = { v.p + sizeof(h) + vec, h.meta_len }, .vector = v.p + sizeof(h), .dim = h.dim, .element = h.element, .scale = h.scale };
	if (inv_norm)
		*inv_norm = h.inv_norm;
	return 0;
}

int row_get(struct vs_txn *t, enum table table, const struct coll_state *c, uint64_t row, struct vs_record *ret, float *inv_norm)
{
	uint8_t key[ROW_KEY];
	struct slice v;
	int r;

	row_key(key, c->d.number, row);
	r = kv_get(t, table, key, sizeof(key), &v);
	return r < 0 ? r : record_decode(c, row, v, ret, inv_norm);
}

void vs_record_vector(const struct vs_record *r, float *to)
{
	vector_decode(r->element, r->vector, r->dim, r->scale, to);
}

static int ver_decode(struct slice v, struct ver_disk *ret)
{
	if (v.n != sizeof(*ret))
		return -EBADMSG;
	memcpy(ret, v.p, sizeof(*ret));
	return 0;
}

/* Put the cursor on the newest version of the record up to limit: its key is the last one at or below (collection, id, limit). */
static int ver_seek(struct kv_cur *cur, const struct coll_state *c, const char *id, uint64_t limit, uint64_t *version)
{
	uint8_t key[KV_KEY_MAX];
	size_t n = strlen(id), want = 13 + n;
	int r;

	if (n == 0 || n > VS_ID_MAX)
		return -ENOENT;
	put_be32(key, c->d.number);
	memcpy(key + 4, id, n + 1);
	put_be64(key + 5 + n, limit);
	r = kv_cur_seek(cur, key, want);
	if (r == -ENOENT)
		r = kv_cur_last(cur);
	else if (r == 0 && (cur->key.n != want || memcmp(cur->key.p, key, want) != 0))
		r = kv_cur_prev(cur);
	if (r < 0)
		return r;
	if (cur->key.n != want || memcmp(cur->key.p, key, want - 8) != 0)
		return -ENOENT;
	*version = get_be64(cur->key.p + want - 8);
	return 0;
}

int ver_find(struct vs_txn *t, const struct coll_state *c, const char *id, uint64_t limit, struct ver_disk *ret, uint64_t *version)
{
	_cleanup_kv_cur_ struct kv_cur cur = { 0 };
	uint64_t found;
	struct slice v;
	int r = kv_cur_open(t, T_VER, &cur);

	if (r == 0)
		r = ver_seek(&cur, c, id, limit, &found);
	if (r == 0)
		r = kv_cur_value(&cur, &v);
	if (r == 0)
		r = ver_decode(v, ret);
	if (r == 0 && version)
		*version = found;
	return r;
}

/* The row is current, or has been retired since. */
static int row_anywhere(struct vs_txn *t, const struct coll_state *c, uint64_t row, struct vs_record *ret)
{
	int r = row_get(t, T_LIVE, c, row, ret, NULL);
	return r == -ENOENT ? row_get(t, T_OLD, c, row, ret, NULL) : r;
}

int vs_get(struct vs_txn *t, const char *coll, const char *id, struct vs_record *ret, struct err *e)
{
	struct coll_state *c;
	struct ver_disk v;
	int r = txn_coll(t, coll, &c, e);

	if (r < 0)
		return r;
	r = ver_find(t, c, id, t->version, &v, NULL);
	if (r == 0 && v.deleted)
		r = -ENOENT;
	if (r == 0) {
		r = row_anywhere(t, c, v.row, ret);
		if (r == -ENOENT) /* its version says that it is there */
			r = -EBADMSG;
	}
	if (r == -ENOENT)
		return err_set(e, r, "record '%s' is not in collection %s", id, coll);
	return r < 0 ? err_set(e, r, "record '%s' of collection %s is damaged; run rastvec check", id, coll) : 0;
}

int vs_history(struct vs_txn *t, const char *coll, const char *id, vs_record_cb cb, void *data, struct err *e)
{
	_cleanup_kv_cur_ struct kv_cur cur = { 0 };
	struct coll_state *c;
	uint64_t version, above = 0;
	int r = txn_coll(t, coll, &c, e);

	if (r < 0)
		return r;
	r = kv_cur_open(t, T_VER, &cur);
	for (uint64_t limit = t->version; r == 0; limit = version - 1) {
		struct vs_record rec;
		struct ver_disk v;
		struct slice s;

		r = ver_seek(&cur, c, id, limit, &version);
		if (r == -ENOENT)
			return above ? 0 : err_set(e, -ENOENT, "record '%s' has never been in collection %s", id, coll);
		if (r == 0)
			r = kv_cur_value(&cur, &s);
		if (r == 0)
			r = ver_decode(s, &v);
		if (r == 0 && v.deleted)
			rec = (struct vs_record){ .id = id, .row = v.row, .version = version, .until = above, .time_us = v.time_us, .deleted = true };
		else if (r == 0)
			r = row_anywhere(t, c, v.row, &rec);
		if (r < 0)
			return err_set(e, -EBADMSG, "record '%s' of collection %s: its history is damaged; run rastvec check", id, coll);
		above = version;
		r = cb(&rec, data);
		if (r || version == 0)
			return r;
	}
	return r < 0 ? err_sys(e, r, "record '%s': read its history", id) : 0;
}

/* --- walking rows --- */

int rows_open(struct rows *it, struct vs_txn *t, const struct coll_state *c, bool newest_first, uint64_t from)
{
	uint8_t key[ROW_KEY];
	int r = 0;

	*it = (struct rows){ .t = t, .c = c, .back = newest_first };
	row_key(key, c->d.number + (newest_first ? 1u : 0u), newest_first ? 0 : from);
	for (unsigned i = 0; i < (t->as_of ? 2u : 1u) && r == 0; i++) {
		r = kv_cur_open(t, i ? T_OLD : T_LIVE, &it->cur[i]);
		if (r < 0)
			break;
		it->open[i] = true;
		r = kv_cur_seek(&it->cur[i], key, sizeof(key));
		if (newest_first)
			r = r == 0 ? kv_cur_prev(&it->cur[i]) : r == -ENOENT ? kv_cur_last(&it->cur[i]) : r;
		it->there[i] = r == 0;
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

void rows_close(struct rows *it)
{
	for (unsigned i = 0; i < 2; i++)
		if (it->open[i])
			kv_cur_close(&it->cur[i]);
}

/* Which cursor is next: of two, the one with the lower row (the higher one, going back). -1: none. */
static int rows_pick(struct rows *it)
{
	int best = -1;

	for (int i = 0; i < 2; i++) {
		const struct slice *k = &it->cur[i].key;
		if (!it->there[i])
			continue;
		if (k->n != ROW_KEY)
			return -EBADMSG;
		if (get_be32(k->p) != it->c->d.number) {
			it->there[i] = false;
			continue;
		}
		if (best < 0 || (get_be64(k->p + 4) < get_be64(it->cur[best].key.p + 4)) != it->back)
			best = i;
	}
	return best;
}

static int rows_step(struct rows *it, int i)
{
	int r = it->back ? kv_cur_prev(&it->cur[i]) : kv_cur_next(&it->cur[i]);

	it->there[i] = r == 0;
	return r == -ENOENT ? 0 : r;
}

int rows_next(struct rows *it, struct vs_record *ret, float *inv_norm)
{
	for (;;) {
		struct slice v = { 0 };
		int i, r = 0;

		if (it->pending) {
			r = rows_step(it, it->pending - 1);
			it->pending = 0;
		}
		i = r < 0 ? r : rows_pick(it);
		if (i == -1)
			return -ENOENT;
		if (i < -1)
			return i;
		it->pending = i + 1;
		it->row = get_be64(it->cur[i].key.p + 4);
		r = kv_cur_value(&it->cur[i], &v);
		if (r == 0)
			r = record_decode(it->c, it->row, v, ret, inv_norm);
		if (r != 0)
			return r;
		if (!it->t->as_of || (ret->version <= it->t->version && (ret->until == 0 || ret->until > it->t->version)))
			return 0;
	}
}

int vs_each(struct vs_txn *t, const char *coll, const struct vs_filter *f, bool newest_first, vs_record_cb cb, void *data, struct err *e)
{
	_cleanup_rows_ struct rows it = { 0 };
	struct coll_state *c = NULL;
	struct vs_record rec;
	int r = txn_coll(t, coll, &c, e);

	if (r < 0 || !c)
		return r;
	r = rows_open(&it, t, c, newest_first, 0);
	while (r == 0) {
		int answer;
		r = rows_next(&it, &rec, NULL);
		if (r < 0)
			break;
		answer = vs_filter_match(f, &rec) ? cb(&rec, data) : 0;
		if (answer)
			return answer;
	}
	if (r == -ENOENT)
		return 0;
	return err_set(e, r, "collection %s: row %llu is damaged; run rastvec check", coll, (unsigned long long)it.row);
}

/* --- tags --- */

int vs_tag_find(struct vs_txn *t, const char *name, uint64_t *version, struct err *e)
{
	char key[VS_NAME_MAX + 2];
	struct slice v;
	int r = -ENOENT;

	if (strlen(name) <= VS_NAME_MAX && *name) {
		snprintf(key, sizeof(key), "T%s", name);
		r = kv_get(t, T_SYS, key, strlen(key), &v);
	}
	if (r == 0 && v.n != 8)
		r = -EBADMSG;
	if (r < 0)
		return r == -ENOENT ? err_set(e, r, "there is no tag '%s'", name) : err_sys(e, r, "tag '%s'", name);
	memcpy(version, v.p, 8);
	return 0;
}

struct tag_walk { int (*each)(const char *name, uint64_t version, void *data); void *data; };

static int one_tag(const char *name, struct slice v, void *data)
{
	struct tag_walk *w = data;
	uint64_t version;

	if (v.n != 8)
		return -EBADMSG;
	memcpy(&version, v.p, 8);
	return w->each(name, version, w->data);
}

int vs_tag_each(struct vs_txn *t, int (*each)(const char *name, uint64_t version, void *data), void *data, struct err *e)
{
	struct tag_walk w = { each, data };
	return sys_each(t, 'T', one_tag, &w, e);
}

/* --- documents --- */

int vs_doc_get(struct vs_txn *t, const void *k, size_t key_len, const void **data, size_t *n, struct err *e)
{
	uint8_t key[KV_KEY_MAX] = { 'D' };
	struct slice v;
	int r = -ENOENT;

	if (key_len > 0 && key_len <= VS_ID_MAX) {
		memcpy(key + 1, k, key_len);
		r = kv_get(t, T_DOC, key, key_len + 1, &v);
	}
	if (r < 0)
		return r == -ENOENT ? err_set(e, r, "no such document") : err_sys(e, r, "read a document");
	*data = v.p;
	*n = v.n;
	return 0;
}

int vs_doc_each(struct vs_txn *t, const void *prefix, size_t n, int (*each)(const void *key, size_t key_len, const void *data, size_t n, void *arg), void *arg, struct err *e)
{
	_cleanup_kv_cur_ struct kv_cur cur = { 0 };
	uint8_t key[KV_KEY_MAX] = { 'D' };
	int r;

	if (n > VS_ID_MAX)
		return 0;
	if (n)
		memcpy(key + 1, prefix, n);
	r = kv_cur_open(t, T_DOC, &cur);
	for (r = r < 0 ? r : kv_cur_seek(&cur, key, n + 1); r == 0; r = kv_cur_next(&cur)) {
		struct slice v;

		if (cur.key.n < n + 1 || memcmp(cur.key.p, key, n + 1) != 0)
			return 0;
		r = kv_cur_value(&cur, &v);
		if (r < 0)
			break;
		r = each(cur.key.p + 1, cur.key.n - 1, v.p, v.n, arg);
		if (r)
			return r;
	}
	return r == -ENOENT ? 0 : err_sys(e, r, "read documents");
}
