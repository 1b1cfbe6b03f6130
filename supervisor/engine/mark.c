/* mark.c: the first phase of a request: who is concerned, may it be done, and then, all at once, what everybody is wanted to be.
 *
 * A walk is a list that is its own queue: a cursor goes along it while neighbours are put at its end. svc.mark tells who is in it. What the
 * request would break is found out before anything is changed, so a refusal (or no memory) leaves everything as it was. */
#include "supervisor/engine/engine-priv.h"

#include <errno.h>
#include <stdlib.h>

enum { IN_SET = 1, IN_STOP = 2, PASSED = 4 };

struct walk {
	struct engine *e;
	uint32_t *v, n, cap;
	bool oom;
};

static int push_id(uint32_t **v, uint32_t *n, uint32_t *cap, uint32_t i)
{
	if (*n == *cap) {
		uint32_t want = *cap ? *cap * 2 : 16;
		uint32_t *p = realloc(*v, want * sizeof(*p));
		if (!p)
			return -ENOMEM;
		*v = p;
		*cap = want;
	}
	(*v)[(*n)++] = i;
	return 0;
}

static bool walk_add(struct walk *w, uint32_t i, uint8_t as)
{
	struct svc *s = &w->e->s[i];
	if (s->mark & as)
		return false;
	if (push_id(&w->v, &w->n, &w->cap, i) < 0) {
		w->oom = true;
		return false;
	}
	s->mark |= as;
	return true;
}

static void walk_cut(struct walk *w, uint32_t n, uint8_t as)
{
	while (w->n > n)
		w->e->s[w->v[--w->n]].mark &= (uint8_t)~as;
}

static void walk_done(struct walk *w)
{
	walk_cut(w, 0, 0xff);
	free(w->v);
}

void mark_clear(struct mark *m)
{
	free(m->changed);
	free(m->blockers);
	*m = (struct mark){0};
}

static bool needs(const struct svc *x)
{
	return svc_active(x) || (svc_has(x, F_WANT) && x->r.state != ST_FAILED);
}
static bool stands(const struct svc *s)
{
	return s->r.state == ST_UP && svc_has(s, F_WANT) && !svc_has(s, F_RESTART);
}

/* --- who has to be down when these are --- */

static bool other_provider(const struct engine *e, struct gids l, uint32_t me)
{
	const uint32_t *ids = graph_ids(e->g, l);
	for (uint32_t k = 0; k < l.n; k++)
		if (ids[k] != me && !(e->s[ids[k]].mark & IN_STOP) && stands(&e->s[ids[k]]))
			return true;
	return false;
}

/* One that waits for a provider and gets another in this very request goes on waiting. */
static bool gets_another(const struct engine *e, const struct svc *s, struct gids l)
{
	const uint32_t *ids = graph_ids(e->g, l);
	for (uint32_t k = 0; k < l.n; k++)
		if (e->s[ids[k]].mark & IN_SET)
			return s->r.state == ST_WAITING;
	return false;
}

static bool has_needy(const struct engine *e, const struct svc *s)
{
	const uint32_t *ids = graph_ids(e->g, s->def->dependents);
	for (uint32_t k = 0; k < s->def->dependents.n; k++)
		if (needs(&e->s[ids[k]]))
			return true;
	return false;
}

/* A group above one that goes: a virtual one goes with its only provider; a bundle only if somebody depends on it, else it is just a name.
 */
static void down_watcher(struct walk *w, uint32_t me, uint32_t i)
{
	struct engine *e = w->e;
	const struct svc *s = &e->s[i];
	if (!needs(s))
		return;
	if (s->def->type == SVC_BUNDLE) {
		if (has_needy(e, s))
			walk_add(w, i, IN_STOP);
		else if (s->def->watched_by.n && !(s->mark & PASSED))
			walk_add(w, i, PASSED);
	} else {
		struct gids providers = s->def->type == SVC_VIRTUAL ? s->def->contents : s->def->requires_one;
		if (!other_provider(e, providers, me) && !gets_another(e, s, providers))
			walk_add(w, i, IN_STOP);
	}
}

