/* history.c: rast history: look at every configuration that the machine had. */
#include "storage/rast/history.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>

struct history_settings hist = {.dir = HISTORY_DEFAULT_DIR, .boot_file = "/run/rastos/boot", .snapshot = -1, .number = 10, .max_versions = -1};

bool boot_file_value(const char *key, char *buf, size_t size)
{
	_cleanup_free_ char *text = NULL;
	size_t n = strlen(key);

	if (file_read(AT_FDCWD, hist.boot_file, 65536, &text, NULL) < 0)
		return false;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
		if (str_starts(line, key) && line[n] == '=') {
			snprintf(buf, size, "%s", line + n + 1);
			return true;
		}
	return false;
}

uint32_t running_snapshot(void)
{
	char buf[32];
	uint64_t n;

	return boot_file_value("snapshot", buf, sizeof(buf)) && parse_u64(buf, &n) == 0 && n < LEDGER_NONE ? (uint32_t)n : LEDGER_NONE;
}

int parse_version(const char *s, uint32_t *ret)
{
	uint64_t n;

	if (parse_u64(s, &n) < 0 || n == 0 || n >= UINT32_MAX)
		return rast_error(RAST_USAGE, "'%s' is not the number of a version; see: rast history list", s);
	*ret = (uint32_t)n;
	return 0;
}

int open_to_read(struct history *h)
{
	_cleanup_err_ struct err e = {0};
	int r = history_open(h, hist.dir, HISTORY_READ, &e);

	if (r == 0)
		r = history_begin(h, HISTORY_READ, &e);
	return r < 0 ? rast_fail(&e) : 0;
}

const char *version_state(const struct version *v, enum paint *p)
{
	*p = streq(v->outcome, "good") ? PAINT_GOOD : streq(v->outcome, "failed") ? PAINT_BAD : PAINT_DIM;
	return v->outcome;
}

static json_t *version_json(const struct version *v)
{
	return json_pack("{sI sI so ss ss ss ss sI sI sI sI}", "version", (json_int_t)v->number, "parent", (json_int_t)v->parent, "snapshot",
		v->snapshot == LEDGER_NONE ? json_null() : json_integer(v->snapshot), "kind", v->kind, "outcome", v->outcome, "why", v->why, "hash", v->hash, "time_us",
		(json_int_t)v->time_us, "healthy_boots", (json_int_t)v->goods, "failed_boots", (json_int_t)v->fails, "changes", (json_int_t)v->changes);
}

static int print_json(json_t *j)
{
	int r = j ? json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) : -1;

	putchar('\n');
	json_decref(j);
	return r < 0 ? rast_error(RAST_FAILED, "out of memory") : RAST_OK;
}

/* --- list --- */

struct listing { struct table table; json_t *array; struct history *h; };

/* The first change, and how many more. */
static void summary(struct history *h, const struct version *v, char *buf, size_t size)
{
	_cleanup_err_ struct err quiet = {0};
	struct vs_record r;
	char id[32];

	snprintf(buf, size, v->parent ? "no change" : "first");
	snprintf(id, sizeof(id), "%010u/%05u", v->number, 0);
	if (!v->changes || vs_get(h->txn, "change", id, &r, &quiet) < 0)
		return;
	if (v->changes > 1)
		snprintf(buf, size, "%.120s and %u more", vs_view_string(r.meta, "text", "?"), v->changes - 1);
	else
		snprintf(buf, size, "%.150s", vs_view_string(r.meta, "text", "?"));
}

static int list_one(const struct version *v, void *data)
{
	struct listing *l = data;
	char number[16], snapshot[16] = "-", when[48], text[256];
	enum paint p;

	if (rast.json)
		return json_array_append_new(l->array, version_json(v)) < 0 ? -ENOMEM : 0;
	snprintf(number, sizeof(number), "%u", v->number);
	if (v->snapshot != LEDGER_NONE)
		snprintf(snapshot, sizeof(snapshot), "%u", v->snapshot);
	summary(l->h, v, text, sizeof(text));
	const char *state = version_state(v, &p);
	int r = table_add(&l->table, number, PAINT_BOLD);
	r = r < 0 ? r : table_add(&l->table, time_text(when, v->time_us), PAINT_NONE);
	r = r < 0 ? r : table_add(&l->table, v->kind, PAINT_NONE);
	r = r < 0 ? r : table_add(&l->table, snapshot, PAINT_NONE);
	r = r < 0 ? r : table_add(&l->table, state, p);
	return r < 0 ? r : table_add(&l->table, *v->why && streq(v->outcome, "failed") ? v->why : text, PAINT_NONE);
}

