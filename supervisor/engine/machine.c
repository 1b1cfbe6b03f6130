/* machine.c: what each state does with each event.
 *
 * A cell never waits and never starts a process directly: spawn() gathers, engine_run() flushes. The record is committed once, when the
 * cell has returned; for the end of a process that is before the process is reaped (exits.c), for a start before the clone (spawn.c). */
#include "supervisor/engine/engine-priv.h"

#include <signal.h>
#include <sys/wait.h>
#include "base/log.h"

typedef void (*cell)(struct engine *e, struct svc *s);

static uint64_t in(struct engine *e, uint64_t us)
{
	uint64_t now = e->ops->now(e);
	return us > NEVER - now ? NEVER : now + us;
}

static void set_why(struct svc *s, enum svc_why why, uint32_t arg)
{
	s->r.why = (uint8_t)why;
	s->r.why_arg = arg;
	svc_touch(s);
}

static void bad(struct engine *e, struct svc *s, enum svc_why why, uint32_t arg)
{
	if (!svc_has(s, F_BAD)) /* the first reason is the true one */
		set_why(s, why, arg);
	svc_set(e, s, F_BAD, true);
}

/* --- ending --- */

static void finish(struct engine *e, struct svc *s);

static void begin_kill(struct engine *e, struct svc *s)
{
	svc_enter(e, s, ST_KILLING);
	engine_set_deadline(e, s, in(e, KILL_TIMEOUT));
	e->ops->kill(e, s);
}

/* Start a process beside or behind the main one. True if it will end with an event. */
static bool spawn_aux(struct engine *e, struct svc *s, enum proc_kind kind)
{
	s->r.aux = (uint8_t)kind;
	s->r.aux_pid = 0;
	svc_set(e, s, F_CGROUP, true);
	if (e->ops->spawn(e, s, kind) == 0) {
		s->spawning = 1;
		return true;
	}
	s->r.aux = PROC_NONE;
	return false;
}

static void run_post_stop(struct engine *e, struct svc *s)
{
	svc_enter(e, s, ST_POST_STOP);
	engine_set_deadline(e, s, in(e, cfg(e, s)->stop_timeout));
	svc_set(e, s, F_POST_DONE, true);
	if (!spawn_aux(e, s, PROC_POST_STOP))
		finish(e, s);
}

/* Nothing of the run is to stay: go on as far as it goes. In `stopping` what is left has until the deadline; else it is killed at once. */
static void finish(struct engine *e, struct svc *s)
{
	if (s->r.pid || s->r.aux_pid || s->r.aux)
		return;
	if (svc_has(s, F_CGROUP)) {
		if (!e->ops->empty(e, s)) {
			if (s->r.state != ST_STOPPING && !(s->r.state == ST_KILLING && s->r.deadline))
				begin_kill(e, s);
			return;
		}
		svc_set(e, s, F_CGROUP, false);
	}
	if (cfg(e, s)->post_stop.n && svc_has(s, F_BEGUN) && !svc_has(s, F_POST_DONE))
		run_post_stop(e, s);
	else
		restart_decide(e, s);
}

/* --- starting --- */

static void cannot_spawn(struct engine *e, struct svc *s)
{
	bad(e, s, WHY_SPAWN, 0);
	finish(e, s);
}

static void start_main(struct engine *e, struct svc *s)
{
	svc_enter(e, s, ST_STARTING);
	engine_set_deadline(e, s, in(e, cfg(e, s)->start_timeout));
	s->r.pid = 0;
	s->r.started = e->ops->now(e);
	s->r.def_hash = (uint32_t)s->def->hash;
	svc_set(e, s, F_CGROUP | F_BEGUN, true);
	if (e->ops->spawn(e, s, PROC_MAIN) < 0)
		cannot_spawn(e, s);
	else
		s->spawning = 1;
}

static void launch(struct engine *e, struct svc *s)
{
	if (svc_has(s, F_AGAIN) || !s->r.starts) /* a start for another's sake doesn't count against the limit */
		restart_note_start(e, s, e->ops->now(e));
	set_why(s, WHY_NONE, 0);
	s->r.restarts += svc_has(s, F_AGAIN);
	svc_set(e, s, F_AGAIN | F_BAD | F_READY | F_POST_DONE | F_STOP_ASKED | F_RELOADING | F_TIMED_OUT, false);
	if (!cfg(e, s)->pre_start.n) {
		start_main(e, s);
		return;
	}
	svc_enter(e, s, ST_PRE_START);
	s->r.started = e->ops->now(e);
	engine_set_deadline(e, s, in(e, cfg(e, s)->start_timeout));
	svc_set(e, s, F_BEGUN, true);
	if (!spawn_aux(e, s, PROC_PRE_START))
		cannot_spawn(e, s);
}

