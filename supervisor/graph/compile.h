/* compile.h: inside the graph compiler.
 *
 *   load.c      folders, files, drop-ins                         -> texts
 *   instances.c instances of templates, links in enabled/
 *   keys.c      the table of keys: section, name, kind of value, types it applies to, help
 *   settings.c  lines of a file, values.c the kinds of values    -> struct unit
 *   check.c     one unit by itself: what is missing, what doesn't fit together
 *   resolve.c   names                                            -> edges between units
 *   conflict.c, cycle.c   the set as a whole: what can never start
 *   emit.c      units and edges                                  -> the blob of graph.h
 *
 * Every problem goes through problem() and is counted; a compilation with errors goes on to find the others. Everything lives in one arena. */
#ifndef RAST_SUPERVISOR_COMPILE_H
#define RAST_SUPERVISOR_COMPILE_H

#include <errno.h>
#include <stdarg.h>
#include "base/str.h"
#include "supervisor/graph.h"
#include "supervisor/graph/arena.h"

struct place { const char *file; int line; };

/* How one service names another. The order is that of a service's edges in messages. */
enum ref_kind { REF_DEPENDS, REF_REQUIRES_ONE, REF_WANTS, REF_AFTER, REF_BEFORE, REF_CONFLICTS, REF_PROVIDES, REF_CONTENTS, REF_PROVIDERS, REF_PIPE, REF_ENABLED, REF_N };
extern const char *const ref_names[REF_N]; /* as in the file: "depends" */

struct ref {
	const char *name;
	struct place at;
	enum ref_kind kind;
};

struct words { const char **v; unsigned n, cap; };
struct refs { struct ref *v; unsigned n, cap; };
struct pairs { struct pair { const char *key, *value; struct place at; } *v; unsigned n, cap; };
struct numbers { int32_t *v; unsigned n, cap; };
struct limits { struct limit { struct glimit l; struct place at; } *v; unsigned n, cap; };

/* What was said where: for repeated keys and keys that don't fit the type. */
struct givens { struct given { const struct key *key; struct place at; } *v; unsigned n, cap; };

/* The values of a unit; a key's `offset` is into this. Enumerations are int32_t, as in graph.h. */
struct values {
	int32_t type;             /* -1: not said */
	int32_t notify, notify_fd, notify_access, policy, output, kill_mode;
	int32_t stop_signal, reload_signal, nice, oom_score_adj, umask;
	int32_t boot_critical, no_new_privileges, install, reload_notify;
	int32_t log_files;        /* -1: not said */
	uint32_t limit, log_size;
	uint64_t interval, delay, delay_max, start_timeout, stop_timeout, settle_time, watchdog;
	const char *description, *user, *group, *working_directory, *root_directory, *tty;
	struct words exec, exec_stop, exec_reload, pre_start, post_stop, groups, environment_files;
	struct pairs environment, cgroup;
	struct numbers success;
	struct limits limits;
};

struct unit {
	const char *name;
	const char *instance;     /* of a template, or NULL */
	struct place at;          /* file, and the line of its first key */
	struct values v;
	struct refs refs;
	struct givens given;
	const char *masked;       /* the file that masks it: a link to /dev/null; NULL if it is not */
	bool bad_section;         /* an unknown section has been reported */
	bool broken;              /* had errors of its own: what follows from them is not reported */
	bool on_demand;           /* an instance that nobody names */
	uint64_t text_hash;
	bool implicit;            /* a virtual that exists because somebody provides it, or the bundle of what is enabled */
	int link;                 /* in enabled/: 1 to a file, -1 to /dev/null, 0 there is none */
	struct place enabled_at;
	uint32_t index;           /* in the sorted graph; masked ones have none: UINT32_MAX */
};

/* One text that makes up a service: its file, or a drop-in. */
struct text { const char *file; const char *data; size_t n; };
struct texts { struct text *v; unsigned n, cap; };

struct template { const char *name; struct texts texts; struct place at; bool checked, broken; }; /* NAME@.ini; the name ends in '@' */

/* A file or drop-in folder found. */
struct found {
	const char *name;  /* without .ini or .d */
	const char *path;
	unsigned dir;      /* index of the folder of services */
	bool drop_in;      /* a folder NAME.d */
	bool used;
};
struct founds { struct found *v; unsigned n, cap; };

enum list { LIST_DEPENDS, LIST_DEPENDENTS, LIST_WANTS, LIST_WANTED_BY, LIST_AFTER, LIST_BEFORE, LIST_CONFLICTS, LIST_CONTENTS, LIST_REQUIRES_ONE, LIST_WATCHED_BY, LIST_N };

/* `from` names `to`. For before, `from` is the one that has to be first. */
struct edge { uint32_t from, to; enum ref_kind kind; struct place at; };

