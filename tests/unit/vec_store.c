/* The vector store: what was committed is there, as of every version; filters and searches answer in full. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <math.h>
#include <sys/wait.h>
#include "base/file.h"
#include "vecstore/vecstore.h"

static struct vs *store;
static struct vs_txn *txn;
static struct err e;

static void setup_store(void)
{
	char path[80];
	close(make_test_dir());
	snprintf(path, sizeof(path), "%s/s", test_dir_path);
	ck_assert_msg(vs_open(&store, path, VS_CREATE, &e) == 0, "%s", err_text(&e));
}

static void reopen(unsigned flags)
{
	char path[80];
	vs_close(store);
	snprintf(path, sizeof(path), "%s/s", test_dir_path);
	ck_assert_msg(vs_open(&store, path, flags, &e) == 0, "%s", err_text(&e));
}

static void done(void)
{
	vs_close(store);
	store = NULL;
	err_clear(&e);
	ck_assert_int_eq(rm_rf(AT_FDCWD, test_dir_path), 0);
}

#define OK(x) do { int r_ = (x); ck_assert_msg(r_ == 0, "%s: %d %s", #x, r_, err_text(&e)); } while (0)
static void begin(int mode) { OK(vs_begin(store, mode, &txn, &e)); }
static uint64_t commit(void) { uint64_t v = 0; OK(vs_commit(&txn, &v, &e)); return v; }

/* Vector i of dimension 4, whose nearest ones are its neighbours in number. */
__attribute__((noinline)) static const float *vec(volatile int i) /* volatile: a compiler's own cosine may differ in the last bit */
{
	static float ring[8][4];
	static unsigned next;
	float *v = ring[next++ % 8];
	v[0] = cosf((float)i * 0.01f);
	v[1] = sinf((float)i * 0.01f);
	v[2] = 0.5f;
	v[3] = (float)(i % 3) * 0.001f;
	return v;
}

static void fill(const char *coll, int from, int to)
{
	for (int i = from; i < to; i++) {
		_cleanup_vs_meta_ struct vs_meta m = { 0 };
		char id[16];
		snprintf(id, sizeof(id), "r%d", i);
		vs_meta_int(&m, "n", i);
		vs_meta_string(&m, "parity", i % 2 ? "odd" : "even");
		OK(vs_put(txn, coll, VS_INSERT, id, vec(i), &m, &e));
	}
}

START_TEST(what_was_committed_is_there_after_reopening_in_every_mode)
{
	static const unsigned modes[] = { 0, VS_RDONLY, VS_NOLOCK };
	struct vs_record rec;
	float v[4];

	setup_store();
	begin(VS_WRITE);
	OK(vs_coll_create(txn, "c", 4, VS_COSINE, VS_F32, &e));
	fill("c", 0, 300);
	ck_assert_uint_eq(commit(), 1);
	for (size_t i = 0; i < 3; i++) {
		reopen(modes[i]);
		begin(VS_READ);
		OK(vs_get(txn, "c", "r123", &rec, &e));
		vs_record_vector(&rec, v);
		ck_assert(memcmp(v, vec(123), sizeof(v)) == 0);
		ck_assert_int_eq(vs_view_int(rec.meta, "n", -1), 123);
		ck_assert_str_eq(vs_view_string(rec.meta, "parity", ""), "odd");
		ck_assert_int_eq(vs_get(txn, "c", "r300", &rec, NULL), -ENOENT);
		vs_abort(&txn);
	}
	ck_assert_int_eq(vs_begin(store, VS_WRITE, &txn, NULL), -EROFS);
	done();
}
END_TEST

START_TEST(an_aborted_transaction_has_not_been)
{
	struct vs_record rec;

	setup_store();
	begin(VS_WRITE);
	OK(vs_coll_create(txn, "c", 4, VS_DOT, VS_F16, &e));
	fill("c", 0, 3);
	ck_assert_uint_eq(commit(), 1);
	begin(VS_WRITE);
	fill("c", 3, 200);
	OK(vs_delete(txn, "c", "r1", &e));
	vs_abort(&txn);
	begin(VS_READ);
	OK(vs_get(txn, "c", "r1", &rec, &e));
	ck_assert_int_eq(vs_get(txn, "c", "r3", &rec, NULL), -ENOENT);
	ck_assert_uint_eq(vs_version(txn), 1);
	vs_abort(&txn);
	done();
}
END_TEST

