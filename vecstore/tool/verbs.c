/* verbs.c: the verbs about collections, records and versions. */
#include <errno.h>
#include "vecstore/tool/tool.h"

static int need(int argc, int min, int max, const char *what)
{
	return argc - 1 < min || argc - 1 > max ? fail(ST_USAGE, "usage: rastvec %s (see rastvec --help)", what) : ST_OK;
}

static int one_coll(const struct vs_coll *c, void *data)
{
	(void)data;
	if (set.json)
		return print_json(json_pack("{s:s, s:i, s:s, s:s, s:I, s:I}", "name", c->name, "dim", (int)c->dim, "metric", vs_metric_name(c->metric), "element", vs_element_name(c->element), "rows",
					    (json_int_t)c->rows, "old_rows", (json_int_t)c->old_rows));
	printf("%-24s %6u %-7s %-4s %10llu rows %10llu old\n", c->name, c->dim, vs_metric_name(c->metric), vs_element_name(c->element), (unsigned long long)c->rows, (unsigned long long)c->old_rows);
	return 0;
}

VERB(list)
{
	struct session x = { 0 };
	int status = need(argc, 0, 0, "list");

	(void)argv, (void)data;
	if (!status)
		status = session_begin(&x, VS_RDONLY, VS_READ);
	if (status)
		return status;
	status = vs_coll_each(x.t, one_coll, NULL, &x.e) < 0 ? fail_err(&x.e) : ST_OK;
	return session_end(&x, status);
}

VERB(create)
{
	struct session x = { 0 };
	int metric = vs_metric_parse(set.metric), element = vs_element_parse(set.element), status = need(argc, 1, 1, "create COLLECTION");

	(void)data;
	if (!status && (metric < 0 || element < 0 || set.dim < 0 || set.dim > (long)VS_DIM_MAX))
		status = fail(ST_USAGE, "metrics are cosine, dot and l2; elements f32, f16 and i8; at most %u dimensions", VS_DIM_MAX);
	if (!status)
		status = session_begin(&x, VS_CREATE, VS_WRITE);
	if (status)
		return status;
	status = vs_coll_create(x.t, argv[1], (uint32_t)set.dim, (enum vs_metric)metric, (enum vs_element)element, &x.e) < 0 ? fail_err(&x.e) : ST_OK;
	return session_end(&x, status);
}

VERB(drop)
{
	struct session x = { 0 };
	int status = need(argc, 1, 1, "drop COLLECTION");

	(void)data;
	if (!status)
		status = session_begin(&x, 0, VS_WRITE);
	if (status)
		return status;
	status = vs_coll_drop(x.t, argv[1], &x.e) < 0 ? fail_err(&x.e) : ST_OK;
	return session_end(&x, status);
}

/* FIELD=VALUE: an integer, a number, true or false, else text; "..." is text in any case. */
static int set_field(struct vs_meta *m, const char *word)
{
	const char *eq = strchr(word, '=');
	char field[VS_FIELD_MAX + 1];
	int64_t i;
	char *end;
	double d;
	size_t n;

	if (!eq || (size_t)(eq - word) > VS_FIELD_MAX)
		return fail(ST_USAGE, "'%s' is no FIELD=VALUE", word);
	memcpy(field, word, (size_t)(eq - word));
	field[eq++ - word] = 0;
	d = strtod(eq, &end);
	n = strlen(eq);
	if (n >= 2 && eq[0] == '"' && eq[n - 1] == '"') {
		_cleanup_free_ char *text = strndup(eq + 1, n - 2);
		vs_meta_string(m, field, text ? text : "");
	} else if (parse_i64(eq, &i) == 0) {
		vs_meta_int(m, field, i);
	} else if (*eq && !*end) {
		vs_meta_float(m, field, d);
	} else if (streq(eq, "true") || streq(eq, "false")) {
		vs_meta_bool(m, field, *eq == 't');
	} else {
		vs_meta_string(m, field, eq);
	}
	return m->failed ? fail(ST_USAGE, "'%s' has no valid name or value of a field", word) : ST_OK;
}

