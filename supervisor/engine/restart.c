/* restart.c: what a service's end means, and whether and when it is started again.
 *
 * The limit is exact: within any span of `interval` it is started at most `limit` times. The delay doubles with each failure up to
 * delay-max and is back at its first value once the service has stayed up for `interval`. */
#include "supervisor/engine/engine-priv.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

bool restart_is_failure(const struct engine *e, const struct svc *s)
{
	int how = s->r.exit_code == CLD_EXITED ? s->r.exit_status : -(int)s->r.exit_status;
	if (s->r.exit_code == CLD_EXITED && how == 0)
		return false;
	const int32_t *ok = graph_at(e->g, cfg(e, s)->success);
	for (uint32_t k = 0; k < cfg(e, s)->n_success; k++)
		if (ok[k] == how)
			return false;
	return true;
}

static uint32_t ring_size(const struct engine *e, const struct svc *s)
{
	return MIN(cfg(e, s)->restart_limit, LIMIT_RING);
}

/* A new rastd knows how many starts count and when the first and the last one were: the others are taken to be as late as the last. */
static bool ring_make(const struct engine *e, struct svc *s)
{
	uint32_t n = ring_size(e, s);
	if (s->ring || !n)
		return s->ring;
	s->ring = calloc(n, sizeof(*s->ring));
	for (uint32_t k = 0; s->ring && k < s->r.starts && k < n; k++)
		s->ring[k] = k ? s->r.started : s->r.window;
	return s->ring;
}

/* Forget the starts that are older than the interval. Starts are kept oldest first. */
static void ring_expire(const struct engine *e, struct svc *s, uint64_t now)
{
	uint32_t old = 0;
	while (old < s->r.starts && s->ring[old] + cfg(e, s)->restart_interval <= now)
		old++;
	for (uint32_t k = old; old && k < s->r.starts; k++)
		s->ring[k - old] = s->ring[k];
	s->r.starts = (uint16_t)(s->r.starts - old);
}

/* Limits above LIMIT_RING are counted in fixed spans. */
static void window_expire(const struct engine *e, struct svc *s, uint64_t now)
{
	if (now - s->r.window >= cfg(e, s)->restart_interval)
		s->r.starts = 0;
}

static void expire(const struct engine *e, struct svc *s, uint64_t now)
{
	if (cfg(e, s)->restart_limit <= LIMIT_RING && ring_make(e, s))
		ring_expire(e, s, now);
	else
		window_expire(e, s, now);
	if (s->ring && s->r.starts)
		s->r.window = s->ring[0];
}

static bool limit_reached(const struct engine *e, struct svc *s, uint64_t now)
{
	if (cfg(e, s)->restart_limit == UINT32_MAX)
		return false;
	expire(e, s, now);
	return s->r.starts >= cfg(e, s)->restart_limit;
}

void restart_note_start(struct engine *e, struct svc *s, uint64_t now)
{
	if (s->r.starts && cfg(e, s)->restart_limit != UINT32_MAX)
		expire(e, s, now);
	if (!s->r.starts)
		s->r.window = now;
	if (s->ring && s->r.starts < ring_size(e, s))
		s->ring[s->r.starts] = now;
	if (s->r.starts < UINT16_MAX)
		s->r.starts++;
	svc_touch(s);
}

void restart_forget(struct svc *s)
{
	s->r.starts = 0;
	s->r.backoff = 0;
	free(s->ring);
	s->ring = NULL;
	svc_touch(s);
}

/* A first delay of 0 means at once; from the second failure in a row on it grows as if it had been 1 ms, unless delay-max is 0, too. */
static uint64_t next_delay(const struct engine *e, struct svc *s)
{
	uint64_t d = cfg(e, s)->restart_delay, max = MAX(cfg(e, s)->restart_delay_max, d);
	for (unsigned k = 0; k < s->r.backoff && d < max; k++)
		d = d ? d * 2 : 1000;
	if (s->r.backoff < 63)
		s->r.backoff++;
	return MIN(d, max);
}

static void again(struct engine *e, struct svc *s, uint64_t delay)
{
	svc_set(e, s, F_AGAIN, true);
	svc_enter(e, s, ST_BACKOFF);
	if (delay)
		engine_set_deadline(e, s, e->ops->now(e) + delay);
	else
		engine_queue(e, svc_index(e, s)); /* the machine sees that no deadline is set */
}

static void give_up(struct engine *e, struct svc *s, bool failed)
{
	if (failed) {
		svc_enter(e, s, ST_FAILED);
		return;
	}
	s->r.why = WHY_NONE;
	svc_set(e, s, F_WANT | F_EXPLICIT, false);
	svc_enter(e, s, ST_DOWN);
}

static void decide_by_policy(struct engine *e, struct svc *s)
{
	bool bad = svc_has(s, F_BAD);
	uint64_t now = e->ops->now(e);
	if (svc_has(s, F_READY) && now - s->r.ready >= cfg(e, s)->restart_interval)
		s->r.backoff = 0;
	if (s->r.why == WHY_SPAWN) {
		again(e, s, SPAWN_RETRY);
	} else if (s->def->restart == RESTART_NO || (s->def->restart == RESTART_ON_FAILURE && !bad) ||
		   (s->def->type == SVC_ONESHOT && !bad)) {
		give_up(e, s, bad);
	} else if (limit_reached(e, s, now)) {
		s->r.why_last = s->r.why;
		s->r.why = WHY_LIMIT;
		svc_enter(e, s, ST_FAILED);
	} else {
		again(e, s, next_delay(e, s));
	}
}

void restart_decide(struct engine *e, struct svc *s)
{
	bool again_asked = svc_has(s, F_RESTART) && svc_has(s, F_WANT), wanted = svc_has(s, F_WANT), by_itself = !svc_has(s, F_STOP_ASKED);
	engine_set_deadline(e, s, 0);
	if (!wanted) {
		s->r.why = s->r.why == WHY_UNKILLABLE ? WHY_UNKILLABLE : WHY_NONE;
		svc_enter(e, s, ST_DOWN);
	} else if (again_asked || !by_itself) { /* stopped on request, and asked to come back since */
		svc_enter(e, s, ST_WAITING);
		engine_queue(e, svc_index(e, s));
	} else {
		decide_by_policy(e, s);
	}
	svc_set(e, s, F_RESTART | F_READY | F_BAD | F_BEGUN | F_POST_DONE | F_RELOADING | F_TIMED_OUT | F_WD_ON | F_STOP_ASKED, false);
}
