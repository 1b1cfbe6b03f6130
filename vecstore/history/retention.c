/* retention.c: forget what nobody needs. A version's documents are what takes room: they go first; its changes and labels are evidence. */
#include "vecstore/history/private.h"

struct listing { struct version *v; size_t n; };

static int add_version(const struct version *v, void *data)
{
	struct listing *l = data;
	struct version *more = reallocarray(l->v, l->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	l->v = more;
	l->v[l->n++] = *v;
	return 0;
}

static int sum_blobs(const void *key, size_t key_len, const void *data, size_t n, void *arg)
{
	*(uint64_t *)arg += n;
	return 0;
}

/* The newest version of each snapshot that exists, the newest of all, and what those are compared with. */
static bool needed(const struct listing *l, size_t i, const uint32_t *keep, size_t n_keep)
{
	if (i == 0)
		return true;
	for (size_t k = 0; k < n_keep; k++) {
		if (l->v[i].snapshot != keep[k])
			continue;
		bool newer = false;
		for (size_t j = 0; j < i; j++)
			newer |= l->v[j].snapshot == keep[k];
		if (!newer)
			return true;
	}
	return false;
}

struct blobs { char (*hash)[HASH_HEX + 1]; size_t n; };

static int tree_blobs(const void *data, size_t n, struct blobs *b)
{
	_cleanup_free_ char *copy = strndup(data, n);

	if (!copy)
		return -ENOMEM;
	for (char *rest = copy, *line; (line = strsep(&rest, "\n"));) {
		char *hash = strchr(line, ' ');
		if (!hash || strlen(hash + 1) < HASH_HEX)
			continue;
		void *more = reallocarray(b->hash, b->n + 1, sizeof(*b->hash));
		if (!more)
			return -ENOMEM;
		b->hash = more;
		snprintf(b->hash[b->n++], sizeof(b->hash[0]), "%.*s", (int)HASH_HEX, hash + 1);
	}
	return 0;
}

static int used_blobs(const void *key, size_t key_len, const void *data, size_t n, void *arg)
{
	return tree_blobs(data, n, arg);
}

static int by_hash(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int drop_documents(struct history *h, uint32_t version, struct blobs *freed, struct err *e)
{
	const void *data;
	char key[32];
	size_t n;
	int len = snprintf(key, sizeof(key), "tree/%010u", version), r = vs_doc_get(h->txn, key, (size_t)len, &data, &n, e);

	if (r < 0)
		return r == -ENOENT ? (err_clear(e), 1) : r;
	r = tree_blobs(data, n, freed);
	return r < 0 ? r : vs_doc_delete(h->txn, key, (size_t)len, e);
}

/* Texts that only forgotten versions had. */
static int drop_blobs(struct history *h, struct blobs *freed, struct err *e)
{
	struct blobs used = {0};
	int r = vs_doc_each(h->txn, "tree/", 5, used_blobs, &used, e);

	if (used.n)
		qsort(used.hash, used.n, sizeof(*used.hash), by_hash);
	if (freed->n)
		qsort(freed->hash, freed->n, sizeof(*freed->hash), by_hash);
	for (size_t i = 0; r == 0 && i < freed->n; i++) {
		bool again = i > 0 && streq(freed->hash[i], freed->hash[i - 1]);
		if (!again && !(used.n && bsearch(freed->hash[i], used.hash, used.n, sizeof(*used.hash), by_hash)))
			r = blob_delete(h, freed->hash[i], e);
	}
	free(used.hash);
	return r;
}

int history_forget(struct history *h, const struct retention *q, const uint32_t *keep, size_t n_keep, uint64_t now_us, uint32_t *n, struct err *e)
{
	struct listing l = {0};
	struct blobs freed = {0};
	uint64_t bytes = 0;
	uint32_t kept = 0;
	int r = history_each(h, add_version, &l, e);

	*n = 0;
	if (r == 0)
		r = vs_doc_each(h->txn, "blob/", 5, sum_blobs, &bytes, e);
	double per_version = l.n ? (double)bytes / (double)l.n : 0;
	for (size_t i = 0; r >= 0 && i < l.n; i++) {
		bool old = q->max_age_us && l.v[i].time_us + q->max_age_us < now_us;
		bool many = q->max_versions && kept >= q->max_versions;
		bool much = q->max_bytes && per_version * (kept + 1.0) > (double)q->max_bytes;
		if ((!old && !many && !much) || needed(&l, i, keep, n_keep)) {
			kept++;
			continue;
		}
		r = drop_documents(h, l.v[i].number, &freed, e);
		*n += r == 0;
	}
	if (r >= 0)
		r = drop_blobs(h, &freed, e);
	free(freed.hash);
	free(l.v);
	return r;
}
