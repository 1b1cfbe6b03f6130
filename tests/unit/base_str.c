/* Strings, vectors, buffers, words, checksums: base/str.h. */
#include "base/str.h"

#include <errno.h>
#include "tests/unit/unit.h"

static char **words(const char *s)
{
	char **v = NULL;

	ck_assert_int_eq(str_split_words(s, &v), 0);
	return v;
}

#define ck_words(line, ...)                                                          \
	do {                                                                         \
		const char *const want[] = { __VA_ARGS__ };                          \
		_cleanup_strv_ char **got = words(line);                             \
		ck_assert_uint_eq(strv_len(got), ARRAY_SIZE(want));                  \
		for (size_t i = 0; i < ARRAY_SIZE(want); i++)                        \
			ck_assert_str_eq(got[i], want[i]);                           \
	} while (0)

START_TEST(a_line_is_split_as_a_shell_would)
{
	ck_words("a b", "a", "b");
	ck_words("  /bin/echo\t'it is'  \"x y\" \n", "/bin/echo", "it is", "x y");
	ck_words("a'b'\"c\"d", "abcd");
	ck_words("'' \"\"", "", "");
	ck_words("a\\ b \\'", "a b", "'");
	ck_words("\"a\\\"b\\n\\$\"", "a\"b\\n$");
	ck_words("'a\\'", "a\\");
}
END_TEST

START_TEST(an_empty_line_has_no_words_and_still_a_vector)
{
	_cleanup_strv_ char **v = words(" \t ");

	ck_assert_ptr_nonnull(v);
	ck_assert_ptr_null(v[0]);
}
END_TEST

START_TEST(an_open_quote_is_an_error)
{
	char **v = NULL;

	ck_assert_int_eq(str_split_words("a 'b", &v), -EINVAL);
	ck_assert_int_eq(str_split_words("a \"b", &v), -EINVAL);
	ck_assert_int_eq(str_split_words("a \"b\\", &v), -EINVAL);
	ck_assert_int_eq(str_split_words("a\\", &v), -EINVAL);
	ck_assert_ptr_null(v);
}
END_TEST

START_TEST(a_vector_grows_and_keeps_its_order)
{
	_cleanup_strv_ char **v = NULL;
	char s[16];

	for (int i = 0; i < 100; i++) {
		snprintf(s, sizeof(s), "%d", i);
		ck_assert_int_eq(strv_push(&v, s), 0);
		ck_assert_uint_eq(strv_len(v), (size_t)i + 1);
	}
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(atoi(v[i]), i);
}
END_TEST

START_TEST(white_space_is_stripped_at_both_ends_only)
{
	char a[] = " \t a b \r\n", b[] = "   ", c[] = "";

	ck_assert_str_eq(str_strip(a), "a b");
	ck_assert_str_eq(str_strip(b), "");
	ck_assert_str_eq(str_strip(c), "");
}
END_TEST

START_TEST(prefixes_and_suffixes_are_found_where_they_are)
{
	ck_assert(str_starts("service.ini", "service"));
	ck_assert(!str_starts("ser", "service"));
	ck_assert(str_ends("service.ini", ".ini"));
	ck_assert(!str_ends("ini", ".ini"));
	ck_assert(str_ends("x", ""));
}
END_TEST

START_TEST(a_name_has_1_to_63_harmless_characters)
{
	char name[66];

	memset(name, 'a', sizeof(name));
	name[63] = 0;
	ck_assert(name_valid(name));
	name[63] = 'a';
	name[64] = 0;
	ck_assert(!name_valid(name));
	ck_assert(name_valid("getty@tty1"));
	ck_assert(name_valid("a.b:c-d_E9"));
	ck_assert(!name_valid(""));
	ck_assert(!name_valid(NULL));
	ck_assert(!name_valid("."));
	ck_assert(!name_valid(".."));
	ck_assert(!name_valid("-x"));
	ck_assert(!name_valid("a/b"));
	ck_assert(!name_valid("a b"));
	ck_assert(!name_valid("\xc3\xa4"));
}
END_TEST

START_TEST(the_nearest_word_is_offered_and_a_far_one_is_not)
{
	const char *const c[] = { "start", "stop", "status", "restart" };

	ck_assert_str_eq(str_nearest("sttop", c, 4), "stop");
	ck_assert_str_eq(str_nearest("statsu", c, 4), "status");
	ck_assert_str_eq(str_nearest("startt", c, 4), "start");
	ck_assert_ptr_null(str_nearest("poweroff", c, 4));
	ck_assert_ptr_null(str_nearest("", c, 0));
}
END_TEST

START_TEST(a_very_long_word_is_near_to_nothing)
{
	const char *const c[] = { "start" };
	char s[1000];

	memset(s, 's', sizeof(s) - 1);
	s[sizeof(s) - 1] = 0;
	ck_assert_ptr_null(str_nearest(s, c, 1));
}
END_TEST

