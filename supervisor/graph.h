/* graph.h: the compiled set of services.
 *
 * Service files are compiled (by a child process of rastd, or by `rastctl check`) into one flat, position-independent, checksummed blob: a file in
 * /run/rastos/graph/GENERATION, made by temporary file and rename, that rastd maps read-only. Compiling never disturbs what runs: a set with
 * errors never replaces one that works, a crash on bad input kills only the child, and a new rastd maps the same file and goes on.
 * All references are offsets from the start of the blob (0: none); lists of services are arrays of indexes. Services are sorted by
 * name, so that lookup is a binary search. Native endianness: it never leaves the machine. */
#ifndef RAST_SUPERVISOR_GRAPH_H
#define RAST_SUPERVISOR_GRAPH_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define GRAPH_MAGIC 0x47534152u /* "RASG" */
#define GRAPH_VERSION 1

typedef uint32_t gref;                     /* offset into the blob, 0: none */
struct gstrv { uint32_t n; gref off; };    /* array of n grefs to strings */
struct gids  { uint32_t n; gref off; };    /* array of n uint32_t service indexes */

enum svc_type { SVC_ONESHOT, SVC_LONGRUN, SVC_BUNDLE, SVC_VIRTUAL };
enum svc_notify { NOTIFY_NONE /* ready once exec succeeded (oneshot: exited 0) */, NOTIFY_FD /* a newline on descriptor notify_fd, as in s6 */, NOTIFY_SOCKET /* sd_notify READY=1 */ };
enum svc_restart { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS };
enum svc_output { OUT_LOG, OUT_NULL, OUT_CONSOLE, OUT_TTY, OUT_PIPE /* into pipe_to's stdin */, OUT_INHERIT };
enum svc_sharing { ACCESS_MAIN, ACCESS_ALL, ACCESS_NONE }; /* notify-access */

struct gkv { gref key, value; };
struct glimit { uint32_t resource, pad; uint64_t soft, hard; }; /* RLIMIT_*, RLIM_INFINITY */

/* Settings that most services leave alone. Equal ones are stored once, so a thousand plain services share one struct gsettings: the blob's pages
 * are most of what a service costs in memory. Never missing: graph_settings(g, s). */
struct gsettings {
	uint64_t restart_interval, restart_delay, restart_delay_max; /* us; the delay doubles up to max, and is reset once the service stayed up for restart_interval */
	uint64_t start_timeout, stop_timeout, settle_time, watchdog; /* us; UINT64_MAX: never */
	struct gstrv pre_start, post_stop, exec_reload, exec_stop;   /* argv, one command each; n 0: none */
	gref user, group;             /* names or numbers, resolved at spawn; 0: not changed */
	struct gstrv groups;
	gref working_directory, root_directory;
	struct gstrv environment;     /* "KEY=value" */
	struct gstrv environment_files; /* "-" in front: may be missing */
	gref tty;                     /* for OUT_TTY and gettys: opened, made the controlling terminal */
	int32_t notify_fd;            /* with NOTIFY_FD, else -1 */
	int32_t stop_signal, reload_signal; /* reload_signal 0: none */
	int32_t nice, oom_score_adj;  /* INT32_MIN: not set */
	int32_t umask;                /* -1: not set */
	uint32_t restart_limit;       /* starts allowed in restart_interval, UINT32_MAX: no limit */
	uint32_t n_limits; gref limits;     /* struct glimit[] */
	uint32_t n_cgroup; gref cgroup;     /* struct gkv[]: kernel keys; one line of a file that takes several (io.max) per entry */
	uint32_t n_success; gref success;   /* int32_t exit codes (>= 0) and signals (negative) that count as success besides 0 */
	uint8_t kill_main_only;       /* kill-mode = process: at the end only the main process gets the signal; what is left is still killed after the time-out */
	uint8_t no_new_privileges;
	uint8_t notify_access;        /* enum svc_sharing */
	uint8_t log_files;            /* rotated files that are kept, and 1; 0: not said */
	uint32_t log_size;            /* bytes of its log before it is rotated, 0: not said */
};