static void down_closure(struct walk *w, uint32_t from)
{
	struct engine *e = w->e;
	for (uint32_t c = from; c < w->n; c++) {
		uint32_t i = w->v[c];
		const uint32_t *ids = graph_ids(e->g, e->s[i].def->dependents);
		for (uint32_t k = 0; k < e->s[i].def->dependents.n; k++)
			if (needs(&e->s[ids[k]]))
				walk_add(w, ids[k], IN_STOP);
		ids = graph_ids(e->g, e->s[i].def->watched_by);
		for (uint32_t k = 0; k < e->s[i].def->watched_by.n; k++)
			down_watcher(w, i, ids[k]);
	}
}

/* The names of a request, bundles with all their members; a virtual one with its provider unless that was asked for by name. */
static void expand(struct walk *w, const uint32_t *ids, uint32_t n, uint8_t as)
{
	struct engine *e = w->e;
	for (uint32_t k = 0; k < n; k++)
		walk_add(w, ids[k], as);
	for (uint32_t c = 0; c < w->n; c++) {
		const struct svc *s = &e->s[w->v[c]];
		const uint32_t *m = graph_ids(e->g, s->def->contents);
		for (uint32_t k = 0; s->def->type == SVC_BUNDLE && k < s->def->contents.n; k++)
			walk_add(w, m[k], as);
		if (s->def->type == SVC_VIRTUAL && s->r.provider < e->n && !svc_has(&e->s[s->r.provider], F_EXPLICIT))
			walk_add(w, s->r.provider, as);
	}
}

/* A bundle no longer waits for a member that is to go. */
static void tell_watchers(struct engine *e, uint32_t i)
{
	const uint32_t *ids = graph_ids(e->g, e->s[i].def->watched_by);
	for (uint32_t k = 0; k < e->s[i].def->watched_by.n; k++)
		if (e->s[ids[k]].blocker == i)
			engine_queue(e, ids[k]);
}

static void want_down(struct engine *e, uint32_t i)
{
	struct svc *s = &e->s[i];
	svc_set(e, s, F_WANT | F_EXPLICIT | F_AGAIN | (svc_active(s) ? 0 : F_RESTART),
		false); /* F_RESTART: what it stands on may be gone */
	s->r.backoff = 0;
	if (s->r.state == ST_FAILED && !s->r.pid)
		svc_enter(e, s, ST_DOWN);
	e->ops->commit(e, s);
	s->dirty = 0;
}

static void go_down(struct engine *e, uint32_t i)
{
	engine_queue(e, i);
	tell_watchers(e, i);
}

static int note_stops(struct walk *w, uint32_t first, struct mark *m)
{
	for (uint32_t c = first; c < w->n; c++)
		if ((w->e->s[w->v[c]].mark & IN_STOP) && (needs(&w->e->s[w->v[c]]) || svc_has(&w->e->s[w->v[c]], F_WANT)) &&
			push_id(&m->changed, &m->n, &m->cap, w->v[c]) < 0)
			return -ENOMEM;
	return 0;
}

/* Those that hinder: not asked for, and services rather than names of sets. */
static int note_blockers(struct walk *w, uint32_t first, struct mark *m)
{
	for (uint32_t c = first; c < w->n; c++) {
		const struct svc *s = &w->e->s[w->v[c]];
		if (s->def->type == SVC_VIRTUAL || !(s->mark & IN_STOP))
			continue;
		if (push_id(&m->blockers, &m->n_blockers, &m->cap_blockers, w->v[c]) < 0)
			return -ENOMEM;
	}
	return m->n_blockers ? -EBUSY : 0;
}

/* The walk goes from what was asked for to its dependents: it is written down from its end, so that what rastd leaves behind when it is
 * killed in the middle is never a service without what it stands on. */
static void all_down(struct walk *w)
{
	for (uint32_t c = w->n; c-- > 0;)
		if (w->e->s[w->v[c]].mark & IN_STOP)
			want_down(w->e, w->v[c]);
	for (uint32_t c = 0; c < w->n; c++)
		if (w->e->s[w->v[c]].mark & IN_STOP)
			go_down(w->e, w->v[c]);
}

