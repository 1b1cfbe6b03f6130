/* engine.c: the arrays of the engine, its queue and its heap of deadlines, and changes of state. */
#include "supervisor/engine/engine-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[ST_MAX] = {
	"down", "waiting", "pre-start", "starting", "up", "stop-wait", "stopping", "killing", "post-stop", "backoff", "failed"};

const char *svc_state_name(unsigned state)
{
	return state < ST_MAX ? state_names[state] : "?";
}

int svc_state_parse(const char *name)
{
	for (int i = 0; i < ST_MAX; i++)
		if (!strcmp(name, state_names[i]))
			return i;
	return -EINVAL;
}

const char *svc_type_name(unsigned type)
{
	static const char *const names[] = {"oneshot", "longrun", "bundle", "virtual"};
	return type < ARRAY_SIZE(names) ? names[type] : "?";
}

bool svc_active(const struct svc *s)
{
	switch (s->r.state) {
	case ST_DOWN:
	case ST_FAILED:
	case ST_WAITING:
	case ST_BACKOFF:
		return s->r.pid || s->r.aux_pid;
	default:
		return true;
	}
}

bool svc_settled(const struct svc *s)
{
	return s->r.state == ST_DOWN || s->r.state == ST_UP || s->r.state == ST_FAILED;
}
bool svc_stopping(const struct svc *s)
{
	bool on_its_way = s->r.state == ST_STOPPING || s->r.state == ST_KILLING || s->r.state == ST_POST_STOP; /* wanted again or not */
	return on_its_way || (svc_active(s) && (!svc_has(s, F_WANT) || svc_has(s, F_RESTART)));
}

int engine_init(struct engine *e, const struct graph *g, const struct engine_ops *ops, void *data)
{
	*e = (struct engine){.g = g, .n = g->n_services, .ops = ops, .data = data};
	e->s = calloc((size_t)e->n + 1, sizeof(*e->s));
	e->heap = calloc((size_t)e->n + 1, sizeof(*e->heap));
	if (!e->s || !e->heap)
		goto fail;
	for (uint32_t i = 0; i < e->n; i++) {
		e->s[i].def = graph_service(g, i);
		e->s[i].log_fd = -1;
		e->s[i].blocker = e->s[i].r.provider = NONE;
	}
	return 0;
fail:
	engine_free(e);
	return -ENOMEM;
}

void engine_free(struct engine *e)
{
	for (uint32_t i = 0; e->s && i < e->n; i++)
		free(e->s[i].ring);
	free(e->s);
	free(e->heap);
	*e = (struct engine){0};
}

/* --- the queue: a list through the services themselves, so that queueing can't fail --- */

void engine_queue(struct engine *e, uint32_t i)
{
	struct svc *s = &e->s[i];
	if (s->queued)
		return;
	s->queued = 1;
	s->next = 0;
	if (e->q_tail)
		e->s[e->q_tail - 1].next = i + 1;
	else
		e->q_head = i + 1;
	e->q_tail = i + 1;
}

static struct svc *queue_pop(struct engine *e)
{
	if (!e->q_head)
		return NULL;
	struct svc *s = &e->s[e->q_head - 1];
	e->q_head = s->next;
	if (!e->q_head)
		e->q_tail = 0;
	s->queued = 0;
	return s;
}

bool engine_run(struct engine *e, unsigned budget)
{
	do {
		for (struct svc *s; budget && (s = queue_pop(e)); budget--)
			engine_event(e, s, EV_POKE);
		e->ops->flush(e);
	} while (budget && e->q_head);
	return e->q_head;
}

/* --- deadlines: a binary heap of indexes; the times are in the records --- */

static uint64_t heap_time(const struct engine *e, uint32_t pos)
{
	return e->s[e->heap[pos]].r.deadline;
}

static void heap_put(struct engine *e, uint32_t pos, uint32_t i)
{
	e->heap[pos] = i;
	e->s[i].heap = pos + 1;
}

static void heap_up(struct engine *e, uint32_t pos)
{
	uint32_t i = e->heap[pos];
	for (; pos && heap_time(e, (pos - 1) / 2) > e->s[i].r.deadline; pos = (pos - 1) / 2)
		heap_put(e, pos, e->heap[(pos - 1) / 2]);
	heap_put(e, pos, i);
}

static void heap_down(struct engine *e, uint32_t pos)
{
	uint32_t i = e->heap[pos];
	for (;;) {
		uint32_t c = 2 * pos + 1;
		if (c >= e->heap_n)
			break;
		if (c + 1 < e->heap_n && heap_time(e, c + 1) < heap_time(e, c))
			c++;
		if (heap_time(e, c) >= e->s[i].r.deadline)
			break;
		heap_put(e, pos, e->heap[c]);
		pos = c;
	}
	heap_put(e, pos, i);
}

static void heap_remove(struct engine *e, struct svc *s)
{
	if (!s->heap)
		return;
	uint32_t pos = s->heap - 1, last = e->heap[--e->heap_n];
	s->heap = 0;
	if (pos == e->heap_n)
		return;
	heap_put(e, pos, last);
	heap_up(e, pos);
	heap_down(e, e->s[last].heap - 1);
}

