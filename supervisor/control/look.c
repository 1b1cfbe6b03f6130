/* look.c: the methods that change nothing: Ping, List, Status, Tree. */
#include <jansson.h>
#include <string.h>
#include "config.h"
#include "supervisor/control/control.h"

int method_ping(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	return varlink_reply(c, json_pack("{s:s,s:i,s:I,s:I,s:I,s:b,s:o}", "version", RAST_VERSION, "pid", getpid(), "instance",
					(json_int_t)m->st.boot.instance, "generation", (json_int_t)m->g->generation, "services",
					(json_int_t)m->e.n, "standalone", m->p1_fd < 0, "boot", json_boot(m)));
}

/* One reply per service, as fast as the client reads. */
struct lister {
	struct manager *m;
	struct varlink_call *call;
	uint32_t *ids, n, at;
	uint64_t generation;
};

static void lister_free(struct varlink_call *c, void *data)
{
	struct lister *l = data;
	varlink_call_unref(l->call);
	free(l->ids);
	free(l);
}

static json_t *list_item(struct lister *l)
{
	return json_pack("{s:o}", "service", json_service(l->m, &l->m->e.s[l->ids[l->at]]));
}

static void list_on(struct varlink_call *c, void *data)
{
	struct lister *l = data;
	if (l->generation != l->m->g->generation) { /* the numbers mean other services now */
		varlink_call_on_close(c, NULL, NULL);
		answer_busy(c, "the set of services has just changed: ask again");
		lister_free(c, l);
		return;
	}
	for (; l->at + 1 < l->n; l->at++)
		if (varlink_reply_continues(c, list_item(l)) == -EAGAIN)
			return; /* called again when there is room */
	varlink_call_on_drain(c, NULL, NULL);
	varlink_call_on_close(c, NULL, NULL);
	varlink_reply(c, list_item(l));
	lister_free(c, l);
}

int method_list(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	_cleanup_ids_ struct ids ids = {0};
	int r = arg_names(m, c, json_object_get(p, "names"), true, &ids);
	if (r)
		return MIN(r, 0);
	if (!ids.n)
		return varlink_error(c, IFACE ".NoSuchService", json_pack("{s:s}", "name", ""));
	if (ids.n > 1 && !varlink_call_wants_more(c))
		return -EPROTO;
	struct lister *l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	*l = (struct lister){.m = m, .call = varlink_call_ref(c), .n = ids.n, .generation = m->g->generation};
	l->ids = TAKE_PTR(ids.v);
	varlink_call_on_close(c, lister_free, l);
	varlink_call_on_drain(c, list_on, l);
	list_on(c, l);
	return 0;
}

struct status {
	struct varlink_call *call;
	json_t *reply;
};

static void on_status_tail(struct manager *m, json_t *lines, void *data)
{
	struct status *st = data;
	json_object_set_new(st->reply, "log", lines);
	varlink_reply(st->call, st->reply);
	varlink_call_unref(st->call);
	free(st);
}

int method_status(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	uint32_t i;
	int r = arg_name(m, c, p, &i);
	json_t *lines = json_object_get(p, "lines");
	if (r)
		return MIN(r, 0);
	json_int_t n = json_is_integer(lines) ? json_integer_value(lines) : 10;
	struct status *st = calloc(1, sizeof(*st));
	json_t *reply = st ? json_pack("{s:o,s:o}", "service", json_service(m, &m->e.s[i]), "processes", json_processes(m, &m->e.s[i])) : NULL;
	if (!reply) {
		free(st);
		return -ENOMEM;
	}
	*st = (struct status){.call = varlink_call_ref(c), .reply = reply};
	tail_begin(m, nm(m, &m->e.s[i]), (unsigned)MIN(MAX(n, 0), 1000), on_status_tail, st);
	return 0;
}

/* --- the tree --- */

struct tree {
	struct manager *m;
	uint32_t *v, n;
	uint8_t *seen;
	json_t *edges;
};

static void tree_edges(struct tree *t, uint32_t from, struct gids l, const char *kind, bool reverse)
{
	const uint32_t *ids = graph_ids(t->m->g, l);
	for (uint32_t k = 0; k < l.n; k++) {
		uint32_t a = reverse ? ids[k] : from, b = reverse ? from : ids[k];
		json_array_append_new(
			t->edges, json_pack("{s:s,s:s,s:s}", "from", nm(t->m, &t->m->e.s[a]), "to", nm(t->m, &t->m->e.s[b]), "kind", kind));
		if (!t->seen[ids[k]]) {
			t->seen[ids[k]] = 1;
			t->v[t->n++] = ids[k];
		}
	}
}

static void tree_walk(struct tree *t, bool reverse)
{
	for (uint32_t c = 0; c < t->n; c++) {
		uint32_t i = t->v[c];
		const struct gservice *d = t->m->e.s[i].def;
		if (reverse) {
			tree_edges(t, i, d->dependents, "depends", true);
			tree_edges(t, i, d->wanted_by, "wants", true);
			tree_edges(t, i, d->watched_by, "contents", true);
		} else {
			tree_edges(t, i, d->depends, "depends", false);
			tree_edges(t, i, d->requires_one, "requires-one", false);
			tree_edges(t, i, d->wants, "wants", false);
			tree_edges(t, i, d->contents, d->type == SVC_VIRTUAL ? "provider" : "contents", false);
		}
	}
}

int method_tree(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	const char *name = json_string_value(json_object_get(p, "name"));
	uint32_t root = graph_find(m->g, name ? name : m->st.boot.target);
	if (root == NONE)
		return answer_no_such(m, c, name ? name : m->st.boot.target);
	_cleanup_free_ uint32_t *v = calloc(m->e.n + 1, sizeof(*v));
	_cleanup_free_ uint8_t *seen = calloc(m->e.n + 1, 1);
	struct tree t = {.m = m, .v = v, .seen = seen, .edges = json_array()};
	json_t *services = json_array();
	if (!v || !seen || !t.edges || !services)
		return -ENOMEM;
	v[t.n++] = root;
	seen[root] = 1;
	tree_walk(&t, arg_flag(p, "reverse", false));
	for (uint32_t k = 0; k < t.n; k++)
		json_array_append_new(services, json_service(m, &m->e.s[v[k]]));
	return varlink_reply(c, json_pack("{s:s,s:o,s:o}", "root", nm(m, &m->e.s[root]), "services", services, "edges", t.edges));
}
