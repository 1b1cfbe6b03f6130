/* change.c: changing what is around records: collections, tags, and how much history is kept. */
#include <errno.h>
#include <stdio.h>
#include "vecstore/index.h"
#include "vecstore/private.h"

int vs_coll_create(struct vs_txn *t, const char *name, uint32_t dim, enum vs_metric metric, enum vs_element element, struct err *e)
{
	struct coll_state *c;
	struct coll_disk d = { .number = t->head.next_coll, .dim = dim, .metric = (uint8_t)metric, .element = (uint8_t)element, .created = t->version };
	char key[VS_NAME_MAX + 2];
	struct slice part = { (const uint8_t *)&d, sizeof(d) };
	int r = txn_writable(t, e);

	if (r < 0)
		return r;
	if (dim > VS_DIM_MAX || metric > VS_L2 || element > VS_I8)
		return err_set(e, -EINVAL, "collection '%s': at most %u dimensions", name, VS_DIM_MAX);
	r = txn_coll(t, name, &c, NULL);
	if (r == 0)
		return err_set(e, -EEXIST, "collection '%s' exists already", name);
	if (r != -ENOENT)
		return txn_coll(t, name, &c, e);
	snprintf(key, sizeof(key), "C%s", name);
	t->head.next_coll++;
	r = kv_put(t, T_SYS, key, strlen(key), &part, 1, false);
	if (r == 0)
		r = log_add(t, LOG_CREATE, d.number, 0, 0, name, strlen(name));
	return r < 0 ? err_sys(e, t->broken = r, "make collection '%s'", name) : 0;
}

/* Delete all keys of a collection in a table. */
static int wipe(struct vs_txn *t, enum table table, uint32_t coll)
{
	_cleanup_kv_cur_ struct kv_cur cur = { 0 };
	uint8_t prefix[4], key[KV_KEY_MAX];
	int r = kv_cur_open(t, table, &cur);

	put_be32(prefix, coll);
	while (r == 0) {
		size_t n;
		r = kv_cur_seek(&cur, prefix, sizeof(prefix));
		if (r < 0)
			break;
		n = cur.key.n;
		if (n < 4 || n > sizeof(key) || memcmp(cur.key.p, prefix, 4) != 0)
			return 0;
		memcpy(key, cur.key.p, n);
		r = kv_del(t, table, key, n);
	}
	return r == -ENOENT ? 0 : r;
}

int vs_coll_drop(struct vs_txn *t, const char *name, struct err *e)
{
	static const enum table holding[] = { T_LIVE, T_OLD, T_VER };
	struct coll_state *c = NULL;
	char key[VS_NAME_MAX + 2];
	uint32_t number;
	int r = txn_writable(t, e);

	if (r == 0)
		r = txn_coll(t, name, &c, e);
	if (r < 0 || !c)
		return r;
	number = c->d.number;
	*c = t->coll[--t->n_coll];
	for (size_t i = 0; i < ARRAY_SIZE(holding) && r == 0; i++)
		r = wipe(t, holding[i], number);
	snprintf(key, sizeof(key), "C%s", name);
	if (r == 0)
		r = kv_del(t, T_SYS, key, strlen(key));
	if (r == 0)
		r = log_add(t, LOG_DROP, number, 0, 0, name, strlen(name));
	return r < 0 ? err_sys(e, t->broken = r, "drop collection '%s'", name) : 0;
}

/* --- tags --- */

int vs_tag(struct vs_txn *t, const char *name, uint64_t version, struct err *e)
{
	char key[VS_NAME_MAX + 2];
	struct slice part = { (const uint8_t *)&version, sizeof(version) };
	int r = txn_writable(t, e);

	if (r < 0)
		return r;
	if (!name_valid(name) || strlen(name) > VS_NAME_MAX)
		return err_set(e, -EINVAL, "'%s' is no name of a tag: 1 to %u of A-Z a-z 0-9 _ . @ : -", name, VS_NAME_MAX);
	if (version > t->version || version < t->head.purged)
		return err_set(e, -ERANGE, "version %llu can't be tagged: versions %llu to %llu are kept", (unsigned long long)version, (unsigned long long)t->head.purged,
			       (unsigned long long)t->version);
	snprintf(key, sizeof(key), "T%s", name);
	r = kv_put(t, T_SYS, key, strlen(key), &part, 1, false);
	if (r == 0)
		r = log_add(t, LOG_TAG, 0, version, 0, name, strlen(name));
	return r < 0 ? err_sys(e, t->broken = r, "write tag '%s'", name) : 0;
}

int vs_untag(struct vs_txn *t, const char *name, struct err *e)
{
	char key[VS_NAME_MAX + 2];
	uint64_t version = 0;
	int r = txn_writable(t, e);

	if (r == 0)
		r = vs_tag_find(t, name, &version, e);
	if (r < 0)
		return r;
	snprintf(key, sizeof(key), "T%s", name);
	r = kv_del(t, T_SYS, key, strlen(key));
	if (r == 0)
		r = log_add(t, LOG_UNTAG, 0, version, 0, name, strlen(name));
	return r < 0 ? err_sys(e, t->broken = r, "remove tag '%s'", name) : 0;
}

/* --- forgetting --- */