START_TEST(a_buffer_is_a_string_at_any_time)
{
	_cleanup_buf_ struct buf b = { 0 };

	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(buf_addf(&b, "%d,", i % 10), 0);
		ck_assert_uint_eq(strlen(b.data), b.len);
	}
	ck_assert_uint_eq(b.len, 2000);
	ck_assert_int_eq(buf_add(&b, NULL, 0), 0);
	ck_assert_uint_eq(b.len, 2000);
}
END_TEST

START_TEST(a_failed_append_is_remembered)
{
	_cleanup_buf_ struct buf b = { 0 };

	ck_assert_int_eq(buf_add(&b, "x", SIZE_MAX), -ENOMEM);
	ck_assert(b.failed);
	ck_assert_int_eq(buf_add(&b, "x", 1), -ENOMEM);
	ck_assert_int_eq(buf_addf(&b, "x"), -ENOMEM);
}
END_TEST

START_TEST(crc32c_is_that_of_rfc_3720)
{
	unsigned char data[32];

	memset(data, 0, sizeof(data));
	ck_assert_uint_eq(crc32c(0, data, 32), 0x8a9136aa);
	memset(data, 0xff, sizeof(data));
	ck_assert_uint_eq(crc32c(0, data, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		data[i] = (unsigned char)i;
	ck_assert_uint_eq(crc32c(0, data, 32), 0x46dd794e);
	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc32c(0, NULL, 0), 0);
}
END_TEST

START_TEST(crc32c_of_parts_is_that_of_the_whole)
{
	const char *s = "The quick brown fox jumps over the lazy dog";

	for (size_t i = 0; i <= strlen(s); i++)
		ck_assert_uint_eq(crc32c(crc32c(0, s, i), s + i, strlen(s) - i), crc32c(0, s, strlen(s)));
}
END_TEST

START_TEST(fnv1a_is_that_of_its_draft)
{
	ck_assert_uint_eq(fnv1a64("", 0), 0xcbf29ce484222325);
	ck_assert_uint_eq(fnv1a64("a", 1), 0xaf63dc4c8601ec8c);
	ck_assert_uint_eq(fnv1a64("foobar", 6), 0x85944171f73967e8);
}
END_TEST

START_TEST(utf8_ends_at_the_first_wrong_byte)
{
	ck_assert_uint_eq(utf8_span("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 10), 10);
	ck_assert_uint_eq(utf8_span("a\xff", 2), 1);
	ck_assert_uint_eq(utf8_span("\xc0\xaf", 2), 0);         /* overlong */
	ck_assert_uint_eq(utf8_span("\xe0\x80\xaf", 3), 0);     /* overlong */
	ck_assert_uint_eq(utf8_span("\xed\xa0\x80", 3), 0);     /* surrogate */
	ck_assert_uint_eq(utf8_span("\xf4\x90\x80\x80", 4), 0); /* above U+10FFFF */
	ck_assert_uint_eq(utf8_span("ab\xe2\x82", 4), 2);       /* cut off */
	ck_assert_uint_eq(utf8_span("\x80", 1), 0);
}
END_TEST

START_TEST(an_error_gathers_context_on_its_way_up)
{
	_cleanup_err_ struct err e = { 0 };

	ck_assert_int_eq(err_sys(&e, -ENOENT, "mount %s", "/x"), -ENOENT);
	ck_assert_int_eq(err_prefix(&e, "service '%s'", "web"), -ENOENT);
	ck_assert_str_eq(err_text(&e), "service 'web': mount /x: No such file or directory");
	ck_assert_int_eq(err_set(&e, -EINVAL, "no"), -EINVAL);
	ck_assert_str_eq(err_text(&e), "no");
	ck_assert_int_eq(e.code, -EINVAL);
}
END_TEST

START_TEST(an_error_may_be_of_no_interest)
{
	ck_assert_int_eq(err_set(NULL, -EINVAL, "x"), -EINVAL);
	ck_assert_int_eq(err_sys(NULL, -EIO, "x"), -EIO);
	ck_assert_int_eq(err_prefix(NULL, "x"), 0);
	ck_assert_str_eq(err_text(NULL), "unknown error");
	ck_assert_str_eq(err_text(&(struct err){ .code = -EIO }), "Input/output error");
}
END_TEST

PROMISES("base: strings", a_line_is_split_as_a_shell_would, an_empty_line_has_no_words_and_still_a_vector, an_open_quote_is_an_error,
	a_vector_grows_and_keeps_its_order, white_space_is_stripped_at_both_ends_only, prefixes_and_suffixes_are_found_where_they_are,
	a_name_has_1_to_63_harmless_characters, the_nearest_word_is_offered_and_a_far_one_is_not, a_very_long_word_is_near_to_nothing,
	a_buffer_is_a_string_at_any_time, a_failed_append_is_remembered, crc32c_is_that_of_rfc_3720, crc32c_of_parts_is_that_of_the_whole,
	fnv1a_is_that_of_its_draft, utf8_ends_at_the_first_wrong_byte, an_error_gathers_context_on_its_way_up, an_error_may_be_of_no_interest)