START_TEST(insert_upsert_and_update_each_keep_their_word)
{
	struct vs_record rec;

	setup_store();
	begin(VS_WRITE);
	OK(vs_coll_create(txn, "c", 4, VS_L2, VS_F32, &e));
	ck_assert_int_eq(vs_coll_create(txn, "c", 4, VS_L2, VS_F32, NULL), -EEXIST);
	ck_assert_int_eq(vs_put(txn, "c", VS_UPDATE, "a", vec(0), NULL, NULL), -ENOENT);
	OK(vs_put(txn, "c", VS_INSERT, "a", vec(0), NULL, &e));
	ck_assert_int_eq(vs_put(txn, "c", VS_INSERT, "a", vec(0), NULL, NULL), -EEXIST);
	OK(vs_put(txn, "c", VS_UPSERT, "a", vec(1), NULL, &e));
	OK(vs_put(txn, "c", VS_UPDATE, "a", vec(2), NULL, &e));
	OK(vs_get(txn, "c", "a", &rec, &e));
	ck_assert(memcmp(rec.vector, vec(2), 16) == 0);
	OK(vs_delete(txn, "c", "a", &e));
	ck_assert_int_eq(vs_delete(txn, "c", "a", NULL), -ENOENT);
	ck_assert_int_eq(vs_put(txn, "c", VS_INSERT, "b", (float[4]){ NAN }, NULL, NULL), -EINVAL);
	ck_assert_int_eq(vs_put(txn, "c", VS_INSERT, "", vec(0), NULL, NULL), -EINVAL);
	ck_assert_int_eq(vs_put(txn, "none", VS_INSERT, "b", vec(0), NULL, NULL), -ENOENT);
	commit();
	done();
}
END_TEST

static int count(const struct vs_record *r, void *data)
{
	(void)r;
	++*(int *)data;
	return 0;
}

static int versions[8], n_versions;
static int note_version(const struct vs_record *r, void *data)
{
	(void)data;
	versions[n_versions++] = r->deleted ? -(int)r->version : (int)r->version;
	return 0;
}

START_TEST(the_store_is_as_it_was_at_each_version)
{
	struct vs_record rec;
	int n;

	setup_store();
	begin(VS_WRITE);
	OK(vs_coll_create(txn, "c", 4, VS_COSINE, VS_F32, &e));
	fill("c", 0, 10);
	commit();
	begin(VS_WRITE);
	OK(vs_put(txn, "c", VS_UPSERT, "r5", vec(500), NULL, &e));
	OK(vs_tag(txn, "second", 2, &e));
	commit();
	begin(VS_WRITE);
	OK(vs_delete(txn, "c", "r5", &e));
	fill("c", 10, 20);
	commit();
	for (unsigned mode = 0; mode < 2; mode++) {
		struct vs_query q = { .vector = vec(500), .k = 1 };
		_cleanup_vs_hits_ struct vs_hits hits = { 0 };

		reopen(mode ? VS_NOLOCK : 0);
		begin(VS_READ);
		ck_assert_int_eq(vs_as_of(txn, 4, NULL), -ERANGE);
		OK(vs_as_of(txn, 1, &e));
		OK(vs_get(txn, "c", "r5", &rec, &e));
		ck_assert(memcmp(rec.vector, vec(5), 16) == 0);
		n = 0;
		OK(vs_each(txn, "c", NULL, false, count, &n, &e));
		ck_assert_int_eq(n, 10);
		OK(vs_as_of(txn, 2, &e));
		OK(vs_search(txn, "c", &q, &hits, &e));
		ck_assert_uint_eq(hits.n, 1);
		ck_assert_str_eq(hits.hit[0].record.id, "r5");
		ck_assert(fabsf(hits.hit[0].score - 1) < 1e-5f);
		OK(vs_as_of(txn, 3, &e));
		ck_assert_int_eq(vs_get(txn, "c", "r5", &rec, NULL), -ENOENT);
		n = 0;
		OK(vs_each(txn, "c", NULL, true, count, &n, &e));
		ck_assert_int_eq(n, 19);
		n_versions = 0;
		OK(vs_history(txn, "c", "r5", note_version, NULL, &e));
		ck_assert_int_eq(n_versions, 3);
		ck_assert(versions[0] == -3 && versions[1] == 2 && versions[2] == 1);
		vs_abort(&txn);
	}
	done();
}
END_TEST

