/* manager.c: the engine on top of the event loop. */
#include "supervisor/manager.h"

#include <string.h>

#define RUN_BUDGET 64u /* services looked at before the loop hears of other things again */
#define TIMER_SLACK                                                                                                                        \
	1000000u /* us: a timer that is set this little too early stays: it fires for nothing once, rather than being set anew for each    \
		    service */

static int on_run(void *data)
{
	struct manager *m = data;
	m->run_deferred = false;
	if (engine_run(&m->e, RUN_BUDGET))
		manager_schedule(m);
	else
		boot_check(m);
	apply_check(m);
	jobs_check(m);
	manager_set_timer(m);
	power_check(m);
	idle_check(m);
	return 0;
}

void manager_run_now(struct manager *m)
{
	if (m->ready)
		engine_run(&m->e, RUN_BUDGET); /* the rest, and whoever waits for it, at the end of the round as always */
}

void manager_schedule(struct manager *m)
{
	if (m->run_deferred || !m->loop)
		return;
	m->run_deferred = loop_defer(m->loop, on_run, m) == 0;
	if (!m->run_deferred) /* no memory for the list of deferred calls: now, then */
		engine_run(&m->e, RUN_BUDGET);
}

void manager_deliver(struct manager *m, struct svc *s, enum svc_event ev)
{
	engine_event(&m->e, s, ev);
	manager_schedule(m);
}

static int on_timer(struct timer *t, void *data)
{
	struct manager *m = data;
	engine_expire(&m->e, now_us());
	manager_schedule(m);
	return 0;
}

void manager_set_timer(struct manager *m)
{
	uint64_t next = engine_next_deadline(&m->e), set = m->timer.when_us;
	if (!m->timer.cb)
		timer_init(&m->timer, on_timer, m);
	if (!next)
		timer_disarm(m->loop, &m->timer);
	else if (!set || next < set || next - set > TIMER_SLACK)
		timer_arm_at(m->loop, &m->timer, next);
}

/* --- the engine's way out --- */

static void op_commit(struct engine *e, struct svc *s)
{
	struct manager *m = engine_manager(e);
	state_put(&m->st, svc_index(e, s), &s->r);
	FAULT_POINT("committed");
}

static void say(struct manager *m, struct svc *s, enum svc_state old)
{
	char why[256];
	svc_reason(&m->e, s, why, sizeof(why));
	switch (s->r.state) {
	case ST_FAILED:
		log_err("service '%s': failed: %s", nm(m, s), why);
		break;
	case ST_BACKOFF:
		log_warning("service '%s': %s: starting it again", nm(m, s), *why ? why : "ended");
		break;
	default:
		log_debug("service '%s': %s -> %s %s", nm(m, s), svc_state_name(old), svc_state_name(s->r.state), why);
	}
	if (s->r.state == ST_KILLING && m->st.boot.power && svc_has(s, F_TIMED_OUT))
		output_console(m, "rastd: %s has not stopped within %.6g s: SIGKILL", nm(m, s), (double)cfg(&m->e, s)->stop_timeout / 1e6);
	if (!m->opt.show)
		return;
	if (s->r.state == ST_UP)
		output_console(m, "[  OK  ] %s", nm(m, s));
	else if (s->r.state == ST_FAILED)
		output_console(m, "[FAILED] %s: %s", nm(m, s), why);
	else if (s->r.state == ST_DOWN && old != ST_WAITING && old != ST_FAILED)
		output_console(m, "[ down ] %s", nm(m, s));
}

static void op_changed(struct engine *e, struct svc *s, enum svc_state old)
{
	struct manager *m = engine_manager(e);
	bool over = s->r.state == ST_DOWN || s->r.state == ST_FAILED || s->r.state == ST_BACKOFF ||
		    (s->r.state == ST_UP && s->def->type == SVC_ONESHOT);
	if (over && old != ST_WAITING)
		output_ended(m, s);
	if ((s->r.state == ST_DOWN || s->r.state == ST_FAILED) && (s->cgroup_kept || old == ST_BACKOFF || old == ST_WAITING))
		cgroups_drop(m, s); /* not only if we know that it was kept: a former rastd may have kept it */
	if (s->r.state == ST_DOWN && s->ext && s->ext->n_fds)
		fdstore_drop(m, s);
	if (s->ext && old == ST_WAITING && (s->r.state == ST_PRE_START || s->r.state == ST_STARTING))
		said_forget(m, s);
	if (svc_index(e, s) == m->logger && s->r.state != ST_UP)
		output_logger_gone(m);
	m->jobs_dirty = true;
	say(m, s, old);
	events_state(m, s, old);
}

static uint64_t op_now(struct engine *e)
{
	return now_us();
}

const struct engine_ops manager_ops = {
	.spawn = spawn_gather,
	.signal = cgroups_signal,
	.kill = cgroups_kill,
	.empty = cgroups_empty,
	.commit = op_commit,
	.changed = op_changed,
	.flush = spawn_flush,
	.now = op_now,
};

int manager_load(struct manager *m, const struct graph *g)
{
	int r = engine_init(&m->e, g, &manager_ops, m);
	if (r < 0)
		return r;
	m->g = g;
	idle_due(m);
	return 0;
}

/* --- the rare parts --- */

struct svc_ext *manager_ext(struct manager *m, struct svc *s)
{
	if (s->ext)
		return s->ext;
	struct svc_ext *x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->manager = m;
	x->i = svc_index(&m->e, s);
	x->notify_fd = x->own_notify_fd = x->exec_fd = x->main_pidfd = x->pipe_fd = -1;
	return s->ext = x;
}

void manager_ext_free(struct manager *m, struct svc *s)
{
	struct svc_ext *x = s->ext;
	if (!x)
		return;
	notify_forget(m, s);
	notify_forget_own(m, s);
	exits_unwatch(m, s);
	loop_remove_fd(x->exec_source);
	closep(&x->exec_fd);
	fdstore_drop(m, s);
	said_forget(m, s);
	timer_disarm(m->loop, &x->reload_timer);
	closep(&x->pipe_fd);
	free(x);
	s->ext = NULL;
}

#ifdef RAST_FAULTS
/* RAST_CRASH_AT=point:n: die of SIGKILL when the point is passed the n-th time. */
void fault_point(const char *name)
{
	static int left = -1;
	const char *spec = getenv("RAST_CRASH_AT");
	size_t n = strlen(name);
	if (!spec || strncmp(spec, name, n) || spec[n] != ':')
		return;
	if (left < 0)
		left = atoi(spec + n + 1);
	if (--left == 0)
		kill(getpid(), SIGKILL);
}
#endif
