/* apply.c: go over to a new set of services, all or nothing.
 *
 * compile (in a child) -> compare -> make the new state file -> stop what is no longer in the set, and for a moment what depended on it ->
 * switch. The switch is one rename of a state file that is numbered like the new graph; before it everything is as it was, after it
 * everything is new. Services that are in both keep their records, processes and pipes.
 *
 * An instance of a template that nobody names is made in the same way when somebody starts it, and stays in the set until an apply finds it
 * down: but then nothing else may be different, so that a start never puts half-edited files into effect. */
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include "supervisor/compile.h"
#include "supervisor/control/control.h"

struct apply {
	struct manager *m;
	struct varlink_call *call; /* NULL: nobody waits */
	bool dry_run, restart, switching;
	char **instances;          /* to be in the set though nobody names them */
	apply_then then;           /* what the instances are for, NULL: an ordinary apply */
	json_t *params;
	struct compile c;
	struct timer limit;        /* for the compiler */
	struct state st;           /* the new one, not yet in its place */
	struct source *source;
	json_t *problems;
	const struct graph *g;                       /* the new one */
	uint32_t *map;                               /* old index -> new index, NONE: removed */
	uint32_t *removed, *added, *changed, *stale; /* old, new, new, new indexes; stale: runs with a former definition */
	uint32_t n_removed, n_added, n_changed;
};

static void on_close(struct varlink_call *c, void *data)
{
	struct apply *a = data;
	varlink_call_unref(a->call);
	a->call = NULL; /* what was begun is brought to its end */
}

static void apply_free(struct apply *a)
{
	if (a->call) {
		varlink_call_on_close(a->call, NULL, NULL);
		varlink_call_unref(a->call);
	}
	loop_remove_fd(a->source);
	timer_disarm(a->m->loop, &a->limit);
	compile_done(&a->c);
	json_decref(a->problems);
	json_decref(a->params);
	strv_free(a->instances);
	state_close(&a->st);
	free(a->map);
	free(a->removed);
	free(a->added);
	free(a->changed);
	free(a->stale);
	a->m->apply = NULL;
	free(a);
}

/* What waited for the new set goes on with the old one. */
static void release_holds(struct manager *m)
{
	for (uint32_t i = 0; i < m->e.n; i++)
		if (svc_has(&m->e.s[i], F_HOLD)) {
			m->e.s[i].r.flags &= (uint16_t)~F_HOLD;
			m->e.ops->commit(&m->e, &m->e.s[i]);
			engine_event(&m->e, &m->e.s[i], EV_POKE);
		}
	manager_schedule(m);
}

/* Give up: the old set stays. Takes `params`. */
static void refuse(struct apply *a, const char *error, json_t *params)
{
	release_holds(a->m);
	sys_unlinkat(a->m->run_fd, ".state.new", 0);
	if (a->g)
		graph_unmap(a->g);
	compile_remove(a->m, a->c.generation);
	if (a->call)
		varlink_error(a->call, error, params);
	else
		json_decref(params);
	apply_free(a);
}

static void refuse_errno(struct apply *a, int r, const char *what)
{
	log_err("apply: %s: %s", what, strerror(-r));
	refuse(a, IFACE ".Error", json_pack("{s:i,s:s,s:s}", "errno", -r, "name", "", "text", what));
}

/* --- compare --- */

static const char *name_in(const struct graph *g, uint32_t i)
{
	return graph_str(g, graph_service(g, i)->name);
}

static int compare(struct apply *a)
{
	const struct graph *old = a->m->g, *new = a->g;
	a->map = calloc(old->n_services + 1, sizeof(uint32_t));
	a->removed = calloc(old->n_services + 1, sizeof(uint32_t));
	a->added = calloc(new->n_services + 1, sizeof(uint32_t));
	a->changed = calloc(new->n_services + 1, sizeof(uint32_t));
	a->stale = calloc(new->n_services + 1, sizeof(uint32_t));
	if (!a->map || !a->removed || !a->added || !a->changed || !a->stale)
		return -ENOMEM;
	uint32_t i = 0, k = 0;
	while (i < old->n_services || k < new->n_services) { /* both are sorted by name */
		int c = i == old->n_services ? 1 : k == new->n_services ? -1 : strcmp(name_in(old, i), name_in(new, k));
		if (c < 0) {
			a->map[i] = NONE;
			a->removed[a->n_removed++] = i++;
		} else if (c > 0) {
			a->added[a->n_added++] = k++;
		} else {
			if (graph_service(old, i)->hash != graph_service(new, k)->hash)
				a->changed[a->n_changed++] = k;
			a->map[i++] = k++;
		}
	}
	return 0;
}