static int verb_list(int argc, char **argv, void *data)
{
	_cleanup_history_ struct history h = {0};
	_cleanup_err_ struct err e = {0};
	struct listing l = {.table = {.n_columns = 6, .heads = {"VERSION", "TIME", "KIND", "SNAPSHOT", "OUTCOME", "WHAT"}}, .array = rast.json ? json_array() : NULL, .h = &h};
	int status = open_to_read(&h);

	if (status == 0 && history_each(&h, list_one, &l, &e) < 0)
		status = rast_fail(&e);
	if (status == 0 && !rast.json)
		table_print(&l.table);
	table_free(&l.table);
	if (rast.json && status == 0)
		return print_json(l.array);
	json_decref(l.array);
	return status;
}

/* --- show --- */

static int show_boot(const struct outcome *o, void *data)
{
	json_t *boots = data;
	char when[48];

	if (boots)
		return json_array_append_new(boots, json_pack("{sI ss ss ss sI}", "attempt", (json_int_t)o->attempt, "result", ledger_result_name(o->result), "reason", o->reason, "why",
				o->why, "time_us", (json_int_t)o->time_us)) < 0 ? -ENOMEM : 0;
	printf("boot %llu (%s): %s%s%s, seen %s\n", (unsigned long long)o->attempt, o->reason, ledger_result_name(o->result), *o->why ? ": " : "", o->why, time_text(when, o->time_us));
	return 0;
}

static int show_change(struct history *h, const struct version *v, uint32_t i, json_t *changes)
{
	_cleanup_err_ struct err quiet = {0};
	struct vs_record r;
	char id[32];

	snprintf(id, sizeof(id), "%010u/%05u", v->number, i);
	if (vs_get(h->txn, "change", id, &r, &quiet) < 0)
		return 0;
	double ok = vs_view_float(r.meta, "ok", 0), bad = vs_view_float(r.meta, "bad", 0);
	const char *text = vs_view_string(r.meta, "text", "");
	if (changes)
		return json_array_append_new(changes, json_pack("{ss ss sf sf sb}", "subject", vs_view_string(r.meta, "subject", ""), "text", text, "ok", ok, "bad", bad, "data",
				vs_view_bool(r.meta, "data", false))) < 0 ? -ENOMEM : 0;
	fputs("change ", stdout);
	print_clean(stdout, text);
	if (ok > 0 || bad > 0)
		printf("  [healthy %.0f, blamed %.2f]", ok, bad);
	putchar('\n');
	return 0;
}

static int show_documents(struct history *h, uint32_t version, const char *only, json_t *list)
{
	_cleanup_documents_ struct documents ds = {0};
	_cleanup_err_ struct err e = {0};
	bool found = false;

	if (history_documents(h, version, &ds, &e) < 0)
		return only ? rast_fail(&e) : (printf("%s\n", err_text(&e)), 0);
	for (size_t i = 0; i < ds.n; i++) {
		if (only && !streq(only, ds.d[i].name))
			continue;
		found = true;
		if (list)
			json_array_append_new(list, json_pack("{ss ss ss}", "kind", doc_kind_name(ds.d[i].kind), "name", ds.d[i].name, "text", ds.d[i].text));
		else if (only)
			print_clean(stdout, ds.d[i].text);
		else
			printf("document %s (%s, %zu bytes)\n", ds.d[i].name, doc_kind_name(ds.d[i].kind), ds.d[i].n);
	}
	return only && !found ? rast_error(RAST_NOT_THERE, "version %u has no document %s", version, only) : 0;
}

