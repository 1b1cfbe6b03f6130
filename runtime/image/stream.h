/* stream.h: a layer's blob as the bytes of its archive.
 *
 * One thread reads, hashes the blob and decompresses it (gzip, also several members; zstd, also several frames; or as it is); another one
 * hashes what comes out, for the diff id; the caller takes the pieces. All three go over the same buffers, so nothing is copied. */
#ifndef RAST_IMAGE_STREAM_H
#define RAST_IMAGE_STREAM_H

#include <stdint.h>
#include <sys/types.h>
#include "runtime/image/digest.h"

struct stream;

struct stream_input {
	int fd;                  /* borrowed; read with pread(2) */
	uint64_t offset, size;   /* the blob's place in it */
	const struct digest *blob; /* what it has to be, NULL or unset: nobody said */
	const struct digest *diff; /* the same for what comes out */
	uint64_t max;            /* bytes that may come out */
};
int stream_open(const struct stream_input *in, struct stream **ret, struct err *e);
/* A tar_source: the next piece, valid until the next call; 0: the end. What went wrong is told by stream_finish(). */
ssize_t stream_next(void *stream, const void **piece);
/* Take what is left, wait for the threads, check the digests (-EBADMSG with both in e). *diff and *bytes, how many came out, may be NULL. */
int stream_finish(struct stream *s, struct digest *diff, uint64_t *bytes, struct err *e);
/* Ends the threads, also in the middle. NULL is allowed. */
void stream_close(struct stream *s);
void stream_closep(struct stream **s);
#define _cleanup_stream_ _cleanup_(stream_closep)

#endif
