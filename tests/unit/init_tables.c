/* What PID 1 keeps for rastd: init/fdstore.h and init/exits.h. */
#include <errno.h>
#include <string.h>
#include "base/mem.h"
#include "init/exits.h"
#include "init/fdstore.h"
#include "tests/unit/unit.h"

static int put(const char *name)
{
	int fds[2] = {open("/dev/null", O_RDONLY | O_CLOEXEC), open("/dev/zero", O_RDONLY | O_CLOEXEC)};

	return fdstore_put(name, fds, 2);
}

static bool has(const char *name)
{
	struct rinit_fd_entry e;
	unsigned pos = 0;
	int fds[2];

	while (fdstore_next(&pos, &e, fds))
		if (strcmp(e.name, name) == 0)
			return e.n_fds == 2 && fcntl(fds[0], F_GETFD) >= 0 && fcntl(fds[1], F_GETFD) >= 0;
	return false;
}

static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 20000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

START_TEST(what_is_stored_is_found_and_what_is_dropped_is_closed)
{
	unsigned before = open_fds();

	ck_assert_int_eq(put("a"), 0);
	ck_assert_int_eq(put("b"), 0);
	ck_assert(has("a") && has("b") && !has("c"));
	ck_assert_uint_eq(open_fds(), before + 4);
	ck_assert_int_eq(put("a"), 0); /* replaced: the old ones are closed */
	ck_assert_uint_eq(open_fds(), before + 4);
	ck_assert(fdstore_drop("a"));
	ck_assert(!fdstore_drop("a"));
	ck_assert(!has("a") && has("b"));
	ck_assert_uint_eq(open_fds(), before + 2);
	fdstore_clear();
	ck_assert_uint_eq(open_fds(), before);
}
END_TEST

START_TEST(impossible_entries_are_refused_and_their_descriptors_closed)
{
	unsigned before = open_fds();
	char name[RINIT_NAME_MAX + 2];
	int fd = open("/dev/null", O_RDONLY);

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(put(name), -EINVAL);
	ck_assert_int_eq(put(""), -EINVAL);
	ck_assert_int_eq(fdstore_put("a", &fd, 0), -EINVAL);
	close(fd);
	ck_assert_uint_eq(open_fds(), before);
	name[RINIT_NAME_MAX] = '\0';
	ck_assert_int_eq(put(name), 0);
	ck_assert(has(name));
	fdstore_clear();
}
END_TEST

START_TEST(the_store_holds_all_its_entries_and_no_more)
{
	char name[32];

	for (unsigned i = 0; i < FDSTORE_MAX; i++) {
		int fd = dup(0);
		snprintf(name, sizeof(name), "service-%u", i);
		if (fd < 0) { /* the limit of this place: the rest can't be tried here */
			ck_assert_uint_gt(i, 200);
			fdstore_clear();
			return;
		}
		ck_assert_int_eq(fdstore_put(name, &fd, 1), 0);
	}
	int fd = dup(0);
	ck_assert_int_eq(fdstore_put("one too many", &fd, 1), -ENOSPC);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	fdstore_clear();
}
END_TEST

/* Against a plain model, with names that share runs of the index. */
START_TEST(any_order_of_storing_and_dropping_keeps_every_name_findable)
{
	static bool model[400];
	char name[32];

	srand(1);
	for (unsigned step = 0; step < 40000; step++) {
		unsigned i = (unsigned)rand() % 400;
		int fd = -1;
		snprintf(name, sizeof(name), "n%u", i);
		if (rand() % 2) {
			fd = dup(0);
			ck_assert_int_eq(fdstore_put(name, &fd, 1), 0);
			model[i] = true;
		} else {
			ck_assert_int_eq(fdstore_drop(name), model[i]);
			model[i] = false;
		}
	}
	unsigned n = 0, pos = 0, seen = 0;
	struct rinit_fd_entry e;
	int fds[2];
	for (unsigned i = 0; i < 400; i++)
		n += model[i];
	while (fdstore_next(&pos, &e, fds)) {
		ck_assert(model[atoi(e.name + 1)]);
		seen++;
	}
	ck_assert_uint_eq(seen, n);
	ck_assert_uint_eq(fdstore_count(), n);
	fdstore_clear();
}
END_TEST

START_TEST(a_walk_is_not_disturbed_by_changes)
{
	struct rinit_fd_entry e;
	unsigned pos = 0, n = 0;
	int fds[2];

	for (char c = 'a'; c <= 'j'; c++)
		ck_assert_int_eq(put((char[]){c, '\0'}), 0);
	while (fdstore_next(&pos, &e, fds)) {
		if (e.name[0] == 'c')
			fdstore_drop("a");
		if (e.name[0] == 'd')
			fdstore_drop("h");
		n++;
	}
	ck_assert_uint_eq(n, 9); /* all but h, which went before the walk came there */
	fdstore_clear();
}
END_TEST

START_TEST(reports_come_again_until_they_are_acknowledged_in_order_and_once_each)
{
	struct rinit_exit e[8];

	for (int i = 1; i <= 5; i++)
		exits_push(i, 1, 0, (uint64_t)i);
	ck_assert_uint_eq(exits_after(0, e, 8), 5);
	ck_assert(e[0].seq == 1 && e[4].seq == 5 && e[4].pid == 5);
	ck_assert(!exits_ack(3));
	ck_assert_uint_eq(exits_after(0, e, 8), 2);
	ck_assert_uint_eq(e[0].seq, 4);
	ck_assert_uint_eq(exits_after(4, e, 8), 1);
	ck_assert(!exits_ack(2));
	ck_assert(!exits_ack(1000)); /* a number that was never given acknowledges all there is, not what comes */
	exits_push(6, 1, 0, 6);
	ck_assert_uint_eq(exits_after(0, e, 8), 1);
	ck_assert_uint_eq(e[0].seq, 6);
}
END_TEST

START_TEST(a_full_ring_says_so_and_room_is_made_by_the_first_acknowledgement)
{
	struct rinit_exit e[4];

	exits_ack(exits_last());
	uint64_t first = exits_last() + 1;
	for (unsigned i = 0; i < EXITS_MAX; i++) {
		ck_assert(!exits_full());
		exits_push((int)i, 1, (int)i & 0xff, i);
	}
	ck_assert(exits_full());
	ck_assert(exits_ack(first));
	ck_assert(!exits_full());
	ck_assert_uint_eq(exits_after(0, e, 1), 1);
	ck_assert(e[0].seq == first + 1 && e[0].pid == 1);
	exits_ack(exits_last());
	ck_assert_uint_eq(exits_after(0, e, 4), 0);
	exits_push(7, 1, 0, 0); /* the pages were given back: the ring still works */
	ck_assert_uint_eq(exits_after(0, e, 4), 1);
	ck_assert_int_eq(e[0].pid, 7);
}
END_TEST

PROMISES("init: what PID 1 keeps", what_is_stored_is_found_and_what_is_dropped_is_closed,
	impossible_entries_are_refused_and_their_descriptors_closed, the_store_holds_all_its_entries_and_no_more,
	any_order_of_storing_and_dropping_keeps_every_name_findable, a_walk_is_not_disturbed_by_changes,
	reports_come_again_until_they_are_acknowledged_in_order_and_once_each, a_full_ring_says_so_and_room_is_made_by_the_first_acknowledgement)