static int verb_show(int argc, char **argv, void *data)
{
	_cleanup_history_ struct history h = {0};
	_cleanup_err_ struct err e = {0};
	struct version v;
	uint32_t number = 0;
	char when[48];

	if (argc < 2 || argc > 3)
		return rast_error(RAST_USAGE, "history show takes the number of a version, and the name of a document if only that is wanted");
	int status = parse_version(argv[1], &number);
	if (status || (status = open_to_read(&h)))
		return status;
	if (history_version(&h, number, &v, &e) < 0)
		return rast_fail(&e);
	if (argc == 3)
		return show_documents(&h, number, argv[2], NULL);
	json_t *j = rast.json ? version_json(&v) : NULL, *boots = rast.json ? json_array() : NULL, *changes = rast.json ? json_array() : NULL, *documents = rast.json ? json_array() : NULL;
	if (!rast.json) {
		enum paint p;
		const char *state = version_state(&v, &p);
		printf("version %u (%s), %s%s%s%s%s\nfrom version %u, %s\n", v.number, v.kind, paint_on(p), state, paint_off(), *v.why ? ": " : "", v.why, v.parent, time_text(when, v.time_us));
	}
	int r = history_outcomes(&h, number, show_boot, boots, &e);
	for (uint32_t i = 0; r == 0 && i < v.changes; i++)
		r = show_change(&h, &v, i, changes);
	status = r < 0 ? rast_fail(&e) : show_documents(&h, number, NULL, documents);
	if (!j)
		return status;
	json_object_set_new(j, "boots", boots);
	json_object_set_new(j, "change", changes);
	json_object_set_new(j, "documents", documents);
	return print_json(j);
}

/* --- diff --- */

static int diff_one(const struct change *c, void *data)
{
	json_t *array = data;
	char text[1024];

	change_describe(c, text, sizeof(text));
	if (array)
		return json_array_append_new(array, json_pack("{ss ss sb}", "subject", change_subject(c), "text", text, "data", change_touches_data(c))) < 0 ? -ENOMEM : 0;
	const char *mark = !c->n_before ? "+" : !c->n_after ? "-" : "~";
	printf("%s%s ", paint_on(!c->n_before ? PAINT_GOOD : !c->n_after ? PAINT_BAD : PAINT_NONE), mark);
	print_clean(stdout, text);
	printf("%s\n", paint_off());
	return 0;
}

static int verb_diff(int argc, char **argv, void *data)
{
	_cleanup_history_ struct history h = {0};
	_cleanup_facts_ struct facts a = {0}, b = {0};
	_cleanup_err_ struct err e = {0};
	uint32_t from = 0, to = 0;

	if (argc != 3)
		return rast_error(RAST_USAGE, "history diff takes the numbers of two versions");
	int status = parse_version(argv[1], &from);
	if (status || (status = parse_version(argv[2], &to)) || (status = open_to_read(&h)))
		return status;
	if (history_facts(&h, from, &a, &e) < 0 || history_facts(&h, to, &b, &e) < 0)
		return rast_fail(&e);
	json_t *array = rast.json ? json_array() : NULL;
	if (changes_between(&a, &b, diff_one, array) < 0)
		return rast_error(RAST_FAILED, "out of memory");
	return rast.json ? print_json(array) : RAST_OK;
}

/* --- search and similar --- */

static bool has_word(const char *text, const char *word)
{
	return strcasestr(text, word) != NULL;
}

/* What failed is asked for with words such as these: they choose among changes, not among words of configurations. */
static bool asks_for_failures(char **words)
{
	static const char *const bad[] = {"fail", "fails", "failed", "failing", "failure", "broken", "breaks", "crash", "bad"};

	for (char **w = words; *w; w++)
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
			if (strcasecmp(*w, bad[i]) == 0)
				return true;
	return false;
}

static int print_hits(struct history *h, const struct vs_hits *hits, char **words)
{
	json_t *array = rast.json ? json_array() : NULL;

	for (size_t i = 0; i < hits->n; i++) {
		const struct vs_record *r = &hits->hit[i].record;
		_cleanup_err_ struct err quiet = {0};
		const char *text = vs_view_string(r->meta, "text", "");
		uint32_t number = (uint32_t)vs_view_int(r->meta, "version", 0);
		struct version v = {0};
		if (history_version(h, number, &v, &quiet) < 0 || hits->hit[i].score < 0.05f)
			continue;
		if (array) {
			json_array_append_new(array, json_pack("{sI sf ss ss ss sf}", "version", (json_int_t)number, "score", (double)hits->hit[i].score, "text", text, "outcome", v.outcome, "why", v.why,
							       "blamed", vs_view_float(r->meta, "bad", 0)));
			continue;
		}
		enum paint p;
		const char *state = version_state(&v, &p);
		printf("version %u  %s%s%s  %.2f  ", number, paint_on(p), state, paint_off(), (double)hits->hit[i].score);
		print_clean(stdout, text);
		if (vs_view_float(r->meta, "bad", 0) > 0)
			printf("  [blamed %.2f%s%s]", vs_view_float(r->meta, "bad", 0), *v.why ? ": " : "", v.why);
		for (char **w = words; w && *w; w++)
			if (*v.why && has_word(v.why, *w))
				printf("  (%s is in the reason)", *w);
		putchar('\n');
	}
	return array ? print_json(array) : RAST_OK;
}

