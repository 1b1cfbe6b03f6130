/* stats.c: figures of a store. */
#include <stdio.h>
#include <time.h>
#include "vecstore/index.h"
#include "vecstore/rows.h"
#include "vecstore/vector.h"

struct stats { struct vs *s; struct vs_txn *t; unsigned samples; int (*each)(const struct vs_figure *f, void *data); void *data; struct err *e; unsigned colls; uint64_t docs, doc_bytes; };

static int tell(struct stats *st, const char *name, const char *coll, double value, const char *help)
{
	struct vs_figure f = { .name = name, .collection = coll, .help = help, .value = value, .counter = str_ends(name, "_total") };
	return st->each(&f, st->data);
}

static double now_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

struct sample { float *query; char (*id)[VS_ID_MAX + 1]; unsigned n; double *get, *usual, *exact; unsigned found, all; };

/* Records evenly spread over the collection. */
static int draw(struct stats *st, const struct coll_state *c, struct sample *s)
{
	_cleanup_rows_ struct rows it = { 0 };
	uint64_t step = MAX(c->d.rows / st->samples, 1), i = 0;
	struct vs_record r;
	int e = rows_open(&it, st->t, c, false, 0);

	while (e == 0 && s->n < st->samples && (e = rows_next(&it, &r, NULL)) == 0)
		if (i++ % step == 0) {
			vs_record_vector(&r, s->query + (size_t)s->n * c->d.dim);
			snprintf(s->id[s->n++], sizeof(*s->id), "%s", r.id);
		}
	return e == -ENOENT ? 0 : e;
}

static int ask(struct stats *st, const struct coll_state *c, struct sample *s, unsigned i)
{
	struct vs_query q = { .vector = s->query + (size_t)i * c->d.dim, .k = 10 };
	_cleanup_vs_hits_ struct vs_hits usual = { 0 }, exact = { 0 };
	struct vs_record rec;
	double began = now_us();
	int r = vs_get(st->t, c->name, s->id[i], &rec, st->e);

	s->get[i] = now_us() - began;
	began = now_us();
	if (r == 0)
		r = vs_search(st->t, c->name, &q, &usual, st->e);
	s->usual[i] = now_us() - began;
	q.plan = VS_PLAN_EXACT;
	began = now_us();
	if (r == 0)
		r = vs_search(st->t, c->name, &q, &exact, st->e);
	s->exact[i] = now_us() - began;
	for (size_t k = 0; k < exact.n; k++)
		for (size_t j = 0; j < usual.n; j++)
			s->found += exact.hit[k].record.row == usual.hit[j].record.row || (j == usual.n - 1 && exact.hit[k].score == usual.hit[j].score && exact.hit[k].record.row != usual.hit[j].record.row);
	s->all += (unsigned)exact.n;
	return r;
}

static int tell_sample(struct stats *st, const char *coll, struct sample *s)
{
	const struct { const char *name; double value; const char *help; } f[] = {
		{ "get_p50_us", s->get[s->n / 2], "Median time to read a record by its id" },
		{ "search_p50_us", s->usual[s->n / 2], "Median time of a search for 10 by the usual plan" },
		{ "search_p99_us", s->usual[s->n * 99 / 100], "99th percentile of the same" },
		{ "exact_p50_us", s->exact[s->n / 2], "Median time of a search that compares every vector" },
		{ "recall", s->all ? MIN(1.0, (double)s->found / s->all) : 1, "Share of the 10 nearest that the usual plan finds" },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(f) && r == 0; i++)
		r = tell(st, f[i].name, coll, f[i].value, f[i].help);
	return r;
}

static int measure(struct stats *st, const struct coll_state *c)
{
	struct sample s = { .query = calloc((size_t)st->samples * c->d.dim + 1, 4), .id = calloc(st->samples, sizeof(*s.id)), .get = calloc(st->samples, sizeof(double)),
			    .usual = calloc(st->samples, sizeof(double)), .exact = calloc(st->samples, sizeof(double)) };
	int r = s.query && s.id && s.get && s.usual && s.exact ? draw(st, c, &s) : -ENOMEM;

	for (unsigned i = 0; i < s.n && r == 0; i++)
		r = ask(st, c, &s, i);
	if (r == 0 && s.n) {
		qsort(s.get, s.n, sizeof(double), by_size);
		qsort(s.usual, s.n, sizeof(double), by_size);
		qsort(s.exact, s.n, sizeof(double), by_size);
		r = tell_sample(st, c->name, &s);
	}
	free(s.query);
	free(s.id);
	free(s.get);
	free(s.usual);
	free(s.exact);
	return r;
}