/* Edges grouped by a node: those of node i are v[start[i]] .. v[start[i + 1] - 1]. */
struct adjacency { uint32_t *start; const struct edge **v; };

struct compiler {
	struct arena arena;
	graph_problem_cb cb;
	void *cb_data;
	unsigned n_errors;
	int failed;               /* a negative errno that ends it all: out of memory, an unreadable folder */

	struct { struct unit **v; unsigned n, cap; } units;
	struct unit **by_name;    /* hash table, open addressing; size is a power of two */
	unsigned by_name_size, by_name_n;
	struct { struct template *v; unsigned n, cap; } templates;
	struct founds loose;      /* drop-in folders without a file */
	bool quiet;               /* count errors without reporting them: they have been */
	struct words warnings;
	struct refs off;          /* links in enabled/ that disable: for when all services are known */
	const char **nearest;     /* names of all units, for "did you mean"; made when it is first needed */
	unsigned n_nearest;

	/* after resolve() */
	uint32_t n;               /* units in the graph: units.v[0 .. n-1], sorted by name */
	struct { struct edge *v; unsigned n, cap; } edges;
};

/* --- compile.c --- */
/* Report a problem. fmt: what is wrong; how to mend it. */
void problem(struct compiler *c, int level, struct place at, const char *fmt, ...) _printf_(4, 5);
/* Note that something could not be done at all. Returns the error. */
int compiler_fail(struct compiler *c, int error);
static inline int compiler_oom(struct compiler *c) { (void)compiler_fail(c, -ENOMEM); return -ENOMEM; }
void compiler_free(struct compiler *c);
struct unit *unit_find(const struct compiler *c, const char *name);  /* masked ones too; NULL */
struct unit *unit_add(struct compiler *c, const char *name, struct place at); /* NULL: out of memory, which has been noted */
/* " (did you mean 'x'?)" or "", in the arena. */
const char *near_unit(struct compiler *c, const char *name);
const char *near_word(struct compiler *c, const char *word, const char *const *candidates, size_t n);
/* Everything after loading: instances, checks, resolution, graph, blob. Returns as graph_compile. */
int compile_rest(struct compiler *c, uint64_t generation, void **ret, size_t *ret_size);

/* --- load.c --- */
int load_dirs(struct compiler *c, const struct graph_source *src);
/* Add a file by its text, as load_dirs() does with what it finds (tests and fuzzers have no folders). */
int load_text(struct compiler *c, const char *name, const char *file, const char *data, size_t n);
void unknown_section(struct compiler *c, struct unit *u, struct place at, const char *name);
int parse_texts(struct compiler *c, struct unit *u, const struct texts *texts);
/* Who can write a file or folder can run commands as root: report it when that is anybody but root. */
struct stat;
void check_safe(struct compiler *c, const char *path, const struct stat *st);
int read_drop_ins(struct compiler *c, const struct found *v, unsigned n, struct texts *texts);

/* --- instances.c --- */
int load_enabled(struct compiler *c, const char *dir);
/* Make instances that were asked for by name. */
int load_on_demand(struct compiler *c, const char *const *names, unsigned n);
/* Make the instances that units name and that have no file of their own. */
int load_instances(struct compiler *c);

/* --- settings.c --- */
/* Take one key of a file into the unit. */
int take_key(struct compiler *c, struct unit *u, struct place at, const char *section, const char *key, const char *value);
void unit_defaults(struct unit *u);
const struct given *unit_given(const struct unit *u, const char *section, const char *key); /* where the key was said last, or NULL */

/* --- check.c --- */
void check_unit(struct compiler *c, struct unit *u);

/* --- resolve.c, conflict.c, cycle.c --- */
int resolve(struct compiler *c);
int check_conflicts(struct compiler *c);
int check_cycles(struct compiler *c);
/* Group edges by the node that node() says; UINT32_MAX leaves the edge out. The order within a group is that of c->edges. */
typedef uint32_t (*edge_node)(const struct compiler *c, const struct edge *e);
int adjacency_make(struct compiler *c, edge_node node, struct adjacency *ret);
/* "b (depends, FILE:LINE)": the far end of an edge and why. */
int edge_describe(struct buf *b, const struct compiler *c, const struct edge *e, uint32_t end);
/* Whom the edge makes wait, and for whom: before is declared by the one that is first. */
static inline uint32_t edge_waiter(const struct edge *e) { return e->kind == REF_BEFORE ? e->to : e->from; }
static inline uint32_t edge_awaited(const struct edge *e) { return e->kind == REF_BEFORE ? e->from : e->to; }

/* --- emit.c --- */
int emit(struct compiler *c, uint64_t generation, void **ret, size_t *ret_size);

#endif
