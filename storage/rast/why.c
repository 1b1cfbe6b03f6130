/* why.c: rast why and rast risk: the history's opinions, taken apart. */
#include <errno.h>
#include <fcntl.h>

#include "storage/rast/history.h"

/* --- risk --- */

json_t *risk_json(const struct risk_report *r)
{
	json_t *lines = json_array();

	for (size_t i = 0; i < r->n; i++) {
		const struct risk_line *l = &r->line[i];
		json_t *near = json_array();
		for (unsigned k = 0; k < l->risk.n_near; k++)
			json_array_append_new(near, json_pack("{sI ss ss sf sf sf sb}", "version", (json_int_t)l->near_version[k], "text", l->near_text[k], "because", l->shared[k], "likeness",
							      (double)l->risk.near[k].likeness, "weight", (double)l->risk.near[k].weight, "failed", (double)l->near_bad[k], "fleet", l->near_fleet[k]));
		json_array_append_new(lines, json_pack("{ss sf sf sb so}", "text", l->text, "risk", (double)l->risk.p, "evidence", (double)l->risk.weight, "data", l->data, "near", near));
	}
	return json_pack("{sf sf sI so}", "risk", (double)r->total, "base_rate", (double)r->base, "like_failed", (json_int_t)r->like_failed, "changes", lines);
}

static void print_line(const struct risk_line *l)
{
	printf("%3.0f %%  ", (double)l->risk.p * 100);
	print_clean(stdout, l->text);
	puts(l->data ? "  (keeps data outside of snapshots)" : "");
	for (unsigned k = 0; k < l->risk.n_near; k++) {
		if (l->risk.near[k].weight < 0.05f)
			continue;
		printf("       %s%.0f %% like%s ", paint_on(l->near_bad[k] > 0.5f ? PAINT_BAD : PAINT_GOOD), (double)l->risk.near[k].likeness * 100, paint_off());
		if (!l->near_fleet[k])
			printf("version %u: ", l->near_version[k]);
		print_clean(stdout, l->near_text[k]);
		printf(", which %s", l->near_bad[k] > 0.5f ? "failed" : l->near_bad[k] > 0.1f ? "may have failed" : "was healthy");
		if (*l->shared[k]) {
			printf(" (both: ");
			print_clean(stdout, l->shared[k]);
			putchar(')');
		}
		putchar('\n');
	}
}

static int by_risk(const void *a, const void *b)
{
	const struct risk_line *x = a, *y = b;

	return (x->risk.p < y->risk.p) - (x->risk.p > y->risk.p);
}

void risk_warning(const struct risk_report *r, FILE *f)
{
	if (!r->like_failed)
		return;
	fprintf(f, "warning: this change resembles %u that failed; it is expected to fail with %.0f %% (any change here: %.0f %%)\n", r->like_failed, (double)r->total * 100, (double)r->base * 100);
	for (size_t i = 0; i < r->n; i++)
		for (unsigned k = 0; k < r->line[i].risk.n_near; k++)
			if (r->line[i].near_bad[k] > 0.5f && r->line[i].risk.near[k].likeness > 0.6f) {
				fputs("warning: ", f);
				print_clean(f, r->line[i].text);
				fputs(" is like ", f);
				print_clean(f, r->line[i].near_text[k]);
				fprintf(f, " of version %u, which failed\n", r->line[i].near_version[k]);
				break;
			}
}

int verb_risk(int argc, char **argv, void *data)
{
	_cleanup_history_ struct history h = {0};
	_cleanup_documents_ struct documents ds = {0};
	_cleanup_err_ struct err e = {0};
	struct risk_report rep = {0};
	uint32_t snapshot = running_snapshot(), from = 0;
	uint64_t n;

	if (argc > 2 || (argc == 2) == hist.staged)
		return rast_error(RAST_USAGE, "risk takes the number of a snapshot, or --staged for what lies in /etc and has not been applied");
	if (argc == 2 && (parse_u64(argv[1], &n) < 0 || n >= LEDGER_NONE))
		return rast_error(RAST_USAGE, "'%s' is not the number of a snapshot", argv[1]);
	int status = open_to_read(&h);
	if (status)
		return status;
	if (!h.has_salt)
		return rast_error(RAST_NOT_THERE, "%s/salt can't be read: only root may compare configurations", hist.dir);
	if (history_newest(&h, snapshot, &from, &e) < 0 && e.code != -ENOENT)
		return rast_fail(&e);
	err_clear(&e);
	e = (struct err){0};
	if (collect_snapshot(argc == 2 ? (uint32_t)n : snapshot, &h.salt, &ds, &e) < 0 || history_risk(&h, from, &ds, &rep, &e) < 0)
		return rast_fail(&e);
	if (rep.n)
		qsort(rep.line, rep.n, sizeof(*rep.line), by_risk);
	if (hist.warn)
		risk_warning(&rep, stdout);
	else if (rast.json) {
		json_t *j = risk_json(&rep);
		json_dumpf(j, stdout, JSON_INDENT(2));
		json_decref(j);
		putchar('\n');
	} else if (!rep.n)
		puts("nothing differs from what the history knows as running");
	else {
		if (rep.like_failed)
			printf("%sthis change resembles %u that failed%s\n", paint_on(PAINT_BAD), rep.like_failed, paint_off());
		printf("risk of %zu changes together: %.0f %% (of any change here: %.0f %%)\n", rep.n, (double)rep.total * 100, (double)rep.base * 100);
		for (size_t i = 0; i < rep.n; i++)
			print_line(&rep.line[i]);
	}
	risk_report_free(&rep);
	return RAST_OK;
}

