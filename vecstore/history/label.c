/* label.c: which changes the evidence speaks for and against, when an episode ends with a healthy boot.
 *
 * All changes that led to the healthy version are spoken for. For each version that failed since the healthy boot before, the changes between
 * a healthy version and it are the suspects; each gets as much of the failure as blame_suspects() gives it, in view of what its likes
 * did before and of which of them are in the version that is healthy now. */
#include "vecstore/history/private.h"

#define MASS_FAILED 3.0f /* of one episode: three tries of the same are one piece of evidence, but a good one */
#define WALK_MAX 64u

/* --- changing labels --- */

struct relabel { uint32_t index; float ok, bad; size_t at; bool found; };

static int find_row(const struct ev_decoded *row, uint32_t index, void *arg)
{
	struct relabel *l = arg;

	if (index != l->index)
		return 0;
	l->at = row->at;
	l->ok += row->ok;
	l->bad += row->bad;
	l->found = true;
	return 1;
}

static int update_change(struct history *h, uint32_t version, const struct relabel *l, struct err *e)
{
	_cleanup_vs_meta_ struct vs_meta m = {0};
	struct vs_record r;
	struct vs_value value;
	float v[EMBED_DIM];
	char id[32];

	change_id(id, version, l->index);
	int rc = vs_get(h->txn, "change", id, &r, e);
	if (rc < 0)
		return rc;
	vs_record_vector(&r, v);
	vs_meta_int(&m, "version", version);
	vs_meta_string(&m, "subject", vs_view_string(r.meta, "subject", ""));
	vs_meta_string(&m, "text", vs_view_string(r.meta, "text", ""));
	_cleanup_free_ const char **words = NULL;
	if (vs_view_get(r.meta, "tokens", &value) && value.type == VS_STRINGS) {
		words = calloc(value.list.n + 1, sizeof(*words));
		struct vs_value one;
		size_t n = 0;
		for (; words && vs_value_at(&value, n, &one); n++)
			words[n] = one.s.p;
		vs_meta_strings(&m, "tokens", words, words ? n : 0);
	}
	vs_meta_bool(&m, "data", vs_view_bool(r.meta, "data", false));
	vs_meta_float(&m, "ok", (double)l->ok);
	vs_meta_float(&m, "bad", (double)l->bad);
	vs_meta_int(&m, "embed", vs_view_int(r.meta, "embed", EMBED_VERSION));
	return vs_put(h->txn, "change", VS_UPSERT, id, v, &m, e);
}

static int add_label(struct history *h, uint32_t version, uint32_t index, float ok, float bad, struct err *e)
{
	struct relabel l = {.index = index, .ok = ok, .bad = bad};
	const void *data;
	char key[32];
	size_t n;
	int len = snprintf(key, sizeof(key), "ev/%010u", version), r = vs_doc_get(h->txn, key, (size_t)len, &data, &n, e);

	if (r < 0)
		return r;
	r = ev_each(data, n, find_row, &l);
	if (r < 0)
		return err_sys(e, r, "read the evidence of version %u", version);
	if (!l.found)
		return 0;
	_cleanup_free_ char *copy = malloc(n);
	if (!copy)
		return err_sys(e, -ENOMEM, "label the changes of version %u", version);
	memcpy(copy, data, n);
	memcpy(copy + l.at + EV_OK_AT, (float[2]){l.ok, l.bad}, 2 * sizeof(float));
	r = vs_doc_put(h->txn, key, (size_t)len, copy, n, e);
	return r == 0 ? update_change(h, version, &l, e) : r;
}

/* --- the episode --- */

struct episode {
	uint64_t attempt;      /* the healthy one */
	uint32_t before;       /* version of the healthy boot before it, 0: none */
	uint32_t failed[32], fails[32];
	unsigned n;
};

static int look_back(const struct outcome *o, void *data)
{
	struct episode *ep = data;
	unsigned i = 0;

	if (o->attempt >= ep->attempt)
		return 0;
	if (o->result == LEDGER_RESULT_GOOD) {
		ep->before = o->version;
		return 1;
	}
	if (o->result == LEDGER_RESULT_SHUTDOWN || o->result == LEDGER_RESULT_NONE || !o->version)
		return 0;
	while (i < ep->n && ep->failed[i] != o->version)
		i++;
	if (i == ARRAY_SIZE(ep->failed))
		return 0;
	if (i == ep->n)
		ep->failed[ep->n++] = o->version;
	ep->fails[i]++;
	return 0;
}

