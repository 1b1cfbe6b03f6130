/* read.c: JSON into structs by tables. */
#include "runtime/spec/read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include "base/str.h"

/* jansson's integers end at INT64_MAX, OCI's don't (rlimits, arguments of system calls): reader_begin() makes bigger ones into
 * strings that begin with this character, which Unicode has set aside for a program's own use (U+FDD0). */
#define BIG "\xef\xb7\x90"
#define DEPTH 32 /* of a path that is printed */

static int path_step(struct buf *b, const struct at *at, int depth)
{
	if (!at->up || depth > DEPTH)
		return 0;
	path_step(b, at->up, depth + 1);
	if (!at->key)
		return buf_addf(b, "[%zu]", at->i);
	if (!*at->key || at->key[strspn(at->key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")])
		return buf_addf(b, "[\"%s\"]", at->key);
	return buf_addf(b, "%s%s", b->len > 0 ? "." : "", at->key);
}

int at_fail(const struct at *at, const char *fmt, ...)
{
	_cleanup_buf_ struct buf path = { 0 };
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	(void)path_step(&path, at, 0);
	if (!text || path.failed)
		return at_no_memory(at);
	(void)err_set(at->rd->e, -EINVAL, "%s: %.*s%s%s", at->rd->file, (int)path.len, path.data ? path.data : "", path.len > 0 ? ": " : "", text);
	return -EINVAL;
}

int at_no_memory(const struct at *at)
{
	(void)err_set(at->rd->e, -ENOMEM, "%s: not enough memory", at->rd->file);
	return -ENOMEM;
}

struct at at_member(const struct at *o, const char *key)
{
	json_t *j = json_object_get(o->j, key);

	return (struct at){ .rd = o->rd, .j = json_is_null(j) ? NULL : j, .up = o, .key = key };
}

struct at at_element(const struct at *a, size_t i)
{
	return (struct at){ .rd = a->rd, .j = json_array_get(a->j, i), .up = a, .i = i };
}

static const char *type_name(const json_t *j)
{
	static const char *const names[] = { "an object", "an array", "a string", "a number", "a number with a fraction", "true", "false", "null" };

	if (json_is_string(j) && str_starts(json_string_value(j), BIG))
		return "a number";
	return j ? names[json_typeof(j)] : "nothing";
}

static int wrong_type(const struct at *v, const char *wanted)
{
	return at_fail(v, "must be %s, not %s", wanted, type_name(v->j));
}

static bool is_string(const json_t *j)
{
	return json_is_string(j) && !str_starts(json_string_value(j), BIG);
}

bool path_has_dotdot(const char *path)
{
	for (const char *p = path; p; p = strchr(p, '/')) {
		p += *p == '/';
		if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || !p[2]))
			return true;
	}
	return false;
}

int at_no_dotdot(const struct at *v, const char *path)
{
	return path_has_dotdot(path) ? at_fail(v, "'%s' must not have a component '..'; write the path that is meant", path) : 0;
}

int at_str(const struct at *v, unsigned flags, const char **ret)
{
	const char *s;

	if (!is_string(v->j))
		return wrong_type(v, "a string");
	s = json_string_value(v->j);
	if (!*s && (flags & (NONEMPTY | REQUIRED)))
		return at_fail(v, "must not be empty");
	if (*s && *s != '/' && (flags & ABSOLUTE))
		return at_fail(v, "'%s' must be an absolute path; put the folder in front", s);
	if ((flags & NO_NEWLINE) && strchr(s, '\n'))
		return at_fail(v, "must not have a line feed");
	*ret = s;
	return 0;
}

static int out_of_range(const struct at *v, int64_t min, uint64_t max)
{
	return at_fail(v, "must be between %" PRId64 " and %" PRIu64, min, max);
}

int at_i64(const struct at *v, int64_t min, int64_t max, int64_t *ret)
{
	int64_t n;

	if (json_is_string(v->j) && !is_string(v->j))
		return out_of_range(v, min, (uint64_t)max);
	if (!json_is_integer(v->j))
		return wrong_type(v, "a whole number");
	n = json_integer_value(v->j);
	if (n < min || n > max)
		return at_fail(v, "%" PRId64 " is not between %" PRId64 " and %" PRId64, n, min, max);
	*ret = n;
	return 0;
}

int at_u64(const struct at *v, uint64_t max, uint64_t *ret)
{
	uint64_t n;

	if (json_is_string(v->j) && !is_string(v->j)) {
		if (parse_u64(json_string_value(v->j) + strlen(BIG), &n) < 0)
			return wrong_type(v, "a whole number");
	} else if (!json_is_integer(v->j)) {
		return wrong_type(v, "a whole number");
	} else if (json_integer_value(v->j) < 0) {
		return out_of_range(v, 0, max);
	} else {
		n = (uint64_t)json_integer_value(v->j);
	}
	if (n > max)
		return out_of_range(v, 0, max);
	*ret = n;
	return 0;
}

int at_bool(const struct at *v, bool *ret)
{
	if (!json_is_boolean(v->j))
		return wrong_type(v, "true or false");
	*ret = json_is_true(v->j);
	return 0;
}

int at_array_len(const struct at *v, size_t *ret)
{
	if (!json_is_array(v->j))
		return wrong_type(v, "an array");
	*ret = json_array_size(v->j);
	return 0;
}

int at_strv(const struct at *v, unsigned flags, struct oci_strv *ret)
{
	size_t n = 0;
	int r = at_array_len(v, &n);

	if (r < 0)
		return r;
	ret->v = oci_alloc(v->rd->arena, (n + 1) * sizeof(char *));
	if (!ret->v)
		return at_no_memory(v);
	for (ret->n = 0; ret->n < n; ret->n++) {
		struct at item = at_element(v, ret->n);
		r = at_str(&item, flags, &ret->v[ret->n]);
		if (r < 0)
			return r;
	}
	return 0;
}

int at_bits(const struct at *v, const char *what, struct oci_bits *ret)
{
	const char *s = "";
	int r = at_str(v, 0, &s);

	if (r < 0 || !*s)
		return r;
	r = oci_bits_parse(v->rd->arena, s, ret);
	if (r == -ENOMEM)
		return at_no_memory(v);
	return r < 0 ? at_fail(v, "'%s' is no list of %s; write it like \"0-3,7\"", s, what) : 0;
}

int at_map(const struct at *v, struct oci_map *ret)
{
	const char *key;
	json_t *j;

	if (!json_is_object(v->j))
		return wrong_type(v, "an object");
	ret->n = 0;
	ret->v = oci_alloc(v->rd->arena, MAX(json_object_size(v->j), (size_t)1) * sizeof(*ret->v));
	if (!ret->v)
		return at_no_memory(v);
	json_object_foreach(v->j, key, j) {
		struct at item = at_member(v, key);
		if (!item.j)
			return wrong_type(&item, "a string");
		if (!*key)
			return at_fail(v, "a key must not be empty");
		int r = at_str(&item, 0, &ret->v[ret->n].value);
		if (r < 0)
			return r;
		ret->v[ret->n++].key = key;
	}
	return 0;
}

const struct name *names_find(const struct names *names, const char *s)
{
	for (size_t i = 0; i < names->n; i++)
		if (streq(names->v[i].name, s))
			return &names->v[i];
	return NULL;
}

static int unknown_name(const struct at *v, const struct names *names, const char *s)
{
	const char *all[64] = { 0 }, *near;
	_cleanup_buf_ struct buf b = { 0 };
	size_t n = MIN(names->n, ARRAY_SIZE(all));

	for (size_t i = 0; i < n; i++) {
		all[i] = names->v[i].name;
		(void)buf_addf(&b, "%s%s", i > 0 ? ", " : "", all[i]);
	}
	near = str_nearest(s, all, n);
	if (near)
		return at_fail(v, "'%s' is not %s; did you mean '%s'?", s, names->what, near);
	if (n > 12 || b.failed)
		return at_fail(v, "'%s' is not %s", s, names->what);
	return at_fail(v, "'%s' is not %s; there are: %.*s", s, names->what, (int)b.len, b.data ? b.data : "");
}

int at_name(const struct at *v, const struct names *names, int64_t *ret)
{
	const struct name *name;
	const char *s = "";
	int r = at_str(v, NONEMPTY, &s);

	if (r < 0)
		return r;
	name = names_find(names, s);
	if (!name)
		return unknown_name(v, names, s);
	*ret = name->value;
	return 0;
}

static int read_list(const struct at *v, const struct field *f, char *to)
{
	size_t n = 0;
	int r = at_array_len(v, &n);

	if (r < 0 || n == 0)
		return r;
	char *items = oci_alloc(v->rd->arena, n * f->size);
	if (!items)
		return at_no_memory(v);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_element(v, i);
		r = at_object(&item, f->sub, items + i * f->size);
	}
	memcpy(to + f->off, &items, sizeof(items));
	memcpy(to + f->has, &n, sizeof(n));
	return r;
}

