/* annotations.c: annotations that are orders to this runtime: io.rastos.landlock.*. Another io.rastos.* is an error, all else is not ours. */
#include "runtime/spec/read.h"

#include <errno.h>
#include <string.h>
#include "base/str.h"

#define PREFIX "io.rastos."
#define LANDLOCK PREFIX "landlock."

static int read_paths(const struct at *v, const char *value, struct oci_strv *ret)
{
	char *s = oci_strdup(v->rd->arena, value), *save = NULL;
	size_t n = 1;

	for (const char *p = value; *p; p++)
		n += *p == ':';
	ret->v = oci_alloc(v->rd->arena, (n + 1) * sizeof(char *));
	if (!s || !ret->v)
		return at_no_memory(v);
	for (char *path = strtok_r(s, ":", &save); path; path = strtok_r(NULL, ":", &save)) {
		if (*path != '/')
			return at_fail(v, "'%s' must be an absolute path; separate paths by ':'", path);
		ret->v[ret->n++] = path;
	}
	return 0;
}

static int read_ports(const struct at *v, const char *value, uint16_t **ret, size_t *n)
{
	char *s = oci_strdup(v->rd->arena, value), *save = NULL;

	*ret = oci_alloc(v->rd->arena, (strlen(value) + 1) * sizeof(**ret));
	if (!s || !*ret)
		return at_no_memory(v);
	for (char *word = strtok_r(s, ", ", &save); word; word = strtok_r(NULL, ", ", &save)) {
		uint64_t port;
		if (parse_u64(word, &port) < 0 || port > UINT16_MAX)
			return at_fail(v, "'%s' is no TCP port; write it like \"80,443\"", word);
		(*ret)[(*n)++] = (uint16_t)port;
	}
	return 0;
}

static int read_scope(const struct at *v, const char *value, unsigned *ret)
{
	static const char *const names[] = { "abstract-unix-socket", "signal" };
	char *s = oci_strdup(v->rd->arena, value), *save = NULL;

	if (!s)
		return at_no_memory(v);
	for (char *word = strtok_r(s, ", ", &save); word; word = strtok_r(NULL, ", ", &save)) {
		size_t i = 0;
		while (i < ARRAY_SIZE(names) && !streq(names[i], word))
			i++;
		if (i == ARRAY_SIZE(names))
			return at_fail(v, "'%s' is no scope; there are: signal, abstract-unix-socket", word);
		*ret |= 1U << i;
	}
	return 0;
}

static int read_read(const struct at *v, const char *value, struct oci_landlock *l) { return read_paths(v, value, &l->read); }
static int read_execute(const struct at *v, const char *value, struct oci_landlock *l) { return read_paths(v, value, &l->execute); }
static int read_write(const struct at *v, const char *value, struct oci_landlock *l) { return read_paths(v, value, &l->write); }
static int read_scopes(const struct at *v, const char *value, struct oci_landlock *l) { return read_scope(v, value, &l->scope); }

static int read_bind(const struct at *v, const char *value, struct oci_landlock *l)
{
	l->has_bind = true;
	return read_ports(v, value, &l->bind_ports, &l->n_bind_ports);
}

static int read_connect(const struct at *v, const char *value, struct oci_landlock *l)
{
	l->has_connect = true;
	return read_ports(v, value, &l->connect_ports, &l->n_connect_ports);
}

static const struct {
	const char *name;
	int (*read)(const struct at *v, const char *value, struct oci_landlock *l);
} landlock[] = {
	{ LANDLOCK "read", read_read }, { LANDLOCK "execute", read_execute }, { LANDLOCK "write", read_write },
	{ LANDLOCK "tcp-bind", read_bind }, { LANDLOCK "tcp-connect", read_connect }, { LANDLOCK "scope", read_scopes },
};

static int check_one(const struct at *annotations, const struct oci_kv *kv, struct oci_spec *s)
{
	struct at v = at_member(annotations, kv->key);
	const char *all[ARRAY_SIZE(landlock)], *near;

	for (size_t i = 0; i < ARRAY_SIZE(landlock); i++) {
		all[i] = landlock[i].name;
		if (!streq(kv->key, all[i]))
			continue;
		if (!s->landlock && !(s->landlock = oci_alloc(v.rd->arena, sizeof(*s->landlock))))
			return at_no_memory(&v);
		return landlock[i].read(&v, kv->value, s->landlock);
	}
	near = str_nearest(kv->key, all, ARRAY_SIZE(all));
	return at_fail(&v, "this runtime has no such annotation%s%s%s", near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

int check_annotations(const struct at *o, struct oci_spec *s)
{
	struct at annotations = at_member(o, "annotations");
	int r = 0;

	for (size_t i = 0; r >= 0 && i < s->annotations.n; i++)
		if (str_starts(s->annotations.v[i].key, PREFIX))
			r = check_one(&annotations, &s->annotations.v[i], s);
	return r;
}
