/* Names, digests, platforms, challenges, users: runtime/image. */
#include <errno.h>
#include "runtime/image/auth.h"
#include "runtime/image/doc.h"
#include "runtime/image/inflate.h"
#include "runtime/image/name.h"
#include "runtime/image/users.h"
#include "tests/unit/unit.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

START_TEST(names_are_what_the_distribution_specification_allows)
{
	static const struct {
		const char *text, *whole; /* NULL: can't be */
	} t[] = {
		{"nginx", "nginx:latest"},
		{"a/b/c:1.2", "a/b/c:1.2"},
		{"registry.example/x", "registry.example/x:latest"},
		{"localhost/x", "localhost/x:latest"},
		{"localhost:5000/x:y", "localhost:5000/x:y"},
		{"[::1]:5000/x", "[::1]:5000/x:latest"},
		{"x@sha256:" ZEROS, "x@sha256:" ZEROS},
		{"x:1@sha256:" ZEROS, "x@sha256:" ZEROS},
		{"a__b/c-d---e/f.g", "a__b/c-d---e/f.g:latest"},
		{"Upper", NULL},
		{"a___b", NULL},
		{"a..b", NULL},
		{"-a", NULL},
		{"a-", NULL},
		{"a//b", NULL},
		{"/a", NULL},
		{"a/", NULL},
		{"", NULL},
		{"a:", NULL},
		{"a:.x", NULL},
		{"a b", NULL},
		{"ho%st.x/a", NULL},
		{"host.x:99999/a", NULL},
		{"host.x:/a", NULL},
		{"user@host.x/a", NULL},
		{"x@sha256:00", NULL},
		{"x@md5:" ZEROS, NULL},
	};
	struct image_name n;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		_cleanup_err_ struct err e = {0};
		_cleanup_free_ char *whole = NULL;
		int r = image_name_parse(t[i].text, &n, &e);
		ck_assert_msg((r == 0) == (t[i].whole != NULL), "'%s': %d %s", t[i].text, r, err_text(&e));
		if (r < 0)
			continue;
		whole = image_name_text(&n);
		ck_assert_str_eq(whole, t[i].whole);
	}
}
END_TEST

START_TEST(a_name_is_the_name_of_a_file_and_back)
{
	_cleanup_free_ char *file = NULL, *back = NULL, *much = calloc(1, 400);

	ck_assert_int_eq(image_name_to_file("localhost:5000/a/b:1", &file), 0);
	ck_assert_str_eq(file, "localhost:5000%2Fa%2Fb:1.json");
	ck_assert_int_eq(image_name_from_file(file, &back), 0);
	ck_assert_str_eq(back, "localhost:5000/a/b:1");
	ck_assert_int_eq(image_name_from_file("x", &back), -EINVAL);
	memset(much, 'a', 300);
	ck_assert_int_eq(image_name_to_file(much, &file), -ENAMETOOLONG);
}
END_TEST