static int read_new(const struct at *v, const struct field *f, char *to)
{
	void *object = oci_alloc(v->rd->arena, f->size);

	if (!object)
		return at_no_memory(v);
	memcpy(to + f->off, &object, sizeof(object));
	return at_object(v, f->sub, object);
}

static int read_number(const struct at *v, const struct field *f, char *to)
{
	static const struct { int64_t min, max; } range[] = {
		[K_U16] = { 0, UINT16_MAX }, [K_U32] = { 0, UINT32_MAX }, [K_INT] = { INT32_MIN, INT32_MAX },
		[K_I64] = { INT64_MIN, INT64_MAX }, [K_OPT_I64] = { INT64_MIN, INT64_MAX },
	};
	bool given = f->min != 0 || f->max != 0;
	int64_t n = 0;
	int r = at_i64(v, given ? f->min : range[f->kind].min, given ? f->max : range[f->kind].max, &n);

	if (r < 0)
		return r;
	if (f->kind == K_OPT_I64)
		*(struct oci_i64 *)(void *)(to + f->off) = (struct oci_i64){ true, n };
	else if (f->kind == K_I64)
		memcpy(to + f->off, &n, 8);
	else if (f->kind == K_U16)
		memcpy(to + f->off, &(uint16_t){ (uint16_t)n }, 2);
	else
		memcpy(to + f->off, &(uint32_t){ (uint32_t)n }, 4); /* int too: the same bits */
	return 0;
}

