/* plan.h: an image that is to be made, wherever it comes from: its documents, checked, and where its layers are. */
#ifndef RAST_IMAGE_PLAN_H
#define RAST_IMAGE_PLAN_H

#include "runtime/image/doc.h"
#include "runtime/image/files.h"

struct plan_layer {
	struct digest blob; /* unset: docker save's archives have none */
	uint64_t size;      /* of the blob; 0 with an unset digest */
	char *path;         /* in such an archive */
};

struct plan {
	char *name;
	struct digest manifest, config; /* manifest is config where there is none */
	struct platform platform;
	char *manifest_text, *config_text;
	size_t manifest_n, config_n;
	struct digest *diffs;
	struct plan_layer *layers;
	size_t n; /* of both */
};
void plan_clear(struct plan *p);
#define _cleanup_plan_ _cleanup_(plan_clear)

/* A place where images come from. */
struct source;
struct source_ops {
	/* The document with this digest, at most DOCUMENT_MAX bytes; the caller checks the digest. */
	int (*document)(struct source *s, const struct descriptor *d, char **text, size_t *n, struct err *e);
	/* The layer's bytes. part->fd is the caller's. */
	int (*layer)(struct source *s, const struct plan_layer *l, struct file_part *part, struct err *e);
	/* The layer was unpacked (0), or why not: what was kept of it for another time can go, or can't be right. May be NULL. */
	void (*layer_done)(struct source *s, const struct plan_layer *l, int result);
};
struct source {
	const struct source_ops *ops;
	const char *text; /* what it is, for people */
};

/* Follow a descriptor of an index or manifest down to the image for platform; all but p->name. */
int plan_from_descriptor(struct source *s, const struct descriptor *d, const struct platform *want, struct plan *ret, struct err *e);
/* The same from a document that is here: text is checked against d's digest if that is set, and kept in the plan if it is the manifest. */
int plan_from_document(struct source *s, const char *text, size_t n, const struct descriptor *d, const struct platform *want, struct plan *ret, struct err *e);
/* Check what configuration and layers say of each other, and put them in. */
int plan_set_config(struct plan *p, const char *text, size_t n, size_t n_layers, struct err *e);

#endif
