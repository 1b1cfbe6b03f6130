/* arena.c: memory that is freed at once. */
#include "runtime/spec/read.h"

#include <string.h>

#define CHUNK 8192

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(16) char data[];
};

struct oci_arena {
	struct chunk *chunks;
	json_t *root; /* the document: strings point into it */
};

struct oci_arena *arena_new(void)
{
	return calloc(1, sizeof(struct oci_arena));
}

void arena_own(struct oci_arena *arena, json_t *root)
{
	arena->root = root;
}

void arena_free(struct oci_arena *arena)
{
	if (!arena)
		return;
	for (struct chunk *c = arena->chunks, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	json_decref(arena->root);
	free(arena);
}

void *oci_alloc(struct oci_arena *arena, size_t n)
{
	struct chunk *c = arena->chunks;
	void *p;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + 15) & ~(size_t)15;
	if (!c || c->size - c->used < n) {
		size_t size = MAX(n, (size_t)CHUNK - sizeof(*c));
		c = calloc(1, sizeof(*c) + size);
		if (!c)
			return NULL;
		c->size = size;
		c->next = arena->chunks;
		arena->chunks = c;
	}
	p = c->data + c->used;
	c->used += n;
	return p;
}

char *oci_strdup(struct oci_arena *arena, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = oci_alloc(arena, n);

	return p ? memcpy(p, s, n) : NULL;
}
