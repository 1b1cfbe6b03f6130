/* read.h: JSON into structs by tables; within runtime/spec/ only.
 *
 * A table lists the keys of one JSON object: its type, where it goes, what it may be, and what is done with it (the text of docs/runtime.md). The
 * reader walks a document by tables; what tables can't say is a function (`check` for a whole object, `read` for one value).
 * The first error ends it. A place in the document is a chain of struct at on the stack, of which the JSON path is made when there is an error. */
#ifndef RAST_RUNTIME_SPEC_READ_H
#define RAST_RUNTIME_SPEC_READ_H

#include <jansson.h>
#include <stdint.h>
#include "runtime/spec/spec.h"

struct oci_arena *arena_new(void);
void arena_own(struct oci_arena *arena, json_t *root); /* takes root */
void arena_free(struct oci_arena *arena);

struct reader {
	struct oci_arena *arena;
	const char *file;
	bool systemd_cgroup;
	struct err *e;
};

struct at {
	struct reader *rd;
	json_t *j;           /* NULL: not there */
	const struct at *up;
	const char *key;     /* NULL: element number i */
	size_t i;
};

struct name {
	const char *name;
	int64_t value;
};

struct names {
	const char *what; /* "a namespace": what a name of this table is, for messages */
	const struct name *v;
	size_t n;
};

enum kind {
	K_BOOL,   /* bool */
	K_STR,    /* const char * */
	K_NAME,   /* one of names; int64_t value goes to an int (or uint32_t) */
	K_U16, K_U32, K_U64, K_INT, K_I64,
	K_OPT_I64, K_OPT_U64, /* struct oci_i64, oci_u64 */
	K_STRV,   /* struct oci_strv */
	K_MAP,    /* struct oci_map of strings */
	K_OBJECT, /* table, in the same struct */
	K_NEW,    /* table, in a struct of its own: a pointer */
	K_LIST,   /* array of objects: pointer at off, size_t number at has */
	K_READ,   /* by function */
	K_NEVER,  /* known and impossible: an error, unless its value is one that changes nothing (read returns 1) */
	K_CHECKED, /* only its type is looked at, by function or not at all */
};

enum { REQUIRED = 1, NONEMPTY = 2, ABSOLUTE = 4, NO_NEWLINE = 8 };

struct table;

struct field {
	const char *key;
	enum kind kind;
	unsigned flags;
	size_t off, has; /* offsets into the struct; has: bool that it is given, or the number of K_LIST; 0: none */
	size_t size;     /* of a struct of K_NEW, K_LIST */
	const struct table *sub;
	const struct names *names;
	int (*read)(const struct at *v, void *to);
	int64_t min, max; /* of numbers; both 0: what the type holds */
	const char *help; /* what is done with it, for docs/runtime.md; why not, for K_NEVER */
};

struct table {
	const struct field *v;
	size_t n;
	int (*check)(const struct at *o, void *to); /* after all fields */
};

int at_fail(const struct at *at, const char *fmt, ...) _printf_(2, 3); /* -EINVAL, with "file: path: " in front */
int at_no_memory(const struct at *at);
struct at at_member(const struct at *o, const char *key);
struct at at_element(const struct at *a, size_t i);
int at_object(const struct at *o, const struct table *t, void *to);

int at_str(const struct at *v, unsigned flags, const char **ret);
int at_i64(const struct at *v, int64_t min, int64_t max, int64_t *ret);
int at_u64(const struct at *v, uint64_t max, uint64_t *ret);
int at_bool(const struct at *v, bool *ret);
int at_strv(const struct at *v, unsigned flags, struct oci_strv *ret);
int at_bits(const struct at *v, const char *what, struct oci_bits *ret); /* a list of numbers and ranges; empty is as good as none. what: "CPUs" */
int at_map(const struct at *v, struct oci_map *ret);
int at_name(const struct at *v, const struct names *names, int64_t *ret);
int at_array_len(const struct at *v, size_t *ret);
int at_no_dotdot(const struct at *v, const char *path); /* no component ".." */

const struct name *names_find(const struct names *names, const char *s);
bool path_has_dotdot(const char *path);

/* The document: JSON text to a root that the arena owns. */
int reader_begin(struct reader *rd, const char *text, size_t n, struct at *ret);

/* tables (names.c), shared with features */
extern const struct names ns_names, cap_names, rlimit_names, policy_names, sched_flag_names, ioprio_names, mempolicy_names, mempolicy_flag_names,
	seccomp_action_names, seccomp_op_names, seccomp_arch_names, seccomp_flag_names, personality_names, propagation_names, hook_names,
	clock_names;

/* mount options (options.c) */
size_t mount_option_n(void);
const char *mount_option_name(size_t i);

/* the tables of objects */
extern const struct table spec_table, process_table, mount_table, linux_table, resources_table, seccomp_table;
int read_id_maps(const struct at *v, void *to); /* struct oci_idmaps */
int check_annotations(const struct at *o, struct oci_spec *s);
int check_spec(const struct at *o, struct oci_spec *s);

#endif
