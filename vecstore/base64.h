/* base64.h: RFC 4648, section 4. */
#ifndef RAST_VECSTORE_BASE64_H
#define RAST_VECSTORE_BASE64_H

#include "base/str.h"

int base64_add(struct buf *b, const void *data, size_t n);
int base64_decode(const char *s, size_t n, struct buf *to); /* -EINVAL unless it is exactly one encoding */

#endif