static int read_unsigned(const struct at *v, const struct field *f, char *to)
{
	uint64_t n = 0;
	int r = at_u64(v, f->max > 0 ? (uint64_t)f->max : UINT64_MAX, &n);

	if (r < 0)
		return r;
	if (n < (uint64_t)f->min)
		return out_of_range(v, f->min, f->max > 0 ? (uint64_t)f->max : UINT64_MAX);
	if (f->kind == K_OPT_U64)
		*(struct oci_u64 *)(void *)(to + f->off) = (struct oci_u64){ true, n };
	else
		memcpy(to + f->off, &n, 8);
	return 0;
}

static int read_name(const struct at *v, const struct field *f, char *to)
{
	int64_t n = 0;
	int r = at_name(v, f->names, &n);

	if (r >= 0)
		memcpy(to + f->off, &(int){ (int)n }, sizeof(int));
	return r;
}

/* An empty string is as good as none. */
static int read_str(const struct at *v, const struct field *f, char *to)
{
	const char *s = "";
	int r = at_str(v, f->flags, &s);

	if (r >= 0 && *s)
		memcpy(to + f->off, &s, sizeof(s));
	return r;
}

static int read_never(const struct at *v, const struct field *f)
{
	int r = f->read ? f->read(v, NULL) : 0;

	return r < 0 ? r : r > 0 ? 0 : at_fail(v, "%s", f->help);
}

