/* history.h: what the commands about the history share. */
#ifndef RAST_STORAGE_RAST_HISTORY_H
#define RAST_STORAGE_RAST_HISTORY_H

#include <jansson.h>
#include "storage/rast/commands.h"
#include "vecstore/history/history.h"

struct history_settings {
	const char *dir, *boot_file, *root, *etc, *top, *kind, *result, *why;
	long snapshot, number, max_versions;
	uint64_t max_age_us;
	const char *max_size;
	bool staged, once, warn;
};
extern struct history_settings hist;

#define HIST_DIR "dir", 0, OPT_STRING, "DIR", "where store/ and salt are (" HISTORY_DEFAULT_DIR ")", &hist.dir
#define HIST_TOP "top", 0, OPT_STRING, "DIR", "where the top level of the snapshots' file system is mounted (it is mounted for the moment)", &hist.top

/* A value of /run/rastos/boot, which stage 1 wrote. False: not there. */
bool boot_file_value(const char *key, char *buf, size_t size);
uint32_t running_snapshot(void); /* LEDGER_NONE: not a machine that rastOS has booted */
int parse_version(const char *s, uint32_t *ret); /* prints: RAST_USAGE */
/* The configuration of a snapshot (LEDGER_NONE, or the one that runs: of this machine as it is). Prints nothing. */
int collect_snapshot(uint32_t snapshot, const struct salt *salt, struct documents *ret, struct err *e);
/* Open for reading, with a transaction begun. Prints: exit status, 0 for success. */
int open_to_read(struct history *h);
const char *version_state(const struct version *v, enum paint *p);

int verb_why(int argc, char **argv, void *data);
int verb_risk(int argc, char **argv, void *data);
int verb_history_record(int argc, char **argv, void *data);
int verb_history_restore(int argc, char **argv, void *data);
int verb_history_forget(int argc, char **argv, void *data);
int verb_deploy(int argc, char **argv, void *data);
int existing_snapshots(uint32_t *list, size_t max, size_t *n, struct err *e);
void risk_warning(const struct risk_report *r, FILE *f); /* a line or two when it resembles what failed, else nothing */
json_t *risk_json(const struct risk_report *r);

#endif
