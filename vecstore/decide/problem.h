/* problem.h: the decision as the store holds it: read evidence and states, make the problem of choose.h of them, solve it.
 *
 * Reads documents only (vs_doc_get, vs_doc_each), so that it works on a store opened with VS_RDONLY | VS_NOLOCK in the initramfs. All lengths in
 * them are checked: a document that is not what it should be is -EBADMSG, which means the last known good one.
 *
 *   state/SNAPSHOT  u32 version, u32 n, n x { u64 subject, u64 hash }, sorted by subject: what the snapshot's newest version says about what
 *   ev/VERSION      u32 n, n x { u64 subject, u64 after, f32 ok, f32 bad, u8 data, u8 tokens, tokens x { u32 hash, u16 weight * 4096 } }
 *   fleet/NAME      the rows of a pack (pack.h), as ev/
 * Numbers are little-endian and packed; SNAPSHOT and VERSION are ten decimal digits. */
#ifndef RAST_VECSTORE_PROBLEM_H
#define RAST_VECSTORE_PROBLEM_H

#include "base/str.h"
#include "storage/ledger.h"
#include "vecstore/decide/choose.h"
#include "vecstore/vecstore.h"

#define KNOWLEDGE_MAX 200000u /* changes that are read; the rest would cost more time than it's worth */

struct state_row { uint64_t subject, hash; };
struct state { uint32_t version, n; struct state_row *row; };
void state_free(struct state *s);
#define _cleanup_state_ _cleanup_(state_free)
int state_load(struct vs_txn *t, uint32_t snapshot, struct state *ret, struct err *e); /* -ENOENT */
int state_from_facts(const struct facts *fs, uint32_t version, struct state *ret);     /* -ENOMEM */
int state_encode(const struct state *s, struct buf *out);
uint64_t state_hash_of(const struct state *s, uint64_t subject);                       /* 0: it says nothing about that */
uint64_t subject_hash(const char *subject);

struct ev_row { uint64_t subject, after; uint32_t version, index; bool data; };
struct knowledge {
	struct evidence ev;
	struct ev_row *row; /* beside ev.c */
	size_t cap;
};
void knowledge_free(struct knowledge *k);
#define _cleanup_knowledge_ _cleanup_(knowledge_free)
int knowledge_load(struct vs_txn *t, struct knowledge *ret, struct err *e);
/* One change's row behind what is in out already. */
int ev_encode(struct buf *out, uint64_t subject, uint64_t after, float ok, float bad, bool data, const struct ev_tokens *t);
/* Calls cb for each row of a document; -EBADMSG. at: where the row begins, so that ok and bad (at + EV_OK_AT) can be changed in a copy. */
#define EV_OK_AT 16u
struct ev_decoded { uint64_t subject, after; float ok, bad; bool data; struct ev_tokens tokens; size_t at; };
int ev_each(const void *data, size_t n, int (*cb)(const struct ev_decoded *row, uint32_t index, void *arg), void *arg);

/* decide_rank (storage/decide.h) over an open store. json (may be NULL) gets the reasons as one JSON object, whatever the result is. */
int problem_decide(struct vs_txn *t, const struct ledger *l, const uint32_t *candidates, unsigned n, uint32_t failed, uint32_t otherwise,
	const struct decide_params *params, struct buf *json, struct err *e);

/* For the history: which of the suspects it was. Suspects are what differs between `good` and `failed`; worked (may be NULL) has booted healthily
 * since. blame gets one number per suspect; rows: the index into k of each one's newest evidence, SIZE_MAX: none. */
struct suspects { struct state_row *row; size_t *known; struct ev_tokens *tokens; struct risk *risk; float *blame; uint32_t n; float pair, transient, outside; };
void suspects_free(struct suspects *s);
#define _cleanup_suspects_ _cleanup_(suspects_free)
int suspects_between(const struct knowledge *k, const struct state *good, const struct state *failed, struct suspects *ret);
int suspects_risks(const struct knowledge *k, const struct decide_params *params, struct suspects *s);

#endif
