/* stage1.h: from the initramfs to the real root.
 *
 * stage1_main() in stage1.c is the list of steps. Nothing in here looks at the wall clock. What one boot knows is in struct stage1; reasons
 * why something did not work are collected in it, so that a rescue shell can show them all. */
#ifndef RAST_INIT_STAGE1_H
#define RAST_INIT_STAGE1_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "init/cmdline.h"
#include "storage/decide.h"

#define STAGE1_TOP "/rast-top"      /* where the top level of the btrfs is mounted while we choose */
#define STAGE1_SYSROOT "/sysroot"
#define STAGE1_SNAPSHOTS_MAX 1024
#define STAGE1_REASONS 24
#define STAGE1_LEDGER "@rastos/ledger"

struct stage1 {
	char cmdline[CMDLINE_MAX];
	char **argv;                        /* words of the command line that the kernel passed on: handed to the real init */
	char device[256];                   /* the root device that was found: /dev/vda */
	int topfd;                          /* top level of the btrfs, -1 */
	bool read_only;                     /* it could only be mounted read-only */

	struct ledger ledger;
	bool ledger_there;                  /* @rastos is: attempts can be recorded */
	const char *ledger_damaged;         /* "no", "one", "both", "missing", "unreadable" */

	uint32_t available[STAGE1_SNAPSHOTS_MAX];
	unsigned n_available;
	struct decision decision;
	uint64_t attempt;                   /* number of this boot in the ledger, 0: not recorded */
	bool proven;

	char reasons[STAGE1_REASONS][256];
	unsigned n_reasons;                 /* all there were; the first STAGE1_REASONS are kept */
};

void stage1_main(char **argv) __attribute__((noreturn));
/* Say on the console that something went wrong, and keep it for the rescue shell. */
void stage1_reason(struct stage1 *s, const char *fmt, ...) _printf_(2, 3);

/* stage1-device.c: wait for rast.root= and put its path into s->device. */
int stage1_find_root(struct stage1 *s, struct err *e);
/* stage1-ledger.c */
void stage1_ledger_load(struct stage1 *s);
void stage1_record_attempt(struct stage1 *s);
void stage1_record_unmountable(struct stage1 *s, uint32_t snapshot);
/* stage1-history.c: a decide_rank (storage/decide.h); data: the struct stage1. */
int stage1_ask_history(const struct ledger *l, const uint32_t *candidates, unsigned n, uint32_t failed, uint32_t otherwise, void *data);
/* stage1-mount.c: put snapshot-N and all that belongs to it below STAGE1_SYSROOT. */
int stage1_mount_top(struct stage1 *s, struct err *e);
int stage1_mount_snapshot(struct stage1 *s, uint32_t snapshot, struct err *e);
void stage1_unmount_snapshot(void);
/* stage1-switch.c: does not return when it works. */
int stage1_switch_root(struct stage1 *s, struct err *e);
/* stage1-gate.c: rast.test-gate=NAME */
void stage1_gate(struct stage1 *s);

#endif
