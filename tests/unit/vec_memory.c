/* Memory runs out at every single allocation, once and for good: each call ends with an error or well, frees what it had, and the store stays whole. */
#include "tests/unit/failing-malloc.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "vecstore/vecstore.h"

static char path[80], other[80], backup[80];
static int records;

static const float *vec(int i)
{
	static float v[8];
	for (int k = 0; k < 8; k++)
		v[k] = (float)((i * 13 + k * 29) % 23) - 11;
	return v;
}

static int put_some(int from, int to)
{
	_cleanup_vs_ struct vs *s = NULL;
	_cleanup_vs_txn_ struct vs_txn *t = NULL;
	int r = vs_open(&s, path, VS_CREATE, NULL);

	if (r == 0)
		r = vs_begin(s, VS_WRITE, &t, NULL);
	if (r == 0 && from == 0)
		r = vs_coll_create(t, "c", 8, VS_L2, VS_F16, NULL);
	for (int i = from; i < to && r == 0; i++) {
		_cleanup_vs_meta_ struct vs_meta m = { 0 };
		char id[8];
		const char *list[] = { "a", "b" };
		snprintf(id, sizeof(id), "%d", i % 150);
		vs_meta_int(&m, "n", i);
		vs_meta_strings(&m, "l", list, 2);
		r = vs_put(t, "c", VS_UPSERT, id, vec(i), &m, NULL);
	}
	return r == 0 ? vs_commit(&t, NULL, NULL) : r;
}

static int write_more(void) { return put_some(records, records + 20); }

static int read_and_search(void)
{
	_cleanup_vs_ struct vs *s = NULL;
	_cleanup_vs_txn_ struct vs_txn *t = NULL;
	_cleanup_vs_filter_ struct vs_filter *f = NULL;
	_cleanup_vs_hits_ struct vs_hits hits = { 0 };
	struct vs_query q = { .vector = vec(3), .k = 5, .plan = VS_PLAN_GRAPH };
	int r = vs_open(&s, path, VS_RDONLY, NULL);

	if (r == 0)
		r = vs_begin(s, VS_READ, &t, NULL);
	if (r == 0)
		r = vs_filter_parse("n > 10 and (l = 'a' or not exists x) and n in (1, 2, 20, 21, 22, 23, 24, 25)", &f, NULL);
	if (r == 0)
		r = vs_search(t, "c", &q, &hits, NULL);
	vs_hits_free(&hits);
	q.filter = f;
	if (r == 0)
		r = vs_search(t, "c", &q, &hits, NULL);
	if (r == 0 && hits.n != 5) /* without memory for it an index may be left out, but an answer is whole */
		abort();
	return r;
}

static int build(void)
{
	_cleanup_vs_ struct vs *s = NULL;
	int r = vs_open(&s, path, 0, NULL);
	return r < 0 ? r : vs_index_build(s, "c", &(struct vs_build){ .threads = 1, .graph_from = 10, .m = 4, .ef = 16 }, NULL);
}

static int feed(const char *line, size_t n, void *data) { return vs_import_line(data, line, n, NULL); }

static int carry(void)
{
	_cleanup_vs_ struct vs *s = NULL, *to = NULL;
	_cleanup_vs_txn_ struct vs_txn *t = NULL;
	struct vs_import *im = NULL;
	int r, end = 0;

	(void)rm_rf(AT_FDCWD, other);
	r = vs_open(&s, path, VS_RDONLY, NULL);
	if (r == 0)
		r = vs_open(&to, other, VS_CREATE, NULL);
	if (r == 0)
		r = vs_begin(s, VS_READ, &t, NULL);
	if (r == 0)
		r = vs_import_begin(to, &im, NULL);
	if (r == 0)
		r = vs_export(t, 0, feed, im, NULL);
	if (im)
		end = vs_import_end(&im, NULL, NULL);
	return r ? r : end;
}

static int look_after(void)
{
	_cleanup_vs_ struct vs *s = NULL;
	struct vs_checked c;
	struct vs_repaired rep;
	int r = vs_open(&s, path, VS_RDONLY, NULL);

	if (r == 0)
		r = vs_backup(s, backup, NULL);
	vs_close(TAKE_PTR(s));
	if (r == 0)
		r = vs_check(path, &c, NULL, NULL, NULL);
	if (r == 0 && c.problems)
		r = -ENOMEM; /* a check that had no memory may say so as a problem, never as silence */
	if (r == 0)
		r = vs_repair(path, &rep, NULL, NULL, NULL);
	return r;
}

static void whole(void)
{
	struct vs_checked c;
	struct vs *s;
	struct vs_txn *t;
	struct vs_record rec;

	ck_assert_int_eq(vs_check(path, &c, NULL, NULL, NULL), 0);
	ck_assert_uint_eq(c.problems, 0);
	ck_assert_int_eq(vs_open(&s, path, 0, NULL), 0);
	ck_assert_int_eq(vs_begin(s, VS_READ, &t, NULL), 0);
	ck_assert_int_eq(vs_get(t, "c", "3", &rec, NULL), 0);
	vs_abort(&t);
	vs_close(s);
}

static void starve(const char *name, int (*what)(void))
{
	for (int mode = 0; mode < 2; mode++)
		for (long n = 0;; n++) {
			long before;
			int r;

			(void)what(); /* so that what is kept for good is there */
			before = live;
			for_good = mode;
			hit = false;
			left = n;
			r = what();
			left = -1;
			ck_assert_msg(live == before, "%s, allocation %ld: %ld pieces of memory are left", name, n, live - before);
			if (!hit) {
				ck_assert_int_eq(r, 0);
				break;
			}
			if (n % 16 == 0)
				whole();
		}
}

static void setup(int n)
{
	records = n;
	strcpy(test_dir_path, "/dev/shm/rast-unit-XXXXXX"); /* thousands of syncs */
	if (!mkdtemp(test_dir_path))
		close(make_test_dir());
	log_set_max_level(LOG_EMERG);
	snprintf(path, sizeof(path), "%s/s", test_dir_path);
	snprintf(other, sizeof(other), "%s/o", test_dir_path);
	snprintf(backup, sizeof(backup), "%s/b", test_dir_path);
	ck_assert_int_eq(put_some(0, records), 0);
}

#define STARVES(test, what, n)                                       \
	START_TEST(test)                                          \
	{                                                         \
		setup(n);                                         \
		ck_assert_int_eq(build(), 0);                     \
		starve(#what, what);                              \
		whole();                                          \
		ck_assert_int_eq(rm_rf(AT_FDCWD, test_dir_path), 0); \
	}                                                         \
	END_TEST

STARVES(writing_survives_any_allocation_that_fails, write_more, 150)
STARVES(searching_survives_any_allocation_that_fails, read_and_search, 150)
STARVES(building_an_index_survives_any_allocation_that_fails, build, 150)
STARVES(exporting_and_importing_survive_any_allocation_that_fails, carry, 4)
STARVES(backup_check_and_repair_survive_any_allocation_that_fails, look_after, 150)

PROMISES("vecstore: memory", writing_survives_any_allocation_that_fails, searching_survives_any_allocation_that_fails, building_an_index_survives_any_allocation_that_fails,
	 exporting_and_importing_survive_any_allocation_that_fails, backup_check_and_repair_survive_any_allocation_that_fails)
