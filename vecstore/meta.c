/* meta.c: metadata: typed fields in one piece of memory, sorted by name, each checked when it is read.
 *
 * A field: type u8, length of the name u8, name, NUL, value. Values: string u32 length, bytes, NUL; int and float 8 bytes; bool 1;
 * lists u32 count, u32 bytes, then the elements. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include "vecstore/meta.h"

static uint32_t u32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }

/* Length of a value at p, or 0 when it doesn't fit into room. */
static size_t value_len(unsigned type, const uint8_t *p, size_t room)
{
	size_t n;

	switch (type) {
	case VS_INT: case VS_FLOAT: return room >= 8 ? 8 : 0;
	case VS_BOOL: return room >= 1 && p[0] <= 1 ? 1 : 0;
	case VS_STRING:
		if (room < 5 || u32(p) > room - 5 || p[4 + u32(p)] != 0)
			return 0;
		return 5 + u32(p);
	case VS_STRINGS: case VS_INTS: case VS_FLOATS:
		if (room < 8 || u32(p + 4) > room - 8)
			return 0;
		n = u32(p + 4);
		if (type != VS_STRINGS)
			return n == 8ul * u32(p) ? 8 + n : 0;
		return n >= 5ul * u32(p) ? 8 + n : 0;
	default: return 0;
	}
}

static void value_decode(unsigned type, const uint8_t *p, struct vs_value *ret)
{
	ret->type = type;
	switch (type) {
	case VS_INT: memcpy(&ret->i, p, 8); break;
	case VS_FLOAT: memcpy(&ret->f, p, 8); break;
	case VS_BOOL: ret->b = p[0]; break;
	case VS_STRING: ret->s.p = (const char *)p + 4; ret->s.n = u32(p); break;
	default: ret->list.p = p + 8; ret->list.n = u32(p); ret->list.bytes = u32(p + 4); break;
	}
}

bool vs_view_next(struct vs_view v, size_t *pos, const char **field, struct vs_value *ret)
{
	size_t room = *pos < v.n ? v.n - *pos : 0, name, n;
	const uint8_t *p;

	if (room < 3)
		return false;
	p = (const uint8_t *)v.data + *pos;
	name = p[1];
	if (name > VS_FIELD_MAX || room < 3 + name || p[2 + name] != 0)
		return false;
	n = value_len(p[0], p + 3 + name, room - 3 - name);
	if (n == 0)
		return false;
	*field = (const char *)p + 2;
	value_decode(p[0], p + 3 + name, ret);
	*pos += 3 + name + n;
	return true;
}

bool vs_value_at(const struct vs_value *list, size_t i, struct vs_value *ret)
{
	const uint8_t *p = list->list.p;
	size_t room = list->list.bytes;

	if (list->type < VS_STRINGS || i >= list->list.n)
		return false;
	if (list->type != VS_STRINGS) {
		value_decode(list->type == VS_INTS ? VS_INT : VS_FLOAT, p + 8 * i, ret);
		return true;
	}
	for (;; i--) {
		size_t n = value_len(VS_STRING, p, room);
		if (n == 0)
			return false;
		if (i == 0)
			break;
		p += n;
		room -= n;
	}
	value_decode(VS_STRING, p, ret);
	return true;
}

bool vs_view_get(struct vs_view v, const char *field, struct vs_value *ret)
{
	const char *name;

	for (size_t pos = 0; vs_view_next(v, &pos, &name, ret);)
		if (streq(name, field))
			return true;
	return false;
}

const char *vs_view_string(struct vs_view v, const char *field, const char *otherwise)
{
	struct vs_value x;
	return vs_view_get(v, field, &x) && x.type == VS_STRING ? x.s.p : otherwise;
}

int64_t vs_view_int(struct vs_view v, const char *field, int64_t otherwise)
{
	struct vs_value x;
	return vs_view_get(v, field, &x) && x.type == VS_INT ? x.i : otherwise;
}

double vs_view_float(struct vs_view v, const char *field, double otherwise)
{
	struct vs_value x;
	if (!vs_view_get(v, field, &x))
		return otherwise;
	return x.type == VS_FLOAT ? x.f : x.type == VS_INT ? (double)x.i : otherwise;
}

bool vs_view_bool(struct vs_view v, const char *field, bool otherwise)
{
	struct vs_value x;
	return vs_view_get(v, field, &x) && x.type == VS_BOOL ? x.b : otherwise;
}

/* --- building --- */

bool field_valid(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > VS_FIELD_MAX || (s[0] >= '0' && s[0] <= '9') || s[0] == '.' || s[0] == '-')
		return false;
	for (; *s; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || *s == '_' || *s == '.' || *s == '-'))
			return false;
	return true;
}

bool meta_valid(struct vs_view v)
{
	const char *name, *last = "";
	struct vs_value x, y;
	size_t pos = 0;

	while (pos < v.n) {
		if (!vs_view_next(v, &pos, &name, &x) || !field_valid(name) || strcmp(name, last) <= 0)
			return false;
		last = name;
		if (x.type == VS_FLOAT && !isfinite(x.f))
			return false;
		if (x.type == VS_STRINGS && x.list.n > 0 && !vs_value_at(&x, x.list.n - 1, &y))
			return false;
	}
	return true;
}

