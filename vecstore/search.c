/* search.c: the nearest records: what to compare with what, and in which order.
 *
 * Candidates come from a scan of int8 codes or from the graph, more of them than are wanted; then the true vectors are read, which gives
 * the scores and the order. What the index lacks is compared by its true vector at once. Whenever a plan finds fewer hits than there
 * are rows that match, the next more thorough one is taken: an answer is never short. */
#include <math.h>
#include "vecstore/filter.h"
#include "vecstore/index.h"
#include "vecstore/rows.h"
#include "vecstore/vector.h"

#define BLOCK 256u
#define EF_DEFAULT 200u /* recall of 0.99 on debhash384, the harder one of the sets that tests/bench/vecstore measures */
#define SCAN_BELOW 0.25   /* of the rows: a filter that takes fewer comes first, and what is left is scanned */
#define SCAN_MOST 200000u /* rows, however selective the filter */
#define GRAPH_COST 60.0   /* so many times ef codes could be scanned in the time of a graph search */

struct scratch {
	struct beam beam;
	struct candidate *heap;   /* the best so far, the worst one first; far: lower is nearer */
	uint32_t n, room;
	int8_t *code;             /* of the query, filled to the stride */
	size_t code_room;
	float *decoded;
};

struct search {
	struct vs_txn *t;
	struct coll_state *c;
	const struct vs_query *q;
	const struct kernel *k;
	struct scratch *s;
	struct vs_hits *hits;
	float inv_norm;           /* of the query */
	struct probe probe;
	struct index *x;
	const uint64_t *bits;     /* rows that may be given out: these, or not these (inverted); NULL: all */
	bool inverted;
	uint64_t allowed;
	struct err *e;
};

void scratch_free(struct scratch *s)
{
	if (!s)
		return;
	beam_free(&s->beam);
	free(s->heap);
	free(s->code);
	free(s->decoded);
	free(s);
}

void vs_hits_free(struct vs_hits *h)
{
	free(h->hit);
	*h = (struct vs_hits){ 0 };
}

static int scratch_ready(struct vs *s, uint32_t dim, uint32_t candidates)
{
	size_t stride = (dim + 63) / 64 * 64;

	if (!s->scratch)
		s->scratch = calloc(1, sizeof(*s->scratch));
	if (!s->scratch)
		return -ENOMEM;
	if (s->scratch->code_room < stride) {
		free(s->scratch->code);
		free(s->scratch->decoded);
		s->scratch->code = aligned_alloc(64, stride);
		s->scratch->decoded = malloc(4 * stride);
		s->scratch->code_room = s->scratch->code && s->scratch->decoded ? stride : 0;
	}
	if (s->scratch->room < candidates) {
		free(s->scratch->heap);
		s->scratch->heap = malloc(candidates * sizeof(*s->scratch->heap));
		s->scratch->room = s->scratch->heap ? candidates : 0;
	}
	return s->scratch->code_room >= stride && s->scratch->room >= candidates ? 0 : -ENOMEM;
}

/* --- scores --- */

static float score_of(struct search *s, const struct vs_record *r, float inv_norm)
{
	const void *v = r->vector;
	float dot;

	if (s->c->d.metric == VS_L2 || r->element == VS_I8) {
		if (r->element != VS_F32) {
			vs_record_vector(r, s->s->decoded);
			v = s->s->decoded;
		}
		if (s->c->d.metric == VS_L2)
			return -s->k->l2_f32(v, s->q->vector, r->dim);
		dot = s->k->dot_f32(v, s->q->vector, r->dim);
	} else {
		dot = r->element == VS_F16 ? s->k->dot_f16(v, s->q->vector, r->dim) : s->k->dot_f32(v, s->q->vector, r->dim);
	}
	return s->c->d.metric == VS_COSINE ? dot * inv_norm * s->inv_norm : dot;
}

/* hits->hit is a heap with the worst hit first until it is sorted. */
static bool worse(const struct vs_hit *a, const struct vs_hit *b)
{
	return a->score < b->score || (a->score == b->score && a->record.row > b->record.row);
}

