/* arena.c: see arena.h */
#include "vecstore/embed/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define CHUNK 16384u

struct embed_chunk {
	struct embed_chunk *next;
	size_t used, size;
	char bytes[];
};

const char *embed_string(struct embed_chunk **a, const char *s, size_t n)
{
	struct embed_chunk *c = *a;

	if (!c || c->size - c->used < n + 1) {
		size_t size = MAX((size_t)CHUNK, n + 1);
		c = malloc(sizeof(*c) + size);
		if (!c)
			return NULL;
		*c = (struct embed_chunk){.next = *a, .size = size};
		*a = c;
	}
	char *p = c->bytes + c->used;
	if (n)
		memcpy(p, s, n);
	p[n] = '\0';
	c->used += n + 1;
	return p;
}

void embed_strings_free(struct embed_chunk **a)
{
	while (*a) {
		struct embed_chunk *next = (*a)->next;
		free(*a);
		*a = next;
	}
}