static int lowest_tag(const char *name, uint64_t version, void *data)
{
	uint64_t *lowest = data;
	(void)name;
	*lowest = MIN(*lowest, version);
	return 0;
}

static int del_ver(struct vs_txn *t, uint32_t coll, const char *id, uint64_t version)
{
	uint8_t key[KV_KEY_MAX];
	size_t n = strlen(id);
	int r;

	put_be32(key, coll);
	memcpy(key + 4, id, n + 1);
	put_be64(key + 5 + n, version);
	r = kv_del(t, T_VER, key, 13 + n);
	return r == -ENOENT ? 0 : r;
}

/* Forget one retired row, with its version and the deletion that ended it. */
static int forget(struct vs_txn *t, const struct coll_state *c, const struct vs_record *rec)
{
	char id[VS_ID_MAX + 1];
	uint64_t version = rec->version, until = rec->until, at;
	uint8_t key[ROW_KEY];
	struct ver_disk v;
	int r;

	snprintf(id, sizeof(id), "%s", rec->id);
	row_key(key, c->d.number, rec->row);
	r = kv_del(t, T_OLD, key, sizeof(key));
	if (r == 0)
		r = del_ver(t, c->d.number, id, version);
	if (r == 0 && ver_find(t, c, id, until, &v, &at) == 0 && at == until && v.deleted)
		r = del_ver(t, c->d.number, id, until);
	return r;
}

static int purge_coll(struct vs_txn *t, const char *name, uint64_t before, uint64_t *n, struct err *e)
{
	_cleanup_kv_cur_ struct kv_cur cur = { 0 };
	struct coll_state *c;
	uint8_t key[ROW_KEY];
	int r = txn_coll(t, name, &c, e);

	if (r < 0)
		return r;
	row_key(key, c->d.number, 0);
	r = kv_cur_open(t, T_OLD, &cur);
	for (r = r < 0 ? r : kv_cur_seek(&cur, key, sizeof(key)); r == 0;) {
		struct vs_record rec = { 0 };
		struct slice v;

		if (cur.key.n != ROW_KEY || get_be32(cur.key.p) != c->d.number)
			return 0;
		memcpy(key, cur.key.p, sizeof(key));
		r = kv_cur_value(&cur, &v);
		if (r == 0)
			r = record_decode(c, get_be64(key + 4), v, &rec, NULL);
		if (r < 0)
			break;
		if (rec.until > before) {
			r = kv_cur_next(&cur);
			continue;
		}
		r = forget(t, c, &rec);
		if (r < 0)
			break;
		c->d.old_rows--;
		c->dirty = true;
		(*n)++;
		r = kv_cur_seek(&cur, key, sizeof(key));
	}
	return r == -ENOENT ? 0 : err_sys(e, r, "collection '%s': forget old rows", name);
}

/* Log entries below limit go. */
static int purge_log(struct vs_txn *t, uint64_t limit)
{
	_cleanup_kv_cur_ struct kv_cur cur = { 0 };
	uint8_t key[12] = { 0 };
	int r = kv_cur_open(t, T_LOG, &cur);

	while (r == 0) {
		r = kv_cur_seek(&cur, "", 1);
		if (r < 0)
			break;
		if (cur.key.n != sizeof(key))
			return -EBADMSG;
		if (get_be64(cur.key.p) >= limit)
			break;
		memcpy(key, cur.key.p, sizeof(key));
		r = kv_del(t, T_LOG, key, sizeof(key));
	}
	t->head.log_from = limit;
	return r == -ENOENT ? 0 : r;
}

struct purge { struct vs_txn *t; struct err *e; uint64_t before, n; struct strlist { char (*name)[VS_NAME_MAX + 1]; size_t n; } list; };

static int list_coll(const struct vs_coll *c, void *data)
{
	struct purge *p = data;
	void *grown = realloc(p->list.name, (p->list.n + 1) * sizeof(*p->list.name));

	if (!grown)
		return err_set(p->e, -ENOMEM, "out of memory");
	p->list.name = grown;
	memcpy(p->list.name[p->list.n++], c->name, sizeof(c->name));
	return 0;
}

int vs_purge(struct vs_txn *t, uint64_t before, uint64_t *n, struct err *e)
{
	struct purge p = { .t = t, .e = e, .before = before };
	uint64_t lowest = UINT64_MAX;
	int r = txn_writable(t, e);

	if (r == 0)
		r = vs_tag_each(t, lowest_tag, &lowest, e);
	if (r < 0)
		return r;
	p.before = MIN(MIN(before, lowest), t->version);
	if (p.before > t->head.purged) {
		r = vs_coll_each(t, list_coll, &p, e);
		for (size_t i = 0; i < p.list.n && r == 0; i++)
			r = purge_coll(t, p.list.name[i], p.before, &p.n, e);
		free(p.list.name);
		/* An index is brought up to date by the log: what the oldest one needs stays. */
		if (r == 0)
			r = purge_log(t, MIN(p.before, index_oldest_stamp(t->s) + 1));
		if (r == 0) {
			t->head.purged = p.before;
			r = log_add(t, LOG_PURGE, 0, p.before, 0, NULL, 0);
		}
	}
	if (n)
		*n = p.n;
	return r < 0 ? err_sys(e, t->broken = r, "forget what was before version %llu", (unsigned long long)before) : 0;
}
