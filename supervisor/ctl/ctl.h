/* ctl.h: rastctl, the control program.
 *
 * A client of rastd's Varlink interface (client.c) and, where rastd is not needed, of files: logs, check, cat, boot. Verbs and options are
 * tables (main.c), from which help, man page and completion are made. A verb returns the exit status (docs/design.md, "Exit statuses");
 * what went wrong has been printed once by the layer that knew what to do about it. Under the names reboot, poweroff, halt, shutdown and
 * telinit the same program does what those always did (power.c). */
#ifndef RAST_SUPERVISOR_CTL_H
#define RAST_SUPERVISOR_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/base.h"
#include "base/text.h"

enum ctl_status { CTL_OK, CTL_FAILED, CTL_USAGE, CTL_NOT_RUNNING, CTL_DENIED /* or no such service */, CTL_UNREACHABLE };

#define INTERFACE "io.rastos.Supervisor"

/* Where the options of the tables are stored. */
struct settings {
	const char *run_dir, *etc_dir, *lib_dir, *log_dir, *ledger;
	bool json, quiet, force, dry_run, no_wait, reverse, names, all, failed, now, restart, no_restart, follow, poweroff, no_sync, plain;
	const char *state, *signal, *since, *until, *message, *type, *old_path;
	long lines;
	uint64_t timeout_us;
};
extern struct settings set;

/* --- client.c --- */
/* Call a method of INTERFACE and wait. params are stolen, NULL: none. 0: *reply (may be NULL) is owned by the caller. Otherwise the exit
 * status, and the error has been printed. */
int ctl_call(const char *method, json_t *params, json_t **reply);
/* The same with `more`: each reply goes to cb, which returns 0 to go on or an exit status to end. */
typedef int (*ctl_reply_cb)(json_t *reply, void *data);
int ctl_more(const char *method, json_t *params, ctl_reply_cb cb, void *data);
/* Print nothing about an error, for calls that may fail: 0 or the exit status. */
int ctl_try(const char *method, json_t *params, uint64_t timeout_us, json_t **reply);
json_t *ctl_names(int n, char **names); /* ["a", "b"] */
/* Print "rastctl: text" to stderr; returns status. */
int ctl_error(int status, const char *fmt, ...) _printf_(2, 3);
void ctl_json_lines(void);   /* with --json this command prints a line of JSON per item: none of them is nothing to print */
int ctl_finish(int status);  /* at the end: what --json still owes. Returns status */
void print_place(const char *file, int64_t line); /* of a problem, to stderr: "FILE:LINE: "; line 0: "FILE: " */
extern const char *ctl_name;                      /* as which program we were called */

/* --- JSON, shortly --- */
const char *js(const json_t *o, const char *key); /* string, or "" */
int64_t ji(const json_t *o, const char *key);     /* integer, or 0 */
bool jb(const json_t *o, const char *key);
int print_json(json_t *o); /* one document and a newline; steals o; returns CTL_OK */
static inline void json_dropp(json_t **o)
{
	json_decref(*o);
}
#define _cleanup_json_ _cleanup_(json_dropp)

enum paint state_paint(const char *state); /* text.c */

/* --- the verbs --- */
#define VERB(name) int verb_##name(int argc, char **argv, void *data)
VERB(start);
VERB(stop);
VERB(restart);
VERB(reload);
VERB(signal);
VERB(reset);
VERB(wait);
VERB(apply);
VERB(reexec);
VERB(list);
VERB(status);
VERB(tree);
VERB(is_active);
VERB(is_failed);
VERB(is_enabled);
VERB(cat);
VERB(events);
VERB(ping);
VERB(logs);
VERB(check);
VERB(enable);
VERB(disable);
VERB(boot);
VERB(poweroff);
VERB(reboot);
VERB(halt);
VERB(kexec);
VERB(isolate);
VERB(rescue);
VERB(emergency);
VERB(default);
/* Errors of the service files as rastd would read them, 0 if there are none or they can't be read; told on stderr if `tell`. */
unsigned check_machine_errors(bool tell);
bool check_machine_enabled(const char *name); /* would the service files have it enabled? */
int verb_apply_now(void); /* Apply, after links were changed; says nothing when rastd is not there */

/* --- power.c: the classic names --- */
int main_reboot(int argc, char **argv, void *data);
int main_shutdown(int argc, char **argv, void *data);
int main_telinit(int argc, char **argv, void *data);

/* warn.c: say on stderr when what lies in /etc resembles changes that failed. */
void warn_of_risk(void);

#endif
