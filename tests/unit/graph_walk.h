/* graph_walk.h: follow every reference in a compiled graph, for tests and fuzzers under a sanitizer. */
#ifndef RAST_TESTS_GRAPH_WALK_H
#define RAST_TESTS_GRAPH_WALK_H

#include <string.h>
#include "base/mem.h"
#include "supervisor/graph.h"

static volatile uint64_t walked; /* so that no read is left out */

static void touch_str(const struct graph *g, gref r)
{
	if (r)
		walked += strlen(graph_str(g, r));
}

static void touch_strs(const struct graph *g, uint32_t n, gref off)
{
	const gref *v = graph_at(g, off);

	for (uint32_t i = 0; i < n; i++)
		touch_str(g, v[i]);
}

static void touch_ids(const struct graph *g, struct gids l)
{
	for (uint32_t i = 0; i < l.n; i++)
		touch_str(g, graph_service(g, graph_ids(g, l)[i])->name);
}

/* Read everything that a reader could read. False: a name is not found under which a service stands. */
static bool walk_graph(const struct graph *g)
{
	for (uint32_t i = 0; i < g->n_services; i++) {
		const struct gservice *s = graph_service(g, i);
		const struct gsettings *c = graph_settings(g, s);
		const gref strings[] = { s->name, s->description, s->file, c->user, c->group, c->working_directory, c->root_directory, c->tty };
		const struct gstrv lists[] = { s->exec, c->pre_start, c->post_stop, c->exec_reload, c->exec_stop, c->groups, c->environment, c->environment_files };
		const struct gids edges[] = { s->depends, s->dependents, s->wants, s->wanted_by, s->after, s->before, s->conflicts, s->contents, s->requires_one, s->watched_by };
		const struct glimit *l = graph_at(g, c->limits);
		const int32_t *ok = graph_at(g, c->success);
		for (size_t k = 0; k < ARRAY_SIZE(strings); k++)
			touch_str(g, strings[k]);
		for (size_t k = 0; k < ARRAY_SIZE(lists); k++)
			touch_strs(g, lists[k].n, lists[k].off);
		for (size_t k = 0; k < ARRAY_SIZE(edges); k++)
			touch_ids(g, edges[k]);
		for (uint32_t k = 0; k < c->n_limits; k++)
			walked += l[k].soft + l[k].hard;
		for (uint32_t k = 0; k < c->n_success; k++)
			walked += (uint64_t)ok[k];
		touch_strs(g, 2 * c->n_cgroup, c->cgroup);
		if (s->pipe_to != UINT32_MAX)
			touch_str(g, graph_service(g, s->pipe_to)->name);
		if (graph_find(g, graph_str(g, s->name)) != i)
			return false;
	}
	touch_strs(g, g->n_warnings, g->warnings);
	if (g->boot_target != UINT32_MAX)
		touch_str(g, graph_service(g, g->boot_target)->name);
	return true;
}

#endif
