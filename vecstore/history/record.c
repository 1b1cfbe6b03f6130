/* record.c: a configuration becomes a version. */
#include "vecstore/history/private.h"

/* --- the metadata of a version --- */

void version_from_record(const struct vs_record *r, struct version *v)
{
	memset(v, 0, sizeof(*v));
	v->number = (uint32_t)vs_view_int(r->meta, "number", 0);
	v->parent = (uint32_t)vs_view_int(r->meta, "parent", 0);
	v->snapshot = (uint32_t)vs_view_int(r->meta, "snapshot", (int64_t)LEDGER_NONE);
	snprintf(v->kind, sizeof(v->kind), "%s", vs_view_string(r->meta, "kind", "?"));
	snprintf(v->outcome, sizeof(v->outcome), "%s", vs_view_string(r->meta, "outcome", "unknown"));
	snprintf(v->why, sizeof(v->why), "%s", vs_view_string(r->meta, "why", ""));
	snprintf(v->hash, sizeof(v->hash), "%s", vs_view_string(r->meta, "hash", ""));
	v->time_us = (uint64_t)vs_view_int(r->meta, "time_us", 0);
	v->goods = (uint32_t)vs_view_int(r->meta, "goods", 0);
	v->fails = (uint32_t)vs_view_int(r->meta, "fails", 0);
	v->changes = (uint32_t)vs_view_int(r->meta, "changes", 0);
}

int version_store(struct history *h, const struct version *v, const float *vector, struct err *e)
{
	_cleanup_vs_meta_ struct vs_meta m = {0};
	char id[16];

	version_id(id, v->number);
	vs_meta_int(&m, "number", v->number);
	vs_meta_int(&m, "parent", v->parent);
	vs_meta_int(&m, "snapshot", v->snapshot);
	vs_meta_string(&m, "kind", v->kind);
	vs_meta_string(&m, "outcome", v->outcome);
	if (*v->why)
		vs_meta_string(&m, "why", v->why);
	vs_meta_string(&m, "hash", v->hash);
	vs_meta_int(&m, "time_us", (int64_t)v->time_us);
	vs_meta_int(&m, "goods", v->goods);
	vs_meta_int(&m, "fails", v->fails);
	vs_meta_int(&m, "changes", v->changes);
	vs_meta_int(&m, "embed", EMBED_VERSION);
	return vs_put(h->txn, "version", VS_UPSERT, id, vector, &m, e);
}

int version_update(struct history *h, const struct version *v, struct err *e)
{
	struct vs_record r;
	float vector[EMBED_DIM];
	char id[16];

	version_id(id, v->number);
	int rc = vs_get(h->txn, "version", id, &r, e);
	if (rc < 0)
		return rc;
	vs_record_vector(&r, vector);
	return version_store(h, v, vector, e);
}

int history_version(struct history *h, uint32_t number, struct version *ret, struct err *e)
{
	struct vs_record r;
	char id[16];

	version_id(id, number);
	int rc = vs_get(h->txn, "version", id, &r, e);
	if (rc < 0)
		return rc == -ENOENT ? err_set(e, rc, "the history has no version %u; see: rast history list", number) : rc;
	version_from_record(&r, ret);
	return 0;
}

struct walk { int (*each)(const struct version *v, void *data); void *data; uint32_t snapshot, found; };

static int walk_one(const struct vs_record *r, void *data)
{
	struct walk *w = data;
	struct version v;

	version_from_record(r, &v);
	return w->each(&v, w->data);
}

/* Replacing a record gives it a new row, so that the store's order is that of the last outcome: walk by number. */
struct numbers { uint32_t *n; size_t count; };

static int add_number(const struct vs_record *r, void *data)
{
	struct numbers *a = data;
	uint32_t *n = reallocarray(a->n, a->count + 1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	a->n = n;
	a->n[a->count++] = (uint32_t)vs_view_int(r->meta, "number", 0);
	return 0;
}

static int downwards(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x < y) - (x > y);
}

int history_each(struct history *h, int (*each)(const struct version *v, void *data), void *data, struct err *e)
{
	struct walk w = {.each = each, .data = data};
	struct numbers a = {0};
	int r = vs_each(h->txn, "version", NULL, true, add_number, &a, e);

	if (a.count)
		qsort(a.n, a.count, sizeof(*a.n), downwards);
	for (size_t i = 0; r == 0 && i < a.count; i++) {
		struct vs_record rec;
		char id[16];
		version_id(id, a.n[i]);
		r = vs_get(h->txn, "version", id, &rec, e);
		if (r == 0)
			r = walk_one(&rec, &w);
	}
	free(a.n);
	return r;
}

static int find_newest(const struct version *v, void *data)
{
	struct walk *w = data;

	if (w->snapshot != LEDGER_NONE && v->snapshot != w->snapshot)
		return 0;
	w->found = v->number;
	return 1;
}