static int descending(const struct outcome *o, void *data) /* newest attempt first, whatever the order of the rows */
{
	struct { struct outcome *o; size_t n; } *a = data;
	struct outcome *more = reallocarray(a->o, a->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	a->o = more;
	a->o[a->n++] = *o;
	return 0;
}

static int by_attempt(const void *x, const void *y)
{
	const struct outcome *a = x, *b = y;

	return (a->attempt < b->attempt) - (a->attempt > b->attempt);
}

static int find_episode(struct history *h, struct episode *ep, struct err *e)
{
	struct { struct outcome *o; size_t n; } a = {0};
	int r = history_outcomes(h, 0, descending, &a, e);

	if (a.n)
		qsort(a.o, a.n, sizeof(*a.o), by_attempt);
	for (size_t i = 0; r == 0 && i < a.n; i++)
		if (look_back(&a.o[i], ep))
			break;
	free(a.o);
	return r;
}

static int state_of_version(struct history *h, uint32_t version, struct state *s, struct err *e)
{
	_cleanup_facts_ struct facts fs = {0};
	int r = history_facts(h, version, &fs, e);

	return r < 0 ? r : state_from_facts(&fs, version, s) < 0 ? err_sys(e, -ENOMEM, "compare versions") : 0;
}

/* What led to the healthy one: its own changes and those of the versions below it that were never healthy themselves. */
static int praise(struct history *h, uint32_t good, struct err *e)
{
	uint32_t version = good;
	int r = 0;

	for (unsigned i = 0; r == 0 && version && i < WALK_MAX; i++) {
		struct version v;
		r = history_version(h, version, &v, e);
		if (r < 0 || (i > 0 && v.goods > 0))
			break;
		for (uint32_t k = 0; r == 0 && k < v.changes; k++)
			r = add_label(h, version, k, 1, 0, e);
		version = v.parent;
	}
	return r == -ENOENT ? 0 : r;
}

static int accuse(struct history *h, const struct knowledge *k, const struct state *base, const struct state *now, uint32_t version, uint32_t fails, struct err *e)
{
	_cleanup_suspects_ struct suspects s = {0};
	_cleanup_state_ struct state failed = {0};
	struct seen seen[2] = {{.failed = fails}, {.worked = 1}};
	int r = state_of_version(h, version, &failed, e);

	if (r == 0)
		r = suspects_between(k, base, &failed, &s);
	if (r == 0)
		r = suspects_risks(k, &decide_params_default, &s);
	if (r < 0)
		return r == -E2BIG ? 0 : r;
	_cleanup_free_ float *p = calloc(s.n + 1, sizeof(*p));
	if (!p)
		return err_sys(e, -ENOMEM, "label changes");
	for (uint32_t j = 0; j < s.n; j++) {
		p[j] = s.risk[j].p;
		suspect_put(&seen[0].has, j);
		if (state_hash_of(now, s.row[j].subject) == s.row[j].hash)
			suspect_put(&seen[1].has, j);
	}
	struct blame b = {.suspect = s.blame};
	blame_suspects(&decide_params_default, p, s.n, seen, 2, &b);
	for (uint32_t j = 0; r == 0 && j < s.n; j++)
		if (s.known[j] != SIZE_MAX && s.blame[j] > 0.01f)
			r = add_label(h, k->row[s.known[j]].version, k->row[s.known[j]].index, 0, s.blame[j] * MIN((float)fails, MASS_FAILED), e);
	return r;
}

int label_episode(struct history *h, uint32_t good, uint64_t attempt, struct err *e)
{
	_cleanup_knowledge_ struct knowledge k = {0};
	_cleanup_state_ struct state base = {0}, now = {0};
	_cleanup_err_ struct err quiet = {0};
	struct episode ep = {.attempt = attempt};
	int r = find_episode(h, &ep, e);

	if (r == 0 && ep.n) {
		r = knowledge_load(h->txn, &k, e);
		if (r == 0)
			r = state_of_version(h, good, &now, e);
		/* Without a healthy one before, the one that is healthy now is what to compare with. */
		if (r == 0 && state_of_version(h, ep.before ? ep.before : good, &base, &quiet) < 0)
			r = state_of_version(h, good, &base, e);
	}
	for (unsigned i = 0; r == 0 && i < ep.n; i++)
		if (ep.failed[i] != good && ep.failed[i] != ep.before)
			r = accuse(h, &k, &base, &now, ep.failed[i], ep.fails[i], e);
	return r == 0 ? praise(h, good, e) : r;
}
