/* boot.c: which snapshot this machine has booted, why, and what the ledger remembers of the others. Read-only, and without rastd. */
#include "supervisor/ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include "storage/ledger.h"

/* KEY=value lines of /run/rastos/boot, which stage 1 has written. There may be several notes. */
static void add_value(json_t *to, const char *key, const char *value)
{
	if (!streq(key, "note")) {
		json_object_set_new(to, key, json_string(value));
		return;
	}
	json_t *notes = json_object_get(to, "notes");
	if (!notes) {
		notes = json_array();
		json_object_set_new(to, "notes", notes);
	}
	json_array_append_new(notes, json_string(value));
}

static int read_decision(json_t *to)
{
	char path[4096];
	_cleanup_free_ char *text = NULL;
	snprintf(path, sizeof path, "%s/boot", set.run_dir);
	int r = file_read(AT_FDCWD, path, 65536, &text, NULL);
	if (r < 0)
		return r;
	char *rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		char *equals = strchr(line, '=');
		if (!equals)
			continue;
		*equals = '\0';
		add_value(to, line, equals + 1);
	}
	return 0;
}

static json_t *number_or_null(uint32_t n)
{
	return n == LEDGER_NONE ? json_null() : json_integer(n);
}

static json_t *ledger_json(const struct ledger *l, bool damaged)
{
	json_t *o = json_pack("{s:I, s:o, s:o, s:o, s:o, s:b, s:[]}", "boot", (json_int_t)l->boot, "default", number_or_null(l->def),
		"last_good", number_or_null(l->last_good), "in_progress", number_or_null(l->in_progress), "once", number_or_null(l->once),
		"damaged", damaged, "deployments");
	for (uint32_t i = 0; i < l->n; i++) {
		const struct ledger_entry *e = &l->e[i];
		json_array_append_new(json_object_get(o, "deployments"),
			json_pack("{s:I, s:b, s:I, s:I, s:I, s:I, s:s}", "snapshot", (json_int_t)e->snapshot, "proven", e->proven,
				"tries_left", (json_int_t)e->tries_left, "fails", (json_int_t)e->fails, "goods", (json_int_t)e->goods,
				"last_boot", (json_int_t)e->last_boot, "last_result", ledger_result_name(e->last_result)));
	}
	return o;
}

static void cell(struct table *t, uint64_t n)
{
	char text[24];
	snprintf(text, sizeof text, "%llu", (unsigned long long)n);
	table_add(t, text, PAINT_NONE);
}

static void print_ledger(const struct ledger *l)
{
	_cleanup_table_ struct table t = {
		.n_columns = 6, .heads = {"SNAPSHOT", "TRIES LEFT", "GOOD BOOTS", "FAILED IN A ROW", "LAST RESULT", ""}};
	for (uint32_t i = 0; i < l->n; i++) {
		const struct ledger_entry *e = &l->e[i];
		char note[128];
		snprintf(note, sizeof note, "%s%s%s%s", e->snapshot == l->def ? "default " : "",
			e->snapshot == l->once ? "next boot only " : "", e->snapshot == l->last_good ? "last good " : "",
			e->snapshot == l->in_progress ? "not judged yet" : "");
		cell(&t, e->snapshot);
		cell(&t, e->tries_left);
		cell(&t, e->goods);
		cell(&t, e->fails);
		table_add(&t, ledger_result_name(e->last_result),
			e->last_result == LEDGER_RESULT_GOOD     ? PAINT_GOOD
			: e->last_result == LEDGER_RESULT_FAILED ? PAINT_BAD
								 : PAINT_NONE);
		table_add(&t, str_strip(note), PAINT_BOLD);
	}
	table_print(&t);
	printf("%llu boots have been recorded.\n", (unsigned long long)l->boot);
}

static void print_decision(const json_t *decision)
{
	const char *key;
	json_t *value;
	size_t i;
	json_t *note;
	json_object_foreach ((json_t *)decision, key, value)
		if (json_is_string(value))
			printf("%s%s%s: %s\n", paint_on(PAINT_DIM), key, paint_off(), json_string_value(value));
	json_array_foreach (json_object_get(decision, "notes"), i, note)
		printf("  %s\n", json_string_value(note));
	if (json_object_size(decision))
		putchar('\n');
}

VERB(boot)
{
	_cleanup_err_ struct err e = {0};
	_cleanup_json_ json_t *decision = json_object();
	struct ledger l;
	bool damaged = false;
	int d = read_decision(decision), r = ledger_load(AT_FDCWD, set.ledger, &l, &damaged, &e);
	if (set.json)
		return print_json(json_pack("{s:O, s:o}", "decision", decision, "ledger", r < 0 ? json_null() : ledger_json(&l, damaged)));
	print_decision(decision);
	if (d < 0)
		ctl_error(CTL_FAILED, "%s/boot: %s%s", set.run_dir, strerror(-d),
			d == -ENOENT ? " (this machine was not booted by rastOS's stage 1)" : "");
	if (damaged)
		ctl_error(CTL_FAILED, "one of the ledger's two slots is damaged; the other counts");
	if (r == -EACCES)
		return ctl_error(CTL_DENIED, "%s; try it with sudo or su", err_text(&e));
	if (r < 0)
		return ctl_error(CTL_FAILED, "the boot ledger %s: %s", set.ledger,
			r == -ENOENT ? "it is not there (no deployment was ever booted here)"
			: e.text     ? e.text
				     : strerror(-r));
	print_ledger(&l);
	return CTL_OK;
}
