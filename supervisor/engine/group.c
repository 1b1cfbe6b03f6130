/* group.c: bundles and virtual services: no process, only a state that follows from others.
 *
 * A bundle is up when its members are; a member that somebody has stopped on purpose, or that has ended as it may, is left out. It has
 * failed when a member has failed and the others have settled. A virtual service is up when one of its providers is; when none is, the best
 * one that has not failed is started. */
#include "supervisor/engine/engine-priv.h"

static void group_fail(struct engine *e, struct svc *s, enum svc_why why, uint32_t who)
{
	s->r.why = (uint8_t)why;
	s->r.why_arg = who;
	s->blocker = NONE;
	svc_touch(s);
	svc_enter(e, s, ST_FAILED);
}

static bool on_its_way(const struct svc *m)
{
	if (!svc_has(m, F_WANT))
		return false;
	return m->r.state == ST_UP ? svc_has(m, F_RESTART) : m->r.state != ST_FAILED;
}

/* The k-th of what a bundle waits for: its members, then what it wants; of the latter one that died and will be started again is not waited
 * for. */
static bool waits_for(const struct engine *e, const struct svc *s, uint32_t k, uint32_t *who)
{
	uint32_t n = s->def->contents.n;
	*who = k < n ? graph_ids(e->g, s->def->contents)[k] : graph_ids(e->g, s->def->wants)[k - n];
	return on_its_way(&e->s[*who]) && !(k >= n && e->s[*who].r.state == ST_BACKOFF);
}

/* GO: all are up, WAIT: *who is on its way, FAIL: *who has failed and the others have settled. Looks on from s->scan, then once more at
 * what was before. */
static enum order bundle_look(struct engine *e, struct svc *s, uint32_t *who)
{
	const uint32_t *ids = graph_ids(e->g, s->def->contents);
	uint32_t total = s->def->contents.n + s->def->wants.n, first = MIN(s->scan, total);
	for (s->scan = first; s->scan < total; s->scan++)
		if (waits_for(e, s, s->scan, who))
			return ORDER_WAIT;
	for (s->scan = 0; s->scan < first; s->scan++)
		if (waits_for(e, s, s->scan, who))
			return ORDER_WAIT;
	s->scan = 0;
	for (uint32_t k = 0; k < s->def->contents.n; k++)
		if (e->s[ids[k]].r.state == ST_FAILED && svc_has(&e->s[ids[k]], F_WANT)) {
			*who = ids[k];
			return ORDER_FAIL;
		}
	return ORDER_GO;
}

static enum order depends_look(struct engine *e, struct svc *s, uint32_t *who)
{
	const uint32_t *ids = graph_ids(e->g, s->def->depends);
	enum order worst = ORDER_GO;
	for (uint32_t k = 0; k < s->def->depends.n; k++) {
		const struct svc *d = &e->s[ids[k]];
		if (d->r.state == ST_UP && !svc_has(d, F_RESTART))
			continue;
		*who = ids[k];
		if (!on_its_way(d))
			return ORDER_FAIL;
		worst = ORDER_WAIT;
	}
	ids = graph_ids(e->g, s->def->conflicts);
	for (uint32_t k = 0; worst == ORDER_GO && k < s->def->conflicts.n; k++)
		if (svc_active(&e->s[ids[k]])) {
			*who = ids[k];
			worst = ORDER_WAIT;
		}
	return worst;
}

static void group_up(struct engine *e, struct svc *s, uint32_t provider)
{
	if (s->r.provider != provider) {
		s->r.provider = provider;
		svc_touch(s);
	}
	if (s->r.state == ST_UP)
		return;
	s->r.why = WHY_NONE;
	s->r.ready = e->ops->now(e);
	s->blocker = NONE;
	svc_enter(e, s, ST_UP);
}

/* Up, and nothing it stands on has gone. */
static bool stays_up(struct engine *e, const struct svc *s)
{
	if (s->r.state != ST_UP)
		return false;
	if (s->def->type == SVC_VIRTUAL &&
		(s->r.provider >= e->n || e->s[s->r.provider].r.state != ST_UP || svc_stopping(&e->s[s->r.provider])))
		return false;
	return !s->r.lost;
}

/* Until what it failed for is up, and all else is well, or somebody asks: to stop or to forget the culprit doesn't make it good. */
static bool stays_failed(const struct engine *e, const struct svc *s)
{
	return s->r.state == ST_FAILED && s->r.why != WHY_NO_PROVIDER && s->r.why_arg < e->n && e->s[s->r.why_arg].r.state != ST_UP;
}

static void group_wanted(struct engine *e, struct svc *s)
{
	uint32_t who = NONE;
	bool virt = s->def->type == SVC_VIRTUAL;
	if (stays_up(e, s) || stays_failed(e, s))
		return;
	if (s->r.lost) {
		s->r.lost = 0;
		svc_touch(s);
	}
	enum order r = depends_look(e, s, &who);
	enum svc_why why = WHY_DEPENDENCY;
	if (r == ORDER_GO) {
		r = virt ? order_one_of(e, s, s->def->contents, &who) : bundle_look(e, s, &who);
		why = virt ? WHY_NO_PROVIDER : WHY_MEMBER;
	}
	if (r == ORDER_WAIT && s->r.state == ST_FAILED)
		return;
	if (r == ORDER_GO) {
		group_up(e, s, virt ? who : NONE);
	} else if (r == ORDER_FAIL) {
		group_fail(e, s, why, who);
	} else {
		uint32_t scan = s->scan;
		svc_enter(e, s, ST_WAITING);
		s->scan = scan;
		s->blocker = who;
	}
}

/* Its dependents go first; its members are marked by themselves. */
static void group_leave(struct engine *e, struct svc *s)
{
	if (s->r.state == ST_UP)
		svc_enter(e, s, ST_STOP_WAIT);
	if (s->r.state == ST_STOP_WAIT && order_stop(e, s) == ORDER_WAIT)
		return;
	s->blocker = NONE;
	if (svc_has(s, F_WANT)) {
		svc_set(e, s, F_RESTART, false);
		svc_enter(e, s, ST_WAITING);
		engine_queue(e, svc_index(e, s));
		return;
	}
	s->r.provider = NONE;
	s->r.why = WHY_NONE;
	svc_set(e, s, F_RESTART, false);
	svc_touch(s);
	svc_enter(e, s, ST_DOWN);
}

void group_poke(struct engine *e, struct svc *s)
{
	bool leaving = !svc_has(s, F_WANT) || svc_has(s, F_RESTART);
	if (leaving && s->r.state != ST_DOWN)
		group_leave(e, s);
	else if (!leaving)
		group_wanted(e, s);
}
