/* The index: it makes a search quick and never changes the answer's length; whatever happens to its file, the answers are right. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <math.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "vecstore/vecstore.h"

#define DIM 24
#define ROWS 3000
static struct vs *store;
static struct vs_txn *txn;
static struct err e;
static char path[80];
static const struct vs_build quick = { .threads = 1, .graph_from = 500, .m = 8, .ef = 60 }, parallel = { .threads = 4, .graph_from = 500, .m = 8, .ef = 60 }, no_graph = { .threads = 1, .graph_from = 1u << 30 };

#define OK(x) do { int r_ = (x); ck_assert_msg(r_ == 0, "%s: %d %s", #x, r_, err_text(&e)); } while (0)
static void begin(int mode) { OK(vs_begin(store, mode, &txn, &e)); }
static void commit(void) { OK(vs_commit(&txn, NULL, &e)); }

/* Points around a hundred centres. */
static const float *vec(uint32_t i)
{
	static float v[DIM];
	uint32_t centre = i * 2654435761u % 100, x = i * 747796405u + 1, c = centre * 2891336453u + 7;

	for (unsigned k = 0; k < DIM; k++) {
		x = x * 1664525 + 1013904223;
		c = c * 1664525 + 1013904223;
		v[k] = (float)(c >> 8) / 8388608.0f - 1 + 0.35f * ((float)(x >> 8) / 8388608.0f - 1);
	}
	return v;
}

static void put(uint32_t i)
{
	_cleanup_vs_meta_ struct vs_meta m = { 0 };
	char id[16];

	snprintf(id, sizeof(id), "%u", i);
	vs_meta_int(&m, "n", i);
	vs_meta_int(&m, "ten", i % 10);
	OK(vs_put(txn, "c", VS_INSERT, id, vec(i), &m, &e));
}

static void setup_metric(enum vs_metric metric, uint32_t rows)
{
	close(make_test_dir());
	snprintf(path, sizeof(path), "%s/s", test_dir_path);
	OK(vs_open(&store, path, VS_CREATE, &e));
	begin(VS_WRITE);
	OK(vs_coll_create(txn, "c", DIM, metric, VS_F32, &e));
	for (uint32_t i = 0; i < rows; i++)
		put(i);
	commit();
}

static void done(void)
{
	vs_close(store);
	err_clear(&e);
	ck_assert_int_eq(rm_rf(AT_FDCWD, test_dir_path), 0);
}

/* Share of the true nearest that a plan finds, over some queries; every answer has the length it must have. */
static double recall(enum vs_plan plan, const char *filter, uint32_t matching, enum vs_plan *did)
{
	unsigned found = 0, all = 0;
	_cleanup_vs_filter_ struct vs_filter *f = NULL;

	if (filter)
		OK(vs_filter_parse(filter, &f, &e));
	begin(VS_READ);
	for (uint32_t i = 0; i < 60; i++) {
		_cleanup_vs_hits_ struct vs_hits truth = { 0 }, hits = { 0 };
		float v[DIM];
		struct vs_query q = { .vector = memcpy(v, vec(100000 + i), sizeof(v)), .k = 10, .filter = f, .plan = VS_PLAN_EXACT };

		OK(vs_search(txn, "c", &q, &truth, &e));
		q.plan = plan;
		OK(vs_search(txn, "c", &q, &hits, &e));
		ck_assert_uint_eq(truth.n, MIN(10, matching));
		ck_assert_uint_eq(hits.n, truth.n);
		*did = hits.plan;
		for (size_t k = 0; k < truth.n; k++)
			for (size_t j = 0; j < hits.n; j++)
				if (truth.hit[k].record.row == hits.hit[j].record.row) {
					found++;
					ck_assert(truth.hit[k].score == hits.hit[j].score);
				}
		all += (unsigned)truth.n;
	}
	vs_abort(&txn);
	return (double)found / all;
}

START_TEST(a_flat_index_finds_all_of_the_nearest)
{
	enum vs_plan did;

	for (unsigned metric = 0; metric < 3; metric++) {
		setup_metric(metric, ROWS);
		OK(vs_index_build(store, "c", &no_graph, &e));
		ck_assert(recall(VS_PLAN_AUTO, NULL, ROWS, &did) >= 0.999);
		ck_assert_int_eq(did, VS_PLAN_FLAT);
		ck_assert(recall(VS_PLAN_AUTO, "ten = 3", ROWS / 10, &did) >= 0.999);
		ck_assert(recall(VS_PLAN_AUTO, "n < 4", 4, &did) >= 0.999);
		ck_assert(recall(VS_PLAN_AUTO, "n < 0", 0, &did) != 0.5);
		done();
	}
}
END_TEST

START_TEST(the_graph_finds_nearly_all_of_them_however_many_threads_built_it)
{
	enum vs_plan did;

	for (unsigned i = 0; i < 6; i++) {
		setup_metric(i % 3, ROWS);
		OK(vs_index_build(store, "c", i < 3 ? &quick : &parallel, &e));
		ck_assert(recall(VS_PLAN_GRAPH, NULL, ROWS, &did) >= 0.95);
		ck_assert_int_eq(did, VS_PLAN_GRAPH);
		ck_assert(recall(VS_PLAN_GRAPH, "ten < 5", ROWS / 2, &did) >= 0.95);
		ck_assert(recall(VS_PLAN_GRAPH, "n = 17", 1, &did) >= 0.999); /* it falls back on a scan */
		done();
	}
}
END_TEST