void engine_set_deadline(struct engine *e, struct svc *s, uint64_t when)
{
	if (when == NEVER)
		when = 0;
	heap_remove(e, s);
	if (s->r.deadline != when)
		svc_touch(s);
	s->r.deadline = when;
	if (!when)
		return;
	heap_put(e, e->heap_n++, svc_index(e, s));
	heap_up(e, e->heap_n - 1);
}

void engine_extend(struct engine *e, struct svc *s, uint64_t deadline)
{
	engine_set_deadline(e, s, deadline);
	e->ops->commit(e, s);
	s->dirty = 0;
}

uint64_t engine_next_deadline(const struct engine *e)
{
	return e->heap_n ? heap_time(e, 0) : 0;
}

void engine_expire(struct engine *e, uint64_t now)
{
	while (e->heap_n && heap_time(e, 0) <= now) {
		struct svc *s = &e->s[e->heap[0]];
		engine_set_deadline(e, s, 0);
		engine_event(e, s, EV_TIMEOUT);
	}
}

void engine_resume(struct engine *e)
{
	e->heap_n = 0;
	for (uint32_t i = 0; i < e->n; i++) {
		e->s[i].heap = 0;
		if (e->s[i].r.deadline)
			engine_set_deadline(e, &e->s[i], e->s[i].r.deadline);
		if (e->s[i].r.state != ST_DOWN || svc_has(&e->s[i], F_WANT))
			engine_queue(e, i);
	}
}

/* --- changes --- */

void svc_touch(struct svc *s)
{
	s->dirty = 1;
}

void svc_set(struct engine *e, struct svc *s, unsigned flag, bool on)
{
	uint16_t now = on ? (uint16_t)(s->r.flags | flag) : (uint16_t)(s->r.flags & ~flag);
	if (now == s->r.flags)
		return;
	s->r.flags = now;
	svc_touch(s);
}

enum wake {
	WAKE_BLOCKED /* who waits for me */,
	WAKE_UP /* and whom my coming up may help in another way */,
	WAKE_LOST /* everybody: what they stood on is gone */
};

static bool wakes(const struct svc *o, uint32_t me, enum wake how)
{
	if (how == WAKE_LOST || o->blocker == me)
		return true;
	return how == WAKE_UP &&
	       (o->r.state == ST_FAILED || o->def->type == SVC_VIRTUAL || (o->r.state == ST_WAITING && o->def->requires_one.n));
}

/* A group remembers the loss: it stays up while other members come and go for other reasons. */
static void lost_by(struct engine *e, struct svc *o)
{
	o->scan = 0;
	if (!svc_is_group(o) || o->r.state != ST_UP || o->r.lost)
		return;
	o->r.lost = 1;
	e->ops->commit(e, o);
}

static void wake(struct engine *e, struct gids l, uint32_t me, enum wake how)
{
	const uint32_t *ids = graph_ids(e->g, l);
	for (uint32_t k = 0; k < l.n; k++) {
		struct svc *o = &e->s[ids[k]];
		if (how == WAKE_LOST)
			lost_by(e, o);
		if (wakes(o, me, how))
			engine_queue(e, ids[k]);
	}
}

/* Whom a change of s concerns. Those that wait name in `blocker` whom they wait for, so that 1000 services that wait for the same
 * 1000 others are not looked at a million times. */
static void wake_others(struct engine *e, struct svc *s, enum svc_state old)
{
	uint32_t me = svc_index(e, s);
	bool settled = svc_settled(s) || s->r.state == ST_BACKOFF, was_up = old == ST_UP;
	enum wake how = was_up ? WAKE_LOST : s->r.state == ST_UP ? WAKE_UP : WAKE_BLOCKED;
	if (settled || was_up) {
		wake(e, s->def->dependents, me, how);
		wake(e, s->def->wanted_by, me, WAKE_BLOCKED);
		wake(e, s->def->before, me, WAKE_BLOCKED);
		wake(e, s->def->watched_by, me, how);
	}
	if (!svc_active(s) || settled) { /* those that wait with their stop, or for me to be out of their way */
		wake(e, s->def->conflicts, me, WAKE_BLOCKED);
		wake(e, s->def->depends, me, WAKE_BLOCKED);
		wake(e, s->def->wants, me, WAKE_BLOCKED);
		wake(e, s->def->after, me, WAKE_BLOCKED);
		wake(e, s->def->requires_one, me, WAKE_BLOCKED);
		if (svc_is_group(s))
			wake(e, s->def->contents, me, WAKE_BLOCKED);
	}
}

void svc_enter(struct engine *e, struct svc *s, enum svc_state st)
{
	enum svc_state old = s->r.state;
	if (old == st)
		return;
	s->r.state = (uint8_t)st;
	s->r.since = e->ops->now(e);
	s->scan = 0;
	s->blocker = NONE;
	svc_touch(s);
	if (old == ST_UP)
		order_withdraw(e, s);
	wake_others(e, s, old);
	e->ops->changed(e, s, old);
}
