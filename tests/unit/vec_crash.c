/* Power cuts and kills: what was acknowledged is there, what was not is wholly absent, and it opens. RAST_CRASH_STATES says how many states (400). */
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include "base/file.h"
#include "base/mem.h"
#include "tests/unit/vec_power.h"
#include "vecstore/vecstore.h"

#define PER_COMMIT 40
#define COMMITS 14
static struct err e;
static char dir[80], state[80];
static const struct vs_build small_graph = { .threads = 1, .graph_from = 100, .m = 4, .ef = 20 };

#define OK(x) do { int r_ = (x); ck_assert_msg(r_ == 0, "%s: %d %s", #x, r_, err_text(&e)); } while (0)

static const float *vec(unsigned v, unsigned i)
{
	static float x[16];
	for (unsigned k = 0; k < 16; k++)
		x[k] = (float)((v * 131 + i * 37 + k * k * 11) % 101) - 50;
	return x;
}

/* Version v + 1: new records, one that is always replaced, and one of the version before goes. Version 1 makes the collection. */
static void write_version(struct vs_txn *t, unsigned v)
{
	char id[32];

	if (v == 0) {
		OK(vs_coll_create(t, "c", 16, VS_COSINE, VS_F32, &e));
		return;
	}
	for (unsigned i = 0; i < PER_COMMIT; i++) {
		snprintf(id, sizeof(id), "r%u-%u", v, i);
		OK(vs_put(t, "c", VS_INSERT, id, vec(v, i), NULL, &e));
	}
	OK(vs_put(t, "c", VS_UPSERT, "always", vec(v, 1000), NULL, &e));
	snprintf(id, sizeof(id), "r%u-0", v - 1);
	if (v > 1)
		OK(vs_delete(t, "c", id, &e));
	OK(vs_doc_put(t, "doc", 3, vec(v, 0), 64, &e));
}

static void commit_version(struct vs *s, unsigned v)
{
	struct vs_txn *t;
	uint64_t version;

	OK(vs_begin(s, VS_WRITE, &t, &e));
	write_version(t, v);
	OK(vs_commit(&t, &version, &e));
	ck_assert_uint_eq(version, v + 1);
}

static int count(const struct vs_record *r, void *data)
{
	(void)r;
	++*(unsigned *)data;
	return 0;
}

/* The store is exactly version v: its records, those of each version before (unless purged), its document, and a search finds what a scan finds. */
static void check_version(struct vs_txn *t, unsigned version, unsigned from)
{
	unsigned v = version - 1;
	struct vs_record rec;
	const void *doc;
	size_t n;
	char id[32];

	for (unsigned old = from; old <= v; old++) {
		unsigned rows = 0;
		OK(vs_as_of(t, old + 1, &e));
		OK(vs_each(t, "c", NULL, false, count, &rows, &e));
		ck_assert_uint_eq(rows, old ? old * PER_COMMIT + 1 - (old - 1) : 0);
	}
	for (unsigned i = 1; i <= v; i++) {
		snprintf(id, sizeof(id), "r%u-%u", i, PER_COMMIT - 1);
		OK(vs_get(t, "c", id, &rec, &e));
		ck_assert(memcmp(rec.vector, vec(i, PER_COMMIT - 1), 64) == 0);
	}
	if (v == 0)
		return;
	OK(vs_get(t, "c", "always", &rec, &e));
	ck_assert(memcmp(rec.vector, vec(v, 1000), 64) == 0);
	OK(vs_doc_get(t, "doc", 3, &doc, &n, &e));
	ck_assert(n == 64 && memcmp(doc, vec(v, 0), 64) == 0);
}

static void check_search(struct vs_txn *t)
{
	_cleanup_vs_hits_ struct vs_hits usual = { 0 }, exact = { 0 };
	float q[16];
	struct vs_query query = { .vector = memcpy(q, vec(1, PER_COMMIT - 1), sizeof(q)) /* of a record that is never deleted */, .k = 1, .plan = VS_PLAN_FLAT };

	OK(vs_search(t, "c", &query, &usual, &e));
	query.plan = VS_PLAN_EXACT;
	OK(vs_search(t, "c", &query, &exact, &e));
	ck_assert_uint_eq(usual.n, exact.n);
	for (size_t i = 0; i < exact.n; i++)
		ck_assert(usual.hit[i].score == exact.hit[i].score);
}

static void check_state(const char *where, unsigned marks, unsigned most)
{
	_cleanup_vs_ struct vs *s = NULL;
	struct vs_txn *t;
	struct vs_checked c;
	uint64_t version;
	struct vs_record rec;
	int r = vs_open(&s, where, VS_CREATE, &e);

	ck_assert_msg(r == 0, "after %u commits it can't be opened: %s", marks, err_text(&e));
	OK(vs_begin(s, VS_READ, &t, &e));
	version = vs_version(t);
	ck_assert_msg(version >= marks && version <= most, "version %llu after %u commits", (unsigned long long)version, marks);
	if (version > 0) {
		bool purged = vs_as_of(t, 1, NULL) == -ESTALE;
		ck_assert(!purged || version > 6);
		OK(vs_as_of(t, version, &e));
		check_version(t, (unsigned)MIN(version, COMMITS), purged ? 5 : 0);
		OK(vs_as_of(t, version, &e));
		check_search(t);
		ck_assert_int_eq(vs_get(t, "c", "never", &rec, NULL), -ENOENT);
	}
	vs_abort(&t);
	vs_close(TAKE_PTR(s));
	OK(vs_check(where, &c, NULL, NULL, &e));
	ck_assert_uint_eq(c.problems, 0);
}

