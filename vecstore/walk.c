/* walk.c: all of data.mdb, page by page, without believing any of it.
 *
 * Every page has to be in exactly one place: a table, the list of free pages, or be one of the two first. Every node has to be inside
 * its page, every key in its order, every cell sound. What a flipped bit leaves untouched by all that (room between nodes, pages that
 * are free) nobody ever reads. */
#include <stdarg.h>
#include <stdio.h>
#include "vecstore/check.h"

static void problem(struct walk *w, const char *fmt, ...) _printf_(2, 3);
static void problem(struct walk *w, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->problems++;
	if (w->problem)
		w->problem(text, w->problem_data);
}

static bool claim(struct walk *w, uint64_t page, uint64_t count, const char *table)
{
	for (uint64_t i = page; i < page + count; i++) {
		if (w->use[i]) {
			problem(w, "page %llu: used twice, the second time by table %s", (unsigned long long)i, table);
			return false;
		}
		w->use[i] = 1;
	}
	return true;
}

struct place { const char *name; int table; struct tree t; struct slice below, above; uint64_t entries, branch, leaf, overflow; };

static int leaf_cell(struct walk *w, struct place *pl, const struct page *pg, unsigned i)
{
	struct slice raw, payload;
	struct node n;
	uint64_t first, count;

	if (page_node(pg, i, &n) < 0)
		return 0;
	raw = n.value;
	if (n.flags & ~(unsigned)NODE_BIG || (n.flags & NODE_BIG && node_big(w->p, &n, &raw, &first, &count) < 0)) {
		problem(w, "page %llu, table %s: entry %u can't be read", (unsigned long long)pg->number, pl->name, i);
		return 0;
	}
	if (n.flags & NODE_BIG) {
		if (!claim(w, first, count, pl->name))
			return 0;
		pl->overflow += count;
	}
	pl->entries++;
	if (cell_check((enum table)pl->table, n.key, raw, &payload) < 0) {
		problem(w, "page %llu, table %s: entry %u is damaged", (unsigned long long)pg->number, pl->name, i);
		return 0;
	}
	w->cells++;
	w->bytes += n.key.n + raw.n;
	return w->cell ? w->cell((enum table)pl->table, n.key, payload, false, w->data) : 0;
}

/* Keys of a page rise, and lie between those of the branch above it. */
static void check_order(struct walk *w, const struct place *pl, const struct page *pg)
{
	struct slice last = pl->below;

	for (unsigned i = pg->flags == PAGE_BRANCH ? 1 : 0; i < pg->n; i++) {
		struct node n;
		if (page_node(pg, i, &n) < 0)
			return;
		if ((last.p && key_cmp(last, n.key) > (i ? -1 : 0)) || (pl->above.p && key_cmp(n.key, pl->above) >= 0))
			problem(w, "page %llu, table %s: entry %u is out of order", (unsigned long long)pg->number, pl->name, i);
		last = n.key;
	}
}

static int walk_page(struct walk *w, struct place *pl, uint64_t number, unsigned depth)
{
	struct slice below = pl->below, above = pl->above;
	struct page pg;
	int r = 0;

	if (page_get(w->p, number, &pg) < 0 || (pg.flags == PAGE_LEAF) != (depth == pl->t.depth)) {
		problem(w, "page %llu, table %s: damaged", (unsigned long long)number, pl->name);
		w->branch_lost |= depth < pl->t.depth;
		return 0;
	}
	if (!claim(w, number, 1, pl->name))
		return 0;
	check_order(w, pl, &pg);
	*(pg.flags == PAGE_LEAF ? &pl->leaf : &pl->branch) += 1;
	for (unsigned i = 0; i < pg.n && r == 0; i++) {
		struct node n, next;
		if (pg.flags == PAGE_LEAF) {
			r = leaf_cell(w, pl, &pg, i);
			continue;
		}
		page_node(&pg, i, &n);
		pl->below = i ? n.key : below;
		pl->above = i + 1 < pg.n && page_node(&pg, i + 1, &next) == 0 ? next.key : above;
		r = walk_page(w, pl, n.child, depth + 1);
	}
	pl->below = below;
	pl->above = above;
	return r;
}

static int walk_table(struct walk *w, enum table table)
{
	struct place pl = { .name = table_names[table], .table = (int)table };
	int r = tree_find(w->p, table_names[table], &pl.t);

	if (r < 0) {
		problem(w, "table %s: its root can't be found", pl.name);
		w->branch_lost = true;
		return 0;
	}
	if (pl.t.root == PAGE_NONE)
		return 0;
	r = walk_page(w, &pl, pl.t.root, 1);
	if (pl.entries != pl.t.entries || pl.branch != pl.t.branch || pl.leaf != pl.t.leaf || pl.overflow != pl.t.overflow)
		problem(w, "table %s: has %llu entries instead of %llu, or other pages than it says", pl.name, (unsigned long long)pl.entries, (unsigned long long)pl.t.entries);
	return r;
}