int mark_stop(struct engine *e, const uint32_t *ids, uint32_t n, int how, struct mark *m)
{
	struct walk w = {.e = e};
	expand(&w, ids, n, IN_STOP);
	uint32_t asked = w.n;
	down_closure(&w, 0);
	int r = w.oom ? -ENOMEM : note_blockers(&w, asked, m);
	if (r == -EBUSY && (how & MARK_FORCE))
		r = 0;
	if (r == 0)
		r = note_stops(&w, 0, m);
	if (r == 0 && !(how & MARK_DRY))
		all_down(&w);
	if (r < 0)
		m->n = 0;
	walk_done(&w);
	return r;
}

void mark_stop_all(struct engine *e, uint32_t last)
{
	e->no_restart = true;
	for (uint32_t i = 0; i < e->n; i++) {
		if (i == last || (e->s[i].r.state == ST_DOWN && !(e->s[i].r.flags & (F_WANT | F_RESTART))))
			continue;
		want_down(e, i);
		go_down(e, i);
	}
}

/* For a change of the set: a service that is removed goes down; one that stands on it goes down too, and comes back in the new set. */
void mark_for_switch(struct engine *e, uint32_t i, bool removed)
{
	struct svc *s = &e->s[i];
	if (removed) {
		want_down(e, i);
		go_down(e, i);
		return;
	}
	svc_set(e, s, F_HOLD, true);
	if (svc_active(s))
		svc_set(e, s, F_RESTART, true);
	e->ops->commit(e, s);
	s->dirty = 0;
	engine_queue(e, i);
}

/* --- who has to be up when these are --- */

static bool promising(const struct svc *s)
{
	return s->r.state != ST_FAILED && !svc_has(s, F_MASKED);
}

static void up_one_of(struct walk *w, struct gids l)
{
	struct engine *e = w->e;
	const uint32_t *ids = graph_ids(e->g, l);
	for (uint32_t k = 0; k < l.n; k++)
		if ((e->s[ids[k]].mark & IN_SET) || (svc_has(&e->s[ids[k]], F_WANT) && promising(&e->s[ids[k]])))
			return;
	for (uint32_t k = 0; k < l.n; k++)
		if (promising(&e->s[ids[k]])) {
			walk_add(w, ids[k], IN_SET);
			return;
		}
}

static void up_neighbours(struct walk *w, struct svc *s)
{
	struct engine *e = w->e;
	const uint32_t *ids = graph_ids(e->g, s->def->depends);
	for (uint32_t k = 0; k < s->def->depends.n; k++)
		if (!svc_has(&e->s[ids[k]], F_MASKED))
			walk_add(w, ids[k], IN_SET);
	ids = graph_ids(e->g, s->def->contents);
	for (uint32_t k = 0; s->def->type == SVC_BUNDLE && k < s->def->contents.n; k++)
		if (!svc_has(&e->s[ids[k]], F_MASKED))
			walk_add(w, ids[k], IN_SET);
	if (s->def->type == SVC_VIRTUAL)
		up_one_of(w, s->def->contents);
	else if (s->def->requires_one.n)
		up_one_of(w, s->def->requires_one);
}

/* What stands already needs no second look at what it stands on. Bundles do: a member may have been stopped since. */
static void up_closure(struct walk *w, uint32_t from)
{
	for (uint32_t c = from; c < w->n && !w->oom; c++) {
		struct svc *s = &w->e->s[w->v[c]];
		if (s->def->type == SVC_BUNDLE || !stands(s))
			up_neighbours(w, s);
	}
}

/* What is in the way of w->v[from..): to be stopped (walk `down`), unless it was asked for by name or is part of the same request. */
static int up_conflicts(struct walk *w, uint32_t from, struct walk *down, int how, struct mark *m)
{
	struct engine *e = w->e;
	for (uint32_t c = from; c < w->n; c++) {
		const struct svc *s = &e->s[w->v[c]];
		const uint32_t *ids = graph_ids(e->g, s->def->conflicts);
		for (uint32_t k = 0; k < s->def->conflicts.n; k++) {
			const struct svc *o = &e->s[ids[k]];
			m->subject = w->v[c];
			m->other = ids[k];
			if (o->mark & IN_SET)
				return -EBUSY;
			if (needs(o) || svc_has(o, F_WANT)) /* what has failed might come back by itself */
				walk_add(down, ids[k], IN_STOP);
		}
	}
	down_closure(down, 0);
	for (uint32_t c = 0; c < down->n; c++) {
		const struct svc *o = &e->s[down->v[c]];
		m->other = down->v[c];
		if ((o->mark & IN_SET) || (svc_has(o, F_EXPLICIT) && needs(o) && !svc_is_group(o) && !(how & MARK_FORCE)))
			return -EBUSY;
	}
	return down->oom ? -ENOMEM : 0;
}