START_TEST(purging_forgets_what_is_older_and_stops_at_a_tag)
{
	uint64_t n, v;
	struct vs_record rec;

	setup_store();
	begin(VS_WRITE);
	OK(vs_coll_create(txn, "c", 4, VS_COSINE, VS_I8, &e));
	fill("c", 0, 10);
	commit();
	for (int i = 0; i < 5; i++) {
		begin(VS_WRITE);
		OK(vs_put(txn, "c", VS_UPSERT, "r5", vec(100 + i), NULL, &e));
		OK(i == 4 ? vs_delete(txn, "c", "r6", &e) : 0);
		v = commit();
	}
	ck_assert_uint_eq(v, 6);
	begin(VS_WRITE);
	OK(vs_tag(txn, "keep", 3, &e));
	commit();
	begin(VS_WRITE);
	OK(vs_purge(txn, 100, &n, &e));
	ck_assert_uint_eq(n, 2); /* r5 of versions 1 and 2 */
	commit();
	begin(VS_READ);
	ck_assert_int_eq(vs_as_of(txn, 2, NULL), -ESTALE);
	OK(vs_as_of(txn, 3, &e));
	OK(vs_get(txn, "c", "r5", &rec, &e));
	OK(vs_get(txn, "c", "r6", &rec, &e));
	vs_abort(&txn);
	begin(VS_WRITE);
	OK(vs_untag(txn, "keep", &e));
	OK(vs_purge(txn, 6, &n, &e));
	ck_assert_uint_eq(n, 4);
	ck_assert_int_eq(vs_history(txn, "c", "r6", note_version, NULL, NULL), -ENOENT);
	commit();
	begin(VS_READ);
	n_versions = 0;
	OK(vs_history(txn, "c", "r5", note_version, NULL, &e));
	ck_assert_int_eq(n_versions, 1);
	vs_abort(&txn);
	done();
}
END_TEST

START_TEST(a_dropped_collection_is_gone_and_its_name_is_free)
{
	struct vs_coll c;
	struct vs_record rec;

	setup_store();
	begin(VS_WRITE);
	OK(vs_coll_create(txn, "c", 4, VS_COSINE, VS_F32, &e));
	OK(vs_coll_create(txn, "d", 0, VS_COSINE, VS_F32, &e));
	fill("c", 0, 100);
	OK(vs_put(txn, "d", VS_INSERT, "plain", NULL, NULL, &e));
	commit();
	begin(VS_WRITE);
	OK(vs_coll_drop(txn, "c", &e));
	ck_assert_int_eq(vs_coll_find(txn, "c", &c, NULL), -ENOENT);
	OK(vs_coll_create(txn, "c", 2, VS_DOT, VS_F32, &e));
	OK(vs_put(txn, "c", VS_INSERT, "r1", (float[2]){ 1, 2 }, NULL, &e));
	commit();
	begin(VS_READ);
	OK(vs_coll_find(txn, "c", &c, &e));
	ck_assert_uint_eq(c.dim, 2);
	ck_assert_uint_eq(c.rows, 1);
	OK(vs_get(txn, "d", "plain", &rec, &e));
	vs_abort(&txn);
	done();
}
END_TEST

START_TEST(documents_are_kept_beside)
{
	const void *data;
	size_t n;
	_cleanup_free_ char *big = malloc(300000);

	setup_store();
	memset(big, 'x', 300000);
	begin(VS_WRITE);
	OK(vs_doc_put(txn, "a\0b", 3, big, 300000, &e));
	OK(vs_doc_put(txn, "a", 1, "", 0, &e));
	OK(vs_doc_get(txn, "a\0b", 3, &data, &n, &e));
	ck_assert_uint_eq(n, 300000);
	commit();
	reopen(VS_NOLOCK);
	begin(VS_READ);
	OK(vs_doc_get(txn, "a\0b", 3, &data, &n, &e));
	ck_assert(n == 300000 && memcmp(data, big, n) == 0);
	OK(vs_doc_get(txn, "a", 1, &data, &n, &e));
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(vs_doc_get(txn, "b", 1, &data, &n, NULL), -ENOENT);
	vs_abort(&txn);
	done();
}
END_TEST

