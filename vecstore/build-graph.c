/* build-graph.c: putting nodes into the graph, by several threads at once.
 *
 * A thread changes a node's links only while it holds the node's lock; readers take none: a list is an array of node numbers that ends
 * early, each of them is stored at once, and whatever mixture of old and new a reader sees is a list of nodes that were near. Codes and
 * levels are all there before the first node is linked. A node that becomes the new top holds the graph's lock while it is put in. */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include "vecstore/build.h"
#include "vecstore/vector.h"

struct crew {
	struct build *b;
	pthread_mutex_t top;
	atomic_uint next;
	atomic_int failed;
};

struct worker { struct crew *crew; struct beam beam; struct candidate *pool; };

void graph_of_build(const struct build *b, struct graph *g)
{
	*g = (struct graph){ .n = b->n, .m = b->m, .stride = b->stride, .entry = b->entry, .top = b->top, .codes = b->codes, .scale = b->scale, .bias = b->bias,
			     .level = b->level, .links = b->links, .upper_at = b->upper_at, .upper = b->upper, .upper_lists = b->upper_lists };
}

/* Drawn from the row's number (splitmix64): an index that is built again has the same levels. */
static uint8_t draw_level(uint64_t row, uint32_t m)
{
	uint64_t x = row + 0x9e3779b97f4a7c15ull;
	double u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	x ^= x >> 31;
	u = ((double)(x >> 11) + 1) / 9007199254740993.0;
	return (uint8_t)MIN(-log(u) / log(m), INDEX_LEVELS - 1.0);
}

int build_levels(struct build *b, uint32_t from)
{
	uint64_t lists = 0;
	uint32_t *upper;

	for (uint32_t i = from; i < b->n; i++)
		b->level[i] = draw_level(b->row[i], b->m);
	for (uint32_t i = 0; i < b->n; i++) {
		b->upper_at[i] = b->level[i] ? (uint32_t)lists : INDEX_NONE;
		lists += b->level[i];
	}
	upper = realloc(b->upper, MAX(lists, 1ul) * b->m * 4);
	if (!upper)
		return -ENOMEM;
	b->upper = upper;
	if (lists > b->upper_lists)
		memset(upper + (size_t)b->upper_lists * b->m, 0xff, (lists - b->upper_lists) * b->m * 4);
	b->upper_lists = (uint32_t)lists;
	return 0;
}

static const int8_t *code_of(const struct graph *g, uint32_t node) { return (const int8_t *)g->codes + (size_t)node * g->stride; }
static float bias_of(const struct graph *g, uint32_t node) { return g->bias ? g->bias[node] : 0; }

/* A candidate that is nearer to one that was chosen than to `of` is reached by it: that keeps links that lead far away. */
uint32_t choose_links(const struct graph *g, uint32_t of, struct candidate *at, uint32_t n, uint32_t want)
{
	const struct kernel *k = kernel_best();
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n && kept < want; i++) {
		struct candidate c = at[i];
		float own = c.far + bias_of(g, of), scale = g->scale[c.node];
		bool good = true;

		for (uint32_t j = 0; j < kept && good; j++) {
			uint32_t other = at[j].node;
			float far = -(float)k->dot_i8(code_of(g, other), code_of(g, c.node), g->stride) * scale * g->scale[other] + bias_of(g, other) + bias_of(g, c.node);
			good = far >= own;
		}
		if (good)
			at[kept++] = c;
	}
	return kept;
}

static uint32_t *list_of(struct build *b, uint32_t node, uint32_t level)
{
	return level ? b->upper + (size_t)(b->upper_at[node] + level - 1) * b->m : b->links + (size_t)node * 2 * b->m;
}

static void lock(struct build *b, uint32_t node)
{
	if (b->threads > 1)
		while (__atomic_test_and_set(&b->lock[node], __ATOMIC_ACQUIRE))
			sched_yield();
}

static void unlock(struct build *b, uint32_t node)
{
	if (b->threads > 1)
		__atomic_clear(&b->lock[node], __ATOMIC_RELEASE);
}

static void store_list(uint32_t *list, const struct candidate *at, uint32_t n, uint32_t max)
{
	for (uint32_t i = 0; i < max; i++)
		__atomic_store_n(&list[i], i < n ? at[i].node : INDEX_NONE, __ATOMIC_RELAXED);
}

static void sort_candidates(struct candidate *at, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) { /* they are nearly in order: a list is stored sorted, and one came to its end */
		struct candidate c = at[i];
		uint32_t k = i;
		for (; k > 0 && at[k - 1].far > c.far; k--)
			at[k] = at[k - 1];
		at[k] = c;
	}
}

