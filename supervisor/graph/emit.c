/* emit.c: from units and edges to the blob of graph.h.
 *
 * Everything behind the header and the services is stored once by content: strings, argument vectors, settings. */
#include <errno.h>
#include "supervisor/graph/compile.h"

struct stored { uint32_t off, n; };

struct emitter {
	struct compiler *c;
	struct buf blob;
	struct stored *stored;      /* hash table, open addressing */
	uint32_t n_slots, n_stored;
	gref service_at;            /* the array of services */
	uint32_t *starts, *ids;     /* edge lists: those of service i and list l are ids[starts[i * LIST_N + l] ...] */
	struct buf hashed;          /* scratch: what shapes a process, in order */
};

static int grow_stored(struct emitter *e)
{
	uint32_t size = e->n_slots ? 2 * e->n_slots : 1024;
	struct stored *t = calloc(size, sizeof(*t));

	if (!t)
		return -ENOMEM;
	for (uint32_t i = 0; i < e->n_slots; i++) {
		if (!e->stored[i].off)
			continue;
		uint32_t at = (uint32_t)fnv1a64(e->blob.data + e->stored[i].off, e->stored[i].n) & (size - 1);
		while (t[at].off)
			at = (at + 1) & (size - 1);
		t[at] = e->stored[i];
	}
	free(e->stored);
	e->stored = t;
	e->n_slots = size;
	return 0;
}

/* Store bytes, or find equal ones that are there already at the right alignment. 0 after a failure, which stays in e->blob.failed. */
static gref put(struct emitter *e, const void *p, size_t n, unsigned align)
{
	static const char zeros[8];
	uint32_t at;

	if (2 * (e->n_stored + 1) > e->n_slots && grow_stored(e) < 0)
		e->blob.failed = true;
	if (e->blob.failed || n > UINT32_MAX / 2 || e->blob.len > UINT32_MAX / 2) {
		e->blob.failed = true;
		return 0;
	}
	at = (uint32_t)fnv1a64(p, n) & (e->n_slots - 1);
	for (; e->stored[at].off; at = (at + 1) & (e->n_slots - 1))
		if (e->stored[at].n == n && e->stored[at].off % align == 0 && memcmp(e->blob.data + e->stored[at].off, p, n) == 0)
			return e->stored[at].off;
	buf_add(&e->blob, zeros, -e->blob.len & (align - 1));
	e->stored[at] = (struct stored){ (uint32_t)e->blob.len, (uint32_t)n };
	e->n_stored++;
	buf_add(&e->blob, p, n);
	return e->blob.failed ? 0 : e->stored[at].off;
}

static gref put_str(struct emitter *e, const char *s)
{
	return s ? put(e, s, strlen(s) + 1, 1) : 0;
}

static struct gstrv put_words(struct emitter *e, const struct words *w)
{
	_cleanup_free_ gref *v = calloc(w->n + 1, sizeof(*v));

	if (w->n == 0)
		return (struct gstrv){ 0, 0 };
	e->blob.failed |= !v;
	for (unsigned i = 0; v && i < w->n; i++)
		v[i] = put_str(e, w->v[i]);
	return (struct gstrv){ w->n, v ? put(e, v, w->n * sizeof(*v), 4) : 0 };
}

static struct gstrv put_environment(struct emitter *e, const struct pairs *p)
{
	struct words w = { arena_alloc(&e->c->arena, (p->n + 1) * sizeof(char *)), 0, 0 };

	for (; w.v && w.n < p->n; w.n++)
		if (!(w.v[w.n] = arena_printf(&e->c->arena, "%s=%s", p->v[w.n].key, p->v[w.n].value)))
			break;
	e->blob.failed |= w.n < p->n;
	return put_words(e, &w);
}

static gref put_cgroup(struct emitter *e, const struct pairs *p)
{
	_cleanup_free_ struct gkv *v = calloc(p->n + 1, sizeof(*v));

	e->blob.failed |= !v;
	for (unsigned i = 0; v && i < p->n; i++)
		v[i] = (struct gkv){ put_str(e, p->v[i].key), put_str(e, p->v[i].value) };
	return v && p->n > 0 ? put(e, v, p->n * sizeof(*v), 4) : 0;
}

