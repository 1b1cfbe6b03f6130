/* reload.c: rastctl reload: exec-reload, or a signal; with reload-notify the signal is answered by RELOADING=1 and then READY=1 (as Type=notify-reload of
 * systemd.service(5) has it). Both are over when start-timeout is. F_RELOADING in the record says that one is under way, to a new rastd, too. */
#include "supervisor/manager.h"

#include <signal.h>

static bool by_signal(struct manager *m, const struct svc *s)
{
	return !cfg(&m->e, s)->exec_reload.n;
}

const char *reload_refused(struct manager *m, const struct svc *s)
{
	const struct gsettings *g = cfg(&m->e, s);
	if (by_signal(m, s))
		return g->reload_signal > 0 ? NULL : "has neither exec-reload nor reload-signal; restart it";
	return NULL;
}

void reload_ended(struct manager *m, struct svc *s, bool good)
{
	if (s->ext) {
		timer_disarm(m->loop, &s->ext->reload_timer);
		s->ext->reload_asked = 0;
	}
	s->r.flags &= (uint16_t)~(F_RELOADING | F_RELOAD_FAILED);
	s->r.flags |= good ? 0 : F_RELOAD_FAILED;
	m->e.ops->commit(&m->e, s);
	m->jobs_dirty = true;
	manager_schedule(m);
}

static int on_timeout(struct timer *t, void *data)
{
	struct svc_ext *x = data;
	struct svc *s = ext_svc(x);
	struct manager *m = x->manager;
	if (!svc_has(s, F_RELOADING) || s->r.state != ST_UP)
		return 0;
	log_warning("service '%s': its reload is not done after %.6g s (start-timeout=)%s", nm(m, s), (double)cfg(&m->e, s)->start_timeout / 1e6,
		s->r.aux_pid ? ": exec-reload is killed" : "");
	if (s->r.aux == PROC_RELOAD && s->r.aux_pid)
		kill(-s->r.aux_pid, SIGKILL); /* it leads a session; its end is the reload's */
	else if (s->r.aux != PROC_RELOAD)
		reload_ended(m, s, false);
	return 0;
}

static int wait_for_it(struct manager *m, struct svc *s)
{
	struct svc_ext *x = manager_ext(m, s);
	uint64_t limit = cfg(&m->e, s)->start_timeout;
	if (!x)
		return -ENOMEM;
	timer_disarm(m->loop, &x->reload_timer);
	timer_init(&x->reload_timer, on_timeout, x);
	return limit == NEVER ? 0 : timer_arm_in(m->loop, &x->reload_timer, limit);
}

static int run_command(struct manager *m, struct svc *s)
{
	s->r.aux = PROC_RELOAD;
	s->r.aux_pid = 0;
	int r = spawn_gather(&m->e, s, PROC_RELOAD);
	if (r < 0) {
		s->r.aux = PROC_NONE;
		return r;
	}
	s->spawning = 1;
	s->r.flags |= F_RELOADING | F_CGROUP;
	return 0;
}

int reload_begin(struct manager *m, struct svc *s)
{
	bool waits = !by_signal(m, s) || s->def->reload_notify;
	int r = waits ? wait_for_it(m, s) : 0;
	s->r.flags &= (uint16_t)~F_RELOAD_FAILED;
	if (r < 0)
		return r;
	if (!by_signal(m, s)) {
		r = run_command(m, s);
	} else {
		if (waits) {
			s->r.flags |= F_RELOADING;
			s->ext->reload_asked = now_us();
			s->ext->reload_heard = false;
		}
		cgroups_signal(&m->e, s, cfg(&m->e, s)->reload_signal, false);
	}
	m->e.ops->commit(&m->e, s);
	return r;
}

/* MONOTONIC_USEC= tells an answer to our signal from news of a reload before it, which was on its way (sd_notify(3)). */
void reload_says(struct manager *m, struct svc *s, uint64_t when)
{
	struct svc_ext *x = s->ext;
	if (s->r.state != ST_UP)
		return;
	if (x && x->reload_asked && when < x->reload_asked) {
		log_warning("service '%s': RELOADING=1 %s: not taken for the answer to its reload signal", nm(m, s),
			when ? "was said before" : "came without MONOTONIC_USEC=");
		return;
	}
	if (x)
		x->reload_heard = true;
	s->r.flags |= F_RELOADING;
	m->e.ops->commit(&m->e, s);
}

bool reload_ready(struct manager *m, struct svc *s)
{
	if (!svc_has(s, F_RELOADING) || s->r.state != ST_UP || s->r.aux == PROC_RELOAD)
		return false;
	if (!s->ext || !s->ext->reload_asked || s->ext->reload_heard)
		reload_ended(m, s, true);
	return true;
}

void reload_extend(struct manager *m, struct svc *s, uint64_t until)
{
	if (s->ext && timer_armed(&s->ext->reload_timer) && until > s->ext->reload_timer.when_us)
		timer_arm_at(m->loop, &s->ext->reload_timer, until);
}

void reload_resume(struct manager *m, struct svc *s)
{
	if (svc_has(s, F_RELOADING) && s->r.state == ST_UP && (s->def->reload_notify || s->r.aux == PROC_RELOAD))
		wait_for_it(m, s);
}
