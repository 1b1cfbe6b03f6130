/* arena.h: memory of one compilation. Nothing in it is freed by itself; all of it is freed at once.
 * Vectors grow by copying, so they may leave holes. Out of memory: NULL, which every caller hands on as -ENOMEM. */
#ifndef RAST_SUPERVISOR_ARENA_H
#define RAST_SUPERVISOR_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_block;
struct arena {
	struct arena_block *blocks;
	char *pos, *end;
};

void *arena_alloc(struct arena *a, size_t n);                /* zeroed, 8-aligned; NULL without memory */
char *arena_str(struct arena *a, const char *s);
char *arena_strn(struct arena *a, const char *s, size_t n);  /* n bytes and a NUL */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for one more element at the end of the vector *v of n elements. Returns the new element, zeroed, and counts it; NULL without memory. */
void *arena_push(struct arena *a, void *v, unsigned *n, unsigned *cap, size_t size);
void arena_free(struct arena *a);

#define ARENA_NEW(a, type) ((type *)arena_alloc(a, sizeof(type)))
/* v has members v, n, cap */
#define ARENA_PUSH(a, vec) ((__typeof__((vec)->v))arena_push(a, &(vec)->v, &(vec)->n, &(vec)->cap, sizeof(*(vec)->v)))

#endif
