/* arena.c: see arena.h. */
#include "supervisor/graph/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

#define BLOCK_SIZE (128 * 1024)

struct arena_block {
	struct arena_block *next;
	uint64_t data[];
};

/* Blocks come from calloc: what arena_alloc gives out is zero since no byte is given out twice. */
static void *new_block(struct arena *a, size_t n)
{
	struct arena_block *b = n > SIZE_MAX - sizeof(*b) ? NULL : calloc(1, sizeof(*b) + n);

	if (!b)
		return NULL;
	b->next = a->blocks;
	a->blocks = b;
	return b->data;
}

void *arena_alloc(struct arena *a, size_t n)
{
	void *p;

	if (n > SIZE_MAX - 7)
		return NULL;
	n = (n + 7) & ~(size_t)7;
	if (n > BLOCK_SIZE / 4)
		return new_block(a, n);
	if ((size_t)(a->end - a->pos) < n) {
		char *block = new_block(a, BLOCK_SIZE);
		if (!block)
			return NULL;
		a->pos = block;
		a->end = block + BLOCK_SIZE;
	}
	p = a->pos;
	a->pos += n;
	return p;
}

char *arena_strn(struct arena *a, const char *s, size_t n)
{
	char *r = arena_alloc(a, n + 1);

	return r ? memcpy(r, s, n) : NULL;
}

char *arena_str(struct arena *a, const char *s)
{
	return arena_strn(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *s = NULL, *r;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	r = arena_strn(a, s, (size_t)n);
	free(s);
	return r;
}

void *arena_push(struct arena *a, void *v, unsigned *n, unsigned *cap, size_t size)
{
	char *p;

	memcpy(&p, v, sizeof(p));
	if (*n == *cap) {
		unsigned bigger = *cap ? 2 * *cap : 4;
		char *q = bigger > *cap ? arena_alloc(a, bigger * size) : NULL;
		if (!q)
			return NULL;
		if (*n > 0)
			memcpy(q, p, *n * size);
		memcpy(v, &q, sizeof(q));
		*cap = bigger;
		p = q;
	}
	p += *n * size;
	memset(p, 0, size); /* a vector that was cut short is filled again */
	(*n)++;
	return p;
}

void arena_free(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *b = a->blocks;
		a->blocks = b->next;
		free(b);
	}
	a->pos = a->end = NULL;
}
