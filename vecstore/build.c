/* build.c: gathering the rows of an index, those of the index before it without what has been deleted, and the new ones. */
#include "vecstore/build.h"

#include <math.h>
#include <sys/mman.h>
#include "vecstore/rows.h"
#include "vecstore/vector.h"

#define RELEASE_ROWS 65536u /* read so many, then let go of LMDB's pages: they count as our memory while they are mapped in */

static int grow(void *pp, size_t n, size_t size)
{
	void **p = pp, *grown = realloc(*p, n * size);

	if (!grown)
		return -ENOMEM;
	*p = grown;
	return 0;
}

static int grow_codes(struct build *b, uint32_t room)
{
	uint8_t *codes = aligned_alloc(64, (size_t)room * b->stride);

	if (!codes)
		return -ENOMEM;
	if (b->codes)
		memcpy(codes, b->codes, (size_t)b->n * b->stride);
	free(b->codes);
	b->codes = codes;
	return 0;
}

int build_rooms(struct build *b, uint32_t room)
{
	int r = 0;

	room = MAX(room, 1u);
	if (room <= b->room)
		return 0;
	if (grow(&b->row, room, 8) < 0 || grow(&b->scale, room, 4) < 0 || grow(&b->fact_at, room + 1ul, 8) < 0 || grow_codes(b, room) < 0)
		r = -ENOMEM;
	if (r == 0 && b->c->d.metric == VS_L2)
		r = grow(&b->bias, room, 4);
	if (r == 0 && b->with_graph && (grow(&b->level, room, 1) < 0 || grow(&b->lock, room, 1) < 0 || grow(&b->links, room, 8ul * b->m) < 0 || grow(&b->upper_at, room, 4) < 0))
		r = -ENOMEM;
	if (r == 0)
		b->room = room;
	return r;
}

void build_free(struct build *b)
{
	free(b->row);
	free(b->scale);
	free(b->bias);
	free(b->codes);
	free(b->fact_at);
	buf_free(&b->facts);
	free(b->level);
	free(b->lock);
	free(b->links);
	free(b->upper_at);
	free(b->upper);
}

static int add_fact(struct build *b, const struct vs_record *r)
{
	struct fact f = { .version = r->version, .time_us = r->time_us, .meta_len = (uint32_t)r->meta.n, .id_len = (uint16_t)strlen(r->id) };

	b->fact_at[b->n] = b->facts.len;
	buf_add(&b->facts, &f, sizeof(f));
	if (r->meta.n)
		buf_add(&b->facts, r->meta.data, r->meta.n);
	buf_add(&b->facts, r->id, f.id_len + 1u);
	b->fact_at[b->n + 1] = b->facts.len;
	return b->facts.failed ? -ENOMEM : 0;
}

static int add_row(struct build *b, const struct vs_record *r, float inv_norm, float *decoded)
{
	uint8_t *code = b->codes + (size_t)b->n * b->stride;
	int error = add_fact(b, r);

	if (error < 0)
		return error;
	vs_record_vector(r, decoded);
	memset(code, 0, b->stride);
	vector_code(decoded, b->dim, (int8_t *)code, &b->scale[b->n]);
	if (b->c->d.metric == VS_COSINE)
		b->scale[b->n] *= inv_norm;
	if (b->bias)
		b->bias[b->n] = inv_norm > 0 ? 0.5f / (inv_norm * inv_norm) : 0;
	b->row[b->n++] = r->row;
	return 0;
}

/* Let go of the pages between two places of LMDB's map: they are a file's, mapped for reading, and come back when somebody looks at them. */
static void release_pages(const uint8_t *low, const uint8_t *high)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)low / page * page;

	if (low && (uintptr_t)high > from)
		(void)madvise((void *)from, ((uintptr_t)high - from) / page * page, MADV_DONTNEED);
}

int build_from_rows(struct build *b, uint64_t from)
{
	_cleanup_rows_ struct rows it = { 0 };
	_cleanup_free_ float *decoded = malloc(4ul * b->dim);
	const uint8_t *low = NULL, *high = NULL;
	struct vs_record rec;
	float inv_norm;
	int r = decoded ? rows_open(&it, b->t, b->c, false, from) : -ENOMEM;

	while (r == 0 && (r = rows_next(&it, &rec, &inv_norm)) == 0) {
		if (b->n == INDEX_ROWS_MAX)
			return err_set(b->e, -E2BIG, "index: more than %u rows", INDEX_ROWS_MAX);
		r = b->n < b->room ? 0 : build_rooms(b, b->n + b->n / 4 + 1024);
		if (r == 0)
			r = add_row(b, &rec, inv_norm, decoded);
		low = !low || (const uint8_t *)rec.vector < low ? rec.vector : low;
		high = (const uint8_t *)rec.vector > high ? rec.vector : high;
		if (b->n % RELEASE_ROWS == 0) {
			release_pages(low, high);
			low = high = NULL;
		}
	}
	if (r == -EBADMSG)
		return err_set(b->e, r, "row %llu is damaged; run rastvec check", (unsigned long long)it.row);
	return r == -ENOENT ? 0 : err_sys(b->e, r, "read rows");
}

/* --- what is left of the index before --- */

struct moved { const struct index *x; struct graph old; uint32_t *to; /* new number of a node, INDEX_NONE when it is dead */ struct candidate *pool; uint32_t n_pool, room_pool; };

