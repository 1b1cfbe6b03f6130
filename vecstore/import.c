/* import.c: lines become changes again: each version of their store once, in one transaction with the mark that says so. */
#include <math.h>
#include <stdio.h>
#include "vecstore/base64.h"
#include "vecstore/lines.h"

#define LINE_MAX_BYTES (64u << 20)

struct vs_import {
	struct vs *s;
	struct vs_txn *t;        /* of the version that is being applied */
	char store[33];
	uint64_t version, mark;  /* mark: up to there it has been imported before */
	bool known;              /* mark has been read for `store` */
	struct vs_imported sum;
};

int meta_from_json(json_t *o, struct vs_meta *m)
{
	const char *field, *kind;
	json_t *v, *list, *one;
	size_t i;

	json_object_foreach(o, field, v) {
		_cleanup_free_ void *values = NULL;
		size_t n;

		if (json_is_string(v))
			vs_meta_string(m, field, json_string_value(v));
		else if (json_is_integer(v))
			vs_meta_int(m, field, json_integer_value(v));
		else if (json_is_real(v))
			vs_meta_float(m, field, json_real_value(v));
		else if (json_is_boolean(v))
			vs_meta_bool(m, field, json_is_true(v));
		else if (!json_is_object(v) || json_object_size(v) != 1)
			return -EINVAL;
		if (!json_is_object(v))
			continue;
		kind = json_object_iter_key(json_object_iter(v));
		list = json_object_get(v, kind);
		n = json_array_size(list);
		values = calloc(n + 1, 8);
		if (!json_is_array(list) || !values)
			return -EINVAL;
		json_array_foreach(list, i, one) {
			if (streq(kind, "strings") && json_is_string(one))
				((const char **)values)[i] = json_string_value(one);
			else if (streq(kind, "ints") && json_is_integer(one))
				((int64_t *)values)[i] = json_integer_value(one);
			else if (streq(kind, "floats") && json_is_number(one))
				((double *)values)[i] = json_number_value(one);
			else
				return -EINVAL;
		}
		if (streq(kind, "strings"))
			vs_meta_strings(m, field, values, n);
		else if (streq(kind, "ints"))
			vs_meta_ints(m, field, values, n);
		else if (streq(kind, "floats"))
			vs_meta_floats(m, field, values, n);
		else
			return -EINVAL;
	}
	return m->failed;
}

static const char *text(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static int do_create(struct vs_import *im, json_t *o, struct err *e)
{
	int metric = vs_metric_parse(text(o, "metric")), element = vs_element_parse(text(o, "element"));
	json_int_t dim = json_integer_value(json_object_get(o, "dim"));
	struct vs_coll c;

	if (metric < 0 || element < 0 || dim < 0 || dim > VS_DIM_MAX)
		return err_set(e, -EINVAL, "a collection with an impossible dimension, metric or element");
	if (vs_coll_find(im->t, text(o, "collection"), &c, NULL) < 0)
		return vs_coll_create(im->t, text(o, "collection"), (uint32_t)dim, (enum vs_metric)metric, (enum vs_element)element, e);
	if (c.dim == (uint32_t)dim && (int)c.metric == metric && (int)c.element == element)
		return 0;
	return err_set(e, -EEXIST, "collection '%s' exists here with another dimension, metric or element", c.name);
}

static int do_put(struct vs_import *im, json_t *o, struct err *e)
{
	_cleanup_vs_meta_ struct vs_meta m = { 0 };
	json_t *list = json_object_get(o, "vector");
	size_t n = json_array_size(list), i;
	_cleanup_free_ float *v = malloc(4 * n + 4);
	json_t *one;
	struct vs_coll c;
	int r = vs_coll_find(im->t, text(o, "collection"), &c, e);

	if (r < 0)
		return r;
	if (!v)
		return err_set(e, -ENOMEM, "out of memory");
	if (n != c.dim)
		return err_set(e, -EINVAL, "record '%s': %zu numbers for %u dimensions", text(o, "id"), n, c.dim);
	json_array_foreach(list, i, one) {
		if (!json_is_number(one))
			return err_set(e, -EINVAL, "record '%s': its vector has something else than numbers", text(o, "id"));
		v[i] = fabs(json_number_value(one)) <= 3.5e38 ? (float)json_number_value(one) : INFINITY; /* which vs_put refuses */
	}
	if (meta_from_json(json_object_get(o, "meta"), &m) < 0)
		return err_set(e, -EINVAL, "record '%s': its metadata is malformed", text(o, "id"));
	return vs_put(im->t, text(o, "collection"), VS_UPSERT, text(o, "id"), n ? v : NULL, &m, e);
}

/* What is to go and is not there is gone. */
static int unless_gone(int r, struct err *e)
{
	if (r == -ENOENT && e)
		err_clear(e);
	return r == -ENOENT ? 0 : r;
}

static int do_delete(struct vs_import *im, json_t *o, struct err *e)
{
	return unless_gone(vs_delete(im->t, text(o, "collection"), text(o, "id"), e), e);
}

static int do_drop(struct vs_import *im, json_t *o, struct err *e)
{
	return unless_gone(vs_coll_drop(im->t, text(o, "collection"), e), e);
}

static int do_doc(struct vs_import *im, json_t *o, struct err *e)
{
	_cleanup_buf_ struct buf key = { 0 }, data = { 0 };
	const char *k = text(o, "key"), *d = text(o, "data");

	if (base64_decode(k, strlen(k), &key) < 0 || base64_decode(d, strlen(d), &data) < 0)
		return err_set(e, -EINVAL, "a document whose key or data is no base64");
	if (key.len >= IMPORT_MARK_LEN && memcmp(key.data, IMPORT_MARK, IMPORT_MARK_LEN) == 0)
		return err_set(e, -EINVAL, "a document with a key that is ours");
	if (streq(text(o, "op"), "doc"))
		return vs_doc_put(im->t, key.data, key.len, data.data ? data.data : "", data.len, e);
	return unless_gone(vs_doc_delete(im->t, key.data, key.len, e), e);
}

/* The other store's versions are not ours: a tag is set to what we are about to become, when it names what we have just applied. */
static int do_tag(struct vs_import *im, json_t *o, struct err *e)
{
	uint64_t to = (uint64_t)json_integer_value(json_object_get(o, "to")), have;

	if (streq(text(o, "op"), "untag"))
		return vs_tag_find(im->t, text(o, "tag"), &have, NULL) < 0 ? 0 : vs_untag(im->t, text(o, "tag"), e);
	return to >= im->mark ? vs_tag(im->t, text(o, "tag"), to == im->version ? vs_version(im->t) : vs_version(im->t) - 1, e) : 0;
}

static const struct { const char *op; int (*apply)(struct vs_import *im, json_t *o, struct err *e); } ops[] = {
	{ "put", do_put }, { "delete", do_delete }, { "create", do_create }, { "drop", do_drop }, { "doc", do_doc }, { "doc-delete", do_doc }, { "tag", do_tag }, { "untag", do_tag },
};

int vs_import_begin(struct vs *s, struct vs_import **ret, struct err *e)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return err_set(e, -ENOMEM, "import: out of memory");
	(*ret)->s = s;
	return 0;
}

