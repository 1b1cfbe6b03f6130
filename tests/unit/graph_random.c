/* Properties of random and of very big graphs. Sets are made in memory (compile.h): no folder could be made so often. */
#include "base/log.h"
#include "supervisor/graph/compile.h"
#include "tests/unit/unit.h"

static uint64_t seed;

static unsigned rnd(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static void note(int level, const char *file, int line, const char *text, void *data)
{
	buf_addf(data, "%s %s:%d: %s\n", level <= LOG_ERR ? "error" : "warning", file, line, text);
}

/* --- a random set, as edges and as files --- */
#define MAX_NODES 24
enum relation { DEPENDS, WANTS, AFTER, BEFORE, ONE, RELATIONS };
static const char *const relation_names[RELATIONS] = { "depends", "wants", "after", "before", "requires-one" };

struct random_set {
	unsigned n;
	bool edge[MAX_NODES][MAX_NODES]; /* i waits for j */
	struct buf text[MAX_NODES];
};

static bool order_allows(const unsigned *rank, unsigned i, unsigned j)
{
	return rank[i] > rank[j];
}

/* With acyclic set, only edges along a random order. */
static void make_set(struct random_set *s, bool acyclic)
{
	unsigned rank[MAX_NODES], n_edges;

	memset(s, 0, sizeof(*s));
	s->n = 2 + rnd(MAX_NODES - 2);
	for (unsigned i = 0; i < s->n; i++)
		rank[i] = i;
	for (unsigned i = s->n; i > 1; i--) {
		unsigned j = rnd(i), t = rank[i - 1];
		rank[i - 1] = rank[j];
		rank[j] = t;
	}
	for (unsigned i = 0; i < s->n; i++)
		buf_addf(&s->text[i], "[service]\ntype = longrun\nexec = x\n[dependencies]\n");
	n_edges = rnd(acyclic ? 4 * s->n : 2 * s->n);
	for (unsigned k = 0; k < n_edges; k++) {
		unsigned i = rnd(s->n), j = rnd(s->n), relation = rnd(RELATIONS);
		if (i == j || (acyclic && !order_allows(rank, i, j)) || (s->edge[j][i] && !acyclic && relation >= AFTER))
			continue; /* before and after of one and the same service is another error */
		s->edge[i][j] = true;
		if (relation == BEFORE)
			buf_addf(&s->text[j], "before = n%u\n", i);
		else
			buf_addf(&s->text[i], "%s = n%u\n", relation_names[relation], j);
	}
}

static int compile_set(struct random_set *s, bool backwards, struct buf *said, void **blob, size_t *size)
{
	_cleanup_(compiler_free) struct compiler c = { .cb = note, .cb_data = said };
	char name[16], file[16];

	*blob = NULL;
	said->len = 0;
	buf_add(said, "", 0);
	for (unsigned k = 0; k < s->n; k++) {
		unsigned i = backwards ? s->n - 1 - k : k;
		snprintf(name, sizeof(name), "n%u", i);
		snprintf(file, sizeof(file), "n%u.ini", i);
		ck_assert_int_eq(load_text(&c, name, file, s->text[i].data, s->text[i].len), 0);
	}
	return compile_rest(&c, 1, blob, size);
}

static void free_set(struct random_set *s)
{
	for (unsigned i = 0; i < s->n; i++)
		buf_free(&s->text[i]);
}

static unsigned number_of(const struct graph *g, uint32_t i)
{
	return (unsigned)atoi(graph_str(g, graph_service(g, i)->name) + 1);
}

/* Everything that one service waits for, by the compiled graph. */
static void ck_waits(const struct random_set *s, const struct graph *g)
{
	for (uint32_t i = 0; i < g->n_services; i++) {
		const struct gservice *x = graph_service(g, i);
		const struct gids lists[] = { x->depends, x->wants, x->after, x->requires_one };
		bool waits[MAX_NODES] = { false };
		for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
			for (uint32_t k = 0; k < lists[l].n; k++)
				waits[number_of(g, graph_ids(g, lists[l])[k])] = true;
		ck_assert_int_eq(memcmp(waits, s->edge[number_of(g, i)], sizeof(waits)), 0);
	}
}

/* Start services whose predecessors are up until nothing changes: all of them must come up. */
static void ck_startable(const struct random_set *s)
{
	bool up[MAX_NODES] = { false }, changed = true;
	unsigned n = 0;

	while (changed) {
		changed = false;
		for (unsigned i = 0; i < s->n; i++) {
			bool ready = !up[i];
			for (unsigned j = 0; j < s->n; j++)
				ready = ready && (!s->edge[i][j] || up[j]);
			if (ready) {
				up[i] = changed = true;
				n++;
			}
		}
	}
	ck_assert_uint_eq(n, s->n);
}

START_TEST(every_set_without_a_cycle_compiles_to_its_edges_and_can_start)
{
	_cleanup_buf_ struct buf said = { 0 };

	for (seed = 1; seed < 4000 * 977; seed += 977) {
		uint64_t start = seed;
		struct random_set s;
		void *blob;
		size_t size;
		make_set(&s, true);
		int r = compile_set(&s, false, &said, &blob, &size);
		ck_assert_msg(r == 0 && said.len == 0, "seed %ju: %s", (uintmax_t)start, said.data);
		ck_assert_int_eq(graph_verify(blob, size), 0);
		ck_waits(&s, blob);
		ck_startable(&s);
		free(blob);
		free_set(&s);
		seed = start;
	}
}
END_TEST

/* Does every step of "cycle: a -> b (...) -> a (...);" exist? */
static void ck_ring(const struct random_set *s, const char *text)
{
	unsigned first, from, to, steps = 0;
	const char *p = strstr(text, "cycle: n");

	ck_assert_ptr_nonnull(p);
	first = from = (unsigned)atoi(p + 8);
	while ((p = strstr(p, " -> n"))) {
		to = (unsigned)atoi(p += 5);
		ck_assert_msg(from < s->n && to < s->n && s->edge[from][to], "n%u -> n%u in %s", from, to, text);
		from = to;
		steps++;
	}
	ck_assert_msg(from == first && steps >= 2, "%s", text);
}

static bool has_cycle(const struct random_set *s)
{
	bool reach[MAX_NODES][MAX_NODES];

	memcpy(reach, s->edge, sizeof(reach));
	for (unsigned k = 0; k < s->n; k++)
		for (unsigned i = 0; i < s->n; i++)
			for (unsigned j = 0; j < s->n; j++)
				reach[i][j] |= reach[i][k] && reach[k][j];
	for (unsigned i = 0; i < s->n; i++)
		if (reach[i][i])
			return true;
	return false;
}

START_TEST(a_cycle_is_reported_exactly_when_there_is_one_and_is_one)
{
	_cleanup_buf_ struct buf said = { 0 };
	unsigned cyclic = 0, rings = 0;

	for (seed = 1; seed < 6000 * 977; seed += 977) {
		uint64_t start = seed;
		struct random_set s;
		void *blob;
		size_t size;
		make_set(&s, false);
		int r = compile_set(&s, false, &said, &blob, &size);
		bool cycle = has_cycle(&s);
		ck_assert_msg(r == (cycle ? -EINVAL : 0), "seed %ju: %d, %s", (uintmax_t)start, r, said.data);
		cyclic += cycle;
		for (char *rest = said.data, *line; (line = strsep(&rest, "\n"));)
			if (strstr(line, "cycle: ")) {
				ck_ring(&s, line);
				rings++;
			}
		free(blob);
		free_set(&s);
		seed = start;
	}
	ck_assert_uint_gt(cyclic, 1000);
	ck_assert_uint_ge(rings, cyclic);
}
END_TEST

START_TEST(the_order_in_which_files_are_found_changes_nothing)
{
	for (seed = 5; seed < 500 * 977; seed += 977) {
		uint64_t start = seed;
		_cleanup_buf_ struct buf one = { 0 }, two = { 0 };
		struct random_set s;
		void *a, *b;
		size_t n, m;
		make_set(&s, seed % 3 != 0);
		int r = compile_set(&s, false, &one, &a, &n), q = compile_set(&s, true, &two, &b, &m);
		ck_assert_int_eq(r, q);
		ck_assert_str_eq(one.data, two.data);
		ck_assert(r < 0 || (n == m && memcmp(a, b, n) == 0));
		free(a);
		free(b);
		free_set(&s);
		seed = start;
	}
}
END_TEST

/* --- big ones --- */
static int compile_chain(unsigned n, bool close, struct buf *said, void **blob, size_t *size)
{
	_cleanup_(compiler_free) struct compiler c = { .cb = note, .cb_data = said };
	char name[16], file[24], text[96];

	*blob = NULL;
	buf_add(said, "", 0);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%06u", i);
		snprintf(file, sizeof(file), "%s.ini", name);
		if (i + 1 < n || close)
			snprintf(text, sizeof(text), "[service]\ntype=longrun\nexec=x\n[dependencies]\n%s=n%06u\n", i % 2 ? "depends" : "after", (i + 1) % n);
		else
			snprintf(text, sizeof(text), "[service]\ntype=longrun\nexec=x\n");
		ck_assert_int_eq(load_text(&c, name, file, text, strlen(text)), 0);
	}
	return compile_rest(&c, 1, blob, size);
}

