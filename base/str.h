/* str.h: strings, numbers, word splitting. */
#ifndef RAST_BASE_STR_H
#define RAST_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include "base/err.h"

static inline bool streq(const char *a, const char *b) { return strcmp(a, b) == 0; }
static inline bool strempty(const char *s) { return !s || !*s; }
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
char *str_strip(char *s); /* in place: white space at both ends */

size_t utf8_span(const char *s, size_t n); /* bytes at the beginning that are valid UTF-8 (RFC 3629); n: all of it */

/* Whole-string parsers: 0 or -EINVAL/-ERANGE; *ret untouched on failure. */
int parse_u64(const char *s, uint64_t *ret);
int parse_i64(const char *s, int64_t *ret);
int parse_bool(const char *s, bool *ret);          /* yes/no, true/false, on/off, 1/0 */
int parse_size(const char *s, uint64_t *ret);      /* bytes: 4096, 64K, 1M, 2G, 1T (powers of 1024) */
int parse_duration(const char *s, uint64_t *ret_us); /* "5", "5s", "500ms", "2min 30s", "1h", "infinity" (UINT64_MAX); bare numbers are seconds */
int parse_signal(const char *s);                   /* "TERM", "SIGTERM", "15", "RTMIN+4" -> number or -EINVAL */
const char *signal_name(int sig);                  /* "SIGTERM"; a static buffer for real-time ones */
int parse_mode(const char *s, mode_t *ret);        /* octal */

/* Split a command line or list as a shell would: white space, '...', "...", backslash; no expansion.
 * Returns a NULL-terminated array (strv_free) in *ret, or -EINVAL for an open quote. */
int  str_split_words(const char *s, char ***ret);
void strv_free(char **v);
void strv_freep(char ***v);
#define _cleanup_strv_ _cleanup_(strv_freep)
size_t strv_len(char *const *v);
int  strv_push(char ***v, const char *s); /* copies s */

/* A growing byte buffer. Zero-initialise; buf_free when done. After a failed append `failed` stays set (sticky). */
struct buf { char *data; size_t len, cap; bool failed; };
int  buf_add(struct buf *b, const void *p, size_t n);
int  buf_addf(struct buf *b, const char *fmt, ...) _printf_(2, 3);
void buf_free(struct buf *b);
#define _cleanup_buf_ _cleanup_(buf_free)

/* Service and container names: 1 to 63 of [A-Za-z0-9_.@:-], first one not '.' or '-'. */
#define NAME_LEN_MAX 63
bool name_valid(const char *s);

/* The candidate nearest to s by edit distance (at most 2), or NULL: for "did you mean". */
const char *str_nearest(const char *s, const char *const *candidates, size_t n);

uint32_t crc32c(uint32_t crc, const void *data, size_t n); /* Castagnoli, start with 0; RFC 3720 B.4; SSE4.2 when there */
uint64_t fnv1a64(const void *data, size_t n);

#endif