int history_newest(struct history *h, uint32_t snapshot, uint32_t *version, struct err *e)
{
	struct walk w = {.snapshot = snapshot};
	int r = history_each(h, find_newest, &w, e);

	*version = w.found;
	return r < 0 ? r : r == 1 ? 0 : err_set(e, -ENOENT, "the history has no version yet");
}

/* --- trees --- */

static int put_tree(struct history *h, uint32_t version, const struct documents *ds, struct err *e)
{
	_cleanup_buf_ struct buf b = {0};
	char hash[HASH_HEX + 1], key[32];
	int r = 0;

	for (size_t i = 0; r == 0 && i < ds->n; i++) {
		r = blob_put(h, ds->d[i].text, ds->d[i].n, hash, e);
		buf_addf(&b, "%s %s %s\n", doc_kind_name(ds->d[i].kind), hash, ds->d[i].name);
	}
	if (r < 0)
		return r;
	int len = snprintf(key, sizeof(key), "tree/%010u", version);
	return b.failed ? err_sys(e, -ENOMEM, "remember version %u", version) : vs_doc_put(h->txn, key, (size_t)len, b.data ? b.data : "", b.len, e);
}

static int tree_line(struct history *h, char *line, struct documents *ret, struct err *e)
{
	char *hash = strchr(line, ' '), *name = hash ? strchr(hash + 1, ' ') : NULL;
	_cleanup_buf_ struct buf text = {0};

	if (!name)
		return err_set(e, -EBADMSG, "a line of a version's list of documents is damaged");
	*hash++ = '\0';
	*name++ = '\0';
	int kind = doc_kind_from_name(line);
	if (kind < 0 || strlen(hash) != HASH_HEX)
		return err_set(e, -EBADMSG, "a line of a version's list of documents is damaged: '%s'", line);
	int r = blob_get(h, hash, &text, e);
	return r < 0 ? r : documents_add(ret, (enum doc_kind)kind, name, text.data ? text.data : "", text.len);
}

int history_documents(struct history *h, uint32_t version, struct documents *ret, struct err *e)
{
	char key[32];
	const void *data;
	size_t n;
	int len = snprintf(key, sizeof(key), "tree/%010u", version), r = vs_doc_get(h->txn, key, (size_t)len, &data, &n, e);

	if (r < 0)
		return r == -ENOENT ? err_set(e, r, "the documents of version %u are no longer in the history (or there is no such version)", version) : r;
	_cleanup_free_ char *copy = strndup(data, n);
	if (!copy)
		return err_sys(e, -ENOMEM, "read version %u", version);
	for (char *rest = copy, *line; r == 0 && (line = strsep(&rest, "\n"));)
		if (*line)
			r = tree_line(h, line, ret, e);
	return r;
}

int history_facts(struct history *h, uint32_t version, struct facts *ret, struct err *e)
{
	_cleanup_documents_ struct documents ds = {0};
	int r = history_documents(h, version, &ds, e);

	return r < 0 ? r : documents_facts(&ds, ret);
}

/* --- recording --- */

struct recording {
	struct history *h;
	uint32_t version, n;
	struct buf ev;
	struct err *e;
};

static int put_change(const struct change *c, void *data)
{
	struct recording *rec = data;
	_cleanup_tokens_ struct tokens ts = {0};
	_cleanup_vs_meta_ struct vs_meta m = {0};
	struct ev_tokens cut;
	float v[EMBED_DIM];
	char text[512], id[32];

	if (tokens_of_change(&ts, c->before, c->n_before, c->after, c->n_after) < 0 || tokens_seal(&ts) < 0)
		return err_sys(rec->e, -ENOMEM, "embed a change");
	_cleanup_free_ const char **words = calloc(ts.n + 1, sizeof(*words));
	if (!words)
		return err_sys(rec->e, -ENOMEM, "embed a change");
	size_t n_words = 0;
	for (size_t i = 0; i < ts.n; i++)
		if (ts.t[i].class != TOKEN_GRAM && n_words < 256)
			words[n_words++] = ts.t[i].text;
	embed_vector(&ts, v);
	ev_from_tokens(&ts, &cut);
	change_id(id, rec->version, rec->n);
	vs_meta_int(&m, "version", rec->version);
	vs_meta_string(&m, "subject", change_subject(c));
	vs_meta_string(&m, "text", change_describe(c, text, sizeof(text)));
	vs_meta_strings(&m, "tokens", words, n_words);
	vs_meta_bool(&m, "data", change_touches_data(c));
	vs_meta_float(&m, "ok", 0);
	vs_meta_float(&m, "bad", 0);
	vs_meta_int(&m, "embed", EMBED_VERSION);
	int r = vs_put(rec->h->txn, "change", VS_UPSERT, id, v, &m, rec->e);
	if (r < 0)
		return r;
	rec->n++;
	return ev_encode(&rec->ev, subject_hash(change_subject(c)), facts_hash(c->after, c->n_after), 0, 0, change_touches_data(c), &cut);
}