static int read_field(const struct at *v, const struct field *f, void *base)
{
	char *to = base;

	switch (f->kind) {
	case K_BOOL: return at_bool(v, (bool *)(to + f->off));
	case K_STR: return read_str(v, f, to);
	case K_NAME: return read_name(v, f, to);
	case K_U16: case K_U32: case K_INT: case K_I64: case K_OPT_I64: return read_number(v, f, to);
	case K_U64: case K_OPT_U64: return read_unsigned(v, f, to);
	case K_STRV: return at_strv(v, f->flags & ~(unsigned)REQUIRED, (struct oci_strv *)(void *)(to + f->off));
	case K_MAP: return at_map(v, (struct oci_map *)(void *)(to + f->off));
	case K_OBJECT: return at_object(v, f->sub, to + f->off);
	case K_NEW: return read_new(v, f, to);
	case K_LIST: return read_list(v, f, to);
	case K_READ: return f->read(v, to + f->off);
	case K_NEVER: return read_never(v, f);
	case K_CHECKED: return f->read ? f->read(v, to) : 0;
	}
	return -EINVAL;
}

int at_object(const struct at *o, const struct table *t, void *to)
{
	if (!json_is_object(o->j))
		return wrong_type(o, "an object");
	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->v[i];
		struct at v = at_member(o, f->key);
		if (!v.j && (f->flags & REQUIRED))
			return at_fail(&v, "is missing");
		if (!v.j)
			continue;
		int r = read_field(&v, f, to);
		if (r < 0)
			return r;
		if (f->has && f->kind != K_LIST)
			*((bool *)to + f->has) = true;
	}
	return t->check ? t->check(o, to) : 0;
}

/* Number tokens outside of strings that are above INT64_MAX and not above UINT64_MAX: BIG "digits". */
static int add_number(struct buf *b, const char *s, size_t n)
{
	char digits[24];
	uint64_t v;

	if (n >= 19 && n < sizeof(digits) && *s != '0') {
		memcpy(digits, s, n);
		digits[n] = 0;
		if (parse_u64(digits, &v) == 0 && v > INT64_MAX)
			return buf_addf(b, "\"" BIG "%s\"", digits);
	}
	return buf_add(b, s, n);
}

static size_t string_span(const char *s, size_t n)
{
	size_t i = 1;

	while (i < n && s[i] != '"')
		i += s[i] == '\\' ? 2 : 1;
	return MIN(i + 1, n);
}

static size_t number_span(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && ((s[i] >= '0' && s[i] <= '9') || s[i] == '.' || s[i] == 'e' || s[i] == 'E' || s[i] == '+' || s[i] == '-'))
		i++;
	return i;
}

static int big_numbers(const char *text, size_t n, struct buf *b)
{
	size_t i = 0, from = 0;

	while (i < n) {
		if (text[i] == '"') {
			i += string_span(text + i, n - i);
		} else if (text[i] >= '0' && text[i] <= '9') {
			size_t span = number_span(text + i, n - i);
			if (span >= 19) {
				(void)buf_add(b, text + from, i - from);
				(void)add_number(b, text + i, span);
				from = i + span;
			}
			i += span;
		} else if (text[i] == '-') {
			i += number_span(text + i, n - i);
		} else {
			i++;
		}
	}
	if (from > 0)
		(void)buf_add(b, text + from, n - from);
	return b->failed ? -ENOMEM : from > 0;
}

int reader_begin(struct reader *rd, const char *text, size_t n, struct at *ret)
{
	_cleanup_buf_ struct buf b = { 0 };
	json_error_t error;
	json_t *root;
	int r = big_numbers(text, n, &b);

	if (r < 0)
		return err_set(rd->e, r, "%s: not enough memory", rd->file);
	root = json_loadb(r > 0 ? b.data : text, r > 0 ? b.len : n, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return err_set(rd->e, -EBADMSG, "%s:%d: not good JSON: %s", rd->file, error.line, error.text);
	rd->arena = arena_new();
	if (!rd->arena) {
		json_decref(root);
		return err_set(rd->e, -ENOMEM, "%s: not enough memory", rd->file);
	}
	arena_own(rd->arena, root);
	*ret = (struct at){ .rd = rd, .j = root };
	return 0;
}