static void become_up(struct engine *e, struct svc *s)
{
	bool watched = cfg(e, s)->watchdog && cfg(e, s)->watchdog != NEVER && s->def->type == SVC_LONGRUN;
	s->r.ready = e->ops->now(e);
	svc_set(e, s, F_READY, true);
	svc_set(e, s, F_WD_ON, watched);
	engine_set_deadline(e, s, watched ? in(e, cfg(e, s)->watchdog) : 0);
	svc_enter(e, s, ST_UP);
	if (!svc_has(s, F_WANT) || svc_has(s, F_RESTART))
		engine_queue(e, svc_index(e, s));
}

/* --- stopping --- */

static void send_stop(struct engine *e, struct svc *s)
{
	int sig = cfg(e, s)->stop_signal > 0 ? cfg(e, s)->stop_signal : SIGTERM;
	e->ops->signal(e, s, sig, !cfg(e, s)->kill_main_only);
}

static void begin_stop(struct engine *e, struct svc *s)
{
	bool was_ready = svc_has(s, F_READY);
	svc_set(e, s, F_STOP_ASKED, true);
	if (!s->r.pid && !s->r.aux && !(was_ready && cfg(e, s)->exec_stop.n)) {
		svc_enter(e, s, ST_STOPPING);
		engine_set_deadline(e, s, in(e, cfg(e, s)->stop_timeout));
		if (svc_has(s, F_CGROUP))
			send_stop(e, s);
		finish(e, s);
		return;
	}
	svc_enter(e, s, ST_STOPPING);
	engine_set_deadline(e, s, in(e, cfg(e, s)->stop_timeout));
	if (was_ready && cfg(e, s)->exec_stop.n && !s->r.aux && spawn_aux(e, s, PROC_EXEC_STOP))
		return;
	send_stop(e, s);
}

/* --- the cells --- */

static void none(struct engine *e, struct svc *s) {}

static void down_poke(struct engine *e, struct svc *s)
{
	if (!svc_has(s, F_WANT) || e->no_restart)
		return;
	svc_enter(e, s, ST_WAITING);
	engine_queue(e, svc_index(e, s));
}

static void waiting_poke(struct engine *e, struct svc *s)
{
	uint32_t who = NONE;
	if (!svc_has(s, F_WANT) || e->no_restart) {
		svc_enter(e, s, ST_DOWN);
		return;
	}
	svc_set(e, s, F_RESTART, false);
	if (svc_has(s, F_HOLD))
		return;
	enum order r = order_start(e, s, &who);
	if (r == ORDER_GO) {
		launch(e, s);
	} else if (r != ORDER_WAIT) {
		set_why(s, r == ORDER_CONFLICT ? WHY_CONFLICT : who == NONE ? WHY_NO_PROVIDER : WHY_DEPENDENCY, who);
		svc_enter(e, s, ST_FAILED);
	}
}

static void stop_wait_poke(struct engine *e, struct svc *s)
{
	if (s->spawning)
		return;
	if (svc_has(s, F_WANT) && !svc_has(s, F_RESTART)) { /* wanted again before anything was done to it */
		svc_enter(e, s, svc_has(s, F_READY) ? ST_UP : s->r.aux == PROC_PRE_START ? ST_PRE_START : ST_STARTING);
		return;
	}
	if (order_stop(e, s) == ORDER_GO)
		begin_stop(e, s);
}

static void running_poke(struct engine *e, struct svc *s)
{
	if (s->spawning || (svc_has(s, F_WANT) && !svc_has(s, F_RESTART)))
		return; /* being started at this moment: looked at again when that is done */
	svc_enter(e, s, ST_STOP_WAIT);
	stop_wait_poke(e, s);
}

static void backoff_poke(struct engine *e, struct svc *s)
{
	if (!svc_has(s, F_WANT) || e->no_restart) {
		engine_set_deadline(e, s, 0);
		svc_enter(e, s, ST_DOWN);
	} else if (!s->r.deadline) {
		svc_enter(e, s, ST_WAITING);
		engine_queue(e, svc_index(e, s));
	}
}

static void backoff_over(struct engine *e, struct svc *s)
{
	svc_enter(e, s, ST_WAITING);
	engine_queue(e, svc_index(e, s));
}

/* A failure for the sake of another is tried again when that one has come up; any other failure waits for a person. */
static void failed_poke(struct engine *e, struct svc *s)
{
	bool mended = s->r.why == WHY_DEPENDENCY ? s->r.why_arg < e->n && e->s[s->r.why_arg].r.state == ST_UP
						 : s->r.why == WHY_NO_PROVIDER && order_has_one(e, s->def->requires_one);
	if (mended && svc_has(s, F_WANT) && !e->no_restart) {
		svc_enter(e, s, ST_WAITING);
		engine_queue(e, svc_index(e, s));
	}
}

