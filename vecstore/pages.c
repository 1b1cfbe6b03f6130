/* pages.c: see pages.h. Offsets are those of struct MDB_page, MDB_node, MDB_meta and MDB_db of lmdb 0.9's mdb.c on a 64-bit machine. */
#include "vecstore/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include "base/mem.h"
#include "base/sys.h"

#define PAGE_HEAD 16u
#define NODE_HEAD 8u
#define META_MAGIC 0xbeefc0deu
#define META_VERSION 1u
#define DB_SIZE 48u
#define META_SIZE (PAGE_HEAD + 24 + 2 * DB_SIZE + 16)

static uint16_t u16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static uint32_t u32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static uint64_t u64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return v; }

int key_cmp(struct slice a, struct slice b)
{
	int c = memcmp(a.p, b.p, MIN(a.n, b.n));
	return c ? c : (a.n > b.n) - (a.n < b.n);
}

int tree_decode(const struct slice *value, struct tree *ret)
{
	const uint8_t *p = value->p;

	if (value->n != DB_SIZE)
		return -EBADMSG;
	*ret = (struct tree){ .flags = u16(p + 4), .depth = u16(p + 6), .branch = u64(p + 8), .leaf = u64(p + 16), .overflow = u64(p + 24), .entries = u64(p + 32), .root = u64(p + 40) };
	if (ret->depth > TREE_DEPTH_MAX || (ret->depth == 0) != (ret->root == PAGE_NONE))
		return -EBADMSG;
	return 0;
}

/* Page sizes are powers of two, 512 to 32768 (mdb.c: MAX_PAGESIZE). */
static bool good_psize(uint32_t n) { return n >= 512 && n <= 32768 && (n & (n - 1)) == 0; }

static int meta_decode(const uint8_t *at, size_t room, uint64_t number, struct pages *ret)
{
	struct slice free_db = { at + PAGE_HEAD + 24, DB_SIZE }, main_db = { at + PAGE_HEAD + 24 + DB_SIZE, DB_SIZE };

	if (room < META_SIZE || u64(at) != number || u16(at + 10) != PAGE_META || u32(at + PAGE_HEAD) != META_MAGIC || u32(at + PAGE_HEAD + 4) != META_VERSION)
		return -EBADMSG;
	ret->mapsize = u64(at + PAGE_HEAD + 16);
	ret->psize = u32(free_db.p);
	ret->last = u64(main_db.p + DB_SIZE);
	ret->txnid = u64(main_db.p + DB_SIZE + 8);
	if (!good_psize(ret->psize) || ret->last < 1 || tree_decode(&free_db, &ret->free) < 0 || tree_decode(&main_db, &ret->main) < 0)
		return -EBADMSG;
	return 0;
}

int pages_in_memory(const uint8_t *map, size_t len, struct pages *ret)
{
	struct pages best = { 0 }, one = { 0 };

	if (!map)
		return -EBADMSG;

	if (meta_decode(map, len, 0, &one) == 0) {
		best = one;
		best.metas = 1;
	}
	/* Where the second one is follows from the first one's page size; without it, every size is tried. */
	for (uint32_t psize = best.metas ? best.psize : 512; psize <= 32768; psize *= 2) {
		if (len > psize && meta_decode(map + psize, len - psize, 1, &one) == 0 && one.psize == psize) {
			uint64_t other = best.metas ? MIN(best.txnid, one.txnid) : one.txnid;
			unsigned metas = best.metas + 1;
			if (!best.metas || one.txnid > best.txnid)
				best = one;
			best.metas = metas;
			best.other_txnid = other;
			break;
		}
		if (best.metas)
			break;
	}
	if (!best.metas)
		return -EBADMSG;
	/* They are written in turn: numbers that are further apart mean that one of them is damaged, and which one nobody knows. */
	best.apart = best.metas == 2 && best.txnid - best.other_txnid > 1;
	*ret = best;
	ret->map = map;
	ret->len = len;
	ret->n = len / best.psize;
	return 0;
}

