/* resolve.c: from names to edges. What an unknown name means depends on how it is named: rast.service(5), "Names that do not exist". */
#include <errno.h>
#include "base/log.h"
#include "supervisor/graph/compile.h"
#include "supervisor/graph/keys.h"

enum unknown { UNKNOWN_ERROR, UNKNOWN_WARNING };
enum masked { MASKED_ERROR, MASKED_SKIP };

static const struct {
	enum unknown unknown;
	enum masked masked;
} rules[REF_N] = {
	[REF_DEPENDS] = { UNKNOWN_ERROR, MASKED_ERROR },       [REF_REQUIRES_ONE] = { UNKNOWN_WARNING, MASKED_SKIP },
	[REF_WANTS] = { UNKNOWN_WARNING, MASKED_SKIP },        [REF_AFTER] = { UNKNOWN_WARNING, MASKED_SKIP },
	[REF_BEFORE] = { UNKNOWN_WARNING, MASKED_SKIP },       [REF_CONFLICTS] = { UNKNOWN_WARNING, MASKED_SKIP },
	[REF_PROVIDES] = { UNKNOWN_ERROR, MASKED_SKIP },       [REF_CONTENTS] = { UNKNOWN_ERROR, MASKED_SKIP },
	[REF_PROVIDERS] = { UNKNOWN_ERROR, MASKED_SKIP },      [REF_PIPE] = { UNKNOWN_ERROR, MASKED_ERROR },
};

static int add_edge(struct compiler *c, uint32_t from, uint32_t to, enum ref_kind kind, struct place at)
{
	struct edge *e = ARENA_PUSH(&c->arena, &c->edges);

	if (!e)
		return compiler_oom(c);
	*e = (struct edge){ from, to, kind, at };
	return 0;
}

static int add_implicit(struct compiler *c, const char *name, enum svc_type type, struct place at)
{
	struct unit *u = unit_add(c, name, at);

	if (!u)
		return c->failed;
	u->implicit = true;
	u->v.type = type;
	check_unit(c, u);
	return 0;
}

static bool unit_enabled(const struct unit *u)
{
	return !u->masked && (u->link > 0 || (u->link == 0 && u->v.install > 0));
}

/* Virtuals that exist because somebody provides them, and the bundle of what is enabled. */
static int add_implicits(struct compiler *c)
{
	const struct unit *enabled = NULL;
	int r = 0;

	for (unsigned i = 0; i < c->units.n && r >= 0; i++) {
		const struct unit *u = c->units.v[i];
		if (unit_enabled(u) && (!enabled || strcmp(u->name, enabled->name) < 0))
			enabled = u;
		for (unsigned j = 0; !u->masked && j < u->refs.n && r >= 0; j++)
			if (u->refs.v[j].kind == REF_PROVIDES && !unit_find(c, u->refs.v[j].name))
				r = add_implicit(c, u->refs.v[j].name, SVC_VIRTUAL, u->refs.v[j].at);
	}
	if (r >= 0 && enabled && !unit_find(c, "default"))
		r = add_implicit(c, "default", SVC_BUNDLE, enabled->link > 0 ? enabled->enabled_at : enabled->at);
	return r;
}

/* Masked ones last. */
static int by_name(const void *a, const void *b)
{
	const struct unit *x = *(struct unit *const *)a, *y = *(struct unit *const *)b;

	return x->masked || y->masked ? !!x->masked - !!y->masked : strcmp(x->name, y->name);
}

static void number_units(struct compiler *c)
{
	if (c->units.n > 1)
		qsort(c->units.v, c->units.n, sizeof(*c->units.v), by_name);
	for (c->n = 0; c->n < c->units.n && !c->units.v[c->n]->masked; c->n++)
		c->units.v[c->n]->index = c->n;
}

