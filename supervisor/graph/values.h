/* values.h: between settings.c, which knows what a key means in a file, and values.c, which knows each kind of value. */
#ifndef RAST_SUPERVISOR_VALUES_H
#define RAST_SUPERVISOR_VALUES_H

#include "supervisor/graph/compile.h"
#include "supervisor/graph/keys.h"

struct setting {
	struct compiler *c;
	struct unit *u;
	struct place at;
	const struct key *key;
	const char *name;   /* as written: an alias, or the name of a limit */
	const char *value;  /* never empty */
	void *to;           /* &u->v at the key's offset */
};

/* How each kind is read, how big it is (to go back to the default by an empty value), and whether several lines add up.
 * take() returns 0, a negative errno when memory ran out, or -EINVAL after problem() has been told. */
struct value_kind {
	int (*take)(struct setting *s);
	size_t size;
	bool adds_up;
};
extern const struct value_kind value_kinds[KEY_KIND_N];

/* Report "NAME = VALUE: ..." and return -EINVAL. */
int refuse(struct setting *s, const char *fmt, ...) _printf_(2, 3);
void drop_refs(struct unit *u, enum ref_kind kind);
/* RLIMIT_* of s->name; -EINVAL once it has been refused. */
int limit_resource(struct setting *s, bool *is_bytes);
/* Refuse s->name if the kernel has no such file. */
int check_cgroup_name(struct setting *s);

#endif
