/* control.c: the methods of io.rastos.Supervisor. Each checks its arguments, marks what is wanted, and answers or leaves a job behind. */
#include "supervisor/control/control.h"

#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "config.h"
#include "supervisor/control/interface.h"

/* --- arguments --- */

struct ids {
	uint32_t *v, n;
};
static void ids_free(struct ids *i)
{
	free(i->v);
}
#define _cleanup_ids_ _cleanup_(ids_free)

static bool flag(json_t *p, const char *key, bool def)
{
	json_t *v = json_object_get(p, key);
	return json_is_boolean(v) ? json_is_true(v) : def;
}

static int no_such(struct manager *m, struct varlink_call *c, const char *name)
{
	const char **names = calloc(m->e.n + 1, sizeof(*names));
	for (uint32_t i = 0; names && i < m->e.n; i++)
		names[i] = nm(m, &m->e.s[i]);
	const char *near = names ? str_nearest(name, names, m->e.n) : NULL;
	json_t *o = json_pack("{s:s}", "name", name);
	if (o && near)
		json_object_set_new(o, "near", json_string(near));
	free(names);
	return varlink_error(c, IFACE ".NoSuchService", o);
}

/* The indexes of an array of names; without one: all services if `all`. 1: an error was answered. */
static int take_names(struct manager *m, struct varlink_call *c, json_t *a, bool all, struct ids *ret)
{
	size_t n = json_is_array(a) ? json_array_size(a) : all ? m->e.n : 0;
	ret->v = calloc(n + 1, sizeof(uint32_t));
	if (!ret->v)
		return -ENOMEM;
	for (size_t k = 0; k < n; k++) {
		const char *name = json_is_array(a) ? json_string_value(json_array_get(a, k)) : NULL;
		uint32_t i = json_is_array(a) ? name ? graph_find(m->g, name) : NONE : (uint32_t)k;
		if (i == NONE) {
			int r = no_such(m, c, name ? name : "");
			return r < 0 ? r : 1;
		}
		ret->v[ret->n++] = i;
	}
	return 0;
}

static int take_name(struct manager *m, struct varlink_call *c, json_t *p, uint32_t *ret)
{
	const char *name = json_string_value(json_object_get(p, "name"));
	*ret = name ? graph_find(m->g, name) : NONE;
	if (*ret != NONE)
		return 0;
	int r = no_such(m, c, name ? name : "");
	return r < 0 ? r : 1;
}

static int bad_argument(struct varlink_call *c, const char *which, const char *text)
{
	return varlink_error(c, IFACE ".BadArgument", json_pack("{s:s,s:s}", "parameter", which, "text", text));
}

static int busy(struct varlink_call *c, const char *what)
{
	return varlink_error(c, IFACE ".Busy", json_pack("{s:s}", "what", what));
}

/* --- looking --- */

static int ping(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	return varlink_reply(c, json_pack("{s:s,s:i,s:I,s:I,s:I,s:b,s:o}", "version", RAST_VERSION, "pid", getpid(), "instance",
					(json_int_t)m->st.boot.instance, "generation", (json_int_t)m->g->generation, "services",
					(json_int_t)m->e.n, "standalone", m->p1_fd < 0, "boot", json_boot(m)));
}

/* One reply per service, as fast as the client reads. */
struct lister {
	struct manager *m;
	struct varlink_call *call;
	uint32_t *ids, n, at;
	uint64_t generation;
};

static void lister_free(struct varlink_call *c, void *data)
{
	struct lister *l = data;
	varlink_call_unref(l->call);
	free(l->ids);
	free(l);
}

static json_t *list_item(struct lister *l)
{
	return json_pack("{s:o}", "service", json_service(l->m, &l->m->e.s[l->ids[l->at]]));
}

