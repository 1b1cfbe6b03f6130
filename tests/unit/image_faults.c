/* Imports in which a system call fails: nothing half is ever an image, and the next import makes it whole. */
#include <errno.h>
#include <sys/wait.h>
#include "base/base.h"
#include "runtime/image/image.h"
#include "tests/unit/unit.h"

#define NTH_MAX 60

static char images[100], archive[100];

/* docker save's archive of two layers, made by tar(1). */
static void begin(void)
{
	char command[2000];

	strcpy(test_dir_path, "/dev/shm/rast-unit-XXXXXX"); /* every import flushes */
	ck_assert_ptr_nonnull(mkdtemp(test_dir_path));
	snprintf(images, sizeof(images), "%s/images", test_dir_path);
	snprintf(archive, sizeof(archive), "%s/image.tar", test_dir_path);
	snprintf(command, sizeof(command),
		"cd %s && mkdir -p a/d w && echo 1 >a/d/one && ln -s one a/d/s && ln a/d/one a/h && tar -C a -cf w/1.tar . && echo 2 >a/d/two && touch a/.wh.h && tar -C a -cf w/2.tar d/two .wh.h && "
		"cd w && printf '{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":{\"Cmd\":[\"/x\"]},\"rootfs\":{\"diff_ids\":[\"sha256:%%s\",\"sha256:%%s\"]}}' "
		"$(sha256sum <1.tar | cut -c1-64) $(sha256sum <2.tar | cut -c1-64) >c.json && "
		"printf '[{\"Config\":\"c.json\",\"RepoTags\":[\"t:1\"],\"Layers\":[\"1.tar\",\"2.tar\"]}]' >manifest.json && tar -cf ../image.tar *",
		test_dir_path);
	ck_assert_int_eq(system(command), 0);
}

static int import(struct err *e)
{
	const struct image_options o = {.name = NULL};
	_cleanup_image_store_ struct image_store *s = NULL;
	int r = image_store_open(images, true, IMAGE_USE, &s, e);

	return r < 0 ? r : image_import(s, archive, &o, NULL, NULL, e);
}

static int count(const struct image_info *i, void *data)
{
	++*(int *)data;
	return 0;
}

static void on_problem(const char *image, const char *problem, void *data)
{
	ck_abort_msg("%s: %s", image, problem);
}

/* Images that there are; each is whole. */
static int look(void)
{
	_cleanup_image_store_ struct image_store *s = NULL;
	_cleanup_err_ struct err e = {0};
	int n = 0, r = image_store_open(images, false, IMAGE_USE, &s, &e);

	if (r == -ENOENT)
		return 0;
	ck_assert_msg(r == 0 && image_each(s, count, &n, &e) == 0 && image_verify(s, NULL, true, on_problem, NULL, &e) == 0, "%s", err_text(&e));
	return n;
}

static void try_fault(const char *call, unsigned nth, int error)
{
	_cleanup_err_ struct err e = {0}, again = {0};
	char path[300];

	sys_fault_set(call, nth, error);
	int r = import(&e);
	sys_fault_clear();
	ck_assert_msg(look() == 1 || r < 0, "%s:%u: %s", call, nth, err_text(&e));
	ck_assert_msg(r == 0 || *err_text(&e), "%s:%u failed without a word", call, nth);
	r = import(&again);
	ck_assert_msg(r == 0 && look() == 1, "after %s:%u: %s", call, nth, err_text(&again));
	snprintf(path, sizeof(path), "%s/partial", images);
	_cleanup_closedir_ DIR *d = opendir(path);
	int left = 0;
	while (readdir(d))
		left++;
	ck_assert_msg(left == 2, "after %s:%u something is left in partial/", call, nth);
	rm_rf(AT_FDCWD, images);
}

START_TEST(whichever_call_fails_nothing_half_is_an_image_and_the_next_import_is_whole)
{
	static const char *const calls[] = {"openat", "mkdirat", "renameat", "unlinkat", "fsync", "write", "pwrite", "pread", "ftruncate"};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		for (unsigned nth = 1; nth <= (i == 0 ? NTH_MAX : NTH_MAX / 4); nth++)
			try_fault(calls[i], nth, nth % 2 ? EIO : ENOSPC);
	rm_rf(AT_FDCWD, test_dir_path);
}
END_TEST

PROMISES("image: faults", whichever_call_fails_nothing_half_is_an_image_and_the_next_import_is_whole)