static void sift(struct vs_hit *h, size_t n, size_t i)
{
	struct vs_hit moving = h[i];

	for (size_t child; (child = 2 * i + 1) < n; i = child) {
		child += child + 1 < n && worse(&h[child + 1], &h[child]);
		if (!worse(&h[child], &moving))
			break;
		h[i] = h[child];
	}
	h[i] = moving;
}

static void offer(struct search *s, const struct vs_record *r, float score)
{
	struct vs_hit new = { score, *r }, *h = s->hits->hit;
	size_t i = s->hits->n;

	if (i == s->q->k) {
		if (!worse(&h[0], &new))
			return;
		h[0] = new;
		sift(h, i, 0);
		return;
	}
	s->hits->n++;
	for (; i > 0 && worse(&new, &h[(i - 1) / 2]); i = (i - 1) / 2)
		h[i] = h[(i - 1) / 2];
	h[i] = new;
}

static void sort_hits(struct vs_hits *hits)
{
	for (size_t n = hits->n; n > 1; n--) {
		struct vs_hit worst = hits->hit[0];
		hits->hit[0] = hits->hit[n - 1];
		sift(hits->hit, n - 1, 0);
		hits->hit[n - 1] = worst;
	}
}

/* --- the true vectors --- */

/* Compare with every row from `from` on. */
static int scan_rows(struct search *s, uint64_t from)
{
	_cleanup_rows_ struct rows it = { 0 };
	struct vs_record rec;
	float inv_norm;
	int r = rows_open(&it, s->t, s->c, false, from);

	while (r == 0 && (r = rows_next(&it, &rec, &inv_norm)) == 0) {
		if (!vs_filter_match(s->q->filter, &rec))
			continue;
		s->hits->scanned++;
		offer(s, &rec, s->c->d.dim ? score_of(s, &rec, inv_norm) : 0);
	}
	return r == -ENOENT ? 0 : err_set(s->e, r, "collection %s: row %llu is damaged; run rastvec check", s->c->name, (unsigned long long)it.row);
}

/* Read the true vectors of candidates. */
static int rescore(struct search *s, const struct candidate *at, uint32_t n)
{
	const uint64_t *rows = index_section(s->x, S_ROWS);

	for (uint32_t i = 0; i < n; i++) {
		struct vs_record rec;
		float inv_norm;
		int r = row_get(s->t, T_LIVE, s->c, rows[at[i].node], &rec, &inv_norm);

		if (r < 0) /* the log says that it is there */
			return err_set(s->e, -EBADMSG, "collection %s: row %llu is damaged; run rastvec check", s->c->name, (unsigned long long)rows[at[i].node]);
		offer(s, &rec, score_of(s, &rec, inv_norm));
	}
	return 0;
}

/* --- codes --- */

static bool allowed(const struct search *s, uint32_t node)
{
	return !s->bits || bit_get(s->bits, node) != s->inverted;
}

/* Keep the `want` nearest: a heap with the farthest first. */
static void keep(struct scratch *s, uint32_t want, float far, uint32_t node)
{
	struct candidate *h = s->heap;
	uint32_t i;

	if (s->n < want) {
		for (i = s->n++; i > 0 && h[(i - 1) / 2].far < far; i = (i - 1) / 2)
			h[i] = h[(i - 1) / 2];
	} else {
		i = 0;
		for (uint32_t child; (child = 2 * i + 1) < want; i = child) {
			child += child + 1 < want && h[child + 1].far > h[child].far;
			if (h[child].far <= far)
				break;
			h[i] = h[child];
		}
	}
	h[i] = (struct candidate){ far, node };
}

static void weigh(struct search *s, const struct graph *g, uint32_t want, const uint32_t *node, uint32_t n, const int32_t *dot)
{
	float limit = s->s->n == want ? s->s->heap[0].far : INFINITY;

	for (uint32_t i = 0; i < n; i++) {
		float far = -(float)dot[i] * s->probe.scale * g->scale[node[i]];
		if (g->bias)
			far += g->bias[node[i]];
		if (far < limit) {
			keep(s->s, want, far, node[i]);
			limit = s->s->n == want ? s->s->heap[0].far : INFINITY;
		}
	}
}

