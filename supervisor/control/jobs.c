/* jobs.c: answers that wait until a goal is reached or can't be.
 *
 * A job looks on from the first name that was not there yet, so 1000 names cost 1000 looks in all. Jobs are looked at once per round of the
 * loop in which something has changed. */
#include "supervisor/control/control.h"

#include <signal.h>
#include <string.h>

#define FAIL_LOG_LINES 10
#define SYNC_WAIT 300000u /* us: how long an answer waits for the logger to have written the last lines */

enum verdict { NOT_YET, REACHED, HOPELESS };

struct job {
	struct manager *m;
	struct varlink_call *call;
	enum job_kind kind;
	unsigned state;
	uint32_t *ids, n, at;
	uint32_t *changed, n_changed;
	struct timer timer;
	uint32_t culprit; /* has failed: the answer waits for the log only */
	bool syncing, dead;
	struct job *next;
};

static void job_free(struct job *j)
{
	timer_disarm(j->m->loop, &j->timer);
	varlink_call_on_close(j->call, NULL, NULL);
	varlink_call_unref(j->call);
	free(j->ids);
	free(j->changed);
	free(j);
}

static void job_unlink(struct job *j)
{
	for (struct job **p = &j->m->jobs; *p; p = &(*p)->next)
		if (*p == j) {
			*p = j->next;
			return;
		}
}

static enum verdict look_up(const struct svc *s)
{
	if (s->r.state == ST_UP)
		return svc_has(s, F_WANT) && !svc_has(s, F_RESTART) ? REACHED : NOT_YET;
	if (s->r.state == ST_FAILED || s->r.state == ST_BACKOFF)
		return svc_has(s, F_RESTART) ? NOT_YET : HOPELESS;
	return s->r.state == ST_DOWN && !svc_has(s, F_WANT) ? HOPELESS : NOT_YET;
}

static enum verdict look_down(const struct svc *s)
{
	if (s->r.state == ST_FAILED)
		return s->r.why == WHY_UNKILLABLE ? HOPELESS : REACHED;
	if (svc_has(s, F_WANT) && s->r.state == ST_UP)
		return HOPELESS; /* started again by somebody else meanwhile */
	return s->r.state == ST_DOWN ? REACHED : NOT_YET;
}

static enum verdict look_reloaded(const struct svc *s)
{
	if (s->r.state != ST_UP)
		return HOPELESS;
	if (svc_has(s, F_RELOADING))
		return NOT_YET;
	return svc_has(s, F_RELOAD_FAILED) ? HOPELESS : REACHED;
}

/* The boot target: it has failed only when it has. */
static enum verdict look_target(const struct svc *s)
{
	return s->r.state == ST_UP ? REACHED : s->r.state == ST_FAILED ? HOPELESS : NOT_YET;
}

static enum verdict look(const struct job *j, const struct svc *s)
{
	switch (j->kind) {
	case JOB_UP:
		return look_up(s);
	case JOB_DOWN:
		return look_down(s);
	case JOB_WANTED:
		return svc_has(s, F_WANT) ? look_up(s) : look_down(s);
	case JOB_RELOAD:
		return look_reloaded(s);
	case JOB_TARGET:
		return look_target(s);
	case JOB_SETTLED:
		return svc_settled(s) ? REACHED : NOT_YET;
	default:
		return s->r.state == j->state ? REACHED : NOT_YET;
	}
}

int job_reply_changed(struct manager *m, struct varlink_call *call, const uint32_t *ids, uint32_t n)
{
	return varlink_reply(call, json_pack("{s:o}", "changed", json_names(m, ids, n)));
}

static void reply_done(struct job *j)
{
	struct manager *m = j->m;
	if (j->kind == JOB_UP || j->kind == JOB_DOWN || j->kind == JOB_WANTED || j->kind == JOB_RELOAD) {
		job_reply_changed(m, j->call, j->changed, j->n_changed);
		return;
	}
	json_t *a = json_array();
	for (uint32_t k = 0; a && k < j->n; k++)
		json_array_append_new(a, json_service(m, &m->e.s[j->ids[k]]));
	varlink_reply(j->call, json_pack("{s:o}", "services", a));
}

/* An answer that waits for the last lines of a log. */
struct failure {
	struct varlink_call *call;
	json_t *error;
};

static void on_tail(struct manager *m, json_t *lines, void *data)
{
	struct failure *f = data;
	json_object_set_new(f->error, "log", lines);
	varlink_error(f->call, IFACE ".StartFailed", f->error);
	varlink_call_unref(f->call);
	free(f);
}

