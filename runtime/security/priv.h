/* priv.h: within runtime/security/ only. */
#ifndef RAST_RUNTIME_SECURITY_PRIV_H
#define RAST_RUNTIME_SECURITY_PRIV_H

#include <errno.h>

static inline int sec_error(const char **what, int r, const char *text)
{
	if (what)
		*what = text;
	return r;
}

static inline int sec_fail(const char **what, const char *text)
{
	return sec_error(what, -errno, text);
}

#endif
