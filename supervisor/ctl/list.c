/* list.c: what there is, and in which state. */
#include "supervisor/ctl/ctl.h"

#include <fnmatch.h>

struct listing {
	int argc;
	char **argv; /* patterns */
	struct table table;
	json_t *array;
	unsigned found, failed;
};

static bool wanted(const struct listing *l, const json_t *s)
{
	if (set.failed && !streq(js(s, "state"), "failed"))
		return false;
	if (set.state && !streq(js(s, "state"), set.state))
		return false;
	if (set.type && !streq(js(s, "type"), set.type))
		return false;
	for (int i = 1; i < l->argc; i++)
		if (fnmatch(l->argv[i], js(s, "name"), 0) == 0)
			return true;
	return l->argc < 2;
}

static void add_row(struct table *t, const json_t *s)
{
	char number[32], since[32];
	const char *state = js(s, "state"), *reason = js(s, "reason");
	uint64_t at = (uint64_t)ji(s, "since_us"), now = now_us();
	table_add(t, js(s, "name"), PAINT_NONE);
	table_add(t, js(s, "type"), PAINT_DIM);
	table_add(t, state, state_paint(state));
	table_add(t, at && now > at ? duration_text(since, now - at) : "-", PAINT_NONE);
	snprintf(number, sizeof number, "%lld", (long long)ji(s, "pid"));
	table_add(t, ji(s, "pid") ? number : "-", PAINT_NONE);
	snprintf(number, sizeof number, "%lld", (long long)ji(s, "restarts"));
	table_add(t, ji(s, "restarts") ? number : "", PAINT_BUSY);
	table_add(t, *reason ? reason : js(s, "description"), streq(state, "failed") ? PAINT_BAD : PAINT_NONE);
}

static int on_service(json_t *reply, void *data)
{
	struct listing *l = data;
	json_t *s = json_object_get(reply, "service");
	if (!wanted(l, s))
		return 0;
	l->found++;
	if (set.names)
		puts(js(s, "name"));
	else if (set.json)
		json_array_append(l->array, s);
	else
		add_row(&l->table, s);
	return 0;
}

VERB(list)
{
	struct listing l = {
		.argc = argc, .argv = argv, .table = {.n_columns = 7, .heads = {"NAME", "TYPE", "STATE", "FOR", "PID", "RESTARTS", ""}}};
	l.array = json_array();
	int r = ctl_more("List", NULL, on_service, &l);
	if (r == CTL_OK && set.json)
		print_json(json_incref(l.array));
	else if (r == CTL_OK && !set.names && l.found)
		table_print(&l.table);
	else if (r == CTL_OK && !l.found && argc > 1)
		r = ctl_error(CTL_DENIED, "no service is like that; 'rastctl list' shows them all");
	else if (r == CTL_OK && !set.names && !set.quiet)
		puts(argc > 1 || set.failed || set.state || set.type ? "no service is like that" : "there are no services");
	json_decref(l.array);
	table_free(&l.table);
	return r ? r : l.found || argc < 2 ? CTL_OK : CTL_DENIED;
}

/* --- is-active, is-failed, is-enabled: exit statuses for scripts --- */

static int each_status(
	int argc, char **argv, const char *what, bool (*good)(const json_t *), const char *(*word)(const json_t *), int otherwise)
{
	int status = otherwise;
	_cleanup_json_ json_t *words = json_object();
	if (argc < 2)
		return ctl_error(CTL_USAGE, "%s: which service?", what);
	for (int i = 1; i < argc; i++) {
		_cleanup_json_ json_t *reply = NULL;
		int r = ctl_call("Status", json_pack("{s:s, s:i}", "name", argv[i], "lines", 0), &reply);
		if (r)
			return r;
		const json_t *s = json_object_get(reply, "service");
		if (good(s))
			status = CTL_OK; /* one of several is enough, as with systemctl */
		if (set.json)
			json_object_set_new(words, argv[i], json_string(word(s)));
		else if (!set.quiet)
			puts(word(s));
	}
	if (set.json)
		print_json(json_incref(words));
	return status;
}

static const char *word_state(const json_t *s)
{
	return js(s, "state");
}

static const char *word_enabled(const json_t *s)
{
	return jb(s, "enabled") ? "enabled" : "disabled";
}

static bool good_up(const json_t *s)
{
	return streq(js(s, "state"), "up");
}

static bool good_failed(const json_t *s)
{
	return streq(js(s, "state"), "failed");
}

static bool good_enabled(const json_t *s)
{
	return jb(s, "enabled");
}

VERB(is_active)
{
	return each_status(argc, argv, argv[0], good_up, word_state, CTL_NOT_RUNNING);
}

VERB(is_failed)
{
	return each_status(argc, argv, argv[0], good_failed, word_state, CTL_FAILED);
}

VERB(is_enabled)
{
	return each_status(argc, argv, argv[0], good_enabled, word_enabled, CTL_FAILED);
}

VERB(ping)
{
	_cleanup_json_ json_t *reply = NULL;
	int r = ctl_call("Ping", NULL, &reply);
	if (r || set.json)
		return r ? r : print_json(TAKE_PTR(reply));
	printf("rastd %s, process %lld, instance %lld, generation %lld of %lld services\n", js(reply, "version"),
		(long long)ji(reply, "pid"), (long long)ji(reply, "instance"), (long long)ji(reply, "generation"),
		(long long)ji(reply, "services"));
	return CTL_OK;
}

/* --- events --- */

static int on_event(json_t *reply, void *data)
{
	json_t *e = json_object_get(reply, "event");
	char when[48];
	if (set.json) {
		json_dumpf(e, stdout, JSON_COMPACT);
		putchar('\n');
		fflush(stdout);
		return 0;
	}
	printf("%s  ", time_text(when, (uint64_t)ji(e, "time_realtime_us")));
	const char *kind = js(e, "event"), *state = js(e, "state");
	if (streq(kind, "state")) {
		printf("%-20s %s%s%s", js(e, "service"), *js(e, "old") ? js(e, "old") : "", *js(e, "old") ? " -> " : "",
			paint_on(state_paint(state)));
		printf("%s%s", state, paint_off());
		if (*js(e, "reason"))
			printf("  (%s)", js(e, "reason"));
	} else if (streq(kind, "generation")) {
		printf("generation %lld is active", (long long)ji(e, "generation"));
	} else if (streq(kind, "boot")) {
		const json_t *b = json_object_get(e, "boot");
		printf("boot: %s %s", js(b, "target"), js(b, "state"));
	} else {
		printf("%s %s", kind, js(e, "text"));
	}
	putchar('\n');
	fflush(stdout);
	return 0;
}

VERB(events)
{
	ctl_json_lines();
	return ctl_more("Subscribe", set.all ? json_pack("{s:b}", "initial", 1) : NULL, on_event, NULL);
}
