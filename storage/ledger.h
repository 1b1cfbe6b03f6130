/* ledger.h: the boot ledger, the authority on which deployment boots.
 *
 * One file of two 4096-byte slots, written in turn; each has a magic number, a version, a sequence number and a CRC-32C. The valid slot with the higher
 * sequence number counts: a torn write loses the newest change, never both. A change is durable when ledger_save() has returned 0
 * (pwrite, fdatasync). Nothing here reads a clock: `boot` counts boots. Layout: docs/design.md, "The boot ledger". */
#ifndef RAST_STORAGE_LEDGER_H
#define RAST_STORAGE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define LEDGER_DEFAULT_PATH "/var/lib/rastos/ledger"
#define LEDGER_MAX 96            /* deployments remembered; the oldest that is not default, good or in progress is forgotten first */
#define LEDGER_TRIES 3           /* tries of a new deployment */
#define LEDGER_FAILS_UNPROVE 3   /* a proven deployment that failed this often in a row counts as unproven again (with tries anew on deploy only) */
#define LEDGER_NONE UINT32_MAX
#define LEDGER_SLOT_SIZE 4096u
#define LEDGER_FILE_SIZE (2 * LEDGER_SLOT_SIZE)
#define LEDGER_ATTEMPTS 32u      /* the newest attempts are kept one by one, until the history has taken them over */
#define LEDGER_EXPLORE 1u        /* boots per episode that the history may choose other than the rules: the budget e of docs/decision.md */

enum ledger_result { LEDGER_RESULT_NONE, LEDGER_RESULT_ATTEMPT /* in progress, or died */, LEDGER_RESULT_GOOD, LEDGER_RESULT_FAILED /* said to be unhealthy */, LEDGER_RESULT_UNMOUNTABLE, LEDGER_RESULT_SHUTDOWN /* left in order before it was judged: not a failure */ };

struct ledger_entry {
	uint32_t snapshot;
	uint32_t tries_left;
	uint32_t fails;          /* in a row */
	uint32_t goods;          /* healthy boots in all */
	uint64_t last_boot;      /* ledger.boot of its last attempt */
	uint8_t proven;          /* has booted healthily since it was deployed and has not failed too often since */
	uint8_t last_result;     /* enum ledger_result */
	uint8_t spent;           /* the attempt in progress took one of tries_left: ledger_left gives back exactly that one */
	uint8_t pad[5];
};

struct ledger_attempt {
	uint32_t snapshot;       /* meaningful while result is not LEDGER_RESULT_NONE */
	uint8_t result;          /* enum ledger_result; LEDGER_RESULT_ATTEMPT for good: it died without having been judged */
	uint8_t reason;          /* enum decide_reason */
	uint8_t explores;        /* chosen by the history: unless it ends well, the deployment's entry stays as if it had not been */
	uint8_t pad;
};

struct ledger {
	uint64_t seq, boot;      /* boot: number of attempts ever recorded */
	uint32_t def;            /* default deployment */
	uint32_t last_good;      /* last known good, LEDGER_NONE if none yet */
	uint32_t in_progress;    /* the attempt that has not been judged yet */
	uint32_t once;           /* boot this one next time only (deploy --once), LEDGER_NONE */
	uint32_t explored;       /* exploratory boots in this episode: since the default was deployed, or last was healthy */
	uint32_t n;
	struct ledger_entry e[LEDGER_MAX];
	struct ledger_attempt attempts[LEDGER_ATTEMPTS]; /* attempt number B is at B % LEDGER_ATTEMPTS */
};

/* Read. -ENOENT: no file. -EBADMSG: both slots are damaged (e says how each); *l is then empty and usable. One damaged slot is success with *damaged set. */
int ledger_load(int dirfd, const char *path, struct ledger *l, bool *damaged, struct err *e);
/* Write the slot that does not hold the current state; makes the file (both slots, fsync of the folder) if it is not there. Durable on return. */
int ledger_save(int dirfd, const char *path, struct ledger *l, struct err *e);

/* Take the lock that every writer takes: flock(2) on the ledger's folder. Returns a descriptor of the folder (owned by the caller; closing it
 * gives the lock back), -ETIMEDOUT when somebody else still has it after wait_ms. */
int ledger_lock(int dirfd, const char *path, unsigned wait_ms, struct err *e);

void ledger_empty(struct ledger *l);                                    /* nothing known: no default, no last good one */
/* One slot in memory: LEDGER_SLOT_SIZE bytes. ledger_decode checks magic, version, checksum and every number in it: -EBADMSG, *why says which. */
void ledger_encode(const struct ledger *l, void *slot);
int ledger_decode(const void *slot, struct ledger *l, const char **why);
const char *ledger_result_name(unsigned result);                        /* "good", "failed", ...; never NULL */

struct ledger_entry *ledger_find(struct ledger *l, uint32_t snapshot); /* NULL if unknown */
struct ledger_entry *ledger_add(struct ledger *l, uint32_t snapshot);   /* find or make; never NULL: forgets an old one */
/* The functions below change the ledger in memory only; ledger_save() makes it durable. */
void ledger_deploy(struct ledger *l, uint32_t snapshot);                /* make it the default, with all its tries */
void ledger_settle(struct ledger *l);                                    /* stage 1, before it decides: an attempt that nobody judged has failed */
void ledger_attempt(struct ledger *l, uint32_t snapshot);               /* stage 1, before switch_root: settles, spends a try */
/* The same for a boot that the history chose: paid from the budget; its failure is nobody's, so that the rules go on as if it had not been. */
void ledger_explore(struct ledger *l, uint32_t snapshot);
void ledger_reason(struct ledger *l, uint8_t reason);                    /* of the newest attempt: enum decide_reason */
const struct ledger_attempt *ledger_attempt_of(const struct ledger *l, uint64_t boot); /* attempt number `boot`, NULL if it isn't kept */
void ledger_good(struct ledger *l, uint32_t snapshot);                  /* healthy: proven, last known good */
void ledger_failed(struct ledger *l, uint32_t snapshot, enum ledger_result why);
void ledger_left(struct ledger *l, uint32_t snapshot);                  /* orderly power-off before it was judged: gives the try back */

#endif
