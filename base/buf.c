/* buf.c: the growing byte buffer of str.h. There is always a NUL behind the data, so that it can be read as a string. */
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>

/* Room for n more bytes and the NUL. */
static int reserve(struct buf *b, size_t n)
{
	size_t want, cap = b->cap ? b->cap : 64;
	char *p;

	if (b->failed || __builtin_add_overflow(b->len, n, &want) || want > SIZE_MAX / 2 - 1)
		goto fail;
	if (want < b->cap)
		return 0;
	while (cap <= want)
		cap *= 2;
	p = realloc(b->data, cap);
	if (!p)
		goto fail;
	b->data = p;
	b->cap = cap;
	return 0;
fail:
	b->failed = true;
	return -ENOMEM;
}

int buf_add(struct buf *b, const void *p, size_t n)
{
	int r = reserve(b, n);

	if (r < 0)
		return r;
	if (n > 0)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = 0;
	return 0;
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	r = n < 0 ? -EINVAL : reserve(b, (size_t)n);
	if (r < 0) {
		b->failed = true;
		return r;
	}
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}
