/* failing-malloc.h: an allocator of which a test says when it has no more memory, and which counts what is not freed. For one test program each. */
#ifndef RAST_TESTS_FAILING_MALLOC_H
#define RAST_TESTS_FAILING_MALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

static long left = -1;     /* allocations that still succeed; -1: all */
static bool for_good, hit; /* whether all further ones fail too; whether one has */
static long live;

static bool fails(void)
{
	if (left < 0 || left-- > 0)
		return false;
	left = for_good ? 0 : -1;
	hit = true;
	errno = ENOMEM;
	return true;
}

/* These take the place of glibc's (malloc(3), "Replacing malloc" of its manual). */
void *malloc(size_t n)
{
	void *p = fails() ? NULL : __libc_malloc(n);
	live += p != NULL;
	return p;
}

void *calloc(size_t n, size_t size)
{
	void *p = fails() ? NULL : __libc_calloc(n, size);
	live += p != NULL;
	return p;
}

void *realloc(void *old, size_t n)
{
	void *p = fails() ? NULL : __libc_realloc(old, n);
	live += p && !old;
	return p;
}

void *aligned_alloc(size_t align, size_t n)
{
	void *p = fails() ? NULL : __libc_memalign(align, n);
	live += p != NULL;
	return p;
}

int posix_memalign(void **to, size_t align, size_t n)
{
	*to = aligned_alloc(align, n);
	return *to ? 0 : ENOMEM;
}

void free(void *p)
{
	live -= p != NULL;
	__libc_free(p);
}

#endif