static void list_on(struct varlink_call *c, void *data)
{
	struct lister *l = data;
	if (l->generation != l->m->g->generation) { /* the numbers mean other services now */
		varlink_call_on_close(c, NULL, NULL);
		busy(c, "the set of services has just changed: ask again");
		lister_free(c, l);
		return;
	}
	for (; l->at + 1 < l->n; l->at++)
		if (varlink_reply_continues(c, list_item(l)) == -EAGAIN)
			return; /* called again when there is room */
	varlink_call_on_drain(c, NULL, NULL);
	varlink_call_on_close(c, NULL, NULL);
	varlink_reply(c, list_item(l));
	lister_free(c, l);
}

static int list(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	_cleanup_ids_ struct ids ids = {0};
	int r = take_names(m, c, json_object_get(p, "names"), true, &ids);
	if (r)
		return MIN(r, 0);
	if (!ids.n)
		return varlink_error(c, IFACE ".NoSuchService", json_pack("{s:s}", "name", ""));
	if (ids.n > 1 && !varlink_call_wants_more(c))
		return -EPROTO;
	struct lister *l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	*l = (struct lister){.m = m, .call = varlink_call_ref(c), .n = ids.n, .generation = m->g->generation};
	l->ids = TAKE_PTR(ids.v);
	varlink_call_on_close(c, lister_free, l);
	varlink_call_on_drain(c, list_on, l);
	list_on(c, l);
	return 0;
}

struct status {
	struct varlink_call *call;
	json_t *reply;
};

static void on_status_tail(struct manager *m, json_t *lines, void *data)
{
	struct status *st = data;
	json_object_set_new(st->reply, "log", lines);
	varlink_reply(st->call, st->reply);
	varlink_call_unref(st->call);
	free(st);
}

static int status(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	uint32_t i;
	int r = take_name(m, c, p, &i);
	json_t *lines = json_object_get(p, "lines");
	if (r)
		return MIN(r, 0);
	json_int_t n = json_is_integer(lines) ? json_integer_value(lines) : 10;
	struct status *st = calloc(1, sizeof(*st));
	json_t *reply = st ? json_pack("{s:o,s:o}", "service", json_service(m, &m->e.s[i]), "processes", json_processes(m, &m->e.s[i])) : NULL;
	if (!reply) {
		free(st);
		return -ENOMEM;
	}
	*st = (struct status){.call = varlink_call_ref(c), .reply = reply};
	tail_begin(m, nm(m, &m->e.s[i]), (unsigned)MIN(MAX(n, 0), 1000), on_status_tail, st);
	return 0;
}

/* --- changing --- */

typedef int (*marker)(struct engine *e, const uint32_t *ids, uint32_t n, int how, struct mark *m);

/* Of those that were to be stopped: whom the first of the blockers stands on. */
static uint32_t blocked(const struct manager *m, const struct mark *k, const struct ids *asked)
{
	const struct gservice *b = m->e.s[k->blockers[0]].def;
	const uint32_t *depends = graph_ids(m->g, b->depends);
	for (uint32_t i = 0; i < asked->n; i++)
		for (uint32_t d = 0; d < b->depends.n; d++)
			if (depends[d] == asked->v[i])
				return asked->v[i];
	return asked->v[0];
}

static int refuse(struct manager *m, struct varlink_call *c, int r, const struct mark *k, const struct ids *asked)
{
	if (r == -EBUSY && k->n_blockers)
		return varlink_error(c, IFACE ".HasDependents",
			json_pack(
				"{s:s,s:o}", "name", nm(m, &m->e.s[blocked(m, k, asked)]), "dependents", json_names(m, k->blockers, k->n_blockers)));
	if (r == -EBUSY)
		return varlink_error(
			c, IFACE ".Conflict", json_pack("{s:s,s:s}", "name", nm(m, &m->e.s[k->subject]), "with", nm(m, &m->e.s[k->other])));
	if (r == -EPERM)
		return varlink_error(c, IFACE ".StartFailed",
			json_pack("{s:s,s:s,s:[]}", "name", nm(m, &m->e.s[k->subject]), "reason", "masked for this boot (rast.mask=)", "log"));
	return r;
}