static void fail(struct vs_meta *m, int r)
{
	if (m->failed == 0)
		m->failed = r;
}

/* Put an encoded field where its name belongs, in place of an older one of that name. */
static void place(struct vs_meta *m, const char *field, const struct buf *f)
{
	struct vs_view old = { m->b.data, m->b.len };
	struct buf out = { 0 };
	const char *name;
	struct vs_value x;
	bool done = false;

	for (size_t pos = 0, from = 0; vs_view_next(old, &pos, &name, &x); from = pos) {
		int c = strcmp(name, field);
		if (c >= 0 && !done) {
			buf_add(&out, f->data, f->len);
			done = true;
		}
		if (c != 0)
			buf_add(&out, m->b.data + from, pos - from);
	}
	if (!done)
		buf_add(&out, f->data, f->len);
	if (out.failed || out.len > VS_META_MAX) {
		fail(m, out.failed ? -ENOMEM : -E2BIG);
		buf_free(&out);
		return;
	}
	buf_free(&m->b);
	m->b = out;
}

static void set(struct vs_meta *m, const char *field, unsigned type, const void *value, size_t n)
{
	_cleanup_buf_ struct buf f = { 0 };
	uint8_t head[2] = { (uint8_t)type, 0 };

	if (!field_valid(field)) {
		fail(m, -EINVAL);
		return;
	}
	head[1] = (uint8_t)strlen(field);
	buf_add(&f, head, 2);
	buf_add(&f, field, head[1] + 1u);
	buf_add(&f, value, n);
	if (f.failed)
		fail(m, -ENOMEM);
	else
		place(m, field, &f);
}

static void add_string(struct buf *b, const char *s, size_t n)
{
	uint32_t len = (uint32_t)n;

	buf_add(b, &len, 4);
	buf_add(b, s, n);
	buf_add(b, "", 1);
}

void meta_set_string(struct vs_meta *m, const char *field, const char *value, size_t n)
{
	_cleanup_buf_ struct buf b = { 0 };

	if (n > VS_META_MAX || memchr(value, 0, n)) {
		fail(m, n > VS_META_MAX ? -E2BIG : -EINVAL);
		return;
	}
	add_string(&b, value, n);
	if (b.failed)
		fail(m, -ENOMEM);
	else
		set(m, field, VS_STRING, b.data, b.len);
}

void vs_meta_string(struct vs_meta *m, const char *field, const char *value) { meta_set_string(m, field, value, strlen(value)); }
void vs_meta_int(struct vs_meta *m, const char *field, int64_t value) { set(m, field, VS_INT, &value, 8); }
void vs_meta_bool(struct vs_meta *m, const char *field, bool value) { set(m, field, VS_BOOL, &(uint8_t){ value }, 1); }

void vs_meta_float(struct vs_meta *m, const char *field, double value)
{
	if (isfinite(value))
		set(m, field, VS_FLOAT, &value, 8);
	else
		fail(m, -EINVAL);
}

static void set_list(struct vs_meta *m, const char *field, unsigned type, const struct buf *b, size_t n)
{
	_cleanup_buf_ struct buf l = { 0 };
	uint32_t head[2] = { (uint32_t)n, (uint32_t)b->len };

	if (b->failed || b->len > VS_META_MAX) {
		fail(m, b->failed ? -ENOMEM : -E2BIG);
		return;
	}
	buf_add(&l, head, 8);
	if (b->len)
		buf_add(&l, b->data, b->len);
	if (l.failed)
		fail(m, -ENOMEM);
	else
		set(m, field, type, l.data, l.len);
}

void vs_meta_strings(struct vs_meta *m, const char *field, const char *const *values, size_t n)
{
	_cleanup_buf_ struct buf b = { 0 };

	for (size_t i = 0; i < n; i++)
		add_string(&b, values[i], strlen(values[i]));
	set_list(m, field, VS_STRINGS, &b, n);
}

void vs_meta_ints(struct vs_meta *m, const char *field, const int64_t *values, size_t n)
{
	_cleanup_buf_ struct buf b = { 0 };

	if (n)
		buf_add(&b, values, n * 8);
	set_list(m, field, VS_INTS, &b, n);
}

void vs_meta_floats(struct vs_meta *m, const char *field, const double *values, size_t n)
{
	_cleanup_buf_ struct buf b = { 0 };

	for (size_t i = 0; i < n; i++)
		if (!isfinite(values[i])) {
			fail(m, -EINVAL);
			return;
		}
	if (n)
		buf_add(&b, values, n * 8);
	set_list(m, field, VS_FLOATS, &b, n);
}

void vs_meta_free(struct vs_meta *m)
{
	buf_free(&m->b);
	*m = (struct vs_meta){ 0 };
}
