/* filter.c: does a record match? */
#include <string.h>
#include "base/mem.h"
#include "vecstore/filter.h"

void vs_filter_free(struct vs_filter *f)
{
	if (!f)
		return;
	vs_filter_free(f->left);
	vs_filter_free(f->right);
	for (size_t i = 0; i < f->n; i++)
		free(f->value[i].s);
	free(f->value);
	free(f->field);
	free(f->text);
	free(f);
}

void vs_filter_freep(struct vs_filter **f)
{
	vs_filter_free(*f);
}

enum { LESS = -1, EQUAL = 0, MORE = 1, APART = 2 /* of another kind */ };

#define ORDER(a, b) ((a) < (b) ? LESS : (a) > (b) ? MORE : EQUAL)

/* An integer of 64 bits and a double, without rounding one to the other. */
static int order_mixed(int64_t i, double f)
{
	int64_t whole;

	if (f >= 9223372036854775808.0)
		return LESS;
	if (f < -9223372036854775808.0)
		return MORE;
	whole = (int64_t)f;
	if (i != whole)
		return ORDER(i, whole);
	return ORDER(0.0, f - (double)whole);
}

static int compare(const struct vs_value *v, const struct literal *l)
{
	switch (v->type) {
	case VS_INT:
		return l->type == VS_INT ? ORDER(v->i, l->i) : l->type == VS_FLOAT ? order_mixed(v->i, l->f) : APART;
	case VS_FLOAT:
		return l->type == VS_FLOAT ? ORDER(v->f, l->f) : l->type == VS_INT ? -order_mixed(l->i, v->f) : APART;
	case VS_BOOL:
		return l->type == VS_BOOL ? ORDER((int)v->b, (int)l->b) : APART;
	case VS_STRING: {
		int c;
		if (l->type != VS_STRING)
			return APART;
		c = memcmp(v->s.p, l->s, MIN(v->s.n, l->n));
		return c ? ORDER(c, 0) : ORDER(v->s.n, l->n);
	}
	default:
		return APART;
	}
}

static bool one_matches(const struct vs_filter *f, const struct vs_value *v)
{
	int c;

	if (f->op == F_PREFIX)
		return v->type == VS_STRING && v->s.n >= f->value[0].n && memcmp(v->s.p, f->value[0].s, f->value[0].n) == 0;
	if (f->op == F_IN) {
		for (size_t i = 0; i < f->n; i++)
			if (compare(v, &f->value[i]) == EQUAL)
				return true;
		return false;
	}
	c = compare(v, &f->value[0]);
	if (c == APART)
		return false;
	switch (f->op) {
	case F_EQ: return c == EQUAL;
	case F_NE: return c != EQUAL;
	case F_LT: return c == LESS;
	case F_LE: return c != MORE;
	case F_GT: return c == MORE;
	default: return c != LESS;
	}
}

static bool list_matches(const struct vs_filter *f, const struct vs_value *list)
{
	struct vs_value v;
	bool comparable = false;

	for (size_t i = 0; vs_value_at(list, i, &v); i++) {
		if (f->op != F_NE && one_matches(f, &v))
			return true;
		if (f->op == F_NE && compare(&v, &f->value[0]) == EQUAL)
			return false;
		comparable |= f->op == F_NE && compare(&v, &f->value[0]) != APART;
	}
	return comparable;
}

static bool field_value(const char *field, const struct vs_record *r, struct vs_value *v)
{
	if (field[0] != '@')
		return vs_view_get(r->meta, field, v);
	*v = (struct vs_value){ .type = VS_INT };
	if (streq(field, "@id")) {
		v->type = VS_STRING;
		v->s.p = r->id;
		v->s.n = strlen(r->id);
	} else {
		v->i = (int64_t)(streq(field, "@version") ? r->version : streq(field, "@row") ? r->row : r->time_us);
	}
	return true;
}

bool vs_filter_match(const struct vs_filter *f, const struct vs_record *r)
{
	struct vs_value v;

	if (!f)
		return true;
	switch (f->op) {
	case F_AND: return vs_filter_match(f->left, r) && vs_filter_match(f->right, r);
	case F_OR: return vs_filter_match(f->left, r) || vs_filter_match(f->right, r);
	case F_NOT: return !vs_filter_match(f->left, r);
	default: break;
	}
	if (!field_value(f->field, r, &v))
		return false;
	if (f->op == F_EXISTS)
		return true;
	return v.type >= VS_STRINGS ? list_matches(f, &v) : one_matches(f, &v);
}
