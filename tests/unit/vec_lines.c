/* Exchange: what is exported and imported elsewhere is the same there, once, however often it comes; whatever else comes is refused. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <math.h>
#include "base/file.h"
#include "base/mem.h"
#include "vecstore/base64.h"
#include "vecstore/vecstore.h"

static struct err e;
static struct vs *a, *b;
static struct vs_txn *t;
#define OK(x) do { int r_ = (x); ck_assert_msg(r_ == 0, "%s: %d %s", #x, r_, err_text(&e)); } while (0)

static struct vs *open_at(const char *name)
{
	char path[100];
	struct vs *s;
	snprintf(path, sizeof(path), "%s/%s", test_dir_path, name);
	OK(vs_open(&s, path, VS_CREATE, &e));
	return s;
}

static void put(const char *id, float x, int n)
{
	_cleanup_vs_meta_ struct vs_meta m = { 0 };
	const char *two[] = { "one", "t\"wo\n" };
	vs_meta_int(&m, "n", n);
	vs_meta_float(&m, "f", n);
	vs_meta_bool(&m, "b", n & 1);
	vs_meta_strings(&m, "s", two, 2);
	vs_meta_ints(&m, "none", NULL, 0);
	OK(vs_put(t, "c", VS_UPSERT, id, (float[3]){ x, 0.1f, 1e-7f }, &m, &e));
}

static void setup(void)
{
	close(make_test_dir());
	a = open_at("a");
	b = open_at("b");
	OK(vs_begin(a, VS_WRITE, &t, &e));
	OK(vs_coll_create(t, "c", 3, VS_L2, VS_F32, &e));
	OK(vs_coll_create(t, "gone", 3, VS_L2, VS_F32, &e));
	for (int i = 0; i < 200; i++) {
		char id[8];
		snprintf(id, sizeof(id), "%d", i);
		put(id, (float)i / 3, i);
	}
	OK(vs_doc_put(t, "k\0y", 3, "some\0thing", 10, &e));
	OK(vs_commit(&t, NULL, &e));
	OK(vs_begin(a, VS_WRITE, &t, &e));
	put("7", 99, 1);
	OK(vs_delete(t, "c", "8", &e));
	OK(vs_coll_drop(t, "gone", &e));
	OK(vs_tag(t, "two", 2, &e));
	OK(vs_commit(&t, NULL, &e));
}

static void done(void)
{
	vs_close(a);
	vs_close(b);
	err_clear(&e);
	ck_assert_int_eq(rm_rf(AT_FDCWD, test_dir_path), 0);
}

static int gather(const char *line, size_t n, void *data)
{
	return strv_push(data, line) < 0 ? -ENOMEM : (void)n, 0;
}

static char **lines_of(struct vs *s, uint64_t since)
{
	char **v = NULL;
	OK(vs_begin(s, VS_READ, &t, &e));
	OK(vs_export(t, since, gather, &v, &e));
	vs_abort(&t);
	return v;
}

static int import(struct vs *s, char **v, struct vs_imported *sum)
{
	struct vs_import *im;
	int r = 0, r2;

	OK(vs_import_begin(s, &im, &e));
	for (; v && *v && r == 0; v++)
		r = vs_import_line(im, *v, strlen(*v), NULL);
	r2 = vs_import_end(&im, sum, NULL);
	return r ? r : r2;
}

static int note(const struct vs_record *r, void *data)
{
	buf_addf(data, "%s ", r->id);
	buf_add(data, r->meta.data, r->meta.n);
	buf_add(data, r->vector, 12);
	return 0;
}

static void content(struct vs *s, struct buf *to)
{
	const void *doc;
	size_t n;
	OK(vs_begin(s, VS_READ, &t, &e));
	OK(vs_each(t, "c", NULL, false, note, to, &e));
	OK(vs_doc_get(t, "k\0y", 3, &doc, &n, &e));
	buf_add(to, doc, n);
	vs_abort(&t);
}

static void ck_same(void)
{
	_cleanup_buf_ struct buf x = { 0 }, y = { 0 };
	content(a, &x);
	content(b, &y);
	ck_assert(x.len == y.len && memcmp(x.data, y.data, x.len) == 0);
}

START_TEST(what_was_exported_is_the_same_when_imported_and_comes_only_once)
{
	_cleanup_strv_ char **all = NULL, **rest = NULL;
	struct vs_imported sum;

	setup();
	all = lines_of(a, 0);
	OK(import(b, all, &sum));
	ck_assert_uint_eq(sum.versions, 2);
	ck_same();
	OK(import(b, all, &sum));
	ck_assert_uint_eq(sum.applied, 0);
	ck_assert_uint_eq(sum.skipped, strv_len(all));
	OK(vs_begin(a, VS_WRITE, &t, &e));
	put("new", 5, 5);
	OK(vs_commit(&t, NULL, &e));
	rest = lines_of(a, 2);
	ck_assert_uint_eq(strv_len(rest), 1);
	OK(import(b, rest, &sum));
	ck_assert_uint_eq(sum.applied, 1);
	ck_same();
	OK(import(a, all, &sum)); /* its own */
	ck_assert_uint_eq(sum.applied, 0);
	done();
}
END_TEST

