/* vecstore.h: the vector store: records with a vector, typed metadata and a history, on disk, crash-safe.
 *
 * A store is a folder. Its truth is data.mdb, an LMDB environment: every commit is one version (1, 2, 3, ...) and is durable when vs_commit
 * has returned 0. Records live in collections (dimension, metric, element type). Replacing or deleting one keeps the old one, so that a
 * transaction can look at the store as it was at any version (vs_as_of) until vs_purge forgets it. Each value carries a CRC-32C over key and
 * content, checked when it is read. Beside it lie index files (NAME.idx), derived, immutable, checksummed: one that is missing, stale or
 * damaged costs time and never an answer, for what it lacks is scanned. Many processes read beside one writer, without waiting; VS_NOLOCK
 * reads a store that nobody writes (initramfs) by a reader of our own that believes no byte of the file. Documents are a plain
 * key/value table in the same transactions. A handle belongs to one thread at a time, and not to a child made by fork; a process has one
 * handle of a store (LMDB's locks are per process; vs_check and vs_repair count as one while they run), besides any number with VS_NOLOCK.
 * Everything returns 0 or a negative errno: -ENOENT not there, -EEXIST there already, -EBADMSG damaged, -EROFS opened read-only,
 * -EINVAL wrong use, -ENOSPC, -ENOMEM. What a transaction hands out (text, metadata, vectors) lives until the transaction ends or writes. */
#ifndef RAST_VECSTORE_VECSTORE_H
#define RAST_VECSTORE_VECSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

#define VS_DEFAULT_PATH "/var/lib/rastos/store"
#define VS_ID_MAX 400u      /* bytes of a record's id or a document's key; an id has no NUL */
#define VS_NAME_MAX 48u     /* of a collection's or tag's name: as base's name_valid() */
#define VS_FIELD_MAX 64u    /* of a metadata field's name: [A-Za-z_][A-Za-z0-9_.-]* */
#define VS_META_MAX 65536u  /* bytes of a record's metadata, encoded */
#define VS_DIM_MAX 8192u    /* 0 is allowed: records without a vector */

/* --- opening --- */
enum {
	VS_CREATE = 1,  /* make folder and store when they are not there */
	VS_RDONLY = 2,  /* a reader: waits for nobody, writes nothing but its slot in lock.mdb */
	VS_NOLOCK = 4,  /* with VS_RDONLY: touches nothing but data.mdb and the indexes; only while nobody writes */
};
struct vs;
int vs_open(struct vs **ret, const char *dir, unsigned flags, struct err *e);
void vs_close(struct vs *s); /* NULL is fine; ends what was begun */
void vs_closep(struct vs **s);
#define _cleanup_vs_ _cleanup_(vs_closep)

/* --- transactions --- */
struct vs_txn;
enum { VS_READ = 0, VS_WRITE = 1 };
/* One at a time per handle. A write transaction waits for the one of another process. */
int vs_begin(struct vs *s, int mode, struct vs_txn **ret, struct err *e);
/* Durable when it returns 0; *version (may be NULL) is then the store's version (unchanged when nothing was written). On failure nothing
 * has happened. Ends the transaction in any case and sets *t to NULL. */
int vs_commit(struct vs_txn **t, uint64_t *version, struct err *e);
void vs_abort(struct vs_txn **t); /* *t may be NULL; ends a read transaction too */
#define _cleanup_vs_txn_ _cleanup_(vs_abort)
uint64_t vs_version(const struct vs_txn *t);                 /* what it sees; of a write transaction: what it will become */
/* Let a read transaction look at the store as it was at a version. -ESTALE: that has been purged; -ERANGE: not yet written. */
int vs_as_of(struct vs_txn *t, uint64_t version, struct err *e);

/* --- metadata: a set of typed fields; a builder to write, a view to read --- */
enum vs_type { VS_STRING = 1, VS_INT, VS_FLOAT, VS_BOOL, VS_STRINGS, VS_INTS, VS_FLOATS };
struct vs_meta { struct buf b; int failed; };                /* zero-initialise; setting a field again replaces it */
void vs_meta_free(struct vs_meta *m);
#define _cleanup_vs_meta_ _cleanup_(vs_meta_free)
/* Errors are sticky: vs_put reports the first one. */
void vs_meta_string(struct vs_meta *m, const char *field, const char *value);
void vs_meta_int(struct vs_meta *m, const char *field, int64_t value);
void vs_meta_float(struct vs_meta *m, const char *field, double value); /* finite */
void vs_meta_bool(struct vs_meta *m, const char *field, bool value);
void vs_meta_strings(struct vs_meta *m, const char *field, const char *const *values, size_t n);
void vs_meta_ints(struct vs_meta *m, const char *field, const int64_t *values, size_t n);
void vs_meta_floats(struct vs_meta *m, const char *field, const double *values, size_t n);

