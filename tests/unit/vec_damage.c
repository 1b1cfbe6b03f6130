/* Damage: check finds every byte that somebody could be misled by, repair loses only what is damaged, a backup is the whole store. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/wait.h>
#include "base/file.h"
#include "base/mem.h"
#include "vecstore/vecstore.h"

#define RECORDS 150
static struct err e;
static char path[80], file[100], backup[100];

#define OK(x) do { int r_ = (x); ck_assert_msg(r_ == 0, "%s: %d %s", #x, r_, err_text(&e)); } while (0)

static void put(struct vs_txn *t, int i, int round)
{
	_cleanup_vs_meta_ struct vs_meta m = { 0 };
	float v[40];
	char id[16];

	for (int k = 0; k < 40; k++)
		v[k] = (float)((i * 31 + k * 7 + round) % 19) + 1;
	snprintf(id, sizeof(id), "r%d", i);
	vs_meta_int(&m, "round", round);
	OK(vs_put(t, "c", VS_UPSERT, id, v, &m, &e));
}

static void make_store(void)
{
	_cleanup_vs_ struct vs *s = NULL;
	struct vs_txn *t;
	static char doc[9000];

	close(make_test_dir());
	snprintf(path, sizeof(path), "%s/s", test_dir_path);
	snprintf(file, sizeof(file), "%s/data.mdb", path);
	snprintf(backup, sizeof(backup), "%s/backup", test_dir_path);
	memset(doc, 'd', sizeof(doc));
	OK(vs_open(&s, path, VS_CREATE, &e));
	for (int round = 0; round < 3; round++) {
		OK(vs_begin(s, VS_WRITE, &t, &e));
		if (round == 0) {
			OK(vs_coll_create(t, "c", 40, VS_COSINE, VS_F32, &e));
			OK(vs_coll_create(t, "empty", 3, VS_L2, VS_F32, &e));
		}
		for (int i = 0; i < RECORDS; i++)
			if (round == 0 || i % 5 == round)
				put(t, i, round);
		for (int i = 0; i < 20; i++) {
			doc[0] = (char)('a' + i);
			OK(vs_doc_put(t, doc, (size_t)1 + (size_t)round, doc, i == 3 ? sizeof(doc) : 50, &e));
		}
		if (round == 2) {
			OK(vs_delete(t, "c", "r100", &e));
			OK(vs_tag(t, "third", 3, &e));
		}
		OK(vs_commit(&t, NULL, &e));
	}
}

static void clean(void)
{
	err_clear(&e);
	ck_assert_int_eq(rm_rf(AT_FDCWD, test_dir_path), 0);
}

struct dump { struct buf b; unsigned live, history, docs; };

static int dump_history(const struct vs_record *r, void *data)
{
	struct dump *d = data;
	d->history++;
	buf_addf(&d->b, " %s@%llu..%llu%s row %llu round %lld\n", r->id, (unsigned long long)r->version, (unsigned long long)r->until, r->deleted ? " deleted" : "", (unsigned long long)r->row,
		 (long long)vs_view_int(r->meta, "round", -1));
	if (!r->deleted)
		buf_add(&d->b, r->vector, 4ul * r->dim);
	return 0;
}

static int dump_tag(const char *name, uint64_t version, void *data)
{
	buf_addf(&((struct dump *)data)->b, "tag %s %llu\n", name, (unsigned long long)version);
	return 0;
}

static int dump_coll(const struct vs_coll *c, void *data)
{
	buf_addf(&((struct dump *)data)->b, "collection %s %u %u %llu %llu\n", c->name, c->dim, c->number, (unsigned long long)c->rows, (unsigned long long)c->old_rows);
	return 0;
}

static int dump_doc(const void *key, size_t key_len, const void *data, size_t n, void *arg)
{
	struct dump *d = arg;
	d->docs++;
	buf_add(&d->b, key, key_len);
	buf_add(&d->b, data, n);
	return 0;
}

static int dump_live(const struct vs_record *r, void *data)
{
	((struct dump *)data)->live++;
	return dump_history(r, data);
}

/* All that a reader can be told; an error ends it. */
static int dump(const char *dir, unsigned flags, struct dump *d)
{
	_cleanup_vs_ struct vs *s = NULL;
	struct vs_txn *t = NULL;
	int r = vs_open(&s, dir, flags, NULL);

	*d = (struct dump){ 0 };
	if (r == 0)
		r = vs_begin(s, VS_READ, &t, NULL);
	if (r == 0)
		r = vs_coll_each(t, dump_coll, d, NULL);
	if (r == 0)
		r = vs_each(t, "c", NULL, false, dump_live, d, NULL);
	for (int i = 0; i < RECORDS && r == 0; i++) {
		char id[16];
		snprintf(id, sizeof(id), "r%d", i);
		r = vs_history(t, "c", id, dump_history, d, NULL);
		r = r == -ENOENT ? 0 : r; /* after a repair */
	}
	if (r == 0)
		r = vs_tag_each(t, dump_tag, d, NULL);
	if (r == 0)
		r = vs_doc_each(t, "", 0, dump_doc, d, NULL);
	vs_abort(&t);
	return r;
}