static int search_for(struct history *h, const float *vector, const char *coll, const char *filter, char **words)
{
	_cleanup_vs_filter_ struct vs_filter *f = NULL;
	_cleanup_vs_hits_ struct vs_hits hits = {0};
	_cleanup_err_ struct err e = {0};
	struct vs_query q = {.vector = vector, .k = (uint32_t)MAX(hist.number, 1)};

	if ((filter && vs_filter_parse(filter, &f, &e) < 0))
		return rast_fail(&e);
	q.filter = f;
	if (vs_search(h->txn, coll, &q, &hits, &e) < 0)
		return rast_fail(&e);
	return print_hits(h, &hits, words);
}

static int verb_search(int argc, char **argv, void *data)
{
	_cleanup_history_ struct history h = {0};
	_cleanup_tokens_ struct tokens ts = {0};
	_cleanup_buf_ struct buf text = {0};
	_cleanup_strv_ char **words = NULL;
	float v[EMBED_DIM];

	if (argc < 2)
		return rast_error(RAST_USAGE, "history search takes words, for example: rast history search \"nginx fails after upgrade\"");
	for (int i = 1; i < argc; i++)
		buf_addf(&text, "%s%s", i > 1 ? " " : "", argv[i]);
	if (text.failed || tokens_of_text(&ts, text.data) < 0 || tokens_seal(&ts) < 0)
		return rast_error(RAST_FAILED, "out of memory");
	if (str_split_words(text.data, &words) < 0 || ts.n == 0)
		return rast_error(RAST_USAGE, "'%s' is nothing to search for", text.data);
	int status = open_to_read(&h);
	if (status)
		return status;
	embed_vector(&ts, v);
	return search_for(&h, v, "change", asks_for_failures(words) ? "bad > 0.05" : NULL, words);
}

static int similar_one(const struct vs_hit *hit, uint32_t to, json_t *array)
{
	struct version v;

	version_from_record(&hit->record, &v);
	if (v.number == to)
		return 0;
	if (array) {
		json_t *j = version_json(&v);
		json_object_set_new(j, "score", json_real((double)hit->score));
		return json_array_append_new(array, j);
	}
	enum paint p;
	const char *state = version_state(&v, &p);
	printf("version %u  %s%s%s  %.3f  %s%s%s\n", v.number, paint_on(p), state, paint_off(), (double)hit->score, v.kind, *v.why ? ": " : "", v.why);
	return 0;
}

static int verb_similar(int argc, char **argv, void *data)
{
	_cleanup_history_ struct history h = {0};
	_cleanup_vs_hits_ struct vs_hits hits = {0};
	_cleanup_err_ struct err e = {0};
	struct vs_record r;
	float v[EMBED_DIM];
	uint32_t number = 0;
	char id[16];

	if (argc != 2)
		return rast_error(RAST_USAGE, "history similar takes the number of a version");
	int status = parse_version(argv[1], &number);
	if (status || (status = open_to_read(&h)))
		return status;
	snprintf(id, sizeof(id), "%010u", number);
	if (vs_get(h.txn, "version", id, &r, &e) < 0)
		return e.code == -ENOENT ? rast_error(RAST_NOT_THERE, "the history has no version %u", number) : rast_fail(&e);
	vs_record_vector(&r, v);
	struct vs_query q = {.vector = v, .k = (uint32_t)MAX(hist.number, 1) + 1};
	if (vs_search(h.txn, "version", &q, &hits, &e) < 0)
		return rast_fail(&e);
	json_t *array = rast.json ? json_array() : NULL;
	for (size_t i = 0; i < hits.n; i++)
		similar_one(&hits.hit[i], number, array);
	return array ? print_json(array) : RAST_OK;
}

#define OPTS(table) table, ARRAY_SIZE(table)