/* --- why --- */

static double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static const char *change_text(struct history *h, const json_t *o, char *buf, size_t size)
{
	_cleanup_err_ struct err quiet = {0};
	struct vs_record r;
	char id[32];
	uint32_t version = (uint32_t)number(o, "version");

	snprintf(id, sizeof(id), "%010u/%05u", version, (uint32_t)number(o, "change"));
	if (!h->txn || !version || vs_get(h->txn, "change", id, &r, &quiet) < 0)
		snprintf(buf, size, json_is_true(json_object_get(o, "fleet")) ? "a change on another machine" : "a change that the history doesn't name");
	else
		snprintf(buf, size, "%s (version %u)", vs_view_string(r.meta, "text", "?"), version);
	return buf;
}

static void print_suspect(struct history *h, const json_t *s)
{
	char text[512];
	size_t i;
	json_t *near;

	printf("  %3.0f %%  %s; risk %.0f %%, evidence %.1f\n", number(s, "blame") * 100, change_text(h, s, text, sizeof(text)), number(s, "risk") * 100, number(s, "evidence"));
	json_array_foreach(json_object_get(s, "near"), i, near)
		printf("         %.0f %% like %s: healthy %.1f, failed %.1f\n", number(near, "likeness") * 100, change_text(h, near, text, sizeof(text)), number(near, "ok"), number(near, "bad"));
}

static void print_candidate(const json_t *c, uint32_t otherwise)
{
	uint32_t n = (uint32_t)number(c, "snapshot");

	printf("  snapshot %u: works with %.0f %%, %.0f %% after the discount for thin evidence; keeps %.0f %% of the changes%s%s%s\n", n, number(c, "works") * 100, number(c, "discounted") * 100,
		number(c, "kept") * 100, n == otherwise ? "; what the rules say" : "", number(c, "failed") > 0 ? "; has failed in this episode" : "",
		json_is_true(json_object_get(c, "excluded")) ? "; not tried: it holds what never ran here and could touch data" : "");
}

static void print_decision(struct history *h, const json_t *j)
{
	json_t *chosen = json_object_get(j, "chosen"), *one;
	uint32_t otherwise = (uint32_t)number(j, "otherwise");
	const char *error = json_string_value(json_object_get(j, "error"));
	size_t i;

	printf("snapshot %.0f failed. ", number(j, "failed"));
	if (json_is_integer(chosen))
		printf("The history preferred snapshot %lld to %u\n", (long long)json_integer_value(chosen), otherwise);
	else
		printf("The history left it to the rules, which say snapshot %u: %s\n", otherwise, error && *error ? error : "no reason given");
	printf("evidence %.2f, trusted by %.0f %%; a snapshot is tried from %.0f %%; base rate %.0f %%; %.0f changes known, %.0f of them suspects\n", number(j, "evidence"), number(j, "trust") * 100,
		number(j, "threshold") * 100, number(j, "base_rate") * 100, number(j, "changes_known"), number(j, "differences"));
	puts("which change it was:");
	json_array_foreach(json_object_get(j, "suspects"), i, one)
		print_suspect(h, one);
	printf("  %3.0f %%  a fault that passes\n  %3.0f %%  two changes together\n  %3.0f %%  something outside of all snapshots\ncandidates:\n", number(j, "transient") * 100, number(j, "pair") * 100,
		number(j, "outside") * 100);
	json_array_foreach(json_object_get(j, "candidates"), i, one)
		print_candidate(one, otherwise);
}

int verb_why(int argc, char **argv, void *data)
{
	_cleanup_history_ struct history h = {0};
	_cleanup_free_ char *text = NULL;
	_cleanup_err_ struct err e = {0};
	char path[4096];
	json_error_t je;

	if (argc > 1)
		return rast_error(RAST_USAGE, "why takes no operands");
	snprintf(path, sizeof(path), "%s/decision.json", hist.dir);
	int r = file_read(AT_FDCWD, path, 1u << 20, &text, NULL);
	if (r == -ENOENT)
		return rast_error(RAST_NOT_THERE, "the history has not been asked yet: no deployment has run out of tries (rastctl boot says what was booted and why)");
	if (r < 0)
		return rast_error(RAST_FAILED, "read %s: %s", path, strerror(-r));
	if (rast.json) {
		fputs(text, stdout);
		return RAST_OK;
	}
	json_t *j = json_loads(text, 0, &je);
	if (!j)
		return rast_error(RAST_FAILED, "%s is damaged: %s", path, je.text);
	if (history_open(&h, hist.dir, HISTORY_READ, &e) == 0) /* without it: numbers in place of names */
		history_begin(&h, HISTORY_READ, &e);
	print_decision(&h, j);
	json_decref(j);
	return RAST_OK;
}
