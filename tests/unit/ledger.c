/* The boot ledger's file: storage/ledger.h. Linked with base/ that can make system calls fail. */
#include "storage/ledger.h"

#include <errno.h>
#include <sys/file.h>
#include "base/file.h"
#include "base/sys.h"
#include "tests/unit/unit.h"

static int dir;

static void setup_dir(void)
{
	dir = make_test_dir();
	sys_fault_clear();
}

static void remove_dir(void)
{
	sys_fault_clear();
	close(dir);
	rm_rf(AT_FDCWD, test_dir_path);
}

static void load(struct ledger *l, bool want_damaged)
{
	_cleanup_err_ struct err e = {0};
	bool damaged;

	ck_assert_msg(ledger_load(dir, "ledger", l, &damaged, &e) == 0, "%s", err_text(&e));
	ck_assert_int_eq(damaged, want_damaged);
}

static void save(struct ledger *l)
{
	_cleanup_err_ struct err e = {0};

	ck_assert_msg(ledger_save(dir, "ledger", l, &e) == 0, "%s", err_text(&e));
}

/* Three changes: both slots have been written in turn. */
static void make(struct ledger *l)
{
	ledger_empty(l);
	ledger_deploy(l, 1);
	save(l);
	ledger_attempt(l, 1);
	save(l);
	ledger_good(l, 1);
	save(l);
}

static void read_file(unsigned char bytes[LEDGER_FILE_SIZE])
{
	int fd = openat(dir, "ledger", O_RDONLY);

	ck_assert_int_eq(read(fd, bytes, LEDGER_FILE_SIZE), LEDGER_FILE_SIZE);
	close(fd);
}

static void write_file(const unsigned char *bytes, size_t n)
{
	int fd = openat(dir, "ledger", O_WRONLY | O_TRUNC | O_CREAT, 0600);

	ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

START_TEST(what_was_saved_is_read_back)
{
	struct ledger l, back;

	setup_dir();
	make(&l);
	load(&back, false);
	ck_assert_mem_eq(&back, &l, sizeof(l));
	ck_assert_uint_eq(back.seq, 3);
	ck_assert_uint_eq(back.last_good, 1);
	ck_assert_uint_eq(ledger_find(&back, 1)->goods, 1);
	remove_dir();
}
END_TEST

START_TEST(a_missing_file_is_ENOENT_and_an_empty_ledger)
{
	struct ledger l;
	bool damaged;

	setup_dir();
	ck_assert_int_eq(ledger_load(dir, "ledger", &l, &damaged, NULL), -ENOENT);
	ck_assert(!damaged && l.n == 0 && l.def == LEDGER_NONE && l.in_progress == LEDGER_NONE);
	remove_dir();
}
END_TEST

/* A torn write leaves the first k bytes of the new slot and the rest of the old one. */
START_TEST(a_write_torn_at_any_byte_leaves_the_older_or_the_newer_state)
{
	static unsigned char before[LEDGER_FILE_SIZE], after[LEDGER_FILE_SIZE], torn[LEDGER_FILE_SIZE];
	struct ledger older, newer, got;
	unsigned n_older = 0, n_newer = 0;
	bool damaged;
	size_t slot;

	setup_dir();
	make(&older);
	read_file(before);
	newer = older;
	ledger_attempt(&newer, 2);
	save(&newer);
	read_file(after);
	slot = (newer.seq % 2) * LEDGER_SLOT_SIZE;
	ck_assert_mem_eq(before + LEDGER_SLOT_SIZE - slot, after + LEDGER_SLOT_SIZE - slot, LEDGER_SLOT_SIZE); /* the other one is untouched */
	for (size_t k = 0; k <= LEDGER_SLOT_SIZE; k++) {
		memcpy(torn, before, sizeof(torn));
		memcpy(torn + slot, after + slot, k);
		write_file(torn, sizeof(torn));
		ck_assert_int_eq(ledger_load(dir, "ledger", &got, &damaged, NULL), 0);
		bool is_newer = memcmp(&got, &newer, sizeof(got)) == 0;
		ck_assert_msg(is_newer || memcmp(&got, &older, sizeof(got)) == 0, "torn after %zu bytes", k);
		n_newer += is_newer;
		n_older += !is_newer;
	}
	ck_assert(n_older > 0 && n_newer > 0);
	remove_dir();
}
END_TEST

START_TEST(any_damaged_byte_of_a_slot_is_noticed_and_the_other_slot_counts)
{
	static unsigned char good[LEDGER_FILE_SIZE], bad[LEDGER_FILE_SIZE];
	struct ledger l, got;
	bool damaged;

	setup_dir();
	make(&l);
	read_file(good);
	for (size_t at = 0; at < LEDGER_FILE_SIZE; at += at % LEDGER_SLOT_SIZE < 200 ? 1 : 61) {
		memcpy(bad, good, sizeof(bad));
		bad[at] ^= 0x10;
		write_file(bad, sizeof(bad));
		ck_assert_int_eq(ledger_load(dir, "ledger", &got, &damaged, NULL), 0);
		ck_assert_msg(damaged, "byte %zu", at);
		ck_assert_uint_eq(got.seq, at / LEDGER_SLOT_SIZE == l.seq % 2 ? l.seq - 1 : l.seq);
	}
	remove_dir();
}
END_TEST

START_TEST(two_damaged_slots_are_EBADMSG_that_says_how_each_and_an_empty_ledger)
{
	static unsigned char bytes[LEDGER_FILE_SIZE];
	_cleanup_err_ struct err e = {0};
	struct ledger l;
	bool damaged;

	setup_dir();
	make(&l);
	read_file(bytes);
	bytes[64] ^= 1;
	memset(bytes + LEDGER_SLOT_SIZE, 0, 8);
	write_file(bytes, sizeof(bytes));
	ck_assert_int_eq(ledger_load(dir, "ledger", &l, &damaged, &e), -EBADMSG);
	ck_assert(strstr(err_text(&e), "first: its checksum is wrong") && strstr(err_text(&e), "second: no magic number"));
	ck_assert(l.n == 0 && l.def == LEDGER_NONE);
	ledger_deploy(&l, 7); /* and it can be used */
	save(&l);
	load(&l, false);
	ck_assert_uint_eq(l.def, 7);
	remove_dir();
}
END_TEST

START_TEST(a_file_cut_short_anywhere_never_fails_worse_than_damaged)
{
	static unsigned char bytes[LEDGER_FILE_SIZE];
	struct ledger l;
	bool damaged;

	setup_dir();
	make(&l);
	read_file(bytes);
	for (size_t n = 0; n < LEDGER_FILE_SIZE; n += 97) {
		int r;
		write_file(bytes, n);
		r = ledger_load(dir, "ledger", &l, &damaged, NULL);
		ck_assert(r == 0 || (r == -EBADMSG && n < LEDGER_SLOT_SIZE)); /* zeros that were cut off are still zeros */
		ck_assert(damaged || n > LEDGER_SLOT_SIZE);
	}
	remove_dir();
}
END_TEST

START_TEST(a_right_checksum_over_impossible_contents_is_damage)
{
	unsigned char slot[LEDGER_SLOT_SIZE];
	struct ledger l, back;
	const char *why;

	ledger_empty(&l);
	ledger_deploy(&l, 1);
	ledger_deploy(&l, 2);
	ledger_encode(&l, slot);
	ck_assert_int_eq(ledger_decode(slot, &back, &why), 0);
	l.e[1].snapshot = 1;
	ledger_encode(&l, slot);
	ck_assert_int_eq(ledger_decode(slot, &back, &why), -EBADMSG);
	ck_assert_str_eq(why, "two entries for one snapshot");
	l.e[1] = (struct ledger_entry){.snapshot = 3, .last_result = 77};
	ledger_encode(&l, slot);
	ck_assert_int_eq(ledger_decode(slot, &back, &why), -EBADMSG);
}
END_TEST

START_TEST(a_save_that_fails_at_any_call_loses_nothing_that_was_there)
{
	static const char *const calls[] = {"openat", "pread", "pwrite", "fdatasync", "fsync", "renameat", "write"};

	for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++)
		for (unsigned nth = 1; nth <= 4; nth++) {
			struct ledger l, before, got;
			bool damaged;
			int r;
			setup_dir();
			make(&l);
			before = l;
			ledger_deploy(&l, 5);
			sys_fault_set(calls[c], nth, ENOSPC);
			r = ledger_save(dir, "ledger", &l, NULL);
			sys_fault_clear();
			ck_assert_int_eq(ledger_load(dir, "ledger", &got, &damaged, NULL), 0);
			ck_assert_msg(got.def == 5 || got.def == 1, "%s %u", calls[c], nth);
			if (r == 0)
				ck_assert_uint_eq(got.def, 5);
			else
				ck_assert_uint_eq(l.seq, before.seq); /* the next save goes into the same slot again */
			save(&l);
			load(&got, false);
			ck_assert_uint_eq(got.def, 5);
			remove_dir();
		}
}
END_TEST

