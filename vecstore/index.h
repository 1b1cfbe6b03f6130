/* index.h: the derived index of a collection: one immutable file, NAME.idx.
 *
 * A head of one page, then sections, each with offset, length and CRC-32C in the head, which has one of its own. Nothing in it is an
 * answer: what a search finds here is read from the truth before it is given out. A file whose head doesn't fit the store (uuid,
 * collection, dimension, a version whose `chain` the log doesn't have) is as good as none. Sections are verified at the first use in a
 * process; offsets and lengths when it is mapped, link numbers whenever one is followed. */
#ifndef RAST_VECSTORE_INDEX_H
#define RAST_VECSTORE_INDEX_H

#include <sys/stat.h>
#include "vecstore/private.h"

#define INDEX_MAGIC "rastVIDX"
#define INDEX_FORMAT 1u
#define INDEX_HEAD 4096u
#define INDEX_NONE UINT32_MAX
#define INDEX_LEVELS 16u
#define INDEX_ROWS_MAX 0x7fffffffu

enum section {
	S_ROWS,     /* u64[n], ascending */
	S_SCALE,    /* f32[n]: of the code, divided by the length for cosine */
	S_BIAS,     /* f32[n], l2 only: half the squared length */
	S_CODES,    /* int8[n][stride], filled with zeros */
	S_FACT_AT,  /* u64[n + 1]: where in S_FACTS */
	S_FACTS,    /* struct fact, metadata, id, NUL: what filters ask */
	S_LEVEL,    /* u8[n]: of the node in the graph */
	S_LINKS,    /* u32[n][2m], INDEX_NONE behind the last */
	S_UPPER_AT, /* u32[n]: number of its first list in S_UPPER, INDEX_NONE on level 0 */
	S_UPPER,    /* u32[lists][m] */
	SECTIONS
};

struct fact { uint64_t version, time_us; uint32_t meta_len; uint16_t id_len, pad; } __attribute__((packed));

struct index_head {
	char magic[8];
	uint32_t format, crc;    /* crc: of the head with this field 0 */
	uint8_t uuid[16];
	uint32_t coll, dim, stride, metric;
	uint64_t version, chain, txnid; /* of the store when it was built; LMDB's transaction */
	uint32_t n, m, ef, graph; /* graph: 1 when there is one */
	uint32_t entry, top;     /* node and its level */
	uint32_t upper_lists, pad;
	struct { uint64_t at, len; uint32_t crc, pad; } section[SECTIONS];
};
_Static_assert(sizeof(struct index_head) <= INDEX_HEAD, "the head is a page");

struct filter_bits { char *text; uint64_t *bit; uint64_t count, used; };
#define FILTERS_KEPT 16u

struct index {
	struct index *next;
	char name[VS_NAME_MAX + 1];
	struct stat st;                /* of the file, to see that it has been replaced */
	const uint8_t *map;
	size_t len;
	struct index_head h;
	bool bad;                      /* damaged: kept, so that it isn't read again and again */
	bool verified;
	uint64_t seen;                 /* log read up to this version */
	uint64_t *dead, n_dead;        /* rows that are no longer */
	struct filter_bits filter[FILTERS_KEPT];
	uint64_t clock;                /* of the least recently used filter */
};

static inline const void *index_section(const struct index *x, enum section s) { return x->map + x->h.section[s].at; }
/* The index of a collection as it can be used in this transaction, or NULL. */
struct index *index_for(struct vs_txn *t, const struct coll_state *c);
/* Map and check a file: -ENOENT, -EBADMSG. sections: also the checksum of each. */
int index_map(int dirfd, const char *file, bool sections, struct index *ret, struct err *e);
int index_check_memory(const uint8_t *map, size_t len, bool sections, struct index_head *ret, const char **why);
void index_unmap(struct index *x);
/* Lowest version that an index of this store was built at; UINT64_MAX - 1 without one. */
uint64_t index_oldest_stamp(struct vs *s);
/* Which rows of the index the filter takes (and are not dead); NULL: no memory. *count: how many. */
const uint64_t *index_filter(struct vs *s, struct index *x, const struct vs_filter *f, uint64_t *count);
void index_record(const struct index *x, uint32_t i, struct vs_record *ret); /* id, metadata, version, row, time: no vector */
static inline bool bit_get(const uint64_t *b, size_t i) { return b[i / 64] >> (i % 64) & 1; }
static inline void bit_set(uint64_t *b, size_t i) { b[i / 64] |= 1ull << (i % 64); }

/* --- the graph (hnsw.c) --- */
struct candidate { float far; uint32_t node; }; /* far: the lower the nearer */
/* What is being looked for: a code, and what turns products into distances. */
struct probe { const int8_t *code; float scale; };
struct graph {                         /* of an index, or one being built */
	uint32_t n, m, stride, entry, top;
	const uint8_t *codes;
	const float *scale, *bias;     /* bias may be NULL */
	const uint8_t *level;
	const uint32_t *links, *upper_at, *upper;
	uint32_t upper_lists;
};
struct beam { struct candidate *at; uint32_t n, room; uint16_t *seen; uint16_t epoch; uint32_t seen_n; uint64_t visited; };
void graph_of(const struct index *x, struct graph *g);
int beam_ready(struct beam *b, uint32_t nodes, uint32_t room); /* -ENOMEM */
void beam_free(struct beam *b);
/* The nearest that a beam of `ef` finds, nearest first, in b->at. */
void graph_search(const struct graph *g, const struct probe *q, uint32_t ef, struct beam *b);
/* The same on one level, from a node; and the way down to the level above `to`. */
void graph_beam(const struct graph *g, const struct probe *q, uint32_t from, uint32_t level, uint32_t ef, struct beam *b);
uint32_t graph_descend(const struct graph *g, const struct probe *q, uint32_t to, uint64_t *visited);
float graph_far(const struct graph *g, const struct probe *q, uint32_t node);

#endif
