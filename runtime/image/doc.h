/* doc.h: the documents of an image: index, manifest, configuration (OCI image-spec; docker's image manifest version 2 schema 2), and
 * docker save's manifest.json. Everything in them comes from outside and is checked here; nothing else reads them. */
#ifndef RAST_IMAGE_DOC_H
#define RAST_IMAGE_DOC_H

#include <jansson.h>
#include <stdint.h>
#include "runtime/image/priv.h"

struct platform {
	char os[32], architecture[32], variant[32];
};
int platform_parse(const char *s, struct platform *ret); /* "linux/amd64", "linux/arm64/v8"; -EINVAL */
void platform_host(struct platform *ret);                /* this machine's */
const char *platform_text(const struct platform *p, char buf[100]);
/* what runs where want is wanted: an unset variant of either matches. */
bool platform_matches(const struct platform *p, const struct platform *want);

struct descriptor {
	struct digest digest;
	uint64_t size;
	char media[128];
	bool has_platform;
	struct platform platform;
	char *name; /* a whole name, from the annotations of containerd or of OCI; NULL: none */
	char *ref;  /* org.opencontainers.image.ref.name as it is; NULL: none */
};

struct index {
	struct descriptor *items;
	size_t n;
};
struct manifest {
	struct descriptor config, *layers;
	size_t n;
};
struct image_config {
	struct platform platform;
	struct digest *diffs;
	size_t n;
	json_t *root; /* the whole document */
};

enum doc_kind { DOC_INDEX, DOC_MANIFEST };

/* Parse text as JSON; `what` is for the message. */
int doc_load(const char *text, size_t n, const char *what, json_t **ret, struct err *e);
/* By what is in it; a document that is both at once is an error (CVE-2021-41190), as is one whose mediaType says otherwise. */
int doc_kind(const json_t *o, enum doc_kind *ret, struct err *e);
int index_parse(const json_t *o, struct index *ret, struct err *e);
int manifest_parse(const json_t *o, struct manifest *ret, struct err *e);
int image_config_parse(const char *text, size_t n, struct image_config *ret, struct err *e);
void index_clear(struct index *i);
void manifest_clear(struct manifest *m);
void image_config_clear(struct image_config *c);
#define _cleanup_index_ _cleanup_(index_clear)
#define _cleanup_manifest_ _cleanup_(manifest_clear)
#define _cleanup_image_config_ _cleanup_(image_config_clear)

/* The entry for a platform: the first that matches. -ENOENT with those that there are in e. */
int index_choose(const struct index *i, const struct platform *want, const struct descriptor **ret, struct err *e);

/* docker save's manifest.json: [{"Config": PATH, "RepoTags": [...], "Layers": [PATH...]}] */
struct docker_image {
	char *config;
	char **tags, **layers; /* NULL-terminated; tags may be NULL */
};
struct docker_images {
	struct docker_image *items;
	size_t n;
};
int docker_parse(const char *text, size_t n, struct docker_images *ret, struct err *e);
void docker_clear(struct docker_images *d);
#define _cleanup_docker_ _cleanup_(docker_clear)

/* sha256 over "CHAIN DIFF" (OCI image-spec, config.md "Layer ChainID"); below NULL: the lowest layer, whose chain id is its diff id. */
int chain_id(const struct digest *below, const struct digest *diff, struct digest *ret);

#endif