struct vs_view { const void *data; size_t n; };              /* encoded metadata, checked when it was read */
struct vs_value { enum vs_type type; union { int64_t i; double f; bool b; struct { const char *p; size_t n; /* NUL behind it */ } s; struct { const void *p; size_t n; size_t bytes; } list; }; };
bool vs_view_get(struct vs_view v, const char *field, struct vs_value *ret);
/* Next field from *pos (start with 0): false at the end. */
bool vs_view_next(struct vs_view v, size_t *pos, const char **field, struct vs_value *ret);
/* Element i of a list as a value of its own; false beyond the end. */
bool vs_value_at(const struct vs_value *list, size_t i, struct vs_value *ret);
const char *vs_view_string(struct vs_view v, const char *field, const char *otherwise); /* likewise for the most frequent types */
int64_t vs_view_int(struct vs_view v, const char *field, int64_t otherwise);
double vs_view_float(struct vs_view v, const char *field, double otherwise);            /* an integer counts */
bool vs_view_bool(struct vs_view v, const char *field, bool otherwise);

/* --- collections --- */
enum vs_metric { VS_COSINE, VS_DOT, VS_L2 };
enum vs_element { VS_F32, VS_F16, VS_I8 /* with a scale per vector */ };
struct vs_coll { char name[VS_NAME_MAX + 1]; uint32_t number, dim; enum vs_metric metric; enum vs_element element; uint64_t rows, old_rows; };
int vs_coll_create(struct vs_txn *t, const char *name, uint32_t dim, enum vs_metric metric, enum vs_element element, struct err *e); /* -EEXIST */
int vs_coll_find(struct vs_txn *t, const char *name, struct vs_coll *ret, struct err *e);
int vs_coll_drop(struct vs_txn *t, const char *name, struct err *e); /* with its whole history */
int vs_coll_each(struct vs_txn *t, int (*each)(const struct vs_coll *c, void *data), void *data, struct err *e);
const char *vs_metric_name(enum vs_metric m);    /* "cosine", "dot", "l2" */
const char *vs_element_name(enum vs_element t);  /* "f32", "f16", "i8" */
int vs_metric_parse(const char *s);              /* enum or -EINVAL */
int vs_element_parse(const char *s);

/* --- records --- */
struct vs_record {
	const char *id;
	uint64_t row;               /* of this state of the record: never used again, grows with time */
	uint64_t version;           /* that wrote it */
	uint64_t until;             /* version that replaced or deleted it; 0: current */
	uint64_t time_us;           /* wall clock when it was written */
	bool deleted;               /* in a history: this version deleted it; no metadata, no vector */
	struct vs_view meta;
	const void *vector;         /* as stored; vs_record_vector decodes */
	uint32_t dim;
	enum vs_element element;
	float scale;                /* of i8 */
};
void vs_record_vector(const struct vs_record *r, float *to /* dim of them */);
enum vs_put_mode { VS_INSERT /* -EEXIST */, VS_UPSERT, VS_UPDATE /* -ENOENT */ };
/* vector: dim finite numbers (NULL when dim is 0); m may be NULL. A cosine collection takes no null vector. */
int vs_put(struct vs_txn *t, const char *coll, enum vs_put_mode mode, const char *id, const float *vector, const struct vs_meta *m, struct err *e);
int vs_delete(struct vs_txn *t, const char *coll, const char *id, struct err *e); /* -ENOENT */
int vs_get(struct vs_txn *t, const char *coll, const char *id, struct vs_record *ret, struct err *e);
struct vs_filter;
typedef int (*vs_record_cb)(const struct vs_record *r, void *data); /* what it returns other than 0 ends the walk and is returned */
/* All records of a collection that the filter (may be NULL) takes, in the order they were written, or newest first. */
int vs_each(struct vs_txn *t, const char *coll, const struct vs_filter *f, bool newest_first, vs_record_cb cb, void *data, struct err *e);
/* All versions of one record, newest first, deletions included. */
int vs_history(struct vs_txn *t, const char *coll, const char *id, vs_record_cb cb, void *data, struct err *e);
/* Forget all that was replaced or deleted before version `before`: as-of reads begin there afterwards. *n (may be NULL): how many. */
int vs_purge(struct vs_txn *t, uint64_t before, uint64_t *n, struct err *e);

