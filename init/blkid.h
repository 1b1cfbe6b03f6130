/* blkid.h: UUID=, LABEL=, PARTUUID= and PARTLABEL= of fstab, without udev: the superblocks of what such lines usually name. */
#ifndef RAST_INIT_BLKID_H
#define RAST_INIT_BLKID_H

#include <stdbool.h>
#include <stddef.h>

struct blkid {
	const char *type; /* "ext4", "btrfs", "swap", "vfat", "xfs" */
	char uuid[37];
	char label[257];
};
#define BLKID_BYTES 69632 /* of the device's beginning that blkid_probe looks at */

/* 0, or -ENOENT: none of those that we know. n may be less than BLKID_BYTES. */
int blkid_probe(const unsigned char *data, size_t n, struct blkid *id);
/* The device of "UUID=...", "LABEL=...", "PARTUUID=...", "PARTLABEL=..." or a path; false when there is none (yet). type: what is on it, may be NULL. */
bool blkid_resolve(const char *source, char *path, size_t size, const char **type);

#endif