/* Let `node` know `other`; when its list is full, the best ones stay. */
static void link_back(struct worker *w, const struct graph *g, uint32_t node, uint32_t other, float far, uint32_t level)
{
	struct build *b = w->crew->b;
	uint32_t max = level ? b->m : 2 * b->m, n = 0, *list = list_of(b, node, level);
	struct probe q = { code_of(g, node), g->scale[node] };

	lock(b, node);
	while (n < max && list[n] != INDEX_NONE)
		n++;
	if (n < max) {
		__atomic_store_n(&list[n], other, __ATOMIC_RELAXED);
	} else {
		for (uint32_t i = 0; i < n; i++)
			w->pool[i] = (struct candidate){ graph_far(g, &q, list[i]), list[i] };
		/* far is seen from `other`: from here it has the other one's bias */
		w->pool[n++] = (struct candidate){ far - bias_of(g, node) + bias_of(g, other), other };
		sort_candidates(w->pool, n);
		n = choose_links(g, node, w->pool, n, max);
		store_list(list, w->pool, n, max);
	}
	unlock(b, node);
}

static void connect(struct worker *w, const struct graph *g, uint32_t node, uint32_t level)
{
	struct build *b = w->crew->b;
	struct candidate *at = w->beam.at;
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->beam.n; i++)
		if (at[i].node != node)
			at[n++] = at[i];
	n = choose_links(g, node, at, n, b->m);
	lock(b, node);
	store_list(list_of(b, node, level), at, n, level ? b->m : 2 * b->m);
	unlock(b, node);
	for (uint32_t i = 0; i < n; i++)
		link_back(w, g, at[i].node, node, at[i].far, level);
}

static void put_in(struct worker *w, uint32_t node)
{
	struct crew *crew = w->crew;
	struct build *b = crew->b;
	struct graph g;
	struct probe q = { (const int8_t *)b->codes + (size_t)node * b->stride, b->scale[node] };
	uint32_t level = b->level[node], from;
	bool higher;

	pthread_mutex_lock(&crew->top);
	graph_of_build(b, &g);
	higher = level > b->top;
	if (!higher)
		pthread_mutex_unlock(&crew->top);
	from = graph_descend(&g, &q, MIN(level, g.top), &w->beam.visited);
	for (uint32_t at = MIN(level, g.top) + 1; at-- > 0;) {
		graph_beam(&g, &q, from, at, b->ef, &w->beam);
		from = w->beam.at[0].node != node ? w->beam.at[0].node : from;
		connect(w, &g, node, at);
	}
	if (higher) {
		b->top = level;
		b->entry = node;
		pthread_mutex_unlock(&crew->top);
	}
}

static void *work(void *data)
{
	struct crew *crew = data;
	struct worker w = { .crew = crew, .pool = malloc((2ul * crew->b->m + 1) * sizeof(*w.pool)) };
	uint32_t node;

	if (!w.pool || beam_ready(&w.beam, crew->b->n, crew->b->ef + 1) < 0)
		crew->failed = -ENOMEM;
	while (!crew->failed && (node = atomic_fetch_add(&crew->next, 1)) < crew->b->n)
		put_in(&w, node);
	beam_free(&w.beam);
	free(w.pool);
	return NULL;
}

/* As many threads as can be had: one is enough, ours. */
static void all_hands(struct crew *crew)
{
	unsigned n = crew->b->threads - 1, have = 0;
	pthread_t *thread = calloc(n + 1ul, sizeof(*thread));

	while (thread && have < n && pthread_create(&thread[have], NULL, work, crew) == 0)
		have++;
	(void)work(crew);
	for (unsigned i = 0; i < have; i++)
		pthread_join(thread[i], NULL);
	free(thread);
}

int build_graph(struct build *b)
{
	struct crew crew = { .b = b, .top = PTHREAD_MUTEX_INITIALIZER };
	int r = build_levels(b, b->linked);

	if (r < 0 || b->n == 0)
		return r;
	memset(b->lock, 0, b->n);
	memset(b->links + (size_t)b->linked * 2 * b->m, 0xff, (size_t)(b->n - b->linked) * 8 * b->m);
	if (b->linked == 0) {
		b->entry = 0;
		b->top = b->level[0];
		b->linked = 1;
	}
	atomic_init(&crew.next, b->linked);
	all_hands(&crew);
	b->linked = b->n;
	pthread_mutex_destroy(&crew.top);
	return crew.failed;
}
