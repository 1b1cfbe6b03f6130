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

#endif