static void name_problem(struct compiler *c, const struct ref *ref, const struct unit *target)
{
	int level = !target && rules[ref->kind].unknown == UNKNOWN_WARNING ? LOG_WARNING : LOG_ERR;

	if (target)
		problem(c, LOG_ERR, ref->at, "%s names '%s', which is masked by %s; unmask it (remove that link), or take the name out", ref_names[ref->kind], ref->name, target->masked);
	else
		problem(c, level, ref->at, "%s names '%s', which does not exist%s; %s", ref_names[ref->kind], ref->name, near_unit(c, ref->name),
			level == LOG_WARNING ? "nothing comes of it" : "mend the name, or add its service file");
}

/* What the target has to be, besides existing. */
static bool target_fits(struct compiler *c, const struct unit *u, const struct ref *ref, const struct unit *target)
{
	if (target->v.type < 0)
		return !target->broken;
	if (ref->kind == REF_PROVIDES && target->v.type != SVC_VIRTUAL) {
		problem(c, LOG_ERR, ref->at, "provides names '%s', which is a %s (%s:%d); only a virtual can be provided: make it one, or take the name out", ref->name, type_names[target->v.type], target->at.file, target->at.line);
		return false;
	}
	if (ref->kind == REF_PIPE && target->v.type != SVC_LONGRUN) {
		problem(c, LOG_ERR, ref->at, "output goes to '%s', which is a %s; only a longrun can read it", ref->name, type_names[target->v.type]);
		return false;
	}
	if (ref->kind == REF_PIPE && target->v.tty) {
		problem(c, LOG_ERR, ref->at, "output goes to '%s', whose stdin is its tty already (%s:%d); take the tty out there", ref->name, target->at.file, target->at.line);
		return false;
	}
	return u != target;
}

/* What can't be said together of one and the same service; REF_N: nothing. (That a dependency conflicts is found in conflict.c, with the way to it.) */
static const enum ref_kind opposites[REF_N] = {
	[REF_DEPENDS] = REF_N, [REF_REQUIRES_ONE] = REF_N, [REF_WANTS] = REF_CONFLICTS, [REF_AFTER] = REF_BEFORE, [REF_BEFORE] = REF_AFTER,
	[REF_CONFLICTS] = REF_WANTS, [REF_PROVIDES] = REF_N, [REF_CONTENTS] = REF_N, [REF_PROVIDERS] = REF_N, [REF_PIPE] = REF_N, [REF_ENABLED] = REF_N,
};

static bool contradicts(struct compiler *c, const struct unit *u, const struct ref *ref)
{
	enum ref_kind opposite = opposites[ref->kind];

	for (const struct ref *o = u->refs.v; opposite != REF_N && o < ref; o++)
		if (o->kind == opposite && streq(o->name, ref->name)) {
			problem(c, LOG_ERR, ref->at, "'%s' stands in both %s and %s (%s:%d), which can't be; take it out of one", ref->name, ref_names[ref->kind], ref_names[o->kind], o->at.file, o->at.line);
			return true;
		}
	return false;
}

static int add_ref_edge(struct compiler *c, const struct unit *u, const struct ref *ref)
{
	const struct unit *target = unit_find(c, ref->name);

	if (!target || (target->masked && rules[ref->kind].masked == MASKED_ERROR))
		name_problem(c, ref, target);
	if (!target || target->masked || !target_fits(c, u, ref, target) || contradicts(c, u, ref))
		return c->failed;
	if (ref->kind == REF_PROVIDES)
		return add_edge(c, target->index, u->index, REF_PROVIDERS, ref->at);
	return add_edge(c, u->index, target->index, ref->kind, ref->at);
}

/* A choice among services of which none is left can never be made. */
static void check_choice(struct compiler *c, const struct unit *u, unsigned first_edge)
{
	const struct ref *one = NULL;

	for (unsigned i = 0; i < u->refs.n && !one; i++)
		if (u->refs.v[i].kind == REF_REQUIRES_ONE)
			one = &u->refs.v[i];
	for (unsigned i = first_edge; one && i < c->edges.n; i++)
		if (c->edges.v[i].kind == REF_REQUIRES_ONE)
			return;
	if (one)
		problem(c, LOG_ERR, one->at, "requires-one: none of the services that '%s' names exists (or is not masked); mend a name, or add a service file", u->name);
}