static void main_executed(struct engine *e, struct svc *s)
{
	if (s->def->type == SVC_LONGRUN && s->def->notify == NOTIFY_NONE && s->r.pid)
		become_up(e, s);
}

static void main_not_executed(struct engine *e, struct svc *s)
{
	enum svc_why why = s->r.why == WHY_SPAWN ? WHY_SPAWN : WHY_EXEC;
	svc_set(e, s, F_BAD, true);
	set_why(s, why, s->r.why_arg);
	s->r.aux = PROC_NONE;
	finish(e, s);
}

static void pre_start_ended(struct engine *e, struct svc *s)
{
	if (s->aux_code == CLD_EXITED && s->aux_status == 0) {
		start_main(e, s);
		return;
	}
	s->r.exit_code = s->aux_code;
	s->r.exit_status = s->aux_status;
	bad(e, s, WHY_PRE_START, 0);
	finish(e, s);
}

static void starting_main_ended(struct engine *e, struct svc *s)
{
	bool failure = restart_is_failure(e, s);
	engine_set_deadline(e, s, 0);
	if (s->def->type == SVC_ONESHOT && !failure) {
		if (svc_has(s, F_CGROUP) && !cfg(e, s)->exec_stop.n && e->ops->empty(e, s))
			svc_set(e, s, F_CGROUP, false);
		become_up(e, s);
		return;
	}
	bad(e, s, failure || s->def->type == SVC_ONESHOT ? WHY_EXIT : WHY_EARLY_EXIT, 0);
	finish(e, s);
}

static void up_main_ended(struct engine *e, struct svc *s)
{
	engine_set_deadline(e, s, 0);
	if (restart_is_failure(e, s))
		bad(e, s, WHY_EXIT, 0);
	svc_enter(e, s, ST_KILLING); /* no longer up: those that need it hear of it now. What it has left behind is killed */
	if (s->r.aux)
		begin_kill(e, s);
	finish(e, s);
}

static void reload_ended(struct engine *e, struct svc *s)
{
	svc_set(e, s, F_RELOAD_FAILED, s->aux_code != CLD_EXITED || s->aux_status);
	svc_set(e, s, F_RELOADING, false);
	svc_touch(s);
}

static void reload_not_executed(struct engine *e, struct svc *s)
{
	s->r.aux = PROC_NONE;
	svc_set(e, s, F_RELOAD_FAILED, true);
	svc_set(e, s, F_RELOADING, false);
}

static void start_timed_out(struct engine *e, struct svc *s)
{
	bad(e, s, WHY_START_TIMEOUT, 0);
	svc_enter(e, s, ST_STOPPING);
	engine_set_deadline(e, s, in(e, cfg(e, s)->stop_timeout));
	send_stop(e, s);
}

static void pre_start_timed_out(struct engine *e, struct svc *s)
{
	bad(e, s, WHY_START_TIMEOUT, 0);
	begin_kill(e, s);
}

/* What it was started to do is over, it says: who needs it hears of it now, and it has the time of a stop to end. How it ends counts as if nobody had
 * been told. */
static void ends_by_itself(struct engine *e, struct svc *s)
{
	svc_set(e, s, F_WD_ON, false);
	svc_enter(e, s, ST_STOPPING);
	engine_set_deadline(e, s, in(e, cfg(e, s)->stop_timeout));
}

static void bite(struct engine *e, struct svc *s)
{
	bad(e, s, WHY_WATCHDOG, 0);
	svc_enter(e, s, ST_STOPPING);
	engine_set_deadline(e, s, in(e, cfg(e, s)->stop_timeout));
	e->ops->signal(e, s, SIGABRT, false); /* so that it leaves a core */
}

static void watchdog_bit(struct engine *e, struct svc *s)
{
	if (svc_has(s, F_WD_ON))
		bite(e, s);
}

/* A process ended while it was being stopped. exec-stop has priority: the signal comes when it has ended. */
static void stopping_main_ended(struct engine *e, struct svc *s)
{
	if (!svc_has(s, F_STOP_ASKED) && restart_is_failure(e, s))
		bad(e, s, WHY_EXIT, 0);
	finish(e, s);
}

static void stopping_aux_ended(struct engine *e, struct svc *s)
{
	if (s->r.pid || (svc_has(s, F_CGROUP) && s->def->type == SVC_ONESHOT))
		send_stop(e, s);
	finish(e, s);
}

static void stopping_aux_failed(struct engine *e, struct svc *s)
{
	s->r.aux = PROC_NONE;
	stopping_aux_ended(e, s);
}

