/* arena.h: strings that live as long as the set that they are in. */
#ifndef RAST_VECSTORE_EMBED_ARENA_H
#define RAST_VECSTORE_EMBED_ARENA_H

#include <stddef.h>

struct embed_chunk;

/* A copy of n bytes and a NUL; NULL without memory. */
const char *embed_string(struct embed_chunk **a, const char *s, size_t n);
void embed_strings_free(struct embed_chunk **a);

#endif
