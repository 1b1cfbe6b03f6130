/* logfile.h: reading what rastlogd has written. Pure but for reads of a descriptor. */
#ifndef RAST_CTL_LOGFILE_H
#define RAST_CTL_LOGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LOG_KEY_LEN 27 /* "2026-11-22T10:11:12.123456Z": compares as the time does */

struct log_line {
	const char *name, *text; /* in the line that was parsed */
	size_t name_len, text_len;
};

/* Take "TIME NAME: text" apart (n bytes, without newline). False when it is something else. */
bool log_line_parse(const char *line, size_t n, struct log_line *ret);

/* Where the last *lines lines of an open file of `size` bytes begin; *lines is lowered by those that were found. An unfinished last line
 * counts. */
off_t log_tail_offset(int fd, off_t size, unsigned long *lines);

/* A time as people write it: "now", "today", "yesterday", "10:30", "2026-11-22", "2026-11-22 10:30:00", "...Z" (UTC), "5min ago", "-2h",
 * "@1700000000". Local time where no Z says otherwise. The key in UTC goes to `key`. -EINVAL. */
int log_key_from_text(const char *text, uint64_t now_realtime_us, char key[LOG_KEY_LEN + 1]);
void log_key(uint64_t realtime_us, char key[LOG_KEY_LEN + 1]);

#endif
