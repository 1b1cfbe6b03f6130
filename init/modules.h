/* modules.h: kernel modules, loaded by what depmod(8) wrote down: modules.dep, modules.alias, modules.softdep, modules.builtin.
 *
 * The lookups take text in memory, so that they can be tested and fuzzed; modules_load() and modules_coldplug() are what touches the kernel. */
#ifndef RAST_INIT_MODULES_H
#define RAST_INIT_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

#define MODULE_NAME_MAX 64
#define MODULE_DEPS_MAX 128

struct span {
	const char *s;
	size_t n;
};

struct modules {
	char *dir;                                /* /lib/modules/RELEASE */
	char *dep, *alias, *softdep, *builtin;    /* whole files, "" when missing */
	const char *cmdline;                      /* borrowed: NAME.PARAMETER=VALUE on it become the module's parameters, as modprobe does; NULL: none */
	unsigned loaded, failed;
};

/* Read the files of /lib/modules/RELEASE (release NULL: of the running kernel). -ENOENT: no such folder. */
int modules_open(struct modules *m, const char *root, const char *release, struct err *e);
void modules_close(struct modules *m);

/* Load a module (or what an alias of that name stands for) after everything it needs. 0 also when it is built in or loaded already.
 * -ENOENT: neither a module nor an alias. */
int modules_load(struct modules *m, const char *name, struct err *e);
/* Load what the modaliases of all devices that the kernel has found ask for. Returns how many files were loaded. */
unsigned modules_coldplug(struct modules *m);
/* Names from a modules-load.d(5) text: one a line, '#' and ';' start comments. Errors are logged; returns how many could not be loaded. */
unsigned modules_load_list(struct modules *m, const char *text, const char *file);

/* --- lookups in memory --- */
/* The module's name of a path: up to the first '.' of its last part, '-' as '_'. False when it doesn't fit. */
bool module_name_of(struct span path, char name[MODULE_NAME_MAX]);
/* Find name in modules.dep. paths[0] is its own file, the rest what has to be loaded before, last one first. Returns how many, 0: not there, -E2BIG. */
int modules_dep_find(const char *dep, const char *name, struct span *paths, unsigned max);
bool modules_builtin_has(const char *builtin, const char *name);
/* The next module whose pattern matches modalias, after *pos (start with the text). */
bool modules_alias_next(const char **pos, const char *modalias, char name[MODULE_NAME_MAX]);
/* The next "pre:" dependency of name, after *pos. */
bool modules_softdep_next(const char **pos, const char *name, struct span *line_rest, char dep[MODULE_NAME_MAX]);

#endif
