/* format.h: bytes from a service's pipe become lines of a log file. Pure: no clock, no files, no allocation.
 *
 *   2026-11-22T10:11:12.123456Z NAME: text
 *
 * A line of the service is a line of the file. What would not survive that is escaped: control characters other than tab become \xNN, so
 * that a log can neither hide a line nor talk to the terminal of who reads it; a carriage return before the newline goes away. A line
 * longer than FORMAT_LINE_MAX is split; a piece that goes on in the next line ends in a backslash, and a backslash that really ends a line
 * is written \x5c. */
#ifndef RAST_LOGGER_FORMAT_H
#define RAST_LOGGER_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define FORMAT_LINE_MAX (48u << 10) /* bytes of the service's own text in one line of the file */
#define FORMAT_OUT_MIN 4096         /* the smallest output buffer that format_lines works with */

struct format_prefix {
	char text[27 + 1 + 64 + 2 + 1];
	size_t len;
};

/* What becomes of an unfinished line at the end of the input. */
enum format_tail {
	TAIL_KEEP,  /* not formatted: it stays where it is */
	TAIL_END,   /* the service has ended: a line like any other */
	TAIL_SPLIT, /* a piece, ended by a backslash: its pipe is full */
};

/* time_us: microseconds since 1970, printed as UTC. name is at most 63 bytes. */
void format_prefix(struct format_prefix *p, uint64_t time_us, const char *name);

/* Format in[0..n) into out[0..cap), cap >= FORMAT_OUT_MIN: as many lines as fit, a line that does not fit even alone in pieces. Returns how
 * many bytes of the input are in the output (0: only an unfinished line is there and *tail is TAIL_KEEP) and sets *out_len. *tail becomes
 * TAIL_SPLIT when the last piece was split: the same input up to the returned length with this *tail, given again, yields the same output.
 */
size_t format_lines(
	const struct format_prefix *p, const char *in, size_t n, enum format_tail *tail, char *out, size_t cap, size_t *out_len);

#endif
