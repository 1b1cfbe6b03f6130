/* cmdline.h: the kernel command line, read as the kernel reads it (lib/cmdline.c, next_arg): words end at white space outside of double quotes,
 * one pair of quotes around the word or the value is taken off, '-' and '_' are the same in a name, "--" ends what is for us.
 * Nothing is allocated: PID 1 uses this. */
#ifndef RAST_INIT_CMDLINE_H
#define RAST_INIT_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CMDLINE_MAX 4096
#define CMDLINE_SECONDS_MAX (100ull * 366 * 86400) /* that many microseconds can be added to any time */

/* One word: pointers into the line, not terminated. value is NULL for a word without '='. */
struct cmdline_arg {
	const char *key, *value;
	size_t key_len, value_len;
};

/* The next word after *pos (start with the line itself), which is moved. False at the end. */
bool cmdline_next(const char **pos, struct cmdline_arg *arg);
bool cmdline_is(const struct cmdline_arg *arg, const char *key);

/* The last `key=value`; false when there is none, or its value does not fit. buf is untouched then. */
bool cmdline_get(const char *line, const char *key, char *buf, size_t size);
/* True if word stands alone on the line (no value). */
bool cmdline_has(const char *line, const char *word);
/* `key=SECONDS`; fallback when it is missing or not a number. At most CMDLINE_SECONDS_MAX. */
uint64_t cmdline_seconds(const char *line, const char *key, uint64_t fallback);
/* `key=yes|no`; fallback when it is missing or neither. */
bool cmdline_bool(const char *line, const char *key, bool fallback);

/* Say, one line a word, which of our arguments are not known or have a value that means nothing. */
typedef void (*cmdline_say)(const char *text, void *data);
void cmdline_check(const char *line, cmdline_say say, void *data);

/* Read /proc/cmdline into buf, NUL-terminated, without the newline. 0 or a negative errno (buf is "" then). */
int cmdline_read(char buf[CMDLINE_MAX]);

#endif
