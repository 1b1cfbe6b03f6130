/* varlink-idl-check.c: does JSON fit the description? See varlink-idl.h. */
#include "base/varlink-idl.h"

#include <errno.h>
#include "base/str.h"

struct check {
	char *path;
	size_t len;
};

static int check_type(struct check *c, const struct idl_type *t, json_t *v);

/* Append a name to the path; what is too long is cut, as it only serves a message. Returns the length before. */
static size_t enter(struct check *c, const char *name)
{
	size_t before = c->len;
	int n = snprintf(c->path + c->len, IDL_PATH_MAX - c->len, "%s%.63s", before ? "." : "", name);

	c->len = MIN(c->len + (size_t)MAX(n, 0), (size_t)IDL_PATH_MAX - 1);
	return before;
}

static void leave(struct check *c, size_t before)
{
	c->len = before;
	c->path[before] = 0;
}

static const struct idl_field *find_field(const struct idl_type *t, const char *name)
{
	const struct idl_field *f = t->fields;

	while (f && !streq(f->name, name))
		f = f->next;
	return f;
}

static int check_struct(struct check *c, const struct idl_type *t, json_t *v)
{
	const char *key;
	json_t *item;
	size_t before;

	if (!json_is_object(v))
		return -EINVAL;
	json_object_foreach(v, key, item) {
		if (find_field(t, key))
			continue;
		enter(c, key);
		return -EINVAL;
	}
	for (const struct idl_field *f = t->fields; f; f = f->next) {
		before = enter(c, f->name);
		if (check_type(c, f->type, json_object_get(v, f->name)) < 0)
			return -EINVAL;
		leave(c, before);
	}
	return 0;
}

static int check_dict(struct check *c, const struct idl_type *t, json_t *v)
{
	const char *key;
	json_t *item;
	size_t before;

	if (!json_is_object(v))
		return -EINVAL;
	json_object_foreach(v, key, item) {
		before = enter(c, key);
		if (check_type(c, t->element, item) < 0)
			return -EINVAL;
		leave(c, before);
	}
	return 0;
}

static int check_array(struct check *c, const struct idl_type *t, json_t *v)
{
	json_t *item;
	size_t i;

	if (!json_is_array(v))
		return -EINVAL;
	json_array_foreach(v, i, item)
		if (check_type(c, t->element, item) < 0)
			return -EINVAL;
	return 0;
}

/* v NULL: not there. */
static int check_type(struct check *c, const struct idl_type *t, json_t *v)
{
	switch (t->kind) {
	case IDL_MAYBE:
		return !v || json_is_null(v) ? 0 : check_type(c, t->element, v);
	case IDL_ANY:
		return v ? 0 : -EINVAL;
	case IDL_BOOL:
		return json_is_boolean(v) ? 0 : -EINVAL;
	case IDL_INT:
		return json_is_integer(v) ? 0 : -EINVAL;
	case IDL_FLOAT:
		return json_is_number(v) ? 0 : -EINVAL;
	case IDL_STRING:
		return json_is_string(v) ? 0 : -EINVAL;
	case IDL_OBJECT:
		return json_is_object(v) ? 0 : -EINVAL;
	case IDL_ENUM:
		return json_is_string(v) && find_field(t, json_string_value(v)) ? 0 : -EINVAL;
	case IDL_NAMED:
		return check_type(c, t->named.member->in, v);
	case IDL_STRUCT:
		return check_struct(c, t, v);
	case IDL_ARRAY:
		return check_array(c, t, v);
	case IDL_DICT:
		return check_dict(c, t, v);
	}
	return -EINVAL;
}

int idl_check(const struct idl_type *type, json_t *params, char path[IDL_PATH_MAX])
{
	struct check c = { .path = path };

	path[0] = 0;
	return check_type(&c, type, params);
}