static int matching(const char *text)
{
	_cleanup_vs_filter_ struct vs_filter *f = NULL;
	int n = 0;

	OK(vs_filter_parse(text, &f, &e));
	OK(vs_each(txn, "c", f, false, count, &n, &e));
	return n;
}

START_TEST(filters_take_exactly_what_matches)
{
	static const struct { const char *filter; int n; } cases[] = {
		{ "n = 5", 1 }, { "n != 5", 99 }, { "n < 10", 10 }, { "n <= 10", 11 }, { "n > 97.5", 2 }, { "n >= 0 and n < 4 or n = 50", 5 },
		{ "parity = \"odd\"", 50 }, { "parity prefix 'ev'", 50 }, { "not parity = \"odd\"", 50 }, { "not (n < 90 or parity = 'odd')", 5 }, { "n in (1, 2.0, 3, 'x')", 3 },
		{ "exists n", 100 }, { "exists nope", 0 }, { "not exists nope and n = 1", 1 }, { "nope != 3", 0 }, { "not nope = 3", 100 }, { "parity = 3", 0 }, { "parity != 3", 0 }, { "@id = 'r7'", 1 },
		{ "@id prefix 'r1'", 11 }, { "@version = 1", 100 }, { "tags = 'b'", 1 }, { "tags != 'b'", 1 }, { "nums > 6", 1 }, { "flag = true", 1 }, { "flag < true", 0 }, { "big = 9007199254740993", 1 }, { "big > 9007199254740992.0", 1 },
	};

	setup_store();
	begin(VS_WRITE);
	OK(vs_coll_create(txn, "c", 4, VS_COSINE, VS_F32, &e));
	fill("c", 0, 98);
	for (int i = 98; i < 100; i++) {
		_cleanup_vs_meta_ struct vs_meta m = { 0 };
		const char *two[] = { "a", i == 98 ? "b" : "c" };
		vs_meta_strings(&m, "tags", two, 2);
		vs_meta_string(&m, "parity", "?");
		vs_meta_int(&m, "n", i);
		vs_meta_string(&m, "parity", i % 2 ? "odd" : "even");
		if (i == 98) {
			vs_meta_ints(&m, "nums", (int64_t[]){ 7, 1 }, 2);
			vs_meta_bool(&m, "flag", true);
			vs_meta_int(&m, "big", 9007199254740993);
		}
		OK(vs_put(txn, "c", VS_INSERT, i == 98 ? "r98" : "r99", vec(i), &m, &e));
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int n = matching(cases[i].filter);
		ck_assert_msg(n == cases[i].n, "%s: %d instead of %d", cases[i].filter, n, cases[i].n);
	}
	commit();
	done();
}
END_TEST

START_TEST(a_wrong_filter_is_refused_with_the_place)
{
	static const struct { const char *filter, *says; } cases[] = {
		{ "", "column 1: the name of a field is missing" }, { "a", "column 2: an operator is missing" }, { "a =", "column 4: a value is missing" }, { "a = b", "column 5: a value is missing: text needs quotes" },
		{ "a = 1 b", "column 7: `and` or `or` is missing" }, { "(a = 1", "column 7: ')' is missing" }, { "a in 1", "column 6: `in` is followed" }, { "a in (1 2)", "column 9: ',' or ')'" }, { "a = 'x", "column 5: this text has no" },
		{ "a ? 1", "column 3: this character" }, { "a = 1e999", "column 5: this is no number" }, { "@foo = 1", "column 1: no field" }, { "a prefix 1", "column 10: prefix needs" }, { "not", "column 4: the name" }, { "a = 1)", "column 6: ')'" },
	};
	struct vs_filter *f;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_err_ struct err why = { 0 };
		ck_assert_int_eq(vs_filter_parse(cases[i].filter, &f, &why), -EINVAL);
		ck_assert_msg(strstr(err_text(&why), cases[i].says) != NULL, "%s: %s", cases[i].filter, err_text(&why));
		ck_assert_ptr_null(f);
	}
}
END_TEST

