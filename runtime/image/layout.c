/* layout.c: images from files: OCI layouts (OCI image-spec, image-layout.md) and docker save's archives, old (a folder per layer) and new
 * (which are OCI layouts too). */
#include "runtime/image/plan.h"

#include <errno.h>
#include <limits.h>
#include "runtime/image/name.h"

struct layout {
	struct source source;
	struct files *files;
};

static int get_document(struct source *s, const struct descriptor *d, char **text, size_t *n, struct err *e)
{
	const struct layout *l = (const struct layout *)s;
	char path[DIGEST_TEXT_MAX + 8];

	snprintf(path, sizeof(path), "blobs/%s", d->digest.text);
	*strchr(path, ':') = '/';
	int r = files_read(l->files, path, DOCUMENT_MAX, text, n, e);
	return r == -ENOENT ? err_set(e, -ENOENT, "%s is not there", path) : r;
}

static int get_layer(struct source *s, const struct plan_layer *pl, struct file_part *part, struct err *e)
{
	const struct layout *l = (const struct layout *)s;
	char blob[DIGEST_TEXT_MAX + 8];
	const char *path = pl->path;

	if (!path) {
		snprintf(blob, sizeof(blob), "blobs/%s", pl->blob.text);
		*strchr(blob, ':') = '/';
		path = blob;
	}
	int r = files_get(l->files, path, part, e);
	return r == -ENOENT ? err_set(e, -ENOENT, "%s is not there", path) : r;
}

static const struct source_ops ops = {get_document, get_layer, NULL};

/* What the image will be called: the user's word, else the source's. */
static int set_name(struct plan *p, const char *given, const char *found, struct err *e)
{
	struct image_name n;
	const char *name = given ? given : found;
	int r = name ? image_name_parse(name, &n, e) : err_set(e, -EINVAL, "the source does not say what the image is called; say it: --name NAME");

	if (r < 0)
		return r;
	p->name = image_name_text(&n);
	return p->name ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* --- OCI layouts --- */

/* A whole name: containerd's annotation; or the reference, when it is more than a tag. */
static const char *name_of(const struct descriptor *d)
{
	if (d->name)
		return d->name;
	return d->ref && strpbrk(d->ref, "/:") ? d->ref : NULL;
}

static bool is_wanted(const struct descriptor *d, const char *ref)
{
	const char *name = name_of(d), *colon = name ? strrchr(name, ':') : NULL;

	return !ref || (d->ref && streq(d->ref, ref)) || (name && (streq(name, ref) || (colon && streq(colon + 1, ref)))) || streq(d->digest.text, ref);
}

static bool same_name(const struct descriptor *a, const struct descriptor *b)
{
	const char *x = name_of(a) ? name_of(a) : a->ref, *y = name_of(b) ? name_of(b) : b->ref;

	return x && y ? streq(x, y) : x == y;
}

/* Import the one of these, which all have the same name, that is for the platform. */
static int import_group(struct image_store *s, struct layout *l, const struct index *group, const struct platform *want, const struct image_options *o,
	image_cb cb, void *data, struct err *e)
{
	_cleanup_plan_ struct plan p = {0};
	const struct descriptor *d;
	int r = index_choose(group, want, &d, e);

	r = r < 0 ? r : set_name(&p, o->name, name_of(d), e);
	r = r < 0 ? r : plan_from_descriptor(&l->source, d, want, &p, e);
	return r < 0 ? r : import_plan(s, &l->source, &p, o, cb, data, e);
}

static int too_many(const struct index *i, struct err *e)
{
	_cleanup_buf_ struct buf names = {0};

	for (size_t k = 0; k < i->n && names.len < 400; k++) {
		const char *name = name_of(&i->items[k]) ? name_of(&i->items[k]) : i->items[k].ref;
		buf_addf(&names, "%s%s", k ? ", " : "", name ? name : i->items[k].digest.text);
	}
	return err_set(e, -EINVAL, "there are several images: %s; --ref chooses one", names.failed ? "..." : names.data);
}

static int import_groups(struct image_store *s, struct layout *l, const struct index *all, const struct platform *want, const struct image_options *o,
	image_cb cb, void *data, struct err *e)
{
	_cleanup_free_ struct descriptor *items = calloc(all->n + 1, sizeof(*items)); /* those of one name; what they point to is all's */
	_cleanup_free_ bool *done = calloc(all->n + 1, sizeof(*done));
	unsigned groups = 0;
	int r = 0;

	if (!items || !done)
		return err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < all->n && r == 0; i++) {
		struct index group = {items, 0};
		for (size_t k = i; k < all->n; k++)
			if (!done[k] && is_wanted(&all->items[k], o->ref) && same_name(&all->items[i], &all->items[k])) {
				done[k] = true;
				items[group.n++] = all->items[k];
			}
		if (group.n == 0)
			continue;
		if (++groups > 1 && o->name) /* they can't all have it */
			return too_many(all, e);
		r = import_group(s, l, &group, want, o, cb, data, e);
	}
	if (r == 0 && groups == 0)
		return err_set(e, -ENOENT, o->ref ? "there is no image '%s' in it" : "there is no image in it", o->ref);
	return r;
}

