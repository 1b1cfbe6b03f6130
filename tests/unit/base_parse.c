/* Numbers, sizes, durations, signals: base/str.h. */
#include "base/str.h"

#include <errno.h>
#include <signal.h>
#include "tests/unit/unit.h"

static uint64_t duration(const char *s)
{
	uint64_t us = 12345;
	int r = parse_duration(s, &us);

	ck_assert_msg(r == 0, "%s: %d", s, r);
	return us;
}

static uint64_t size(const char *s)
{
	uint64_t v = 12345;

	ck_assert_msg(parse_size(s, &v) == 0, "%s", s);
	return v;
}

START_TEST(a_number_is_digits_and_nothing_else)
{
	uint64_t v = 7;

	ck_assert_int_eq(parse_u64("18446744073709551615", &v), 0);
	ck_assert_uint_eq(v, UINT64_MAX);
	v = 7;
	ck_assert_int_eq(parse_u64("18446744073709551616", &v), -ERANGE);
	ck_assert_int_eq(parse_u64("", &v), -EINVAL);
	ck_assert_int_eq(parse_u64(" 1", &v), -EINVAL);
	ck_assert_int_eq(parse_u64("1 ", &v), -EINVAL);
	ck_assert_int_eq(parse_u64("-1", &v), -EINVAL);
	ck_assert_int_eq(parse_u64("+1", &v), -EINVAL);
	ck_assert_int_eq(parse_u64("0x1", &v), -EINVAL);
	ck_assert_int_eq(parse_u64(NULL, &v), -EINVAL);
	ck_assert_uint_eq(v, 7);
}
END_TEST

START_TEST(a_signed_number_reaches_both_ends)
{
	int64_t v = 7;

	ck_assert_int_eq(parse_i64("-9223372036854775808", &v), 0);
	ck_assert_int_eq(v, INT64_MIN);
	ck_assert_int_eq(parse_i64("+9223372036854775807", &v), 0);
	ck_assert_int_eq(v, INT64_MAX);
	ck_assert_int_eq(parse_i64("9223372036854775808", &v), -ERANGE);
	ck_assert_int_eq(parse_i64("-9223372036854775809", &v), -ERANGE);
	ck_assert_int_eq(parse_i64("--1", &v), -EINVAL);
	ck_assert_int_eq(parse_i64("-", &v), -EINVAL);
	ck_assert_int_eq(v, INT64_MAX);
}
END_TEST

START_TEST(yes_and_no_have_four_names_each)
{
	static const char *const yes[] = { "yes", "true", "on", "1", "YES", "True" }, *const no[] = { "no", "false", "off", "0" };
	bool b;

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		b = false;
		ck_assert_int_eq(parse_bool(yes[i], &b), 0);
		ck_assert(b);
	}
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		b = true;
		ck_assert_int_eq(parse_bool(no[i], &b), 0);
		ck_assert(!b);
	}
	ck_assert_int_eq(parse_bool("2", &b), -EINVAL);
	ck_assert_int_eq(parse_bool("", &b), -EINVAL);
	ck_assert_int_eq(parse_bool("y", &b), -EINVAL);
}
END_TEST

START_TEST(a_size_has_powers_of_1024)
{
	uint64_t v = 7;

	ck_assert_uint_eq(size("4096"), 4096);
	ck_assert_uint_eq(size("64K"), 65536);
	ck_assert_uint_eq(size("64k"), 65536);
	ck_assert_uint_eq(size("1M"), 1 << 20);
	ck_assert_uint_eq(size("2GiB"), 2ULL << 30);
	ck_assert_uint_eq(size("1 T"), 1ULL << 40);
	ck_assert_uint_eq(size("0E"), 0);
	ck_assert_uint_eq(size("15E"), 15ULL << 60);
	ck_assert_int_eq(parse_size("16E", &v), -ERANGE);
	ck_assert_int_eq(parse_size("64KB", &v), -EINVAL);
	ck_assert_int_eq(parse_size("K", &v), -EINVAL);
	ck_assert_int_eq(parse_size("-1", &v), -EINVAL);
	ck_assert_int_eq(parse_size("1KK", &v), -EINVAL);
	ck_assert_uint_eq(v, 7);
}
END_TEST