/* Names of instances that are not in the set: perhaps their templates are. NULL: none, or no memory. */
static char **missing_instances(struct manager *m, json_t *names)
{
	char **v = NULL;
	size_t k;
	json_t *j;
	json_array_foreach (names, k, j) {
		const char *name = json_string_value(j), *at = name ? strchr(name, '@') : NULL;
		if (at && at[1] && name_valid(name) && graph_find(m->g, name) == NONE && strv_push(&v, name) < 0)
			break;
	}
	return v;
}

/* Start what nobody has named before: it is made from its template first, and then this request is taken up again. */
static int change_up(struct manager *m, struct varlink_call *c, json_t *p, apply_then then, bool *begun)
{
	json_t *names = json_object_get(p, "names");
	char **missing = m->st.boot.power || json_is_true(json_object_get(p, "made")) ? NULL : missing_instances(m, names);
	*begun = missing;
	if (!missing)
		return 0;
	if (m->apply) {
		strv_free(missing);
		return busy(c, "an apply is under way");
	}
	json_t *again = json_copy(p);
	if (!again) {
		strv_free(missing);
		return -ENOMEM;
	}
	json_object_set_new(again, "made", json_true());
	int r = apply_instances(m, c, again, missing, then);
	json_decref(again);
	return r;
}

static int change(struct manager *m, struct varlink_call *c, json_t *p, marker mark, enum job_kind goal)
{
	_cleanup_ids_ struct ids ids = {0};
	struct mark k = {0};
	bool dry = flag(p, "dry_run", false);
	int r = take_names(m, c, json_object_get(p, "names"), false, &ids);
	if (r)
		return MIN(r, 0);
	if (m->st.boot.power)
		return busy(c, "the machine is going down");
	if (!ids.n)
		return bad_argument(c, "names", "is empty");
	r = mark(&m->e, ids.v, ids.n, (flag(p, "force", false) ? MARK_FORCE : 0) | (dry ? MARK_DRY : 0), &k);
	if (r < 0) {
		r = refuse(m, c, r, &k, &ids);
	} else if (dry || !flag(p, "wait", true)) {
		r = job_reply_changed(m, c, k.changed, k.n);
	} else {
		bool all = goal == JOB_DOWN && k.n; /* dependents and members, too */
		struct job_spec spec = {.kind = goal,
			.ids = all ? k.changed : ids.v,
			.n = all ? k.n : ids.n,
			.timeout_us = NEVER,
			.changed = k.changed,
			.n_changed = k.n};
		r = job_add(m, c, &spec);
	}
	mark_clear(&k);
	m->jobs_dirty = true;
	manager_schedule(m);
	return r;
}

static int start(struct varlink_call *c, json_t *p, void *data)
{
	bool begun;
	int r = change_up(data, c, p, start, &begun);
	return begun ? r : change(data, c, p, mark_start, JOB_UP);
}
static int stop(struct varlink_call *c, json_t *p, void *data)
{
	return change(data, c, p, mark_stop, JOB_DOWN);
}
static int restart(struct varlink_call *c, json_t *p, void *data)
{
	bool begun;
	int r = change_up(data, c, p, restart, &begun);
	return begun ? r : change(data, c, p, mark_restart, JOB_UP);
}

/* The answer comes when the set is up and all else is down: its list, and what is to stop. */
static int wait_isolated(struct manager *m, struct varlink_call *c, uint32_t id, const struct mark *k)
{
	_cleanup_free_ uint32_t *v = malloc((k->n + 1) * sizeof(*v));
	uint32_t n = 0;
	if (!v)
		return -ENOMEM;
	v[n++] = id;
	for (uint32_t i = 0; i < k->n; i++)
		if (!svc_has(&m->e.s[k->changed[i]], F_WANT))
			v[n++] = k->changed[i];
	struct job_spec spec = {.kind = JOB_WANTED, .ids = v, .n = n, .timeout_us = NEVER, .changed = k->changed, .n_changed = k->n};
	return job_add(m, c, &spec);
}

