/* hnsw.c: searching the graph (Malkov, Yashunin: Efficient and robust approximate nearest neighbor search using HNSW, 2016).
 *
 * Nodes are compared by their int8 codes; the caller compares what was found by the true vectors. The beam is one sorted array that
 * holds both what has been expanded (marked in the node's top bit) and what has not. A damaged link that is no node is left out. */
#include <float.h>
#include <string.h>
#include "vecstore/index.h"
#include "vecstore/vector.h"

#define EXPANDED 0x80000000u
#define LINKS_MAX 256u

void graph_of(const struct index *x, struct graph *g)
{
	*g = (struct graph){ .n = x->h.n, .m = x->h.m, .stride = x->h.stride, .entry = x->h.entry, .top = x->h.top, .codes = index_section(x, S_CODES),
			     .scale = index_section(x, S_SCALE), .bias = x->h.metric == VS_L2 ? index_section(x, S_BIAS) : NULL, .level = index_section(x, S_LEVEL),
			     .links = index_section(x, S_LINKS), .upper_at = index_section(x, S_UPPER_AT), .upper = index_section(x, S_UPPER), .upper_lists = x->h.upper_lists };
}

int beam_ready(struct beam *b, uint32_t nodes, uint32_t room)
{
	if (b->seen_n < nodes) {
		free(b->seen);
		b->seen = calloc(nodes, sizeof(*b->seen));
		b->seen_n = b->seen ? nodes : 0;
		b->epoch = 0;
		if (!b->seen)
			return -ENOMEM;
	}
	if (b->room < room + 1) {
		struct candidate *at = realloc(b->at, (room + 1) * sizeof(*at));
		if (!at)
			return -ENOMEM;
		b->at = at;
		b->room = room + 1;
	}
	return 0;
}

void beam_free(struct beam *b)
{
	free(b->at);
	free(b->seen);
	*b = (struct beam){ 0 };
}

static void new_epoch(struct beam *b)
{
	if (++b->epoch == 0) {
		memset(b->seen, 0, b->seen_n * sizeof(*b->seen));
		b->epoch = 1;
	}
}

static inline float far_of(const struct graph *g, const struct probe *q, uint32_t node, int32_t dot)
{
	float far = -(float)dot * q->scale * g->scale[node];
	return g->bias ? far + g->bias[node] : far;
}

static const uint8_t *code_of(const struct graph *g, uint32_t node) { return g->codes + (size_t)node * g->stride; }

float graph_far(const struct graph *g, const struct probe *q, uint32_t node)
{
	return far_of(g, q, node, kernel_best()->dot_i8(code_of(g, node), q->code, g->stride));
}

/* Its links on a level above 0. NULL: damaged. */
static const uint32_t *upper_links(const struct graph *g, uint32_t node, uint32_t level)
{
	uint32_t at = g->upper_at[node];

	if (g->level[node] < level || at >= g->upper_lists || g->upper_lists - at < level)
		return NULL;
	return g->upper + (size_t)(at + level - 1) * g->m;
}

/* Walk to the nearest node that is reached by going nearer in each step. */
uint32_t graph_descend(const struct graph *g, const struct probe *q, uint32_t to, uint64_t *visited)
{
	const struct kernel *k = kernel_best();
	uint32_t at = g->entry;
	float best = graph_far(g, q, at);

	for (uint32_t level = g->top; level > to; level--) {
		for (bool moved = true; moved;) {
			const uint32_t *links = upper_links(g, at, level);
			moved = false;
			for (uint32_t i = 0; links && i < g->m; i++) {
				uint32_t next = __atomic_load_n(&links[i], __ATOMIC_RELAXED);
				float far;
				if (next >= g->n)
					break;
				far = far_of(g, q, next, k->dot_i8(code_of(g, next), q->code, g->stride));
				(*visited)++;
				if (far < best) {
					best = far;
					at = next;
					moved = true;
				}
			}
		}
	}
	return at;
}

/* Put a candidate where it belongs; returns its place. */
static inline uint32_t insert(struct beam *b, uint32_t ef, float far, uint32_t node)
{
	uint32_t lo = 0, hi = b->n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if (b->at[mid].far <= far)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (b->n < ef)
		b->n++;
	memmove(b->at + lo + 1, b->at + lo, (b->n - 1 - lo) * sizeof(*b->at));
	b->at[lo] = (struct candidate){ far, node };
	return lo;
}

/* The links of a node on a level; an index that is being built changes under us: each link is read once, and is a node or the end. */
static const uint32_t *links_of(const struct graph *g, uint32_t node, uint32_t level, uint32_t *max)
{
	*max = level ? g->m : 2 * g->m;
	return level ? upper_links(g, node, level) : g->links + (size_t)node * 2 * g->m;
}

/* Neighbours that have not been seen yet; their codes are on the way when this returns. */
static inline uint32_t gather(const struct graph *g, struct beam *b, uint32_t node, uint32_t level, const void **code, uint32_t *fresh)
{
	uint32_t n = 0, max;
	const uint32_t *links = links_of(g, node, level, &max);

	for (uint32_t i = 0; links && i < max; i++) {
		uint32_t next = __atomic_load_n(&links[i], __ATOMIC_RELAXED);
		const uint8_t *p;
		if (next >= g->n)
			break;
		if (b->seen[next] == b->epoch)
			continue;
		b->seen[next] = b->epoch;
		p = code_of(g, next);
		for (uint32_t k = 0; k < g->stride && k < 512; k += 64)
			__builtin_prefetch(p + k);
		__builtin_prefetch(&g->scale[next]);
		code[n] = p;
		fresh[n++] = next;
	}
	return n;
}

void graph_beam(const struct graph *g, const struct probe *q, uint32_t from, uint32_t level, uint32_t ef, struct beam *b)
{
	const struct kernel *k = kernel_best();
	const void *code[LINKS_MAX];
	uint32_t fresh[LINKS_MAX], cursor = 0;
	int32_t dot[LINKS_MAX];

	new_epoch(b);
	b->n = 1;
	b->at[0] = (struct candidate){ graph_far(g, q, from), from };
	b->seen[from] = b->epoch;
	while (cursor < b->n) {
		uint32_t node = b->at[cursor].node, n, lowest = b->n;

		if (node & EXPANDED) {
			cursor++;
			continue;
		}
		b->at[cursor].node |= EXPANDED;
		if (level == 0 && cursor + 1 < b->n) /* most likely the next one */
			__builtin_prefetch(g->links + (size_t)(b->at[cursor + 1].node & ~EXPANDED) * 2 * g->m);
		n = gather(g, b, node, level, code, fresh);
		k->dots_at(code, n, q->code, g->stride, dot);
		b->visited += n;
		for (uint32_t i = 0; i < n; i++) {
			float far = far_of(g, q, fresh[i], dot[i]);
			if (b->n < ef || far < b->at[b->n - 1].far) {
				uint32_t place = insert(b, ef, far, fresh[i]);
				lowest = MIN(lowest, place);
			}
		}
		cursor = lowest <= cursor ? lowest : cursor + 1;
	}
	for (uint32_t i = 0; i < b->n; i++)
		b->at[i].node &= ~EXPANDED;
}

void graph_search(const struct graph *g, const struct probe *q, uint32_t ef, struct beam *b)
{
	graph_beam(g, q, graph_descend(g, q, 0, &b->visited), 0, ef, b);
}
