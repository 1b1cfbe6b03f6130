/* gc.c: removal, and looking whether all is still there. */
#include "runtime/image/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <btrfsutil.h>
#include <dirent.h>
#include "base/file.h"
#include "runtime/image/name.h"
#include "runtime/image/tree.h"

int image_remove(struct image_store *s, const char *name, struct err *e)
{
	_cleanup_image_info_ struct image_info i = {0};
	_cleanup_free_ char *file = NULL;
	int r = image_find(s, name, &i, e);

	if (r == -EBADMSG && e) { /* a damaged record can be removed too */
		struct image_name n;
		err_clear(e);
		r = image_name_parse(name, &n, e);
		i.name = r < 0 ? NULL : image_name_text(&n);
	}
	r = r < 0 ? r : store_image_file(i.name, &file, e);
	r = r < 0 ? r : sys_unlinkat(s->images, file, 0);
	if (r == 0)
		r = sys_fsync(s->images);
	return r < 0 && (!e || !e->code) ? err_sys(e, r, "remove image '%s'", name) : r;
}

/* --- garbage --- */

struct marks {
	char **files; /* "sha256-HEX", of layers and blobs; sorted */
	size_t n, cap;
};

static int mark(struct marks *m, const struct digest *d)
{
	char file[DIGEST_TEXT_MAX];

	if (m->n == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 64;
		char **v = realloc(m->files, cap * sizeof(*v));
		if (!v)
			return -ENOMEM;
		m->files = v;
		m->cap = cap;
	}
	m->files[m->n] = strdup(digest_file(d, file));
	return m->files[m->n] ? (m->n++, 0) : -ENOMEM;
}

static int mark_image(const struct image_info *i, void *data)
{
	int r = mark(data, &i->manifest);

	r = r < 0 ? r : mark(data, &i->config);
	for (size_t k = 0; k < i->n_layers && r == 0; k++)
		r = mark(data, &i->layers[k]);
	return r;
}

static void marks_clear(struct marks *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->files[i]);
	free(m->files);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_marked(const struct marks *m, const char *file)
{
	return m->n && bsearch(&file, m->files, m->n, sizeof(*m->files), compare);
}

/* Call remove for every name of dirfd that is not marked; ".json" doesn't count. */
static int sweep(struct image_store *s, int dirfd, const struct marks *m, int (*remove)(struct image_store *, const char *, struct err *), unsigned *count, struct err *e)
{
	_cleanup_strv_ char **names = NULL;
	_cleanup_closedir_ DIR *d = NULL;
	int r = dir_open(dirfd, ".", &d);

	if (r < 0)
		return err_sys(e, r, "read a folder of %s", s->root);
	for (struct dirent *de; r == 0 && (de = readdir(d));) {
		size_t n = strlen(de->d_name);
		if (str_ends(de->d_name, ".json"))
			de->d_name[n - 5] = '\0';
		if (de->d_name[0] != '.' && !is_marked(m, de->d_name))
			r = strv_push(&names, de->d_name);
	}
	if (names)
		qsort(names, strv_len(names), sizeof(*names), compare);
	for (size_t i = 0; names && names[i] && r == 0; i++) {
		if (i > 0 && streq(names[i], names[i - 1])) /* a tree and its record are one layer */
			continue;
		r = remove(s, names[i], e);
		*count += r == 0;
	}
	return r < 0 && (!e || !e->code) ? err_sys(e, r, "clean up %s", s->root) : r;
}

static int remove_blob(struct image_store *s, const char *file, struct err *e)
{
	int r = sys_unlinkat(s->blobs, file, 0);

	return r < 0 && r != -ENOENT ? err_sys(e, r, "remove blobs/%s", file) : 0;
}

static int remove_download(struct image_store *s, const char *file, struct err *e)
{
	return tree_remove(s->partial, file, e);
}

int image_gc(struct image_store *s, struct image_gc *ret, struct err *e)
{
	_cleanup_(marks_clear) struct marks m = {0}, none = {0};
	struct image_gc gc = {0};
	int r = store_import_lock(s, e);

	r = r < 0 ? r : image_each(s, mark_image, &m, e); /* a record that can't be read ends it: its layers would be lost */
	if (m.n)
		qsort(m.files, m.n, sizeof(*m.files), compare);
	r = r < 0 ? r : sweep(s, s->layers, &m, layer_remove, &gc.layers, e);
	r = r < 0 ? r : sweep(s, s->blobs, &m, remove_blob, &gc.blobs, e);
	r = r < 0 ? r : sweep(s, s->partial, &none, remove_download, &gc.downloads, e);
	r = r < 0 ? r : store_sweep(s, e);
	if (ret)
		*ret = gc;
	return r < 0 && (!e || !e->code) ? err_sys(e, r, "clean up %s", s->root) : r;
}

/* --- verification --- */