static int coll_figures(const struct vs_coll *coll, void *data)
{
	struct stats *st = data;
	struct coll_state *c;
	struct index *x;
	int r = txn_coll(st->t, coll->name, &c, st->e);

	st->colls++;
	if (r < 0)
		return r;
	x = index_for(st->t, c);
	r = tell(st, "rows", coll->name, (double)coll->rows, "Records");
	if (r == 0)
		r = tell(st, "old_rows", coll->name, (double)coll->old_rows, "Records that were replaced or deleted, kept for older versions");
	if (r == 0 && x)
		r = tell(st, "index_bytes", coll->name, (double)x->len, "Size of the index file");
	if (r == 0 && x)
		r = tell(st, "index_rows", coll->name, x->h.n, "Rows in the index");
	if (r == 0 && coll->dim)
		r = tell(st, "index_lacks", coll->name, x ? (double)(coll->rows - (x->h.n - x->n_dead)) : (double)coll->rows, "Rows that the index lacks, and that every search scans");
	if (r == 0 && x)
		r = tell(st, "index_dead", coll->name, (double)x->n_dead, "Rows of the index that are no more");
	if (r == 0 && coll->dim && coll->rows && st->samples)
		r = measure(st, c);
	return r;
}

static int count_doc(const void *key, size_t key_len, const void *data, size_t n, void *arg)
{
	struct stats *st = arg;
	(void)key;
	(void)data;
	st->docs++;
	st->doc_bytes += key_len + n;
	return 0;
}

/* LMDB's own list of free pages, as it is in the file. */
static uint64_t free_pages(const struct pages *p)
{
	struct tree_cur c;
	struct slice k, v;
	uint64_t n, sum = 0;
	int r;

	tree_cur_init(&c, p, &p->free);
	for (r = p->free.root == PAGE_NONE ? -ENOENT : tree_cur_first(&c, &k, &v); r == 0; r = tree_cur_step(&c, 1, &k, &v))
		if (v.n >= 8) {
			memcpy(&n, v.p, 8);
			sum += MIN(n, v.n / 8 - 1);
		}
	return sum;
}

static int file_figures(struct stats *st)
{
	struct pages p;
	double size, free_bytes;
	int r = pages_open(st->s->dirfd, VS_DATA_FILE, true, &p, st->e);

	if (r < 0)
		return r;
	size = (double)p.len;
	free_bytes = (double)(free_pages(&p) * p.psize);
	pages_close(&p);
	r = tell(st, "file_bytes", NULL, size, "Size of data.mdb");
	if (r == 0)
		r = tell(st, "free_bytes", NULL, free_bytes, "Of it, pages that are free and will be used again");
	return r;
}

int vs_stats(struct vs *s, unsigned samples, int (*each)(const struct vs_figure *f, void *data), void *data, struct err *e)
{
	struct stats st = { .s = s, .samples = MIN(samples, 10000), .each = each, .data = data, .e = e };
	int r = vs_begin(s, VS_READ, &st.t, e);

	if (r < 0)
		return r;
	r = file_figures(&st);
	if (r == 0)
		r = tell(&st, "version", NULL, (double)st.t->head.version, "Commits so far");
	if (r == 0)
		r = tell(&st, "oldest_version", NULL, (double)st.t->head.purged, "As-of reads begin here");
	if (r == 0)
		r = vs_coll_each(st.t, coll_figures, &st, e);
	if (r == 0)
		r = vs_doc_each(st.t, "", 0, count_doc, &st, e);
	if (r == 0)
		r = tell(&st, "collections", NULL, st.colls, "Collections");
	if (r == 0)
		r = tell(&st, "documents", NULL, (double)st.docs, "Documents");
	if (r == 0)
		r = tell(&st, "document_bytes", NULL, (double)st.doc_bytes, "Bytes of documents and their keys");
	if (r == 0)
		r = tell(&st, "filter_cache_hits_total", NULL, (double)s->cache_hits, "Searches whose filter had been answered before, in this process");
	if (r == 0)
		r = tell(&st, "filter_cache_misses_total", NULL, (double)s->cache_misses, "Searches whose filter was asked of every row of the index, in this process");
	vs_abort(&st.t);
	return r < 0 && !(e && e->code) ? err_sys(e, r, "figures of %s", s->dir) : r;
}
