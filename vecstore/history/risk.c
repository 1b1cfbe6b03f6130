/* risk.c: what the history says about a change that is about to be made. */
#include <math.h>

#include "vecstore/history/private.h"

struct asking {
	struct risk_report *r;
	struct ev_tokens *tokens;
	struct tokens *words; /* the whole tokens, for the explanation */
};

static int add_line(const struct change *c, void *data)
{
	struct asking *a = data;
	struct risk_report *r = a->r;
	struct risk_line *lines = reallocarray(r->line, r->n + 1, sizeof(*lines));

	if (!lines)
		return -ENOMEM;
	r->line = lines;
	struct ev_tokens *tokens = reallocarray(a->tokens, r->n + 1, sizeof(*tokens));
	if (!tokens)
		return -ENOMEM;
	a->tokens = tokens;
	struct tokens *words = reallocarray(a->words, r->n + 1, sizeof(*words));
	if (!words)
		return -ENOMEM;
	a->words = words;
	struct tokens ts = {0};
	if (tokens_of_change(&ts, c->before, c->n_before, c->after, c->n_after) < 0 || tokens_seal(&ts) < 0) {
		tokens_free(&ts);
		return -ENOMEM;
	}
	memset(&lines[r->n], 0, sizeof(*lines));
	lines[r->n].data = change_touches_data(c);
	change_describe(c, lines[r->n].text, sizeof(lines[r->n].text));
	ev_from_tokens(&ts, &tokens[r->n]);
	words[r->n++] = ts;
	return 0;
}

static bool among(const struct vs_value *list, const char *word)
{
	struct vs_value one;

	for (size_t i = 0; vs_value_at(list, i, &one); i++)
		if (streq(one.s.p, word))
			return true;
	return false;
}

/* The weightiest tokens that both have. */
static void because(const struct tokens *ts, const struct vs_value *list, char *buf, size_t size)
{
	float below = INFINITY;
	size_t at = 0;

	*buf = '\0';
	for (unsigned shown = 0; shown < 5;) {
		float best = 0;
		for (size_t i = 0; i < ts->n; i++)
			if (ts->t[i].class != TOKEN_GRAM && ts->t[i].weight < below && ts->t[i].weight > best && among(list, ts->t[i].text))
				best = ts->t[i].weight;
		if (best <= 0)
			return;
		below = best;
		for (size_t i = 0; i < ts->n && shown < 5; i++)
			if (ts->t[i].weight == best && ts->t[i].class != TOKEN_GRAM && among(list, ts->t[i].text)) {
				at += (size_t)snprintf(buf + at, size - at, "%s%s", shown++ ? ", " : "", ts->t[i].text);
				at = MIN(at, size - 1);
			}
	}
}

static int explain_near(struct history *h, const struct knowledge *k, const struct tokens *ts, struct risk_line *line, struct err *e)
{
	for (unsigned i = 0; i < line->risk.n_near; i++) {
		uint32_t c = line->risk.near[i].i;
		struct vs_record r;
		struct vs_value tokens;
		char id[32];
		line->near_fleet[i] = k->ev.c[c].fleet;
		line->near_bad[i] = k->ev.c[c].bad / MAX(k->ev.c[c].ok + k->ev.c[c].bad, 1e-6f);
		line->near_version[i] = k->row[c].version;
		if (k->ev.c[c].fleet) {
			snprintf(line->near_text[i], sizeof(line->near_text[i]), "a change on another machine");
			continue;
		}
		change_id(id, k->row[c].version, k->row[c].index);
		int rc = vs_get(h->txn, "change", id, &r, e);
		if (rc == -ENOENT) {
			err_clear(e);
			continue;
		}
		if (rc < 0)
			return rc;
		snprintf(line->near_text[i], sizeof(line->near_text[i]), "%s", vs_view_string(r.meta, "text", ""));
		if (vs_view_get(r.meta, "tokens", &tokens) && tokens.type == VS_STRINGS)
			because(ts, &tokens, line->shared[i], sizeof(line->shared[i]));
	}
	return 0;
}

static int judge(struct history *h, struct asking *a, struct err *e)
{
	_cleanup_knowledge_ struct knowledge k = {0};
	struct risk_report *rep = a->r;
	float works = 1;
	int r = knowledge_load(h->txn, &k, e);

	_cleanup_free_ struct risk *risks = calloc(rep->n + 1, sizeof(*risks));
	if (r == 0)
		r = risks ? evidence_risks(&k.ev, &decide_params_default, a->tokens, rep->n, risks) : -ENOMEM;
	if (r < 0)
		return e && e->code ? r : err_sys(e, r, "weigh the changes");
	rep->base = evidence_base_rate(&k.ev);
	for (size_t i = 0; r == 0 && i < rep->n; i++) {
		unsigned bad = 0;
		rep->line[i].risk = risks[i];
		works *= 1.0f - risks[i].p;
		r = explain_near(h, &k, &a->words[i], &rep->line[i], e);
		for (unsigned n = 0; n < risks[i].n_near; n++)
			bad += rep->line[i].near_bad[n] > 0.5f && risks[i].near[n].likeness > 0.6f;
		rep->like_failed += bad;
	}
	rep->total = 1.0f - works;
	return r;
}

int history_risk(struct history *h, uint32_t from, const struct documents *to, struct risk_report *ret, struct err *e)
{
	_cleanup_facts_ struct facts before = {0}, after = {0};
	struct asking a = {.r = ret};
	int r = from ? history_facts(h, from, &before, e) : 0;

	memset(ret, 0, sizeof(*ret));
	if (r == 0 && (documents_facts(to, &after) < 0 || changes_between(&before, &after, add_line, &a) < 0))
		r = err_sys(e, -ENOMEM, "compare the configurations");
	if (r == 0)
		r = judge(h, &a, e);
	for (size_t i = 0; i < ret->n; i++)
		tokens_free(&a.words[i]);
	free(a.words);
	free(a.tokens);
	if (r < 0)
		risk_report_free(ret);
	return r;
}

void risk_report_free(struct risk_report *r)
{
	free(r->line);
	memset(r, 0, sizeof(*r));
}
