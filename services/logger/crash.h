/* crash.h: points at which a test kills the logger. RAST_CRASH_AT="point:n": SIGKILL when the n-th time comes by `point`. Only with
 * -DRAST_FAULTS. */
#ifndef RAST_LOGGER_CRASH_H
#define RAST_LOGGER_CRASH_H

#ifdef RAST_FAULTS
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void crash_point(const char *point)
{
	static int left = -1; /* -1: not read yet, 0: never */
	static const char *at;
	if (left < 0) {
		at = getenv("RAST_CRASH_AT");
		const char *colon = at ? strchr(at, ':') : NULL;
		left = colon ? atoi(colon + 1) : 0;
	}
	if (left > 0 && strncmp(at, point, strlen(point)) == 0 && at[strlen(point)] == ':' && --left == 0) {
		kill(getpid(), SIGKILL);
		for (;;)
			pause();
	}
}
#else
#define crash_point(point) ((void)0)
#endif

#endif
