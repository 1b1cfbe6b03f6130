/* apply-priv.h: what apply.c and apply-path.c share. */
#ifndef RAST_IMAGE_APPLY_PRIV_H
#define RAST_IMAGE_APPLY_PRIV_H

#include <sys/stat.h>
#include "runtime/image/apply.h"

#define PARENTS 16
#define FOLDER_PATHS_MAX (256u << 20) /* bytes */

struct folder { /* whose time is set at the end, when nothing more is made in it */
	ino_t ino;
	struct timespec mtime;
	char *path;
};

struct ino_set { /* open addressing; 0 is free, and no inode's number */
	struct ino_slot {
		uint64_t ino;
		size_t value;
	} *v;
	size_t n, cap;
};

struct apply {
	int root;
	dev_t dev;
	const struct apply_limits *limits;
	struct apply_counts counts;
	struct ino_set ours;     /* made or touched by this layer: whiteouts mean what was there before */
	struct ino_set timed;    /* folders that are in the list below, and where */
	struct folder *folders;
	size_t n_folders, cap_folders, folder_bytes;
	struct parent {
		char *path;
		int fd;
	} parents[PARENTS];
	unsigned next_parent;
	int busy; /* a parent's descriptor that has to stay */
};

/* --- apply-path.c --- */
int ino_add(struct ino_set *set, ino_t ino, size_t value);
bool ino_has(const struct ino_set *set, ino_t ino);

/* path without "." and doubled or outer slashes, in place; "" is the root. -EPERM: ".." in it. */
int path_clean(char *path);
/* Split: *name is the last component, path is cut before it ("" for the root). */
void path_split(char *path, const char **name);
/* Descriptor of the folder (O_PATH; borrowed, it lives until the cache is flushed or the layer is done). make: with parents, if missing. */
int parent_open(struct apply *a, const char *path, bool make);
void parents_flush(struct apply *a);
/* The folder's time is to be mtime when all is done; NULL: what it is now. fd may be O_PATH. A time given later wins. */
int folder_time(struct apply *a, int fd, const char *path, const struct timespec *mtime);
int folders_finish(struct apply *a, struct err *e);
/* Remove what the layers below have at name, or, if name is NULL, in the folder itself; what this layer has made stays.
 * Flush the parents afterwards: some may be of folders that are gone. */
int remove_lower(struct apply *a, int dirfd, const char *name);
void apply_clear(struct apply *a);

#endif
