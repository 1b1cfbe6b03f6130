/* doc.c: see doc.h. */
#include "runtime/image/doc.h"

#include <errno.h>
#include <sys/utsname.h>

#define ITEMS_MAX 1024

/* --- platforms --- */

int platform_parse(const char *s, struct platform *ret)
{
	struct platform p = {0};
	char *to[] = {p.os, p.architecture, p.variant};
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";

	for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
		size_t n = strspn(s, letters);
		if (n == 0 || n >= sizeof(p.os) || (s[n] && s[n] != '/'))
			return -EINVAL;
		memcpy(to[i], s, n);
		if (!s[n]) {
			if (i == 0)
				return -EINVAL;
			*ret = p;
			return 0;
		}
		s += n + 1;
	}
	return -EINVAL;
}

void platform_host(struct platform *ret)
{
	/* Go's names for the kernel's (go/build, "GOARCH") */
	static const struct {
		const char *machine, *architecture, *variant;
	} names[] = {{"x86_64", "amd64", ""}, {"aarch64", "arm64", "v8"}, {"armv7l", "arm", "v7"}, {"armv6l", "arm", "v6"}, {"i686", "386", ""},
		{"riscv64", "riscv64", ""}, {"ppc64le", "ppc64le", ""}, {"s390x", "s390x", ""}, {"loongarch64", "loong64", ""}};
	struct utsname u;

	*ret = (struct platform){.os = "linux", .architecture = "amd64"};
	if (uname(&u) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(u.machine, names[i].machine)) {
			snprintf(ret->architecture, sizeof(ret->architecture), "%s", names[i].architecture);
			snprintf(ret->variant, sizeof(ret->variant), "%s", names[i].variant);
		}
}

const char *platform_text(const struct platform *p, char buf[100])
{
	snprintf(buf, 100, "%s/%s%s%s", p->os, p->architecture, *p->variant ? "/" : "", p->variant);
	return buf;
}

bool platform_matches(const struct platform *p, const struct platform *want)
{
	return streq(p->os, want->os) && streq(p->architecture, want->architecture) && (!*p->variant || !*want->variant || streq(p->variant, want->variant));
}

/* --- pieces --- */

static int copy_field(const json_t *o, const char *key, char *to, size_t size)
{
	const char *s = json_text(o, key);

	if (!s || strlen(s) >= size)
		return s ? -EBADMSG : 0;
	snprintf(to, size, "%s", s);
	return 0;
}

static int parse_platform(const json_t *o, struct platform *p)
{
	if (copy_field(o, "os", p->os, sizeof(p->os)) < 0 || copy_field(o, "architecture", p->architecture, sizeof(p->architecture)) < 0 ||
		copy_field(o, "variant", p->variant, sizeof(p->variant)) < 0)
		return -EBADMSG;
	return 0;
}

