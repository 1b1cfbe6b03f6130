/* embed.h: what a configuration says, as features that can be compared and named.
 *
 * A document (a service file, a list of packages, a kernel command line, ...) is read into *facts*: subject, key, value. The subject is
 * what is changed as one thing ("service/sshd", "package/nginx", "sysctl/vm.swappiness"). A state, or the change of one subject between
 * two states, becomes a set of *tokens*: weighted words such as "service.restart.delay=100ms" or "nginx@1.24". Tokens are kept as they
 * are, so that a similarity can be taken apart into "because of these"; hashed with signs into EMBED_DIM dimensions they are the vector.
 *
 * Deterministic: the same documents give the same tokens and vectors on every machine, with no model file and no state. What a token is
 * worth *here* (how rare it is in this machine's history) is added where tokens are compared (vecstore/decide/evidence.h), so that vectors of
 * two machines stay comparable. EMBED_VERSION changes whenever a vector would: vectors of two versions are never compared.
 * The classes of tokens and their weights: docs/decision.md. */
#ifndef RAST_VECSTORE_EMBED_H
#define RAST_VECSTORE_EMBED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define EMBED_DIM 384
#define EMBED_VERSION 1u
#define EMBED_VALUE_MAX 4096 /* bytes of a value that are looked at; a longer one is known by its hash */

/* --- facts --- */

enum doc_kind { DOC_SERVICE, DOC_PACKAGES, DOC_KERNEL, DOC_MOUNTS, DOC_NETWORK, DOC_SYSCTL, DOC_ENVIRONMENT, DOC_TEXT, DOC_KINDS };

struct fact { const char *subject, *key, *value; };

struct facts {
	struct fact *f;
	size_t n, cap;
	struct embed_chunk *strings; /* what f points into */
	bool failed;                 /* out of memory: sticky */
};

/* Zero-initialise. All of these return 0 or -ENOMEM. Strings are copied. */
int facts_add(struct facts *fs, const char *subject, const char *key, const char *value);
/* Read a document. name: the service's for DOC_SERVICE, the file's path for DOC_NETWORK and DOC_TEXT, else ignored. What can't be parsed as its
 * kind becomes lines of text: a document with an error in it is a configuration, too. text need not end in NUL.
 *   DOC_PACKAGES     lines "NAME VERSION"
 *   DOC_KERNEL       first line the release, second the command line
 *   DOC_MOUNTS       fstab(5)          DOC_SYSCTL  sysctl.d(5)          DOC_ENVIRONMENT  lines KEY=value */
int facts_add_document(struct facts *fs, enum doc_kind kind, const char *name, const char *text, size_t n);
/* By subject, key, value; doubles are removed. Needed before anything below. */
void facts_sort(struct facts *fs);
void facts_free(struct facts *fs);
#define _cleanup_facts_ _cleanup_(facts_free)
/* Facts of the subject that begins at i: how many. */
size_t facts_run(const struct facts *fs, size_t i);
/* A hash of what is said about the subject that begins at i (n facts). */
uint64_t facts_hash(const struct fact *f, size_t n);

const char *doc_kind_name(enum doc_kind kind); /* "service", "packages", ... */
int doc_kind_from_name(const char *name);      /* -EINVAL */

/* --- the shape of a value --- */

enum value_type { VALUE_EMPTY, VALUE_BOOL, VALUE_INT, VALUE_REAL, VALUE_SIZE, VALUE_DURATION, VALUE_PERCENT, VALUE_PATH, VALUE_URL, VALUE_ADDRESS, VALUE_VERSION, VALUE_LIST, VALUE_WORD, VALUE_TEXT, VALUE_TYPES };

struct value_shape {
	enum value_type type;
	bool number;   /* x is something: bytes, seconds, ... */
	double x;
};

void value_shape(const char *value, struct value_shape *s);
const char *value_type_name(enum value_type t);

/* --- tokens --- */

enum token_class {
	TOKEN_SUBJECT, TOKEN_KIND, TOKEN_KEY, TOKEN_SUBJECT_KEY, TOKEN_KEY_VALUE, TOKEN_OLD_VALUE, TOKEN_OLD_NEW, TOKEN_SHAPE, TOKEN_TREND, TOKEN_WORD, TOKEN_GRAM,
	TOKEN_VERSION, TOKEN_VERSION_PREFIX, TOKEN_EDGE, TOKEN_CLASSES
};

struct token {
	uint64_t hash;    /* of the text: its identity */
	float weight;     /* of its class, times 1 + ln(how often) */
	uint8_t class;
	uint32_t count;
	const char *text;
};

struct tokens {
	struct token *t; /* sorted by hash */
	size_t n, cap;
	struct embed_chunk *strings;
	bool failed;
};

extern const struct token_class_info { const char *name; float weight; } token_classes[TOKEN_CLASSES];

/* Zero-initialise; each call adds to what is there, tokens_seal() sorts and weighs. 0 or -ENOMEM.
 * Of a state: all facts, sorted. Of a change: what is said about one subject before and after (n of either may be 0: added, removed). */
int tokens_of_state(struct tokens *ts, const struct facts *fs);
int tokens_of_change(struct tokens *ts, const struct fact *before, size_t n_before, const struct fact *after, size_t n_after);
int tokens_of_text(struct tokens *ts, const char *words); /* what a person searches for */
int tokens_add(struct tokens *ts, enum token_class c, const char *fmt, ...) _printf_(3, 4);
int tokens_seal(struct tokens *ts);
void tokens_free(struct tokens *ts);
#define _cleanup_tokens_ _cleanup_(tokens_free)

/* The vector: signed hashing, length 1 (all zero for no tokens). */
void embed_vector(const struct tokens *ts, float v[EMBED_DIM]);

/* --- changes between two states --- */

struct change { const struct fact *before, *after; size_t n_before, n_after; };

/* Calls cb for every subject that differs, in order; stops when it returns non-zero and returns that. Both sorted. */
int changes_between(const struct facts *from, const struct facts *to, int (*cb)(const struct change *c, void *data), void *data);
/* "service/sshd: restart.delay 50ms -> 100ms", as much as fits. Returns buf. */
char *change_describe(const struct change *c, char *buf, size_t size);
/* Does it change something that keeps data outside of the snapshots (/var, /srv, /home), or how that is reached? */
bool change_touches_data(const struct change *c);
const char *change_subject(const struct change *c);

#endif
