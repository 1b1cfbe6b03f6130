/* print.c: records as text and JSON, and what options mean. */
#include <errno.h>
#include <fcntl.h>
#include "vecstore/meta-json.h"
#include "vecstore/tool/tool.h"

int print_json(json_t *o)
{
	_cleanup_free_ char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	if (!text)
		return fail(ST_FAILED, "out of memory");
	puts(text);
	return ST_OK;
}

json_t *record_json(const struct vs_record *r)
{
	json_t *o = json_pack("{s:s, s:I, s:I, s:I}", "id", r->id, "row", (json_int_t)r->row, "version", (json_int_t)r->version, "time", (json_int_t)r->time_us);

	if (r->until)
		json_object_set_new(o, "until", json_integer((json_int_t)r->until));
	if (r->deleted) {
		json_object_set_new(o, "deleted", json_true());
		return o;
	}
	json_object_set_new(o, "meta", meta_to_json(r->meta));
	if (set.vectors && r->dim) {
		_cleanup_free_ float *v = malloc(4ul * r->dim);
		json_t *list = json_array();
		if (v)
			vs_record_vector(r, v);
		for (uint32_t i = 0; v && i < r->dim; i++)
			json_array_append_new(list, json_real((double)v[i]));
		json_object_set_new(o, "vector", list);
	}
	return o;
}

void print_record(const struct vs_record *r)
{
	char when[48];
	json_t *meta = meta_to_json(r->meta);
	const char *field;
	json_t *v;

	print_clean(stdout, r->id);
	printf("  %sversion %llu%s  %s", paint_on(PAINT_DIM), (unsigned long long)r->version, paint_off(), time_text(when, r->time_us));
	if (r->until)
		printf("  until version %llu", (unsigned long long)r->until);
	if (r->deleted)
		printf("  %sdeleted%s", paint_on(PAINT_BAD), paint_off());
	json_object_foreach(meta, field, v) {
		_cleanup_free_ char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
		printf("  %s=%s", field, text ? text : "?");
	}
	json_decref(meta);
	if (set.vectors && r->dim && !r->deleted) {
		_cleanup_free_ float *vec = malloc(4ul * r->dim);
		if (vec)
			vs_record_vector(r, vec);
		for (uint32_t i = 0; vec && i < r->dim; i++)
			printf("%s%.9g", i ? "," : "  [", (double)vec[i]);
		putchar(']');
	}
	putchar('\n');
}

int use_version(struct session *x)
{
	if (set.version >= 0 && vs_as_of(x->t, (uint64_t)set.version, &x->e) < 0)
		return fail_err(&x->e);
	return ST_OK;
}

int use_filter(struct vs_filter **f)
{
	_cleanup_err_ struct err e = { 0 };

	*f = NULL;
	return set.filter && vs_filter_parse(set.filter, f, &e) < 0 ? fail_err(&e) : ST_OK;
}

/* Numbers with commas, white space or brackets between them. */
int numbers_parse(const char *s, float **ret, size_t *n)
{
	size_t room = 0;

	*ret = NULL;
	*n = 0;
	for (s += strspn(s, " \t\r\n,[]"); *s; s += strspn(s, " \t\r\n,[]")) {
		char *end;
		if (*n == room) {
			float *grown = realloc(*ret, (room = room * 2 + 64) * sizeof(*grown));
			if (!grown)
				return -ENOMEM;
			*ret = grown;
		}
		(*ret)[(*n)++] = strtof(s, &end);
		if (end == s || !strchr(" \t\r\n,[]", *end))
			return -EINVAL;
		s = end;
	}
	return 0;
}

static int like(struct session *x, const char *coll, uint32_t dim, float **ret)
{
	struct vs_record rec;

	if (vs_get(x->t, coll, set.like, &rec, &x->e) < 0)
		return fail_err(&x->e);
	*ret = malloc(4ul * dim + 4);
	if (!*ret)
		return fail(ST_FAILED, "out of memory");
	vs_record_vector(&rec, *ret);
	return ST_OK;
}

int use_vector(struct session *x, const char *coll, uint32_t dim, float **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	int r = 0;

	*ret = NULL;
	if (set.like)
		return like(x, coll, dim, ret);
	if (!set.vector)
		return dim == 0 ? ST_OK : fail(ST_USAGE, "a vector of %u numbers is needed: --vector", dim);
	if (streq(set.vector, "-"))
		r = fd_read_all(STDIN_FILENO, 1 << 24, &text, NULL);
	else if (set.vector[0] == '@')
		r = file_read(AT_FDCWD, set.vector + 1, 1 << 24, &text, NULL);
	if (r < 0)
		return fail(r == -ENOENT ? ST_NOT_THERE : ST_FAILED, "read the vector from %s: %s", set.vector, strerror(-r));
	r = numbers_parse(text ? text : set.vector, ret, &n);
	if (r < 0)
		return fail(ST_USAGE, "the vector is no list of numbers");
	return n == dim ? ST_OK : fail(ST_USAGE, "the vector has %zu numbers, collection %s has %u dimensions", n, coll, dim);
}
