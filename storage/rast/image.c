/* image.c: rast image: container images; see runtime/image/image.h. */
#include "storage/rast/commands.h"

#include <errno.h>
#include <jansson.h>
#include "runtime/image/image.h"

static struct {
	const char *root, *max_size;
	bool names, content, keep_layers, read_only;
	const char *hostname, *user, *cwd;
	const char *tls_verify;
	struct image_options import;
	struct image_pull pull;
} set = {.root = IMAGE_STORE_DEFAULT, .pull.verify = -1};

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

/* --- pull --- */
static int verb_pull(int argc, char **argv, void *data)
{
	_cleanup_err_ struct err e = {0};
	_cleanup_image_store_ struct image_store *s = NULL;
	bool verify = true;
	int r = parse_options();

	if (r != RAST_OK)
		return r;
	if (argc < 2)
		return rast_error(RAST_USAGE, "image pull wants the names of images");
	if (set.tls_verify && parse_bool(set.tls_verify, &verify) < 0)
		return rast_error(RAST_USAGE, "--tls-verify=%s: write yes or no", set.tls_verify);
	if (set.tls_verify)
		set.pull.verify = verify;
	if (set.import.name && argc > 2)
		return rast_error(RAST_USAGE, "--name is for one image, not for %d", argc - 1);
	set.pull.o = set.import;
	json_t *pulled = json_array();
	r = image_store_open(set.root, true, IMAGE_USE, &s, &e);
	for (int k = 1; k < argc && r >= 0; k++)
		r = image_pull(s, argv[k], &set.pull, print_imported, pulled, &e);
	return print_array(pulled, r, &e);
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

/* --- inspect --- */
static int verb_inspect(int argc, char **argv, void *data)
{
	_cleanup_err_ struct err e = {0};
	_cleanup_image_store_ struct image_store *s = NULL;
	json_t *all = json_array();
	int r = image_store_open(set.root, false, IMAGE_USE, &s, &e);

	if (argc < 2) {
		json_decref(all);
		return rast_error(RAST_USAGE, "image inspect wants the names of images");
	}
	for (int k = 1; k < argc && r == 0; k++) {
		_cleanup_image_info_ struct image_info i = {0};
		_cleanup_free_ char *config = NULL, *manifest = NULL;
		r = image_find(s, argv[k], &i, &e);
		r = r < 0 ? r : image_documents(s, &i, &config, &manifest, &e);
		if (r < 0)
			break;
		json_t *one = image_json(&i);
		json_object_set_new(one, "configuration", json_loads(config, 0, NULL));
		if (manifest)
			json_object_set_new(one, "document", json_loads(manifest, 0, NULL));
		json_array_append_new(all, one);
	}
	rast.json = true;
	return print_array(all, r, &e);
}

/* --- rm, gc --- */
static void print_gc(const struct image_gc *gc)
{
	if (rast.json)
		printf("{\"layers\": %u, \"blobs\": %u, \"downloads\": %u}\n", gc->layers, gc->blobs, gc->downloads);
	else if (!rast.quiet)
		printf("removed %u layers, %u documents, %u unfinished imports and downloads\n", gc->layers, gc->blobs, gc->downloads);
}

static int verb_rm(int argc, char **argv, void *data)
{
	_cleanup_err_ struct err e = {0};
	_cleanup_image_store_ struct image_store *s = NULL;
	struct image_gc gc = {0};

	if (argc < 2)
		return rast_error(RAST_USAGE, "image rm wants the names of images");
	int r = image_store_open(set.root, false, IMAGE_REMOVE, &s, &e);
	for (int k = 1; k < argc && r == 0; k++)
		r = image_remove(s, argv[k], &e);
	if (r == 0 && !set.keep_layers && (r = image_gc(s, &gc, &e)) == 0)
		print_gc(&gc);
	return r < 0 ? rast_fail(&e) : RAST_OK;
}

static int verb_gc(int argc, char **argv, void *data)
{
	_cleanup_err_ struct err e = {0};
	_cleanup_image_store_ struct image_store *s = NULL;
	struct image_gc gc = {0};
	int r = image_store_open(set.root, false, IMAGE_REMOVE, &s, &e);

	if (r == -ENOENT)
		r = 0; /* nothing there is nothing to be removed */
	else if (r == 0)
		r = image_gc(s, &gc, &e);
	if (r == 0)
		print_gc(&gc);
	return r < 0 ? rast_fail(&e) : RAST_OK;
}

/* --- verify --- */
static void print_problem(const char *image, const char *text, void *data)
{
	if (rast.json) {
		json_array_append_new(data, json_pack("{ss ss}", "image", image, "problem", text));
		return;
	}
	printf("%s: ", image);
	print_clean(stdout, text);
	putchar('\n');
}

static int verb_verify(int argc, char **argv, void *data)
{
	_cleanup_err_ struct err e = {0};
	_cleanup_image_store_ struct image_store *s = NULL;
	json_t *problems = json_array();
	int r = image_store_open(set.root, false, IMAGE_USE, &s, &e), found = 0;

	for (int k = argc > 1 ? 1 : 0; k < argc && r >= 0; k++) {
		r = image_verify(s, argc > 1 ? argv[k] : NULL, set.content, print_problem, problems, &e);
		found += r > 0 ? r : 0;
	}
	r = print_array(problems, r < 0 ? r : 0, &e);
	return r == RAST_OK && found > 0 ? RAST_FAILED : r;
}

/* --- unpack --- */
static int verb_unpack(int argc, char **argv, void *data)
{
	_cleanup_err_ struct err e = {0};
	_cleanup_image_store_ struct image_store *s = NULL;
	struct image_container o = {.hostname = set.hostname, .user = set.user, .cwd = set.cwd, .read_only = set.read_only};

	if (argc < 3)
		return rast_error(RAST_USAGE, "image unpack wants an image and the folder to make");
	o.args = argc > 3 ? argv + 3 : NULL;
	int r = image_store_open(set.root, false, IMAGE_USE, &s, &e);
	r = r < 0 ? r : image_unpack(s, argv[1], argv[2], &o, &e);
	return r < 0 ? rast_fail(&e) : RAST_OK;
}

static const struct opt pull_options[] = {
	{"name", 'n', OPT_STRING, "NAME", "what to call the image here", &set.import.name},
	{PLATFORM},
	{"auth-file", 0, OPT_STRING, "FILE", "users and passwords (containers' auth.json)", &set.pull.auth_file},
	{"registries", 0, OPT_STRING, "FILE", "registries and mirrors (" IMAGE_REGISTRIES_DEFAULT ")", &set.pull.registries},
	{"mirror", 0, OPT_STRING, "HOST", "ask this one first, and none of the file's mirrors", &set.pull.mirror},
	{"ca-file", 0, OPT_STRING, "FILE", "who may sign the server's certificate (whom the system trusts)", &set.pull.ca_file},
	{"tls-verify", 0, OPT_STRING, "BOOL", "no: take any certificate", &set.tls_verify},
	{MAX_SIZE},
	{ROOT},
};
static const struct opt inspect_options[] = {{ROOT}};
static const struct opt rm_options[] = {
	{"keep-layers", 0, OPT_FLAG, NULL, "leave the layers to a later image gc", &set.keep_layers},
	{ROOT},
};
static const struct opt verify_options[] = {
	{"content", 0, OPT_FLAG, NULL, "read every file, too: finds what the disk has lost", &set.content},
	{ROOT},
};
static const struct opt unpack_options[] = {
	{"hostname", 0, OPT_STRING, "NAME", "the container's host name", &set.hostname},
	{"user", 'u', OPT_STRING, "USER[:GROUP]", "instead of the image's, by its own passwd", &set.user},
	{"cwd", 0, OPT_STRING, "PATH", "instead of the image's working directory", &set.cwd},
	{"read-only", 0, OPT_FLAG, NULL, "config.json says that the root is read-only", &set.read_only},
	{ROOT},
};

static const struct opt list_options[] = {
	{"names", 0, OPT_FLAG, NULL, "only the names, one a line", &set.names},
	{ROOT},
};

#define IMAGES "$(rast image list --names 2>/dev/null)"
#define OPTS(table) table, ARRAY_SIZE(table)

static const struct verb verbs[] = {
	{"image import", "PATH", "Take images from an OCI layout (a folder or an archive) or from what docker save has written", verb_import, OPTS(import_options), "file"},
	{"image list", "", "List the images of this machine", verb_list, OPTS(list_options), ""},
	{"image pull", "NAME...", "Fetch images from a registry", verb_pull, OPTS(pull_options), ""},
	{"image inspect", "NAME...", "Show all about images as JSON", verb_inspect, OPTS(inspect_options), IMAGES},
	{"image unpack", "NAME DIR [ARG...]", "Make a bundle for an OCI runtime: DIR with rootfs/, a snapshot where that can be, and config.json", verb_unpack,
		OPTS(unpack_options), IMAGES},
	{"image rm", "NAME...", "Remove images, and layers that no other image needs", verb_rm, OPTS(rm_options), IMAGES},
	{"image gc", "", "Remove layers that no image needs, and what interrupted imports have left", verb_gc, OPTS(inspect_options), ""},
	{"image verify", "[NAME...]", "Check images: documents, layers, and whether files were changed", verb_verify, OPTS(verify_options), IMAGES},
};

const struct rast_commands rast_image = {"Images", verbs, ARRAY_SIZE(verbs)};
