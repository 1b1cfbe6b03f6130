/* order.c: when a service may start, when it may stop, and what happens to others when it is no longer there.
 *
 * A look at many others goes on where it stopped last time (svc.scan), and names whom it waits for (svc.blocker); the one that is waited
 * for wakes it. Before the answer "go" everything is looked at once more, since what was seen first may have changed since. */
#include "supervisor/engine/engine-priv.h"

enum edge { EDGE_HARD, EDGE_SOFT, EDGE_CONFLICT };

static bool is_up(const struct svc *d)
{
	return d->r.state == ST_UP && svc_has(d, F_WANT) && !svc_has(d, F_RESTART);
}

static enum order look_hard(const struct svc *d)
{
	if (is_up(d))
		return ORDER_GO;
	bool hopeless = d->r.state == ST_FAILED || (d->r.state == ST_DOWN && !svc_has(d, F_WANT));
	return hopeless ? ORDER_FAIL : ORDER_WAIT;
}

/* wants and after: wait while it is on its way. One that died and will be started again has had its chance: a crash loop of something that
 * is only wished for holds nobody up. */
static enum order look_soft(const struct svc *d)
{
	if (d->r.state == ST_UP)
		return is_up(d) ? ORDER_GO : ORDER_WAIT;
	if (d->r.state == ST_DOWN)
		return svc_has(d, F_WANT) ? ORDER_WAIT : ORDER_GO;
	return d->r.state == ST_FAILED || d->r.state == ST_BACKOFF ? ORDER_GO : ORDER_WAIT;
}

/* What has failed is in nobody's way, though it is wanted still: the next provider may conflict with the one before. */
static enum order look_conflict(const struct svc *d)
{
	if (!svc_active(d) && (!svc_has(d, F_WANT) || d->r.state == ST_FAILED))
		return ORDER_GO;
	return svc_has(d, F_WANT) ? ORDER_CONFLICT : ORDER_WAIT;
}

static enum order look(const struct svc *d, enum edge kind)
{
	return kind == EDGE_HARD ? look_hard(d) : kind == EDGE_SOFT ? look_soft(d) : look_conflict(d);
}

/* Go over the edges from s->scan on. */
static enum order scan_edges(struct engine *e, struct svc *s, uint32_t *who)
{
	const struct {
		struct gids l;
		enum edge kind;
	} lists[] = {
		{s->def->depends, EDGE_HARD}, {s->def->wants, EDGE_SOFT}, {s->def->after, EDGE_SOFT}, {s->def->conflicts, EDGE_CONFLICT}};
	uint32_t base = 0;
	for (size_t i = 0; i < ARRAY_SIZE(lists); base += lists[i].l.n, i++) {
		const uint32_t *ids = graph_ids(e->g, lists[i].l);
		for (; s->scan < base + lists[i].l.n; s->scan++) {
			*who = ids[s->scan - base];
			enum order r = look(&e->s[*who], lists[i].kind);
			if (r != ORDER_GO)
				return r;
		}
	}
	return ORDER_GO;
}

/* The first of the list that is worth starting, started. */
static enum order start_one_of(struct engine *e, const uint32_t *ids, uint32_t n, uint32_t *who)
{
	for (uint32_t k = 0; k < n; k++) {
		struct mark m = {0};
		bool hopeless = e->s[ids[k]].r.state == ST_FAILED || svc_has(&e->s[ids[k]], F_MASKED);
		int r = hopeless ? -1 : mark_start(e, &ids[k], 1, MARK_IMPLICIT, &m);
		mark_clear(&m);
		if (r < 0)
			continue;
		*who = ids[k];
		return ORDER_WAIT;
	}
	return ORDER_FAIL;
}

enum order order_one_of(struct engine *e, struct svc *s, struct gids list, uint32_t *who)
{
	const uint32_t *ids = graph_ids(e->g, list);
	bool coming = false;
	for (uint32_t k = 0; k < list.n; k++) {
		struct svc *d = &e->s[ids[k]];
		if (is_up(d)) {
			*who = ids[k];
			return ORDER_GO;
		}
		if (!coming && svc_has(d, F_WANT) && d->r.state != ST_FAILED) {
			coming = true;
			*who = ids[k];
		}
	}
	if (coming)
		return ORDER_WAIT;
	return s->r.state == ST_FAILED ? ORDER_FAIL : start_one_of(e, ids, list.n, who); /* what has failed waits for a request */
}

enum order order_start(struct engine *e, struct svc *s, uint32_t *who)
{
	uint32_t first = s->scan;
	enum order r = scan_edges(e, s, who);
	if (r == ORDER_GO && first) {
		s->scan = 0;
		r = scan_edges(e, s, who);
	}
	if (r == ORDER_GO && s->def->requires_one.n && !svc_is_group(s)) {
		if ((r = order_one_of(e, s, s->def->requires_one, who)) == ORDER_FAIL)
			*who = NONE;
	}
	s->blocker = r == ORDER_WAIT ? *who : NONE;
	if (r != ORDER_WAIT)
		s->scan = 0;
	return r;
}

/* --- stopping --- */

static bool hinders(struct engine *e, struct svc *s, struct gids l, bool (*test)(const struct svc *))
{
	const uint32_t *ids = graph_ids(e->g, l);
	for (uint32_t k = 0; k < l.n; k++)
		if (test(&e->s[ids[k]])) {
			s->blocker = ids[k];
			return true;
		}
	return false;
}

static bool watcher_stops_first(const struct svc *o)
{
	return svc_is_group(o) ? o->r.state == ST_STOP_WAIT : svc_stopping(o);
}

enum order order_stop(struct engine *e, struct svc *s)
{
	const struct gservice *d = s->def;
	if (s->blocker != NONE && svc_stopping(&e->s[s->blocker])) /* most often still the same one */
		return ORDER_WAIT;
	bool wait = hinders(e, s, d->dependents, svc_active) || hinders(e, s, d->wanted_by, svc_stopping) ||
		    hinders(e, s, d->before, svc_stopping) || hinders(e, s, d->watched_by, watcher_stops_first);
	if (!wait)
		s->blocker = NONE;
	return wait ? ORDER_WAIT : ORDER_GO;
}

bool order_has_one(const struct engine *e, struct gids l)
{
	const uint32_t *ids = graph_ids(e->g, l);
	for (uint32_t k = 0; k < l.n; k++)
		if (is_up(&e->s[ids[k]]))
			return true;
	return false;
}

static void withdraw_from(struct engine *e, uint32_t i)
{
	struct svc *x = &e->s[i];
	if (!svc_active(x))
		return;
	svc_set(e, x, F_RESTART, true);
	engine_queue(e, i);
	e->ops->commit(e, x);
}

void order_withdraw(struct engine *e, struct svc *s)
{
	const uint32_t *ids = graph_ids(e->g, s->def->dependents), *watchers = graph_ids(e->g, s->def->watched_by);
	for (uint32_t k = 0; k < s->def->dependents.n; k++)
		withdraw_from(e, ids[k]);
	for (uint32_t k = 0; k < s->def->watched_by.n; k++)
		if (!svc_is_group(&e->s[watchers[k]]) && !order_has_one(e, e->s[watchers[k]].def->requires_one))
			withdraw_from(e, watchers[k]);
}