START_TEST(a_duration_is_a_sum_of_spans)
{
	ck_assert_uint_eq(duration("5"), 5000000);
	ck_assert_uint_eq(duration("5s"), 5000000);
	ck_assert_uint_eq(duration("500ms"), 500000);
	ck_assert_uint_eq(duration("7us"), 7);
	ck_assert_uint_eq(duration("2min 30s"), 150000000);
	ck_assert_uint_eq(duration("2min30s"), 150000000);
	ck_assert_uint_eq(duration("1h"), 3600000000);
	ck_assert_uint_eq(duration("1d 1h"), 90000000000);
	ck_assert_uint_eq(duration("1 week"), 604800000000);
	ck_assert_uint_eq(duration("0"), 0);
	ck_assert_uint_eq(duration("infinity"), UINT64_MAX);
}
END_TEST

START_TEST(a_duration_may_have_a_fraction)
{
	ck_assert_uint_eq(duration("1.5"), 1500000);
	ck_assert_uint_eq(duration("0.25s"), 250000);
	ck_assert_uint_eq(duration("1.5min"), 90000000);
	ck_assert_uint_eq(duration("1.5ms"), 1500);
	ck_assert_uint_eq(duration("0.123456789s"), 123456);
}
END_TEST

START_TEST(a_wrong_duration_is_refused_and_changes_nothing)
{
	static const char *const wrong[] = { "", " ", "s", "5x", "-5", "5 30", "2min 30", "5.", ".5", "1h1", "5s,", "infinity s", "5S" };
	uint64_t us = 7;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ck_assert_msg(parse_duration(wrong[i], &us) == -EINVAL, "'%s'", wrong[i]);
	ck_assert_int_eq(parse_duration("18446744073709551615w", &us), -ERANGE);
	ck_assert_int_eq(parse_duration("18446744073709551615us", &us), -ERANGE);
	ck_assert_int_eq(parse_duration("18446744073709551614us 5us", &us), -ERANGE);
	ck_assert_uint_eq(us, 7);
}
END_TEST

START_TEST(a_signal_has_a_name_a_short_name_and_a_number)
{
	ck_assert_int_eq(parse_signal("TERM"), SIGTERM);
	ck_assert_int_eq(parse_signal("SIGTERM"), SIGTERM);
	ck_assert_int_eq(parse_signal("15"), 15);
	ck_assert_int_eq(parse_signal("RTMIN+4"), SIGRTMIN + 4);
	ck_assert_int_eq(parse_signal("SIGRTMAX-1"), SIGRTMAX - 1);
	ck_assert_int_eq(parse_signal("RTMIN"), SIGRTMIN);
	static const char *const wrong[] = { "", "0", "65", "-1", "SIG", "term", "RTMIN-1", "RTMAX+1", "RTMIN+99", "RTMIN+", "TERM ", "FOO" };
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ck_assert_msg(parse_signal(wrong[i]) == -EINVAL, "'%s'", wrong[i]);
}
END_TEST

START_TEST(every_signal_is_parsed_back_from_its_name)
{
	for (int sig = 1; sig < 32; sig++)
		ck_assert_int_eq(parse_signal(signal_name(sig)), sig);
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
		ck_assert_int_eq(parse_signal(signal_name(sig)), sig);
	ck_assert_str_eq(signal_name(SIGKILL), "SIGKILL");
	ck_assert_str_eq(signal_name(SIGRTMIN + 4), "SIGRTMIN+4");
	ck_assert_str_eq(signal_name(-3), "-3");
}
END_TEST

START_TEST(a_mode_is_octal)
{
	mode_t m = 7;

	ck_assert_int_eq(parse_mode("0644", &m), 0);
	ck_assert_uint_eq(m, 0644);
	ck_assert_int_eq(parse_mode("7777", &m), 0);
	ck_assert_int_eq(parse_mode("10000", &m), -ERANGE);
	ck_assert_int_eq(parse_mode("8", &m), -EINVAL);
	ck_assert_int_eq(parse_mode("", &m), -EINVAL);
	ck_assert_uint_eq(m, 07777);
}
END_TEST

PROMISES("base: parsers", a_number_is_digits_and_nothing_else, a_signed_number_reaches_both_ends, yes_and_no_have_four_names_each,
	a_size_has_powers_of_1024, a_duration_is_a_sum_of_spans, a_duration_may_have_a_fraction,
	a_wrong_duration_is_refused_and_changes_nothing, a_signal_has_a_name_a_short_name_and_a_number,
	every_signal_is_parsed_back_from_its_name, a_mode_is_octal)
