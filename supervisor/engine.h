/* engine.h: the state machine of all services, pure.
 *
 * The engine knows the compiled graph, what every service is wanted to be and what it is; it decides what happens next. It does not
 * know processes, files or clocks: those are behind struct engine_ops, which rastd fills with the real thing and the unit tests with a
 * fake. A request is *marked* first (mark.c: only what is wanted changes, and all of the request is refused when a part of it can't
 * be done), then *acted* upon (machine.c: services are taken off a queue until nothing changes any more). There is no recursion and no
 * limit of depth. Bundles and virtual services have no process: what they are follows from their members (group.c).
 * Times are CLOCK_MONOTONIC in microseconds. Policy and its reasons: docs/design.md, section 12. */
#ifndef RAST_SUPERVISOR_ENGINE_H
#define RAST_SUPERVISOR_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "supervisor/graph.h"

#define NONE UINT32_MAX
#define NEVER UINT64_MAX

enum svc_state { ST_DOWN, ST_WAITING, ST_PRE_START, ST_STARTING, ST_UP, ST_STOP_WAIT, ST_STOPPING, ST_KILLING, ST_POST_STOP, ST_BACKOFF, ST_FAILED, ST_MAX };

enum svc_event {
	EV_POKE,      /* something that it looks at has changed: its goal, a dependency, a dependent */
	EV_EXEC_OK,   /* the process that was to be started has executed its program */
	EV_EXEC_FAIL, /* it has not, and is gone: why, step and errno are in the record */
	EV_READY,
	EV_MAIN_EXIT, /* exit_code and exit_status are in the record */
	EV_AUX_EXIT,
	EV_EMPTY,     /* its cgroup is empty */
	EV_TIMEOUT,   /* the deadline has passed */
	EV_STOPPING,  /* it says that it has begun to end by itself */
	EV_MAX
};

enum proc_kind { PROC_NONE, PROC_MAIN, PROC_PRE_START, PROC_EXEC_STOP, PROC_POST_STOP, PROC_RELOAD };

/* Why a service failed, or why it died last. */
enum svc_why {
	WHY_NONE, WHY_EXEC /* why_step, why_arg: errno */, WHY_SPAWN /* the same, worth trying again later */, WHY_EXIT, WHY_EARLY_EXIT /* before it was ready */, WHY_PRE_START, WHY_START_TIMEOUT,
	WHY_WATCHDOG, WHY_LIMIT, WHY_DEPENDENCY /* why_arg: which */, WHY_MEMBER /* why_arg */, WHY_NO_PROVIDER, WHY_UNKILLABLE, WHY_LOST /* ended while nobody watched */, WHY_CONFLICT /* why_arg */, WHY_MAX
};

enum svc_flag {
	F_WANT = 1 << 0,      /* meant to be up */
	F_EXPLICIT = 1 << 1,  /* asked for by name, or enabled: not to be stopped by what conflicts with it */
	F_RESTART = 1 << 2,   /* go down, then up again */
	F_READY = 1 << 3,     /* the process that runs has been ready */
	F_BAD = 1 << 4,       /* this run counts as failed */
	F_BEGUN = 1 << 5,     /* something of it ran: post-stop is due */
	F_POST_DONE = 1 << 6,
	F_CGROUP = 1 << 7,    /* its cgroup may exist */
	F_RELOADING = 1 << 8,
	F_RELOAD_FAILED = 1 << 9,
	F_TIMED_OUT = 1 << 10, /* its stop took too long: killed */
	F_MASKED = 1 << 11,   /* rast.mask=: not started in this boot */
	F_WD_ON = 1 << 12,    /* the watchdog runs */
	F_AGAIN = 1 << 15,    /* its next start is one by itself, after a failure */
	F_HOLD = 1 << 14,     /* a change of the whole set is under way: don't start it now */
	F_STOP_ASKED = 1 << 13, /* this run ends because somebody, or a dependency, wanted it */
};

/* What of a service survives rastd: this is what the state file holds (state.h). */
struct svc_rec {
	uint8_t state, aux /* enum proc_kind of the process aux_pid */, why, why_step;
	uint16_t flags, starts;      /* starts: that count against the limit */
	int32_t pid, aux_pid;        /* 0: none */
	uint32_t why_arg, restarts;
	uint32_t def_hash;           /* of the definition that the running process was started from */
	uint8_t exit_code, exit_status, backoff, why_kind /* enum proc_kind that why_step is about */; /* exit_code: CLD_*, 0: none yet */
	uint32_t provider;           /* virtual: the one in use; NONE */
	uint8_t why_last, lost, pad[2]; /* why_last: with WHY_LIMIT, why the last run ended; lost: a group has lost a member since it came up */
	uint64_t wanted, started, ready, since, deadline /* 0: none */, window; /* window: first start that counts */
};

struct svc_ext;                      /* the rare parts: manager.h */

struct svc {
	struct svc_rec r;
	const struct gservice *def;
	struct svc_ext *ext;
	uint64_t *ring;              /* times of the last starts, for the restart limit; NULL until it is started again by itself */
	uint32_t next;               /* in the queue; index + 1, 0: last */
	uint32_t scan, blocker;      /* waiting: how far the look at others came, and who it waits for */
	uint32_t heap;               /* place in the heap of deadlines + 1, 0: not in it */
	int32_t log_fd;              /* write end of its output pipe, -1 */
	uint8_t queued, dirty, adopted, mark;
	uint8_t spawning;            /* between spawn() and flush(), which clears it */
	uint8_t aux_code, aux_status; /* how aux ended, with EV_AUX_EXIT */
	uint8_t unchecked;           /* adopted on the word of the record */
	uint8_t awaited;             /* adopted, gone, and its end not reported yet: 1 main, 2 aux */
	uint8_t log_added;           /* the logger has its pipe */
	uint8_t cgroup_ours;         /* made by this rastd, and cgroup.kill not written to since */
	uint8_t cgroup_kept;         /* for the start that follows */
	uint8_t consumer;            /* others write into its standard input */
};

