/* partition.h: PARTUUID= and PARTLABEL=, without udev. A partition's own identity stands in the table of its disk, not in the partition; the kernel says in
 * sysfs which disk and which entry. */
#ifndef RAST_INIT_PARTITION_H
#define RAST_INIT_PARTITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct partition {
	char uuid[37];        /* as text, lower case; of an MBR the disk's signature and the number: "1234abcd-01" */
	char label[36 * 3 + 1]; /* UTF-8; "" on an MBR */
};

/* Entry `number` (from 1) of the table on the disk that fd reads, if it begins at `start` (in units of 512 bytes; what the kernel says of the
 * partition, so that a table it has not taken is not believed). block: bytes of the disk's logical block. 0, -ENOENT (no such entry), or what reading said. */
int partition_read(int fd, unsigned block, unsigned number, uint64_t start, struct partition *p);

/* Path in /dev of the partition with this PARTUUID, or else PARTLABEL. False when there is none (yet). */
bool partition_find(bool by_uuid, const char *value, char *path, size_t size);

#endif
