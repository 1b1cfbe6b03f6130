/* err.h: an error that gathers context on its way up and is printed once.
 *
 * Functions return a negative errno and, where more is known, fill a
 * struct err given by the caller (NULL: not interested). Each layer puts what
 * it knows in front: err_prefix(e, "service '%s'", name) gives
 * "service 'web': mount /x: No such file or directory".
 * The text is heap memory of the err; err_clear() or _cleanup_err_ frees it. */
#ifndef RAST_BASE_ERR_H
#define RAST_BASE_ERR_H

#include "base/mem.h"

struct err {
	int code;   /* negative errno, 0: no error */
	char *text; /* NULL when there was no memory for it: err_text() then falls back to strerror */
};

/* Set the error to code (a negative errno) and text. Returns code, so that `return err_set(e, -EINVAL, "...")` reads well. */
int err_set(struct err *e, int code, const char *fmt, ...) _printf_(3, 4);
/* Like err_set, and appends ": " and strerror(-code). */
int err_sys(struct err *e, int code, const char *fmt, ...) _printf_(3, 4);
/* Put context in front of what is there: "<fmt>: <old text>". Returns e's code. */
int err_prefix(struct err *e, const char *fmt, ...) _printf_(2, 3);
const char *err_text(const struct err *e);
void err_clear(struct err *e);
#define _cleanup_err_ _cleanup_(err_clear)

#endif
