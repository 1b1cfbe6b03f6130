/* scratch.c: memory that lives while one process is being started: a block that is used again each time, and more blocks when it is too
 * small. */
#include "supervisor/process/plan.h"

#include <stdarg.h>
#include <string.h>

#define FIRST_BLOCK 4096u

struct block {
	struct block *next;
	size_t used, size;
	_Alignas(16) char data[];
};

static struct block *blocks; /* the newest first; the last one stays */

void *scratch_alloc(size_t n)
{
	n = (n + 15) & ~(size_t)15;
	if (!blocks || blocks->size - blocks->used < n) {
		size_t size = MAX(n, blocks ? blocks->size * 2 : FIRST_BLOCK);
		struct block *b = malloc(sizeof(*b) + size);
		if (!b)
			return NULL;
		*b = (struct block){.next = blocks, .size = size};
		blocks = b;
	}
	void *p = blocks->data + blocks->used;
	blocks->used += n;
	return memset(p, 0, n);
}

char *scratch_printf(const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	char *p = n < 0 ? NULL : scratch_alloc((size_t)n + 1);
	if (p)
		vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return p;
}

void scratch_reset(void)
{
	while (blocks && blocks->next) {
		struct block *b = blocks;
		blocks = b->next;
		free(b);
	}
	if (blocks)
		blocks->used = 0;
}