/* All codes in a row, those that are not allowed too: it is quicker to compare them than to go around them. */
static void scan_all(struct search *s, const struct graph *g, uint32_t want)
{
	int32_t dot[BLOCK];
	float far[BLOCK];
	float limit = INFINITY;

	for (uint32_t from = 0; from < g->n; from += BLOCK) {
		uint32_t n = MIN(BLOCK, g->n - from);
		s->k->dots_i8(g->codes + (size_t)from * g->stride, g->stride, n, s->probe.code, g->stride, dot);
		for (uint32_t i = 0; i < n; i++)
			far[i] = -(float)dot[i] * s->probe.scale * g->scale[from + i];
		for (uint32_t i = 0; g->bias && i < n; i++)
			far[i] += g->bias[from + i];
		for (uint32_t i = 0; i < n; i++)
			if (far[i] < limit && allowed(s, from + i)) {
				keep(s->s, want, far[i], from + i);
				limit = s->s->n == want ? s->s->heap[0].far : INFINITY;
			}
	}
	s->hits->scanned += g->n;
}

static void scan_some(struct search *s, const struct graph *g, uint32_t want)
{
	const void *code[BLOCK];
	uint32_t node[BLOCK], n = 0;
	int32_t dot[BLOCK];

	for (size_t w = 0; w <= g->n / 64; w++) {
		uint64_t word = s->bits[w];
		for (; word; word &= word - 1) {
			node[n] = (uint32_t)(w * 64 + (unsigned)__builtin_ctzll(word));
			code[n] = g->codes + (size_t)node[n] * g->stride;
			for (uint32_t k = 0; k < g->stride; k += 64)
				__builtin_prefetch((const uint8_t *)code[n] + k);
			if (++n < BLOCK)
				continue;
			s->k->dots_at(code, n, s->probe.code, g->stride, dot);
			weigh(s, g, want, node, n, dot);
			s->hits->scanned += n;
			n = 0;
		}
	}
	s->k->dots_at(code, n, s->probe.code, g->stride, dot);
	weigh(s, g, want, node, n, dot);
	s->hits->scanned += n;
}

static int flat(struct search *s, uint32_t want)
{
	struct graph g;

	graph_of(s->x, &g);
	s->s->n = 0;
	s->hits->plan = VS_PLAN_FLAT;
	if (s->bits && !s->inverted && s->allowed < s->x->h.n / 2)
		scan_some(s, &g, want);
	else
		scan_all(s, &g, want);
	return rescore(s, s->s->heap, s->s->n);
}

/* -EAGAIN: it found too few. */
static int graph(struct search *s, uint32_t want)
{
	double share = (double)s->allowed / s->x->h.n;
	uint32_t ef = MAX(s->q->ef ? s->q->ef : MAX(EF_DEFAULT, 2 * s->q->k), s->q->k), n = 0;
	struct beam *b = &s->s->beam;
	struct graph g;

	want = MIN(want, ef);
	ef = (uint32_t)MIN(ef / MAX(share, 0.01), (double)s->x->h.n);
	if (beam_ready(b, s->x->h.n, ef) < 0)
		return err_set(s->e, -ENOMEM, "search: out of memory");
	graph_of(s->x, &g);
	b->visited = 0;
	graph_search(&g, &s->probe, ef, b);
	s->hits->visited += b->visited;
	for (uint32_t i = 0; i < b->n && n < want; i++)
		if (allowed(s, b->at[i].node))
			b->at[n++] = b->at[i];
	if (n < MIN(want, s->allowed) && n < MIN(s->q->k, s->allowed))
		return -EAGAIN;
	s->hits->plan = VS_PLAN_GRAPH;
	return rescore(s, b->at, n);
}

/* --- the plan --- */

static void choose(struct search *s)
{
	const struct vs_filter *f = s->q->filter;

	if (f) {
		s->bits = index_filter(s->t->s, s->x, f, &s->allowed);
		s->inverted = false;
	} else if (s->x->n_dead) {
		s->bits = s->x->dead;
		s->inverted = true;
		s->allowed = s->x->h.n - s->x->n_dead;
	} else {
		s->bits = NULL;
		s->allowed = s->x->h.n;
	}
	if (f && !s->bits)
		s->x = NULL; /* no memory for the bits: without the index it goes, too */
}

