/* tree.h: folders that hold a whole root: subvolumes on btrfs, plain folders elsewhere. */
#ifndef RAST_IMAGE_TREE_H
#define RAST_IMAGE_TREE_H

#include <stdbool.h>
#include "base/err.h"
#include "runtime/image/digest.h"

/* All names are of one component, in the folder of the descriptor before them. */
int tree_make(bool btrfs, int dirfd, const char *name, struct err *e);
/* name in dirfd becomes a writable copy of from in fromfd: a snapshot, or, off btrfs, a copy with reflinks where the file system has them,
 * with owners, modes, times, attributes, hard links, holes and devices. */
int tree_clone(bool btrfs, int fromfd, const char *from, int dirfd, const char *name, struct err *e);
int tree_read_only(bool btrfs, int dirfd, const char *name, bool on, struct err *e); /* off btrfs nothing */
int tree_remove(int dirfd, const char *name, struct err *e);                         /* subvolume or folder; -ENOENT is success */
/* The digest of all that fstat(2) and readlink(2) say about each file, in the order of names (not the content: btrfs has checksums of that).
 * content: every file is read too, so that what the disk has lost is found (-EIO). */
int tree_digest(int dirfd, const char *name, bool content, struct digest *ret, struct err *e);

#endif