static bool same(const struct dump *a, const struct dump *b) { return a->b.len == b->b.len && memcmp(a->b.data, b->b.data, a->b.len) == 0; }

static uint64_t problems(const char *dir)
{
	struct vs_checked c;
	OK(vs_check(dir, &c, NULL, NULL, &e));
	return c.problems;
}

static void flip(const char *name, off_t at, uint8_t mask)
{
	int fd = open(name, O_RDWR);
	uint8_t b;
	ck_assert(pread(fd, &b, 1, at) == 1);
	b ^= mask;
	ck_assert(pwrite(fd, &b, 1, at) == 1);
	close(fd);
}

static off_t size_of(const char *name)
{
	struct stat st;
	ck_assert_int_eq(stat(name, &st), 0);
	return st.st_size;
}

START_TEST(a_sound_store_has_no_problem)
{
	struct vs_checked c;

	make_store();
	OK(vs_check(path, &c, NULL, NULL, &e));
	ck_assert_uint_eq(c.problems, 0);
	ck_assert_uint_eq(c.version, 3);
	ck_assert_uint_gt(c.cells, 3 * RECORDS);
	ck_assert_int_eq(vs_check("/nonexistent", &c, NULL, NULL, NULL), -ENOENT);
	clean();
}
END_TEST

/* The promise of `check`: after any one byte has changed, either it says so or nobody can be told anything else than before. */
START_TEST(check_finds_any_damaged_byte_that_counts)
{
	struct dump before, now;
	unsigned found = 0, harmless = 0;

	make_store();
	OK(dump(path, VS_NOLOCK, &before));
	for (off_t at = 0, size = size_of(file); at < size; at += at < 8192 ? 5 : 211) {
		int r;
		flip(file, at, (uint8_t)(1u << (at % 8)));
		r = dump(path, VS_NOLOCK, &now);
		if (problems(path) > 0)
			found++;
		else {
			ck_assert_msg(r == 0 && same(&before, &now), "byte %lld changed what is read (%d), and check found nothing", (long long)at, r);
			harmless++;
		}
		buf_free(&now.b);
		flip(file, at, (uint8_t)(1u << (at % 8)));
	}
	ck_assert_uint_gt(found, 100);
	ck_assert_uint_eq(problems(path), 0);
	buf_free(&before.b);
	clean();
}
END_TEST

