/* repair.c: a new store of all that is sound in a damaged one.
 *
 * Every cell says itself, under its checksum, to which table it belongs and under which key; so all that can be read is taken: first what
 * the tables lead to, then, when a page above leaves (or one of the two first) is damaged, the leaves that hang in the air. Among those are old ones: they count
 * only where nothing newer speaks against them. Then what belongs together is made to fit: a record without a history gets one, a
 * history without its record loses that entry, counters are counted. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include "base/file.h"
#include "base/sys.h"
#include "vecstore/check.h"

#define NEW_DIR "repair.tmp"
#define DAMAGED VS_DATA_FILE ".damaged"

struct found_coll { uint32_t number; bool named; char name[VS_NAME_MAX + 1]; struct coll_disk d; };

struct repair {
	struct vs_txn *t;          /* of the new store */
	struct vs_repaired *to;
	bool head;                 /* the old head was sound */
	uint64_t top_version, top_row;
	struct found_coll *coll;
	size_t n_coll;
	struct buf doomed;         /* keys to delete after a walk: u16 length, bytes */
	int r;
};

static int take_head(struct repair *r, struct slice v)
{
	struct store_head h;

	if (v.n != sizeof(h))
		return 0;
	memcpy(&h, v.p, sizeof(h));
	if (h.format != VS_FORMAT || (r->head && h.version < r->t->head.version))
		return 0;
	r->t->head = h;
	r->head = true;
	return 0;
}

/* A cell of the old store. What hung in the air takes nobody's place. */
static int take(enum table table, struct slice key, struct slice v, bool lost, void *data)
{
	struct repair *r = data;
	struct slice there;
	int n;

	if (table == T_SYS && key.n == 1)
		return take_head(r, v);
	if (lost && kv_get(r->t, table, key.p, key.n, &there) == 0)
		return 0;
	if (lost && table == T_LIVE && kv_get(r->t, T_OLD, key.p, key.n, &there) == 0)
		return 0;
	n = kv_put(r->t, table, key.p, key.n, &v, 1, false);
	if (n == 0) {
		r->to->kept++;
		r->to->found += lost;
	}
	return n;
}

static int doom(struct repair *r, struct slice key)
{
	uint16_t n = (uint16_t)key.n;

	buf_add(&r->doomed, &n, sizeof(n));
	buf_add(&r->doomed, key.p, key.n);
	return r->doomed.failed ? -ENOMEM : 0;
}

static int carry_out(struct repair *r, enum table table)
{
	int e = 0;

	for (size_t at = 0; at < r->doomed.len && e == 0;) {
		uint16_t n;
		memcpy(&n, r->doomed.data + at, sizeof(n));
		e = kv_del(r->t, table, r->doomed.data + at + sizeof(n), n);
		at += sizeof(n) + n;
		r->to->lost++;
		r->to->kept--;
	}
	r->doomed.len = 0;
	return e;
}

/* Walk a table of the new store. */
static int each(struct repair *r, enum table table, int (*cb)(struct repair *r, enum table table, struct slice key, struct slice v))
{
	_cleanup_kv_cur_ struct kv_cur cur = { 0 };
	int e = kv_cur_open(r->t, table, &cur);

	for (e = e < 0 ? e : kv_cur_seek(&cur, "", 1); e == 0; e = kv_cur_next(&cur)) {
		struct slice v;
		e = kv_cur_value(&cur, &v);
		if (e == 0)
			e = cb(r, table, cur.key, v);
		if (e < 0)
			return e;
	}
	kv_cur_close(&cur);
	return e == -ENOENT ? carry_out(r, table) : e;
}

static struct found_coll *coll_of(struct repair *r, uint32_t number)
{
	struct found_coll *grown;

