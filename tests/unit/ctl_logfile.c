/* Reading logs: supervisor/ctl/logfile.h and stream.h. */
#include <errno.h>
#include <limits.h>
#include <time.h>
#include "supervisor/ctl/logfile.h"
#include "supervisor/ctl/stream.h"
#include "tests/unit/unit.h"

#define T "2026-11-22T10:11:12.123456Z"

START_TEST(a_line_is_taken_apart)
{
	struct log_line l;
	const char *s = T " web: hello: world";
	ck_assert(log_line_parse(s, strlen(s), &l));
	ck_assert_int_eq(strncmp(l.name, "web", l.name_len), 0);
	ck_assert_uint_eq(l.name_len, 3);
	ck_assert_uint_eq(l.text_len, 12);
	ck_assert_int_eq(strncmp(l.text, "hello: world", 12), 0);
}
END_TEST

START_TEST(a_line_without_text_has_none)
{
	struct log_line l;
	ck_assert(log_line_parse(T " web: ", strlen(T " web: "), &l));
	ck_assert_uint_eq(l.text_len, 0);
	ck_assert(log_line_parse(T " web:", strlen(T " web:"), &l));
	ck_assert_uint_eq(l.text_len, 0);
}
END_TEST

START_TEST(what_is_no_line_is_not_taken_for_one)
{
	static const char *const bad[] = {"", T, T " ", T " web", T " : x", T " web hello", "2026-11-22 10:11:12.123456Z web: x",
		"2026-11-22T10:11:12.12345Z web: x"};
	struct log_line l;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!log_line_parse(bad[i], strlen(bad[i]), &l), "%s", bad[i]);
}
END_TEST

static off_t tail_of(const char *text, size_t n, unsigned long lines, unsigned long *left)
{
	char name[] = "/tmp/rast-unit-XXXXXX";
	int fd = mkstemp(name);
	unlink(name);
	ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
	*left = lines;
	off_t r = log_tail_offset(fd, (off_t)n, left);
	close(fd);
	return r;
}

START_TEST(the_tail_begins_at_the_line_that_was_asked_for)
{
	unsigned long left;
	ck_assert_int_eq(tail_of("a\nb\nc\n", 6, 1, &left), 4);
	ck_assert_uint_eq(left, 0);
	ck_assert_int_eq(tail_of("a\nb\nc\n", 6, 2, &left), 2);
	ck_assert_int_eq(tail_of("a\nb\nc", 5, 1, &left), 4);
	ck_assert_int_eq(tail_of("a\nb\nc\n", 6, 3, &left), 0);
	ck_assert_uint_eq(left, 0);
	ck_assert_int_eq(tail_of("a\nb\nc\n", 6, 5, &left), 0);
	ck_assert_uint_eq(left, 2);
	ck_assert_int_eq(tail_of("a\nb\n", 4, 0, &left), 4);
	ck_assert_int_eq(tail_of("", 0, 3, &left), 0);
	ck_assert_uint_eq(left, 3);
	ck_assert_int_eq(tail_of("\n\n\n", 3, 2, &left), 1);
}
END_TEST

START_TEST(the_tail_is_found_across_blocks)
{
	static char text[100000];
	unsigned long left;
	memset(text, 'x', sizeof text);
	for (size_t i = 999; i < sizeof text; i += 1000)
		text[i] = '\n';
	for (unsigned long n = 1; n <= 100; n++)
		ck_assert_int_eq(tail_of(text, sizeof text, n, &left), (off_t)(sizeof text - n * 1000));
}
END_TEST

