/* Memory runs out: at every single allocation of a compilation, once and for good. It ends with an error, frees what it had, and never makes a half graph. */
#include "tests/unit/failing-malloc.h"
#include "tests/unit/graph_set.h"

static const struct set_file sound[] = {
	{ "s/a.ini", LONGRUN "description = d\nuser = u\ngroups = g h\nenvironment = A=1\npre-start = sh -c 'x y'\noutput = pipe:b\n[limits]\nnofile = 1:2\n[cgroup]\nmemory.max = 1M\n" DEPS
		"wants = nobody t@1\nrequires-one = net\n[install]\nenabled = yes\n" },
	{ "s/b.ini", LONGRUN DEPS "provides = net\nconflicts = c\n" }, { "s/c.ini", ONESHOT "tty = tty1\n[restart]\nsuccess = 3 HUP\n" }, { "s/t@.ini", LONGRUN "description = %i %n %%\n" },
	{ "s/a.d/x.ini", "[service]\nnice = 1\n" }, { "s/t@1.d/x.ini", "[service]\nnice = 1\n" }, { "enabled/a", "-> ../s/a.ini" }, { "enabled/c", "-> /dev/null" }, { NULL, NULL },
};
static const struct set_file wrong[] = {
	{ "s/a.ini", LONGRUN "exce = x\nnice = 100\n[foo]\na = b\n" DEPS "depends = b zz\nconflicts = c\n[cgroup]\nmemory.mx = 1\n" }, { "s/b.ini", LONGRUN DEPS "depends = c\nafter = a\n" }, { "s/c.ini", LONGRUN DEPS "after = b\n" },
	{ "s/v.ini", VIRTUAL }, { "s/d.ini", "x" }, { "enabled/q", "-> ../s/q.ini" }, { NULL, NULL },
};

static char folders[3][80];

static int compile_now(void **blob, size_t *size)
{
	const char *dirs[] = { folders[0], folders[1] };
	struct graph_source src = { dirs, 2, folders[2] };

	*blob = NULL;
	return graph_compile(&src, 7, NULL, NULL, blob, size);
}

/* Fail at the nth allocation for n = 0, 1, ... until none is reached any more. */
static void fail_everywhere(const struct set_file *files, int expected)
{
	int fd = make_test_dir(), r;
	void *good, *blob;
	size_t good_size, size;
	long before, n = 0;

	for (; files->path; files++)
		put_set_file(files->path, files->text);
	for (int i = 0; i < 3; i++)
		snprintf(folders[i], sizeof(folders[i]), "%s/%s", test_dir_path, (const char *[]){ "s", "t", "enabled" }[i]);
	ck_assert_int_eq(compile_now(&good, &good_size), expected);
	for (hit = true; hit; n++) {
		before = live;
		hit = false;
		left = n;
		r = compile_now(&blob, &size);
		left = -1;
		ck_assert_msg(r == expected || (hit && (r == -ENOMEM || r == -EINVAL)), "allocation %ld: %d", n, r);
		if (r == 0) /* qsort(3), for one, does without */
			ck_assert(size == good_size && memcmp(blob, good, size) == 0);
		else
			ck_assert_ptr_null(blob);
		free(blob);
		ck_assert_msg(live == before, "allocation %ld: %ld stay", n, live - before);
	}
	ck_assert_int_gt(n, 40);
	free(good);
	close(fd);
	rm_rf(AT_FDCWD, test_dir_path);
}

START_TEST(a_compilation_that_lacks_memory_once_fails_cleanly)
{
	for_good = false;
	fail_everywhere(sound, 0);
}
END_TEST

START_TEST(a_compilation_that_lacks_memory_from_then_on_fails_cleanly)
{
	for_good = true;
	fail_everywhere(sound, 0);
}
END_TEST

START_TEST(errors_that_lack_memory_for_their_words_are_errors_still)
{
	for_good = false;
	fail_everywhere(wrong, -EINVAL);
	for_good = true;
	fail_everywhere(wrong, -EINVAL);
}
END_TEST

PROMISES("graph: memory", a_compilation_that_lacks_memory_once_fails_cleanly, a_compilation_that_lacks_memory_from_then_on_fails_cleanly, errors_that_lack_memory_for_their_words_are_errors_still)
