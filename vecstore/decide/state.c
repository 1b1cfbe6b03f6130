/* state.c: what a snapshot says about what, as hashes; and the rows of evidence. Layouts: problem.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vecstore/decide/problem.h"

#define WEIGHT_UNIT 4096.0f

static int by_subject(const void *a, const void *b)
{
	const struct state_row *x = a, *y = b;

	return (x->subject > y->subject) - (x->subject < y->subject);
}

uint64_t subject_hash(const char *subject)
{
	return fnv1a64(subject, strlen(subject));
}

void state_free(struct state *s)
{
	free(s->row);
	memset(s, 0, sizeof(*s));
}

int state_from_facts(const struct facts *fs, uint32_t version, struct state *ret)
{
	*ret = (struct state){.version = version, .row = calloc(fs->n + 1, sizeof(*ret->row))};
	if (!ret->row)
		return -ENOMEM;
	for (size_t i = 0, n; i < fs->n; i += n) {
		n = facts_run(fs, i);
		ret->row[ret->n++] = (struct state_row){subject_hash(fs->f[i].subject), facts_hash(fs->f + i, n)};
	}
	if (ret->n)
		qsort(ret->row, ret->n, sizeof(*ret->row), by_subject);
	return 0;
}

int state_encode(const struct state *s, struct buf *out)
{
	buf_add(out, &s->version, sizeof(s->version));
	buf_add(out, &s->n, sizeof(s->n));
	return buf_add(out, s->row, s->n * sizeof(*s->row));
}

int state_load(struct vs_txn *t, uint32_t snapshot, struct state *ret, struct err *e)
{
	char key[32];
	const void *data;
	size_t n;

	memset(ret, 0, sizeof(*ret));
	int len = snprintf(key, sizeof(key), "state/%010u", snapshot);
	int r = vs_doc_get(t, key, (size_t)len, &data, &n, e);
	if (r < 0)
		return r;
	uint32_t head[2];
	if (n < sizeof(head))
		return err_set(e, -EBADMSG, "the state of snapshot %u in the history is cut short", snapshot);
	memcpy(head, data, sizeof(head));
	if ((n - sizeof(head)) / sizeof(*ret->row) != head[1] || (n - sizeof(head)) % sizeof(*ret->row))
		return err_set(e, -EBADMSG, "the state of snapshot %u in the history has the wrong length", snapshot);
	ret->row = malloc(n - sizeof(head) + 1);
	if (!ret->row)
		return err_sys(e, -ENOMEM, "read the state of snapshot %u", snapshot);
	memcpy(ret->row, (const char *)data + sizeof(head), n - sizeof(head));
	ret->version = head[0];
	ret->n = head[1];
	for (uint32_t i = 1; i < ret->n; i++)
		if (ret->row[i - 1].subject >= ret->row[i].subject) {
			state_free(ret);
			return err_set(e, -EBADMSG, "the state of snapshot %u in the history is not in order", snapshot);
		}
	return 0;
}

uint64_t state_hash_of(const struct state *s, uint64_t subject)
{
	struct state_row key = {.subject = subject};
	const struct state_row *found = s->n ? bsearch(&key, s->row, s->n, sizeof(key), by_subject) : NULL;

	return found ? found->hash : 0;
}

/* --- evidence --- */

struct row_disk {
	uint64_t subject, after;
	float ok, bad;
	uint8_t data, n;
} __attribute__((packed));

struct token_disk {
	uint32_t hash;
	uint16_t weight;
} __attribute__((packed));

int ev_encode(struct buf *out, uint64_t subject, uint64_t after, float ok, float bad, bool data, const struct ev_tokens *t)
{
	struct row_disk row = {.subject = subject, .after = after, .ok = ok, .bad = bad, .data = data, .n = (uint8_t)t->n};

	buf_add(out, &row, sizeof(row));
	for (uint32_t i = 0; i < t->n; i++) {
		float w = t->t[i].weight * WEIGHT_UNIT;
		struct token_disk d = {.hash = t->t[i].hash, .weight = (uint16_t)MIN(w, 65535.0f)};
		buf_add(out, &d, sizeof(d));
	}
	return out->failed ? -ENOMEM : 0;
}

