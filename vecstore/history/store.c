/* store.c: opening the history's store, transactions, documents in memory. */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "vecstore/history/private.h"
#include "base/file.h"

uint64_t history_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static int make_collections(struct history *h, struct err *e)
{
	static const struct { const char *name; uint32_t dim; enum vs_metric metric; } rows[] = {
		{"version", EMBED_DIM, VS_COSINE}, {"change", EMBED_DIM, VS_COSINE}, {"boot", HEALTH_FIGURES, VS_L2}};
	struct vs_coll c;
	_cleanup_err_ struct err quiet = {0};

	int r = history_begin(h, HISTORY_WRITE, e);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++) {
		if (vs_coll_find(h->txn, rows[i].name, &c, &quiet) == 0)
			continue;
		err_clear(&quiet);
		r = vs_coll_create(h->txn, rows[i].name, rows[i].dim, rows[i].metric, VS_F32, e);
	}
	if (r < 0) {
		history_abort(h);
		return r;
	}
	return history_commit(h, e);
}

int history_open(struct history *h, const char *dir, enum history_mode mode, struct err *e)
{
	char path[4096];

	memset(h, 0, sizeof(*h));
	snprintf(path, sizeof(path), "%s/salt", dir);
	if (mode == HISTORY_WRITE) {
		int r = mkdir_p(dir, 0755);
		if (r == 0)
			r = salt_get(AT_FDCWD, path, &h->salt, e);
		if (r < 0)
			return e && e->code ? r : err_sys(e, r, "make %s", dir);
		h->has_salt = true;
	} else { /* without it secrets can't be compared: readers that may not read it still read */
		_cleanup_err_ struct err quiet = {0};
		struct stat st;
		h->has_salt = stat(path, &st) == 0 && salt_get(AT_FDCWD, path, &h->salt, &quiet) == 0;
	}
	snprintf(path, sizeof(path), "%s/store", dir);
	int r = vs_open(&h->vs, path, mode == HISTORY_WRITE ? VS_CREATE : VS_RDONLY, e);
	if (r == 0 && mode == HISTORY_WRITE)
		r = make_collections(h, e);
	if (r < 0)
		history_close(h);
	return r == -ENOENT ? err_set(e, r, "there is no history in %s yet: it begins with the first boot, apply or `rast history record`", dir) : r;
}

void history_close(struct history *h)
{
	vs_abort(&h->txn);
	vs_close(h->vs);
	dictionary_free(h->dict);
	memset(h, 0, sizeof(*h));
}

int history_begin(struct history *h, enum history_mode mode, struct err *e)
{
	return vs_begin(h->vs, mode == HISTORY_WRITE ? VS_WRITE : VS_READ, &h->txn, e);
}

int history_commit(struct history *h, struct err *e)
{
	return vs_commit(&h->txn, NULL, e);
}

void history_abort(struct history *h)
{
	vs_abort(&h->txn);
}

/* --- documents in memory --- */

int documents_add(struct documents *ds, enum doc_kind kind, const char *name, const char *text, size_t n)
{
	struct document *d = reallocarray(ds->d, ds->n + 1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	ds->d = d;
	struct document new = {.kind = kind, .name = strdup(name), .text = malloc(n + 1), .n = n};
	if (!new.name || !new.text) {
		free(new.name);
		free(new.text);
		return -ENOMEM;
	}
	if (n)
		memcpy(new.text, text, n);
	new.text[n] = '\0';
	ds->d[ds->n++] = new;
	return 0;
}

void documents_free(struct documents *ds)
{
	for (size_t i = 0; i < ds->n; i++) {
		free(ds->d[i].name);
		free(ds->d[i].text);
	}
	free(ds->d);
	memset(ds, 0, sizeof(*ds));
}

/* "sshd" of ".../services/sshd.ini" and of its drop-ins in ".../services/sshd.d/": they are one subject. */
static void service_name(const char *path, char name[256])
{
	const char *at = strstr(path, "/services/");

	snprintf(name, 256, "%s", at ? at + strlen("/services/") : path);
	char *slash = strchr(name, '/');
	if (slash)
		*slash = '\0';
	if (str_ends(name, ".ini"))
		name[strlen(name) - 4] = '\0';
	else if (str_ends(name, ".d"))
		name[strlen(name) - 2] = '\0';
}

int documents_facts(const struct documents *ds, struct facts *fs)
{
	char name[256];
	int r = 0;

	for (size_t i = 0; r == 0 && i < ds->n; i++) {
		const struct document *d = &ds->d[i];
		if (d->kind == DOC_SERVICE)
			service_name(d->name, name);
		r = facts_add_document(fs, d->kind, d->kind == DOC_SERVICE ? name : d->name, d->text, d->n);
	}
	facts_sort(fs);
	return r;
}
