/* An image's documents, names and a registry's challenges: any bytes give something whole, or an error. The first byte says which. */
#include "runtime/image/doc.h"

#include <errno.h>
#include <fcntl.h>
#include "runtime/image/auth.h"
#include "runtime/image/bundle.h"
#include "runtime/image/name.h"
#include "tests/fuzz/fuzz.h"

static void try_config(const char *text, size_t n)
{
	_cleanup_image_config_ struct image_config c = {0};
	_cleanup_err_ struct err e = {0};
	_cleanup_strv_ char **volumes = NULL;
	const struct image_container o = {.hostname = "h"};
	json_t *runtime = NULL;

	if (image_config_parse(text, n, &c, &e) < 0)
		return;
	MUST(c.n > 0 && c.n <= LAYERS_MAX && *c.platform.os && *c.platform.architecture);
	if (bundle_volumes(c.root, &volumes, &e) == 0)
		for (char **v = volumes; v && *v; v++)
			MUST(**v && **v != '/' && !strstr(*v, "//") && strcmp(*v, "..") != 0 && strncmp(*v, "../", 3) != 0 && !strstr(*v, "/../"));
	static int root = -1;
	if (root < 0)
		root = open("/var/empty", O_PATH | O_DIRECTORY);
	if (root < 0)
		root = open("/proc/self/task", O_PATH | O_DIRECTORY); /* a folder without an etc */
	err_clear(&e);
	if (bundle_config(root, c.root, &o, &runtime, &e) == 0) {
		const json_t *process = json_object_get(runtime, "process");
		MUST(json_array_size(json_object_get(process, "args")) > 0 && json_string_value(json_object_get(process, "cwd"))[0] == '/');
		json_decref(runtime);
	}
}

static void try_manifest(const char *text, size_t n)
{
	_cleanup_json_ json_t *o = NULL;
	_cleanup_err_ struct err e = {0};
	_cleanup_index_ struct index index = {0};
	_cleanup_manifest_ struct manifest m = {0};
	const struct platform want = {"linux", "amd64", ""};
	const struct descriptor *d = NULL;
	enum doc_kind kind;

	if (doc_load(text, n, "x", &o, &e) < 0 || doc_kind(o, &kind, &e) < 0)
		return;
	if (kind == DOC_INDEX && index_parse(o, &index, &e) == 0 && index_choose(&index, &want, &d, &e) == 0)
		MUST(d >= index.items && d < index.items + index.n && digest_is_set(&d->digest));
	if (kind == DOC_MANIFEST && manifest_parse(o, &m, &e) == 0)
		MUST(m.n > 0 && m.n <= LAYERS_MAX && digest_is_set(&m.config.digest) && digest_is_set(&m.layers[m.n - 1].digest));
}

static void try_name(const char *text)
{
	_cleanup_err_ struct err e = {0};
	_cleanup_free_ char *whole = NULL, *file = NULL, *back = NULL;
	struct image_name n, again;

	if (image_name_parse(text, &n, &e) < 0)
		return;
	MUST(*n.path && (*n.tag || digest_is_set(&n.digest)));
	MUST((whole = image_name_text(&n)) && image_name_parse(whole, &again, &e) == 0 && streq(n.path, again.path) && streq(n.host, again.host));
	if (image_name_to_file(whole, &file) == 0)
		MUST(!strchr(file, '/') && *file != '.' && image_name_from_file(file, &back) == 0 && streq(back, whole));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = size ? strndup((const char *)data + 1, size - 1) : NULL;
	const char *raw = (const char *)data + 1;
	_cleanup_err_ struct err e = {0};
	_cleanup_docker_ struct docker_images images = {0};
	struct challenge c;

	if (!text)
		return 0;
	switch (data[0] % 5) {
	case 0:
		try_config(raw, size - 1);
		break;
	case 1:
		try_manifest(raw, size - 1);
		break;
	case 2:
		try_name(text);
		break;
	case 3:
		if (challenge_parse(text, &c) == 0)
			MUST(!c.bearer || strncmp(c.realm, "https://", 8) == 0);
		break;
	default:
		if (docker_parse(raw, size - 1, &images, &e) == 0)
			MUST(images.n > 0 && images.items[images.n - 1].config && images.items[images.n - 1].layers);
	}
	return 0;
}
