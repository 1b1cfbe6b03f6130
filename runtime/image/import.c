/* import.c: a plan becomes an image of the store. */
#include "runtime/image/plan.h"

#include <errno.h>
#include <time.h>

static uint64_t realtime_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int write_blob(struct image_store *s, const struct digest *d, const char *text, size_t n, struct err *e)
{
	char file[DIGEST_TEXT_MAX];
	int r = file_replace(s->blobs, digest_file(d, file), text, n, 0644);

	return r < 0 ? err_sys(e, r, "write blobs/%s", file) : 0;
}

static int make_layers(struct image_store *s, struct source *from, const struct plan *p, const struct image_options *o, const struct digest *chains, struct err *e)
{
	uint64_t max = o->max_size ? o->max_size : IMAGE_MAX_SIZE;
	int r = 0;

	for (size_t i = 0; i < p->n && r == 0; i++) {
		bool whole = layer_is_whole(s, &chains[i]);
		if (o->progress)
			o->progress(i, p->n, &chains[i], whole ? "exists" : "unpack", o->data);
		if (!whole)
			r = layer_make(s, from, p, i, chains, max, e);
	}
	return r < 0 ? r : layers_flush(s, chains, p->n, e);
}

static int finish(struct image_store *s, struct source *from, const struct plan *p, struct digest *chains, image_cb cb, void *data, struct err *e)
{
	char platform[100];
	struct image_info i = {.name = p->name, .source = (char *)from->text, .manifest = p->manifest, .config = p->config, .chain = chains[p->n - 1],
		.layers = chains, .n_layers = p->n, .imported_us = realtime_us()};
	int r = write_blob(s, &p->config, p->config_text, p->config_n, e);

	i.platform = (char *)platform_text(&p->platform, platform);
	for (size_t k = 0; k < p->n; k++)
		i.bytes += layer_bytes(s, &chains[k]);
	if (r == 0 && p->manifest_text)
		r = write_blob(s, &p->manifest, p->manifest_text, p->manifest_n, e);
	r = r < 0 ? r : store_write_image(s, &i, e);
	return r < 0 ? r : cb ? cb(&i, data) : 0;
}

int import_plan(struct image_store *s, struct source *from, struct plan *p, const struct image_options *o, image_cb cb, void *data, struct err *e)
{
	_cleanup_free_ struct digest *chains = calloc(p->n, sizeof(*chains));

	if (!chains)
		return err_set(e, -ENOMEM, "out of memory");
	int r = store_import_lock(s, e);
	r = r < 0 ? r : store_sweep(s, e);
	r = r < 0 ? r : layer_chains(p, chains, e);
	r = r < 0 ? r : make_layers(s, from, p, o, chains, e);
	r = r < 0 ? r : finish(s, from, p, chains, cb, data, e);
	return within(r, e, "image '%s'", p->name);
}