VERB(put)
{
	static const char *const modes[] = { "insert", "upsert", "update" };
	_cleanup_vs_meta_ struct vs_meta m = { 0 };
	_cleanup_free_ float *v = NULL;
	struct session x = { 0 };
	struct vs_coll c;
	unsigned mode = 0;
	int status = need(argc, 2, 1000, "put COLLECTION ID [FIELD=VALUE...]");

	(void)data;
	while (mode < 3 && !streq(modes[mode], set.mode))
		mode++;
	if (!status && mode == 3)
		status = fail(ST_USAGE, "--mode is insert, upsert or update");
	for (int i = 3; i < argc && !status; i++)
		status = set_field(&m, argv[i]);
	if (!status)
		status = session_begin(&x, 0, VS_WRITE);
	if (status)
		return status;
	status = vs_coll_find(x.t, argv[1], &c, &x.e) < 0 ? fail_err(&x.e) : use_vector(&x, argv[1], c.dim, &v);
	if (!status && vs_put(x.t, argv[1], (enum vs_put_mode)mode, argv[2], c.dim ? v : NULL, &m, &x.e) < 0)
		status = fail_err(&x.e);
	return session_end(&x, status);
}

static int show(const struct vs_record *r, void *data)
{
	long *left = data;

	if (set.json) {
		int status = print_json(record_json(r));
		if (status)
			return status;
	} else {
		print_record(r);
	}
	return left && --*left == 0 ? -ECANCELED : 0;
}

VERB(get)
{
	struct session x = { 0 };
	struct vs_record rec;
	int status = need(argc, 2, 2, "get COLLECTION ID");

	(void)data;
	if (!status)
		status = session_begin(&x, VS_RDONLY, VS_READ);
	if (status)
		return status;
	status = use_version(&x);
	if (!status)
		status = vs_get(x.t, argv[1], argv[2], &rec, &x.e) < 0 ? fail_err(&x.e) : show(&rec, NULL);
	return session_end(&x, status);
}

VERB(delete)
{
	struct session x = { 0 };
	int status = need(argc, 2, 100000, "delete COLLECTION ID...");

	(void)data;
	if (!status)
		status = session_begin(&x, 0, VS_WRITE);
	if (status)
		return status;
	for (int i = 2; i < argc && !status; i++)
		if (vs_delete(x.t, argv[1], argv[i], &x.e) < 0)
			status = fail_err(&x.e);
	return session_end(&x, status);
}

VERB(history)
{
	struct session x = { 0 };
	int r, status = need(argc, 2, 2, "history COLLECTION ID");

	(void)data;
	if (!status)
		status = session_begin(&x, VS_RDONLY, VS_READ);
	if (status)
		return status;
	r = vs_history(x.t, argv[1], argv[2], show, NULL, &x.e);
	return session_end(&x, r < 0 ? fail_err(&x.e) : r);
}

VERB(each)
{
	_cleanup_vs_filter_ struct vs_filter *f = NULL;
	struct session x = { 0 };
	long left = set.limit;
	int r, status = need(argc, 1, 1, "each COLLECTION");

	(void)data;
	if (!status)
		status = use_filter(&f);
	if (!status)
		status = session_begin(&x, VS_RDONLY, VS_READ);
	if (status)
		return status;
	status = use_version(&x);
	if (status)
		return session_end(&x, status);
	r = vs_each(x.t, argv[1], f, set.newest, show, set.limit > 0 ? &left : NULL, &x.e);
	return session_end(&x, r == -ECANCELED ? ST_OK : r < 0 ? fail_err(&x.e) : r);
}

static int plan_parse(const char *s)
{
	static const char *const plans[] = { "auto", "exact", "flat", "graph" };
	for (unsigned i = 0; i < ARRAY_SIZE(plans); i++)
		if (streq(plans[i], s))
			return (int)i;
	return -1;
}

static int show_hits(const struct vs_hits *h)
{
	int status = ST_OK;

	for (size_t i = 0; i < h->n && !status; i++) {
		if (set.json) {
			json_t *o = record_json(&h->hit[i].record);
			json_object_set_new(o, "score", json_real((double)h->hit[i].score));
			status = print_json(o);
			continue;
		}
		printf("%9.6f  ", (double)h->hit[i].score);
		print_record(&h->hit[i].record);
	}
	return status;
}

