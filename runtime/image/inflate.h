/* inflate.h: decompression piece by piece, the format found by its first bytes. */
#ifndef RAST_IMAGE_INFLATE_H
#define RAST_IMAGE_INFLATE_H

#include <stdbool.h>
#include <stddef.h>

struct inflater;
enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD };

enum compression compression_of(const void *begin, size_t n); /* by the magic number; n of at least 4 unless that is all */
int inflater_new(enum compression c, struct inflater **ret);   /* -ENOMEM; not for COMPRESSION_NONE */
void inflater_free(struct inflater *z);
/* Take from *in (*n_in bytes, both moved on) and put at most n_out bytes to out. Returns how many; fewer than n_out only when all
 * of *in is used up.
 * -EBADMSG: damaged; -ENOMEM: it wants a larger window than 128 MiB. */
long inflater_run(struct inflater *z, const unsigned char **in, size_t *n_in, unsigned char *out, size_t n_out);
bool inflater_at_end(const struct inflater *z); /* the input may end here */

#endif
