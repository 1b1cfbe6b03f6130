/* history.h: every configuration that this machine had, with how that went.
 *
 * A *version* is a configuration that was deployed, applied or found at a boot: its documents (without secrets: secret.h), the changes from the
 * version before it, an embedding of the whole and one per change, and what its boots came to. Versions are numbered 1, 2, 3 and never change
 * but for their outcomes. Everything is in one vector store (vecstore.h), written by `rast history record` in a process of its own: neither rastd nor
 * PID 1 ever opens it. Stage 1 reads a small part (evidence and states) through vecstore/decide/problem.h.
 *
 *   collection "version"   state vector; kind, snapshot, parent, hash, outcome, goods, fails, why
 *   collection "change"    a change's vector; version, subject, text, tokens, ok, bad, data
 *   collection "boot"      a boot's health vector; attempt, version, snapshot, result, reason, why and the figures
 *   document blob/HASH     a document's text, zstd, with a dictionary once there are enough of them
 *   document tree/V        which documents version V has; facts are made anew of them
 *   document state/S       subjects and their hashes of snapshot S's newest version       (layout: vecstore/decide/problem.h)
 *   document ev/V          evidence of version V's changes                                 (ditto)
 *
 * All functions return 0 or a negative errno with e filled in. */
#ifndef RAST_VECSTORE_HISTORY_H
#define RAST_VECSTORE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "storage/ledger.h"
#include "vecstore/decide/evidence.h"
#include "vecstore/embed/embed.h"
#include "vecstore/history/secret.h"
#include "vecstore/vecstore.h"

#define HISTORY_DEFAULT_DIR "/var/lib/rastos"   /* holds store/ and salt */

enum history_mode { HISTORY_READ, HISTORY_WRITE /* makes the store when it isn't there */ };

struct history {
	struct vs *vs;
	struct vs_txn *txn;   /* the one that is open */
	struct salt salt;
	bool has_salt;
	struct dictionary *dict;
};

int history_open(struct history *h, const char *dir, enum history_mode mode, struct err *e);
void history_close(struct history *h);
#define _cleanup_history_ _cleanup_(history_close)
/* One write transaction around what follows; history_commit makes it durable. */
int history_begin(struct history *h, enum history_mode mode, struct err *e);
int history_commit(struct history *h, struct err *e);
void history_abort(struct history *h);

/* --- documents --- */

struct document { enum doc_kind kind; char *name; char *text; size_t n; };
struct documents { struct document *d; size_t n; };
int documents_add(struct documents *ds, enum doc_kind kind, const char *name, const char *text, size_t n); /* copies; -ENOMEM */
void documents_free(struct documents *ds);
#define _cleanup_documents_ _cleanup_(documents_free)
int documents_facts(const struct documents *ds, struct facts *fs); /* sorted */

/* collect.c: read a system's configuration. root: "/" or a snapshot's tree; etc: its /etc. running: with the kernel and the
 * command line of now, which the next boot will have, too.
 * Secrets are replaced before anything else sees the texts. What can't be read is left out. */
int documents_collect(const char *root, const char *etc, bool running, const struct salt *salt, struct documents *ret, struct err *e);

/* --- versions --- */

struct version {
	uint32_t number, parent; /* parent 0: none */
	uint32_t snapshot;       /* LEDGER_NONE: not said */
	char kind[16];           /* "deploy", "apply", "boot", "restore" */
	char outcome[16];        /* "unknown", "good", "failed", "left" */
	char why[256];           /* of a failure */
	char hash[20];           /* of the state */
	uint64_t time_us;
	uint32_t goods, fails, changes;
};

struct record_request {
	const char *kind;
	uint32_t snapshot;
	uint32_t parent;         /* version; 0: the snapshot's newest, or the newest of all */
	const struct documents *documents; /* redacted */
};
/* Remember a configuration. *version is its number; *fresh says whether it is a new one (the same state as the parent's is not). */
int history_record(struct history *h, const struct record_request *q, uint32_t *version, bool *fresh, struct err *e);

void version_from_record(const struct vs_record *r, struct version *v); /* of the collection "version" */
int history_version(struct history *h, uint32_t number, struct version *ret, struct err *e); /* -ENOENT */
int history_newest(struct history *h, uint32_t snapshot, uint32_t *version, struct err *e);  /* of a snapshot, LEDGER_NONE: of all; -ENOENT */
int history_each(struct history *h, int (*each)(const struct version *v, void *data), void *data, struct err *e); /* newest first */
int history_documents(struct history *h, uint32_t version, struct documents *ret, struct err *e);
int history_facts(struct history *h, uint32_t version, struct facts *ret, struct err *e);

/* --- outcomes --- */

struct health { /* of one boot; negative: not known */
	double up_s, settled_s, kernel_s;
	double memory_mb, restarts, failed, psi_cpu, psi_memory, psi_io, services;
};
struct outcome {
	uint64_t attempt;
	uint32_t snapshot, version;
	enum ledger_result result;
	char reason[24], why[256];
	uint64_t time_us;
	struct health health;
	bool has_health;
};
/* outcome.c: one boot; its version's counts, and the labels of the changes that stand between the last healthy version and it. Told twice, it counts once. */
int history_outcome(struct history *h, const struct outcome *o, struct err *e);
/* Take over what the ledger knows of attempts that are not in the history yet. */
int history_import(struct history *h, const struct ledger *l, struct err *e);
int history_outcomes(struct history *h, uint32_t version, int (*each)(const struct outcome *o, void *data), void *data, struct err *e); /* 0: all; newest first */

/* health.c: what is unusual about a boot, against the last 50 good ones: text such as "memory: 512 MB, usually 180 (160 to 210)". Empty: nothing.
 * Returns how many figures are unusual. */
int health_unusual(struct history *h, const struct health *now, char *buf, size_t size, struct err *e);
#define HEALTH_FIGURES 10u
double health_figure(const struct health *h, unsigned i);
const char *health_name(unsigned i);
void health_measure(struct health *ret); /* of the running machine: /proc */

/* --- risk --- */

struct risk_line { char text[256]; bool data; struct risk risk; uint32_t near_version[RISK_NEAR]; char near_text[RISK_NEAR][200]; char shared[RISK_NEAR][200]; bool near_fleet[RISK_NEAR]; float near_bad[RISK_NEAR]; };
struct risk_report { struct risk_line *line; size_t n; float total, base; unsigned like_failed; /* how many earlier failed changes it resembles */ };
/* Of going from one version (0: nothing) to these documents. */
int history_risk(struct history *h, uint32_t from, const struct documents *to, struct risk_report *ret, struct err *e);
void risk_report_free(struct risk_report *r);

/* --- retention --- */
struct retention { uint32_t max_versions; uint64_t max_age_us, max_bytes; /* 0: no limit */ };
/* Forget old versions. Kept whatever the limits: those of snapshots in keep, the newest of all, and failed ones that are evidence (their
 * documents go, their changes and labels stay). *n: how many were forgotten. */
int history_forget(struct history *h, const struct retention *r, const uint32_t *keep, size_t n_keep, uint64_t now_us, uint32_t *n, struct err *e);

#endif