/* What is only wished for, with all that it needs: left out as a whole when it can't be had. */
static void up_wants(struct walk *w, struct walk *down, int how, struct mark *m)
{
	struct engine *e = w->e;
	for (uint32_t c = 0; c < w->n && !w->oom; c++) {
		const struct svc *s = &e->s[w->v[c]];
		const uint32_t *ids = graph_ids(e->g, s->def->wants);
		for (uint32_t k = 0; !stands(s) && k < s->def->wants.n; k++) {
			uint32_t had = w->n, had_down = down->n;
			if (svc_has(&e->s[ids[k]], F_MASKED) || !walk_add(w, ids[k], IN_SET))
				continue;
			up_closure(w, had);
			if (up_conflicts(w, had, down, how, m) == 0)
				continue;
			walk_cut(down, had_down, IN_STOP | PASSED);
			walk_cut(w, had, IN_SET);
		}
	}
}

static bool changes(const struct svc *s, bool asked)
{
	return !svc_has(s, F_WANT) || s->r.state == ST_FAILED || (asked && s->r.state == ST_BACKOFF);
}

static void want_up(struct engine *e, uint32_t i, bool asked, bool explicit)
{
	struct svc *s = &e->s[i];
	if (changes(s, asked)) {
		s->r.wanted = e->ops->now(e);
		restart_forget(s);
		if (s->r.state == ST_BACKOFF)
			engine_set_deadline(e, s, 0);
		if (s->r.state == ST_FAILED)
			svc_enter(e, s, ST_DOWN);
	}
	svc_set(e, s, F_WANT, true);
	if (explicit)
		svc_set(e, s, F_EXPLICIT, true);
	e->ops->commit(e, s);
	s->dirty = 0;
}

/* Members of a bundle that was asked for, and what is enabled, count as asked for, too. */
static void mark_explicit(struct walk *w, uint32_t asked)
{
	struct engine *e = w->e;
	struct walk x = {.e = e};
	expand(&x, w->v, asked, PASSED);
	for (uint32_t c = 0; c < x.n; c++)
		if (e->s[x.v[c]].mark & IN_SET)
			svc_set(e, &e->s[x.v[c]], F_EXPLICIT, true);
	for (uint32_t c = 0; c < w->n; c++)
		if (e->s[w->v[c]].def->enabled)
			svc_set(e, &e->s[w->v[c]], F_EXPLICIT, true);
	walk_cut(&x, 0, PASSED);
	free(x.v);
}

static int start_commit(struct walk *w, uint32_t asked, struct walk *down, int how, struct mark *m)
{
	struct engine *e = w->e;
	for (uint32_t c = 0; c < w->n; c++)
		if (changes(&e->s[w->v[c]], c < asked) && push_id(&m->changed, &m->n, &m->cap, w->v[c]) < 0)
			return -ENOMEM;
	if (note_stops(down, 0, m) < 0)
		return -ENOMEM;
	if (how & MARK_DRY)
		return 0;
	all_down(down);
	if (!(how & MARK_IMPLICIT))
		mark_explicit(w, asked);
	for (uint32_t c = w->n; c-- > 0;) /* dependencies first, for the same reason as in all_down() */
		want_up(e, w->v[c], c < asked, c < asked && !(how & MARK_IMPLICIT));
	for (uint32_t c = 0; c < w->n; c++)
		engine_queue(e, w->v[c]);
	return 0;
}

