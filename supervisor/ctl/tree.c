/* tree.c: what a service is made of, drawn. A service that several need is expanded once, and marked the other times. */
#include "supervisor/ctl/ctl.h"

#include <errno.h>

struct drawing {
	const json_t *services, *edges;
	json_t *done;      /* names that have been expanded */
	struct buf indent; /* what stands in front of the branches */
	bool backwards;    /* edges are walked from `to` to `from` */
	bool utf8;
};

static bool speaks_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *v = getenv(names[i]);
		if (!strempty(v))
			return strstr(v, "UTF-8") || strstr(v, "utf8") || strstr(v, "UTF8");
	}
	return false;
}

static const json_t *service_of(const struct drawing *d, const char *name)
{
	size_t i;
	json_t *s;
	json_array_foreach (d->services, i, s)
		if (streq(js(s, "name"), name))
			return s;
	return NULL;
}

static void print_node(const struct drawing *d, const char *name, const char *kind, bool again)
{
	const char *state = js(service_of(d, name), "state");
	fputs(name, stdout);
	printf(" %s%s%s", paint_on(state_paint(state)), *state ? state : "?", paint_off());
	if (*kind && !streq(kind, "depends") && !streq(kind, "contents"))
		printf(" %s(%s)%s", paint_on(PAINT_DIM), kind, paint_off());
	puts(again ? " *" : "");
}

static const char *source(const struct drawing *d, const json_t *edge)
{
	return js(edge, d->backwards ? "to" : "from");
}

static const char *target(const struct drawing *d, const json_t *edge)
{
	return js(edge, d->backwards ? "from" : "to");
}

/* The next edge that leaves name, from index *i on. */
static const json_t *next_edge(const struct drawing *d, const char *name, size_t *i)
{
	for (; *i < json_array_size(d->edges); (*i)++) {
		const json_t *e = json_array_get(d->edges, *i);
		if (streq(source(d, e), name) && (set.all || !streq(js(e, "kind"), "after")))
			return e;
	}
	return NULL;
}

static void draw_below(struct drawing *d, const char *name);

static void draw_child(struct drawing *d, const json_t *edge, bool last)
{
	static const char *const marks[2][4] = {{"|-- ", "`-- ", "|   ", "    "}, {"├─ ", "└─ ", "│  ", "   "}};
	const char *const *m = marks[d->utf8], *name = target(d, edge);
	size_t len = d->indent.len;
	bool known = json_object_get(d->done, name) != NULL, leaf = true;
	size_t i = 0;
	leaf = next_edge(d, name, &i) == NULL;
	printf("%.*s%s", (int)len, len ? d->indent.data : "", m[last]);
	print_node(d, name, js(edge, "kind"), known && !leaf);
	if (known || leaf)
		return;
	buf_addf(&d->indent, "%s", m[2 + last]);
	draw_below(d, name);
	d->indent.len = len;
}

static void draw_below(struct drawing *d, const char *name)
{
	size_t i = 0;
	json_object_set_new(d->done, name, json_true());
	for (const json_t *e = next_edge(d, name, &i); e;) {
		i++;
		const json_t *next = next_edge(d, name, &i);
		draw_child(d, e, !next);
		e = next;
	}
}

/* With --reverse rastd may tell the same edges the other way round: they are walked so that the root is where it starts. */
static bool root_is_target(const json_t *edges, const char *root)
{
	size_t i;
	json_t *e;
	json_array_foreach (edges, i, e)
		if (streq(js(e, "to"), root))
			return true;
	return false;
}

VERB(tree)
{
	_cleanup_json_ json_t *reply = NULL;
	if (argc > 2)
		return ctl_error(CTL_USAGE, "tree: one service at a time");
	json_t *p = json_object();
	if (argc > 1)
		json_object_set_new(p, "name", json_string(argv[1]));
	if (set.reverse)
		json_object_set_new(p, "reverse", json_true());
	int r = ctl_call("Tree", p, &reply);
	if (r || set.json)
		return r ? r : print_json(TAKE_PTR(reply));
	struct drawing d = {
		.services = json_object_get(reply, "services"), .edges = json_object_get(reply, "edges"), .utf8 = speaks_utf8()};
	const char *root = js(reply, "root");
	d.backwards = set.reverse && root_is_target(d.edges, root);
	d.done = json_object();
	print_node(&d, root, "", false);
	draw_below(&d, root);
	json_decref(d.done);
	buf_free(&d.indent);
	return CTL_OK;
}