START_TEST(repair_loses_only_what_is_damaged)
{
	struct dump before, now;
	struct vs_repaired rep;
	unsigned repaired = 0;

	make_store();
	OK(vs_repair(path, &rep, NULL, NULL, &e)); /* of a sound store */
	ck_assert_uint_eq(rep.lost, 0);
	OK(dump(path, VS_NOLOCK, &before));
	for (off_t page = 0, pages = size_of(file) / 4096; page < pages; page++) {
		_cleanup_free_ char *whole = NULL;
		size_t n;

		OK(file_read(AT_FDCWD, file, 1 << 30, &whole, &n));
		for (off_t at = 0; at < 4096; at += 61) /* the whole page is gone */
			flip(file, page * 4096 + at, 0xff);
		if (problems(path) > 0) {
			OK(vs_repair(path, &rep, NULL, NULL, &e));
			repaired++;
			ck_assert_uint_eq(problems(path), 0);
			{
				int r = dump(path, 0, &now);
				ck_assert_msg(r == 0, "page %lld: the repaired store can't be read: %d", (long long)page, r);
			}
			/* A page holds up to 20 records of this size, 100 entries of a history, 70 documents. */
			ck_assert_msg(now.live + 20 >= before.live && now.docs + 70 >= before.docs, "page %lld: %u of %u records, %u of %u documents", (long long)page, now.live, before.live,
				      now.docs, before.docs);
			buf_free(&now.b);
		}
		OK(file_replace(AT_FDCWD, file, whole, n, 0600));
	}
	ck_assert_uint_gt(repaired, 10);
	buf_free(&before.b);
	clean();
}
END_TEST

START_TEST(a_backup_is_the_whole_store_and_a_damaged_one_is_refused)
{
	struct vs *s;
	struct vs_txn *t;
	struct dump before, now;
	char other[100];

	make_store();
	snprintf(other, sizeof(other), "%s/o", test_dir_path);
	OK(dump(path, VS_NOLOCK, &before));
	OK(vs_open(&s, path, 0, &e));
	{
		struct vs *again;
		if (fork() == 0) { /* beside a writer */
			int r = vs_open(&again, path, VS_RDONLY, NULL);
			r = r < 0 ? r : vs_backup(again, backup, NULL);
			_exit(r < 0 ? 1 : 0);
		}
		int status;
		ck_assert_int_ge(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	OK(vs_begin(s, VS_WRITE, &t, &e));
	put(t, 7, 99);
	OK(vs_commit(&t, NULL, &e));
	vs_close(s);
	ck_assert_int_eq(vs_restore(backup, path, false, NULL), -EEXIST);
	OK(vs_restore(backup, other, false, &e));
	OK(dump(other, 0, &now));
	ck_assert(same(&before, &now));
	buf_free(&now.b);
	OK(vs_restore(backup, path, true, &e));
	OK(dump(path, VS_RDONLY, &now));
	ck_assert(same(&before, &now));
	flip(backup, size_of(backup) / 2, 1);
	for (off_t at = 8192; at < size_of(backup); at += 97)
		flip(backup, at, 4);
	ck_assert_int_eq(vs_restore(backup, path, true, NULL), -EBADMSG);
	buf_free(&now.b);
	OK(dump(path, 0, &now));
	ck_assert(same(&before, &now));
	buf_free(&now.b);
	buf_free(&before.b);
	clean();
}
END_TEST

START_TEST(a_file_that_is_cut_empty_or_no_store_is_an_error)
{
	struct vs *s;

	make_store();
	for (int mode = 0; mode < 3; mode++) {
		static const unsigned flags[] = { 0, VS_RDONLY, VS_NOLOCK };
		static const off_t sizes[] = { 0, 1, 4096, 8192, 40960 };
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct dump d;
			char cut[400];
			snprintf(cut, sizeof(cut), "cp -r %s %s/cut && truncate -s %lld %s/cut/data.mdb", path, test_dir_path, (long long)sizes[i], test_dir_path);
			ck_assert_int_eq(system(cut), 0);
			snprintf(cut, sizeof(cut), "%s/cut", test_dir_path);
			ck_assert_int_lt(dump(cut, flags[mode], &d), 0);
			buf_free(&d.b);
			ck_assert_int_eq(rm_rf(AT_FDCWD, cut), 0);
		}
	}
	ck_assert_int_eq(vs_open(&s, test_dir_path, 0, NULL), -ENOENT);
	clean();
}
END_TEST

PROMISES("vecstore: damage", a_sound_store_has_no_problem, check_finds_any_damaged_byte_that_counts, repair_loses_only_what_is_damaged, a_backup_is_the_whole_store_and_a_damaged_one_is_refused,
	 a_file_that_is_cut_empty_or_no_store_is_an_error)