struct verifying {
	struct image_store *s;
	bool content;
	image_problem_cb cb;
	void *data;
	int problems;
};

static void problem(struct verifying *v, const char *image, const char *text)
{
	v->problems++;
	v->cb(image, text, v->data);
}

static int read_blob(struct image_store *s, const struct digest *d, char **text, size_t *n, struct err *e)
{
	_cleanup_hash_ struct hash *h = NULL;
	char file[DIGEST_TEXT_MAX];
	struct digest got;
	int r = file_read(s->blobs, digest_file(d, file), DOCUMENT_MAX, text, n);

	if (r < 0)
		return err_sys(e, r, "blobs/%s", file);
	r = hash_new(d, &h);
	r = r < 0 ? r : hash_add(h, *text, *n);
	r = r < 0 ? r : hash_end(h, &got);
	if (r < 0)
		return err_sys(e, r, "the hash of blobs/%s", file);
	return digest_equal(d, &got) ? 0 : err_set(e, -EBADMSG, "blobs/%s is damaged: its digest is %s", file, got.text);
}

int image_documents(struct image_store *s, const struct image_info *i, char **config, char **manifest, struct err *e)
{
	size_t n;
	int r = read_blob(s, &i->config, config, &n, e);

	*manifest = NULL;
	if (r == 0 && !digest_equal(&i->manifest, &i->config))
		r = read_blob(s, &i->manifest, manifest, &n, e);
	return r;
}

/* The configuration's diff ids make the chain ids that the image has. */
static int verify_chains(struct image_store *s, const struct image_info *i, struct err *e)
{
	_cleanup_image_config_ struct image_config c = {0};
	_cleanup_free_ char *text = NULL;
	struct digest chain = {{0}}, below;
	size_t n = 0;
	int r = read_blob(s, &i->config, &text, &n, e);

	r = r < 0 ? r : image_config_parse(text, n, &c, e);
	if (r == 0 && c.n != i->n_layers)
		r = err_set(e, -EBADMSG, "the record has %zu layers, the configuration %zu", i->n_layers, c.n);
	for (size_t k = 0; k < c.n && r == 0; k++) {
		below = chain;
		r = chain_id(k ? &below : NULL, &c.diffs[k], &chain);
		if (r == 0 && !digest_equal(&chain, &i->layers[k]))
			r = err_set(e, -EBADMSG, "layer %zu is not that of the configuration", k + 1);
	}
	return r;
}

static int verify_tree(struct verifying *v, const struct image_info *i, struct err *e)
{
	char file[DIGEST_TEXT_MAX], record[DIGEST_TEXT_MAX + 8];
	_cleanup_json_ json_t *o = NULL;
	struct digest got;
	bool read_only = true;

	digest_file(&i->chain, file);
	snprintf(record, sizeof(record), "%s.json", file);
	int r = record_read(v->s->layers, record, &o, e);
	r = r < 0 ? r : tree_digest(v->s->layers, file, v->content, &got, e);
	if (r < 0)
		return r;
	if (!json_text(o, "tree") || !streq(json_text(o, "tree"), got.text))
		return err_set(e, -EBADMSG, "files of layers/%s have been changed", file);
	_cleanup_close_ int fd = sys_openat(v->s->layers, file, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (v->s->btrfs && (fd < 0 || btrfs_util_get_subvolume_read_only_fd(fd, &read_only) != BTRFS_UTIL_OK || !read_only))
		return err_set(e, -EBADMSG, "layers/%s is not read-only any more", file);
	return 0;
}

static int verify_image(const struct image_info *i, void *data)
{
	struct verifying *v = data;
	bool whole = true;

	for (size_t k = 0; k < i->n_layers; k++)
		if (!layer_is_whole(v->s, &i->layers[k])) {
			problem(v, i->name, "a layer is missing");
			whole = false;
		}
	for (int step = 0; step < 3; step++) {
		_cleanup_err_ struct err e = {0};
		_cleanup_free_ char *text = NULL;
		size_t n;
		int r = 0;
		if (step == 0 && !digest_equal(&i->manifest, &i->config))
			r = read_blob(v->s, &i->manifest, &text, &n, &e);
		else if (step == 1)
			r = verify_chains(v->s, i, &e);
		else if (step == 2 && whole)
			r = verify_tree(v, i, &e);
		if (r < 0)
			problem(v, i->name, err_text(&e));
	}
	return 0;
}

int image_verify(struct image_store *s, const char *name, bool content, image_problem_cb cb, void *data, struct err *e)
{
	struct verifying v = {s, content, cb, data, 0};
	_cleanup_image_info_ struct image_info i = {0};
	int r;

	if (!name)
		r = image_each(s, verify_image, &v, e);
	else if ((r = image_find(s, name, &i, e)) == 0)
		r = verify_image(&i, &v);
	return r < 0 ? r : v.problems;
}