int pages_open(int dirfd, const char *name, bool even_so, struct pages *ret, struct err *e)
{
	_cleanup_close_ int fd = sys_openat(dirfd, name, O_RDONLY, 0);
	struct stat st;
	void *map;
	int r;

	if (fd < 0)
		return err_sys(e, fd, "open %s", name);
	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "stat %s", name);
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)META_SIZE)
		return err_set(e, -EBADMSG, "%s is no store: it is too short", name);
	map = sys_mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (SYS_IS_ERR(map))
		return err_sys(e, SYS_ERR(map), "map %s", name);
	r = pages_in_memory(map, (size_t)st.st_size, ret);
	if (r == 0 && ret->apart && !even_so)
		r = -EBADMSG;
	if (r < 0) {
		munmap(map, (size_t)st.st_size);
		return err_set(e, r, "%s: its two first pages are damaged; rastvec repair makes a new store of what is left", name);
	}
	return 0;
}

void pages_close(struct pages *p)
{
	if (p->map)
		munmap((void *)(uintptr_t)p->map, p->len);
	p->map = NULL;
}

int page_get(const struct pages *p, uint64_t number, struct page *ret)
{
	const uint8_t *at;

	if (number < 2 || number > p->last || number >= p->n)
		return -EBADMSG;
	at = p->map + number * p->psize;
	*ret = (struct page){ .p = at, .number = number, .flags = u16(at + 10), .lower = u16(at + 12), .upper = u16(at + 14) };
	if (u64(at) != number || (ret->flags != PAGE_BRANCH && ret->flags != PAGE_LEAF))
		return -EBADMSG;
	if (ret->lower < PAGE_HEAD || ret->lower > ret->upper || ret->upper > p->psize || (ret->lower - PAGE_HEAD) % 2 != 0)
		return -EBADMSG;
	ret->n = (ret->lower - PAGE_HEAD) / 2;
	if (ret->n == 0 || (ret->flags == PAGE_BRANCH && ret->n < 2))
		return -EBADMSG;
	for (unsigned i = 0; i < ret->n; i++) { /* so that page_node can be quick and still be safe */
		unsigned off = u16(at + PAGE_HEAD + 2 * i);
		uint64_t end;
		if (off < ret->upper || off + NODE_HEAD > p->psize)
			return -EBADMSG;
		end = (uint64_t)off + NODE_HEAD + u16(at + off + 6);
		if (ret->flags == PAGE_LEAF)
			end += u16(at + off + 4) & NODE_BIG ? 8 : u32(at + off);
		if (end > p->psize)
			return -EBADMSG;
	}
	return 0;
}

int page_node(const struct page *pg, unsigned i, struct node *ret)
{
	const uint8_t *at;

	if (i >= pg->n)
		return -EBADMSG;
	at = pg->p + u16(pg->p + PAGE_HEAD + 2 * i);
	*ret = (struct node){ .key = { at + NODE_HEAD, u16(at + 6) }, .flags = u16(at + 4) };
	if (pg->flags == PAGE_BRANCH)
		ret->child = (uint64_t)u32(at) | (uint64_t)ret->flags << 32;
	else
		ret->value = (struct slice){ at + NODE_HEAD + ret->key.n, ret->flags & NODE_BIG ? 8 : u32(at) };
	return 0;
}

/* The size of a big value stands in its node: where the length of a small one would be. */
int node_big(const struct pages *p, const struct node *n, struct slice *value, uint64_t *first, uint64_t *count)
{
	uint64_t number = n->value.p ? u64(n->value.p) : 0, have;
	size_t size = u32(n->key.p - NODE_HEAD);
	const uint8_t *at;

	if (number < 2 || number > p->last || number >= p->n)
		return -EBADMSG;
	at = p->map + number * p->psize;
	have = u32(at + 12);
	if (u64(at) != number || u16(at + 10) != PAGE_OVERFLOW || have == 0 || have > p->n - number || have > p->last + 1 - number)
		return -EBADMSG;
	if ((PAGE_HEAD + size + p->psize - 1) / p->psize != have)
		return -EBADMSG;
	*value = (struct slice){ at + PAGE_HEAD, size };
	*first = number;
	*count = have;
	return 0;
}

int tree_find(const struct pages *p, const char *name, struct tree *ret)
{
	struct tree_cur c;
	struct slice key = { (const uint8_t *)name, strlen(name) }, k, v;
	int r;

	tree_cur_init(&c, p, &p->main);
	r = tree_cur_seek(&c, key, &k, &v);
	if (r < 0)
		return r;
	if (key_cmp(k, key) != 0)
		return -ENOENT;
	return tree_decode(&v, ret);
}