static int put_state(struct history *h, uint32_t snapshot, const struct state *s, struct err *e)
{
	_cleanup_buf_ struct buf b = {0};
	char key[32];

	if (snapshot == LEDGER_NONE)
		return 0;
	int len = snprintf(key, sizeof(key), "state/%010u", snapshot);
	return state_encode(s, &b) < 0 ? err_sys(e, -ENOMEM, "remember a state") : vs_doc_put(h->txn, key, (size_t)len, b.data, b.len, e);
}

static int next_version(struct history *h, uint32_t *ret, struct err *e)
{
	_cleanup_err_ struct err quiet = {0};
	const void *data;
	size_t n;
	uint32_t next = 1;

	if (vs_doc_get(h->txn, "next", 4, &data, &n, &quiet) == 0 && n == sizeof(next))
		memcpy(&next, data, sizeof(next));
	*ret = next++;
	return vs_doc_put(h->txn, "next", 4, &next, sizeof(next), e);
}

static int put_changes(struct history *h, uint32_t version, const struct facts *before, const struct facts *after, uint32_t *n_changes, struct err *e)
{
	struct recording rec = {.h = h, .version = version, .e = e};
	uint32_t zero = 0;
	char key[32];

	buf_add(&rec.ev, &zero, sizeof(zero));
	int r = changes_between(before, after, put_change, &rec);
	if (r == 0 && rec.ev.failed)
		r = err_sys(e, -ENOMEM, "remember the changes of version %u", version);
	if (r == 0) {
		memcpy(rec.ev.data, &rec.n, sizeof(rec.n));
		int len = snprintf(key, sizeof(key), "ev/%010u", version);
		r = vs_doc_put(h->txn, key, (size_t)len, rec.ev.data, rec.ev.len, e);
	}
	*n_changes = rec.n;
	buf_free(&rec.ev);
	return r;
}

/* The version that the new one is compared with. 0: the first of all, which has no changes: nothing was changed to come to it. */
static int find_parent(struct history *h, const struct record_request *q, uint32_t *parent, struct err *e)
{
	_cleanup_err_ struct err quiet = {0};

	*parent = q->parent;
	if (*parent)
		return 0;
	int r = q->snapshot == LEDGER_NONE ? -ENOENT : history_newest(h, q->snapshot, parent, &quiet);
	if (r == -ENOENT) {
		err_clear(&quiet);
		r = history_newest(h, LEDGER_NONE, parent, &quiet);
	}
	if (r == -ENOENT)
		*parent = 0;
	return r < 0 && r != -ENOENT ? err_set(e, r, "%s", err_text(&quiet)) : 0;
}

static int embed_state(const struct facts *fs, float v[EMBED_DIM])
{
	_cleanup_tokens_ struct tokens ts = {0};

	if (fs->n == 0)
		tokens_add(&ts, TOKEN_KIND, "nothing at all"); /* a cosine needs a length */
	int r = tokens_of_state(&ts, fs);
	if (r == 0)
		r = tokens_seal(&ts);
	if (r == 0)
		embed_vector(&ts, v);
	return r;
}

int history_record(struct history *h, const struct record_request *q, uint32_t *version, bool *fresh, struct err *e)
{
	_cleanup_facts_ struct facts now = {0}, before = {0};
	_cleanup_state_ struct state s = {0};
	struct version v = {.snapshot = q->snapshot, .time_us = history_now_us(), .outcome = "unknown"}, parent = {0};
	float vector[EMBED_DIM];
	uint32_t from;
	int r = documents_facts(q->documents, &now);

	if (r == 0)
		r = state_from_facts(&now, 0, &s);
	if (r < 0)
		return err_sys(e, r, "read the configuration");
	snprintf(v.kind, sizeof(v.kind), "%s", q->kind);
	snprintf(v.hash, sizeof(v.hash), "%016llx", (unsigned long long)fnv1a64(s.row, s.n * sizeof(*s.row)));
	if ((r = find_parent(h, q, &from, e)) < 0)
		return r;
	if (from && (r = history_version(h, from, &parent, e)) == 0 && streq(parent.hash, v.hash) && parent.snapshot == v.snapshot) {
		*version = from;
		*fresh = false;
		return 0;
	}
	if (r == 0 && from)
		r = history_facts(h, from, &before, e);
	if (r == 0)
		r = next_version(h, &v.number, e);
	if (r == 0)
		r = put_tree(h, v.number, q->documents, e);
	if (r == 0 && from)
		r = put_changes(h, v.number, &before, &now, &v.changes, e);
	v.parent = from;
	s.version = v.number;
	if (r == 0)
		r = put_state(h, q->snapshot, &s, e);
	if (r == 0 && (r = embed_state(&now, vector)) < 0)
		return err_sys(e, r, "embed the configuration");
	if (r == 0)
		r = version_store(h, &v, vector, e);
	if (r == 0 && v.number % 16 == 0)
		r = dictionary_train(h, e);
	*version = v.number;
	*fresh = true;
	return r;
}
