/* err.c: see err.h. */
#include "base/err.h"

#include <stdarg.h>
#include <string.h>

static int set_text(struct err *e, int code, char *text)
{
	free(e->text);
	e->text = text;
	e->code = code;
	return code;
}

static _printf_(1, 0) char *format_or_null(const char *fmt, va_list ap)
{
	char *text;

	return vasprintf(&text, fmt, ap) < 0 ? NULL : text;
}

/* "a: b"; b stays the caller's. NULL when there is no memory. */
static char *join(const char *a, const char *b)
{
	char *text;

	return asprintf(&text, "%s: %s", a, b) < 0 ? NULL : text;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	set_text(e, code, format_or_null(fmt, ap));
	va_end(ap);
	return code;
}

int err_sys(struct err *e, int code, const char *fmt, ...)
{
	_cleanup_free_ char *what = NULL;
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	what = format_or_null(fmt, ap);
	va_end(ap);
	return set_text(e, code, what ? join(what, strerror(-code)) : NULL);
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	_cleanup_free_ char *what = NULL;
	char *text = NULL;
	va_list ap;

	if (!e)
		return 0;
	va_start(ap, fmt);
	what = format_or_null(fmt, ap);
	va_end(ap);
	if (what)
		text = join(what, err_text(e));
	return text ? set_text(e, e->code, text) : e->code; /* no memory: better the bare cause than nothing */
}

const char *err_text(const struct err *e)
{
	if (!e)
		return "unknown error";
	return e->text ? e->text : strerror(-e->code);
}

void err_clear(struct err *e)
{
	free(e->text);
	*e = (struct err){ 0 };
}