START_TEST(a_new_file_that_could_not_be_made_leaves_no_half_one)
{
	struct ledger l;
	bool damaged;

	setup_dir();
	ledger_empty(&l);
	ledger_deploy(&l, 1);
	sys_fault_set("fsync", 1, EIO);
	ck_assert_int_eq(ledger_save(dir, "ledger", &l, NULL), -EIO);
	sys_fault_clear();
	ck_assert_int_eq(ledger_load(dir, "ledger", &l, &damaged, NULL), -ENOENT);
	ck_assert_int_eq(faccessat(dir, "ledger.new", F_OK, 0), -1);
	remove_dir();
}
END_TEST

START_TEST(the_lock_keeps_a_second_writer_out_until_it_is_given_back)
{
	int first, second;

	setup_dir();
	first = ledger_lock(dir, "ledger", 0, NULL);
	ck_assert_int_ge(first, 0);
	ck_assert_int_eq(ledger_lock(dir, "ledger", 30, NULL), -ETIMEDOUT);
	close(first);
	second = ledger_lock(dir, "ledger", 0, NULL);
	ck_assert_int_ge(second, 0);
	close(second);
	remove_dir();
}
END_TEST

PROMISES("storage: ledger file", what_was_saved_is_read_back, a_missing_file_is_ENOENT_and_an_empty_ledger,
	a_write_torn_at_any_byte_leaves_the_older_or_the_newer_state, any_damaged_byte_of_a_slot_is_noticed_and_the_other_slot_counts,
	two_damaged_slots_are_EBADMSG_that_says_how_each_and_an_empty_ledger, a_file_cut_short_anywhere_never_fails_worse_than_damaged,
	a_right_checksum_over_impossible_contents_is_damage, a_save_that_fails_at_any_call_loses_nothing_that_was_there,
	a_new_file_that_could_not_be_made_leaves_no_half_one, the_lock_keeps_a_second_writer_out_until_it_is_given_back)
