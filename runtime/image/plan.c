/* plan.c: see plan.h. */
#include "runtime/image/plan.h"

#include <errno.h>

#define NESTING_MAX 4 /* of indexes in indexes */

void plan_clear(struct plan *p)
{
	free(p->name);
	free(p->manifest_text);
	free(p->config_text);
	free(p->diffs);
	for (size_t i = 0; i < p->n && p->layers; i++)
		free(p->layers[i].path);
	free(p->layers);
	*p = (struct plan){0};
}

static int check_digest(const struct descriptor *d, const char *text, size_t n, const char *what, struct err *e)
{
	struct digest got;
	_cleanup_hash_ struct hash *h = NULL;

	if (d->size != n)
		return err_set(e, -EBADMSG, "the %s %s has %zu bytes, not %llu", what, d->digest.text, n, (unsigned long long)d->size);
	int r = hash_new(&d->digest, &h);
	r = r < 0 ? r : hash_add(h, text, n);
	r = r < 0 ? r : hash_end(h, &got);
	if (r < 0)
		return err_sys(e, r, "the %s", what);
	return digest_equal(&d->digest, &got) ? 0 :
		err_set(e, -EBADMSG, "the %s is %s, not %s: it is damaged or was tampered with", what, got.text, d->digest.text);
}

/* The document, checked. */
static int fetch(struct source *s, const struct descriptor *d, const char *what, char **text, size_t *n, struct err *e)
{
	if (d->size > DOCUMENT_MAX)
		return err_set(e, -EFBIG, "the %s %s has %llu bytes, more than the %u that are allowed", what, d->digest.text, (unsigned long long)d->size, DOCUMENT_MAX);
	int r = s->ops->document(s, d, text, n, e);
	if (r < 0)
		return within(r, e, "the %s %s", what, d->digest.text);
	return check_digest(d, *text, *n, what, e);
}

int plan_set_config(struct plan *p, const char *text, size_t n, size_t n_layers, struct err *e)
{
	_cleanup_image_config_ struct image_config c = {0};
	int r = image_config_parse(text, n, &c, e);

	if (r < 0)
		return r;
	if (c.n != n_layers)
		return err_set(e, -EBADMSG, "the configuration has %zu layers, the manifest %zu", c.n, n_layers);
	p->platform = c.platform;
	p->diffs = TAKE_PTR(c.diffs);
	return 0;
}

static int set_layers(struct plan *p, const struct manifest *m)
{
	p->layers = calloc(m->n, sizeof(*p->layers));
	if (!p->layers)
		return -ENOMEM;
	p->n = m->n;
	for (size_t i = 0; i < m->n; i++)
		p->layers[i] = (struct plan_layer){.blob = m->layers[i].digest, .size = m->layers[i].size};
	return 0;
}

static int from_manifest(struct source *s, const json_t *o, const struct platform *want, struct plan *p, struct err *e)
{
	_cleanup_manifest_ struct manifest m = {0};
	char have[100], wanted[100];
	int r = manifest_parse(o, &m, e);

	if (r < 0)
		return r;
	p->config = m.config.digest;
	r = fetch(s, &m.config, "configuration", &p->config_text, &p->config_n, e);
	if (r == 0)
		r = plan_set_config(p, p->config_text, p->config_n, m.n, e);
	if (r < 0)
		return r;
	if (!platform_matches(&p->platform, want))
		return err_set(e, -ENOENT, "the image is for %s, not for %s; --platform chooses another one", platform_text(&p->platform, have), platform_text(want, wanted));
	return set_layers(p, &m) < 0 ? err_set(e, -ENOMEM, "out of memory") : 0;
}

static int from_text(struct source *s, const char *text, size_t n, const struct digest *digest, const struct platform *want, struct plan *p, int depth, struct err *e);

static int from_index(struct source *s, const json_t *o, const struct platform *want, struct plan *p, int depth, struct err *e)
{
	_cleanup_index_ struct index index = {0};
	_cleanup_free_ char *text = NULL;
	const struct descriptor *d = NULL;
	size_t n = 0;
	int r = index_parse(o, &index, e);

	if (r == 0)
		r = index_choose(&index, want, &d, e);
	if (r == 0)
		r = fetch(s, d, "manifest", &text, &n, e);
	return r < 0 || !text ? r : from_text(s, text, n, &d->digest, want, p, depth + 1, e);
}

static int from_text(struct source *s, const char *text, size_t n, const struct digest *digest, const struct platform *want, struct plan *p, int depth, struct err *e)
{
	_cleanup_json_ json_t *o = NULL;
	enum doc_kind kind = DOC_INDEX;
	int r = depth > NESTING_MAX ? err_set(e, -ELOOP, "the index leads to more than %d others", NESTING_MAX) : doc_load(text, n, "manifest", &o, e);

	if (r == 0)
		r = doc_kind(o, &kind, e);
	if (r < 0)
		return r;
	if (kind == DOC_INDEX)
		return from_index(s, o, want, p, depth, e);
	p->manifest = *digest;
	p->manifest_text = malloc(n + 1);
	if (!p->manifest_text)
		return err_set(e, -ENOMEM, "out of memory");
	memcpy(p->manifest_text, text, n);
	p->manifest_text[n] = '\0';
	p->manifest_n = n;
	return from_manifest(s, o, want, p, e);
}

int plan_from_document(struct source *s, const char *text, size_t n, const struct descriptor *d, const struct platform *want, struct plan *ret, struct err *e)
{
	struct digest digest = d->digest;
	int r = 0;

	if (digest_is_set(&digest))
		r = check_digest(&(struct descriptor){.digest = digest, .size = n}, text, n, "manifest", e);
	else if (digest_of(text, n, &digest) < 0)
		r = err_set(e, -EIO, "the hash of the manifest failed");
	return r < 0 ? r : from_text(s, text, n, &digest, want, ret, 0, e);
}

int plan_from_descriptor(struct source *s, const struct descriptor *d, const struct platform *want, struct plan *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r = fetch(s, d, "manifest", &text, &n, e);

	return r < 0 || !text ? r : from_text(s, text, n, &d->digest, want, ret, 0, e);
}
