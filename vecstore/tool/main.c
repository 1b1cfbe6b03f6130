/* main.c: the tables of rastvec. */
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include "config.h"
#include "vecstore/tool/tool.h"

struct settings set = { .store = VS_DEFAULT_PATH, .metric = "cosine", .element = "f32", .k = 10, .version = -1, .before = -1, .mode = "upsert", .plan = "auto", .samples = 50, .interval_us = 60000000 };

static const struct opt program_options[] = {
	{"store", 's', OPT_STRING, "DIR", "the store (" VS_DEFAULT_PATH ")", &set.store},
	{"json", 'j', OPT_FLAG, NULL, "print JSON, one object a line", &set.json},
};
#define FILTER "filter", 'f', OPT_STRING, "FILTER", "only records that it takes: 'kind = \"boot\" and seconds < 12.5'", &set.filter
#define VERSION "version", 'V', OPT_INT, "N", "the store as it was at this version", &set.version
#define VECTOR "vector", 'v', OPT_STRING, "NUMBERS", "the vector: 0.1,0.2,... or @FILE with numbers, or - for standard input", &set.vector
static const struct opt create_options[] = {
	{"dim", 'd', OPT_INT, "N", "numbers in a vector; 0: records without", &set.dim},
	{"metric", 'm', OPT_STRING, "METRIC", "cosine, dot or l2 (cosine)", &set.metric},
	{"element", 'e', OPT_STRING, "TYPE", "f32, f16 or i8 (f32)", &set.element},
};
static const struct opt put_options[] = {{VECTOR}, {"mode", 0, OPT_STRING, "MODE", "insert, upsert or update (upsert)", &set.mode}};
static const struct opt get_options[] = {{VERSION}, {"vectors", 0, OPT_FLAG, NULL, "print the vector, too", &set.vectors}};
static const struct opt each_options[] = {
	{FILTER},
	{VERSION},
	{"limit", 'n', OPT_INT, "N", "at most so many", &set.limit},
	{"newest", 'r', OPT_FLAG, NULL, "the newest first", &set.newest},
	{"vectors", 0, OPT_FLAG, NULL, "print the vectors, too", &set.vectors},
};
static const struct opt search_options[] = {
	{VECTOR},
	{"like", 'l', OPT_STRING, "ID", "the vector of this record", &set.like},
	{"k", 'k', OPT_INT, "N", "how many (10)", &set.k},
	{FILTER},
	{VERSION},
	{"plan", 0, OPT_STRING, "PLAN", "auto, exact, flat or graph (auto)", &set.plan},
	{"ef", 0, OPT_INT, "N", "graph: candidates kept; more is slower and finds more (200)", &set.ef},
};
static const struct opt purge_options[] = {{"before", 0, OPT_INT, "N", "keep this version and what is newer", &set.before}};
static const struct opt index_options[] = {
	{"rebuild", 0, OPT_FLAG, NULL, "from nothing, not from the index that is there", &set.rebuild},
	{"threads", 'T', OPT_INT, "N", "how many (one per CPU)", &set.threads},
	{"graph-from", 0, OPT_INT, "N", "rows from which there is a graph (50000)", &set.graph_from},
	{"m", 0, OPT_INT, "N", "links of a node (16)", &set.m},
	{"build-ef", 0, OPT_INT, "N", "candidates kept while building (200)", &set.build_ef},
};
static const struct opt restore_options[] = {{"replace", 0, OPT_FLAG, NULL, "also when there is a store already", &set.replace}};
static const struct opt export_options[] = {{"since", 0, OPT_INT, "N", "only what came after this version (0)", &set.since}};
static const struct opt npy_options[] = {{"ids", 0, OPT_STRING, "FILE", "ids of the rows, one a line (without it, import: 0, 1, ...)", &set.ids}};
static const struct opt stats_options[] = {
	{"samples", 0, OPT_INT, "N", "searches per collection to measure latency and recall by (50); 0: none", &set.samples},
	{"prometheus", 0, OPT_FLAG, NULL, "print in Prometheus' text format", &set.prometheus},
};
static const struct opt watch_options[] = {
	{"thresholds", 0, OPT_STRING, "FILE", "what to watch; see THRESHOLDS", &set.thresholds},
	{"follow", 0, OPT_FLAG, NULL, "go on, and print an event whenever a threshold is crossed", &set.follow},
	{"interval", 0, OPT_DURATION, "TIME", "with --follow: how often to look (1min)", &set.interval_us},
	{"exec", 0, OPT_STRING, "COMMAND", "run it for each event, with the event on its standard input", &set.exec},
	{"samples", 0, OPT_INT, "N", "as for stats (50)", &set.samples},
};