static int start_asked(struct walk *w, const uint32_t *ids, uint32_t n, struct mark *m)
{
	for (uint32_t k = 0; k < n; k++) {
		m->subject = ids[k];
		if (svc_has(&w->e->s[ids[k]], F_MASKED))
			return -EPERM;
		walk_add(w, ids[k], IN_SET);
	}
	return 0;
}

/* All that is not in the set. */
static void down_others(struct engine *e, struct walk *down, uint32_t keep)
{
	for (uint32_t i = 0; i < e->n; i++)
		if (i != keep && !(e->s[i].mark & IN_SET) && (needs(&e->s[i]) || svc_has(&e->s[i], F_WANT)))
			walk_add(down, i, IN_STOP);
}

static int mark_up(struct engine *e, const uint32_t *ids, uint32_t n, int how, struct mark *m, const uint32_t *keep)
{
	struct walk w = {.e = e}, down = {.e = e};
	int r = start_asked(&w, ids, n, m), forced = keep ? how | MARK_FORCE : how;
	uint32_t asked = w.n;
	up_closure(&w, 0);
	if (r == 0)
		r = up_conflicts(&w, 0, &down, forced, m);
	if (r == 0)
		up_wants(&w, &down, keep ? forced : 0, m);
	if (r == 0 && keep)
		down_others(e, &down, *keep);
	if (w.oom || down.oom)
		r = -ENOMEM;
	if (r == 0)
		r = start_commit(&w, asked, &down, how, m);
	if (r < 0)
		m->n = 0;
	walk_done(&down);
	walk_done(&w);
	return r;
}

int mark_start(struct engine *e, const uint32_t *ids, uint32_t n, int how, struct mark *m)
{
	return mark_up(e, ids, n, how, m, NULL);
}

int mark_isolate(struct engine *e, const uint32_t *ids, uint32_t n, uint32_t keep, int how, struct mark *m)
{
	return mark_up(e, ids, n, how, m, &keep);
}

/* --- restart --- */

static bool runs(const struct svc *s)
{
	return s->r.state == ST_UP || s->r.state == ST_STARTING || s->r.state == ST_PRE_START || s->r.state == ST_STOP_WAIT;
}

static void want_restart(struct engine *e, uint32_t i, bool asked)
{
	struct svc *s = &e->s[i];
	svc_set(e, s, F_RESTART | F_WANT, true);
	if (asked)
		restart_forget(s);
	e->ops->commit(e, s);
	s->dirty = 0;
	engine_queue(e, i);
}

int mark_restart(struct engine *e, const uint32_t *ids, uint32_t n, int how, struct mark *m)
{
	struct walk w = {.e = e};
	expand(&w, ids, n, IN_STOP);
	uint32_t asked = w.n;
	down_closure(&w, 0);
	int r = w.oom ? -ENOMEM : 0;
	for (uint32_t c = 0; r == 0 && c < w.n; c++) /* beforehand: from here on nothing may fail */
		if (runs(&e->s[w.v[c]]) && (e->s[w.v[c]].mark & IN_STOP) && !(c < asked && svc_is_group(&e->s[w.v[c]])))
			r = push_id(&m->changed, &m->n, &m->cap, w.v[c]);
	uint32_t restarted = m->n;
	_cleanup_free_ uint32_t *again = r == 0 ? malloc((restarted + 1) * sizeof(uint32_t)) : NULL;
	if (!again)
		r = -ENOMEM;
	for (uint32_t k = 0; r == 0 && k < restarted; k++)
		again[k] = m->changed[k];
	walk_done(&w);
	if (r == 0)
		r = mark_start(e, ids, n, how, m);
	for (uint32_t k = 0; r == 0 && !(how & MARK_DRY) && k < restarted; k++)
		want_restart(e, again[k], true);
	return r;
}

bool mark_reset(struct engine *e, uint32_t i)
{
	struct svc *s = &e->s[i];
	if (s->r.state != ST_FAILED)
		return false;
	svc_set(e, s, F_WANT | F_EXPLICIT, false);
	restart_forget(s);
	s->r.why = WHY_NONE;
	s->r.restarts = 0;
	svc_enter(e, s, ST_DOWN);
	e->ops->commit(e, s);
	s->dirty = 0;
	return true;
}