struct engine;
struct engine_ops {
	/* Begin to start a process. 0: EV_EXEC_OK or EV_EXEC_FAIL comes later through engine_event(), never from inside. */
	int  (*spawn)(struct engine *e, struct svc *s, enum proc_kind kind);
	void (*signal)(struct engine *e, struct svc *s, int sig, bool all);
	void (*kill)(struct engine *e, struct svc *s);           /* SIGKILL to everything in its cgroup */
	bool (*empty)(struct engine *e, struct svc *s);          /* true: nothing lives in its cgroup, which is gone; false: EV_EMPTY will come */
	void (*commit)(struct engine *e, struct svc *s);         /* write s->r to the state file */
	void (*changed)(struct engine *e, struct svc *s, enum svc_state old);
	void (*flush)(struct engine *e);                         /* start what spawn() has gathered */
	uint64_t (*now)(struct engine *e);
};

struct engine {
	const struct graph *g;
	struct svc *s;
	uint32_t n;
	uint32_t q_head, q_tail;     /* index + 1 */
	uint32_t *heap, heap_n;
	bool no_restart;             /* the machine is going down: nothing is started any more */
	const struct engine_ops *ops;
	void *data;
};

/* Make the arrays for g (borrowed, must outlive the engine). Every service is down. -ENOMEM. */
int  engine_init(struct engine *e, const struct graph *g, const struct engine_ops *ops, void *data);
void engine_free(struct engine *e);

/* --- mark --- what a request changes; lists are in the order of the marking, owned by the caller (mark_clear) */
struct mark {
	uint32_t *changed; uint32_t n, cap;
	uint32_t subject, other;     /* of a refusal: who, and because of whom */
	uint32_t *blockers; uint32_t n_blockers, cap_blockers; /* dependents that hinder a stop */
};
void mark_clear(struct mark *m);
enum { MARK_FORCE = 1, MARK_DRY = 2, MARK_IMPLICIT = 4 /* not asked for by a person */ };
/* 0, -EBUSY: conflict (subject, other), -EPERM: masked (subject), -ENOMEM. Nothing is changed on failure. */
int mark_start(struct engine *e, const uint32_t *ids, uint32_t n, int how, struct mark *m);
/* 0, -EBUSY: dependents (blockers) and no MARK_FORCE, -ENOMEM. */
int mark_stop(struct engine *e, const uint32_t *ids, uint32_t n, int how, struct mark *m);
/* Restart what is up, with its dependents; start the others. Errors as mark_start. */
int mark_restart(struct engine *e, const uint32_t *ids, uint32_t n, int how, struct mark *m);
/* Start these and stop everything else, but for `keep` (NONE). What conflicts with them is stopped, however it came to run. Errors as mark_start. */
int mark_isolate(struct engine *e, const uint32_t *ids, uint32_t n, uint32_t keep, int how, struct mark *m);
void mark_stop_all(struct engine *e, uint32_t last);         /* shutdown: nothing is wanted any more, but the one to be stopped last (NONE) */
void mark_for_switch(struct engine *e, uint32_t i, bool removed);
bool mark_reset(struct engine *e, uint32_t i);               /* failed -> down; false if it was not failed */

/* --- act --- */
void engine_event(struct engine *e, struct svc *s, enum svc_event ev);
/* Until nothing is queued, or about `budget` services have been looked at; returns true when there is more to do. */
bool engine_run(struct engine *e, unsigned budget);
uint64_t engine_next_deadline(const struct engine *e);       /* 0: none */
void engine_expire(struct engine *e, uint64_t now);          /* EV_TIMEOUT for all whose deadline has passed */
/* After the records were filled in from a state file: rebuild heap and queue. */
void engine_resume(struct engine *e);
void engine_extend(struct engine *e, struct svc *s, uint64_t deadline); /* move the deadline of the state it is in; 0: none */
void engine_watchdog(struct engine *e, struct svc *s, uint64_t us);      /* of one that is up: from now on so often; NEVER: off */
void engine_bite(struct engine *e, struct svc *s);                       /* as if the watchdog had waited in vain */

/* --- asking --- */
static inline uint32_t svc_index(const struct engine *e, const struct svc *s) { return (uint32_t)(s - e->s); }
static inline const char *svc_name(const struct engine *e, const struct svc *s) { const char *n = graph_str(e->g, s->def->name); return n ? n : "?"; }
static inline const struct gsettings *cfg(const struct engine *e, const struct svc *s) { return graph_settings(e->g, s->def); }
static inline bool svc_is_group(const struct svc *s) { return s->def->type == SVC_BUNDLE || s->def->type == SVC_VIRTUAL; }
static inline bool svc_has(const struct svc *s, unsigned f) { return s->r.flags & f; }
bool svc_active(const struct svc *s);       /* something of it is there: a process, or it is up */
bool svc_settled(const struct svc *s);      /* not on its way anywhere by itself */
bool svc_stopping(const struct svc *s);     /* going down, or about to */
const char *svc_state_name(unsigned state);
int svc_state_parse(const char *name);      /* -EINVAL */
const char *svc_type_name(unsigned type);
/* Why it failed or what it waits for, in words; "" if there is nothing to say. Returns buf. */
const char *svc_reason(const struct engine *e, const struct svc *s, char *buf, size_t size);
const char *spawn_step_name(unsigned step);  /* "exec", "open tty", ... (spawn.h) */

#endif