static int copy_annotation(const json_t *o, const char *key, char **ret)
{
	const char *s = json_text(json_object_get(o, "annotations"), key);

	if (!s || *ret)
		return 0;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

static int parse_descriptor(const json_t *o, struct descriptor *d, struct err *e)
{
	const char *digest = json_text(o, "digest");
	const json_t *size = json_object_get(o, "size"), *platform = json_object_get(o, "platform");

	if (!digest || digest_parse(digest, &d->digest) < 0)
		return err_set(e, -EBADMSG, "a descriptor's digest is not sha256: or sha512: and hexadecimal digits");
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return err_set(e, -EBADMSG, "the descriptor of %s has no size", digest);
	d->size = (uint64_t)json_integer_value(size);
	if (copy_field(o, "mediaType", d->media, sizeof(d->media)) < 0)
		return err_set(e, -EBADMSG, "the descriptor of %s has a media type that makes no sense", digest);
	d->has_platform = json_is_object(platform);
	if (d->has_platform && parse_platform(platform, &d->platform) < 0)
		return err_set(e, -EBADMSG, "the descriptor of %s has a platform that makes no sense", digest);
	if (copy_annotation(o, "io.containerd.image.name", &d->name) < 0 || copy_annotation(o, "org.opencontainers.image.ref.name", &d->ref) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	return 0;
}

static void descriptor_clear(struct descriptor *d)
{
	free(d->name);
	free(d->ref);
}

/* An array of descriptors. */
static int parse_list(const json_t *list, struct descriptor **ret, size_t *ret_n, size_t max, struct err *e)
{
	size_t n = json_array_size(list);
	int r = 0;

	if (!json_is_array(list) || n > max)
		return err_set(e, -EBADMSG, json_is_array(list) ? "it lists more than %zu things" : "it has no list", max);
	*ret = calloc(n + 1, sizeof(**ret));
	if (!*ret)
		return err_set(e, -ENOMEM, "out of memory");
	for (*ret_n = 0; *ret_n < n && r == 0; (*ret_n)++)
		r = parse_descriptor(json_array_get(list, *ret_n), &(*ret)[*ret_n], e);
	return r;
}

static void clear_list(struct descriptor *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		descriptor_clear(&v[i]);
	free(v);
}

/* --- documents --- */

int doc_load(const char *text, size_t n, const char *what, json_t **ret, struct err *e)
{
	json_error_t where;

	*ret = json_loadb(text, n, JSON_REJECT_DUPLICATES, &where);
	if (!*ret)
		return err_set(e, -EBADMSG, "the %s is no JSON: line %d: %s", what, where.line, where.text);
	return 0;
}

int doc_kind(const json_t *o, enum doc_kind *ret, struct err *e)
{
	static const char *const media[] = {
		[DOC_INDEX] = "application/vnd.oci.image.index.v1+json application/vnd.docker.distribution.manifest.list.v2+json",
		[DOC_MANIFEST] = "application/vnd.oci.image.manifest.v1+json application/vnd.docker.distribution.manifest.v2+json"};
	const char *says = json_text(o, "mediaType");
	bool index = json_object_get(o, "manifests"), manifest = json_object_get(o, "layers") || json_object_get(o, "config");
	const json_t *version = json_object_get(o, "schemaVersion");

	if (!json_is_object(o) || index == manifest)
		return err_set(e, -EBADMSG, index ? "the document is a manifest and an index at once" : "the document is neither a manifest nor an index");
	if (json_integer_value(version) != 2)
		return err_set(e, -EBADMSG, "the manifest's schemaVersion is not 2: old docker images have to be pushed anew by a newer docker");
	*ret = index ? DOC_INDEX : DOC_MANIFEST;
	if (says && !strstr(media[*ret], says))
		return err_set(e, -EBADMSG, "the document has the media type '%s', but is not that", says);
	return 0;
}

int index_parse(const json_t *o, struct index *ret, struct err *e)
{
	*ret = (struct index){0};
	int r = parse_list(json_object_get(o, "manifests"), &ret->items, &ret->n, ITEMS_MAX, e);
	if (r < 0)
		index_clear(ret);
	return within(r, e, "the index");
}

void index_clear(struct index *i)
{
	clear_list(i->items, i->n);
	*i = (struct index){0};
}

/* What can be unpacked: tar, as it is or compressed. */
static int check_layer(const struct descriptor *d, struct err *e)
{
	static const char *const known[] = {"application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip",
		"application/vnd.oci.image.layer.v1.tar+zstd", "application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.diff.tar.gzip",
		"application/vnd.docker.image.rootfs.diff.tar.zstd", "application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (streq(d->media, known[i]))
			return 0;
	return err_set(e, -EBADMSG, "a layer's media type is '%s': this is no container image, or one that is encrypted", d->media);
}

int manifest_parse(const json_t *o, struct manifest *ret, struct err *e)
{
	*ret = (struct manifest){0};
	int r = parse_descriptor(json_object_get(o, "config"), &ret->config, e);
	if (r == 0)
		r = parse_list(json_object_get(o, "layers"), &ret->layers, &ret->n, LAYERS_MAX, e);
	if (r == 0 && ret->n == 0)
		r = err_set(e, -EBADMSG, "it has no layers");
	for (size_t i = 0; i < ret->n && r == 0; i++)
		r = check_layer(&ret->layers[i], e);
	if (r < 0)
		manifest_clear(ret);
	return within(r, e, "the manifest");
}

void manifest_clear(struct manifest *m)
{
	descriptor_clear(&m->config);
	clear_list(m->layers, m->n);
	*m = (struct manifest){0};
}

static int parse_diffs(const json_t *list, struct image_config *c, struct err *e)
{
	size_t n = json_array_size(list);

	if (!json_is_array(list) || n == 0 || n > LAYERS_MAX)
		return err_set(e, -EBADMSG, "rootfs.diff_ids is missing, empty or longer than %d", LAYERS_MAX);
	c->diffs = calloc(n, sizeof(*c->diffs));
	if (!c->diffs)
		return err_set(e, -ENOMEM, "out of memory");
	for (; c->n < n; c->n++) {
		const char *s = json_string_value(json_array_get(list, c->n));
		if (!s || digest_parse(s, &c->diffs[c->n]) < 0)
			return err_set(e, -EBADMSG, "a diff id is not sha256: and 64 hexadecimal digits");
	}
	return 0;
}

int image_config_parse(const char *text, size_t n, struct image_config *ret, struct err *e)
{
	*ret = (struct image_config){0};
	int r = doc_load(text, n, "image's configuration", &ret->root, e);
	if (r < 0)
		return r;
	if (!json_is_object(ret->root) || parse_platform(ret->root, &ret->platform) < 0 || !*ret->platform.os || !*ret->platform.architecture)
		r = err_set(e, -EBADMSG, "it does not say for which os and architecture it is");
	else
		r = parse_diffs(json_object_get(json_object_get(ret->root, "rootfs"), "diff_ids"), ret, e);
	if (r < 0)
		image_config_clear(ret);
	return within(r, e, "the image's configuration");
}

void image_config_clear(struct image_config *c)
{
	free(c->diffs);
	json_decref(c->root);
	*c = (struct image_config){0};
}

int index_choose(const struct index *i, const struct platform *want, const struct descriptor **ret, struct err *e)
{
	_cleanup_buf_ struct buf have = {0};
	char text[100];

	for (size_t k = 0; k < i->n; k++) {
		const struct descriptor *d = &i->items[k];
		if (!d->has_platform && i->n == 1) { /* the only one says for itself what it is */
			*ret = d;
			return 0;
		}
		if (d->has_platform && platform_matches(&d->platform, want)) {
			*ret = d;
			return 0;
		}
		if (d->has_platform && !streq(d->platform.os, "unknown") && have.len < 200) /* "unknown": attestations beside the images */
			buf_addf(&have, "%s%s", have.len ? ", " : "", platform_text(&d->platform, text));
	}
	return err_set(e, -ENOENT, "there is no image for %s%s%s; --platform chooses another one", platform_text(want, text), have.len ? ", but for " : "",
		have.len && !have.failed ? have.data : "");
}

/* --- docker save --- */

static int copy_strings(const json_t *list, char ***ret)
{
	size_t n = json_array_size(list);
	int r = n > ITEMS_MAX ? -EBADMSG : 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		const char *s = json_string_value(json_array_get(list, i));
		r = s ? strv_push(ret, s) : -EBADMSG;
	}
	return r;
}

int docker_parse(const char *text, size_t n, struct docker_images *ret, struct err *e)
{
	_cleanup_json_ json_t *o = NULL;
	int r = doc_load(text, n, "archive's manifest.json", &o, e);

	*ret = (struct docker_images){0};
	if (r < 0)
		return r;
	size_t count = json_array_size(o);
	if (count == 0 || count > ITEMS_MAX)
		return err_set(e, -EBADMSG, "the archive's manifest.json lists no images");
	ret->items = calloc(count, sizeof(*ret->items));
	if (!ret->items)
		return err_set(e, -ENOMEM, "out of memory");
	for (; ret->n < count && r == 0; ret->n++) {
		const json_t *one = json_array_get(o, ret->n);
		struct docker_image *d = &ret->items[ret->n];
		const char *config = json_text(one, "Config");
		d->config = config ? strdup(config) : NULL;
		r = d->config ? copy_strings(json_object_get(one, "RepoTags"), &d->tags) : -EBADMSG;
		r = r < 0 ? r : copy_strings(json_object_get(one, "Layers"), &d->layers);
		if (r == 0 && (!d->layers || strv_len(d->layers) > LAYERS_MAX))
			r = -EBADMSG;
	}
	if (r < 0)
		docker_clear(ret);
	return r < 0 ? err_set(e, r, "the archive's manifest.json is damaged") : 0;
}

void docker_clear(struct docker_images *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->items[i].config);
		strv_free(d->items[i].tags);
		strv_free(d->items[i].layers);
	}
	free(d->items);
	*d = (struct docker_images){0};
}

int chain_id(const struct digest *below, const struct digest *diff, struct digest *ret)
{
	char text[2 * DIGEST_TEXT_MAX];

	if (!below) {
		*ret = *diff;
		return 0;
	}
	return digest_of(text, (size_t)snprintf(text, sizeof(text), "%s %s", below->text, diff->text), ret);
}