	for (size_t i = 0; i < r->n_coll; i++)
		if (r->coll[i].number == number)
			return &r->coll[i];
	grown = realloc(r->coll, (r->n_coll + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	r->coll = grown;
	grown[r->n_coll] = (struct found_coll){ .number = number, .d = { .number = number } };
	return &grown[r->n_coll++];
}

static int learn_sys(struct repair *r, enum table table, struct slice key, struct slice v)
{
	struct found_coll *c;
	struct coll_disk d;

	if (key.n < 2 || key.n > VS_NAME_MAX + 1 || key.p[0] != 'C' || v.n != sizeof(d))
		return 0;
	memcpy(&d, v.p, sizeof(d));
	c = coll_of(r, d.number);
	if (!c)
		return -ENOMEM;
	c->d = d;
	c->named = true;
	memcpy(c->name, key.p + 1, key.n - 1);
	c->name[key.n - 1] = 0;
	return 0;
}

/* Names of collections whose entry is lost, from the log. */
static int learn_log(struct repair *r, enum table table, struct slice key, struct slice v)
{
	struct log_entry en;
	size_t at = key.n == 12 && get_be32(key.p + 8) == 0 ? sizeof(struct log_head) : 0;

	if (key.n == 12)
		r->top_version = MAX(r->top_version, get_be64(key.p));
	for (; at + sizeof(en) <= v.n; at += sizeof(en) + en.key_len) {
		struct found_coll *c;
		memcpy(&en, v.p + at, sizeof(en));
		if ((en.op != LOG_CREATE && en.op != LOG_DROP) || en.key_len > VS_NAME_MAX || at + sizeof(en) + en.key_len > v.n)
			continue;
		c = coll_of(r, en.coll);
		if (!c)
			return -ENOMEM;
		if (!c->named) {
			memcpy(c->name, v.p + at + sizeof(en), en.key_len);
			c->name[en.key_len] = 0;
		}
	}
	return 0;
}

/* Does the record itself make sense, and its history name it? */
static int fit_record(struct repair *r, enum table table, struct slice key, struct slice v)
{
	struct rec_disk h;
	struct coll_state c = { 0 };
	struct vs_record rec;
	struct ver_disk ver;
	struct found_coll *f;
	uint64_t at = 0;
	int e;

	if (key.n != ROW_KEY || v.n < sizeof(h))
		return doom(r, key);
	memcpy(&h, v.p, sizeof(h));
	f = coll_of(r, get_be32(key.p));
	if (!f)
		return -ENOMEM;
	if (!f->named && f->d.rows + f->d.old_rows == 0) {
		f->d.dim = h.dim;
		f->d.element = h.element;
	}
	c.d = f->d;
	if (record_decode(&c, get_be64(key.p + 4), v, &rec, NULL) < 0 || (rec.until == 0) != (table == T_LIVE))
		return doom(r, key);
	e = ver_find(r->t, &c, rec.id, table == T_LIVE ? UINT64_MAX : rec.version, &ver, &at);
	if (e == 0 && table == T_LIVE && (ver.deleted || ver.row != rec.row) && at >= rec.version)
		return doom(r, key); /* something newer came after it */
	if (e < 0 || at != rec.version) {
		uint8_t vk[KV_KEY_MAX];
		struct ver_disk d = { .row = rec.row, .time_us = rec.time_us };
		struct slice part = { (const uint8_t *)&d, sizeof(d) };
		size_t n = strlen(rec.id);
		put_be32(vk, c.d.number);
		memcpy(vk + 4, rec.id, n + 1);
		put_be64(vk + 5 + n, rec.version);
		e = kv_put(r->t, T_VER, vk, 13 + n, &part, 1, false);
		if (e < 0)
			return e;
	}
	r->top_version = MAX(r->top_version, MAX(rec.version, rec.until));
	r->top_row = MAX(r->top_row, rec.row);
	f->d.rows += table == T_LIVE;
	f->d.old_rows += table == T_OLD;
	return 0;
}

static int fit_version(struct repair *r, enum table table, struct slice key, struct slice v)
{
	uint8_t rk[ROW_KEY];
	struct ver_disk d;
	struct slice there;

	if (key.n < 14 || v.n != sizeof(d))
		return doom(r, key);
	memcpy(&d, v.p, sizeof(d));
	r->top_version = MAX(r->top_version, get_be64(key.p + key.n - 8));
	row_key(rk, get_be32(key.p), d.row);
	if (!d.deleted && kv_get(r->t, T_LIVE, rk, sizeof(rk), &there) < 0 && kv_get(r->t, T_OLD, rk, sizeof(rk), &there) < 0)
		return doom(r, key);
	return 0;
}

static int put_colls(struct repair *r)
{
	int e = 0;

	for (size_t i = 0; i < r->n_coll && e == 0; i++) {
		struct found_coll *c = &r->coll[i];
		char key[VS_NAME_MAX + 2];
		struct slice part = { (const uint8_t *)&c->d, sizeof(c->d) }, there;

		r->t->head.next_coll = MAX(r->t->head.next_coll, c->number + 1);
		if (!c->named && c->d.rows + c->d.old_rows == 0)
			continue;
		snprintf(key, sizeof(key), "C%s", c->name);
		if (!c->named && (!c->name[0] || kv_get(r->t, T_SYS, key, strlen(key), &there) == 0))
			snprintf(key, sizeof(key), "Crecovered-%u", c->number);
		e = kv_put(r->t, T_SYS, key, strlen(key), &part, 1, false);
	}
	return e;
}

static int fit(struct repair *r)
{
	int e = each(r, T_SYS, learn_sys);

	if (e == 0)
		e = each(r, T_LOG, learn_log);
	for (size_t i = 0; i < r->n_coll; i++)
		r->coll[i].d.rows = r->coll[i].d.old_rows = 0;
	if (e == 0)
		e = each(r, T_LIVE, fit_record);
	if (e == 0)
		e = each(r, T_OLD, fit_record);
	if (e == 0)
		e = each(r, T_VER, fit_version);
	if (e == 0)
		e = put_colls(r);
	if (!r->head) {
		r->t->head.version = r->top_version;
		r->t->head.log_from = r->top_version; /* what the log lacks, nobody knows: indexes are built anew */
		if (getrandom(&r->t->head.chain, 8, 0) != 8)
			return -EIO;
	}
	r->t->head.version = MAX(r->t->head.version, r->top_version);
	r->t->head.next_row = MAX(r->t->head.next_row, r->top_row + 1);
	r->to->version = r->t->head.version;
	return e;
}

/* All of it in one transaction: half a repair does not exist. */
static int fill(struct vs *new, struct walk *w, struct repair *r, struct err *e)
{
	int n = vs_begin(new, VS_WRITE, &r->t, e);

	if (n < 0)
		return n;
	n = walk_file(w);
	if (n == 0)
		n = fit(r);
	if (n == 0) {
		struct slice part = { (const uint8_t *)&r->t->head, sizeof(r->t->head) };
		n = kv_put(r->t, T_SYS, "S", 1, &part, 1, false);
	}
	if (n == 0) {
		n = mdb_error(mdb_txn_commit(r->t->mdb));
		r->t->mdb = NULL;
	}
	vs_abort(&r->t);
	return n < 0 ? err_sys(e, n, "write the new store") : 0;
}

static int swap(int dirfd, struct err *e)
{
	int r;

	(void)unlinkat(dirfd, DAMAGED, 0);
	r = linkat(dirfd, VS_DATA_FILE, dirfd, DAMAGED, 0) < 0 ? -errno : 0;
	if (r == 0)
		r = sys_renameat(dirfd, NEW_DIR "/" VS_DATA_FILE, dirfd, VS_DATA_FILE);
	if (r == 0)
		r = sys_fsync(dirfd);
	(void)unlinkat(dirfd, "lock.mdb", 0);
	return r < 0 ? err_sys(e, r, "put the new " VS_DATA_FILE " in the place of the old one") : 0;
}

static int make(int dirfd, const char *new_dir, struct repair *r, void (*problem)(const char *text, void *data), void *data, struct err *e)
{
	_cleanup_vs_ struct vs *new = NULL;
	struct pages p;
	struct walk w = { .p = &p, .cell = take, .data = r, .problem = problem, .problem_data = data };
	struct vs_checked checked;
	int n = pages_open(dirfd, VS_DATA_FILE, true, &p, e);

	if (n < 0)
		return n;
	/* Without the newer of the two first pages, what it led to hangs in the air, and may lie behind the end that the older one knows. */
	if (p.metas < 2 || p.apart) {
		p.last = p.n - 1;
		w.branch_lost = true;
	}
	n = vs_open(&new, new_dir, VS_CREATE, e);
	if (n == 0)
		n = fill(new, &w, r, e);
	pages_close(&p);
	vs_close(TAKE_PTR(new));
	if (n == 0)
		n = vs_check(new_dir, &checked, problem, data, e);
	if (n == 0 && checked.problems)
		n = err_set(e, -EBADMSG, "the new store has %llu problems: it was not put in the place of the old one", (unsigned long long)checked.problems);
	return n;
}

int vs_repair(const char *dir, struct vs_repaired *ret, void (*problem)(const char *text, void *data), void *data, struct err *e)
{
	_cleanup_close_ int dirfd = sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	_cleanup_free_ char *new_dir = NULL;
	struct repair r = { .to = ret };
	int n;

	*ret = (struct vs_repaired){ 0 };
	if (dirfd < 0)
		return err_sys(e, dirfd, "open store %s", dir);
	if (flock(dirfd, LOCK_EX) < 0 || asprintf(&new_dir, "%s/%s", dir, NEW_DIR) < 0)
		return err_sys(e, -ENOMEM, "lock store %s", dir);
	(void)rm_rf(dirfd, NEW_DIR);
	n = make(dirfd, new_dir, &r, problem, data, e);
	if (n == 0)
		n = swap(dirfd, e);
	(void)rm_rf(dirfd, NEW_DIR);
	free(r.coll);
	buf_free(&r.doomed);
	if (n < 0)
		err_prefix(e, "repair store %s", dir);
	return n;
}
