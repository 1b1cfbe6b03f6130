/* conflict.c: a service that needs, directly or through others, two services that conflict can never start. */
#include "base/log.h"
#include "supervisor/graph/compile.h"

struct search {
	struct adjacency needed_by;   /* edges grouped by whom they need */
	uint32_t *choices;            /* per service: how many providers or requires-one it can choose from */
	uint32_t *round;              /* in which search a node was reached last */
	const struct edge **why_a, **why_b; /* the edge by which, coming from a or b */
	uint32_t *queue;
	uint32_t now;
};

/* A choice of one is none. Provider edges and requires-one don't mix: a virtual has no requires-one of its own worth counting apart. */
static bool is_choice(const struct edge *e)
{
	return e->kind == REF_PROVIDERS || e->kind == REF_REQUIRES_ONE;
}

static uint32_t hard_target(const struct compiler *c, const struct edge *e)
{
	switch (e->kind) {
	case REF_DEPENDS: case REF_PIPE: case REF_CONTENTS: case REF_ENABLED: case REF_PROVIDERS: case REF_REQUIRES_ONE:
		return e->to;
	default:
		return UINT32_MAX;
	}
}

/* Visit all that need `from`. With `other` the search ends at the first node that round `other` has reached too: the one nearest to `from`. */
static uint32_t climb(struct search *s, uint32_t from, const struct edge **why, uint32_t other)
{
	uint32_t head = 0, tail = 0;

	s->now++;
	why[from] = NULL;
	s->queue[tail++] = from;
	if (other && s->round[from] == other)
		return from;
	s->round[from] = s->now;
	while (head < tail) {
		uint32_t v = s->queue[head++];
		for (uint32_t i = s->needed_by.start[v]; i < s->needed_by.start[v + 1]; i++) {
			const struct edge *e = s->needed_by.v[i];
			if (s->round[e->from] == s->now || (is_choice(e) && s->choices[e->from] > 1))
				continue;
			why[e->from] = e;
			if (other && s->round[e->from] == other)
				return e->from;
			s->round[e->from] = s->now;
			s->queue[tail++] = e->from;
		}
	}
	return UINT32_MAX;
}

/* "top -> x (depends, ...) -> end" */
static void describe_way(struct buf *b, const struct compiler *c, uint32_t top, const struct edge *const *why)
{
	buf_addf(b, "%s", c->units.v[top]->name);
	for (const struct edge *e = why[top]; e; e = why[e->to])
		edge_describe(b, c, e, e->to);
}

static void report(struct compiler *c, const struct search *s, const struct edge *conflict, uint32_t top)
{
	_cleanup_buf_ struct buf a = { 0 }, b = { 0 };
	const char *x = c->units.v[conflict->from]->name, *y = c->units.v[conflict->to]->name;

	describe_way(&a, c, top, s->why_a);
	describe_way(&b, c, top, s->why_b);
	if (a.failed || b.failed)
		(void)compiler_oom(c);
	else if (top == conflict->from || top == conflict->to)
		problem(c, LOG_ERR, conflict->at, "'%s' conflicts with '%s', but needs it: %s; take one of the two out", top == conflict->from ? x : y, top == conflict->from ? y : x, top == conflict->from ? b.data : a.data);
	else
		problem(c, LOG_ERR, conflict->at, "'%s' conflicts with '%s', but '%s' needs both: %s, and %s; it can never start: take one of these out", x, y, c->units.v[top]->name, a.data, b.data);
}

static int search_make(struct compiler *c, struct search *s)
{
	size_t n = (size_t)c->n + 1;

	*s = (struct search){ .choices = arena_alloc(&c->arena, n * sizeof(uint32_t)), .round = arena_alloc(&c->arena, n * sizeof(uint32_t)),
		.queue = arena_alloc(&c->arena, n * sizeof(uint32_t)), .why_a = arena_alloc(&c->arena, n * sizeof(void *)), .why_b = arena_alloc(&c->arena, n * sizeof(void *)) };
	if (!s->choices || !s->round || !s->queue || !s->why_a || !s->why_b || adjacency_make(c, hard_target, &s->needed_by) < 0)
		return compiler_oom(c);
	for (unsigned i = 0; i < c->edges.n; i++)
		if (is_choice(&c->edges.v[i]))
			s->choices[c->edges.v[i].from]++;
	return 0;
}

/* The other half of a conflict that both sides declare is skipped. */
static bool declared_twice(const struct compiler *c, const struct edge *e)
{
	for (const struct edge *o = c->edges.v; o < e; o++)
		if (o->kind == REF_CONFLICTS && ((o->from == e->to && o->to == e->from) || (o->from == e->from && o->to == e->to)))
			return true;
	return false;
}

int check_conflicts(struct compiler *c)
{
	struct search s = { 0 };

	for (unsigned i = 0; i < c->edges.n; i++) {
		const struct edge *e = &c->edges.v[i];
		if (e->kind != REF_CONFLICTS)
			continue;
		if (!s.needed_by.start && search_make(c, &s) < 0)
			return c->failed;
		uint32_t top, round;
		(void)climb(&s, e->from, s.why_a, 0);
		round = s.now;
		top = climb(&s, e->to, s.why_b, round);
		if (top != UINT32_MAX && !declared_twice(c, e))
			report(c, &s, e, top);
	}
	return c->failed;
}