static int isolate(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	struct mark k = {0};
	struct ids asked = {.n = 1};
	uint32_t id;
	bool dry = flag(p, "dry_run", false), force = flag(p, "force", false);
	int r = take_name(m, c, p, &id);
	if (r)
		return MIN(r, 0);
	if (m->st.boot.power)
		return busy(c, "the machine is going down");
	if (m->e.s[id].def->type != SVC_BUNDLE && !force)
		return bad_argument(c, "name", "is no bundle: everything else would be stopped; force (--force) does it all the same");
	asked.v = &id;
	r = mark_isolate(&m->e, &id, 1, m->logger, dry ? MARK_DRY : 0, &k);
	if (r < 0) {
		r = refuse(m, c, r, &k, &asked);
	} else {
		if (!dry)
			boot_isolated(m, nm(m, &m->e.s[id]));
		r = dry || !flag(p, "wait", true) ? job_reply_changed(m, c, k.changed, k.n) : wait_isolated(m, c, id, &k);
	}
	mark_clear(&k);
	m->jobs_dirty = true;
	manager_schedule(m);
	return r;
}

/* Nothing is done to any of them if one can't. 0 or, when answered with an error, 1. */
static int refuse_reload(struct manager *m, struct varlink_call *c, const struct ids *ids)
{
	char text[192];
	for (uint32_t k = 0; k < ids->n; k++) {
		const struct svc *s = &m->e.s[ids->v[k]];
		const char *why = reload_refused(m, s);
		if (s->r.state != ST_UP)
			return varlink_error(c, IFACE ".NotRunning", json_pack("{s:s}", "name", nm(m, s))) < 0 ? -EIO : 1;
		snprintf(text, sizeof(text), "%s %s", nm(m, s), why ? why : "");
		if (why)
			return bad_argument(c, "names", text) < 0 ? -EIO : 1;
		if (svc_has(s, F_RELOADING) || s->r.aux || s->spawning)
			return busy(c, "it is being reloaded already") < 0 ? -EIO : 1;
	}
	return 0;
}

static int reload(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	_cleanup_ids_ struct ids ids = {0};
	bool dry = flag(p, "dry_run", false);
	int r = take_names(m, c, json_object_get(p, "names"), false, &ids);
	if (r || (r = refuse_reload(m, c, &ids)))
		return MIN(r, 0);
	for (uint32_t k = 0; k < ids.n && !dry; k++)
		if ((r = reload_begin(m, &m->e.s[ids.v[k]])) < 0)
			return r;
	manager_schedule(m);
	if (dry || !flag(p, "wait", true))
		return job_reply_changed(m, c, ids.v, ids.n);
	struct job_spec spec = {.kind = JOB_RELOAD, .ids = ids.v, .n = ids.n, .timeout_us = NEVER, .changed = ids.v, .n_changed = ids.n};
	return job_add(m, c, &spec);
}

static int reset(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	_cleanup_ids_ struct ids ids = {0};
	uint32_t n = 0;
	int r = take_names(m, c, json_object_get(p, "names"), true, &ids);
	if (r)
		return MIN(r, 0);
	boot_stay(m);
	for (uint32_t k = 0; k < ids.n; k++)
		if (mark_reset(&m->e, ids.v[k]))
			ids.v[n++] = ids.v[k];
	manager_schedule(m);
	return job_reply_changed(m, c, ids.v, n);
}

static int send_signal(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	uint32_t i;
	const char *name = json_string_value(json_object_get(p, "signal"));
	int sig = name ? parse_signal(name) : -EINVAL, r = take_name(m, c, p, &i);
	if (r)
		return MIN(r, 0);
	if (sig <= 0)
		return bad_argument(c, "signal", "is no signal's name or number");
	if (!m->e.s[i].r.pid && !svc_has(&m->e.s[i], F_CGROUP))
		return varlink_error(c, IFACE ".NotRunning", json_pack("{s:s}", "name", nm(m, &m->e.s[i])));
	cgroups_signal(&m->e, &m->e.s[i], sig, flag(p, "all", false));
	return varlink_reply(c, json_object());
}

