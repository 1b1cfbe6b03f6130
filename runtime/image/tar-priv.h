/* tar-priv.h: what tar.c and tar-pax.c share. */
#ifndef RAST_IMAGE_TAR_PRIV_H
#define RAST_IMAGE_TAR_PRIV_H

#include "runtime/image/tar.h"

/* What extended headers said about the next entry (local), or about all that follow (global). Zero: nothing. */
struct pax {
	char *path, *link;
	bool has_size, has_uid, has_gid, has_mtime;
	uint64_t size, uid, gid;
	struct timespec mtime;
	struct tar_xattr *xattrs;
	size_t n_xattrs;
	/* GNU.sparse.*: version 0.0 and 0.1 have the map in headers, 1.0 in front of the content */
	bool sparse_1_0, has_real_size;
	unsigned sparse_major, sparse_minor;
	bool has_major;
	char *sparse_name;
	uint64_t real_size;
	struct tar_piece *pieces;
	size_t n_pieces, cap_pieces;
	bool half_piece; /* an offset came, its length not yet */
};

/* Records "LENGTH KEY=VALUE\n". -EBADMSG, -ENOMEM. */
int pax_parse(struct pax *p, const char *text, size_t n);
void pax_clear(struct pax *p);
int pieces_add(struct tar_piece **v, size_t *n, size_t *cap, uint64_t offset, uint64_t len); /* -EBADMSG: more than TAR_SPARSE_MAX */
int tar_decimal(const char *s, size_t n, uint64_t *ret); /* all of it digits; -EBADMSG */

#endif
