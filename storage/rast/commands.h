/* commands.h: the commands of rast, the program that looks after what a machine is made of: its images, and what it remembers.
 *
 * Each part brings a table of its own, from a file of its own: `const struct rast_commands rast_image = {"Images", verbs, ARRAY_SIZE(verbs)};`.
 * To add one: declare it below, name it in main.c's list and in meson.build, run tests/integration/man-pages.py --update. Verbs are
 * base/opt.h's: name (one word, or two as in "image list"), operands, summary, run, options, completion. Help, man page and completion
 * are made of the tables; a verb that is in one of them does what it says.
 *
 * run returns the exit status; what went wrong has been printed once, by rast_error() or rast_fail(). Options that all commands have
 * are in `rast`. */
#ifndef RAST_STORAGE_COMMANDS_H
#define RAST_STORAGE_COMMANDS_H

#include "base/base.h"
#include "base/opt.h"
#include "base/text.h"

enum rast_status {
	RAST_OK,
	RAST_FAILED,
	RAST_USAGE,
	RAST_NOT_THERE = 4, /* no such image, ...; or permission denied. 3 and 5 are rastctl's */
};

struct rast_settings {
	bool json, quiet;
};
extern struct rast_settings rast;

struct rast_commands {
	const char *title; /* heading in the help */
	const struct verb *verbs;
	size_t n;
};
extern const struct rast_commands rast_image; /* image.c */
extern const struct rast_commands rast_history; /* history.c */
extern const struct rast_commands rast_fleet;   /* fleet.c */

/* Print "rast: text" to stderr; returns status. */
int rast_error(int status, const char *fmt, ...) _printf_(2, 3);
/* The same with what e says; the status is that of its code: RAST_NOT_THERE for -ENOENT, -EPERM and -EACCES, else RAST_FAILED. */
int rast_fail(const struct err *e);

#endif