static gref put_limits(struct emitter *e, const struct limits *l)
{
	_cleanup_free_ struct glimit *v = calloc(l->n + 1, sizeof(*v));

	e->blob.failed |= !v;
	for (unsigned i = 0; v && i < l->n; i++)
		v[i] = l->v[i].l;
	return v && l->n > 0 ? put(e, v, l->n * sizeof(*v), 8) : 0;
}

static gref put_settings(struct emitter *e, const struct values *v)
{
	struct gsettings s;

	memset(&s, 0, sizeof(s)); /* holes too: it is compared by bytes */
	s.restart_interval = v->interval;
	s.restart_delay = v->delay;
	s.restart_delay_max = v->delay_max;
	s.start_timeout = v->start_timeout;
	s.stop_timeout = v->stop_timeout;
	s.settle_time = v->settle_time;
	s.watchdog = v->watchdog;
	s.pre_start = put_words(e, &v->pre_start);
	s.post_stop = put_words(e, &v->post_stop);
	s.exec_reload = put_words(e, &v->exec_reload);
	s.exec_stop = put_words(e, &v->exec_stop);
	s.user = put_str(e, v->user);
	s.group = put_str(e, v->group);
	s.groups = put_words(e, &v->groups);
	s.working_directory = put_str(e, v->working_directory);
	s.root_directory = put_str(e, v->root_directory);
	s.environment = put_environment(e, &v->environment);
	s.environment_files = put_words(e, &v->environment_files);
	s.tty = put_str(e, v->tty);
	s.notify_fd = v->notify_fd;
	s.stop_signal = v->stop_signal;
	s.reload_signal = v->reload_signal;
	s.nice = v->nice;
	s.oom_score_adj = v->oom_score_adj;
	s.umask = v->umask;
	s.restart_limit = v->limit;
	s.n_limits = v->limits.n;
	s.limits = put_limits(e, &v->limits);
	s.n_cgroup = v->cgroup.n;
	s.cgroup = put_cgroup(e, &v->cgroup);
	s.n_success = v->success.n;
	s.success = v->success.n > 0 ? put(e, v->success.v, v->success.n * sizeof(*v->success.v), 4) : 0;
	s.kill_main_only = (uint8_t)v->kill_mode;
	s.no_new_privileges = (uint8_t)v->no_new_privileges;
	s.notify_access = (uint8_t)v->notify_access;
	s.log_size = v->log_size;
	s.log_files = (uint8_t)(v->log_files + 1);
	return put(e, &s, sizeof(s), 8);
}

/* --- the hash --- */

static void hash_str(struct emitter *e, const char *s)
{
	buf_add(&e->hashed, s ? "+" : "-", 1);
	if (s)
		buf_add(&e->hashed, s, strlen(s) + 1);
}

static void hash_words(struct emitter *e, const struct words *w)
{
	buf_add(&e->hashed, &w->n, sizeof(w->n));
	for (unsigned i = 0; i < w->n; i++)
		hash_str(e, w->v[i]);
}

static void hash_pairs(struct emitter *e, const struct pairs *p)
{
	buf_add(&e->hashed, &p->n, sizeof(p->n));
	for (unsigned i = 0; i < p->n; i++) {
		hash_str(e, p->v[i].key);
		hash_str(e, p->v[i].value);
	}
}

static const char *pipe_target(const struct unit *u)
{
	for (unsigned i = 0; i < u->refs.n; i++)
		if (u->refs.v[i].kind == REF_PIPE)
			return u->refs.v[i].name;
	return NULL;
}

/* What a process got when it was started, and can't get otherwise than by being started again. */
static uint64_t hash_unit(struct emitter *e, const struct unit *u)
{
	const struct values *v = &u->v;
	const int32_t numbers[] = { v->type, v->notify, v->notify_fd, v->output, v->nice, v->oom_score_adj, v->umask, v->no_new_privileges, v->watchdog != UINT64_MAX };

	e->hashed.len = 0;
	buf_add(&e->hashed, numbers, sizeof(numbers));
	buf_add(&e->hashed, &v->watchdog, sizeof(v->watchdog)); /* WATCHDOG_USEC in the environment */
	hash_words(e, &v->exec);
	hash_str(e, v->user);
	hash_str(e, v->group);
	hash_words(e, &v->groups);
	hash_str(e, v->working_directory);
	hash_str(e, v->root_directory);
	hash_pairs(e, &v->environment);
	hash_words(e, &v->environment_files);
	hash_str(e, v->tty);
	hash_str(e, pipe_target(u));
	for (unsigned i = 0; i < v->limits.n; i++)
		buf_add(&e->hashed, &v->limits.v[i].l, sizeof(v->limits.v[i].l));
	hash_pairs(e, &v->cgroup);
	e->blob.failed |= e->hashed.failed;
	return e->hashed.failed ? 0 : fnv1a64(e->hashed.data, e->hashed.len);
}