static json_t *names(const struct graph *g, const uint32_t *v, uint32_t n)
{
	json_t *a = json_array();
	for (uint32_t k = 0; a && k < n; k++)
		json_array_append_new(a, json_string(name_in(g, v[k])));
	return a;
}

/* --- answer --- */

static void reply(struct apply *a, const struct graph *old, const struct graph *new, json_t *removed, json_t *restarted)
{
	if (a->call)
		varlink_reply(a->call, json_pack("{s:I,s:o,s:o,s:o,s:o,s:O}", "generation", (json_int_t) new->generation, "added",
					       names(new, a->added, a->n_added), "removed", removed, "changed",
					       names(new, a->changed, a->n_changed), "restarted", restarted, "problems", a->problems));
	else {
		json_decref(removed);
		json_decref(restarted);
	}
}

/* What runs with another definition than it has now, be it since this change or since one before it: by the hash that it was started with. */
static uint32_t running_stale(struct apply *a)
{
	struct manager *m = a->m;
	uint32_t n = 0;
	for (uint32_t i = 0; i < m->e.n; i++) {
		const struct svc *s = &m->e.s[i];
		if (svc_active(s) && !svc_is_group(s) && s->r.def_hash != (uint32_t)s->def->hash)
			a->stale[n++] = i;
	}
	return n;
}

/* --- the switch --- */

static void move_service(struct apply *a, struct engine *to, uint32_t i)
{
	struct manager *m = a->m;
	const struct svc *old = &m->e.s[i];
	struct svc *s = &to->s[a->map[i]];
	const struct gservice *def = s->def;
	*s = *old;
	s->def = def;
	s->next = s->heap = s->scan = 0;
	s->queued = s->dirty = s->mark = 0;
	s->blocker = NONE;
	s->r.flags &= (uint16_t)~F_HOLD;
	s->r.provider = old->r.provider < m->e.n ? a->map[old->r.provider] : NONE;
	if (s->r.why == WHY_DEPENDENCY || s->r.why == WHY_MEMBER || s->r.why == WHY_CONFLICT)
		s->r.why_arg = old->r.why_arg < m->e.n ? a->map[old->r.why_arg] : NONE;
	const struct gsettings *was = graph_settings(m->g, old->def), *is = graph_settings(a->g, def);
	if (was->log_size != is->log_size || was->log_files != is->log_files)
		s->log_added = 0; /* announced once more: the logger takes the new settings over */
	if (s->ext)
		s->ext->i = a->map[i];
}

static void drop_service(struct apply *a, uint32_t i)
{
	struct svc *s = &a->m->e.s[i];
	output_forget(a->m, s);
	manager_ext_free(a->m, s);
	free(s->ring);
	s->ring = NULL;
}

static int fill_state(struct apply *a, struct engine *to, struct state *st)
{
	struct manager *m = a->m;
	_cleanup_err_ struct err e = {0};
	st->boot = m->st.boot;
	state_put_boot(st);
	for (uint32_t i = 0; i < to->n; i++)
		state_put(st, i, &to->s[i].r);
	for (uint32_t i = 0; i < m->e.n; i++)
		if (a->map[i] != NONE) {
			st->rec[a->map[i]].last_pid = m->st.rec[i].last_pid;
			st->rec[a->map[i]].spawn_err = m->st.rec[i].spawn_err;
		}
	int r = state_publish(m->run_fd, ".state.new", &e);
	if (r < 0)
		log_err("apply: %s", err_text(&e));
	return r;
}

