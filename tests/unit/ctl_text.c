/* What rastctl prints for people, and the times of shutdown: supervisor/ctl. */
#include <time.h>
#include "supervisor/ctl/power.h"
#include "tests/unit/unit.h"

struct settings set;
const char *ctl_name = "rastctl";

/* schedule.c's other half is not wanted here. */
int force_count;
int power_request(enum power_kind kind, const char *message)
{
	ck_abort_msg("a unit test asked for %s", power_word(kind));
	return 1;
}
const char *power_word(enum power_kind kind)
{
	return "poweroff";
}
void wall(const char *text)
{
	ck_abort_msg("a unit test wrote to terminals: %s", text);
}
int ctl_error(int status, const char *fmt, ...)
{
	return status;
}

START_TEST(durations_have_their_two_largest_units)
{
	static const struct {
		uint64_t us;
		const char *text;
	} t[] = {
		{0, "0s"},
		{5, "5us"},
		{1500, "1ms"},
		{999999, "999ms"},
		{1000000, "1s"},
		{2500000, "2.5s"},
		{65000000, "1min 5s"},
		{3600000000u, "1h"},
		{90000000000u, "1d 1h"},
		{86400000000u * 400, "400d"},
	};
	char buf[32];
	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		ck_assert_str_eq(duration_text(buf, t[i].us), t[i].text);
}
END_TEST

START_TEST(sizes_have_their_unit)
{
	char buf[32];
	ck_assert_str_eq(size_text(buf, 0), "0 B");
	ck_assert_str_eq(size_text(buf, 1023), "1023 B");
	ck_assert_str_eq(size_text(buf, 1536), "1.5 KiB");
	ck_assert_str_eq(size_text(buf, 64u << 20), "64 MiB");
	ck_assert_str_eq(size_text(buf, UINT64_MAX), "16 EiB");
}
END_TEST

START_TEST(a_text_cannot_steer_the_terminal)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	print_clean(f, "a\033[2J\tb\177\xc2\x9b"
		       "2J \xc3\xa4\xc2\xa0");
	fclose(f);
	ck_assert_str_eq(text, "a\\x1b[2J\tb\\x7f\\u009b2J \xc3\xa4\xc2\xa0");
	free(text);
}
END_TEST

START_TEST(a_width_is_counted_in_characters)
{
	ck_assert_uint_eq(text_width("abc"), 3);
	ck_assert_uint_eq(text_width("\xc3\xa4\xe2\x82\xac"), 2);
}
END_TEST

START_TEST(shutdown_understands_now_minutes_and_times_of_day)
{
	uint64_t now = 1700000000ull * 1000000, when; /* 22:13:20 UTC */
	setenv("TZ", "UTC", 1);
	tzset();
	ck_assert_int_eq(schedule_parse("now", now, &when), 0);
	ck_assert_uint_eq(when, now);
	ck_assert_int_eq(schedule_parse("+5", now, &when), 0);
	ck_assert_uint_eq(when, now + 300000000);
	ck_assert_int_eq(schedule_parse("0", now, &when), 0);
	ck_assert_uint_eq(when, now);
	ck_assert_int_eq(schedule_parse("22:14", now, &when), 0);
	ck_assert_uint_eq(when, now + 40000000);
	ck_assert_int_eq(schedule_parse("22:13", now, &when), 0); /* past: tomorrow */
	ck_assert_uint_eq(when, now + 86400000000u - 20000000);
	static const char *const bad[] = {"", "+", "5m", "24:00", "10:60", "10:", "-5", "+10:30", "tomorrow", "10:30x", "99999999999"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(schedule_parse(bad[i], now, &when) < 0, "%s", bad[i]);
}
END_TEST

START_TEST(a_table_is_as_wide_as_its_cells)
{
	struct table t = {.n_columns = 2, .heads = {"A", "LONGER"}};
	char text[512] = "";
	int fds[2], out = dup(1);
	table_add(&t, "cell of some length", PAINT_GOOD);
	table_add(&t, "x", PAINT_NONE);
	table_add(&t, "\xc3\xa4", PAINT_NONE);
	table_add(&t, "", PAINT_NONE);
	fflush(stdout);
	ck_assert_int_eq(pipe(fds), 0);
	dup2(fds[1], 1);
	table_print(&t);
	fflush(stdout);
	dup2(out, 1);
	ck_assert_int_gt(read(fds[0], text, sizeof text - 1), 0);
	ck_assert_str_eq(text, "A                    LONGER\ncell of some length  x\n\xc3\xa4                    \n");
	table_free(&t);
	close(fds[0]);
	close(fds[1]);
	close(out);
}
END_TEST

PROMISES("rastctl: text", durations_have_their_two_largest_units, sizes_have_their_unit, a_text_cannot_steer_the_terminal,
	a_width_is_counted_in_characters, shutdown_understands_now_minutes_and_times_of_day, a_table_is_as_wide_as_its_cells)
