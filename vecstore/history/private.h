/* private.h: what the files of vecstore/history/ share. */
#ifndef RAST_VECSTORE_HISTORY_PRIVATE_H
#define RAST_VECSTORE_HISTORY_PRIVATE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vecstore/decide/problem.h"
#include "vecstore/history/history.h"

#define HASH_HEX 32u /* of a blob: the first 16 bytes of its SHA-256 */

static inline void version_id(char id[16], uint32_t version) { snprintf(id, 16, "%010u", version); }
static inline void change_id(char id[32], uint32_t version, uint32_t index) { snprintf(id, 32, "%010u/%05u", version, index); }
static inline void attempt_id(char id[24], uint64_t attempt) { snprintf(id, 24, "%016llu", (unsigned long long)attempt); }

/* blob.c: content-addressed, compressed texts. */
int blob_put(struct history *h, const char *text, size_t n, char hash[HASH_HEX + 1], struct err *e);
int blob_get(struct history *h, const char *hash, struct buf *out, struct err *e);
int blob_delete(struct history *h, const char *hash, struct err *e);
void dictionary_free(struct dictionary *d);
/* Make a dictionary of the texts that are there, once there are enough; later blobs use it. */
int dictionary_train(struct history *h, struct err *e);

/* record.c */
/* Replace a version's metadata (its vector stays). */
int version_store(struct history *h, const struct version *v, const float *vector, struct err *e);
int version_update(struct history *h, const struct version *v, struct err *e);

/* label.c: what a healthy boot of `good` says about the changes of all versions since the healthy one before. */
int label_episode(struct history *h, uint32_t good, uint64_t attempt, struct err *e);

uint64_t history_now_us(void);

#endif
