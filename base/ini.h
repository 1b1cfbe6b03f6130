/* ini.h: INI files through inih, with line numbers and continuation lines.
 *
 * A line that ends in a backslash goes on in the next one (joined by a space; comment lines between are left out, as in
 * systemd.syntax(7)). White space before a line means nothing. Drop-ins are further files parsed with the same callback. */
#ifndef RAST_BASE_INI_H
#define RAST_BASE_INI_H

#include "base/err.h"

/* Called for each key in file order; file and line are where it stands. Return 0 or a negative errno, which ends the parse. */
typedef int (*ini_key_cb)(const char *file, int line, const char *section, const char *key, const char *value, void *data);

/* Parse one file. Syntax errors give -EBADMSG with "FILE:LINE: ...: how to mend it" in e. Values may be up to 64 KiB;
 * NUL bytes and invalid UTF-8 are errors. "#" and ";" start comments at the beginning of a line only. */
int ini_parse_fd(int fd, const char *name, ini_key_cb cb, void *data, struct err *e);
int ini_parse_path(const char *path, ini_key_cb cb, void *data, struct err *e);
int ini_parse_mem(const char *text, size_t n, const char *name, ini_key_cb cb, void *data, struct err *e);

#endif
