/* export.c: changes as lines. */
#include <stdio.h>
#include "vecstore/base64.h"
#include "vecstore/lines.h"
#include "vecstore/rows.h"

struct export { struct vs_txn *t; vs_line_cb cb; void *data; struct err *e; char uuid[33]; uint64_t version, time_us; json_t *held; /* the line that may be the last of its version */ };

void uuid_text(const uint8_t uuid[16], char text[33])
{
	for (unsigned i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", uuid[i]);
}

int line_crc(json_t *o, char crc[9])
{
	_cleanup_free_ char *text = NULL;

	json_object_del(o, "crc");
	text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	if (!text)
		return -ENOMEM;
	snprintf(crc, 9, "%08x", crc32c(0, text, strlen(text)));
	return 0;
}

static json_t *value_to_json(const struct vs_value *v)
{
	static const char *const kinds[] = { [VS_STRINGS] = "strings", [VS_INTS] = "ints", [VS_FLOATS] = "floats" };
	json_t *list;
	struct vs_value one;

	switch (v->type) {
	case VS_STRING: return json_stringn(v->s.p, v->s.n);
	case VS_INT: return json_integer(v->i);
	case VS_FLOAT: return json_real(v->f);
	case VS_BOOL: return json_boolean(v->b);
	default: break;
	}
	list = json_array();
	for (size_t i = 0; vs_value_at(v, i, &one); i++)
		if (json_array_append_new(list, value_to_json(&one)) < 0) {
			json_decref(list);
			return NULL;
		}
	return json_pack("{s:o}", kinds[v->type], list);
}

json_t *meta_to_json(struct vs_view v)
{
	json_t *o = json_object();
	const char *field;
	struct vs_value x;

	for (size_t pos = 0; vs_view_next(v, &pos, &field, &x);)
		if (json_object_set_new(o, field, value_to_json(&x)) < 0) { /* no memory: not a field less */
			json_decref(o);
			return NULL;
		}
	return o;
}

static int write_line(struct export *x, json_t *o)
{
	_cleanup_free_ char *text = NULL;
	char crc[9];

	if (line_crc(o, crc) < 0 || json_object_set_new(o, "crc", json_string(crc)) < 0)
		return -ENOMEM;
	text = json_dumps(o, JSON_COMPACT);
	return text ? x->cb(text, strlen(text), x->data) : -ENOMEM;
}

/* The version is complete: its last line says so. */
static int finish_version(struct export *x)
{
	_cleanup_json_ json_t *o = TAKE_PTR(x->held);

	if (!o)
		return 0;
	return json_object_set_new(o, "last", json_true()) < 0 ? -ENOMEM : write_line(x, o);
}

/* Steals o. Each line waits for the next one. */
static int emit(struct export *x, const char *op, json_t *o)
{
	_cleanup_json_ json_t *before = TAKE_PTR(x->held);

	if (!o)
		return -ENOMEM;
	x->held = o;
	if (json_object_set_new(o, "rastvec", json_integer(LINE_FORMAT)) < 0 || json_object_set_new(o, "store", json_string(x->uuid)) < 0 ||
	    json_object_set_new(o, "version", json_integer((json_int_t)x->version)) < 0 || json_object_set_new(o, "time", json_integer((json_int_t)x->time_us)) < 0 ||
	    json_object_set_new(o, "op", json_string(op)) < 0)
		return -ENOMEM;
	return before ? write_line(x, before) : 0;
}

static int emit_create(struct export *x, const struct vs_coll *c)
{
	return emit(x, "create", json_pack("{s:s, s:i, s:s, s:s}", "collection", c->name, "dim", (int)c->dim, "metric", vs_metric_name(c->metric), "element", vs_element_name(c->element)));
}

static json_t *vector_to_json(const struct vs_record *r)
{
	_cleanup_free_ float *v = malloc(4ul * r->dim + 4);
	json_t *list = json_array();

	if (v)
		vs_record_vector(r, v);
	for (uint32_t i = 0; v && i < r->dim; i++)
		if (json_array_append_new(list, json_real((double)v[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	return v ? list : (json_decref(list), NULL);
}

static int emit_put(struct export *x, const char *coll, const struct vs_record *r)
{
	json_t *o = json_pack("{s:s, s:s, s:o}", "collection", coll, "id", r->id, "meta", meta_to_json(r->meta));

	if (o && r->dim && json_object_set_new(o, "vector", vector_to_json(r)) < 0) {
		json_decref(o);
		return -ENOMEM;
	}
	return emit(x, "put", o);
}

static int emit_doc(struct export *x, const char *op, const void *key, size_t n, const void *data, size_t len)
{
	_cleanup_buf_ struct buf k = { 0 }, d = { 0 };
	json_t *o;

	if (n >= IMPORT_MARK_LEN && memcmp(key, IMPORT_MARK, IMPORT_MARK_LEN) == 0)
		return 0;
	if (base64_add(&k, key, n) < 0 || base64_add(&d, data, len) < 0)
		return -ENOMEM;
	o = json_pack("{s:s%}", "key", k.data, k.len);
	if (o && data && json_object_set_new(o, "data", json_stringn(d.data ? d.data : "", d.len)) < 0) {
		json_decref(o);
		return -ENOMEM;
	}
	return emit(x, op, o);
}

struct by_number { uint32_t number; struct vs_coll found; bool there; };

static int is_number(const struct vs_coll *c, void *data)
{
	struct by_number *b = data;

	if (c->number == b->number) {
		b->found = *c;
		b->there = true;
	}
	return 0;
}

static int export_put(struct export *x, const struct vs_coll *c, uint64_t row)
{
	struct coll_state *state;
	struct vs_record r;
	int e = txn_coll(x->t, c->name, &state, x->e);

	if (e == 0)
		e = row_get(x->t, T_LIVE, state, row, &r, NULL);
	if (e == -ENOENT)
		e = row_get(x->t, T_OLD, state, row, &r, NULL);
	if (e == -ENOENT) /* purged since, or gone within its transaction: what came after it is in the log too */
		return 0;
	return e < 0 ? err_sys(x->e, e, "collection %s, row %llu", c->name, (unsigned long long)row) : emit_put(x, c->name, &r);
}

static int export_entry(struct export *x, const struct log_entry *en, const uint8_t *key)
{
	char name[KV_KEY_MAX];
	struct by_number b = { .number = en->coll };
	const void *data;
	size_t n;
	int r;

	memcpy(name, key, en->key_len);
	name[en->key_len] = 0;
	switch (en->op) {
	case LOG_DOC:
		/* One that was deleted or replaced since comes where that is written. */
		r = vs_doc_get(x->t, key, en->key_len, &data, &n, NULL);
		return r == -ENOENT ? 0 : r < 0 ? r : emit_doc(x, "doc", key, en->key_len, data, n);
	case LOG_DOC_DELETE: return emit_doc(x, "doc-delete", key, en->key_len, NULL, 0);
	case LOG_TAG: return emit(x, "tag", json_pack("{s:s, s:I}", "tag", name, "to", (json_int_t)en->row));
	case LOG_UNTAG: return emit(x, "untag", json_pack("{s:s}", "tag", name));
	case LOG_DROP: return emit(x, "drop", json_pack("{s:s}", "collection", name));
	case LOG_PURGE: return 0;
	default: break;
	}
	r = vs_coll_each(x->t, is_number, &b, x->e);
	if (r < 0 || !b.there) /* dropped since: the drop is in the log too */
		return r;
	if (en->op == LOG_CREATE)
		return emit_create(x, &b.found);
	if (en->op == LOG_PUT)
		return export_put(x, &b.found, en->row);
	return emit(x, "delete", json_pack("{s:s, s:s}", "collection", b.found.name, "id", name));
}

static int export_chunk(struct export *x, const struct kv_cur *cur)
{
	uint64_t version = get_be64(cur->key.p);
	struct log_entry en;
	struct slice v;
	size_t at = 0;
	int r = cur->key.n == 12 ? kv_cur_value(cur, &v) : -EBADMSG;

	if (r < 0)
		return err_set(x->e, -EBADMSG, "the log is damaged; run rastvec check");
	if (version != x->version) {
		r = finish_version(x);
		x->version = version;
		x->time_us = 0;
	}
	if (get_be32(cur->key.p + 8) == 0 && v.n >= sizeof(struct log_head)) {
		memcpy(&x->time_us, v.p, 8);
		at = sizeof(struct log_head);
	}
	for (; r == 0 && at + sizeof(en) <= v.n; at += sizeof(en) + en.key_len) {
		memcpy(&en, v.p + at, sizeof(en));
		if (en.key_len >= KV_KEY_MAX || en.key_len > v.n - at - sizeof(en))
			return err_set(x->e, -EBADMSG, "the log is damaged; run rastvec check");
		r = export_entry(x, &en, v.p + at + sizeof(en));
	}
	return r;
}

static int export_log(struct export *x, uint64_t since)
{
	_cleanup_kv_cur_ struct kv_cur cur = { 0 };
	uint8_t key[12];
	int r = kv_cur_open(x->t, T_LOG, &cur);

	put_be64(key, since + 1);
	put_be32(key + 8, 0);
	for (r = r < 0 ? r : kv_cur_seek(&cur, key, sizeof(key)); r == 0; r = kv_cur_next(&cur)) {
		r = export_chunk(x, &cur);
		if (r)
			return r;
	}
	return r == -ENOENT ? finish_version(x) : r;
}

/* --- the state as it is now --- */

struct snapshot { struct export *x; const char *coll; };

static int snapshot_record(const struct vs_record *r, void *data)
{
	struct snapshot *s = data;
	return emit_put(s->x, s->coll, r);
}

static int snapshot_coll(const struct vs_coll *c, void *data)
{
	struct snapshot s = { data, c->name };
	int r = emit_create(s.x, c);
	return r ? r : vs_each(s.x->t, c->name, NULL, false, snapshot_record, &s, s.x->e);
}

static int snapshot_doc(const void *key, size_t key_len, const void *data, size_t n, void *arg)
{
	return emit_doc(arg, "doc", key, key_len, data, n);
}

static int export_snapshot(struct export *x)
{
	int r;

	x->version = x->t->head.version;
	x->time_us = wall_us();
	r = vs_coll_each(x->t, snapshot_coll, x, x->e);
	if (r == 0)
		r = vs_doc_each(x->t, "", 0, snapshot_doc, x, x->e);
	return r ? r : finish_version(x);
}

int vs_export(struct vs_txn *t, uint64_t since, vs_line_cb cb, void *data, struct err *e)
{
	struct export x = { .t = t, .cb = cb, .data = data, .e = e };
	int r;

	if (since > t->head.version)
		return err_set(e, -ERANGE, "version %llu has not been written: the newest is %llu", (unsigned long long)since, (unsigned long long)t->head.version);
	if (since > 0 && since + 1 < t->head.log_from)
		return err_set(e, -ESTALE, "the log begins at version %llu: export from the beginning (--since 0)", (unsigned long long)t->head.log_from);
	uuid_text(t->head.uuid, x.uuid);
	r = since == 0 && t->head.log_from > 1 ? export_snapshot(&x) : export_log(&x, since);
	json_decref(x.held);
	return r < 0 && !(e && e->code) ? err_sys(e, r, "export") : r;
}
