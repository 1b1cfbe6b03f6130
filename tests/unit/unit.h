/* unit.h: the frame of a unit test program (Check). The name of a test is the sentence that is false when it fails:
 *
 *   START_TEST(an_open_quote_is_an_error) { ... } END_TEST
 *   PROMISES("base: words", an_open_quote_is_an_error, ...)
 */
#ifndef RAST_TESTS_UNIT_H
#define RAST_TESTS_UNIT_H

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROMISES(name, ...)                                                                      \
	int main(void)                                                                           \
	{                                                                                        \
		const TTest *tests[] = { __VA_ARGS__ };                                          \
		Suite *suite = suite_create(name);                                               \
		TCase *tcase = tcase_create(name);                                               \
		SRunner *runner = srunner_create(suite);                                         \
		int failed;                                                                      \
		tcase_set_timeout(tcase, 300);                                                   \
		for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)                    \
			tcase_add_test(tcase, tests[i]);                                         \
		suite_add_tcase(suite, tcase);                                                   \
		srunner_set_tap(runner, "-");                                                    \
		srunner_run_all(runner, CK_SILENT);                                              \
		failed = srunner_ntests_failed(runner);                                          \
		srunner_free(runner);                                                            \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;                                     \
	}

/* An empty folder for this test alone, open; test_dir_path is where it is. Remove it with rm_rf(). */
static char test_dir_path[64] __attribute__((unused));

static inline int make_test_dir(void)
{
	int fd;

	strcpy(test_dir_path, "/tmp/rast-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(test_dir_path));
	fd = open(test_dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

#endif