static size_t mark_key(const struct vs_import *im, char key[64])
{
	return (size_t)snprintf(key, 64, "%s%s", IMPORT_MARK, im->store);
}

/* Begin with a version: read how far its store has come, when it is another one than before. */
static int begin_version(struct vs_import *im, const char *store, uint64_t version, struct err *e)
{
	char key[64], own[33];
	const void *data;
	size_t n;
	int r = vs_begin(im->s, VS_WRITE, &im->t, e);

	if (r < 0)
		return r;
	if (!streq(store, im->store)) {
		snprintf(im->store, sizeof(im->store), "%s", store);
		im->mark = 0;
		if (vs_doc_get(im->t, key, mark_key(im, key), &data, &n, NULL) == 0 && n == 8)
			memcpy(&im->mark, data, 8);
		uuid_text(im->t->head.uuid, own);
		if (streq(own, store)) /* our own changes */
			im->mark = im->t->head.version;
	}
	im->version = version;
	return 0;
}

static int end_version(struct vs_import *im, struct err *e)
{
	char key[64];
	int r = 0;

	if (im->version > im->mark) {
		r = vs_doc_put(im->t, key, mark_key(im, key), &im->version, 8, e);
		if (r == 0)
			r = vs_commit(&im->t, NULL, e);
		if (r == 0) {
			im->mark = im->version;
			im->sum.versions++;
		}
	}
	vs_abort(&im->t);
	return r;
}

static int apply(struct vs_import *im, json_t *o, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (streq(ops[i].op, text(o, "op")))
			return ops[i].apply(im, o, e);
	return err_set(e, -EINVAL, "the change '%s' is not known", text(o, "op"));
}

static int line(struct vs_import *im, json_t *o, struct err *e)
{
	uint64_t version = (uint64_t)json_integer_value(json_object_get(o, "version"));
	const char *store = text(o, "store");
	int r = 0;

	if (json_integer_value(json_object_get(o, "rastvec")) != LINE_FORMAT)
		return err_set(e, -EPROTONOSUPPORT, "no line of rastvec export, or of another format");
	if (strlen(store) != 32 || version == 0)
		return err_set(e, -EINVAL, "a line without store or version");
	if (im->t && (im->version != version || !streq(store, im->store)))
		return err_set(e, -EINVAL, "version %llu has no last line: the lines are not all there, or not in order", (unsigned long long)im->version);
	if (!im->t)
		r = begin_version(im, store, version, e);
	if (r == 0 && version > im->mark)
		r = apply(im, o, e);
	if (r < 0)
		return r;
	++*(version > im->mark ? &im->sum.applied : &im->sum.skipped);
	return json_is_true(json_object_get(o, "last")) ? end_version(im, e) : 0;
}

int vs_import_line(struct vs_import *im, const char *in, size_t n, struct err *e)
{
	json_error_t why;
	char want[9], crc[9];
	int r;

	im->sum.lines++;
	if (n > LINE_MAX_BYTES)
		return err_set(e, -E2BIG, "line %llu: longer than %u bytes", (unsigned long long)im->sum.lines, LINE_MAX_BYTES);
	_cleanup_json_ json_t *o = json_loadb(in, n, JSON_REJECT_DUPLICATES, &why);
	if (!json_is_object(o))
		return err_set(e, -EINVAL, "line %llu: %s", (unsigned long long)im->sum.lines, o ? "no object" : why.text);
	snprintf(want, sizeof(want), "%s", text(o, "crc"));
	if (line_crc(o, crc) < 0 || !streq(crc, want))
		return err_set(e, -EBADMSG, "line %llu: its checksum is wrong: it has been changed on the way", (unsigned long long)im->sum.lines);
	r = line(im, o, e);
	if (r < 0 && e)
		err_prefix(e, "line %llu", (unsigned long long)im->sum.lines);
	return r;
}

int vs_import_end(struct vs_import **pim, struct vs_imported *ret, struct err *e)
{
	struct vs_import *im = *pim;
	int r = 0;

	*pim = NULL;
	if (ret)
		*ret = im->sum;
	if (im->t)
		r = err_set(e, -ENODATA, "version %llu was cut short, and has not been applied", (unsigned long long)im->version);
	vs_abort(&im->t);
	free(im);
	return r;
}