/* --- waiting --- */

static int wait_for(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	_cleanup_ids_ struct ids ids = {0};
	json_t *names = json_object_get(p, "names"), *timeout = json_object_get(p, "timeout_us");
	const char *state = json_string_value(json_object_get(p, "state"));
	struct job_spec spec = {
		.kind = JOB_UP, .timeout_us = json_is_integer(timeout) ? (uint64_t)MAX(json_integer_value(timeout), 0) : NEVER};
	int r = take_names(m, c, names, false, &ids);
	if (r)
		return MIN(r, 0);
	if (!ids.n) {
		ids.v[0] = graph_find(m->g, m->st.boot.target);
		ids.n = ids.v[0] != NONE;
	}
	if (state && streq(state, "settled")) {
		spec.kind = JOB_SETTLED;
	} else if (json_is_array(names) || state) {
		int st = svc_state_parse(state ? state : "up");
		if (st < 0)
			return bad_argument(c, "state", "there is no such state; up, down, failed and settled are those most asked for");
		spec.kind = JOB_STATE;
		spec.state = (unsigned)st;
	}
	if (!json_is_array(names) && spec.kind == JOB_UP)
		spec.kind = JOB_TARGET;
	spec.ids = ids.v;
	spec.n = ids.n;
	return job_add(m, c, &spec);
}

static int subscribe(struct varlink_call *c, json_t *p, void *data)
{
	return events_subscribe(data, c, flag(p, "initial", false));
}

/* --- the tree --- */

struct tree {
	struct manager *m;
	uint32_t *v, n;
	uint8_t *seen;
	json_t *edges;
};

static void tree_edges(struct tree *t, uint32_t from, struct gids l, const char *kind, bool reverse)
{
	const uint32_t *ids = graph_ids(t->m->g, l);
	for (uint32_t k = 0; k < l.n; k++) {
		uint32_t a = reverse ? ids[k] : from, b = reverse ? from : ids[k];
		json_array_append_new(
			t->edges, json_pack("{s:s,s:s,s:s}", "from", nm(t->m, &t->m->e.s[a]), "to", nm(t->m, &t->m->e.s[b]), "kind", kind));
		if (!t->seen[ids[k]]) {
			t->seen[ids[k]] = 1;
			t->v[t->n++] = ids[k];
		}
	}
}

static void tree_walk(struct tree *t, bool reverse)
{
	for (uint32_t c = 0; c < t->n; c++) {
		uint32_t i = t->v[c];
		const struct gservice *d = t->m->e.s[i].def;
		if (reverse) {
			tree_edges(t, i, d->dependents, "depends", true);
			tree_edges(t, i, d->wanted_by, "wants", true);
			tree_edges(t, i, d->watched_by, "contents", true);
		} else {
			tree_edges(t, i, d->depends, "depends", false);
			tree_edges(t, i, d->requires_one, "requires-one", false);
			tree_edges(t, i, d->wants, "wants", false);
			tree_edges(t, i, d->contents, d->type == SVC_VIRTUAL ? "provider" : "contents", false);
		}
	}
}

static int tree(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	const char *name = json_string_value(json_object_get(p, "name"));
	uint32_t root = graph_find(m->g, name ? name : m->st.boot.target);
	if (root == NONE)
		return no_such(m, c, name ? name : m->st.boot.target);
	_cleanup_free_ uint32_t *v = calloc(m->e.n + 1, sizeof(*v));
	_cleanup_free_ uint8_t *seen = calloc(m->e.n + 1, 1);
	struct tree t = {.m = m, .v = v, .seen = seen, .edges = json_array()};
	json_t *services = json_array();
	if (!v || !seen || !t.edges || !services)
		return -ENOMEM;
	v[t.n++] = root;
	seen[root] = 1;
	tree_walk(&t, flag(p, "reverse", false));
	for (uint32_t k = 0; k < t.n; k++)
		json_array_append_new(services, json_service(m, &m->e.s[v[k]]));
	return varlink_reply(c, json_pack("{s:s,s:o,s:o}", "root", nm(m, &m->e.s[root]), "services", services, "edges", t.edges));
}

