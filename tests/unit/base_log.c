/* The log line: base/log.h. */
#include "base/log.h"

#include <errno.h>
#include <malloc.h>
#include <sys/ioctl.h>
#include <time.h>
#include "base/str.h"
#include "tests/unit/unit.h"

static int out[2];

static void open_log(enum log_target target)
{
	ck_assert_int_eq(pipe(out), 0);
	log_init("unit", target, out[1]);
}

static const char *logged(void)
{
	static char buf[8192];
	ssize_t n;

	close(out[1]);
	n = read(out[0], buf, sizeof(buf) - 1);
	ck_assert_int_ge(n, 0);
	buf[n] = 0;
	return buf;
}

/* The text behind the time. */
static const char *after_time(const char *line)
{
	ck_assert_uint_gt(strlen(line), 28);
	ck_assert_int_eq(line[10], 'T');
	ck_assert_int_eq(line[26], 'Z');
	return line + 28;
}

START_TEST(a_line_is_time_name_level_text)
{
	open_log(LOG_TO_FD);
	log_warning("x is %d", 5);
	ck_assert_str_eq(after_time(logged()), "unit warning: x is 5\n");
}
END_TEST

START_TEST(what_rastlogd_reads_has_no_time_and_name_of_its_own)
{
	open_log(LOG_TO_LOGGER);
	log_err("two");
	ck_assert_str_eq(logged(), "err: two\n");
}
END_TEST

START_TEST(the_time_is_that_of_the_c_library)
{
	char line[100], want[32];
	time_t before = time(NULL), after;

	log_format(line, sizeof(line), "n", LOG_INFO, "t");
	after = time(NULL);
	strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", gmtime(&before));
	if (strncmp(line, want, 19) != 0)
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", gmtime(&after));
	ck_assert_int_eq(strncmp(line, want, 19), 0);
}
END_TEST

START_TEST(a_line_for_kmsg_has_its_priority_and_no_time)
{
	open_log(LOG_TO_KMSG);
	log_err("broken");
	ck_assert_str_eq(logged(), "<3>unit: broken\n");
}
END_TEST

START_TEST(what_is_below_the_level_is_not_written)
{
	open_log(LOG_TO_FD);
	log_debug("a");
	log_set_max_level(LOG_ERR);
	log_warning("b");
	log_err("c");
	ck_assert_str_eq(after_time(logged()), "unit err: c\n");
}
END_TEST

START_TEST(a_long_line_is_cut_and_says_so)
{
	char text[5000];
	const char *line;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	open_log(LOG_TO_FD);
	log_info("%s", text);
	line = logged();
	ck_assert_uint_le(strlen(line), LOG_LINE_MAX);
	ck_assert(str_ends(line, "x...\n"));
}
END_TEST

START_TEST(a_character_is_not_cut_in_two)
{
	for (size_t room = 50; room < 60; room++) {
		char line[64];
		size_t n = log_format(line, room, "n", LOG_INFO,
			"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac");
		ck_assert_uint_lt(n, room);
		ck_assert_uint_eq(utf8_span(line, n), n);
	}
}
END_TEST

START_TEST(one_message_stays_one_line_and_cannot_steer_a_terminal)
{
	open_log(LOG_TO_FD);
	log_info("a\nb\x1b[31m\tc\n\n");
	ck_assert_str_eq(after_time(logged()), "unit info: a b?[31m\tc\n");
}
END_TEST

START_TEST(a_level_is_known_by_name_and_number)
{
	ck_assert_int_eq(log_level_from_name("debug"), LOG_DEBUG);
	ck_assert_int_eq(log_level_from_name("7"), LOG_DEBUG);
	ck_assert_int_eq(log_level_from_name("emerg"), LOG_EMERG);
	ck_assert_int_eq(log_level_from_name("8"), -EINVAL);
	ck_assert_int_eq(log_level_from_name("77"), -EINVAL);
	ck_assert_int_eq(log_level_from_name(""), -EINVAL);
	ck_assert_int_eq(log_level_from_name(NULL), -EINVAL);
}
END_TEST

START_TEST(errno_survives_and_can_be_printed)
{
	open_log(LOG_TO_FD);
	errno = ENOENT;
	log_info("%m");
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_str_eq(after_time(logged()), "unit info: No such file or directory\n");
}
END_TEST

static int pending(void)
{
	int n = -1;

	ck_assert_int_eq(ioctl(out[0], FIONREAD, &n), 0);
	return n;
}

START_TEST(held_lines_are_written_later_and_in_order)
{
	open_log(LOG_TO_LOGGER);
	log_hold(true);
	log_err("one");
	log_err("two");
	ck_assert_int_eq(pending(), 0);
	log_hold(false);
	log_err("three");
	ck_assert_str_eq(logged(), "err: one\nerr: two\nerr: three\n");
}
END_TEST

START_TEST(when_there_is_no_room_to_hold_more_lines_are_written_in_order_and_none_is_lost)
{
	char want[8192] = "", line[64];

	open_log(LOG_TO_LOGGER);
	log_hold(true);
	for (int i = 0; i < 300; i++) {
		log_err("line number %d", i);
		snprintf(line, sizeof(line), "err: line number %d\n", i);
		strcat(want, line);
	}
	ck_assert_int_gt(pending(), 0);
	log_hold(false);
	ck_assert_str_eq(logged(), want);
}
END_TEST

START_TEST(a_change_of_the_target_sends_held_lines_to_the_old_one)
{
	open_log(LOG_TO_LOGGER);
	log_hold(true);
	log_err("old");
	log_init("unit", LOG_TO_LOGGER, STDERR_FILENO);
	ck_assert_str_eq(logged(), "err: old\n");
	log_hold(false);
}
END_TEST

START_TEST(a_log_line_allocates_nothing)
{
#ifndef __SANITIZE_ADDRESS__
	struct mallinfo2 before, after;

	open_log(LOG_TO_FD);
	before = mallinfo2();
	log_info("%s %d %lu", "text", 1, 2UL);
	after = mallinfo2();
	ck_assert_uint_eq(before.uordblks, after.uordblks);
#endif
}
END_TEST

START_TEST(a_tiny_buffer_is_not_overrun)
{
	for (size_t size = 0; size < 40; size++) {
		char *buf = malloc(size + 1); /* ASan watches its end */
		size_t n = log_format(buf, size, "name", LOG_INFO, "text");
		ck_assert(size < 2 ? n == 0 : n < size);
		free(buf);
	}
}
END_TEST

PROMISES("base: log", a_line_is_time_name_level_text, what_rastlogd_reads_has_no_time_and_name_of_its_own, the_time_is_that_of_the_c_library, a_line_for_kmsg_has_its_priority_and_no_time,
	what_is_below_the_level_is_not_written, a_long_line_is_cut_and_says_so, a_character_is_not_cut_in_two,
	one_message_stays_one_line_and_cannot_steer_a_terminal, a_level_is_known_by_name_and_number, errno_survives_and_can_be_printed,
	held_lines_are_written_later_and_in_order, when_there_is_no_room_to_hold_more_lines_are_written_in_order_and_none_is_lost,
	a_change_of_the_target_sends_held_lines_to_the_old_one, a_log_line_allocates_nothing, a_tiny_buffer_is_not_overrun)