/* --- edge lists --- */

static const struct { uint8_t forward, backward; } lists[REF_N] = { /* LIST_N: none */
	[REF_DEPENDS] = { LIST_DEPENDS, LIST_DEPENDENTS },       [REF_PIPE] = { LIST_DEPENDS, LIST_DEPENDENTS },
	[REF_REQUIRES_ONE] = { LIST_REQUIRES_ONE, LIST_WATCHED_BY }, [REF_WANTS] = { LIST_WANTS, LIST_WANTED_BY },
	[REF_AFTER] = { LIST_AFTER, LIST_BEFORE },               [REF_BEFORE] = { LIST_BEFORE, LIST_AFTER },
	[REF_CONFLICTS] = { LIST_CONFLICTS, LIST_CONFLICTS },    [REF_PROVIDES] = { LIST_N, LIST_N },
	[REF_CONTENTS] = { LIST_CONTENTS, LIST_WATCHED_BY },     [REF_PROVIDERS] = { LIST_CONTENTS, LIST_WATCHED_BY },
	[REF_ENABLED] = { LIST_WANTS, LIST_WANTED_BY },
};

/* The two ends of an edge in their lists. What is enabled and boot-critical is part of the boot target. */
static void ends(const struct compiler *c, const struct edge *e, size_t at[2])
{
	bool critical = e->kind == REF_ENABLED && c->units.v[e->to]->v.boot_critical;

	at[0] = (size_t)e->from * LIST_N + (critical ? LIST_CONTENTS : lists[e->kind].forward);
	at[1] = (size_t)e->to * LIST_N + (critical ? LIST_WATCHED_BY : lists[e->kind].backward);
}

/* Counting sort of both ends of every edge; the order within a list is that of the edges. */
static int make_lists(struct emitter *e)
{
	const struct compiler *c = e->c;
	size_t n = (size_t)c->n * LIST_N, at[2];

	e->starts = calloc(n + 2, sizeof(*e->starts));
	e->ids = calloc(2 * (size_t)c->edges.n + 1, sizeof(*e->ids));
	if (!e->starts || !e->ids)
		return -ENOMEM;
	for (unsigned i = 0; i < c->edges.n; i++) {
		ends(c, &c->edges.v[i], at);
		e->starts[at[0] + 2]++;
		e->starts[at[1] + 2]++;
	}
	for (size_t i = 1; i < n + 2; i++)
		e->starts[i] += e->starts[i - 1];
	for (unsigned i = 0; i < c->edges.n; i++) {
		ends(c, &c->edges.v[i], at);
		e->ids[e->starts[at[0] + 1]++] = c->edges.v[i].to;
		e->ids[e->starts[at[1] + 1]++] = c->edges.v[i].from;
	}
	return 0;
}

/* A list without repetitions. seen: per service the last list (+ 1) that had it. */
static struct gids put_list(struct emitter *e, size_t list, uint32_t *seen)
{
	uint32_t *v = e->ids + e->starts[list], n = e->starts[list + 1] - e->starts[list], kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (seen[v[i]] == list + 1)
			continue;
		seen[v[i]] = (uint32_t)list + 1;
		v[kept++] = v[i];
	}
	return (struct gids){ kept, kept > 0 ? put(e, v, kept * sizeof(*v), 4) : 0 };
}

/* --- services --- */

static uint32_t pipe_index(const struct compiler *c, const struct unit *u)
{
	const char *name = pipe_target(u);

	return name ? unit_find(c, name)->index : UINT32_MAX;
}

