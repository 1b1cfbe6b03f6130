/* Every mistake that a set of service files can have, and the words for it. A case is a set and all that is said about it. */
#include "tests/unit/graph_set.h"

static const struct error_case {
	const char *title;
	struct set_file files[8];
	const char *said;
} cases[] = {
#include "tests/unit/graph_errors.inc"
};

START_TEST(every_mistake_is_reported_with_its_place_and_a_way_out)
{
	const struct error_case *c = &cases[_i];
	_cleanup_buf_ struct buf said = { 0 };
	_cleanup_free_ void *blob = NULL;
	bool wrong = strstr(c->said, "error ") != NULL;
	size_t size;
	int r = compile_files(c->files, &said, &blob, &size);

	if (getenv("GRAPH_ERRORS_PRINT"))
		fprintf(stderr, "### %s\n%s", c->title, said.data);
	ck_assert_msg(streq(said.data, c->said), "%s:\n--- said\n%s--- expected\n%s", c->title, said.data, c->said);
	ck_assert_msg(r == (wrong ? -EINVAL : 0), "%s: result %d", c->title, r);
	ck_assert_msg((blob != NULL) == !wrong, "%s", c->title);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("graph: errors");
	TCase *tcase = tcase_create("graph: errors");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tcase, every_mistake_is_reported_with_its_place_and_a_way_out, 0, (int)ARRAY_SIZE(cases));
	suite_add_tcase(suite, tcase);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