/* A backup that has its name is whole. */
static void check_backup(void)
{
	char backup[120], to[120];

	snprintf(backup, sizeof(backup), "%s/backup", state);
	snprintf(to, sizeof(to), "%s/restored", state);
	if (access(backup, F_OK) == 0)
		OK(vs_restore(backup, to, false, &e));
}

static void folder(char to[80], const char *name)
{
	snprintf(to, 80, "%s/%s", test_dir_path, name);
	ck_assert_int_eq(mkdir(to, 0700), 0);
}

/* All that writes: commits, an index, more commits, the index by increment, a purge, a backup, the index anew. */
static void record_workload(void)
{
	struct vs *s;
	struct vs_txn *t;
	char backup[120];

	folder(dir, "s");
	snprintf(backup, sizeof(backup), "%s/backup", dir);
	power_record(dir);
	OK(vs_open(&s, dir, VS_CREATE, &e));
	for (unsigned v = 0; v < COMMITS; v++) {
		commit_version(s, v);
		power_mark();
		if (v == 4 || v == 9 || v == 12)
			OK(vs_index_build(s, "c", &small_graph, &e));
		if (v == 10)
			OK(vs_backup(s, backup, &e));
	}
	OK(vs_begin(s, VS_WRITE, &t, &e));
	OK(vs_purge(t, 6, NULL, &e));
	OK(vs_commit(&t, NULL, &e));
	power_mark();
	OK(vs_index_build(s, "c", &(struct vs_build){ .threads = 1, .rebuild = true }, &e));
	vs_close(s);
	power_stop();
}

START_TEST(a_power_cut_at_any_write_loses_nothing_that_was_acknowledged_and_leaves_nothing_half)
{
	const char *wanted = getenv("RAST_CRASH_STATES");
	unsigned states = wanted ? (unsigned)atoi(wanted) : 400;
	size_t points;

	close(make_test_dir());
	record_workload();
	points = power_points();
	ck_assert_uint_gt(points, 100);
	for (unsigned i = 0; i < states; i++) {
		size_t at = states > 1 ? (size_t)((uint64_t)i * points / (states - 1)) : points;
		unsigned marks;

		folder(state, "x");
		marks = power_make(MIN(at, points), i * 7 + 3, state);
		check_state(state, marks, marks + 1);
		check_backup();
		OK(rm_rf(AT_FDCWD, state));
	}
	printf("# %u states of %zu writes, syncs and renames\n", states, points);
	OK(rm_rf(AT_FDCWD, test_dir_path));
	err_clear(&e);
}
END_TEST

/* A child commits and tells us of each commit; it is killed somewhere. */
static unsigned run_and_kill(unsigned round, unsigned from)
{
	int fds[2], status;
	unsigned acknowledged = from;
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		struct vs *s;
		close(fds[0]);
		OK(vs_open(&s, dir, VS_CREATE, &e));
		for (unsigned v = from; v < 100000; v++) {
			commit_version(s, v);
			if (write(fds[1], "", 1) != 1)
				_exit(0);
			if (v % 4 == 3)
				OK(vs_index_build(s, "c", &small_graph, &e));
		}
		_exit(0);
	}
	close(fds[1]);
	for (unsigned i = 0; i < 2 + round % 3; i++)
		if (read(fds[0], &byte, 1) == 1)
			acknowledged++;
	usleep(round * 371 % 2000); /* somewhere within what comes next; any moment will do */
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	while (read(fds[0], &byte, 1) == 1)
		acknowledged++;
	close(fds[0]);
	return acknowledged;
}

START_TEST(a_killed_writer_leaves_what_it_had_acknowledged)
{
	unsigned v = 0;

	close(make_test_dir());
	folder(dir, "s");
	for (unsigned round = 0; round < 12; round++) {
		struct vs *s;
		struct vs_txn *t;
		unsigned acknowledged = run_and_kill(round, v);

		OK(vs_open(&s, dir, VS_NOLOCK, &e));
		OK(vs_begin(s, VS_READ, &t, &e));
		ck_assert_uint_ge(vs_version(t), acknowledged);
		ck_assert_uint_le(vs_version(t), acknowledged + 1);
		v = (unsigned)vs_version(t);
		check_version(t, v, v > 3 ? v - 3 : 0);
		check_search(t);
		vs_abort(&t);
		vs_close(s);
	}
	OK(rm_rf(AT_FDCWD, test_dir_path));
	err_clear(&e);
}
END_TEST

PROMISES("vecstore: crashes", a_power_cut_at_any_write_loses_nothing_that_was_acknowledged_and_leaves_nothing_half, a_killed_writer_leaves_what_it_had_acknowledged)