START_TEST(what_the_index_lacks_is_found_and_what_is_gone_is_not)
{
	enum vs_plan did;
	char id[16];

	setup_metric(VS_COSINE, ROWS);
	OK(vs_index_build(store, "c", &quick, &e));
	begin(VS_WRITE);
	for (uint32_t i = 0; i < ROWS; i += 3) {
		snprintf(id, sizeof(id), "%u", i);
		OK(vs_delete(txn, "c", id, &e));
	}
	for (uint32_t i = 0; i < 300; i++)
		put(ROWS + i);
	commit();
	ck_assert(recall(VS_PLAN_GRAPH, NULL, ROWS, &did) >= 0.95);
	ck_assert(recall(VS_PLAN_FLAT, NULL, ROWS, &did) >= 0.999);
	ck_assert(recall(VS_PLAN_FLAT, "n >= 3290 or n = 3", 10, &did) >= 0.999);
	vs_close(store);
	OK(vs_open(&store, path, VS_NOLOCK, &e));
	ck_assert(recall(VS_PLAN_FLAT, "ten = 2", 10, &did) >= 0.999);
	done();
}
END_TEST

static off_t index_size(void)
{
	char file[100];
	struct stat st;
	snprintf(file, sizeof(file), "%s/c.idx", path);
	ck_assert_int_eq(stat(file, &st), 0);
	return st.st_size;
}

START_TEST(deleting_and_inserting_for_long_neither_leaks_nor_hurts_recall)
{
	enum vs_plan did;
	uint32_t oldest = 0, newest = ROWS;
	off_t first;

	setup_metric(VS_COSINE, ROWS);
	OK(vs_index_build(store, "c", &quick, &e));
	first = index_size();
	for (unsigned round = 0; round < 12; round++) { /* a third of the rows change per two rounds: in the end all have gone twice */
		char id[16];
		begin(VS_WRITE);
		for (unsigned i = 0; i < 500; i++) {
			snprintf(id, sizeof(id), "%u", oldest++);
			OK(vs_delete(txn, "c", id, &e));
			put(newest++);
		}
		commit();
		OK(vs_index_build(store, "c", &quick, &e));
	}
	ck_assert(recall(VS_PLAN_GRAPH, NULL, ROWS, &did) >= 0.95);
	ck_assert_int_eq(did, VS_PLAN_GRAPH);
	ck_assert_int_le(index_size(), first + first / 50 + 8192); /* ids are longer in the end */
	done();
}
END_TEST

START_TEST(a_damaged_index_costs_time_and_no_answer)
{
	enum vs_plan did;
	char file[100];
	off_t size;

	log_set_max_level(LOG_ERR); /* it warns of each */
	setup_metric(VS_L2, 1200);
	OK(vs_index_build(store, "c", &quick, &e));
	snprintf(file, sizeof(file), "%s/c.idx", path);
	size = index_size();
	for (off_t at = 0; at < size; at += size / 37) {
		int fd = open(file, O_RDWR);
		uint8_t b;
		ck_assert(pread(fd, &b, 1, at) == 1);
		b ^= 0x10;
		ck_assert(pwrite(fd, &b, 1, at) == 1);
		vs_close(store);
		OK(vs_open(&store, path, 0, &e));
		ck_assert(recall(VS_PLAN_AUTO, NULL, 1200, &did) >= 0.95);
		b ^= 0x10;
		ck_assert(pwrite(fd, &b, 1, at) == 1);
		close(fd);
	}
	ck_assert_int_eq(truncate(file, size / 2), 0);
	ck_assert(recall(VS_PLAN_AUTO, NULL, 1200, &did) >= 0.999);
	ck_assert_int_eq(did, VS_PLAN_EXACT);
	unlink(file);
	ck_assert(recall(VS_PLAN_AUTO, NULL, 1200, &did) >= 0.999);
	done();
}
END_TEST

START_TEST(maintenance_builds_what_pays_and_nothing_else)
{
	unsigned built;

	setup_metric(VS_COSINE, 1500);
	OK(vs_maintain(store, &quick, &built, &e));
	ck_assert_uint_eq(built, 1);
	OK(vs_maintain(store, &quick, &built, &e));
	ck_assert_uint_eq(built, 0);
	begin(VS_WRITE);
	for (uint32_t i = 1500; i < 3000; i++)
		put(i);
	commit();
	OK(vs_maintain(store, &quick, &built, &e));
	ck_assert_uint_eq(built, 1);
	begin(VS_WRITE);
	OK(vs_coll_drop(txn, "c", &e));
	commit();
	OK(vs_maintain(store, &quick, &built, &e));
	ck_assert_uint_eq(built, 0);
	{
		char file[100];
		snprintf(file, sizeof(file), "%s/c.idx", path);
		ck_assert_int_ne(access(file, F_OK), 0);
	}
	done();
}
END_TEST

PROMISES("vecstore: index", a_flat_index_finds_all_of_the_nearest, the_graph_finds_nearly_all_of_them_however_many_threads_built_it, what_the_index_lacks_is_found_and_what_is_gone_is_not,
	 deleting_and_inserting_for_long_neither_leaks_nor_hurts_recall, a_damaged_index_costs_time_and_no_answer, maintenance_builds_what_pays_and_nothing_else)