/* --- tags: names of versions; a tagged version keeps vs_purge from going past it --- */
int vs_tag(struct vs_txn *t, const char *name, uint64_t version, struct err *e); /* moves one that exists */
int vs_untag(struct vs_txn *t, const char *name, struct err *e);
int vs_tag_find(struct vs_txn *t, const char *name, uint64_t *version, struct err *e);
int vs_tag_each(struct vs_txn *t, int (*each)(const char *name, uint64_t version, void *data), void *data, struct err *e);

/* --- filters ---
 *   FILTER = FILTER or FILTER | FILTER and FILTER | not FILTER | ( FILTER ) | exists FIELD
 *          | FIELD OP VALUE | FIELD prefix STRING | FIELD in ( VALUE, ... )          OP: = != < <= > >=
 * VALUE: "text" or 'text' (backslash escapes), 12, -1.5, true, false; FIELD: a name, or @id, @version, @row, @time (microseconds).
 * A comparison with a field that is not there, or of another kind, is false (so `not a = 1` takes rows without a, `a != 1` doesn't);
 * integer and float compare as numbers; a list matches when one of its elements does (for != : when none equals). */
int vs_filter_parse(const char *text, struct vs_filter **ret, struct err *e); /* -EINVAL: e says what, and at which column */
void vs_filter_free(struct vs_filter *f);
void vs_filter_freep(struct vs_filter **f);
#define _cleanup_vs_filter_ _cleanup_(vs_filter_freep)
bool vs_filter_match(const struct vs_filter *f, const struct vs_record *r);

/* --- search --- */
enum vs_plan { VS_PLAN_AUTO, VS_PLAN_EXACT /* every vector as stored */, VS_PLAN_FLAT /* int8 scan, exact rescore */, VS_PLAN_GRAPH /* HNSW; where there is none, flat */ };
struct vs_query {
	const float *vector;         /* dim of the collection */
	uint32_t k;
	const struct vs_filter *filter; /* NULL: all; exactly min(k, rows that match) hits come back */
	enum vs_plan plan;
	uint32_t ef;                 /* graph: candidates kept, at least k (0: 200 or 2k) */
};
/* score: the higher the nearer: cosine, inner product, or minus the squared distance; of the vectors as stored, in every plan. */
struct vs_hit { float score; struct vs_record record; };
struct vs_hits {
	struct vs_hit *hit; size_t n;
	enum vs_plan plan;           /* what was done */
	bool stale;                  /* the index lacked rows (they were scanned), or there was none */
	bool prefiltered;            /* the filter came first */
	uint64_t scanned, visited;   /* vectors compared by scan; by the graph */
};
void vs_hits_free(struct vs_hits *h);
#define _cleanup_vs_hits_ _cleanup_(vs_hits_free)
int vs_search(struct vs_txn *t, const char *coll, const struct vs_query *q, struct vs_hits *ret, struct err *e);

/* --- documents: key/value beside the records; not versioned --- */
int vs_doc_put(struct vs_txn *t, const void *key, size_t key_len, const void *data, size_t n, struct err *e);
int vs_doc_get(struct vs_txn *t, const void *key, size_t key_len, const void **data, size_t *n, struct err *e);
int vs_doc_delete(struct vs_txn *t, const void *key, size_t key_len, struct err *e);
int vs_doc_each(struct vs_txn *t, const void *prefix, size_t prefix_len, int (*each)(const void *key, size_t key_len, const void *data, size_t n, void *arg), void *arg, struct err *e);

/* --- the index of a collection (write side) --- */
struct vs_build { unsigned threads; /* 0: all CPUs */ uint32_t graph_from; /* rows from which there is a graph; 0: 50,000 */ uint32_t m, ef; /* 0: 16, 200 */ bool rebuild; /* from nothing, not from the index that is there */ };
/* Build the index of what is committed, from the one that is there: rows gone are taken out, new ones put in. Not in a transaction. Readers see it at their next one. */
int vs_index_build(struct vs *s, const char *coll, const struct vs_build *b, struct err *e);
/* Build those that it pays to build (the rows they lack cost more than they did): call it after a batch. *built may be NULL. */
int vs_maintain(struct vs *s, const struct vs_build *b, unsigned *built, struct err *e);