START_TEST(times_are_read_as_people_write_them)
{
	char key[LOG_KEY_LEN + 1];
	uint64_t now = 1700000000ull * 1000000; /* 2023-11-14T22:13:20Z */
	setenv("TZ", "UTC", 1);
	tzset();
	static const struct {
		const char *text, *key;
	} ok[] = {
		{"now", "2023-11-14T22:13:20.000000Z"},
		{"5min ago", "2023-11-14T22:08:20.000000Z"},
		{"-2h", "2023-11-14T20:13:20.000000Z"},
		{"today", "2023-11-14T00:00:00.000000Z"},
		{"yesterday", "2023-11-13T00:00:00.000000Z"},
		{"10:30", "2023-11-14T10:30:00.000000Z"},
		{"10:30:05", "2023-11-14T10:30:05.000000Z"},
		{"2023-01-02", "2023-01-02T00:00:00.000000Z"},
		{"2023-01-02 03:04", "2023-01-02T03:04:00.000000Z"},
		{"2023-01-02T03:04:05.25Z", "2023-01-02T03:04:05.250000Z"},
		{"@1", "1970-01-01T00:00:01.000000Z"},
	};
	for (size_t i = 0; i < sizeof ok / sizeof *ok; i++) {
		ck_assert_msg(log_key_from_text(ok[i].text, now, key) == 0, "%s", ok[i].text);
		ck_assert_str_eq(key, ok[i].key);
	}
	static const char *const bad[] = {"", "soon", "25:00", "2023-13-01", "10:30x", "@", "-", "-x", " ago", "99999999999999999h ago"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(log_key_from_text(bad[i], now, key) < 0, "%s gave %s", bad[i], key);
}
END_TEST

/* --- streams --- */

static void put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static char *all(struct stream *s, bool unfinished)
{
	static char text[4096];
	const char *line;
	size_t len;
	*text = '\0';
	while (stream_next(s, unfinished, &line, &len) > 0)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s|", (int)len, line);
	return text;
}

START_TEST(a_stream_goes_through_rotated_files_and_what_waits_in_run)
{
	struct stream *s;
	int dir = make_test_dir();
	char spare[128];
	snprintf(spare, sizeof spare, "%s/spare", test_dir_path);
	mkdir(spare, 0700);
	put(dir, "s.log.2", "1\n2\n");
	put(dir, "s.log.1", "3\n");
	put(dir, "s.log", "4\n5");
	put(dir, "spare/s.log", "6\n");
	ck_assert_int_eq(stream_open(&s, test_dir_path, spare, "s", ULONG_MAX), 0);
	ck_assert_str_eq(all(s, true), "1|2|3|4|5|6|");
	stream_free(s);
	ck_assert_int_eq(stream_open(&s, test_dir_path, spare, "s", 4), 0);
	ck_assert_str_eq(all(s, true), "3|4|5|6|");
	stream_free(s);
	ck_assert_int_eq(stream_open(&s, test_dir_path, spare, "other", ULONG_MAX), -ENOENT);
	rm_rf(AT_FDCWD, test_dir_path);
	close(dir);
}
END_TEST

START_TEST(following_goes_on_through_rotations_and_cuts)
{
	struct stream *s;
	int dir = make_test_dir();
	put(dir, "s.log", "1\n2\nhal");
	ck_assert_int_eq(stream_open(&s, test_dir_path, NULL, "s", 1), 0);
	ck_assert_str_eq(all(s, false), "");
	put(dir, "s.log", "f\n");
	stream_refresh(s, test_dir_path);
	ck_assert_str_eq(all(s, false), "half|");
	put(dir, "s.log", "3\n");
	ck_assert_int_eq(renameat(dir, "s.log", dir, "s.log.2"), 0); /* twice rotated since we looked */
	put(dir, "s.log.1", "4\n");
	put(dir, "s.log", "5\n");
	stream_refresh(s, test_dir_path);
	ck_assert_str_eq(all(s, false), "3|4|5|");
	int fd = openat(dir, "s.log", O_WRONLY | O_TRUNC | O_CLOEXEC);
	close(fd);
	stream_refresh(s, test_dir_path);
	put(dir, "s.log", "6\n");
	stream_refresh(s, test_dir_path);
	ck_assert_str_eq(all(s, false), "6|");
	stream_free(s);
	rm_rf(AT_FDCWD, test_dir_path);
	close(dir);
}
END_TEST

PROMISES("rastctl: logs", a_line_is_taken_apart, a_line_without_text_has_none, what_is_no_line_is_not_taken_for_one,
	the_tail_begins_at_the_line_that_was_asked_for, the_tail_is_found_across_blocks, times_are_read_as_people_write_them,
	a_stream_goes_through_rotated_files_and_what_waits_in_run, following_goes_on_through_rotations_and_cuts)