START_TEST(a_chain_of_100000_services_compiles)
{
	_cleanup_buf_ struct buf said = { 0 };
	_cleanup_free_ void *blob = NULL;
	size_t size;
	int r = compile_chain(100000, false, &said, &blob, &size);

	ck_assert_msg(r == 0, "%s", said.data);
	ck_assert_int_eq(graph_verify(blob, size), 0);
	ck_assert_uint_eq(((const struct graph *)blob)->n_services, 100000);
	ck_assert_uint_lt(size / 100000, 250);
}
END_TEST

START_TEST(a_ring_of_100000_services_is_found_and_told_in_one_line)
{
	_cleanup_buf_ struct buf said = { 0 };
	void *blob;
	size_t size;

	ck_assert_int_eq(compile_chain(100000, true, &said, &blob, &size), -EINVAL);
	ck_assert_ptr_nonnull(strstr(said.data, "error n000000.ini:5: cycle: n000000 -> n000001 (after, n000000.ini:5) -> n000002 (depends, n000001.ini:5)"));
	ck_assert_ptr_nonnull(strstr(said.data, "-> ... (99968 more) -> "));
	ck_assert_ptr_nonnull(strstr(said.data, "-> n099999 (after, n099998.ini:5) -> n000000 (depends, n099999.ini:5);"));
	ck_assert_uint_lt(said.len, 2000);
}
END_TEST

START_TEST(a_plain_service_costs_less_than_200_bytes)
{
	_cleanup_(compiler_free) struct compiler c = { 0 };
	_cleanup_free_ void *blob = NULL;
	char name[16], file[64], text[96];
	size_t size;

	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "svc%u", i);
		snprintf(file, sizeof(file), "/etc/rastos/services/%s.ini", name);
		snprintf(text, sizeof(text), "[service]\ntype = longrun\nexec = /usr/bin/tiny --number %u\n", i);
		ck_assert_int_eq(load_text(&c, name, file, text, strlen(text)), 0);
	}
	ck_assert_int_eq(compile_rest(&c, 1, &blob, &size), 0);
	ck_assert_uint_lt(size, 200 * 1000);
}
END_TEST

PROMISES("graph: random and big", every_set_without_a_cycle_compiles_to_its_edges_and_can_start, a_cycle_is_reported_exactly_when_there_is_one_and_is_one, the_order_in_which_files_are_found_changes_nothing,
	a_chain_of_100000_services_compiles, a_ring_of_100000_services_is_found_and_told_in_one_line, a_plain_service_costs_less_than_200_bytes)