START_TEST(digests_are_lower_case_hex_of_the_right_length)
{
	struct digest d, e;
	char buf[DIGEST_TEXT_MAX];

	ck_assert_int_eq(digest_of("abc", 3, &d), 0); /* FIPS 180-4's example */
	ck_assert_str_eq(d.text, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	ck_assert_int_eq(digest_parse(d.text, &e), 0);
	ck_assert(digest_equal(&d, &e));
	ck_assert_int_eq(digest_from_file(digest_file(&d, buf), &e), 0);
	ck_assert(digest_equal(&d, &e));
	ck_assert_int_eq(digest_parse("sha256:ABCDEF0000000000000000000000000000000000000000000000000000000000", &e), -EINVAL);
	ck_assert_int_eq(digest_parse("sha512:" ZEROS, &e), -EINVAL);
	ck_assert_int_eq(digest_parse("sha256:" ZEROS "0", &e), -EINVAL);
	ck_assert(!digest_equal(&(struct digest){{0}}, &(struct digest){{0}}));
}
END_TEST

START_TEST(chain_ids_are_digests_of_digests)
{
	struct digest a, b, c, want;

	ck_assert_int_eq(digest_of("a", 1, &a), 0);
	ck_assert_int_eq(digest_of("b", 1, &b), 0);
	ck_assert_int_eq(chain_id(NULL, &a, &c), 0);
	ck_assert(digest_equal(&a, &c));
	char text[300];
	snprintf(text, sizeof(text), "%s %s", a.text, b.text);
	digest_of(text, strlen(text), &want);
	ck_assert_int_eq(chain_id(&a, &b, &c), 0);
	ck_assert(digest_equal(&want, &c));
}
END_TEST

START_TEST(platforms_match_when_what_is_said_is_the_same)
{
	struct platform p, q;
	char buf[100];

	ck_assert_int_eq(platform_parse("linux/arm64/v8", &p), 0);
	ck_assert_int_eq(platform_parse("linux/arm64", &q), 0);
	ck_assert(platform_matches(&p, &q) && platform_matches(&q, &p));
	ck_assert_str_eq(platform_text(&p, buf), "linux/arm64/v8");
	ck_assert_int_eq(platform_parse("linux/arm64/v9", &q), 0);
	ck_assert(!platform_matches(&p, &q));
	static const char *const bad[] = {"linux", "", "/", "linux/", "linux/a/b/c", "Linux/amd64", "linux//x", "linux/\xc3\xa4"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(platform_parse(bad[i], &p), -EINVAL);
}
END_TEST

START_TEST(a_challenge_s_realm_has_to_be_https)
{
	struct challenge c;

	ck_assert_int_eq(challenge_parse("Basic realm=\"x\"", &c), 0);
	ck_assert(!c.bearer);
	ck_assert_int_eq(challenge_parse("bearer realm=\"https://a/t\", service=\"a,b\\\"c\" ,scope=repository:x:pull,error=\"no\"", &c), 0);
	ck_assert(c.bearer);
	ck_assert_str_eq(c.realm, "https://a/t");
	ck_assert_str_eq(c.service, "a,b\"c");
	ck_assert_str_eq(c.scope, "repository:x:pull");
	static const char *const bad[] = {"Bearer", "Bearer realm=\"http://a\"", "Digest realm=\"https://a\"", "Bearer realm=\"https://a", "Bearer realm", "Bearer =x",
		"Bearer realm=\"https://a\r\nX: y\""};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(challenge_parse(bad[i], &c), -EINVAL);
}
END_TEST

static void ck_user(int root, const char *user, int want, unsigned uid, unsigned gid, size_t groups)
{
	_cleanup_image_user_ struct image_user u = {0};
	_cleanup_err_ struct err e = {0};
	int r = image_user_find(root, user, &u, &e);

	ck_assert_msg(r == want, "%s: %d %s", user ? user : "(none)", r, err_text(&e));
	if (r < 0)
		return;
	ck_assert_uint_eq(u.uid, uid);
	ck_assert_uint_eq(u.gid, gid);
	ck_assert_uint_eq(u.n_groups, groups);
}

START_TEST(users_are_looked_up_in_the_image)
{
	static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\nbroken\n:\nwww:x:33:44::/srv:/bin/sh\nbad:x:99999999999:1::/:/\n33:x:7:8::/:/\n";
	static const char group[] = "root:x:0:\nwww:x:44:www\nadm:x:4:a,www,b\nx:x:5:wwww\n";
	int dir = make_test_dir();

	ck_user(dir, "", 0, 0, 0, 0); /* without the files */
	ck_user(dir, "1000:5", 0, 1000, 5, 0);
	ck_user(dir, "www", -ENOENT, 0, 0, 0);
	ck_assert_int_eq(mkdirat(dir, "etc", 0755), 0);
	ck_assert_int_eq(file_replace(dir, "etc/passwd", passwd, strlen(passwd), 0644), 0);
	ck_assert_int_eq(file_replace(dir, "etc/group", group, strlen(group), 0644), 0);
	ck_user(dir, NULL, 0, 0, 0, 0);
	ck_user(dir, "www", 0, 33, 44, 1);
	ck_user(dir, "33", 0, 33, 44, 1);
	ck_user(dir, "www:adm", 0, 33, 4, 0);
	ck_user(dir, "www:9", 0, 33, 9, 0);
	ck_user(dir, ":adm", 0, 0, 4, 0);
	ck_user(dir, "12", 0, 12, 0, 0);
	ck_user(dir, "bad", -ENOENT, 0, 0, 0);
	ck_user(dir, "-1", -ENOENT, 0, 0, 0);
	ck_user(dir, "4294967295", -ENOENT, 0, 0, 0);
	ck_user(dir, "www:none", -ENOENT, 0, 0, 0);
	close(dir);
	rm_rf(AT_FDCWD, test_dir_path);
}
END_TEST

PROMISES("image: names", names_are_what_the_distribution_specification_allows, a_name_is_the_name_of_a_file_and_back, digests_are_lower_case_hex_of_the_right_length,
	chain_ids_are_digests_of_digests, platforms_match_when_what_is_said_is_the_same, a_challenge_s_realm_has_to_be_https, users_are_looked_up_in_the_image)
