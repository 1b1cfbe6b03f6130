/* pack.h: evidence of other machines: what became of their changes, as one signed file.
 *
 *   "rastPACK", u32 format 1, u32 EMBED_VERSION, u64 time (s), u32 length of the rows; the rows (an ev/ document, vecstore/decide/problem.h: at most
 *   PACK_ROWS_MAX of them, each mass at most PACK_MASS_MAX); 64 bytes: the Ed25519 signature of all before it.
 *
 * A row has hashes of tokens and two masses. Subjects and contents are left out: no text leaves the machine. (Who guesses a token can see
 * whether it is there.) A pack counts less than a machine's own evidence (decide_params.fleet_share), and can at worst
 * cost the budget of exploratory boots. It is believed when its signature is by one of the keys in a folder, /etc/rastos/fleet.d/NAME.pem. */
#ifndef RAST_VECSTORE_PACK_H
#define RAST_VECSTORE_PACK_H

#include "vecstore/history/history.h"

#define PACK_ROWS_MAX 20000u
#define PACK_MASS_MAX 100.0f
#define PACK_BYTES_MAX (8u << 20)

/* What this machine has learned by itself; unsigned. */
int pack_rows(struct history *h, struct buf *rows, uint32_t *n, struct err *e);
/* Sign with a private key (PEM, Ed25519). */
int pack_sign(const struct buf *rows, uint64_t time_s, const char *key_file, struct buf *out, struct err *e);
/* Check form, bounds and signature against the keys in a folder. The rows are a part of data. *signer: the key's file name. -EKEYREJECTED: by none of them. */
int pack_verify(const void *data, size_t n, const char *keys_dir, const void **rows, size_t *n_rows, char signer[256], struct err *e);
/* Form and bounds alone: what the fuzzer calls. */
int pack_parse(const void *data, size_t n, const void **rows, size_t *n_rows, uint32_t *count, struct err *e);
/* Put a verified pack into the store in place of the one of the same name. */
int pack_put(struct history *h, const char *name, const void *rows, size_t n, struct err *e);

#endif