START_TEST(a_search_gives_as_many_rows_as_match_and_the_nearest_first)
{
	static const enum vs_metric metrics[] = { VS_COSINE, VS_DOT, VS_L2 };
	static const enum vs_element elements[] = { VS_F32, VS_F16, VS_I8 };

	setup_store();
	for (unsigned i = 0; i < 9; i++) {
		_cleanup_vs_filter_ struct vs_filter *f = NULL;
		_cleanup_vs_hits_ struct vs_hits hits = { 0 };
		float at40[4];
		struct vs_query q = { .vector = memcpy(at40, vec(40), sizeof(at40)), .k = 7 };
		char name[8];

		snprintf(name, sizeof(name), "c%u", i);
		begin(VS_WRITE);
		OK(vs_coll_create(txn, name, 4, metrics[i % 3], elements[i / 3], &e));
		fill(name, 0, 200);
		OK(vs_search(txn, name, &q, &hits, &e)); /* within the transaction that wrote it */
		ck_assert_uint_eq(hits.n, 7);
		for (size_t k = 1; k < hits.n; k++)
			ck_assert(hits.hit[k].score <= hits.hit[k - 1].score);
		if (elements[i / 3] == VS_F32 && metrics[i % 3] == VS_L2)
			ck_assert_str_eq(hits.hit[0].record.id, "r40");
		commit();
		begin(VS_READ);
		vs_hits_free(&hits);
		OK(vs_filter_parse("n >= 195", &f, &e));
		q.filter = f;
		OK(vs_search(txn, name, &q, &hits, &e));
		ck_assert_uint_eq(hits.n, 5);
		vs_abort(&txn);
	}
	done();
}
END_TEST

static void *other_reader(const char *path)
{
	struct vs *s = NULL;
	ck_assert_int_eq(vs_open(&s, path, VS_RDONLY, NULL), 0);
	return s;
}

START_TEST(a_reader_sees_one_version_while_another_handle_writes)
{
	char path[80];
	struct vs *reader;
	struct vs_txn *seen;
	struct vs_record rec;

	setup_store();
	snprintf(path, sizeof(path), "%s/s", test_dir_path);
	begin(VS_WRITE);
	OK(vs_coll_create(txn, "c", 4, VS_COSINE, VS_F32, &e));
	fill("c", 0, 5);
	commit();
	if (fork() == 0) { /* LMDB: one handle of an environment per process */
		reader = other_reader(path);
		OK(vs_begin(reader, VS_READ, &seen, &e));
		for (int i = 0; i < 200; i++) {
			OK(vs_get(seen, "c", "r1", &rec, &e));
			ck_assert_uint_eq(vs_version(seen), rec.version > 1 ? vs_version(seen) : rec.version + vs_version(seen) - 1);
			ck_assert_int_eq(vs_get(seen, "c", "r999999", &rec, NULL), -ENOENT);
		}
		vs_abort(&seen);
		vs_close(reader);
		_exit(0);
	}
	for (int i = 0; i < 50; i++) {
		begin(VS_WRITE);
		OK(vs_put(txn, "c", VS_UPSERT, "r1", vec(i), NULL, &e));
		commit();
	}
	{
		int status;
		ck_assert_int_ge(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	done();
}
END_TEST

PROMISES("vecstore: store", what_was_committed_is_there_after_reopening_in_every_mode, an_aborted_transaction_has_not_been, insert_upsert_and_update_each_keep_their_word,
	 the_store_is_as_it_was_at_each_version, purging_forgets_what_is_older_and_stops_at_a_tag, a_dropped_collection_is_gone_and_its_name_is_free, documents_are_kept_beside,
	 filters_take_exactly_what_matches, a_wrong_filter_is_refused_with_the_place, a_search_gives_as_many_rows_as_match_and_the_nearest_first,
	 a_reader_sees_one_version_while_another_handle_writes)
