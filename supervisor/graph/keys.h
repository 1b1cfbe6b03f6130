/* keys.h: the table of keys that service files can have.
 *
 * One row is one key: it drives the parser, the "did you mean" of messages, and the key list of rast.service(5). */
#ifndef RAST_SUPERVISOR_KEYS_H
#define RAST_SUPERVISOR_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum key_kind {
	KEY_ENUM,        /* int32_t: index into choices */
	KEY_BOOL,        /* int32_t */
	KEY_INT,         /* int32_t in min .. max */
	KEY_UMASK,       /* int32_t */
	KEY_SIGNAL,      /* int32_t */
	KEY_COUNT,       /* uint32_t, at least 1, or infinity */
	KEY_LOG_SIZE,    /* uint32_t, bytes of a file of the logger */
	KEY_DURATION,    /* uint64_t, microseconds */
	KEY_TEXT,        /* const char * */
	KEY_ACCOUNT,     /* const char *: a user or group, by name or number */
	KEY_PATH,        /* const char *: absolute */
	KEY_TTY,         /* const char *: /dev/ is put in front of a bare name */
	KEY_COMMAND,     /* struct words: a command line */
	KEY_ACCOUNTS,    /* struct words: groups, adds up */
	KEY_FILES,       /* struct words: absolute paths, "-" in front allowed; adds up */
	KEY_ENVIRONMENT, /* struct pairs: KEY=value; adds up */
	KEY_STATUSES,    /* struct numbers: exit codes and signals; adds up */
	KEY_NOTIFY, KEY_OUTPUT,
	KEY_REFS,        /* names of services, of ref_kind `ref`; adds up */
	KEY_LIMIT,       /* [limits]: the key is the name of a limit */
	KEY_CGROUP,      /* [cgroup]: the key is the kernel's */
	KEY_KIND_N
};

enum { FOR_ONESHOT = 1, FOR_LONGRUN = 2, FOR_BUNDLE = 4, FOR_VIRTUAL = 8, FOR_PROCESS = FOR_ONESHOT | FOR_LONGRUN, FOR_ALL = 15 }; /* 1 << enum svc_type */

struct key {
	const char *section, *name;
	uint8_t kind, types, ref;
	bool infinite, zero;         /* KEY_DURATION: may be infinity, may be 0 */
	uint16_t offset;             /* into struct values */
	int16_t min, max;
	const char *const *choices;  /* NULL-terminated */
	const char *alias_of;        /* another name of a key in the same section */
	const char *value, *def;     /* for the man page: form of the value, the default in words */
	const char *help;
};

extern const struct key keys[];
extern const size_t n_keys;
extern const char *const type_names[]; /* by enum svc_type, NULL-terminated */

/* The row for a key of a section, with aliases followed; NULL if there is none. [limits] and [cgroup] have one row each, of any name. */
const struct key *key_find(const char *section, const char *name);
bool section_known(const char *section);
/* The keys of a section, or with NULL the sections: at most `max` names into ret. Returns how many. */
size_t key_names(const char *section, const char **ret, size_t max);
/* RLIMIT_* by prlimit(1)'s name, or -1; *is_bytes: the value is a size. */
int limit_find(const char *name, bool *is_bytes);
/* What a key of a cgroup v2 folder takes. */
enum cgroup_value { CGROUP_UNKNOWN, CGROUP_SIZE /* bytes or max */, CGROUP_NUMBER /* number or max */, CGROUP_WEIGHT /* 1..10000 */, CGROUP_BOOL /* 0 or 1 */, CGROUP_TEXT, CGROUP_DEVICE /* "MAJ:MIN ...": one line per device */ };
enum cgroup_value cgroup_find(const char *name);
/* All names of limits and of cgroup keys, for "did you mean". */
size_t limit_names(const char **ret, size_t max);
size_t cgroup_names(const char **ret, size_t max);
/* Write the list of keys as roff, for rast.service(5). */
void keys_print_man(FILE *f);

#endif
