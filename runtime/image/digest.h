/* digest.h: content digests ("sha256:HEX", "sha512:HEX"; OCI image-spec, descriptor.md "Digests"), streaming. */
#ifndef RAST_IMAGE_DIGEST_H
#define RAST_IMAGE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

#define DIGEST_TEXT_MAX (7 + 128 + 1) /* "sha512:" and 64 bytes in hex */

struct digest {
	char text[DIGEST_TEXT_MAX]; /* "sha256:HEX", in lower case; "" none */
};

/* -EINVAL unless s is a whole digest of an algorithm that we know, in lower case hex as the specification wants it. */
int digest_parse(const char *s, struct digest *ret);
static inline bool digest_is_set(const struct digest *d)
{
	return d->text[0] != '\0';
}
bool digest_equal(const struct digest *a, const struct digest *b);
/* As the name of a file: "sha256-HEX". */
const char *digest_file(const struct digest *d, char buf[DIGEST_TEXT_MAX]);
int digest_from_file(const char *name, struct digest *ret); /* the other way; -EINVAL */

struct hash; /* of bytes that come in pieces */
/* like: the algorithm to use is that of this digest. -ENOMEM. */
int hash_new(const struct digest *like, struct hash **ret);
int hash_add(struct hash *h, const void *data, size_t n); /* -EIO: libcrypto failed */
int hash_end(struct hash *h, struct digest *ret);         /* the hash can't take more then */
void hash_free(struct hash *h);
void hash_freep(struct hash **h);
#define _cleanup_hash_ _cleanup_(hash_freep)

/* Of bytes in memory, SHA-256. */
int digest_of(const void *data, size_t n, struct digest *ret);

#endif
