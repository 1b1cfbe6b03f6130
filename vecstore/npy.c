/* npy.c: NumPy's .npy (numpy.lib.format: magic, version, length of the header, a Python dictionary, the numbers). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "vecstore/vector.h"

/* The value behind 'key': in the header; NULL when it is not there. */
static const char *value_of(const char *head, const char *key)
{
	char quoted[32];
	const char *p;

	snprintf(quoted, sizeof(quoted), "'%s'", key);
	p = strstr(head, quoted);
	if (!p)
		return NULL;
	p += strlen(quoted);
	p += strspn(p, " ");
	if (*p++ != ':')
		return NULL;
	return p + strspn(p, " ");
}

static bool number(const char **p, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	const char *s = *p;

	for (; *s >= '0' && *s <= '9'; s++) {
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > max)
			return false;
	}
	if (s == *p)
		return false;
	*p = s + strspn(s, " ,");
	*ret = v;
	return true;
}

static int parse_head(const char *head, struct vs_npy *ret, struct err *e)
{
	static const struct { const char *descr; char kind; } kinds[] = { { "'<f4'", 4 }, { "'<f8'", 8 }, { "'<f2'", 2 }, { "'|i1'", 1 } };
	const char *descr = value_of(head, "descr"), *fortran = value_of(head, "fortran_order"), *shape = value_of(head, "shape");
	uint64_t dim;

	for (size_t i = 0; i < ARRAY_SIZE(kinds) && descr; i++)
		if (str_starts(descr, kinds[i].descr))
			ret->kind = kinds[i].kind;
	if (!ret->kind)
		return err_set(e, -EINVAL, "npy: its numbers are not '<f4', '<f8', '<f2' or '|i1'");
	if (!fortran || !str_starts(fortran, "False"))
		return err_set(e, -EINVAL, "npy: the array is not in C order");
	if (!shape || *shape++ != '(' || !number(&shape, UINT32_MAX, &ret->n) || !number(&shape, VS_DIM_MAX, &dim) || *shape != ')' || dim == 0)
		return err_set(e, -EINVAL, "npy: the array has not two dimensions, rows and up to %u numbers", VS_DIM_MAX);
	ret->dim = (uint32_t)dim;
	return 0;
}

int vs_npy_parse(const void *data, size_t n, struct vs_npy *ret, struct err *e)
{
	const uint8_t *p = data;
	size_t at, len;
	char head[4096];
	int r;

	*ret = (struct vs_npy){ 0 };
	if (n < 12 || memcmp(p, "\x93NUMPY", 6) != 0 || p[6] < 1 || p[6] > 3)
		return err_set(e, -EINVAL, "npy: this is no .npy file");
	at = p[6] == 1 ? 10 : 12;
	len = p[8] | (size_t)p[9] << 8 | (p[6] > 1 ? (size_t)p[10] << 16 | (size_t)p[11] << 24 : 0);
	if (len >= sizeof(head) || len > n - at)
		return err_set(e, -EINVAL, "npy: its header is too long");
	memcpy(head, p + at, len);
	head[len] = 0;
	r = parse_head(head, ret, e);
	if (r < 0)
		return r;
	at += len;
	if (ret->n * ret->dim * (unsigned)ret->kind != n - at)
		return err_set(e, -EINVAL, "npy: %zu bytes of numbers for %llu rows of %u", n - at, (unsigned long long)ret->n, ret->dim);
	ret->rows = p + at;
	return 0;
}

void vs_npy_row(const struct vs_npy *a, uint64_t i, float *to)
{
	const uint8_t *p = a->rows + i * a->dim * (unsigned)a->kind;

	for (uint32_t k = 0; k < a->dim; k++, p += a->kind) {
		double d;
		uint16_t h;
		if (a->kind == 4) {
			memcpy(&to[k], p, 4);
		} else if (a->kind == 8) {
			memcpy(&d, p, 8);
			to[k] = d > 3.4028234e38 || d < -3.4028234e38 ? (d > 0 ? 1 : -1) * __builtin_inff() : (float)d;
		} else if (a->kind == 2) {
			memcpy(&h, p, 2);
			to[k] = f16_to(h);
		} else {
			to[k] = (float)*(const int8_t *)p;
		}
	}
}

size_t vs_npy_head(char head[128], uint64_t n, uint32_t dim)
{
	static const char magic[10] = { '\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, 118, 0 }; /* 118 bytes follow: the whole is a multiple of 64 */
	char text[118];

	snprintf(text, sizeof(text), "{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %u), }", (unsigned long long)n, dim);
	memset(head, ' ', 128);
	for (size_t i = 0; i < sizeof(magic); i++)
		head[i] = magic[i];
	for (size_t i = 0; text[i]; i++)
		head[sizeof(magic) + i] = text[i];
	head[127] = '\n';
	return 128;
}
