/* log.state: services/logger/journal.h. */
#include <sys/mman.h>
#include "base/base.h"
#include "services/logger/journal.h"
#include "tests/unit/unit.h"

static char path[128];

static void open_new(struct journal *j)
{
	int fd = make_test_dir();
	close(fd);
	snprintf(path, sizeof path, "%s/log.state", test_dir_path);
	ck_assert_int_eq(journal_open(j, path, NULL), 0);
	ck_assert(j->shared);
}

static void commit(struct journal *j, const char *name, uint64_t offset)
{
	struct journal_record r = {.phase = J_STAGED, .offset = offset};
	snprintf(r.name, sizeof r.name, "%s", name);
	journal_commit(j, &r);
}

static void remove_dir(void)
{
	ck_assert_int_eq(rm_rf(AT_FDCWD, test_dir_path), 0);
}

START_TEST(a_new_journal_says_nothing)
{
	struct journal j;
	struct journal_record r;
	open_new(&j);
	ck_assert(!journal_last(&j, &r));
	journal_close(&j);
	remove_dir();
}
END_TEST

START_TEST(the_newest_record_is_found_by_the_next_logger)
{
	struct journal j, k;
	struct journal_record r;
	open_new(&j);
	for (uint64_t i = 1; i <= 5; i++)
		commit(&j, "web", i);
	ck_assert_int_eq(journal_open(&k, path, NULL), 0);
	ck_assert(journal_last(&k, &r));
	ck_assert_uint_eq(r.offset, 5);
	ck_assert_str_eq(r.name, "web");
	commit(&k, "db", 6);
	ck_assert(journal_last(&j, &r));
	ck_assert_str_eq(r.name, "db");
	journal_close(&j);
	journal_close(&k);
	remove_dir();
}
END_TEST

/* SIGKILL in the middle of a commit leaves any prefix of it: whatever byte is damaged, one of the two newest records is found, never
 * another. */
START_TEST(a_torn_record_leaves_the_one_before_it)
{
	struct journal j, k;
	struct journal_record r;
	open_new(&j);
	commit(&j, "one", 1);
	commit(&j, "two", 2);
	commit(&j, "three", 3);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	size_t header = 64, n = sizeof(struct journal_record);
	for (size_t i = 0; i < 2 * n; i++) {
		m[header + i] ^= 0x40;
		ck_assert_int_eq(journal_open(&k, path, NULL), 0);
		ck_assert(journal_last(&k, &r));
		bool newest_hit = i / n == 1; /* seq 3 is odd: the second copy */
		ck_assert_uint_eq(r.offset, newest_hit ? 2 : 3);
		journal_close(&k);
		m[header + i] ^= 0x40;
	}
	munmap(m, 4096);
	close(fd);
	journal_close(&j);
	remove_dir();
}
END_TEST

START_TEST(a_file_of_something_else_is_taken_over)
{
	struct journal j;
	struct journal_record r;
	close(make_test_dir());
	snprintf(path, sizeof path, "%s/log.state", test_dir_path);
	ck_assert_int_eq(file_replace(AT_FDCWD, path, "something else", 14, 0600), 0);
	ck_assert_int_eq(journal_open(&j, path, NULL), 0);
	ck_assert(!journal_last(&j, &r));
	commit(&j, "x", 1);
	ck_assert(journal_last(&j, &r));
	journal_close(&j);
	remove_dir();
}
END_TEST

START_TEST(without_a_file_it_works_in_memory)
{
	struct journal j;
	struct journal_record r;
	_cleanup_err_ struct err e = {0};
	ck_assert_int_lt(journal_open(&j, "/proc/no/such/file", &e), 0);
	ck_assert_ptr_nonnull(strstr(err_text(&e), "/proc/no/such/file"));
	ck_assert_ptr_nonnull(j.map);
	commit(&j, "x", 7);
	ck_assert(journal_last(&j, &r));
	ck_assert_uint_eq(r.offset, 7);
	journal_close(&j);
}
END_TEST

PROMISES("logger: journal", a_new_journal_says_nothing, the_newest_record_is_found_by_the_next_logger,
	a_torn_record_leaves_the_one_before_it, a_file_of_something_else_is_taken_over, without_a_file_it_works_in_memory)
