/* change.c: the methods that change what services are wanted to be, or tell them something. Each checks its arguments, marks what is wanted, and answers
 * or leaves a job behind. */
#include <jansson.h>
#include <string.h>
#include "supervisor/control/control.h"

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
		return answer_busy(c, "an apply is under way");
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
	bool dry = arg_flag(p, "dry_run", false);
	int r = arg_names(m, c, json_object_get(p, "names"), false, &ids);
	if (r)
		return MIN(r, 0);
	if (m->st.boot.power)
		return answer_busy(c, "the machine is going down");
	if (!ids.n)
		return answer_bad(c, "names", "is empty");
	r = mark(&m->e, ids.v, ids.n, (arg_flag(p, "force", false) ? MARK_FORCE : 0) | (dry ? MARK_DRY : 0), &k);
	if (r < 0) {
		r = refuse(m, c, r, &k, &ids);
	} else if (dry || !arg_flag(p, "wait", true)) {
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

int method_start(struct varlink_call *c, json_t *p, void *data)
{
	bool begun;
	int r = change_up(data, c, p, method_start, &begun);
	return begun ? r : change(data, c, p, mark_start, JOB_UP);
}
int method_stop(struct varlink_call *c, json_t *p, void *data)
{
	return change(data, c, p, mark_stop, JOB_DOWN);
}
int method_restart(struct varlink_call *c, json_t *p, void *data)
{
	bool begun;
	int r = change_up(data, c, p, method_restart, &begun);
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

int method_isolate(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	struct mark k = {0};
	struct ids asked = {.n = 1};
	uint32_t id;
	bool dry = arg_flag(p, "dry_run", false), force = arg_flag(p, "force", false);
	int r = arg_name(m, c, p, &id);
	if (r)
		return MIN(r, 0);
	if (m->st.boot.power)
		return answer_busy(c, "the machine is going down");
	if (m->e.s[id].def->type != SVC_BUNDLE && !force)
		return answer_bad(c, "name", "is no bundle: everything else would be stopped; force (--force) does it all the same");
	asked.v = &id;
	r = mark_isolate(&m->e, &id, 1, m->logger, dry ? MARK_DRY : 0, &k);
	if (r < 0) {
		r = refuse(m, c, r, &k, &asked);
	} else {
		if (!dry)
			boot_isolated(m, nm(m, &m->e.s[id]));
		r = dry || !arg_flag(p, "wait", true) ? job_reply_changed(m, c, k.changed, k.n) : wait_isolated(m, c, id, &k);
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
			return answer_bad(c, "names", text) < 0 ? -EIO : 1;
		if (svc_has(s, F_RELOADING) || s->r.aux || s->spawning)
			return answer_busy(c, "it is being reloaded already") < 0 ? -EIO : 1;
	}
	return 0;
}

int method_reload(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	_cleanup_ids_ struct ids ids = {0};
	bool dry = arg_flag(p, "dry_run", false);
	int r = arg_names(m, c, json_object_get(p, "names"), false, &ids);
	if (r || (r = refuse_reload(m, c, &ids)))
		return MIN(r, 0);
	for (uint32_t k = 0; k < ids.n && !dry; k++)
		if ((r = reload_begin(m, &m->e.s[ids.v[k]])) < 0)
			return r;
	manager_schedule(m);
	if (dry || !arg_flag(p, "wait", true))
		return job_reply_changed(m, c, ids.v, ids.n);
	struct job_spec spec = {.kind = JOB_RELOAD, .ids = ids.v, .n = ids.n, .timeout_us = NEVER, .changed = ids.v, .n_changed = ids.n};
	return job_add(m, c, &spec);
}

int method_reset(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	_cleanup_ids_ struct ids ids = {0};
	uint32_t n = 0;
	int r = arg_names(m, c, json_object_get(p, "names"), true, &ids);
	if (r)
		return MIN(r, 0);
	boot_stay(m);
	for (uint32_t k = 0; k < ids.n; k++)
		if (mark_reset(&m->e, ids.v[k]))
			ids.v[n++] = ids.v[k];
	manager_schedule(m);
	return job_reply_changed(m, c, ids.v, n);
}

int method_send_signal(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	uint32_t i;
	const char *name = json_string_value(json_object_get(p, "signal"));
	int sig = name ? parse_signal(name) : -EINVAL, r = arg_name(m, c, p, &i);
	if (r)
		return MIN(r, 0);
	if (sig <= 0)
		return answer_bad(c, "signal", "is no signal's name or number");
	if (!m->e.s[i].r.pid && !svc_has(&m->e.s[i], F_CGROUP))
		return varlink_error(c, IFACE ".NotRunning", json_pack("{s:s}", "name", nm(m, &m->e.s[i])));
	cgroups_signal(&m->e, &m->e.s[i], sig, arg_flag(p, "all", false));
	return varlink_reply(c, json_object());
}