static int import_oci(struct image_store *s, struct layout *l, const struct platform *want, const struct image_options *o, image_cb cb, void *data, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *json = NULL;
	_cleanup_index_ struct index index = {0};
	size_t n;
	int r = files_read(l->files, "index.json", DOCUMENT_MAX, &text, &n, e);

	if (r == -ENOENT)
		return err_set(e, -ENOENT, "it has an oci-layout, but no index.json");
	r = r < 0 ? r : doc_load(text, n, "layout's index.json", &json, e);
	r = r < 0 ? r : index_parse(json, &index, e);
	return r < 0 ? r : import_groups(s, l, &index, want, o, cb, data, e);
}

/* --- docker save --- */

static int docker_plan(struct layout *l, const struct docker_image *d, struct plan *p, struct err *e)
{
	size_t n = strv_len(d->layers);
	int r = files_read(l->files, d->config, DOCUMENT_MAX, &p->config_text, &p->config_n, e);

	if (r == -ENOENT)
		return err_set(e, -ENOENT, "%s is not there", d->config);
	if (r == 0 && digest_of(p->config_text, p->config_n, &p->config) < 0)
		r = err_set(e, -EIO, "the hash of the configuration failed");
	r = r < 0 ? r : plan_set_config(p, p->config_text, p->config_n, n, e);
	if (r < 0)
		return r;
	p->manifest = p->config; /* docker calls this the image's id */
	p->layers = calloc(n, sizeof(*p->layers));
	p->n = p->layers ? n : 0;
	r = p->layers ? 0 : -ENOMEM;
	for (size_t i = 0; i < n && r == 0; i++) {
		p->layers[i].path = strdup(d->layers[i]);
		r = p->layers[i].path ? 0 : -ENOMEM;
	}
	return r < 0 ? err_set(e, r, "out of memory") : 0;
}

/* The name to import it under, NULL with r 0: it is not wanted. */
static bool docker_wanted(const struct docker_image *d, const char *ref)
{
	bool found = !ref;

	for (char **t = d->tags; t && *t && !found; t++) {
		const char *colon = strrchr(*t, ':');
		found = streq(*t, ref) || (colon && streq(colon + 1, ref));
	}
	return found;
}

/* Once for each of its names, or under the one that was given. */
static int import_docker_image(struct image_store *s, struct layout *l, const struct docker_image *d, const struct platform *want, const struct image_options *o,
	image_cb cb, void *data, struct err *e)
{
	static char *none[] = {NULL};
	char **tags = d->tags && !o->name ? d->tags : none, have[100], wanted[100];
	int r = 0;

	do {
		_cleanup_plan_ struct plan p = {0};
		r = docker_plan(l, d, &p, e);
		r = r < 0 ? r : set_name(&p, o->name, *tags, e);
		if (r == 0 && o->platform && !platform_matches(&p.platform, want))
			r = err_set(e, -ENOENT, "the image is for %s, not for %s", platform_text(&p.platform, have), platform_text(want, wanted));
		r = r < 0 ? r : import_plan(s, &l->source, &p, o, cb, data, e);
	} while (r == 0 && *tags && *++tags);
	return r;
}

static int import_docker(struct image_store *s, struct layout *l, const struct platform *want, const struct image_options *o, image_cb cb, void *data, struct err *e)
{
	_cleanup_docker_ struct docker_images images = {0};
	_cleanup_free_ char *text = NULL;
	unsigned found = 0;
	size_t n;
	int r = files_read(l->files, "manifest.json", DOCUMENT_MAX, &text, &n, e);

	r = r < 0 ? r : docker_parse(text, n, &images, e);
	for (size_t i = 0; i < images.n && r == 0; i++) {
		if (!docker_wanted(&images.items[i], o->ref))
			continue;
		if (++found > 1 && o->name)
			return err_set(e, -EINVAL, "there are several images in it; --ref chooses one");
		r = import_docker_image(s, l, &images.items[i], want, o, cb, data, e);
	}
	if (r == 0 && !found)
		return err_set(e, -ENOENT, "there is no image '%s' in it", o->ref);
	return r;
}

/* --- both --- */

static int import_files(struct image_store *s, struct layout *l, const struct image_options *o, image_cb cb, void *data, struct err *e)
{
	struct platform want;

	platform_host(&want);
	if (o->platform && platform_parse(o->platform, &want) < 0)
		return err_set(e, -EINVAL, "'%s' is no platform; write linux/amd64 or linux/arm64/v8", o->platform);
	if (files_have(l->files, "oci-layout"))
		return import_oci(s, l, &want, o, cb, data, e);
	if (files_have(l->files, "manifest.json"))
		return import_docker(s, l, &want, o, cb, data, e);
	if (files_have(l->files, "repositories"))
		return err_set(e, -EINVAL, "it was saved by a docker older than 1.10, without digests; save it anew with a newer one");
	return err_set(e, -EINVAL, "it is neither an OCI layout (oci-layout, index.json, blobs/) nor what docker save writes (manifest.json)");
}

int image_import(struct image_store *s, const char *path, const struct image_options *o, image_cb cb, void *data, struct err *e)
{
	char real[PATH_MAX];
	_cleanup_files_ struct files *files = NULL;
	struct layout l = {.source = {&ops, realpath(path, real) ? real : path}};
	int r = store_import_lock(s, e);

	r = r < 0 ? r : store_sweep(s, e);
	r = r < 0 ? r : files_open(path, s->partial, o->max_size ? o->max_size : IMAGE_MAX_SIZE, &files, e);
	if (r < 0)
		return r;
	l.files = files;
	r = import_files(s, &l, o, cb, data, e);
	return within(r, e, "%s", path);
}