#define OPTS(table) table, ARRAY_SIZE(table)
#define NONE NULL, 0
static const struct verb verbs[] = {
	{"Look", .help = NULL},
	{"list", "", "List the collections", verb_list, NONE, ""},
	{"get", "COLLECTION ID", "Show a record", verb_get, OPTS(get_options), ""},
	{"each", "COLLECTION", "Show the records of a collection", verb_each, OPTS(each_options), ""},
	{"search", "COLLECTION", "Show the records that are nearest to a vector", verb_search, OPTS(search_options), ""},
	{"history", "COLLECTION ID", "Show all versions of a record, the newest first", verb_history, NONE, ""},
	{"tags", "", "List the tags", verb_tags, NONE, ""},
	{"stats", "", "Show sizes, latencies, and the recall of the indexes", verb_stats, OPTS(stats_options), ""},
	{"watch", "", "Compare the figures with thresholds, and tell which are crossed", verb_watch, OPTS(watch_options), ""},
	{"Change", .help = NULL},
	{"create", "COLLECTION", "Make a collection, and the store when there is none", verb_create, OPTS(create_options), ""},
	{"drop", "COLLECTION", "Remove a collection with its history", verb_drop, NONE, ""},
	{"put", "COLLECTION ID [FIELD=VALUE...]", "Write a record", verb_put, OPTS(put_options), ""},
	{"delete", "COLLECTION ID...", "Delete records", verb_delete, NONE, ""},
	{"tag", "NAME [VERSION]", "Name a version; it and what is newer is kept", verb_tag, NONE, ""},
	{"untag", "NAME", "Remove a tag", verb_untag, NONE, ""},
	{"purge", "", "Forget what was replaced or deleted before a version", verb_purge, OPTS(purge_options), ""},
	{"index", "[COLLECTION...]", "Build indexes (without a name: those that it pays to build)", verb_index, OPTS(index_options), ""},
	{"Keep", .help = NULL},
	{"check", "", "Look for damage in every byte that counts", verb_check, NONE, ""},
	{"repair", "", "Make a new store of all that is sound; the old one stays as data.mdb.damaged", verb_repair, NONE, ""},
	{"backup", "FILE", "Write the whole store to a file, while it is in use", verb_backup, NONE, "file"},
	{"restore", "FILE", "Check a backup, and make it the store", verb_restore, OPTS(restore_options), "file"},
	{"export", "", "Print changes as JSON lines", verb_export, OPTS(export_options), ""},
	{"import", "[FILE...]", "Apply such lines, each version once", verb_import, NONE, "file"},
	{"import-npy", "COLLECTION FILE", "Write the rows of a NumPy array as records", verb_import_npy, OPTS(npy_options), "file"},
	{"export-npy", "COLLECTION FILE", "Write the vectors of a collection as a NumPy array", verb_export_npy, OPTS(npy_options), "file"},
};

static const struct program program = {
	.name = "rastvec",
	.summary = "look into a vector store, query, check and back it up",
	.man = "rastvec(8)",
	.opts = program_options,
	.n_opts = ARRAY_SIZE(program_options),
	.verbs = verbs,
	.n_verbs = ARRAY_SIZE(verbs),
	.version = RAST_VERSION,
};

int fail(int status, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("rastvec: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

int fail_err(const struct err *e)
{
	bool not_there = e->code == -ENOENT || e->code == -EACCES || e->code == -EPERM;
	return fail(not_there ? ST_NOT_THERE : e->code == -EINVAL ? ST_USAGE : ST_FAILED, "%s", err_text(e));
}

int session_begin(struct session *x, unsigned flags, int mode)
{
	int r = vs_open(&x->s, set.store, flags, &x->e);

	if (r == 0)
		r = vs_begin(x->s, mode, &x->t, &x->e);
	return r == 0 ? ST_OK : session_end(x, fail_err(&x->e));
}

int session_end(struct session *x, int status)
{
	if (x->t && status == ST_OK && vs_commit(&x->t, NULL, &x->e) < 0)
		status = fail_err(&x->e);
	vs_abort(&x->t);
	vs_close(TAKE_PTR(x->s));
	err_clear(&x->e);
	return status;
}

int main(int argc, char **argv)
{
	int status;

	setlocale(LC_TIME, "C");
	log_init("rastvec", LOG_TO_STDERR, -1);
	status = program_main(&program, argc, argv, NULL);
	if (fflush(stdout) != 0 || ferror(stdout))
		return fail(ST_FAILED, "writing the output failed: %s", strerror(errno));
	return status;
}