static void stop_timed_out(struct engine *e, struct svc *s)
{
	log_warning("service '%s': not stopped after %.1f s: killing it (stop timeout=)", svc_name(e, s),
		(double)cfg(e, s)->stop_timeout / 1e6);
	svc_set(e, s, F_TIMED_OUT, true);
	begin_kill(e, s);
}

static void post_stop_timed_out(struct engine *e, struct svc *s)
{
	log_warning("service '%s': post-stop not done after %.1f s: killing it", svc_name(e, s), (double)cfg(e, s)->stop_timeout / 1e6);
	begin_kill(e, s);
}

/* Some process doesn't die of SIGKILL: it sits in the kernel. Nobody is to wait for it. */
static void unkillable(struct engine *e, struct svc *s)
{
	log_err("service '%s': still there %u s after SIGKILL (a process that waits in the kernel, see its wchan): left behind",
		svc_name(e, s), KILL_TIMEOUT / 1000000);
	s->r.pid = s->r.aux_pid = 0;
	s->r.aux = PROC_NONE;
	set_why(s, WHY_UNKILLABLE, 0);
	svc_set(e, s, F_RESTART | F_READY | F_BEGUN | F_STOP_ASKED, false);
	svc_enter(e, s, ST_FAILED);
}

static void post_stop_ended(struct engine *e, struct svc *s)
{
	s->r.aux = PROC_NONE;
	finish(e, s);
}

/* A main process that ends while we wait to stop it has saved us the trouble. */
static void stop_wait_main_ended(struct engine *e, struct svc *s)
{
	svc_set(e, s, F_STOP_ASKED, true);
	finish(e, s);
}

static void stop_wait_aux_ended(struct engine *e, struct svc *s)
{
	if (!s->r.pid)
		finish(e, s);
}

/* clang-format off */
static const cell actions[ST_MAX][EV_MAX] = {
	/*                   POKE             EXEC_OK        EXEC_FAIL            READY      MAIN_EXIT             AUX_EXIT             EMPTY    TIMEOUT              STOPPING */
	[ST_DOWN]      = { down_poke,      none,          none,                none,      none,                 none,                none,    none,                none },
	[ST_WAITING]   = { waiting_poke,   none,          none,                none,      none,                 none,                none,    none,                none },
	[ST_PRE_START] = { running_poke,   none,          main_not_executed,   none,      none,                 pre_start_ended,     none,    pre_start_timed_out, none },
	[ST_STARTING]  = { running_poke,   main_executed, main_not_executed,   become_up, starting_main_ended,  none,                none,    start_timed_out,     none },
	[ST_UP]        = { running_poke,   none,          reload_not_executed, none,      up_main_ended,        reload_ended,        none,    watchdog_bit,        ends_by_itself },
	[ST_STOP_WAIT] = { stop_wait_poke, none,          main_not_executed,   none,      stop_wait_main_ended, stop_wait_aux_ended, none,    none,                none },
	[ST_STOPPING]  = { none,           none,          stopping_aux_failed, none,      stopping_main_ended,  stopping_aux_ended,  finish,  stop_timed_out,      none },
	[ST_KILLING]   = { none,           none,          stopping_aux_failed, none,      stopping_main_ended,  finish,              finish,  unkillable,          none },
	[ST_POST_STOP] = { none,           none,          post_stop_ended,     none,      finish,               post_stop_ended,     finish,  post_stop_timed_out, none },
	[ST_BACKOFF]   = { backoff_poke,   none,          none,                none,      none,                 none,                none,    backoff_over,        none },
	[ST_FAILED]    = { failed_poke,    none,          none,                none,      none,                 none,                none,    none,                none },
};
/* clang-format on */

static void done(struct engine *e, struct svc *s)
{
	if (!s->dirty)
		return;
	s->dirty = 0;
	e->ops->commit(e, s);
}

void engine_watchdog(struct engine *e, struct svc *s, uint64_t us)
{
	bool on = us != NEVER && us != 0;
	svc_set(e, s, F_WD_ON, on);
	engine_set_deadline(e, s, on ? in(e, us) : 0);
	done(e, s);
}

void engine_bite(struct engine *e, struct svc *s)
{
	bite(e, s);
	done(e, s);
}

void engine_event(struct engine *e, struct svc *s, enum svc_event ev)
{
	if (ev == EV_EXEC_OK || ev == EV_EXEC_FAIL)
		engine_queue(e, svc_index(e, s)); /* what came up meanwhile */
	if (svc_is_group(s)) {
		if (ev == EV_POKE)
			group_poke(e, s);
	} else {
		actions[s->r.state][ev](e, s);
	}
	done(e, s);
}