static void renumber(struct apply *a)
{
	struct manager *m = a->m;
	unsigned n = 0;
	jobs_renumber(m, a->map, m->e.n);
	cgroups_let_go(m); /* it is kept by a number */
	for (unsigned k = 0; k < m->n_watches; k++)
		if (a->map[m->watches[k].i] != NONE) {
			m->watches[n] = m->watches[k];
			m->watches[n++].i = a->map[m->watches[k].i];
		}
	m->n_watches = n;
	for (uint32_t k = 0; k < m->pids.cap; k++)
		if (m->pids.slot[k].pid) {
			uint32_t i = a->map[m->pids.slot[k].who >> 1];
			m->pids.slot[k].who = i << 1 | (m->pids.slot[k].who & 1);
		}
}

/* New dependencies of what is up come up, too: an up service stands on services that are up. */
static void start_new_dependencies(struct manager *m)
{
	for (uint32_t i = 0; i < m->e.n; i++) {
		const struct svc *s = &m->e.s[i];
		const uint32_t *ids = graph_ids(m->g, s->def->depends);
		for (uint32_t k = 0; svc_active(s) && svc_has(s, F_WANT) && k < s->def->depends.n; k++) {
			struct mark mk = {0};
			if (!svc_has(&m->e.s[ids[k]], F_WANT) && mark_start(&m->e, &ids[k], 1, MARK_IMPLICIT, &mk) < 0)
				log_warning("service '%s' now depends on %s, which can't be started", nm(m, s), nm(m, &m->e.s[ids[k]]));
			mark_clear(&mk);
		}
	}
}

static int take_over(struct apply *a)
{
	struct manager *m = a->m;
	struct engine to;
	int r = engine_init(&to, a->g, &manager_ops, m);
	if (r < 0)
		return r;
	to.no_restart = m->e.no_restart;
	for (uint32_t i = 0; i < m->e.n; i++)
		if (a->map[i] != NONE)
			move_service(a, &to, i);
	r = fill_state(a, &to, &a->st);
	if (r < 0) { /* nothing has happened yet: give back what was lent to the new array */
		for (uint32_t i = 0; i < m->e.n; i++)
			if (m->e.s[i].ext)
				m->e.s[i].ext->i = i;
		for (uint32_t i = 0; i < to.n; i++)
			to.s[i].ring = NULL;
		engine_free(&to);
		return r;
	}
	FAULT_POINT("applied");
	for (uint32_t k = 0; k < a->n_removed; k++)
		drop_service(a, a->removed[k]);
	for (uint32_t i = 0; i < m->e.n; i++)
		if (a->map[i] != NONE)
			m->e.s[i].ring = NULL;
	renumber(a);
	engine_free(&m->e);
	m->e = to;
	state_close(&m->st);
	m->st = a->st;
	a->st = (struct state){0};
	m->g = a->g;
	boot_masks(m);
	output_init(m);
	engine_resume(&m->e);
	return 0;
}

/* What the instances were made for. */
static void go_on(struct apply *a)
{
	struct manager *m = a->m;
	struct varlink_call *call = a->then && a->call ? varlink_call_ref(a->call) : NULL;
	json_t *params = json_incref(a->params);
	apply_then then = a->then;
	apply_free(a);
	int r = call ? then(call, params, m) : 0;
	if (r < 0)
		varlink_error_errno(call, r, NULL);
	if (call)
		varlink_call_unref(call);
	json_decref(params);
}

static void switch_over(struct apply *a)
{
	struct manager *m = a->m;
	const struct graph *old = m->g;
	json_t *removed = names(old, a->removed, a->n_removed);
	uint64_t old_generation = old->generation;
	int r = take_over(a);
	if (r < 0) {
		json_decref(removed);
		refuse_errno(a, r, "the new set could not be put in place");
		return;
	}
	compile_point_to(m, a->g->generation);
	start_new_dependencies(m);
	struct mark mk = {0};
	uint32_t n = a->restart ? running_stale(a) : 0;
	if (n)
		mark_restart(&m->e, a->stale, n, 0, &mk);
	mark_clear(&mk);
	log_notice("generation %" PRIu64 ": %u services added, %u removed, %u changed", a->g->generation, a->n_added, a->n_removed,
		a->n_changed);
	remember_apply(m);
	if (a->then)
		json_decref(removed);
	else
		reply(a, old, a->g, removed, names(a->g, a->stale, n));
	graph_unmap(old);
	compile_remove(m, old_generation);
	events_generation(m);
	go_on(a);
	manager_schedule(m);
}

