/* watch.c: figures, and what happens when they cross a threshold.
 *
 * A thresholds file has one section per event: `figure = NAME`, `collection = NAME` (without it: whichever), and `above = X` or
 * `below = X`. An event is one JSON line, printed, and given to --exec: when a figure crosses its threshold, and when it is back. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include "base/ini.h"
#include "vecstore/tool/tool.h"

struct threshold { char name[64], figure[64], collection[VS_NAME_MAX + 1]; double above, below; bool has_above, has_below, crossed, seen_crossed; double value; char where[VS_NAME_MAX + 1]; };
struct watch { struct threshold *at; size_t n; unsigned events; };

static int one_figure(const struct vs_figure *f, void *data)
{
	char text[32];
	(void)data;
	snprintf(text, sizeof(text), "%.10g", f->value);
	if (set.json) {
		json_t *o = json_pack("{s:s, s:f}", "figure", f->name, "value", f->value);
		if (f->collection)
			json_object_set_new(o, "collection", json_string(f->collection));
		return print_json(o);
	}
	printf("%-20s %-26s %s\n", f->collection ? f->collection : "", f->name, text);
	return 0;
}

/* Prometheus wants all lines of a figure together, with one head: keep them, and print them in that order. */
struct kept { struct vs_figure f; char coll[VS_NAME_MAX + 1]; };
struct keeper { struct kept *at; size_t n; };

static int keep(const struct vs_figure *f, void *data)
{
	struct keeper *k = data;
	struct kept *grown = realloc(k->at, (k->n + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	k->at = grown;
	grown[k->n] = (struct kept){ .f = *f };
	snprintf(grown[k->n++].coll, sizeof(grown->coll), "%s", f->collection ? f->collection : "");
	return 0;
}

static void print_prometheus(const struct keeper *k)
{
	for (size_t i = 0; i < k->n; i++) {
		bool before = false;
		for (size_t j = 0; j < i && !before; j++)
			before = streq(k->at[j].f.name, k->at[i].f.name);
		if (before)
			continue;
		printf("# HELP rastvec_%s %s\n# TYPE rastvec_%s %s\n", k->at[i].f.name, k->at[i].f.help, k->at[i].f.name, k->at[i].f.counter ? "counter" : "gauge");
		for (size_t j = i; j < k->n; j++)
			if (streq(k->at[j].f.name, k->at[i].f.name))
				printf("rastvec_%s%s%s%s %.10g\n", k->at[j].f.name, k->at[j].coll[0] ? "{collection=\"" : "", k->at[j].coll, k->at[j].coll[0] ? "\"}" : "", k->at[j].f.value);
	}
}

VERB(stats)
{
	_cleanup_vs_ struct vs *s = NULL;
	_cleanup_err_ struct err e = { 0 };
	struct keeper k = { 0 };
	int r = vs_open(&s, set.store, VS_RDONLY, &e);

	(void)argc, (void)argv, (void)data;
	if (r == 0)
		r = vs_stats(s, (unsigned)MAX(set.samples, 0), set.prometheus ? keep : one_figure, &k, &e);
	if (r == 0 && set.prometheus)
		print_prometheus(&k);
	free(k.at);
	return r < 0 ? fail_err(&e) : ST_OK;
}

static int to_number(const char *s, double *ret)
{
	char *end;
	*ret = strtod(s, &end);
	return *s && !*end ? 0 : -EINVAL;
}

static int key(const char *file, int line, const char *section, const char *name, const char *value, void *data)
{
	struct watch *w = data;
	struct threshold *t;
	int r = 0;

	if (w->n == 0 || !streq(w->at[w->n - 1].name, section)) {
		t = realloc(w->at, (w->n + 1) * sizeof(*t));
		if (!t || strlen(section) == 0 || strlen(section) >= sizeof(t->name))
			return t ? (w->at = t, -EINVAL) : -ENOMEM;
		w->at = t;
		t[w->n] = (struct threshold){ 0 };
		snprintf(t[w->n++].name, sizeof(t->name), "%s", section);
	}
	t = &w->at[w->n - 1];
	if (streq(name, "figure"))
		snprintf(t->figure, sizeof(t->figure), "%s", value);
	else if (streq(name, "collection"))
		snprintf(t->collection, sizeof(t->collection), "%s", value);
	else if (streq(name, "above"))
		r = to_number(value, &t->above), t->has_above = true;
	else if (streq(name, "below"))
		r = to_number(value, &t->below), t->has_below = true;
	else
		r = -EINVAL;
	if (r < 0)
		(void)fail(ST_FAILED, "%s:%d: %s = %s: keys are figure, collection, above and below; the last two have numbers", file, line, name, value);
	return r;
}

static int compare(const struct vs_figure *f, void *data)
{
	struct watch *w = data;

	for (size_t i = 0; i < w->n; i++) {
		struct threshold *t = &w->at[i];
		if (!streq(t->figure, f->name) || (t->collection[0] && (!f->collection || !streq(t->collection, f->collection))))
			continue;
		if ((t->has_above && f->value > t->above) || (t->has_below && f->value < t->below)) {
			t->crossed = true;
			t->value = f->value;
			snprintf(t->where, sizeof(t->where), "%s", f->collection ? f->collection : "");
		} else if (!t->crossed) {
			t->value = f->value;
		}
	}
	return 0;
}

static void deliver(const char *line)
{
	FILE *p;

	puts(line);
	fflush(stdout);
	if (!set.exec)
		return;
	p = popen(set.exec, "we");
	if (!p || fprintf(p, "%s\n", line) < 0 || pclose(p) != 0)
		(void)fail(ST_FAILED, "'%s' failed for this event", set.exec);
}

static void event(struct watch *w, const struct threshold *t)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:f}", "event", t->name, "state", t->crossed ? "crossed" : "back", "figure", t->figure, "value", t->value);
	_cleanup_free_ char *line = NULL;

	if (t->crossed && t->where[0])
		json_object_set_new(o, "collection", json_string(t->where));
	if (t->has_above)
		json_object_set_new(o, "above", json_real(t->above));
	if (t->has_below)
		json_object_set_new(o, "below", json_real(t->below));
	line = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	w->events++;
	if (line)
		deliver(line);
}