START_TEST(a_store_whose_log_is_purged_is_exported_as_it_is_now)
{
	_cleanup_strv_ char **all = NULL;
	struct vs_imported sum;

	setup();
	OK(vs_begin(a, VS_WRITE, &t, &e));
	OK(vs_untag(t, "two", &e));
	OK(vs_purge(t, 3, NULL, &e));
	OK(vs_commit(&t, NULL, &e));
	all = lines_of(a, 0);
	OK(import(b, all, &sum));
	ck_assert_uint_eq(sum.versions, 1);
	ck_same();
	OK(vs_begin(a, VS_READ, &t, &e));
	ck_assert_int_eq(vs_export(t, 1, gather, NULL, NULL), -ESTALE);
	vs_abort(&t);
	done();
}
END_TEST

START_TEST(a_line_that_was_changed_or_is_missing_is_refused_and_nothing_of_its_version_stays)
{
	_cleanup_strv_ char **all = NULL;
	struct vs_imported sum;
	size_t n;

	setup();
	all = lines_of(a, 0);
	n = strv_len(all);
	*strstr(all[50], "\"id\":\"") = 'x';
	ck_assert_int_lt(import(b, all, &sum), 0);
	*strstr(all[50], "xid\":\"") = '"';
	*strstr(all[50], "0.1") = '1'; /* still JSON */
	ck_assert_int_eq(import(b, all, &sum), -EBADMSG);
	ck_assert_uint_eq(sum.versions, 0);
	*strstr(all[50], "1.1") = '0';
	{
		char *last = all[n - 1];
		all[n - 1] = NULL;
		ck_assert_int_eq(import(b, all, &sum), -ENODATA);
		ck_assert_uint_eq(sum.versions, 1);
		all[n - 1] = last;
	}
	OK(import(b, all, &sum));
	ck_assert_uint_eq(sum.versions, 1);
	ck_same();
	done();
}
END_TEST

START_TEST(base64_goes_there_and_back_and_takes_nothing_else)
{
	static const char *const wrong[] = { "A", "AA", "AAA", "A===", "AB==", "AAB=", "AA=A", "AA A", "====", "AAA\n" };

	for (size_t n = 0; n < 70; n++) {
		_cleanup_buf_ struct buf x = { 0 }, y = { 0 };
		uint8_t data[70];
		for (size_t i = 0; i < n; i++)
			data[i] = (uint8_t)(i * 37 + n);
		OK(base64_add(&x, data, n));
		OK(base64_decode(x.data, x.len, &y));
		ck_assert(y.len == n && (n == 0 || memcmp(y.data, data, n) == 0));
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_buf_ struct buf y = { 0 };
		ck_assert_msg(base64_decode(wrong[i], strlen(wrong[i]), &y) == -EINVAL, "%s", wrong[i]);
	}
}
END_TEST

START_TEST(an_npy_file_is_read_as_it_was_written_and_others_are_refused)
{
	char file[128 + 24];
	float row[3], values[6] = { 1, 2, 3, -4, 5e-20f, 6 };
	struct vs_npy npy;
	size_t n = vs_npy_head(file, 2, 3);

	ck_assert_uint_eq(n, 128);
	memcpy(file + n, values, sizeof(values));
	OK(vs_npy_parse(file, sizeof(file), &npy, &e));
	ck_assert(npy.n == 2 && npy.dim == 3);
	vs_npy_row(&npy, 1, row);
	ck_assert(memcmp(row, values + 3, sizeof(row)) == 0);
	for (size_t i = 0; i < sizeof(file); i++)
		ck_assert_int_eq(vs_npy_parse(file, i, &npy, NULL), -EINVAL);
	file[1] = 'n';
	ck_assert_int_eq(vs_npy_parse(file, sizeof(file), &npy, NULL), -EINVAL);
}
END_TEST

static int figures;
static int figure(const struct vs_figure *f, void *data)
{
	(void)data;
	figures++;
	ck_assert(isfinite(f->value) && f->name && f->help);
	if (streq(f->name, "recall"))
		ck_assert(f->value >= 0.999);
	if (streq(f->name, "rows"))
		ck_assert(f->value >= 199);
	return 0;
}

START_TEST(the_figures_are_those_of_the_store)
{
	setup();
	OK(vs_stats(a, 20, figure, NULL, &e));
	ck_assert_int_gt(figures, 10);
	done();
}
END_TEST

PROMISES("vecstore: exchange", what_was_exported_is_the_same_when_imported_and_comes_only_once, a_store_whose_log_is_purged_is_exported_as_it_is_now,
	 a_line_that_was_changed_or_is_missing_is_refused_and_nothing_of_its_version_stays, base64_goes_there_and_back_and_takes_nothing_else,
	 an_npy_file_is_read_as_it_was_written_and_others_are_refused, the_figures_are_those_of_the_store)
