/* check.c: is the store as it should be? */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include "base/file.h"
#include "base/sys.h"
#include "vecstore/check.h"
#include "vecstore/index.h"
#include "vecstore/meta.h"
#include "vecstore/rows.h"

struct check {
	const char *dir;
	int dirfd;
	struct pages p;
	MDB_env *env;    /* holds the version that is looked at, so that a writer takes none of its pages */
	MDB_txn *pin;
	struct vs_checked *to;
	void (*problem)(const char *text, void *data);
	void *data;
	struct err *e;
};

static void say(struct check *c, uint64_t *count, const char *fmt, ...) _printf_(3, 4);
static void say(struct check *c, uint64_t *count, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	++*count;
	if (c->problem)
		c->problem(text, c->data);
}

static void unpin(struct check *c)
{
	if (c->pin)
		mdb_txn_abort(c->pin);
	if (c->env)
		mdb_env_close(c->env);
	c->pin = NULL;
	c->env = NULL;
}

/* Without opening a table: LMDB looks at nothing but the two first pages, and they are sound. Where it can't lock (a read-only disk) nobody writes. */
static void pin(struct check *c)
{
	if (c->p.metas < 2 || c->p.mapsize != MAP_SIZE || c->p.apart || c->p.last >= c->p.n)
		return;
	if (mdb_env_create(&c->env) != 0)
		return;
	if (mdb_env_open(c->env, c->dir, MDB_RDONLY | MDB_NOTLS, 0600) != 0 || mdb_txn_begin(c->env, NULL, MDB_RDONLY, &c->pin) != 0)
		unpin(c);
}

static int open_pinned(struct check *c)
{
	for (unsigned try = 0;; try++) {
		int r = pages_open(c->dirfd, VS_DATA_FILE, true, &c->p, c->e);
		if (r < 0)
			return r;
		pin(c);
		pages_close(&c->p);
		r = pages_open(c->dirfd, VS_DATA_FILE, true, &c->p, c->e);
		if (r < 0 || !c->pin || mdb_txn_id(c->pin) == c->p.txnid || try == 100)
			return r;
		pages_close(&c->p); /* a commit came between */
		unpin(c);
	}
}

/* --- what one table says about another --- */

struct cross { struct check *c; struct vs_txn *t; uint64_t rows, old; };

static void check_record(struct cross *x, const struct coll_state *c, const struct vs_record *rec, bool live)
{
	struct ver_disk v;
	uint64_t at = 0, limit = live ? UINT64_MAX : rec->version;
	int r = ver_find(x->t, c, rec->id, limit, &v, &at);

	if (r < 0 || at != rec->version || v.row != rec->row || v.deleted)
		say(x->c, &x->c->to->problems, "collection %s: row %llu ('%s') is not the one that its history names", c->name, (unsigned long long)rec->row, rec->id);
	if (!meta_valid(rec->meta))
		say(x->c, &x->c->to->problems, "collection %s: row %llu ('%s') has metadata that is malformed", c->name, (unsigned long long)rec->row, rec->id);
	if (rec->version > x->t->head.version || rec->row >= x->t->head.next_row || (rec->until == 0) != live)
		say(x->c, &x->c->to->problems, "collection %s: row %llu ('%s') has impossible numbers", c->name, (unsigned long long)rec->row, rec->id);
}

static int check_rows(struct cross *x, const struct coll_state *c, enum table table, uint64_t *n)
{
	_cleanup_kv_cur_ struct kv_cur cur = { 0 };
	uint8_t key[ROW_KEY];
	int r = kv_cur_open(x->t, table, &cur);

	row_key(key, c->d.number, 0);
	for (r = r < 0 ? r : kv_cur_seek(&cur, key, sizeof(key)); r == 0; r = kv_cur_next(&cur)) {
		struct vs_record rec;
		struct slice v;

		if (cur.key.n != ROW_KEY || get_be32(cur.key.p) != c->d.number)
			return 0;
		if (kv_cur_value(&cur, &v) < 0 || record_decode(c, get_be64(cur.key.p + 4), v, &rec, NULL) < 0) {
			say(x->c, &x->c->to->problems, "collection %s: row %llu can't be read", c->name, (unsigned long long)get_be64(cur.key.p + 4));
			continue;
		}
		++*n;
		check_record(x, c, &rec, table == T_LIVE);
	}
	return r == -ENOENT ? 0 : r;
}

static int check_coll(const struct vs_coll *coll, void *data)
{
	struct cross *x = data;
	struct coll_state *c;
	uint64_t rows = 0, old = 0;
	int r = txn_coll(x->t, coll->name, &c, x->c->e);

	if (r == 0)
		r = check_rows(x, c, T_LIVE, &rows);
	if (r == 0)
		r = check_rows(x, c, T_OLD, &old);
	if (r == 0 && (rows != coll->rows || old != coll->old_rows))
		say(x->c, &x->c->to->problems, "collection %s: has %llu and %llu rows instead of %llu and %llu", coll->name, (unsigned long long)rows, (unsigned long long)old,
		    (unsigned long long)coll->rows, (unsigned long long)coll->old_rows);
	x->rows += rows;
	x->old += old;
	return r;
}