static const struct opt read_options[] = {{HIST_DIR}};
static const struct opt search_options[] = {{"number", 'n', OPT_INT, "N", "at most so many (10)", &hist.number}, {HIST_DIR}};
static const struct opt record_options[] = {
	{"kind", 0, OPT_STRING, "KIND", "deploy, apply, boot or restore (apply)", &hist.kind},
	{"snapshot", 0, OPT_INT, "N", "the configuration of this snapshot (the one that runs)", &hist.snapshot},
	{"result", 0, OPT_STRING, "RESULT", "good or failed: what this boot came to", &hist.result},
	{"why", 0, OPT_STRING, "TEXT", "with --result=failed: the reason", &hist.why},
	{HIST_TOP},
	{"boot-file", 0, OPT_STRING, "FILE", "what stage 1 decided (/run/rastos/boot)", &hist.boot_file},
	{"root", 0, OPT_STRING, "DIR", "the system's root (/)", &hist.root},
	{"etc", 0, OPT_STRING, "DIR", "its /etc (ROOT/etc)", &hist.etc},
	{HIST_DIR},
};
static const struct opt restore_options[] = {{"etc", 0, OPT_STRING, "DIR", "restore into this folder (/etc)", &hist.etc}, {"boot-file", 0, OPT_STRING, "FILE", "what stage 1 decided (/run/rastos/boot)", &hist.boot_file}, {HIST_DIR}};
static const struct opt forget_options[] = {
	{"max-versions", 0, OPT_INT, "N", "keep the documents of so many versions", &hist.max_versions},
	{"max-age", 0, OPT_DURATION, "TIME", "forget the documents of versions older than this", &hist.max_age_us},
	{"max-size", 0, OPT_STRING, "SIZE", "keep about so many bytes of documents", &hist.max_size},
	{HIST_TOP},
	{"boot-file", 0, OPT_STRING, "FILE", "what stage 1 decided (/run/rastos/boot)", &hist.boot_file},
	{HIST_DIR},
};
static const struct opt deploy_options[] = {
	{"once", 0, OPT_FLAG, NULL, "only the next boot", &hist.once},
	{HIST_TOP},
	{"boot-file", 0, OPT_STRING, "FILE", "what stage 1 decided (/run/rastos/boot)", &hist.boot_file},
	{HIST_DIR},
};
static const struct opt risk_options[] = {
	{"warn", 0, OPT_FLAG, NULL, "say something only if it resembles changes that failed", &hist.warn},
	{"staged", 0, OPT_FLAG, NULL, "of what lies in /etc now and has not been applied", &hist.staged},
	{HIST_TOP},
	{"boot-file", 0, OPT_STRING, "FILE", "what stage 1 decided (/run/rastos/boot)", &hist.boot_file},
	{"root", 0, OPT_STRING, "DIR", "the system's root (/)", &hist.root},
	{"etc", 0, OPT_STRING, "DIR", "its /etc (ROOT/etc)", &hist.etc},
	{HIST_DIR},
};

static const struct verb verbs[] = {
	{"deploy", "SNAPSHOT", "Boot a snapshot from the next time on", verb_deploy, OPTS(deploy_options), ""},
	{"history list", "", "List the configurations that this machine had, newest first", verb_list, OPTS(read_options), ""},
	{"history show", "VERSION [DOCUMENT]", "Show a version: its boots, changes and documents, or the text of one document", verb_show, OPTS(read_options), ""},
	{"history diff", "VERSION VERSION", "Show what differs between two versions", verb_diff, OPTS(read_options), ""},
	{"history search", "WORDS...", "Find changes by what they were about", verb_search, OPTS(search_options), ""},
	{"history similar", "VERSION", "Find the versions most like one", verb_similar, OPTS(search_options), ""},
	{"history restore", "VERSION [DOCUMENT...]", "Put the files of a version back into /etc, as a new version", verb_history_restore, OPTS(restore_options), ""},
	{"history record", "", "Remember the configuration as it is now", verb_history_record, OPTS(record_options), ""},
	{"history forget", "", "Forget the documents of old versions", verb_history_forget, OPTS(forget_options), ""},
	{"why", "", "Show the last decision of the history: what it believed and from which evidence", verb_why, OPTS(read_options), ""},
	{"risk", "[SNAPSHOT]", "Say which earlier changes a change is like, and what became of them", verb_risk, OPTS(risk_options), ""},
};

const struct rast_commands rast_history = {"Deployments, and the history of configurations", verbs, ARRAY_SIZE(verbs)};