static int look(struct watch *w, struct err *e)
{
	_cleanup_vs_ struct vs *s = NULL;
	int r;

	for (size_t i = 0; i < w->n; i++)
		w->at[i].crossed = false;
	r = vs_open(&s, set.store, VS_RDONLY, e);
	if (r == 0)
		r = vs_stats(s, (unsigned)MAX(set.samples, 0), compare, w, e);
	for (size_t i = 0; i < w->n && r == 0; i++) {
		if (w->at[i].crossed != w->at[i].seen_crossed)
			event(w, &w->at[i]);
		w->at[i].seen_crossed = w->at[i].crossed;
	}
	return r;
}

VERB(watch)
{
	_cleanup_err_ struct err e = { 0 };
	struct watch w = { 0 };
	int r;

	(void)argc, (void)argv, (void)data;
	if (!set.thresholds)
		return fail(ST_USAGE, "which thresholds? --thresholds FILE");
	r = ini_parse_path(set.thresholds, key, &w, &e);
	for (size_t i = 0; i < w.n && r == 0; i++)
		if (!w.at[i].figure[0] || w.at[i].has_above == w.at[i].has_below)
			r = err_set(&e, -EINVAL, "%s: [%s] needs figure, and above or below", set.thresholds, w.at[i].name);
	if (r == 0)
		r = look(&w, &e);
	while (r == 0 && set.follow) {
		(void)poll(NULL, 0, (int)MIN(MAX(set.interval_us / 1000, 10u), 86400000u));
		r = look(&w, &e);
	}
	free(w.at);
	if (r < 0)
		return e.code ? fail_err(&e) : ST_FAILED;
	return w.events ? ST_FAILED : ST_OK;
}
