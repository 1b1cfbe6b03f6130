/* Roots of container services: image_container_make(), on a plain folder (tests/integration/image.py has the snapshots). */
#include <errno.h>
#include <jansson.h>
#include "base/base.h"
#include "runtime/image/image.h"
#include "tests/unit/unit.h"

static struct image_store *store;
static char images[100];

/* docker save's archive, made by tar(1), of an image with a file `text` and a volume. */
static void put(const char *name, const char *text)
{
	char command[3000];
	_cleanup_err_ struct err e = {0};
	const struct image_options o = {.name = name};

	snprintf(command, sizeof(command),
		"cd %s && rm -rf w && mkdir -p w/data && cd w && printf %%s %s >text && echo seed >data/seed && tar -cf ../l.tar text data && d=$(sha256sum <../l.tar | cut -c1-64) && rm -r * && "
		"mv ../l.tar . && printf '{\"os\":\"linux\",\"architecture\":\"%%s\",\"config\":{\"Cmd\":[\"/run\"],\"Volumes\":{\"/data\":{}}},\"rootfs\":{\"diff_ids\":[\"sha256:%%s\"]}}' amd64 $d >c.json && "
		"printf '[{\"Config\":\"c.json\",\"RepoTags\":null,\"Layers\":[\"l.tar\"]}]' >manifest.json && tar -cf ../image.tar *",
		test_dir_path, text);
	ck_assert_int_eq(system(command), 0);
	snprintf(command, sizeof(command), "%s/image.tar", test_dir_path);
	int r = image_import(store, command, &o, NULL, NULL, &e);
	ck_assert_msg(r == 0, "%s", err_text(&e));
}

static void begin(void)
{
	_cleanup_err_ struct err e = {0};

	close(make_test_dir());
	snprintf(images, sizeof(images), "%s/images", test_dir_path);
	int r = image_store_open(images, true, IMAGE_USE, &store, &e);
	ck_assert_msg(r == 0, "%s", err_text(&e));
}

static void end(void)
{
	image_store_close(store);
	rm_rf(AT_FDCWD, test_dir_path);
}

static char *make(const char *image, bool fresh)
{
	_cleanup_err_ struct err e = {0};
	const struct image_container o = {.hostname = "box", .fresh = fresh};
	char *bundle = NULL;
	int r = image_container_make(store, image, "web", &o, &bundle, &e);

	ck_assert_msg(r == 0, "%s", err_text(&e));
	return bundle;
}

static void ck_file(const char *bundle, const char *name, const char *want)
{
	char path[300];
	_cleanup_free_ char *text = NULL;

	snprintf(path, sizeof(path), "%s/%s", bundle, name);
	int r = file_read(AT_FDCWD, path, 100000, &text, NULL);
	if (!want) {
		ck_assert_int_eq(r, -ENOENT);
		return;
	}
	ck_assert_msg(r == 0, "%s: %d", path, r);
	ck_assert_msg(strstr(text, want) == text, "%s: %s", path, text);
}

static void write_file(const char *bundle, const char *name, const char *text)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", bundle, name);
	ck_assert_int_eq(file_replace(AT_FDCWD, path, text, strlen(text), 0644), 0);
}

START_TEST(a_container_keeps_its_root_until_its_image_is_another_one)
{
	begin();
	put("a:1", "one");
	_cleanup_free_ char *bundle = make("a:1", false);
	ck_file(bundle, "rootfs/text", "one");
	write_file(bundle, "rootfs/mine", "mine");
	free(make("a:1", false));
	ck_file(bundle, "rootfs/mine", "mine");
	free(make("a:1", true));
	ck_file(bundle, "rootfs/mine", NULL);
	write_file(bundle, "rootfs/mine", "mine");
	put("a:1", "two");
	free(make("a:1", false));
	ck_file(bundle, "rootfs/mine", NULL);
	ck_file(bundle, "rootfs/text", "two");
	end();
}
END_TEST

START_TEST(a_volume_begins_as_the_image_has_it_and_outlives_every_root)
{
	begin();
	put("a:1", "one");
	_cleanup_free_ char *bundle = make("a:1", false), *text = NULL;
	char path[300];
	ck_file(bundle, "volumes/data/seed", "seed");
	write_file(bundle, "volumes/data/kept", "kept");
	put("a:1", "two");
	free(make("a:1", true));
	ck_file(bundle, "volumes/data/kept", "kept");
	snprintf(path, sizeof(path), "%s/config.json", bundle);
	ck_assert_int_eq(file_read(AT_FDCWD, path, 100000, &text, NULL), 0);
	json_t *o = json_loads(text, 0, NULL), *mounts = json_object_get(o, "mounts"), *last = json_array_get(mounts, json_array_size(mounts) - 1);
	ck_assert_str_eq(json_string_value(json_object_get(last, "destination")), "/data");
	snprintf(path, sizeof(path), "%s/volumes/data", bundle);
	ck_assert_str_eq(json_string_value(json_object_get(last, "source")), path);
	ck_assert_str_eq(json_string_value(json_object_get(o, "hostname")), "box");
	json_decref(o);
	end();
}
END_TEST

START_TEST(a_root_that_was_being_made_when_the_machine_went_down_is_made_anew)
{
	begin();
	put("a:1", "one");
	_cleanup_free_ char *bundle = make("a:1", false);
	char path[300];
	snprintf(path, sizeof(path), "%s/container.json", bundle);
	ck_assert_int_eq(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/rootfs.new", bundle);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	write_file(bundle, "rootfs/half", "half");
	free(make("a:1", false));
	ck_file(bundle, "rootfs/half", NULL);
	ck_file(bundle, "rootfs/text", "one");
	ck_assert_int_eq(access(path, F_OK), -1);
	end();
}
END_TEST

START_TEST(what_can_t_be_is_an_error_and_removal_is_whole)
{
	_cleanup_err_ struct err e = {0}, f = {0}, g = {0};
	const struct image_container o = {.hostname = "x"};
	char *bundle = NULL;

	begin();
	put("a:1", "one");
	ck_assert_int_eq(image_container_make(store, "a:1", "../x", &o, &bundle, &e), -EINVAL);
	ck_assert_int_eq(image_container_make(store, "b:1", "web", &o, &bundle, &f), -ENOENT);
	ck_assert_ptr_null(bundle);
	_cleanup_free_ char *made = make("a:1", false);
	ck_assert_int_eq(image_container_remove(store, "web", &g), 0);
	ck_assert_int_eq(access(made, F_OK), -1);
	ck_assert_int_eq(image_container_remove(store, "web", &g), -ENOENT);
	end();
}
END_TEST

PROMISES("image: containers", a_container_keeps_its_root_until_its_image_is_another_one, a_volume_begins_as_the_image_has_it_and_outlives_every_root,
	a_root_that_was_being_made_when_the_machine_went_down_is_made_anew, what_can_t_be_is_an_error_and_removal_is_whole)
