/* docs/runtime.md lists every field that the reader knows, with what happens with it, exactly as the reader's tables say. RAST_UPDATE=1 writes the list. */
#include "tests/unit/unit.h"

#include "base/file.h"
#include "base/str.h"
#include "runtime/spec/read.h"

#define BEGIN "<!-- fields: from the tables of runtime/spec, by RAST_UPDATE=1 unit_runtime_docs -->\n"
#define END "<!-- end of fields -->\n"

static const char *type_of(const struct field *f)
{
	static const char *const types[] = { [K_BOOL] = "true or false", [K_STR] = "string", [K_NAME] = "name", [K_U16] = "number", [K_U32] = "number",
		[K_U64] = "number", [K_INT] = "number", [K_I64] = "number", [K_OPT_I64] = "number", [K_OPT_U64] = "number", [K_STRV] = "strings", [K_MAP] = "strings by name",
		[K_OBJECT] = "object", [K_NEW] = "object", [K_LIST] = "objects", [K_READ] = "—", [K_NEVER] = "refused", [K_CHECKED] = "—" };

	return f->kind == K_READ && f->sub ? "object" : types[f->kind];
}

static void add_range(struct buf *b, const struct field *f)
{
	if (f->max > 0 && f->kind != K_NEVER && f->max < INT32_MAX)
		(void)buf_addf(b, ", %ld to %ld", (long)f->min, (long)f->max);
	for (size_t i = 0; f->names && i < f->names->n; i++)
		(void)buf_addf(b, "%s`%s`", i > 0 ? " " : ": ", f->names->v[i].name);
}

static void add_table(struct buf *b, const struct table *t, const char *above)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->v[i];
		char path[256];
		snprintf(path, sizeof(path), "%s%s%s%s", above, *above ? "." : "", f->key, f->kind == K_LIST ? "[]" : "");
		(void)buf_addf(b, "| `%s` | %s%s", path, type_of(f), f->flags & REQUIRED ? " (required)" : "");
		add_range(b, f);
		(void)buf_addf(b, " | %s |\n", f->help ? f->help : "");
		if (f->sub)
			add_table(b, f->sub, path);
	}
}

static void replace(const char *text, const char *begin, const char *end, const struct buf *list)
{
	_cleanup_buf_ struct buf b = { 0 };

	(void)buf_add(&b, text, (size_t)(begin - text));
	(void)buf_add(&b, list->data, list->len);
	(void)buf_add(&b, end, strlen(end));
	ck_assert_int_eq(file_replace(AT_FDCWD, DOC, b.data, b.len, 0644), 0);
}

START_TEST(every_field_is_in_the_documentation_as_the_tables_say)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_buf_ struct buf list = { 0 };
	char *begin, *end;

	(void)buf_addf(&list, "| field | value | what happens with it |\n|---|---|---|\n");
	add_table(&list, &spec_table, "");
	ck_assert_int_eq(file_read(AT_FDCWD, DOC, 1 << 20, &text, NULL), 0);
	begin = strstr(text, BEGIN);
	end = strstr(text, END);
	ck_assert_msg(begin && end, "%s has no list of fields", DOC);
	begin += strlen(BEGIN);
	if (getenv("RAST_UPDATE")) {
		replace(text, begin, end, &list);
		return;
	}
	*end = 0;
	ck_assert_msg(streq(begin, list.data), "the list of fields in %s is not what the tables say; run this with RAST_UPDATE=1", DOC);
}
END_TEST

START_TEST(every_mount_option_is_in_the_documentation)
{
	_cleanup_free_ char *text = NULL;

	ck_assert_int_eq(file_read(AT_FDCWD, DOC, 1 << 20, &text, NULL), 0);
	for (size_t i = 0; i < mount_option_n(); i++) {
		char quoted[64];
		snprintf(quoted, sizeof(quoted), "`%s`", mount_option_name(i));
		ck_assert_msg(strstr(text, quoted), "mount option %s", quoted);
	}
}
END_TEST

PROMISES("runtime: documentation", every_field_is_in_the_documentation_as_the_tables_say, every_mount_option_is_in_the_documentation)