static bool graph_pays(const struct search *s)
{
	double share = (double)s->allowed / s->x->h.n, ef = s->q->ef ? s->q->ef : MAX(EF_DEFAULT, 2 * s->q->k);

	if (!s->x->h.graph || s->q->plan == VS_PLAN_FLAT || s->allowed == 0)
		return false;
	if (s->q->plan == VS_PLAN_GRAPH)
		return true;
	if (share < SCAN_BELOW && s->allowed <= SCAN_MOST)
		return false;
	return ef / share * GRAPH_COST < (double)s->allowed;
}

static int with_index(struct search *s)
{
	uint32_t want = (uint32_t)MIN(s->q->k + MAX(10ull, s->q->k / 2), s->x->h.n);
	int r = -EAGAIN;

	if (scratch_ready(s->t->s, s->c->d.dim, want) < 0)
		return err_set(s->e, -ENOMEM, "search: out of memory");
	if (!s->s->code)
		return err_set(s->e, -ENOMEM, "search: out of memory");
	memset(s->s->code, 0, s->x->h.stride);
	vector_code(s->q->vector, s->c->d.dim, s->s->code, &s->probe.scale);
	s->probe.code = s->s->code;
	if (graph_pays(s))
		r = graph(s, want);
	if (r == -EAGAIN)
		r = flat(s, want);
	s->hits->prefiltered = s->hits->plan == VS_PLAN_FLAT && s->q->filter;
	return r;
}

static int run(struct search *s)
{
	uint64_t scanned, last;
	int r;

	s->x = s->q->plan == VS_PLAN_EXACT ? NULL : index_for(s->t, s->c);
	if (s->x)
		choose(s);
	if (!s->x) {
		s->hits->plan = VS_PLAN_EXACT;
		s->hits->stale = s->q->plan != VS_PLAN_EXACT && s->c->d.rows > 0;
		return scan_rows(s, 0);
	}
	r = with_index(s);
	if (r < 0)
		return r;
	last = ((const uint64_t *)index_section(s->x, S_ROWS))[s->x->h.n - 1];
	scanned = s->hits->scanned;
	r = scan_rows(s, last + 1);
	s->hits->stale = s->hits->scanned != scanned || s->x->n_dead > 0;
	return r;
}

static int check_query(struct search *s)
{
	double sum = 0;

	if (s->c->d.dim && !s->q->vector)
		return err_set(s->e, -EINVAL, "search: a vector of %u numbers is needed", s->c->d.dim);
	for (uint32_t i = 0; i < s->c->d.dim; i++)
		sum += (double)s->q->vector[i] * s->q->vector[i];
	if (!isfinite((float)sum) || (s->c->d.dim && s->c->d.metric == VS_COSINE && sum < 1e-30))
		return err_set(s->e, -EINVAL, "search: a vector of length %g can't be compared by %s", sqrt(sum), vs_metric_name(s->c->d.metric));
	s->inv_norm = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
	return 0;
}

int vs_search(struct vs_txn *t, const char *coll, const struct vs_query *q, struct vs_hits *ret, struct err *e)
{
	struct search s = { .t = t, .q = q, .k = kernel_best(), .hits = ret, .e = e };
	struct vs_query bounded = *q;
	int r = txn_coll(t, coll, &s.c, e);

	*ret = (struct vs_hits){ 0 };
	if (r == 0)
		r = check_query(&s);
	if (r < 0)
		return r;
	/* No more than there are; of an older version, than there were or are. */
	bounded.k = (uint32_t)MIN((uint64_t)q->k, s.c->d.rows + (t->as_of ? s.c->d.old_rows : 0));
	s.q = &bounded;
	if (bounded.k == 0)
		return 0;
	ret->hit = calloc(bounded.k, sizeof(*ret->hit));
	if (!ret->hit || scratch_ready(t->s, s.c->d.dim, 1) < 0) {
		vs_hits_free(ret);
		return err_set(e, -ENOMEM, "search: out of memory for %u hits", bounded.k);
	}
	s.s = t->s->scratch;
	r = run(&s);
	if (r < 0)
		vs_hits_free(ret);
	else
		sort_hits(ret);
	return r;
}
