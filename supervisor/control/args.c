/* args.c: what methods are called with, and the answers to what is wrong with it. */
#include "supervisor/control/control.h"

#include <string.h>

bool arg_flag(json_t *p, const char *key, bool def)
{
	json_t *v = json_object_get(p, key);
	return json_is_boolean(v) ? json_is_true(v) : def;
}

int answer_no_such(struct manager *m, struct varlink_call *c, const char *name)
{
	const char **names = calloc(m->e.n + 1, sizeof(*names));
	for (uint32_t i = 0; names && i < m->e.n; i++)
		names[i] = nm(m, &m->e.s[i]);
	const char *near = names ? str_nearest(name, names, m->e.n) : NULL;
	json_t *o = json_pack("{s:s}", "name", name);
	if (o && near)
		json_object_set_new(o, "near", json_string(near));
	free(names);
	return varlink_error(c, IFACE ".NoSuchService", o);
}

int arg_names(struct manager *m, struct varlink_call *c, json_t *a, bool all, struct ids *ret)
{
	size_t n = json_is_array(a) ? json_array_size(a) : all ? m->e.n : 0;
	ret->v = calloc(n + 1, sizeof(uint32_t));
	if (!ret->v)
		return -ENOMEM;
	for (size_t k = 0; k < n; k++) {
		const char *name = json_is_array(a) ? json_string_value(json_array_get(a, k)) : NULL;
		uint32_t i = json_is_array(a) ? name ? graph_find(m->g, name) : NONE : (uint32_t)k;
		if (i == NONE) {
			int r = answer_no_such(m, c, name ? name : "");
			return r < 0 ? r : 1;
		}
		ret->v[ret->n++] = i;
	}
	return 0;
}

int arg_name(struct manager *m, struct varlink_call *c, json_t *p, uint32_t *ret)
{
	const char *name = json_string_value(json_object_get(p, "name"));
	*ret = name ? graph_find(m->g, name) : NONE;
	if (*ret != NONE)
		return 0;
	int r = answer_no_such(m, c, name ? name : "");
	return r < 0 ? r : 1;
}

int answer_bad(struct varlink_call *c, const char *which, const char *text)
{
	return varlink_error(c, IFACE ".BadArgument", json_pack("{s:s,s:s}", "parameter", which, "text", text));
}

int answer_busy(struct varlink_call *c, const char *what)
{
	return varlink_error(c, IFACE ".Busy", json_pack("{s:s}", "what", what));
}