static int copy_nodes(struct build *b, struct moved *mv)
{
	const struct index *x = mv->x;
	const float *scale = index_section(x, S_SCALE), *bias = index_section(x, S_BIAS);
	const uint8_t *codes = index_section(x, S_CODES);

	for (uint32_t i = 0; i < x->h.n; i++) {
		struct vs_record rec;

		mv->to[i] = INDEX_NONE;
		if (bit_get(x->dead, i))
			continue;
		index_record(x, i, &rec);
		if (add_fact(b, &rec) < 0)
			return -ENOMEM;
		b->row[b->n] = rec.row;
		b->scale[b->n] = scale[i];
		if (b->bias)
			b->bias[b->n] = bias[i];
		memcpy(b->codes + (size_t)b->n * b->stride, codes + (size_t)i * b->stride, b->stride);
		if (mv->old.level)
			b->level[b->n] = mv->old.level[i];
		mv->to[i] = b->n++;
	}
	return 0;
}

static const uint32_t *old_links(const struct graph *g, uint32_t node, uint32_t level, uint32_t *max)
{
	uint32_t at;

	*max = level ? g->m : 2 * g->m;
	if (!g->upper_at)
		return NULL;
	at = g->upper_at[node];
	if (level == 0)
		return g->links + (size_t)node * 2 * g->m;
	return g->level[node] >= level && at < g->upper_lists && g->upper_lists - at >= level ? g->upper + (size_t)(at + level - 1) * g->m : NULL;
}

static int pool_add(struct moved *mv, uint32_t node)
{
	for (uint32_t i = 0; i < mv->n_pool; i++)
		if (mv->pool[i].node == node)
			return 0;
	if (mv->n_pool == mv->room_pool) {
		if (grow(&mv->pool, mv->room_pool + 256ul, sizeof(*mv->pool)) < 0)
			return -ENOMEM;
		mv->room_pool += 256;
	}
	mv->pool[mv->n_pool++] = (struct candidate){ 0, node };
	return 0;
}

/* Who may be linked to: the old neighbours that live; for a dead one those that it led to, one step further. */
static int pool_of(struct moved *mv, uint32_t old, uint32_t level, bool *lost)
{
	uint32_t max, max2;
	const uint32_t *links = old_links(&mv->old, old, level, &max);

	mv->n_pool = 0;
	*lost = false;
	for (uint32_t i = 0; links && i < max && links[i] < mv->old.n; i++) {
		const uint32_t *further;
		if (mv->to[links[i]] != INDEX_NONE) {
			if (pool_add(mv, mv->to[links[i]]) < 0)
				return -ENOMEM;
			continue;
		}
		*lost = true;
		further = old_links(&mv->old, links[i], level, &max2);
		for (uint32_t k = 0; further && k < max2 && further[k] < mv->old.n; k++)
			if (further[k] != old && mv->to[further[k]] != INDEX_NONE && pool_add(mv, mv->to[further[k]]) < 0)
				return -ENOMEM;
	}
	return 0;
}

static int by_distance(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	return x->far < y->far ? -1 : x->far > y->far ? 1 : (x->node > y->node) - (x->node < y->node);
}

static int move_links(struct build *b, struct moved *mv, const struct graph *g, uint32_t old, uint32_t level)
{
	uint32_t node = mv->to[old], max = level ? b->m : 2 * b->m;
	uint32_t *to = level ? b->upper + (size_t)(b->upper_at[node] + level - 1) * b->m : b->links + (size_t)node * 2 * b->m;
	struct probe q = { (const int8_t *)b->codes + (size_t)node * b->stride, b->scale[node] };
	bool lost;

	if (pool_of(mv, old, level, &lost) < 0)
		return -ENOMEM;
	if (lost) {
		for (uint32_t i = 0; i < mv->n_pool; i++)
			mv->pool[i].far = graph_far(g, &q, mv->pool[i].node);
		qsort(mv->pool, mv->n_pool, sizeof(*mv->pool), by_distance);
		mv->n_pool = choose_links(g, node, mv->pool, mv->n_pool, max);
	}
	for (uint32_t i = 0; i < max; i++)
		to[i] = i < mv->n_pool ? mv->pool[i].node : INDEX_NONE;
	return 0;
}

static int move_graph(struct build *b, struct moved *mv)
{
	struct graph g;
	int r = build_levels(b, b->n); /* their levels are the old ones: only rooms are made */

	graph_of_build(b, &g);
	for (uint32_t i = 0; i < mv->x->h.n && r == 0; i++)
		for (uint32_t level = 0; mv->to[i] != INDEX_NONE && level <= b->level[mv->to[i]] && r == 0; level++)
			r = move_links(b, mv, &g, i, level);
	b->linked = b->n;
	b->top = 0;
	b->entry = 0;
	for (uint32_t i = 0; i < b->n; i++)
		if (b->level[i] > b->top) {
			b->top = b->level[i];
			b->entry = i;
		}
	return r;
}

int build_from_index(struct build *b, const struct index *x)
{
	struct moved mv = { .x = x };
	int r = build_rooms(b, x->h.n);

	mv.to = malloc(4ul * x->h.n);
	if (x->h.graph && b->with_graph)
		graph_of(x, &mv.old);
	if (r == 0)
		r = mv.to ? copy_nodes(b, &mv) : -ENOMEM;
	if (r == 0 && b->with_graph)
		r = move_graph(b, &mv);
	free(mv.to);
	free(mv.pool);
	return r;
}
