/* tar.h: reads tar archives as they come: ustar and pax (POSIX.1-2017, pax(1)), GNU's long names and numbers, sparse files in all four ways
 * that GNU tar writes them (its manual, "Storing Sparse Files"), v7.
 *
 * Nothing is believed: every number is checked, names and extended headers have limits. The reader allocates no more than
 * TAR_HEADERS_MAX for one entry, whatever the archive says. */
#ifndef RAST_IMAGE_TAR_H
#define RAST_IMAGE_TAR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#include "base/err.h"

#define TAR_NAME_MAX 4096       /* PATH_MAX: what is longer can't be made */
#define TAR_HEADERS_MAX (1u << 20) /* extended headers of one entry, together */
#define TAR_XATTRS_MAX 256
#define TAR_SPARSE_MAX (1u << 16)

/* Where the bytes come from: the next piece of them, as long as it likes, valid until the next call. 0: no more; negative errno, and the
 * source keeps what it has to say about it. */
typedef ssize_t (*tar_source)(void *data, const void **piece);

struct tar_xattr {
	char *name;
	char *value; /* n bytes */
	size_t n;
};

struct tar_piece {
	uint64_t offset, n; /* bytes that are there; what lies between is a hole */
};

struct tar_entry {
	char type; /* '0' file, '1' hard link, '2' symbolic link, '3' char, '4' block device, '5' folder, '6' FIFO */
	char *path, *link;
	mode_t mode;  /* permissions with set-id and sticky bits */
	uid_t uid;
	gid_t gid;
	struct timespec mtime;
	uint32_t major, minor;
	uint64_t size; /* of the file, holes included */
	struct tar_xattr *xattrs;
	size_t n_xattrs;
	struct tar_piece *pieces; /* of a sparse file, ascending; NULL: all of it is there */
	size_t n_pieces;
};

struct tar;
/* Where content can be passed over without being read: skip n bytes behind the last piece; 0 or negative errno, -ENODATA: there are fewer. */
typedef int (*tar_skip)(void *data, uint64_t n);
void tar_set_skip(struct tar *t, tar_skip skip);
int tar_new(tar_source source, void *data, struct tar **ret);
void tar_free(struct tar *t);
void tar_freep(struct tar **t);
#define _cleanup_tar_ _cleanup_(tar_freep)

/* 1: *ret is the next entry, valid until the next call; what was left of the former one's content is skipped. 0: the archive has ended.
 * -EBADMSG: it is damaged or lies, with where in e. */
int tar_next(struct tar *t, const struct tar_entry **ret, struct err *e);
/* The next piece of the entry's content as it is in the archive (a sparse file's pieces without the holes); 0: no more. */
ssize_t tar_data(struct tar *t, const void **piece, struct err *e);
uint64_t tar_position(const struct tar *t); /* bytes of the archive that were taken so far: after tar_next(), where the content begins */

#endif
