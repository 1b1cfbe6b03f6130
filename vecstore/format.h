/* format.h: the store on disk.
 *
 * data.mdb has one LMDB table per enum table. Every value is a cell: crc32c over key and what follows it, the table's number, then the
 * payload; a value under the wrong key, or in the wrong table, fails its checksum. Numbers in keys are big-endian (they sort), those in
 * values little-endian and unaligned: read them with memcpy. Format 1; a higher one is refused. */
#ifndef RAST_VECSTORE_FORMAT_H
#define RAST_VECSTORE_FORMAT_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define VS_DATA_FILE "data.mdb"
#define VS_FORMAT 1u
#define CELL_HEAD 8u

enum table {
	T_SYS,  /* "S": struct store_head; "C"NAME: struct coll_disk; "T"NAME: version */
	T_LIVE, /* collection u32, row u64: record that is current */
	T_OLD,  /* the same: record that was replaced or deleted */
	T_VER,  /* collection u32, id, 0, version u64: struct ver_disk */
	T_LOG,  /* version u64, chunk u32: struct log_head (chunk 0 only), then struct log_entry + key, ... */
	T_DOC,  /* "D"KEY: bytes */
	TABLES
};
extern const char *const table_names[TABLES];

struct store_head {
	uint32_t format, next_coll;
	uint64_t version;   /* commits so far */
	uint64_t purged;    /* as-of reads begin here */
	uint64_t log_from;  /* the log begins here */
	uint64_t next_row;
	uint64_t chain;     /* random per commit: two stores that went apart are told from each other */
	uint8_t uuid[16];
} __attribute__((packed));

struct coll_disk {
	uint32_t number, dim;
	uint8_t metric, element, pad[6];
	uint64_t rows, old_rows, created;
} __attribute__((packed));

struct ver_disk {
	uint64_t row;
	uint8_t deleted;
	uint64_t time_us;
} __attribute__((packed));

/* A record: head, vector, metadata, id, NUL. */
struct rec_disk {
	uint64_t version, until, time_us;
	float scale, inv_norm;   /* inv_norm: of cosine */
	uint32_t meta_len, dim;
	uint16_t id_len;
	uint8_t element, pad;
	uint32_t pad2;
} __attribute__((packed));

enum log_op { LOG_PUT = 1, LOG_DELETE, LOG_CREATE, LOG_DROP, LOG_DOC, LOG_DOC_DELETE, LOG_TAG, LOG_UNTAG, LOG_PURGE };

struct log_head {
	uint64_t time_us, chain;
} __attribute__((packed));

struct log_entry {
	uint8_t op, pad;
	uint16_t key_len;   /* bytes that follow: id of a deletion, name, document's key */
	uint32_t coll;
	uint64_t row;       /* the one that was written; version for a tag, limit for a purge */
	uint64_t gone;      /* the row that it replaced or deleted, 0: none */
} __attribute__((packed));

#define ROW_KEY 12u
static inline void put_be32(uint8_t *p, uint32_t v) { v = htobe32(v); memcpy(p, &v, 4); }
static inline void put_be64(uint8_t *p, uint64_t v) { v = htobe64(v); memcpy(p, &v, 8); }
static inline uint32_t get_be32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return be32toh(v); }
static inline uint64_t get_be64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return be64toh(v); }
static inline void row_key(uint8_t key[ROW_KEY], uint32_t coll, uint64_t row) { put_be32(key, coll); put_be64(key + 4, row); }

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layout is little-endian");

#endif
