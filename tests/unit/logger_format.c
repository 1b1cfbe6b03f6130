/* How bytes become lines: services/logger/format.h. */
#include <time.h>
#include "services/logger/format.h"
#include "tests/unit/unit.h"

static struct format_prefix prefix;
static char out[65536];
static size_t out_len;

static const char *format(const char *in, size_t n, enum format_tail tail, size_t *used)
{
	format_prefix(&prefix, 0, "n");
	*used = format_lines(&prefix, in, n, &tail, out, sizeof out - 1, &out_len);
	out[out_len] = '\0';
	return out;
}

#define P "1970-01-01T00:00:00.000000Z n: "

static void expect(const char *in, size_t n, enum format_tail tail, size_t used, const char *want)
{
	size_t got;
	const char *text = format(in, n, tail, &got);
	ck_assert_str_eq(text, want);
	ck_assert_uint_eq(got, used);
}

START_TEST(the_time_is_that_of_the_c_library)
{
	static const uint64_t seconds[] = {0, 1, 86399, 86400, 951782399, 951782400, 1078012800, 1709164800, 1709251200, 4107542399,
		4107542400, 1800000000, 13569465600};
	for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
		char want[64];
		time_t t = (time_t)seconds[i];
		struct tm tm;
		gmtime_r(&t, &tm);
		strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S.123456Z name: ", &tm);
		format_prefix(&prefix, seconds[i] * 1000000 + 123456, "name");
		ck_assert_str_eq(prefix.text, want);
		ck_assert_uint_eq(prefix.len, strlen(want));
	}
}
END_TEST

START_TEST(every_day_of_three_centuries_has_its_date)
{
	for (time_t t = 0; t < 300LL * 366 * 86400; t += 86400) {
		char want[64];
		struct tm tm;
		gmtime_r(&t, &tm);
		strftime(want, sizeof want, "%Y-%m-%dT", &tm);
		format_prefix(&prefix, (uint64_t)t * 1000000, "n");
		ck_assert_msg(strncmp(prefix.text, want, 11) == 0, "%s for %s", prefix.text, want);
	}
}
END_TEST

START_TEST(an_unfinished_line_stays_where_it_is)
{
	expect("a\nb", 3, TAIL_KEEP, 2, P "a\n");
	expect("b", 1, TAIL_KEEP, 0, "");
	expect("", 0, TAIL_END, 0, "");
}
END_TEST

START_TEST(at_the_end_an_unfinished_line_is_a_line)
{
	expect("a\nb", 3, TAIL_END, 3, P "a\n" P "b\n");
}
END_TEST

START_TEST(a_piece_ends_in_a_backslash_and_a_real_backslash_is_escaped)
{
	expect("abc", 3, TAIL_SPLIT, 3, P "abc\\\n");
	expect("abc\\\n", 5, TAIL_KEEP, 5, P "abc\\x5c\n");
	expect("a\\b\n", 4, TAIL_KEEP, 4, P "a\\b\n");
}
END_TEST

START_TEST(control_characters_are_escaped_and_tabs_and_utf8_are_not)
{
	expect("a\0b\033[1m\177\n", 9, TAIL_KEEP, 9, P "a\\x00b\\x1b[1m\\x7f\n");
	expect("\ttab \xc3\xa4\n", 8, TAIL_KEEP, 8, P "\ttab \xc3\xa4\n");
	expect("12345678\r12345678\t12345678\b\n", 28, TAIL_KEEP, 28, P "12345678\\x0d12345678\t12345678\\x08\n");
}
END_TEST

START_TEST(a_carriage_return_before_the_newline_goes_away)
{
	expect("a\r\n\r\n", 5, TAIL_KEEP, 5, P "a\n" P "\n");
}
END_TEST

START_TEST(a_line_that_does_not_fit_any_more_waits_for_the_next_output)
{
	char in[5000];
	size_t used;
	enum format_tail tail = TAIL_KEEP;
	memset(in, 'x', sizeof in);
	in[3000] = '\n';
	in[4999] = '\n';
	format_prefix(&prefix, 0, "n");
	used = format_lines(&prefix, in, sizeof in, &tail, out, FORMAT_OUT_MIN, &out_len);
	ck_assert_uint_eq(used, 3001);
	ck_assert_uint_eq(out_len, 3001 + prefix.len);
}
END_TEST

START_TEST(a_line_longer_than_the_limit_is_split_between_characters)
{
	static char in[FORMAT_LINE_MAX * 2];
	size_t used;
	memset(in, 'x', sizeof in);
	memcpy(in + FORMAT_LINE_MAX - 2, "\xf0\x9f\x98\x80", 4); /* lies across the limit */
	format(in, sizeof in, TAIL_KEEP, &used);
	ck_assert_uint_eq(used, FORMAT_LINE_MAX - 2);
	ck_assert_str_eq(out + out_len - 3, "x\\\n");
}
END_TEST

START_TEST(a_line_of_the_limit_is_not_split)
{
	static char in[FORMAT_LINE_MAX + 1];
	size_t used;
	memset(in, 'x', sizeof in);
	in[FORMAT_LINE_MAX] = '\n';
	format(in, sizeof in, TAIL_KEEP, &used);
	ck_assert_uint_eq(used, sizeof in);
	ck_assert_uint_eq(out_len, sizeof in + prefix.len);
}
END_TEST

/* What recovery after SIGKILL rests on: the bytes that were taken, and the tail, give the same output again. */
START_TEST(the_same_bytes_give_the_same_output)
{
	static char in[70000], copy[65536];
	srand(7);
	for (unsigned round = 0; round < 2000; round++) {
		size_t n = (size_t)rand() % sizeof in, pos = 0, cap = FORMAT_OUT_MIN + (size_t)rand() % (sizeof out - FORMAT_OUT_MIN);
		unsigned mode = (unsigned)rand() % 4;
		for (size_t i = 0; i < n; i++)
			in[i] = mode == 0   ? (char)(rand() % 256)
				: mode == 1 ? "ab\n"[rand() % 3]
				: mode == 2 ? (rand() % 3000 ? 'x' : '\n')
					    : (rand() % 40000 ? '\0' : '\n');
		for (unsigned step = 0; step < 200 && pos < n; step++) {
			enum format_tail tail = (enum format_tail)(rand() % 3);
			size_t used = format_lines(&prefix, in + pos, n - pos, &tail, out, cap, &out_len), len = out_len;
			if (!used)
				break;
			ck_assert_uint_le(len, cap);
			memcpy(copy, out, len);
			ck_assert_uint_eq(format_lines(&prefix, in + pos, used, &tail, out, cap, &out_len), used);
			ck_assert_uint_eq(out_len, len);
			ck_assert_int_eq(memcmp(copy, out, len), 0);
			ck_assert_int_eq(out[len - 1], '\n');
			pos += used;
		}
	}
}
END_TEST

PROMISES("logger: format", the_time_is_that_of_the_c_library, every_day_of_three_centuries_has_its_date,
	an_unfinished_line_stays_where_it_is, at_the_end_an_unfinished_line_is_a_line,
	a_piece_ends_in_a_backslash_and_a_real_backslash_is_escaped, control_characters_are_escaped_and_tabs_and_utf8_are_not,
	a_carriage_return_before_the_newline_goes_away, a_line_that_does_not_fit_any_more_waits_for_the_next_output,
	a_line_longer_than_the_limit_is_split_between_characters, a_line_of_the_limit_is_not_split, the_same_bytes_give_the_same_output)