static void fill_service(struct emitter *e, uint32_t i, struct gservice *s, uint32_t *seen)
{
	const struct unit *u = e->c->units.v[i];
	struct gids *of[LIST_N] = {
		[LIST_DEPENDS] = &s->depends, [LIST_DEPENDENTS] = &s->dependents, [LIST_WANTS] = &s->wants, [LIST_WANTED_BY] = &s->wanted_by,
		[LIST_AFTER] = &s->after, [LIST_BEFORE] = &s->before, [LIST_CONFLICTS] = &s->conflicts, [LIST_CONTENTS] = &s->contents,
		[LIST_REQUIRES_ONE] = &s->requires_one, [LIST_WATCHED_BY] = &s->watched_by,
	};

	memset(s, 0, sizeof(*s));
	s->name = put_str(e, u->name);
	s->description = put_str(e, u->v.description);
	s->file = put_str(e, u->at.file);
	s->line = (uint32_t)u->at.line;
	s->type = (uint8_t)u->v.type;
	s->notify = (uint8_t)u->v.notify;
	s->restart = (uint8_t)u->v.policy;
	s->output = (uint8_t)u->v.output;
	s->boot_critical = (uint8_t)u->v.boot_critical;
	s->on_demand = u->on_demand;
	s->reload_notify = (uint8_t)u->v.reload_notify;
	s->text_hash = (uint32_t)(u->text_hash ^ u->text_hash >> 32);
	s->pipe_to = pipe_index(e->c, u);
	s->hash = hash_unit(e, u);
	s->exec = put_words(e, &u->v.exec);
	s->settings = put_settings(e, &u->v);
	for (unsigned l = 0; l < LIST_N; l++)
		*of[l] = put_list(e, (size_t)i * LIST_N + l, seen);
}

static int put_services(struct emitter *e)
{
	uint32_t n = e->c->n;
	_cleanup_free_ uint32_t *seen = calloc((size_t)n + 1, sizeof(*seen));
	struct gservice s;

	if (!seen || make_lists(e) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && !e->blob.failed; i++) {
		fill_service(e, i, &s, seen);
		if (!e->blob.failed) /* put() may have moved the blob: only now is its place known */
			memcpy(e->blob.data + e->service_at + i * sizeof(s), &s, sizeof(s));
	}
	for (unsigned i = 0; i < e->c->edges.n && !e->blob.failed; i++)
		if (e->c->edges.v[i].kind == REF_ENABLED)
			((struct gservice *)(e->blob.data + e->service_at))[e->c->edges.v[i].to].enabled = 1;
	return e->blob.failed ? -ENOMEM : 0;
}

static int put_header(struct emitter *e, uint64_t generation)
{
	const struct unit *target = unit_find(e->c, "default");
	struct gstrv warnings = put_words(e, &e->c->warnings);
	struct graph *g;

	buf_add(&e->blob, "\0\0\0\0\0\0\0", 1 + (-(e->blob.len + 1) & 7)); /* the last byte is 0: every string ends inside */
	if (e->blob.failed)
		return -ENOMEM;
	g = (struct graph *)e->blob.data;
	*g = (struct graph){ .magic = GRAPH_MAGIC, .version = GRAPH_VERSION, .size = (uint32_t)e->blob.len, .generation = generation,
		.n_services = e->c->n, .services = e->service_at, .boot_target = target ? target->index : UINT32_MAX, .n_warnings = warnings.n, .warnings = warnings.off };
	g->crc = crc32c(0, e->blob.data + 16, e->blob.len - 16);
	return 0;
}

int emit(struct compiler *c, uint64_t generation, void **ret, size_t *ret_size)
{
	struct emitter e = { .c = c };
	_cleanup_free_ void *space = NULL;
	size_t head = sizeof(struct graph) + (size_t)c->n * sizeof(struct gservice);
	int r = -ENOMEM;

	space = calloc(1, head);
	e.service_at = sizeof(struct graph);
	if (head > UINT32_MAX / 2)
		r = -EFBIG;
	else if (space && buf_add(&e.blob, space, head) >= 0)
		r = put_services(&e);
	if (r >= 0)
		r = put_header(&e, generation);
	if (r >= 0) {
		*ret_size = e.blob.len;
		*ret = TAKE_PTR(e.blob.data);
	}
	buf_free(&e.blob);
	buf_free(&e.hashed);
	free(e.stored);
	free(e.starts);
	free(e.ids);
	return r;
}
