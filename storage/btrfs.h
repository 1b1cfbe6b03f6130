/* btrfs.h: what stage 1 has to know about a btrfs: who it is, and which snapshots are in it. */
#ifndef RAST_STORAGE_BTRFS_H
#define RAST_STORAGE_BTRFS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define BTRFS_SNAPSHOTS ".snapshots/rootfs"
#define BTRFS_SNAPSHOT_FMT ".snapshots/rootfs/snapshot-%u"
#define BTRFS_ETC_FMT ".snapshots/etc/etc-%u"
#define BTRFS_SUPER_OFFSET 65536
#define BTRFS_SUPER_SIZE 4096

struct btrfs_identity {
	char uuid[37];
	char label[257];
	uint64_t n_devices; /* of the file system: more than one means that the others have to be announced to the kernel first */
};

/* From the super block's 4096 bytes. -EBADMSG: not a btrfs. Layout: fs/btrfs/accessors.h, include/uapi/linux/btrfs_tree.h (struct btrfs_super_block). */
int btrfs_identify(const void *super, struct btrfs_identity *id);
/* The same from a block device or an image. */
int btrfs_identify_device(const char *path, struct btrfs_identity *id);

/* The numbers N of .snapshots/rootfs/snapshot-N below the top level of a btrfs, ascending, at most max of them (the highest ones are kept).
 * Returns how many, or a negative errno. */
int btrfs_list_snapshots(int topfd, uint32_t *ret, unsigned max, struct err *e);
/* True if path below topfd is the root of a subvolume. */
bool btrfs_is_subvolume(int topfd, const char *path);

#endif
