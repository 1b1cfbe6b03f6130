/* pages.h: LMDB's file format (version 1: lmdb.h 0.9, "mdb.c: page format"), read without believing any of it.
 *
 * liblmdb takes its file on trust: a damaged page crashes it. Here every page number, offset, length and flag is checked before it
 * is followed. Used by VS_NOLOCK readers, `check` and `repair`. Errors are -EBADMSG. */
#ifndef RAST_VECSTORE_PAGES_H
#define RAST_VECSTORE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct slice { const uint8_t *p; size_t n; };

#define PAGE_NONE UINT64_MAX
#define TREE_DEPTH_MAX 24
enum { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8 };
enum { NODE_BIG = 1, NODE_TREE = 2 };

struct tree { uint64_t branch, leaf, overflow, entries, root; uint16_t flags, depth; };
struct pages {
	const uint8_t *map;
	size_t len;
	uint32_t psize;
	uint64_t n;          /* pages in the file */
	uint64_t last, txnid;
	struct tree free, main;
	unsigned metas;      /* how many of the two meta pages are sound */
	uint64_t mapsize, other_txnid; bool apart; /* other_txnid: of the older meta page, when it is sound */
};

/* A page that passed its checks. */
struct page { const uint8_t *p; uint64_t number; unsigned flags, n, lower, upper; };
struct node { struct slice key, value; unsigned flags; uint64_t child; };

/* Map the file and choose the newer sound meta page. -ENOENT, -EBADMSG. The file may be shorter than it says: such pages are then damaged. */
int pages_open(int dirfd, const char *name, bool even_so, struct pages *ret, struct err *e); /* even_so: also when it can't be told which meta page is the newer one */
void pages_close(struct pages *p);
int pages_in_memory(const uint8_t *map, size_t len, struct pages *ret); /* for pages_open, repair and fuzzers; borrows */
int page_get(const struct pages *p, uint64_t number, struct page *ret);
int page_node(const struct page *pg, unsigned i, struct node *ret);      /* of a leaf, with NODE_BIG: value is the bare reference */
/* The value of a NODE_BIG node: *first and *count are its pages. */
int node_big(const struct pages *p, const struct node *n, struct slice *value, uint64_t *first, uint64_t *count);
int tree_find(const struct pages *p, const char *name, struct tree *ret); /* a named table in the main one */
int tree_decode(const struct slice *value, struct tree *ret);
int key_cmp(struct slice a, struct slice b);

struct tree_cur {
	const struct pages *p;
	struct tree t;
	unsigned depth;
	struct { struct page pg; unsigned i; } at[TREE_DEPTH_MAX];
};
void tree_cur_init(struct tree_cur *c, const struct pages *p, const struct tree *t);
int tree_cur_seek(struct tree_cur *c, struct slice key, struct slice *k, struct slice *v);
int tree_cur_step(struct tree_cur *c, int by, struct slice *k, struct slice *v); /* by: 1 or -1 */
int tree_cur_first(struct tree_cur *c, struct slice *k, struct slice *v);
int tree_cur_last(struct tree_cur *c, struct slice *k, struct slice *v);

#endif