VERB(search)
{
	_cleanup_vs_filter_ struct vs_filter *f = NULL;
	_cleanup_vs_hits_ struct vs_hits hits = { 0 };
	_cleanup_free_ float *v = NULL;
	struct session x = { 0 };
	struct vs_coll c;
	int plan = plan_parse(set.plan), status = need(argc, 1, 1, "search COLLECTION");

	(void)data;
	if (!status && (plan < 0 || set.k <= 0 || set.ef < 0))
		status = fail(ST_USAGE, "--plan is auto, exact, flat or graph; --k is at least 1");
	if (!status)
		status = use_filter(&f);
	if (!status)
		status = session_begin(&x, VS_RDONLY, VS_READ);
	if (status)
		return status;
	status = use_version(&x);
	if (!status)
		status = vs_coll_find(x.t, argv[1], &c, &x.e) < 0 ? fail_err(&x.e) : use_vector(&x, argv[1], c.dim, &v);
	if (!status) {
		struct vs_query q = { .vector = v, .k = (uint32_t)MIN(set.k, 1000000), .filter = f, .plan = (enum vs_plan)plan, .ef = (uint32_t)MIN(set.ef, 1000000) };
		status = vs_search(x.t, argv[1], &q, &hits, &x.e) < 0 ? fail_err(&x.e) : show_hits(&hits);
	}
	return session_end(&x, status);
}

/* --- versions --- */

VERB(tag)
{
	struct session x = { 0 };
	uint64_t version = 0;
	int status = need(argc, 1, 2, "tag NAME [VERSION]");

	(void)data;
	if (!status && argc == 3 && parse_u64(argv[2], &version) < 0)
		status = fail(ST_USAGE, "'%s' is no version", argv[2]);
	if (!status)
		status = session_begin(&x, 0, VS_WRITE);
	if (status)
		return status;
	status = vs_tag(x.t, argv[1], argc == 3 ? version : vs_version(x.t) - 1, &x.e) < 0 ? fail_err(&x.e) : ST_OK;
	return session_end(&x, status);
}

VERB(untag)
{
	struct session x = { 0 };
	int status = need(argc, 1, 1, "untag NAME");

	(void)data;
	if (!status)
		status = session_begin(&x, 0, VS_WRITE);
	if (status)
		return status;
	status = vs_untag(x.t, argv[1], &x.e) < 0 ? fail_err(&x.e) : ST_OK;
	return session_end(&x, status);
}

static int one_tag(const char *name, uint64_t version, void *data)
{
	(void)data;
	if (set.json)
		return print_json(json_pack("{s:s, s:I}", "tag", name, "version", (json_int_t)version));
	printf("%-32s version %llu\n", name, (unsigned long long)version);
	return 0;
}

VERB(tags)
{
	struct session x = { 0 };
	int status = need(argc, 0, 0, "tags");

	(void)argv, (void)data;
	if (!status)
		status = session_begin(&x, VS_RDONLY, VS_READ);
	if (status)
		return status;
	status = vs_tag_each(x.t, one_tag, NULL, &x.e) < 0 ? fail_err(&x.e) : ST_OK;
	return session_end(&x, status);
}

VERB(purge)
{
	struct session x = { 0 };
	uint64_t n = 0;
	int status = need(argc, 0, 0, "purge --before VERSION");

	(void)argv, (void)data;
	if (!status && set.before < 0)
		status = fail(ST_USAGE, "which version is to be kept? --before VERSION");
	if (!status)
		status = session_begin(&x, 0, VS_WRITE);
	if (status)
		return status;
	status = vs_purge(x.t, (uint64_t)set.before, &n, &x.e) < 0 ? fail_err(&x.e) : ST_OK;
	status = session_end(&x, status);
	if (!status && set.json)
		return print_json(json_pack("{s:I}", "forgotten", (json_int_t)n));
	if (!status)
		printf("%llu records forgotten\n", (unsigned long long)n);
	return status;
}

VERB(index)
{
	struct vs_build how = { .threads = (unsigned)MAX(set.threads, 0), .graph_from = (uint32_t)MAX(set.graph_from, 0), .m = (uint32_t)MAX(set.m, 0), .ef = (uint32_t)MAX(set.build_ef, 0), .rebuild = set.rebuild };
	_cleanup_vs_ struct vs *s = NULL;
	_cleanup_err_ struct err e = { 0 };
	unsigned built = 0;
	int r = vs_open(&s, set.store, 0, &e);

	(void)data;
	if (r == 0 && argc == 1)
		r = vs_maintain(s, &how, &built, &e);
	for (int i = 1; i < argc && r == 0; i++, built++)
		r = vs_index_build(s, argv[i], &how, &e);
	if (r < 0)
		return fail_err(&e);
	if (set.json)
		return print_json(json_pack("{s:i}", "built", (int)built));
	printf("%u index%s built\n", built, built == 1 ? "" : "es");
	return ST_OK;
}
