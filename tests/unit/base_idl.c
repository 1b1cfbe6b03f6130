/* Interface descriptions and the check of parameters: base/varlink-idl.h. */
#include "base/varlink-idl.h"

#include <errno.h>
#include "base/str.h"
#include "tests/unit/unit.h"

static const char text[] =
	"# a comment\n"
	"interface org.example.thing-x\n"
	"type Limits (memory: ?int, cpu: float)\n"
	"type State (up, down)\n"
	"method Start(name: string, wait: ?bool, limits: ?Limits, states: ?[]State, env: ?[string]string,\n"
	"  any: ?object, tree: ?Tree) -> ()\n"
	"type Tree (name: string, children: []Tree)\n"
	"error Failed (name: string)\n"
	"error Bare\n"
	"method Get() -> (inline: (a: (x, y), b: [](c: int)))";

static int check(const char *json, char path[IDL_PATH_MAX])
{
	_cleanup_(idl_freep) struct idl *idl = NULL;
	json_t *v = json_loads(json, 0, NULL);
	int r;

	ck_assert_int_eq(idl_parse(text, &idl, NULL), 0);
	ck_assert_ptr_nonnull(v);
	r = idl_check(idl_find(idl, IDL_METHOD, "Start")->in, v, path);
	json_decref(v);
	return r;
}

static void ck_fits(const char *json)
{
	char path[IDL_PATH_MAX];

	ck_assert_msg(check(json, path) == 0, "%s: %s", json, path);
}

static void ck_bad(const char *json, const char *want)
{
	char path[IDL_PATH_MAX];

	ck_assert_int_eq(check(json, path), -EINVAL);
	ck_assert_str_eq(path, want);
}

START_TEST(a_description_is_found_by_kind_and_name)
{
	_cleanup_(idl_freep) struct idl *idl = NULL;

	ck_assert_int_eq(idl_parse(text, &idl, NULL), 0);
	ck_assert_str_eq(idl_name(idl), "org.example.thing-x");
	ck_assert_ptr_nonnull(idl_find(idl, IDL_METHOD, "Get"));
	ck_assert_ptr_nonnull(idl_find(idl, IDL_ERROR, "Bare"));
	ck_assert_ptr_null(idl_find(idl, IDL_METHOD, "Failed"));
	ck_assert_ptr_null(idl_find(idl, IDL_METHOD, "get"));
	ck_assert_ptr_null(idl_find(idl, IDL_METHOD, ""));
}
END_TEST

START_TEST(parameters_that_fit_are_accepted)
{
	ck_fits("{\"name\": \"a\"}");
	ck_fits("{\"name\": \"a\", \"wait\": null, \"limits\": {\"cpu\": 1}}");
	ck_fits("{\"name\": \"a\", \"wait\": true, \"limits\": {\"memory\": 1, \"cpu\": 0.5}, \"states\": [\"up\", \"down\"]}");
	ck_fits("{\"name\": \"a\", \"env\": {\"A\": \"b\"}, \"any\": {\"x\": [1, {}]}}");
	ck_fits("{\"name\": \"a\", \"tree\": {\"name\": \"r\", \"children\": [{\"name\": \"c\", \"children\": []}]}}");
}
END_TEST

START_TEST(the_first_wrong_parameter_is_named)
{
	ck_bad("{}", "name");
	ck_bad("{\"name\": null}", "name");
	ck_bad("{\"name\": 1}", "name");
	ck_bad("{\"name\": \"a\", \"nmae\": 1}", "nmae");
	ck_bad("{\"name\": \"a\", \"wait\": 1}", "wait");
	ck_bad("{\"name\": \"a\", \"limits\": {}}", "limits.cpu");
	ck_bad("{\"name\": \"a\", \"limits\": {\"cpu\": 1, \"memory\": 1.5}}", "limits.memory");
	ck_bad("{\"name\": \"a\", \"states\": [\"up\", \"sideways\"]}", "states");
	ck_bad("{\"name\": \"a\", \"states\": \"up\"}", "states");
	ck_bad("{\"name\": \"a\", \"env\": {\"A\": 1}}", "env.A");
	ck_bad("{\"name\": \"a\", \"any\": []}", "any");
	ck_bad("{\"name\": \"a\", \"tree\": {\"name\": \"r\", \"children\": [{\"name\": 1, \"children\": []}]}}", "tree.children.name");
	ck_bad("[]", "");
}
END_TEST

START_TEST(a_long_path_is_cut_not_overrun)
{
	_cleanup_buf_ struct buf b = { 0 };
	char path[IDL_PATH_MAX];

	buf_addf(&b, "{\"name\": \"a\", \"env\": {\"");
	for (int i = 0; i < 1000; i++)
		buf_add(&b, "k", 1);
	buf_addf(&b, "\": 1}}");
	ck_assert_int_eq(check(b.data, path), -EINVAL);
	ck_assert_uint_lt(strlen(path), IDL_PATH_MAX);
}
END_TEST

START_TEST(a_wrong_description_is_refused_with_its_line)
{
	static const struct {
		const char *text, *want;
	} wrong[] = {
		{ "", "line 1: 'interface' expected" },
		{ "interface x", "line 1: 'x' must have a dot" },
		{ "interface a.b\nmethod f() -> ()", "line 2: 'f' must begin with a capital" },
		{ "interface a.b\nmethod F()", "line 2: '->' expected" },
		{ "interface a.b\n\nmethod F(a: Foo) -> ()", "line 3: type 'Foo' is used" },
		{ "interface a.b\nmethod F(a: foo) -> ()", "line 2: 'foo' is no type" },
		{ "interface a.b\nmethod F(a: int, a: int) -> ()", "line 2: field 'a' is there twice" },
		{ "interface a.b\nmethod F(a, b) -> ()", "line 2: parameters need types" },
		{ "interface a.b\nmethod F(a: int, b) -> ()", "line 2: field 'b': either" },
		{ "interface a.b\ntype F (a)\ntype F (b)", "line 3: 'F' is there twice" },
		{ "interface a.b\ntype F int", "line 2: '(' expected" },
		{ "interface a.b\ntype F (a: ? ?int)", "line 2: one '?' is enough" },
		{ "interface a.b\nfoo", "line 2: 'type', 'method' or 'error' expected" },
		{ "interface a.b\ntype F (a: int", "line 2: ',' expected" },
		{ "interface a.b\ntype F (a__b: int)", "line 2: ',' expected" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_err_ struct err e = { 0 };
		struct idl *idl = NULL;
		ck_assert_msg(idl_parse(wrong[i].text, &idl, &e) == -EBADMSG, "%s", wrong[i].text);
		ck_assert_msg(str_starts(err_text(&e), wrong[i].want), "%s: %s", wrong[i].want, err_text(&e));
		ck_assert_ptr_null(idl);
	}
}
END_TEST

START_TEST(endless_nesting_is_refused)
{
	_cleanup_buf_ struct buf b = { 0 };
	struct idl *idl = NULL;

	buf_addf(&b, "interface a.b\ntype T (a: ");
	for (int i = 0; i < 100000; i++)
		buf_addf(&b, "[]");
	buf_addf(&b, "int)");
	ck_assert_int_eq(idl_parse(b.data, &idl, NULL), -EBADMSG);
}
END_TEST

PROMISES("base: Varlink descriptions", a_description_is_found_by_kind_and_name, parameters_that_fit_are_accepted,
	the_first_wrong_parameter_is_named, a_long_path_is_cut_not_overrun, a_wrong_description_is_refused_with_its_line, endless_nesting_is_refused)