int ev_each(const void *data, size_t n, int (*cb)(const struct ev_decoded *row, uint32_t index, void *arg), void *arg)
{
	const char *p = data;
	uint32_t rows;
	size_t at = sizeof(rows);

	if (n < sizeof(rows))
		return -EBADMSG;
	memcpy(&rows, p, sizeof(rows));
	for (uint32_t i = 0; i < rows; i++) {
		struct ev_decoded d = {.at = at};
		struct row_disk row;
		if (n - at < sizeof(row))
			return -EBADMSG;
		memcpy(&row, p + at, sizeof(row));
		at += sizeof(row);
		if (row.n > EV_TOKENS_MAX || n - at < row.n * sizeof(struct token_disk) || row.data > 1 || !(row.ok >= 0 && row.ok < 1e6f) || !(row.bad >= 0 && row.bad < 1e6f))
			return -EBADMSG;
		d.subject = row.subject;
		d.after = row.after;
		d.ok = row.ok;
		d.bad = row.bad;
		d.data = row.data;
		d.tokens.n = row.n;
		for (uint32_t k = 0; k < row.n; k++, at += sizeof(struct token_disk)) {
			struct token_disk t;
			memcpy(&t, p + at, sizeof(t));
			d.tokens.t[k] = (struct ev_token){t.hash, (float)t.weight / WEIGHT_UNIT};
			d.tokens.norm2 += d.tokens.t[k].weight * d.tokens.t[k].weight;
		}
		int r = cb(&d, i, arg);
		if (r)
			return r;
	}
	return at == n ? 0 : -EBADMSG;
}

struct loading { struct knowledge *k; uint32_t version; bool fleet; };

static int add_row(const struct ev_decoded *row, uint32_t index, void *arg)
{
	struct loading *l = arg;
	struct knowledge *k = l->k;

	if (k->ev.n >= KNOWLEDGE_MAX)
		return 0;
	if (k->ev.n == k->cap) {
		size_t cap = k->cap ? k->cap * 2 : 256;
		struct ev_row *rows = reallocarray(k->row, cap, sizeof(*rows));
		if (!rows)
			return -ENOMEM;
		k->row = rows;
		k->cap = cap;
	}
	k->row[k->ev.n] = (struct ev_row){row->subject, row->after, l->version, index, row->data};
	return evidence_add(&k->ev, row->tokens.t, row->tokens.n, row->ok, row->bad, l->fleet, k->ev.n);
}

static int add_document(const void *key, size_t key_len, const void *data, size_t n, void *arg)
{
	struct loading *l = arg;
	char number[16];
	uint64_t version = 0;

	if (!l->fleet) {
		snprintf(number, sizeof(number), "%.*s", (int)MIN(key_len - 3, sizeof(number) - 1), (const char *)key + 3);
		if (parse_u64(number, &version) < 0 || version > UINT32_MAX)
			return -EBADMSG;
	}
	l->version = (uint32_t)version;
	return ev_each(data, n, add_row, l);
}

void knowledge_free(struct knowledge *k)
{
	evidence_free(&k->ev);
	free(k->row);
	memset(k, 0, sizeof(*k));
}

int knowledge_load(struct vs_txn *t, struct knowledge *ret, struct err *e)
{
	struct loading l = {.k = ret};

	memset(ret, 0, sizeof(*ret));
	int r = vs_doc_each(t, "ev/", 3, add_document, &l, e);
	l.fleet = true;
	if (r == 0)
		r = vs_doc_each(t, "fleet/", 6, add_document, &l, e);
	if (r < 0) {
		knowledge_free(ret);
		return e && e->code ? r : err_sys(e, r, "read the history's evidence");
	}
	return 0;
}
