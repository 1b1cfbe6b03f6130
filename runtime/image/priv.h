/* priv.h: what the files of this folder tell each other. */
#ifndef RAST_IMAGE_PRIV_H
#define RAST_IMAGE_PRIV_H

#include <jansson.h>
#include <stdbool.h>
#include "base/base.h"
#include "runtime/image/image.h"

struct image_store {
	char *root;
	int fd, lock_fd, import_fd; /* import_fd: -1 unless this is the importer */
	int images, layers, blobs, partial, containers;
	bool btrfs; /* subvolumes and snapshots; otherwise plain folders and copies */
	char boot[40];
};

/* Documents (manifests, configurations, records) are read whole; none that is real comes near these. */
#define DOCUMENT_MAX (4u << 20)
#define LAYERS_MAX 512

static inline void json_dropp(json_t **o)
{
	json_decref(*o);
}
/* r, with context put in front of what e says; e may be NULL, and is given a text when a source of bytes had none (tar.h). */
#define within(r, e, ...)                                                      \
	({                                                                     \
		int r_ = (r);                                                  \
		struct err *e_ = (e);                                          \
		if (r_ < 0 && e_) {                                            \
			if (e_->code == 0)                                     \
				err_set(e_, r_, "%s", strerror(-r_));          \
			err_prefix(e_, __VA_ARGS__);                           \
		}                                                              \
		r_;                                                            \
	})
#define _cleanup_json_ _cleanup_(json_dropp)

/* --- record.c: our own small JSON files --- */
/* -EBADMSG: it isn't JSON, with where in e. The object is owned by the caller. */
int record_read(int dirfd, const char *file, json_t **ret, struct err *e);
/* durable: as file_replace() says; otherwise only atomic. o is borrowed. */
int record_write(int dirfd, const char *file, const json_t *o, bool durable, struct err *e);
const char *json_text(const json_t *o, const char *key); /* a string, or NULL */

/* --- store.c --- */
int store_import_lock(struct image_store *s, struct err *e); /* waits */
int store_write_image(struct image_store *s, const struct image_info *i, struct err *e);
int store_image_file(const char *name, char **ret, struct err *e);

/* --- layer.c --- */
struct plan;
struct source;
/* The chain ids of a plan's layers. */
int layer_chains(const struct plan *p, struct digest *chains, struct err *e);
/* The tree of this chain id is there, whole, and can be trusted (it was flushed, or was made since the machine was started). */
bool layer_is_whole(struct image_store *s, const struct digest *chain);
/* Make layer i of the plan; the one below has to be whole. *bytes is added to. */
int layer_make(struct image_store *s, struct source *from, const struct plan *p, size_t i, const struct digest *chains, uint64_t max, struct err *e);
uint64_t layer_bytes(struct image_store *s, const struct digest *chain); /* of its files, as its archive had them */
/* All that has been made reaches the disk, and the layers' records say so. */
int layers_flush(struct image_store *s, const struct digest *chains, size_t n, struct err *e);
/* Remove what an importer that died has left; the import lock is held. Downloads stay. */
int store_sweep(struct image_store *s, struct err *e);
int layer_remove(struct image_store *s, const char *file, struct err *e); /* file: "sha256-HEX" */

/* --- import.c --- */
struct image_options;
/* Put the plan's image into the store, and tell cb. */
int import_plan(struct image_store *s, struct source *from, struct plan *p, const struct image_options *o, image_cb cb, void *data, struct err *e);

#endif
