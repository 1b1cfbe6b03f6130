/* cycle.c: services that wait for one another in a ring can't start, none of them. Found by Tarjan's algorithm (Depth-first search and linear
 * graph algorithms, 1972) with a stack of its own: a chain may be as long as memory allows. Per knot (strongly connected component) the shortest
 * ring through its first service is reported, with the line behind every step. */
#include "base/log.h"
#include "supervisor/graph/compile.h"

#define SHOWN 32 /* steps of a ring in a message; of a longer one the middle is left out */

struct tarjan {
	struct adjacency a;
	uint32_t *number, *low;     /* 0: not visited yet */
	uint32_t *next;             /* the node's next edge to look at */
	uint32_t *stack, *path;     /* nodes of no component yet; the way from the root */
	uint32_t n_stack, n_path, counter;
	uint32_t *component;        /* 0: none yet */
	uint32_t n_components;
	uint32_t *came_from;        /* breadth-first search: edge by which a node was reached, + 1 */
	uint32_t *queue;
};

static uint32_t waiter(const struct compiler *c, const struct edge *e)
{
	return e->kind == REF_CONFLICTS || e->kind == REF_PROVIDES ? UINT32_MAX : edge_waiter(e);
}

static void enter(struct tarjan *t, uint32_t v)
{
	t->number[v] = t->low[v] = ++t->counter;
	t->next[v] = t->a.start[v];
	t->stack[t->n_stack++] = v;
	t->path[t->n_path++] = v;
}

/* All of v's edges are done. Returns the size of the component that v is the root of, or 0. */
static uint32_t leave(struct tarjan *t, uint32_t v)
{
	uint32_t size = 0, w;

	t->n_path--;
	if (t->n_path > 0) {
		uint32_t parent = t->path[t->n_path - 1];
		t->low[parent] = MIN(t->low[parent], t->low[v]);
	}
	if (t->low[v] != t->number[v])
		return 0;
	t->n_components++;
	do {
		w = t->stack[--t->n_stack];
		t->component[w] = t->n_components;
		size++;
	} while (w != v);
	return size;
}

/* The shortest ring through `first` inside its component: t->came_from leads back from `first`. */
static void find_ring(struct compiler *c, struct tarjan *t, uint32_t first)
{
	uint32_t head = 0, tail = 0, *queue = t->queue;

	queue[tail++] = first;
	while (head < tail && !t->came_from[first]) {
		uint32_t v = queue[head++];
		for (uint32_t i = t->a.start[v]; i < t->a.start[v + 1]; i++) {
			uint32_t w = edge_awaited(t->a.v[i]);
			if (t->component[w] != t->component[v] || t->came_from[w])
				continue;
			t->came_from[w] = i + 1;
			if (w != first)
				queue[tail++] = w;
		}
	}
}

static void report_ring(struct compiler *c, struct tarjan *t, uint32_t first, uint32_t size)
{
	_cleanup_free_ const struct edge **ring = calloc(size, sizeof(*ring));
	_cleanup_buf_ struct buf text = { 0 };
	uint32_t n = 0, v = first;

	if (!ring) {
		(void)compiler_oom(c);
		return;
	}
	do {
		ring[n] = t->a.v[t->came_from[v] - 1];
		v = edge_waiter(ring[n++]);
	} while (v != first && n < size);
	for (uint32_t i = n; i-- > 0;) {
		if (n > SHOWN && i == n - 1 - SHOWN / 2) {
			buf_addf(&text, " -> ... (%u more)", n - SHOWN);
			i = SHOWN / 2 - 1;
		}
		edge_describe(&text, c, ring[i], edge_awaited(ring[i]));
	}
	if (text.failed)
		(void)compiler_oom(c);
	else if (size > n)
		problem(c, LOG_ERR, ring[n - 1]->at, "cycle: %s%s; each waits for the next, so none can start: take one of these out (%u more services hang in this knot)", c->units.v[first]->name, text.data, size - n);
	else
		problem(c, LOG_ERR, ring[n - 1]->at, "cycle: %s%s; each waits for the next, so none can start: take one of these out", c->units.v[first]->name, text.data);
}

/* The component's nodes have just been taken off the stack, above whose end they still lie. */
static void report_component(struct compiler *c, struct tarjan *t, uint32_t size)
{
	uint32_t first = UINT32_MAX;

	for (uint32_t i = 0; i < size; i++)
		first = MIN(first, t->stack[t->n_stack + i]);
	find_ring(c, t, first);
	report_ring(c, t, first, size);
}

static void visit(struct compiler *c, struct tarjan *t, uint32_t root)
{
	enter(t, root);
	while (t->n_path > 0) {
		uint32_t v = t->path[t->n_path - 1], w;
		if (t->next[v] == t->a.start[v + 1]) {
			uint32_t size = leave(t, v);
			if (size > 1)
				report_component(c, t, size);
			continue;
		}
		w = edge_awaited(t->a.v[t->next[v]++]);
		if (!t->number[w])
			enter(t, w);
		else if (!t->component[w])
			t->low[v] = MIN(t->low[v], t->number[w]);
	}
}

int check_cycles(struct compiler *c)
{
	struct tarjan t = { 0 };
	uint32_t *memory = arena_alloc(&c->arena, 8 * ((size_t)c->n + 1) * sizeof(*memory));

	if (!memory || adjacency_make(c, waiter, &t.a) < 0)
		return compiler_oom(c);
	uint32_t **arrays[] = { &t.number, &t.low, &t.next, &t.stack, &t.path, &t.component, &t.came_from, &t.queue };
	for (size_t i = 0; i < ARRAY_SIZE(arrays); i++)
		*arrays[i] = memory + i * ((size_t)c->n + 1);
	for (uint32_t i = 0; i < c->n; i++)
		if (!t.number[i])
			visit(c, &t, i);
	return c->failed;
}