/* --- before the switch --- */

/* What is removed goes down; what stands on it goes down with it, and waits for the new set. */
static int stop_removed(struct apply *a)
{
	struct manager *m = a->m;
	struct mark k = {0};
	int r = a->n_removed ? mark_stop(&m->e, a->removed, a->n_removed, MARK_FORCE | MARK_DRY, &k) : 0;
	for (uint32_t c = 0; r == 0 && c < k.n; c++)
		mark_for_switch(&m->e, k.changed[c], a->map[k.changed[c]] == NONE);
	mark_clear(&k);
	return r;
}

static bool removed_are_down(const struct apply *a)
{
	for (uint32_t k = 0; k < a->n_removed; k++)
		if (svc_active(&a->m->e.s[a->removed[k]]))
			return false;
	return true;
}

/* Numbers change: nothing may be on its way that knows the old ones. */
static bool quiet(const struct manager *m)
{
	for (uint32_t i = 0; i < m->e.n; i++)
		if (m->e.s[i].spawning || (m->e.s[i].ext && m->e.s[i].ext->exec_fd >= 0))
			return false;
	return !m->n_pend;
}

void apply_check(struct manager *m)
{
	if (m->apply && m->apply->switching && removed_are_down(m->apply) && quiet(m))
		switch_over(m->apply);
}

static bool has_errors(json_t *problems)
{
	size_t k;
	json_t *p;
	json_array_foreach(problems, k, p) if (!strcmp(json_string_value(json_object_get(p, "level")), "error")) return true;
	return false;
}

/* --- instances on demand --- */

/* Its text is as it was, so all that shapes it is, but for whether it is enabled. */
static bool same_definition(const struct graph *old, uint32_t i, const struct graph *new, uint32_t k)
{
	const struct gservice *x = graph_service(old, i), *y = graph_service(new, k);
	return x->text_hash == y->text_hash && x->enabled == y->enabled;
}

static bool is_instance(const char *name)
{
	const char *at = strchr(name, '@');
	return at && at[1];
}

/* Names of what else differs; NULL: nothing, or no memory. */
static json_t *other_changes(const struct apply *a)
{
	const struct graph *old = a->m->g, *new = a->g;
	json_t *v = names(old, a->removed, a->n_removed);
	for (uint32_t i = 0; v && i < old->n_services; i++)
		if (a->map[i] != NONE && !same_definition(old, i, new, a->map[i]))
			json_array_append_new(v, json_string(name_in(old, i)));
	for (uint32_t k = 0; v && k < a->n_added; k++)
		if (!is_instance(name_in(new, a->added[k])))
			json_array_append_new(v, json_string(name_in(new, a->added[k])));
	if (json_array_size(v) > 0)
		return v;
	json_decref(v);
	return NULL;
}

/* 1: it was refused. */
static int only_instances(struct apply *a)
{
	json_t *others = a->then ? other_changes(a) : NULL;
	if (!others)
		return 0;
	const char *name = json_string_value(json_array_get(json_object_get(a->params, "names"), 0));
	refuse(a, IFACE ".ChangesPending", json_pack("{s:s,s:o}", "name", name ? name : "", "changed", others));
	return 1;
}

/* Instances stay as long as something of them is there, or is meant to be, though nobody names them any more: no longer to be enabled is no reason to
 * be stopped, as with any other service. */
