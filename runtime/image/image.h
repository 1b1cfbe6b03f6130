/* image.h: container images on this machine.
 *
 * A store is a folder (/var/lib/rastos/images). Each layer that was unpacked is a tree of its own, named by its chain id (OCI image-spec,
 * config.md "Layer ChainID"): on btrfs a read-only subvolume that is a snapshot of the layer below with the layer's changes applied;
 * elsewhere a plain folder that is a copy of it. An image is a record that names the topmost layer and the configuration; a container's
 * root is a writable snapshot of that layer. What comes from outside is checked while it streams: the digest of each blob, the diff id of
 * each layer, and nothing of a layer that isn't whole is ever visible under its name.
 *
 *   images/NAME.json            which manifest, configuration and layer an image is
 *   layers/sha256-HEX/          the tree of a chain id; sha256-HEX.json says that it is whole
 *   blobs/sha256-HEX            manifests and configurations
 *   partial/                    what is being made; whatever is older than the importer that holds the lock is rubbish, but downloads go on
 *   containers/NAME/            roots of containers, see image_container_make()
 *
 * Two locks (flock(2), so the death of a process frees them): `lock`, shared for all who use layers and exclusive for those who remove
 * some; `import.lock`, for the one who makes layers. Records are written to a temporary file, flushed and renamed, after what they speak
 * of has been flushed: what image_import() has said yes to survives a power cut. */
#ifndef RAST_IMAGE_IMAGE_H
#define RAST_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "runtime/image/digest.h"

#define IMAGE_STORE_DEFAULT "/var/lib/rastos/images"

struct image_store;
enum image_lock { IMAGE_USE, IMAGE_REMOVE }; /* shared, exclusive */

/* Open the store at root; `create` makes what is missing (parents too). -ENOENT: there is none. Waits for the lock. */
int image_store_open(const char *root, bool create, enum image_lock lock, struct image_store **ret, struct err *e);
void image_store_close(struct image_store *s); /* NULL is allowed */
void image_store_closep(struct image_store **s);
#define _cleanup_image_store_ _cleanup_(image_store_closep)

struct image_info {
	char *name;      /* HOST/PATH:TAG or HOST/PATH@DIGEST */
	char *platform;  /* linux/amd64, linux/arm64/v8 */
	char *source;    /* what it was imported from, for people */
	struct digest manifest, config, chain;
	struct digest *layers; /* chain ids, the lowest first */
	size_t n_layers;
	uint64_t bytes;       /* of its layers' files, as the archives have them */
	uint64_t imported_us; /* CLOCK_REALTIME */
};
void image_info_clear(struct image_info *i);
#define _cleanup_image_info_ _cleanup_(image_info_clear)

/* One call per image, sorted by name; the callback's negative return ends it. */
typedef int (*image_cb)(const struct image_info *i, void *data);
int image_each(struct image_store *s, image_cb cb, void *data, struct err *e);
/* name as the user writes it: "nginx" is "nginx:latest". -ENOENT with what is near it in e. */
int image_find(struct image_store *s, const char *name, struct image_info *ret, struct err *e);

/* --- import.c, layout.c --- */
struct image_options {
	const char *name;     /* what to call it; NULL: what the source says */
	const char *ref;      /* which of a layout's or an archive's images; NULL: all */
	const char *platform; /* "linux/arm64"; NULL: this machine's */
	uint64_t max_size;    /* bytes that a layer may unpack to; 0: IMAGE_MAX_SIZE */
	/* told as it happens, for people; may be NULL. layer: from 0; action: "exists", "unpack" */
	void (*progress)(size_t layer, size_t n_layers, const struct digest *chain, const char *action, void *data);
	void *data;
};
#define IMAGE_MAX_SIZE (64ull << 30)

/* Import from path: an OCI layout, as a folder or a tar archive, or what docker save writes; compressed archives too. cb is called for each
 * image when it is in the store for good. Layers that are there already are not read. -EEXIST: never; a name that exists means the new image. */
int image_import(struct image_store *s, const char *path, const struct image_options *o, image_cb cb, void *data, struct err *e);

/* --- registry.c: pulling over HTTPS (OCI distribution-spec) --- */
#define IMAGE_REGISTRIES_DEFAULT "/etc/rastos/registries.ini"
struct image_pull {
	struct image_options o;
	const char *registries; /* a file as rast(8) describes it; NULL: IMAGE_REGISTRIES_DEFAULT if there is one */
	const char *auth_file;  /* NULL: where containers-auth.json(5) says */
	const char *ca_file;    /* NULL: what the file of registries says, or the system's */
	const char *mirror;     /* a host to ask first; NULL: those of the file of registries */
	int verify;             /* certificates: 1 yes, 0 no, -1 as the file of registries says, which is yes if it says nothing */
};
/* name: HOST/PATH[:TAG][@DIGEST]; without a host, that of the file of registries. Downloads that were cut off go on where they ended. */
int image_pull(struct image_store *s, const char *name, const struct image_pull *p, image_cb cb, void *data, struct err *e);

/* --- gc.c --- */
struct image_gc {
	unsigned layers, blobs, downloads; /* that were removed */
};
/* Forget an image. Its layers stay until image_gc(). The store has to be open for IMAGE_REMOVE, as for image_gc(). */
int image_remove(struct image_store *s, const char *name, struct err *e);
/* Remove layers and documents that no image refers to, and what unfinished imports and downloads have left. Containers don't need layers. */
int image_gc(struct image_store *s, struct image_gc *ret, struct err *e);
/* Are the documents what their digests say, are all layers there, and is the topmost one as it was when it was made? content: read all its
 * files, which finds what the disk has lost where the file system has checksums. Each problem is told to cb; the number of them is returned. */
typedef void (*image_problem_cb)(const char *image, const char *problem, void *data);
int image_verify(struct image_store *s, const char *name, bool content, image_problem_cb cb, void *data, struct err *e); /* name NULL: all */
/* The configuration document and the manifest (NULL: there is none) as JSON text, owned by the caller. */
int image_documents(struct image_store *s, const struct image_info *i, char **config, char **manifest, struct err *e);

/* --- container.c --- */
struct image_container {
	const char *hostname;           /* NULL: none is set */
	char *const *args, *const *env; /* instead of the image's entrypoint and command; besides and before its environment. NULL: the image's */
	const char *user, *cwd;         /* NULL: the image's */
	bool read_only;                 /* root.readonly */
	bool fresh;                     /* image_container_make(): throw away a root that exists */
};
/* Unpack an image for any OCI runtime: a new folder at path with rootfs/ (a snapshot if path is on the store's btrfs, else a copy) and
 * config.json. All or nothing. -EEXIST: path is there. */
int image_unpack(struct image_store *s, const char *name, const char *path, const struct image_container *o, struct err *e);
/* The root of a container service: containers/NAME/ with rootfs/, config.json and volumes/. A root that was made of the same image stays as the
 * container has left it, unless `fresh`; one of another image makes way; volumes stay in any case. *bundle is the folder's path, owned by the
 * caller. Nobody may use the container meanwhile. */
int image_container_make(struct image_store *s, const char *image, const char *name, const struct image_container *o, char **bundle, struct err *e);
int image_container_remove(struct image_store *s, const char *name, struct err *e); /* volumes too; -ENOENT: there is none */

#endif
