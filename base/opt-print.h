/* opt-print.h: what opt.c prints from the tables; nothing for others. */
#ifndef RAST_BASE_OPT_PRINT_H
#define RAST_BASE_OPT_PRINT_H

#include "base/opt.h"

static inline bool opt_has_value(const struct opt *o)
{
	return o->kind != OPT_FLAG && o->kind != OPT_COUNT;
}

/* What every program has: --help, --version (when it says its version). */
extern const struct opt opt_builtin[];
size_t opt_n_builtin(const struct program *p);

void opt_print_help(const struct program *p, const struct verb *v); /* v NULL: the program's */
void opt_print_group_help(const struct program *p, const char *group);
void opt_print_man(const struct program *p);
int opt_print_completion(const struct program *p, const char *shell); /* -EINVAL: no such shell */

/* v is a verb of two words, and this is the first of them. */
bool verb_in_group(const struct verb *v, const char *group, size_t len);

#endif