static int keep_instances(struct manager *m, bool all, char ***names)
{
	for (uint32_t i = 0; i < m->e.n; i++) {
		const struct svc *s = &m->e.s[i];
		bool needed = svc_active(s) || svc_has(s, F_WANT) || s->r.state == ST_FAILED;
		if (is_instance(nm(m, s)) && (needed || (all && s->def->on_demand)) && strv_push(names, nm(m, s)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void compiled(struct apply *a)
{
	struct manager *m = a->m;
	_cleanup_err_ struct err e = {0};
	char name[32];
	a->problems = compile_problems(&a->c);
	if (has_errors(a->problems)) {
		log_err("apply: the service files have errors; the services stay as they are");
		refuse(a, IFACE ".Invalid", json_pack("{s:O}", "problems", a->problems));
		return;
	}
	snprintf(name, sizeof(name), "%" PRIu64, a->c.generation);
	int r = graph_map(m->graph_fd, name, &a->g, &e);
	if (r == 0)
		r = compare(a);
	if (r < 0) {
		refuse_errno(a, r, e.text ? err_text(&e) : "compare the sets");
		return;
	}
	if (only_instances(a))
		return;
	if (a->dry_run) {
		reply(a, m->g, a->g, names(m->g, a->removed, a->n_removed), json_array());
		graph_unmap(a->g);
		compile_remove(m, a->c.generation);
		apply_free(a);
		return;
	}
	if ((r = state_create(m->run_fd, ".state.new", a->g, &m->st.boot, &a->st, &e)) < 0) { /* before anything is stopped for it */
		refuse_errno(a, r, err_text(&e));
		return;
	}
	if ((r = stop_removed(a)) < 0) {
		refuse_errno(a, r, "stop what is removed");
		return;
	}
	a->switching = true;
	manager_schedule(m);
}

static int on_limit(struct timer *t, void *data)
{
	struct apply *a = data;
	kill(a->c.pid, SIGKILL);
	refuse_errno(a, -ETIMEDOUT, "the service files can't be read: the disk that they are on does not answer");
	return 0;
}

static int on_compiler(struct source *src, int fd, uint32_t events, void *data)
{
	struct apply *a = data;
	if (!compile_read(&a->c))
		return 0;
	loop_remove_fd(a->source);
	a->source = NULL;
	timer_disarm(a->m->loop, &a->limit);
	compiled(a);
	return 0;
}

/* `how` says what is to be done; its instances become ours. */
static int begin(struct manager *m, struct varlink_call *call, const struct apply *how)
{
	_cleanup_err_ struct err e = {0};
	struct apply *a = calloc(1, sizeof(*a));
	if (!a) {
		strv_free(how->instances);
		return -ENOMEM;
	}
	*a = *how;
	json_incref(a->params);
	a->m = m;
	a->c.fd = -1;
	int r = keep_instances(m, a->then != NULL, &a->instances);
	if (r == 0)
		r = compile_start(m, &a->c, m->g->generation + 1, 0, a->instances, &e);
	if (r == 0)
		r = loop_add_fd(m->loop, a->c.fd, EPOLLIN, on_compiler, a, &a->source);
	timer_init(&a->limit, on_limit, a);
	if (r == 0)
		r = timer_arm_in(m->loop, &a->limit, COMPILE_LIMIT_MS * 1000u);
	if (r < 0) {
		log_err("apply: %s", e.text ? err_text(&e) : strerror(-r));
		apply_free(a);
		return r;
	}
	m->apply = a;
	if (call) {
		a->call = varlink_call_ref(call);
		varlink_call_on_close(call, on_close, a);
	}
	return 0;
}

int apply_begin(struct manager *m, struct varlink_call *call, bool dry_run, bool restart)
{
	return begin(m, call, &(struct apply){.dry_run = dry_run, .restart = restart});
}

int apply_instances(struct manager *m, struct varlink_call *call, json_t *params, char **names, apply_then then)
{
	return begin(m, call, &(struct apply){.instances = names, .params = params, .then = then});
}

void apply_from_signal(struct manager *m)
{
	int r = m->apply || m->st.boot.power ? -EBUSY : apply_begin(m, NULL, false, false);
	if (r < 0)
		log_warning("SIGHUP: the services are not read anew: %s", strerror(-r));
}

/* A former rastd died between the marks and the switch: the old set goes on. */
void apply_resume(struct manager *m)
{
	for (uint32_t i = 0; i < m->e.n; i++)
		m->e.s[i].r.flags &= (uint16_t)~F_HOLD;
}