struct gservice {
	gref name, description, file; /* file: where it was defined, for messages */
	uint32_t line;                /* of its first section */
	uint8_t type, notify, restart, output, boot_critical, enabled;
	uint8_t on_demand;            /* an instance that nobody names: it is there since somebody asked for it */
	uint8_t reload_notify;        /* it answers its reload signal by RELOADING=1 and READY=1 */
	uint32_t pipe_to;             /* OUT_PIPE: index of the longrun that reads our output (it is in `depends` too); UINT32_MAX none */
	uint64_t hash;                /* of everything that shapes a running process: tells whether apply has to restart it. Stop, reload and restart settings are not in it: they are read when they are needed */

	/* the edges, resolved; each holds for both ends so that no search is needed at run time */
	struct gids depends;      /* hard: must be up before; its stop stops us; virtual ones stand for one of their providers */
	struct gids dependents;   /* reverse of depends */
	struct gids wants;        /* started with us, waited for, failure ignored. Bundle "default": what is enabled and not boot-critical */
	struct gids wanted_by;
	struct gids after;        /* order only, when both are starting; reversed when stopping. `before` of others is folded in */
	struct gids before;
	struct gids conflicts;    /* symmetric */
	struct gids contents;     /* bundle: members (up when all are up; "default": what is enabled and boot-critical, too); virtual: providers (best first; up when one is) */
	struct gids requires_one; /* at least one of these has to be up */
	struct gids watched_by;   /* reverse of contents and requires_one: whose state may change when ours does */

	struct gstrv exec;        /* argv; oneshot and longrun have one */
	gref settings;            /* struct gsettings, shared: graph_settings() */
	uint32_t text_hash;       /* of the files that define it, byte for byte: tells whether anything was edited */
};

struct graph {                    /* the blob's header */
	uint32_t magic, version;
	uint32_t size, crc;           /* crc32c of the blob after this field's 16 bytes */
	uint64_t generation;
	uint32_t n_services; gref services; /* struct gservice[], sorted by name */
	uint32_t boot_target;         /* index of the bundle "default", UINT32_MAX if none */
	uint32_t n_warnings; gref warnings; /* gref[] of strings */
};

/* --- compiling (supervisor/compile*.c, library `graph_dep`) --- */
struct graph_source {
	const char *const *dirs;      /* first one wins for a whole file NAME.ini; the drop-ins (the .ini files in NAME.d) of all are applied, by file name */
	unsigned n_dirs;
	const char *enabled_dir;      /* NULL or folder of links NAME or NAME.ini: /etc/rastos/enabled; a name in it is enabled: started by bundle "default". A link to /dev/null switches off what [install] enabled = yes says */
	const char *const *instances; /* names to be made from their templates though nobody names them; what has none is left out */
	unsigned n_instances;
};
/* A problem found: "FILE:LINE: text; how to mend it". */
typedef void (*graph_problem_cb)(int level /* LOG_ERR, LOG_WARNING */, const char *file, int line, const char *text, void *data);

/* Read, check and compile everything; every error is reported, not just the first. Returns 0 and a malloc'ed blob, or -EINVAL when there was an error,
 * or another negative errno when something could not be done at all. Deterministic: same files, same bytes but for the generation. */
int graph_compile(const struct graph_source *src, uint64_t generation, graph_problem_cb cb, void *data, void **ret, size_t *ret_size);

/* --- reading --- */
/* Check magic, version, size, checksum and every offset and index: a damaged file can't make the reader go astray. -EBADMSG. */
int graph_verify(const void *blob, size_t size);
int graph_map(int dirfd, const char *path, const struct graph **ret, struct err *e); /* maps read-only and verifies; graph_unmap */
void graph_unmap(const struct graph *g);

static inline const void *graph_at(const struct graph *g, gref r) { return r ? (const char *)g + r : NULL; }
static inline const char *graph_str(const struct graph *g, gref r) { return graph_at(g, r); }
static inline const struct gservice *graph_service(const struct graph *g, uint32_t i) { return (const struct gservice *)((const char *)g + g->services) + i; }
static inline const uint32_t *graph_ids(const struct graph *g, struct gids l) { return graph_at(g, l.off); }
static inline const struct gsettings *graph_settings(const struct graph *g, const struct gservice *s) { return (const void *)((const char *)g + s->settings); }
uint32_t graph_find(const struct graph *g, const char *name); /* index or UINT32_MAX */

#endif
