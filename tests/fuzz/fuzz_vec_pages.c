/* Fuzz the reader of LMDB's pages: any file is walked, and asked, without leaving it and without end. */
#include <string.h>
#include "tests/fuzz/fuzz.h"
#include "vecstore/check.h"

static int cell(enum table table, struct slice key, struct slice payload, bool lost, void *data)
{
	uint64_t *sum = data;
	(void)table;
	(void)lost;
	for (size_t i = 0; i < key.n; i++)
		*sum += key.p[i];
	for (size_t i = 0; i < payload.n; i++)
		*sum += payload.p[i];
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pages p = { 0 };
	struct walk w = { .p = &p, .cell = cell };
	struct tree_cur c;
	struct slice k, v;
	uint64_t sum = 0;

	w.data = &sum;
	if (pages_in_memory(data, size, &p) < 0)
		return 0;
	MUST(walk_file(&w) == 0);
	for (unsigned t = 0; t < TABLES; t++) {
		struct tree tree;
		unsigned steps = 0;
		if (tree_find(&p, table_names[t], &tree) < 0)
			continue;
		tree_cur_init(&c, &p, &tree);
		for (int r = tree_cur_seek(&c, (struct slice){ (const uint8_t *)"S", 1 }, &k, &v); r == 0 && steps < 1000; r = tree_cur_step(&c, 1, &k, &v), steps++)
			sum += k.n + v.n;
		for (int r = tree_cur_last(&c, &k, &v); r == 0 && steps < 2000; r = tree_cur_step(&c, -1, &k, &v), steps++)
			sum += v.n ? v.p[v.n - 1] : 0u;
	}
	return 0;
}