/* Each version that is no deletion has its row. */
static int check_versions(struct cross *x)
{
	_cleanup_kv_cur_ struct kv_cur cur = { 0 };
	uint64_t n = 0;
	int r = kv_cur_open(x->t, T_VER, &cur);

	for (r = r < 0 ? r : kv_cur_seek(&cur, "", 1); r == 0; r = kv_cur_next(&cur)) {
		struct ver_disk d;
		struct slice v;
		if (kv_cur_value(&cur, &v) == 0 && v.n == sizeof(d)) {
			memcpy(&d, v.p, sizeof(d));
			n += !d.deleted;
		}
	}
	if (n != x->rows + x->old)
		say(x->c, &x->c->to->problems, "the histories name %llu rows, there are %llu", (unsigned long long)n, (unsigned long long)x->rows + x->old);
	return r == -ENOENT ? 0 : r;
}

static int check_content(struct check *c)
{
	struct vs s = { .dir = (char *)(uintptr_t)c->dir, .dirfd = c->dirfd, .flags = VS_RDONLY | VS_NOLOCK, .pages = &c->p };
	struct cross x = { .c = c };
	struct err why = { 0 };
	int r = vs_begin(&s, VS_READ, &x.t, &why);

	if (r == 0) {
		c->to->version = x.t->head.version;
		r = vs_coll_each(x.t, check_coll, &x, &why);
	}
	if (r == 0)
		r = check_versions(&x);
	if (r < 0)
		say(c, &c->to->problems, "%s", err_text(&why));
	err_clear(&why);
	vs_abort(&x.t);
	return r == -ENOMEM ? r : 0;
}

/* --- indexes --- */

static bool links_sound(const struct index *x)
{
	struct graph g;

	if (!x->h.graph)
		return true;
	graph_of(x, &g);
	for (uint32_t i = 0; i < g.n; i++) {
		bool upper = g.upper_at[i] != INDEX_NONE;
		if (g.level[i] >= INDEX_LEVELS || upper != (g.level[i] > 0) || (upper && (g.upper_at[i] >= g.upper_lists || g.upper_lists - g.upper_at[i] < g.level[i])))
			return false;
	}
	for (size_t i = 0; i < (size_t)g.n * 2 * g.m; i++)
		if (g.links[i] >= g.n && g.links[i] != INDEX_NONE)
			return false;
	for (size_t i = 0; i < (size_t)g.upper_lists * g.m; i++)
		if (g.upper[i] >= g.n && g.upper[i] != INDEX_NONE)
			return false;
	return true;
}

static void check_indexes(struct check *c)
{
	_cleanup_closedir_ DIR *d = NULL;

	if (dir_open(c->dirfd, ".", &d) < 0)
		return;
	for (struct dirent *de; (de = readdir(d));) {
		struct index x = { 0 };
		struct err why = { 0 };
		if (!str_ends(de->d_name, ".idx"))
			continue;
		c->to->indexes++;
		if (index_map(c->dirfd, de->d_name, true, &x, &why) < 0)
			say(c, &c->to->index_problems, "%s", err_text(&why));
		else if (!links_sound(&x))
			say(c, &c->to->index_problems, "index %s: a link leads nowhere; rastvec index builds it anew", de->d_name);
		err_clear(&why);
		index_unmap(&x);
	}
}

static void walk_problem(const char *text, void *data)
{
	struct check *c = data;
	if (c->problem)
		c->problem(text, c->data);
}

int vs_check(const char *dir, struct vs_checked *ret, void (*problem)(const char *text, void *data), void *data, struct err *e)
{
	_cleanup_close_ int dirfd = sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	struct check c = { .dir = dir, .dirfd = dirfd, .to = ret, .problem = problem, .data = data, .e = e };
	struct walk w = { .p = &c.p, .problem = walk_problem, .problem_data = &c };
	int r;

	*ret = (struct vs_checked){ 0 };
	if (dirfd < 0)
		return err_sys(e, dirfd, "open store %s", dir);
	r = open_pinned(&c);
	if (r == -EBADMSG) {
		say(&c, &ret->problems, "%s", e ? err_text(e) : "the first two pages are damaged");
		err_clear(e ? e : &(struct err){ 0 });
		unpin(&c);
		return 0;
	}
	if (r == 0)
		r = walk_file(&w);
	ret->pages = c.p.n;
	ret->cells = w.cells;
	ret->bytes = w.bytes;
	ret->problems += w.problems;
	if (r == 0 && w.problems == 0) /* else its tables can't be asked about each other */
		r = check_content(&c);
	if (r == 0)
		check_indexes(&c);
	pages_close(&c.p);
	unpin(&c);
	return r < 0 ? err_sys(e, r, "check store %s", dir) : 0;
}
