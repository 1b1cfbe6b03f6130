/* INI files: base/ini.h. */
#include "base/ini.h"

#include <errno.h>
#include "base/file.h"
#include "base/str.h"
#include "tests/unit/unit.h"

static int note(const char *file, int line, const char *section, const char *key, const char *value, void *data)
{
	buf_addf(data, "%s:%d:%s:%s=%s|", file, line, section, key, value);
	return streq(key, "stop") ? -ECANCELED : 0;
}

static void ck_parse(const char *text, const char *want)
{
	_cleanup_buf_ struct buf b = { 0 };
	_cleanup_err_ struct err e = { 0 };

	buf_add(&b, "", 0);
	ck_assert_msg(ini_parse_mem(text, strlen(text), "f", note, &b, &e) == 0, "%s", err_text(&e));
	ck_assert_str_eq(b.data, want);
}

static void ck_error(const char *text, size_t n, const char *want)
{
	_cleanup_buf_ struct buf b = { 0 };
	_cleanup_err_ struct err e = { 0 };

	ck_assert_int_eq(ini_parse_mem(text, n, "f", note, &b, &e), -EBADMSG);
	ck_assert_msg(str_starts(err_text(&e), want), "%s", err_text(&e));
}

START_TEST(keys_come_in_order_with_their_lines)
{
	ck_parse("a=1\n[S]\n\nb = 2\n# c\n; d\nb=3\n[T u]\nc=\n", "f:1::a=1|f:4:S:b=2|f:7:S:b=3|f:9:T u:c=|");
}
END_TEST

START_TEST(white_space_and_line_ends_do_not_matter)
{
	ck_parse("[S]\r\n\t  a = 1  \r\n  b=2", "f:2:S:a=1|f:3:S:b=2|");
	ck_parse("\xef\xbb\xbf[S]\na=1\n", "f:2:S:a=1|");
	ck_parse("", "");
	ck_parse("\n\n", "");
}
END_TEST

START_TEST(a_comment_begins_a_line_and_nowhere_else)
{
	ck_parse("a = x ; y # z\nb=;\n  # comment\nc=\"#\"\n", "f:1::a=x ; y # z|f:2::b=;|f:4::c=\"#\"|");
}
END_TEST

START_TEST(a_backslash_joins_lines_and_the_key_keeps_its_line)
{
	ck_parse("a = 1 \\\n   2 \\\n# comment\n  3\nb=4\n", "f:1::a=1 2 3|f:5::b=4|");
	ck_parse("a = 1 \\", "f:1::a=1|");
	ck_parse("a = 1 \\\n\nb=2\n", "f:1::a=1|f:3::b=2|");
}
END_TEST

START_TEST(a_value_may_have_64_KiB)
{
	_cleanup_buf_ struct buf text = { 0 }, got = { 0 };

	buf_addf(&text, "a=");
	for (int i = 0; i < 65536; i++)
		buf_add(&text, "x", 1);
	ck_assert_int_eq(ini_parse_mem(text.data, text.len, "f", note, &got, NULL), 0);
	ck_assert_uint_gt(got.len, 65536);
	buf_add(&text, "x", 1);
	ck_error(text.data, text.len, "f:1: value of 'a' is longer than 64 KiB: ");
}
END_TEST

START_TEST(a_value_may_hold_what_inih_would_stumble_over)
{
	ck_parse("a = b = c : d\nb = [x]\n[S]\n  e = f\n  g = h\n", "f:1::a=b = c : d|f:2::b=[x]|f:4:S:e=f|f:5:S:g=h|");
}
END_TEST

START_TEST(a_syntax_error_says_where_and_how_to_mend_it)
{
#define ck_err(text, want) ck_error(text, strlen(text), want)
	ck_err("a=1\nfoo\n", "f:2: no '=' in 'foo': ");
	ck_err("[S\n", "f:1: section header without ']'");
	ck_err("[S] x\n", "f:1: section header without ']'");
	ck_err("[]\n", "f:1: section name");
	ck_err("[\n", "f:1: section header without");
	ck_err("=x\n", "f:1: key of 0");
	ck_err("a b=x\n", "f:1: 'a b' is no key");
	ck_err("a:b=x\n", "f:1: 'a:b' is no key");
	ck_err("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx=1\n", "f:1: key of 60");
	ck_err("[xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]\n", "f:1: section name of 60");
}
END_TEST

START_TEST(bytes_that_are_no_text_are_an_error)
{
	ck_error("a=1\nb=\0\n", 8, "f:2: NUL byte");
	ck_error("a=1\n\nb=\xff\n", 9, "f:3: not UTF-8");
	ck_error("a=\xc3", 3, "f:1: not UTF-8");
}
END_TEST

START_TEST(an_error_of_the_callback_ends_the_parse)
{
	_cleanup_buf_ struct buf b = { 0 };

	ck_assert_int_eq(ini_parse_mem("a=1\nstop=1\nb=2\n", 15, "f", note, &b, NULL), -ECANCELED);
	ck_assert_str_eq(b.data, "f:1::a=1|f:2::stop=1|");
}
END_TEST

START_TEST(a_file_is_parsed_by_path)
{
	_cleanup_buf_ struct buf b = { 0 };
	_cleanup_err_ struct err e = { 0 };
	int dir = make_test_dir();
	char path[100], want[200];

	snprintf(path, sizeof(path), "%s/x.ini", test_dir_path);
	ck_assert_int_eq(ini_parse_path(path, note, &b, &e), -ENOENT);
	snprintf(want, sizeof(want), "%s: No such file or directory", path);
	ck_assert_str_eq(err_text(&e), want);
	ck_assert_int_eq(file_replace(dir, "x.ini", "[A]\nb=c\n", 8, 0600), 0);
	ck_assert_int_eq(ini_parse_path(path, note, &b, &e), 0);
	snprintf(want, sizeof(want), "%s:2:A:b=c|", path);
	ck_assert_str_eq(b.data, want);
	close(dir);
	rm_rf(AT_FDCWD, test_dir_path);
}
END_TEST

PROMISES("base: INI files", keys_come_in_order_with_their_lines, white_space_and_line_ends_do_not_matter,
	a_comment_begins_a_line_and_nowhere_else, a_backslash_joins_lines_and_the_key_keeps_its_line, a_value_may_have_64_KiB,
	a_value_may_hold_what_inih_would_stumble_over, a_syntax_error_says_where_and_how_to_mend_it, bytes_that_are_no_text_are_an_error,
	an_error_of_the_callback_ends_the_parse, a_file_is_parsed_by_path)