void tree_cur_init(struct tree_cur *c, const struct pages *p, const struct tree *t)
{
	c->p = p;
	c->t = *t;
	c->depth = 0;
}

static int enter(struct tree_cur *c, uint64_t number)
{
	bool leaf = c->depth + 1u == c->t.depth;
	int r;

	if (c->depth >= c->t.depth)
		return -EBADMSG;
	r = page_get(c->p, number, &c->at[c->depth].pg);
	if (r < 0)
		return r;
	if ((c->at[c->depth].pg.flags == PAGE_LEAF) != leaf)
		return -EBADMSG;
	c->at[c->depth++].i = 0;
	return 0;
}

static int enter_child(struct tree_cur *c)
{
	struct node n;
	int r = page_node(&c->at[c->depth - 1].pg, c->at[c->depth - 1].i, &n);
	return r < 0 ? r : enter(c, n.child);
}

static int current(const struct tree_cur *c, struct slice *k, struct slice *v)
{
	struct node n;
	uint64_t first, count;
	int r = page_node(&c->at[c->depth - 1].pg, c->at[c->depth - 1].i, &n);

	if (r < 0)
		return r;
	*k = n.key;
	*v = n.value;
	return n.flags & NODE_BIG ? node_big(c->p, &n, v, &first, &count) : 0;
}

/* First entry at or behind the key; of a branch the last one that is not behind it (its entry 0 has no key: it is below all). */
static unsigned search_page(const struct page *pg, struct slice key, bool branch)
{
	unsigned lo = branch ? 1 : 0, hi = pg->n;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		struct node n;
		if (page_node(pg, mid, &n) < 0)
			return pg->n;
		if (key_cmp(n.key, key) < (branch ? 1 : 0))
			lo = mid + 1;
		else
			hi = mid;
	}
	return branch ? lo - 1 : lo;
}

int tree_cur_seek(struct tree_cur *c, struct slice key, struct slice *k, struct slice *v)
{
	int r;

	c->depth = 0;
	if (c->t.root == PAGE_NONE)
		return -ENOENT;
	r = enter(c, c->t.root);
	while (r == 0 && c->depth < c->t.depth) {
		c->at[c->depth - 1].i = search_page(&c->at[c->depth - 1].pg, key, true);
		r = enter_child(c);
	}
	if (r < 0)
		return r;
	c->at[c->depth - 1].i = search_page(&c->at[c->depth - 1].pg, key, false);
	if (c->at[c->depth - 1].i < c->at[c->depth - 1].pg.n)
		return current(c, k, v);
	c->at[c->depth - 1].i--;
	return tree_cur_step(c, 1, k, v);
}

int tree_cur_step(struct tree_cur *c, int by, struct slice *k, struct slice *v)
{
	if (c->depth == 0)
		return -ENOENT;
	for (;;) {
		unsigned i = c->at[c->depth - 1].i;
		if (by > 0 ? i + 1 < c->at[c->depth - 1].pg.n : i > 0)
			break;
		if (--c->depth == 0)
			return -ENOENT;
	}
	c->at[c->depth - 1].i += (unsigned)by;
	while (c->depth < c->t.depth) {
		int r = enter_child(c);
		if (r < 0)
			return r;
		if (by < 0)
			c->at[c->depth - 1].i = c->at[c->depth - 1].pg.n - 1;
	}
	return current(c, k, v);
}

int tree_cur_first(struct tree_cur *c, struct slice *k, struct slice *v)
{
	int r;

	c->depth = 0;
	if (c->t.root == PAGE_NONE)
		return -ENOENT;
	r = enter(c, c->t.root);
	while (r == 0 && c->depth < c->t.depth)
		r = enter_child(c);
	return r < 0 ? r : current(c, k, v);
}

int tree_cur_last(struct tree_cur *c, struct slice *k, struct slice *v)
{
	int r;

	c->depth = 0;
	if (c->t.root == PAGE_NONE)
		return -ENOENT;
	r = enter(c, c->t.root);
	while (r == 0) {
		c->at[c->depth - 1].i = c->at[c->depth - 1].pg.n - 1;
		if (c->depth == c->t.depth)
			return current(c, k, v);
		r = enter_child(c);
	}
	return r;
}