static void reply_failed(struct job *j)
{
	struct manager *m = j->m;
	const struct svc *s = &m->e.s[j->culprit];
	char why[256];
	svc_reason(&m->e, s, why, sizeof(why));
	if (j->kind == JOB_DOWN || (j->kind == JOB_WANTED && !svc_has(s, F_WANT))) {
		varlink_error(j->call, IFACE ".StopFailed",
			json_pack("{s:s,s:s}", "name", nm(m, s), "reason", *why ? why : "it was started again"));
		return;
	}
	if (!*why)
		snprintf(why, sizeof(why), "%s",
			j->kind == JOB_RELOAD ? s->r.state != ST_UP ? "it is not up any more" : cfg(&m->e, s)->exec_reload.n ? "exec-reload failed" : "it has not answered the reload signal in time (start-timeout=)"
			: s->r.exit_code == CLD_EXITED ? "it has ended"
					      : "it was stopped");
	json_t *o = json_pack("{s:s,s:s}", "name", nm(m, s), "reason", why);
	struct failure *f = o ? calloc(1, sizeof(*f)) : NULL;
	if (o)
		json_set_opt(o, "exit", json_exit(s));
	if (!f) {
		varlink_error(j->call, IFACE ".StartFailed", o);
		return;
	}
	*f = (struct failure){varlink_call_ref(j->call), o};
	tail_begin(m, nm(m, s), FAIL_LOG_LINES, on_tail, f);
}

static void finish_failed(struct job *j)
{
	job_unlink(j);
	if (!j->dead && j->culprit < j->m->e.n)
		reply_failed(j);
	else if (!j->dead)
		varlink_error_errno(j->call, -ENOENT, "the service was removed meanwhile");
	j->dead = true;
	if (!j->syncing)
		job_free(j);
}

static void on_synced(struct manager *m, int error, void *data)
{
	struct job *j = data;
	j->syncing = false;
	if (j->dead)
		job_free(j);
	else
		finish_failed(j);
}

static int on_sync_timeout(struct timer *t, void *data)
{
	finish_failed(data);
	return 0;
}

/* The last words of what failed are often on their way to the file. */
static void fail(struct job *j, uint32_t culprit)
{
	j->culprit = culprit;
	timer_disarm(j->m->loop, &j->timer);
	timer_init(&j->timer, on_sync_timeout, j);
	j->syncing = j->kind != JOB_DOWN && output_sync(j->m, false, on_synced, j) == 0;
	if (j->syncing)
		timer_arm_in(j->m->loop, &j->timer, SYNC_WAIT);
	else
		finish_failed(j);
}

static void check(struct job *j)
{
	for (; j->at < j->n; j->at++) {
		enum verdict v = look(j, &j->m->e.s[j->ids[j->at]]);
		if (v == NOT_YET)
			return;
		if (v == HOPELESS) {
			fail(j, j->ids[j->at]);
			return;
		}
	}
	reply_done(j);
	job_unlink(j);
	job_free(j);
}

void jobs_check(struct manager *m)
{
	if (!m->jobs_dirty)
		return;
	m->jobs_dirty = false;
	for (struct job *j = m->jobs, *next; j; j = next) {
		next = j->next;
		if (j->culprit == NONE)
			check(j);
	}
}

static void on_close(struct varlink_call *c, void *data)
{
	struct job *j = data;
	job_unlink(j);
	j->dead = true;
	if (!j->syncing)
		job_free(j);
}

static int on_timeout(struct timer *t, void *data)
{
	struct job *j = data;
	json_t *o = json_object();
	if (o && j->at < j->n) {
		json_object_set_new(o, "name", json_string(nm(j->m, &j->m->e.s[j->ids[j->at]])));
		json_object_set_new(o, "state", json_string(svc_state_name(j->m->e.s[j->ids[j->at]].r.state)));
	}
	varlink_error(j->call, IFACE ".Timeout", o);
	job_unlink(j);
	job_free(j);
	return 0;
}

static uint32_t *copy(const uint32_t *v, uint32_t n)
{
	uint32_t *p = malloc((n + 1) * sizeof(*p));
	if (p && n)
		memcpy(p, v, n * sizeof(*p));
	return p;
}

int job_add(struct manager *m, struct varlink_call *call, const struct job_spec *spec)
{
	struct job *j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	*j = (struct job){.m = m,
		.kind = spec->kind,
		.state = spec->state,
		.n = spec->n,
		.n_changed = spec->n_changed,
		.culprit = NONE,
		.ids = copy(spec->ids, spec->n),
		.changed = copy(spec->changed, spec->n_changed)};
	if (!j->ids || !j->changed) {
		free(j->ids);
		free(j->changed);
		free(j);
		return -ENOMEM;
	}
	j->call = varlink_call_ref(call);
	j->next = m->jobs;
	m->jobs = j;
	timer_init(&j->timer, on_timeout, j);
	if (spec->timeout_us != NEVER)
		timer_arm_in(m->loop, &j->timer, MAX(spec->timeout_us, 1u));
	varlink_call_on_close(call, on_close, j);
	m->jobs_dirty = true;
	manager_schedule(m);
	return 0;
}

/* The set of services has changed: map tells the new index of each old one, NONE if it is gone. */
void jobs_renumber(struct manager *m, const uint32_t *map, uint32_t n)
{
	for (struct job *j = m->jobs; j; j = j->next) {
		uint32_t k = 0, c = 0;
		for (uint32_t i = 0; i < j->n; i++)
			if (map[j->ids[i]] != NONE)
				j->ids[k++] = map[j->ids[i]];
			else if (i < j->at)
				j->at--;
		j->n = k;
		for (uint32_t i = 0; i < j->n_changed; i++)
			if (map[j->changed[i]] != NONE)
				j->changed[c++] = map[j->changed[i]];
		j->n_changed = c;
		if (j->culprit != NONE)
			j->culprit = map[j->culprit];
	}
	m->jobs_dirty = true;
}