static int add_unit_edges(struct compiler *c, const struct unit *u, bool provides)
{
	unsigned first = c->edges.n;
	int r = 0;

	for (unsigned i = 0; i < u->refs.n && r >= 0; i++)
		if ((u->refs.v[i].kind == REF_PROVIDES) == provides)
			r = add_ref_edge(c, u, &u->refs.v[i]);
	if (!provides)
		check_choice(c, u, first);
	return r;
}

static int add_enabled(struct compiler *c)
{
	const struct unit *target = unit_find(c, "default");

	for (uint32_t i = 0; i < c->n && target && !target->masked; i++) {
		const struct unit *u = c->units.v[i];
		const struct given *g = unit_given(u, "install", "enabled");
		if (!unit_enabled(u) || u == target)
			continue;
		if (target->v.type != SVC_BUNDLE && !target->broken) {
			problem(c, LOG_ERR, target->at, "'default' is a %s; it has to be a bundle, since '%s' is enabled", type_names[MAX(target->v.type, 0)], u->name);
			return 0;
		}
		if (add_edge(c, target->index, i, REF_ENABLED, u->link > 0 || !g ? u->enabled_at : g->at) < 0)
			return c->failed;
	}
	return 0;
}

/* Run after all edges are there: has each virtual a provider? When it may be somebody masked who was one, that is no reason to refuse the whole set. */
static void check_virtuals(struct compiler *c, const bool *provided)
{
	int level = c->n < c->units.n ? LOG_WARNING : LOG_ERR;

	for (uint32_t i = 0; i < c->n; i++) {
		const struct unit *u = c->units.v[i];
		if (u->v.type == SVC_VIRTUAL && !provided[i] && !u->broken)
			problem(c, level, u->at, "nothing provides the virtual '%s'; add provides = %s to a service, or providers = NAME... here", u->name, u->name);
	}
}

int resolve(struct compiler *c)
{
	_cleanup_free_ bool *provided = NULL;
	int r = add_implicits(c);

	if (r < 0)
		return r;
	number_units(c);
	provided = calloc(c->n + 1, sizeof(bool));
	if (!provided)
		return compiler_oom(c);
	for (int provides = 0; provides < 2; provides++) /* a virtual's own order of its providers goes first */
		for (uint32_t i = 0; i < c->n && r >= 0; i++)
			r = add_unit_edges(c, c->units.v[i], provides);
	if (r >= 0)
		r = add_enabled(c);
	for (unsigned i = 0; i < c->edges.n; i++)
		if (c->edges.v[i].kind == REF_PROVIDERS)
			provided[c->edges.v[i].from] = true;
	check_virtuals(c, provided);
	return r;
}

int adjacency_make(struct compiler *c, edge_node node, struct adjacency *ret)
{
	uint32_t *start = arena_alloc(&c->arena, (c->n + 2) * sizeof(*start)), at;
	const struct edge **v = arena_alloc(&c->arena, (c->edges.n + 1) * sizeof(*v));

	if (!start || !v)
		return compiler_oom(c);
	/* start[i + 2] counts node i; after the sum start[i + 1] is where it begins, and, once it is filled, where it ends */
	for (unsigned i = 0; i < c->edges.n; i++)
		if ((at = node(c, &c->edges.v[i])) != UINT32_MAX)
			start[at + 2]++;
	for (uint32_t i = 1; i < c->n + 2; i++)
		start[i] += start[i - 1];
	for (unsigned i = 0; i < c->edges.n; i++)
		if ((at = node(c, &c->edges.v[i])) != UINT32_MAX)
			v[start[at + 1]++] = &c->edges.v[i];
	*ret = (struct adjacency){ start, v };
	return 0;
}

int edge_describe(struct buf *b, const struct compiler *c, const struct edge *e, uint32_t end)
{
	if (e->at.line > 0)
		return buf_addf(b, " -> %s (%s, %s:%d)", c->units.v[end]->name, ref_names[e->kind], e->at.file, e->at.line);
	return buf_addf(b, " -> %s (%s, %s)", c->units.v[end]->name, ref_names[e->kind], e->at.file);
}