/* --- looking after a store; these take its folder --- */
struct vs_checked {
	uint64_t pages, cells, bytes;      /* looked at */
	uint64_t problems;                 /* in the truth */
	uint64_t index_problems;           /* in index files: they are built anew */
	uint64_t version;
	unsigned indexes;
};
/* Read every byte that counts, by a reader that believes none of them, beside readers and a writer. 0 whether or not there are problems:
 * each is said as a line. -ENOENT: no store; other errors: it could not be checked. */
int vs_check(const char *dir, struct vs_checked *ret, void (*problem)(const char *text, void *data), void *data, struct err *e);
struct vs_repaired { uint64_t kept, lost, found; /* found: of kept, those that only hung in the air */ uint64_t version; };
/* Make a new data.mdb of all that is sound, check it, and put it in the place of the old one, which stays as data.mdb.damaged. Nobody may have it open. */
int vs_repair(const char *dir, struct vs_repaired *ret, void (*problem)(const char *text, void *data), void *data, struct err *e);
/* One file with all of the store at one version, beside readers and a writer (it begins between two write transactions); checked before it gets its name, durable on return. */
int vs_backup(struct vs *s, const char *file, struct err *e);
/* Check a backup and make it the store in dir (made when it isn't there); a store that is there is replaced atomically, when `replace` says so (-EEXIST).
 * Nobody may have it open. */
int vs_restore(const char *file, const char *dir, bool replace, struct err *e);

/* --- exchange (needs jansson: vecstore_tools_dep) ---
 * One line per change, a JSON object: {"rastvec":1, "store":UUID, "version":N, "time":MICROSECONDS, "op":..., what it changed, "last":true on the last
 * line of a version, "crc":"8 hex digits"}; crc is the CRC-32C of the object without it, compact, keys sorted. Ops: create (collection, dim, metric,
 * element), drop, put (collection, id, vector, meta), delete, doc (key, data: base64), doc-delete, tag (tag, to), untag. In meta, text, numbers and
 * booleans stand for themselves (a float has a point or an exponent), a list is {"strings":[...]}, {"ints":[...]} or {"floats":[...]}. */
typedef int (*vs_line_cb)(const char *line, size_t n, void *data); /* without a newline; what it returns other than 0 ends the export */
/* What has changed after version `since`. 0: from nothing; when the log does not reach back that far, the state as it is now. -ESTALE: since is older than the log. */
int vs_export(struct vs_txn *t, uint64_t since, vs_line_cb cb, void *data, struct err *e);
/* Lines are applied a version at a time, each version once however often it comes: the store remembers per source how far it is. */
struct vs_import;
struct vs_imported { uint64_t lines, applied, skipped, versions; };
int vs_import_begin(struct vs *s, struct vs_import **ret, struct err *e);
int vs_import_line(struct vs_import *im, const char *line, size_t n, struct err *e); /* after an error: vs_import_end */
int vs_import_end(struct vs_import **im, struct vs_imported *ret, struct err *e);    /* -ENODATA: the last version was cut short, and is not applied */

/* NumPy's file format (numpy.lib.format, versions 1 to 3): an array of n rows of dim numbers, in C order, '<f4', '<f8', '<f2' or '|i1'. */
struct vs_npy { uint64_t n; uint32_t dim; char kind; /* 4, 8, 2: bytes of a float; 1: int8 */ const uint8_t *rows; };
int vs_npy_parse(const void *data, size_t n, struct vs_npy *ret, struct err *e); /* rows points into data */
void vs_npy_row(const struct vs_npy *a, uint64_t i, float *to);
size_t vs_npy_head(char head[128], uint64_t n, uint32_t dim);                    /* of an array of '<f4'; its length */

/* --- figures --- */
struct vs_figure { const char *name, *collection /* or NULL */, *help; double value; bool counter; };
/* Sizes, ages, and, of `samples` searches for records of each collection, latency and the recall of the usual plan against the exact one. */
int vs_stats(struct vs *s, unsigned samples, int (*each)(const struct vs_figure *f, void *data), void *data, struct err *e);

#endif
