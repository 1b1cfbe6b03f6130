/* image.c: rast image: container images; see runtime/image/image.h. */
#include "storage/rast/commands.h"

#include <errno.h>
#include <jansson.h>
#include "runtime/image/image.h"

static struct {
	const char *root, *max_size;
	bool names;
	struct image_options import;
} set = {.root = IMAGE_STORE_DEFAULT};

#define ROOT "root", 0, OPT_STRING, "DIR", "where the images are (" IMAGE_STORE_DEFAULT ")", &set.root

static const char *short_digest(const struct digest *d, char buf[20])
{
	const char *colon = strchr(d->text, ':');

	snprintf(buf, 20, "%.12s", colon ? colon + 1 : "");
	return buf;
}

/* --- list --- */
struct listing {
	struct table table;
	json_t *array;
};

static json_t *image_json(const struct image_info *i)
{
	json_t *layers = json_array();

	for (size_t k = 0; k < i->n_layers; k++)
		json_array_append_new(layers, json_string(i->layers[k].text));
	return json_pack("{ss ss ss ss ss sI sI so}", "name", i->name, "platform", i->platform, "manifest", i->manifest.text, "config", i->config.text,
		"source", i->source, "bytes", (json_int_t)i->bytes, "imported_us", (json_int_t)i->imported_us, "layers", layers);
}

static int list_one(const struct image_info *i, void *data)
{
	struct listing *l = data;
	char buf[48];

	if (set.names) {
		puts(i->name);
		return 0;
	}
	if (rast.json)
		return json_array_append_new(l->array, image_json(i)) < 0 ? -ENOMEM : 0;
	int r = table_add(&l->table, i->name, PAINT_NONE);
	r = r < 0 ? r : table_add(&l->table, short_digest(&i->manifest, buf), PAINT_DIM);
	r = r < 0 ? r : table_add(&l->table, i->platform, PAINT_NONE);
	r = r < 0 ? r : table_add(&l->table, size_text(buf, i->bytes), PAINT_NONE);
	return r < 0 ? r : table_add(&l->table, time_text(buf, i->imported_us), PAINT_NONE);
}

static int verb_list(int argc, char **argv, void *data)
{
	_cleanup_err_ struct err e = {0};
	_cleanup_image_store_ struct image_store *s = NULL;
	struct listing l = {.table = {.n_columns = 5, .heads = {"NAME", "MANIFEST", "PLATFORM", "SIZE", "IMPORTED"}}, .array = json_array()};
	int r = image_store_open(set.root, false, IMAGE_USE, &s, &e);

	if (r == 0)
		r = image_each(s, list_one, &l, &e);
	else if (r == -ENOENT) /* no store: no images */
		r = 0;
	if (r == 0 && rast.json && !set.names) {
		json_dumpf(l.array, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (r == 0 && !set.names) {
		table_print(&l.table);
	}
	json_decref(l.array);
	table_free(&l.table);
	return r < 0 ? rast_fail(&e) : RAST_OK;
}

/* --- import --- */
static void print_progress(size_t layer, size_t n_layers, const struct digest *chain, const char *action, void *data)
{
	char buf[20];

	if (!rast.quiet && !rast.json)
		fprintf(stderr, "layer %zu of %zu: %s: %s\n", layer + 1, n_layers, short_digest(chain, buf), streq(action, "exists") ? "is here already" : action);
}

static int print_imported(const struct image_info *i, void *data)
{
	if (rast.json)
		return json_array_append_new(data, image_json(i)) < 0 ? -ENOMEM : 0;
	puts(i->name);
	return 0;
}

static int parse_options(void)
{
	set.import.progress = print_progress;
	if (set.max_size && parse_size(set.max_size, &set.import.max_size) < 0)
		return rast_error(RAST_USAGE, "--max-size=%s: not a size; write 500M or 20G", set.max_size);
	return RAST_OK;
}

static int print_array(json_t *array, int r, const struct err *e)
{
	if (r == 0 && rast.json) {
		json_dumpf(array, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(array);
	return r < 0 ? rast_fail(e) : RAST_OK;
}

static int verb_import(int argc, char **argv, void *data)
{
	_cleanup_err_ struct err e = {0};
	_cleanup_image_store_ struct image_store *s = NULL;
	int r = parse_options();

	if (r != RAST_OK)
		return r;
	if (argc != 2)
		return rast_error(RAST_USAGE, "image import wants one layout or archive; 'rast image import --help' has more");
	json_t *imported = json_array();
	r = image_store_open(set.root, true, IMAGE_USE, &s, &e);
	r = r < 0 ? r : image_import(s, argv[1], &set.import, print_imported, imported, &e);
	return print_array(imported, r, &e);
}

#define PLATFORM "platform", 0, OPT_STRING, "OS/ARCH", "of an image for several, this one: linux/arm64/v8 (this machine's)", &set.import.platform
#define MAX_SIZE "max-size", 0, OPT_STRING, "SIZE", "what a layer may unpack to (64G)", &set.max_size

static const struct opt import_options[] = {
	{"name", 'n', OPT_STRING, "NAME", "what to call the image (what the source says)", &set.import.name},
	{"ref", 0, OPT_STRING, "REF", "only this one of several: a name, tag or digest in the source", &set.import.ref},
	{PLATFORM},
	{MAX_SIZE},
	{ROOT},
};

static const struct opt list_options[] = {
	{"names", 0, OPT_FLAG, NULL, "only the names, one a line", &set.names},
	{ROOT},
};

#define OPTS(table) table, ARRAY_SIZE(table)

static const struct verb verbs[] = {
	{"image import", "PATH", "Take images from an OCI layout (a folder or an archive) or from what docker save has written", verb_import, OPTS(import_options), "file"},
	{"image list", "", "List the images of this machine", verb_list, OPTS(list_options), ""},
};

const struct rast_commands rast_image = {"Images", verbs, ARRAY_SIZE(verbs)};
