/* secret.h: keep credentials out of what is remembered.
 *
 * In a document's text each value of a key that looks like a credential (password, token, api-key, ...), passwords in URLs, bearer tokens, option
 * arguments such as --password=X, private keys in PEM and long random strings give way to "secret:" and 16 hex digits: HMAC-SHA-256 of the
 * value with the machine's salt. Equal secrets stay equal on this machine, so that a change of one is seen; nothing else can be told from it. */
#ifndef RAST_VECSTORE_SECRET_H
#define RAST_VECSTORE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define SECRET_MARK "secret:"
#define SECRET_HEX 16u

struct salt { unsigned char bytes[32]; };

/* Read the machine's salt from DIR/salt, or make it (random, mode 0600, durable). */
int salt_get(int dirfd, const char *path, struct salt *ret, struct err *e);
bool secret_key(const char *key, size_t n); /* does a key of this name hold a credential? */
/* Append text to out with all secrets replaced; *n_secrets (may be NULL) is how many. 0 or -ENOMEM. */
int secret_redact(const struct salt *salt, const char *text, size_t n, struct buf *out, unsigned *n_secrets);
/* Put secrets back into a redacted text, from one that has them (the file as it is now). Returns how many are left unknown, or -ENOMEM. */
int secret_restore(const struct salt *salt, const char *redacted, size_t n, const char *current, size_t n_current, struct buf *out);

#endif