/* --- the whole --- */

static int apply(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	if (m->st.boot.power)
		return busy(c, "the machine is going down");
	if (m->apply)
		return busy(c, "another apply");
	return apply_begin(m, c, flag(p, "dry_run", false), flag(p, "restart", false));
}

static int on_reexec(void *data)
{
	return manager_reexec(data);
}

static int reexec(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	if (m->apply)
		return busy(c, "an apply is under way");
	if (m->p1_fd < 0) /* nobody would hold the sockets and the pipes of what services say meanwhile */
		return varlink_error_errno(c, -EOPNOTSUPP, "this rastd runs without PID 1 (--standalone), which would keep its descriptors: it can't be replaced in place; stop it and start the new one");
	m->reexec = true;
	varlink_reply(c, json_object());
	return loop_defer(m->loop, on_reexec, m);
}

static int power(struct varlink_call *c, json_t *p, void *data)
{
	static const struct {
		const char *name;
		enum rinit_power kind;
	} kinds[] = {{"poweroff", RINIT_POWEROFF}, {"reboot", RINIT_REBOOT}, {"halt", RINIT_HALT}, {"kexec", RINIT_KEXEC},
		{"exit", RINIT_SOFT_EXIT}};
	struct manager *m = data;
	const char *kind = json_string_value(json_object_get(p, "kind"));
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		if (kind && streq(kind, kinds[k].name)) {
			power_begin(m, kinds[k].kind, flag(p, "force", false), json_string_value(json_object_get(p, "message")));
			return varlink_reply(c, json_object());
		}
	return bad_argument(c, "kind", "is none of poweroff, reboot, halt, kexec, exit");
}

static void on_logs_synced(struct manager *m, int error, void *data)
{
	struct varlink_call *c = data;
	if (error)
		varlink_error_errno(c, error, NULL);
	else
		varlink_reply(c, json_object());
	varlink_call_unref(c);
}

static int sync_logs(struct varlink_call *c, json_t *p, void *data)
{
	int r = output_sync(data, false, on_logs_synced, varlink_call_ref(c));
	if (r < 0)
		varlink_call_unref(c);
	return r == -ENOTCONN ? varlink_reply(c, json_object()) : r;
}

static const struct varlink_method_entry methods[] = {
	{"Ping", ping, false},
	{"List", list, false},
	{"Status", status, false},
	{"Start", start, true},
	{"Stop", stop, true},
	{"Restart", restart, true},
	{"Isolate", isolate, true},
	{"Reload", reload, true},
	{"Apply", apply, true},
	{"Wait", wait_for, false},
	{"Tree", tree, false},
	{"Signal", send_signal, true},
	{"Reset", reset, true},
	{"Subscribe", subscribe, false},
	{"Reexec", reexec, true},
	{"Power", power, true},
	{"SyncLogs", sync_logs, false},
};

static int make_socket(struct manager *m)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/" IFACE, m->opt.run_dir);
	unlink(a.sun_path);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 128) < 0 || chmod(a.sun_path, 0666) < 0)
		return -errno;
	struct pid1_entry e = {.name = "varlink", .fd = {fd}, .n = 1};
	pid1_store(m, &e, 1);
	return take_fd(&fd);
}

int control_init(struct manager *m)
{
	static const struct varlink_interface iface = {
		.name = IFACE, .description = supervisor_interface, .methods = methods, .n_methods = ARRAY_SIZE(methods)};
	if (m->listen_fd < 0)
		m->listen_fd = make_socket(m);
	if (m->listen_fd < 0)
		return m->listen_fd;
	return varlink_server_new(m->loop, m->listen_fd, &iface, 1, "rastOS", RAST_VERSION, m, &m->server);
}