/* Pages of a tree whose entries are no cells: the main one, of tables, and that of free pages. */
static void claim_tree(struct walk *w, const struct tree *t, uint64_t number, unsigned depth, const char *name)
{
	struct page pg;
	struct node n;

	if (t->root == PAGE_NONE)
		return;
	if (page_get(w->p, number, &pg) < 0 || (pg.flags == PAGE_LEAF) != (depth == t->depth)) {
		problem(w, "page %llu, the list of %s: damaged", (unsigned long long)number, name);
		return;
	}
	if (!claim(w, number, 1, name))
		return;
	for (unsigned i = 0; i < pg.n; i++) {
		uint64_t first, count;
		struct slice v;
		if (page_node(&pg, i, &n) < 0)
			continue;
		if (pg.flags == PAGE_BRANCH)
			claim_tree(w, t, n.child, depth + 1, name);
		else if (n.flags & NODE_BIG && node_big(w->p, &n, &v, &first, &count) == 0)
			(void)claim(w, first, count, name);
	}
}

/* One entry of the list: a count, then so many page numbers, falling (mdb.c: mdb_freelist_save). */
static void free_pages(struct walk *w, struct slice v)
{
	uint64_t n, page, last = UINT64_MAX;

	if (v.n < 8 || (memcpy(&n, v.p, 8), n > v.n / 8 - 1)) {
		problem(w, "the list of free pages: an entry has an impossible length");
		return;
	}
	for (uint64_t i = 1; i <= n; i++) {
		memcpy(&page, v.p + 8 * i, 8);
		if (page < 2 || page > w->p->last || page >= last) {
			problem(w, "the list of free pages: %llu is no page, or out of order", (unsigned long long)page);
			return;
		}
		last = page;
		if (page >= w->p->n)
			continue;
		if (w->use[page])
			problem(w, "page %llu: free, and used%s", (unsigned long long)page, w->use[page] == 2 ? " as free twice" : "");
		w->use[page] = 2;
	}
}

static void walk_free(struct walk *w)
{
	struct tree_cur c;
	struct slice k, v;
	int r;

	claim_tree(w, &w->p->free, w->p->free.root, 1, "free pages");
	tree_cur_init(&c, w->p, &w->p->free);
	if (w->p->free.root == PAGE_NONE)
		return;
	/* Its keys are numbers of 8 bytes as the CPU has them (MDB_INTEGERKEY), so no search: from the first to the last. */
	for (r = tree_cur_first(&c, &k, &v); r == 0; r = tree_cur_step(&c, 1, &k, &v))
		free_pages(w, v);
	if (r != -ENOENT)
		problem(w, "the list of free pages can't be read to its end");
}

/* Leaves that no table leads to: they were lost with a branch above them, or are old. Their cells say themselves where they belong. */
static int walk_lost(struct walk *w)
{
	for (uint64_t number = 2; number < w->p->n; number++) {
		struct page pg;

		if (w->use[number] == 1 || page_get(w->p, number, &pg) < 0 || pg.flags != PAGE_LEAF)
			continue;
		for (unsigned i = 0; i < pg.n; i++) {
			struct slice raw, payload;
			uint64_t first, count;
			struct node n;
			int r;

			if (page_node(&pg, i, &n) < 0 || n.flags & NODE_TREE)
				continue;
			raw = n.value;
			if (n.flags & NODE_BIG && node_big(w->p, &n, &raw, &first, &count) < 0)
				continue;
			if (raw.n < CELL_HEAD || raw.p[4] >= TABLES || cell_check((enum table)raw.p[4], n.key, raw, &payload) < 0)
				continue;
			r = w->cell((enum table)raw.p[4], n.key, payload, true, w->data);
			if (r)
				return r;
		}
	}
	return 0;
}

int walk_file(struct walk *w)
{
	int r = 0;

	w->use = calloc(w->p->n, 1);
	if (!w->use)
		return -ENOMEM;
	if (w->p->last >= w->p->n)
		problem(w, "the file has %llu pages and speaks of %llu: it has been cut", (unsigned long long)w->p->n, (unsigned long long)w->p->last + 1);
	if (w->p->metas < 2 || w->p->mapsize != MAP_SIZE || w->p->apart)
		problem(w, "one of the two first pages is damaged");
	claim_tree(w, &w->p->main, w->p->main.root, 1, "tables");
	for (unsigned t = 0; t < TABLES && r == 0; t++)
		r = walk_table(w, (enum table)t);
	if (r == 0)
		walk_free(w);
	for (uint64_t i = 2; i <= w->p->last && i < w->p->n && r == 0 && w->problems == 0; i++)
		if (!w->use[i])
			problem(w, "page %llu: neither used nor free", (unsigned long long)i);
	if (r == 0 && w->cell && w->branch_lost)
		r = walk_lost(w);
	free(w->use);
	w->use = NULL;
	return r;
}
