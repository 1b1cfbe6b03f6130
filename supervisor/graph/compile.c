/* compile.c: the graph compiler's frame; compile.h says who does what. */
#include "supervisor/graph/compile.h"

#include <errno.h>
#include <stdarg.h>
#include "base/log.h"

const char *const ref_names[REF_N] = { "depends", "requires-one", "wants", "after", "before", "conflicts", "provides", "contents", "providers", "output", "enabled" };

int compiler_fail(struct compiler *c, int error)
{
	if (!c->failed)
		c->failed = error;
	return error;
}

static void keep_warning(struct compiler *c, struct place at, const char *text)
{
	const char **w = ARENA_PUSH(&c->arena, &c->warnings);

	if (w && at.line > 0)
		*w = arena_printf(&c->arena, "%s:%d: %s", at.file, at.line, text);
	else if (w)
		*w = arena_printf(&c->arena, "%s: %s", at.file, text);
	if (!w || !*w)
		(void)compiler_oom(c);
}

/* File names and cut values may hold bytes that are no UTF-8; what is reported ends up in JSON, which must not. */
static void make_utf8(char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; (i += utf8_span(s + i, n - i)) < n; i++)
		s[i] = '?';
}

void problem(struct compiler *c, int level, struct place at, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL, *file = strdup(at.file ? at.file : "");
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	c->n_errors += level <= LOG_ERR;
	if (!text || !file) {
		(void)compiler_oom(c);
		return;
	}
	make_utf8(text);
	make_utf8(file);
	if (level > LOG_ERR && !c->quiet)
		keep_warning(c, (struct place){ file, at.line }, text);
	if (c->cb && !c->quiet)
		c->cb(level, file, at.line, text, c->cb_data);
}

void compiler_free(struct compiler *c)
{
	arena_free(&c->arena);
}

static unsigned name_slot(const struct compiler *c, const char *name)
{
	unsigned mask = c->by_name_size - 1, at = (unsigned)fnv1a64(name, strlen(name)) & mask;

	while (c->by_name[at] && !streq(c->by_name[at]->name, name))
		at = (at + 1) & mask;
	return at;
}

struct unit *unit_find(const struct compiler *c, const char *name)
{
	return c->by_name_size ? c->by_name[name_slot(c, name)] : NULL;
}

static int grow_names(struct compiler *c)
{
	struct unit **old = c->by_name;
	unsigned old_size = c->by_name_size;

	if (2 * (c->by_name_n + 1) <= old_size)
		return 0;
	c->by_name = arena_alloc(&c->arena, (old_size ? 2 * old_size : 256) * sizeof(*old));
	if (!c->by_name)
		return compiler_oom(c);
	c->by_name_size = old_size ? 2 * old_size : 256;
	for (unsigned i = 0; i < old_size; i++)
		if (old[i])
			c->by_name[name_slot(c, old[i]->name)] = old[i];
	return 0;
}

struct unit *unit_add(struct compiler *c, const char *name, struct place at)
{
	struct unit *u = ARENA_NEW(&c->arena, struct unit), **slot;

	if (!u || !(u->name = arena_str(&c->arena, name)) || grow_names(c) < 0 || !(slot = ARENA_PUSH(&c->arena, &c->units))) {
		(void)compiler_oom(c);
		return NULL;
	}
	*slot = u;
	u->at = at;
	u->index = UINT32_MAX;
	unit_defaults(u);
	c->by_name[name_slot(c, u->name)] = u;
	c->by_name_n++;
	c->n_nearest = 0;
	return u;
}

const char *near_word(struct compiler *c, const char *word, const char *const *candidates, size_t n)
{
	const char *near = str_nearest(word, candidates, n), *text = near ? arena_printf(&c->arena, " (did you mean '%s'?)", near) : "";

	return text ? text : "";
}

const char *near_unit(struct compiler *c, const char *name)
{
	if (c->n_nearest == 0) {
		c->nearest = arena_alloc(&c->arena, c->units.n * sizeof(*c->nearest));
		for (unsigned i = 0; c->nearest && i < c->units.n; i++)
			if (!c->units.v[i]->masked)
				c->nearest[c->n_nearest++] = c->units.v[i]->name;
	}
	return near_word(c, name, c->nearest, c->n_nearest);
}

static int check_units(struct compiler *c)
{
	for (unsigned i = 0; i < c->units.n; i++)
		if (!c->units.v[i]->masked)
			check_unit(c, c->units.v[i]);
	return c->failed;
}

int compile_rest(struct compiler *c, uint64_t generation, void **ret, size_t *ret_size)
{
	int r = load_instances(c);

	if (r >= 0)
		r = check_units(c);
	if (r >= 0)
		r = resolve(c);
	if (r >= 0)
		r = check_conflicts(c);
	if (r >= 0)
		r = check_cycles(c);
	if (r < 0 || c->failed < 0)
		return r < 0 ? r : c->failed;
	return c->n_errors > 0 ? -EINVAL : emit(c, generation, ret, ret_size);
}

int graph_compile(const struct graph_source *src, uint64_t generation, graph_problem_cb cb, void *data, void **ret, size_t *ret_size)
{
	_cleanup_(compiler_free) struct compiler c = { .cb = cb, .cb_data = data };
	int r = load_dirs(&c, src);

	if (r >= 0 && src->enabled_dir)
		r = load_enabled(&c, src->enabled_dir);
	if (r >= 0)
		r = load_on_demand(&c, src->instances, src->n_instances);
	return r < 0 ? r : compile_rest(&c, generation, ret, ret_size);
}
