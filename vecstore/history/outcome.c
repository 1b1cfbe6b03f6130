/* outcome.c: what became of boots. */
#include "storage/decide.h"
#include "vecstore/history/private.h"

static int put_boot(struct history *h, const struct outcome *o, struct err *e)
{
	_cleanup_vs_meta_ struct vs_meta m = {0};
	float v[HEALTH_FIGURES] = {0};
	char id[24];

	attempt_id(id, o->attempt);
	vs_meta_int(&m, "attempt", (int64_t)o->attempt);
	vs_meta_int(&m, "version", o->version);
	vs_meta_int(&m, "snapshot", o->snapshot);
	vs_meta_string(&m, "result", ledger_result_name(o->result));
	vs_meta_int(&m, "code", o->result);
	vs_meta_string(&m, "reason", o->reason);
	vs_meta_string(&m, "why", o->why);
	vs_meta_int(&m, "time_us", (int64_t)o->time_us);
	vs_meta_bool(&m, "measured", o->has_health);
	for (unsigned i = 0; o->has_health && i < HEALTH_FIGURES; i++) {
		double x = health_figure(&o->health, i);
		vs_meta_float(&m, health_name(i), x);
		v[i] = (float)x;
	}
	return vs_put(h->txn, "boot", VS_UPSERT, id, v, &m, e);
}

static void outcome_from_record(const struct vs_record *r, struct outcome *o)
{
	double *figures[HEALTH_FIGURES] = {&o->health.up_s, &o->health.settled_s, &o->health.kernel_s, &o->health.memory_mb, &o->health.restarts, &o->health.failed,
		&o->health.psi_cpu, &o->health.psi_memory, &o->health.psi_io, &o->health.services};

	memset(o, 0, sizeof(*o));
	o->attempt = (uint64_t)vs_view_int(r->meta, "attempt", 0);
	o->version = (uint32_t)vs_view_int(r->meta, "version", 0);
	o->snapshot = (uint32_t)vs_view_int(r->meta, "snapshot", (int64_t)LEDGER_NONE);
	o->result = (enum ledger_result)vs_view_int(r->meta, "code", 0);
	snprintf(o->reason, sizeof(o->reason), "%s", vs_view_string(r->meta, "reason", ""));
	snprintf(o->why, sizeof(o->why), "%s", vs_view_string(r->meta, "why", ""));
	o->time_us = (uint64_t)vs_view_int(r->meta, "time_us", 0);
	o->has_health = vs_view_bool(r->meta, "measured", false);
	for (unsigned i = 0; i < HEALTH_FIGURES; i++)
		*figures[i] = vs_view_float(r->meta, health_name(i), -1);
}

struct walk { uint32_t version; int (*each)(const struct outcome *o, void *data); void *data; };

static int walk_one(const struct vs_record *r, void *data)
{
	struct walk *w = data;
	struct outcome o;

	outcome_from_record(r, &o);
	return w->version && o.version != w->version ? 0 : w->each(&o, w->data);
}

int history_outcomes(struct history *h, uint32_t version, int (*each)(const struct outcome *o, void *data), void *data, struct err *e)
{
	struct walk w = {version, each, data};

	return vs_each(h->txn, "boot", NULL, true, walk_one, &w, e);
}

static bool counts_as_failure(enum ledger_result r)
{
	return r == LEDGER_RESULT_FAILED || r == LEDGER_RESULT_ATTEMPT || r == LEDGER_RESULT_UNMOUNTABLE;
}

static void take_back(struct version *v, enum ledger_result r)
{
	if (r == LEDGER_RESULT_GOOD && v->goods)
		v->goods--;
	if (counts_as_failure(r) && v->fails)
		v->fails--;
}

static void count(struct version *v, const struct outcome *o)
{
	v->goods += o->result == LEDGER_RESULT_GOOD;
	v->fails += counts_as_failure(o->result);
	snprintf(v->outcome, sizeof(v->outcome), "%s", o->result == LEDGER_RESULT_GOOD ? "good" : counts_as_failure(o->result) ? "failed" : o->result == LEDGER_RESULT_SHUTDOWN ? "left" : "unknown");
	if (counts_as_failure(o->result))
		snprintf(v->why, sizeof(v->why), "%s", *o->why ? o->why : o->result == LEDGER_RESULT_ATTEMPT ? "it died before it was judged (panic, hang or reset)" : ledger_result_name(o->result));
}

int history_outcome(struct history *h, const struct outcome *given, struct err *e)
{
	_cleanup_err_ struct err quiet = {0};
	struct outcome o = *given, before = {0};
	struct vs_record rec;
	struct version v;
	char id[24];
	int r;

	attempt_id(id, o.attempt);
	if (vs_get(h->txn, "boot", id, &rec, &quiet) == 0) {
		outcome_from_record(&rec, &before);
		o.version = o.version ? o.version : before.version;
		if (!*o.why && o.result == before.result)
			memcpy(o.why, before.why, sizeof(o.why));
		if (!o.has_health && before.has_health) {
			o.health = before.health;
			o.has_health = true;
		}
	}
	err_clear(&quiet);
	quiet = (struct err){0};
	if (!o.version) { /* what the snapshot was when it was last seen */
		r = history_newest(h, o.snapshot, &o.version, &quiet);
		if (r < 0 && r != -ENOENT)
			return err_set(e, r, "%s", err_text(&quiet));
	}
	o.time_us = o.time_us ? o.time_us : history_now_us();
	if ((r = put_boot(h, &o, e)) < 0 || !o.version)
		return r;
	if ((r = history_version(h, o.version, &v, e)) < 0)
		return r;
	if (before.attempt && before.version == v.number)
		take_back(&v, before.result);
	count(&v, &o);
	r = version_update(h, &v, e);
	if (r == 0 && o.result == LEDGER_RESULT_GOOD && before.result != LEDGER_RESULT_GOOD)
		r = label_episode(h, o.version, o.attempt, e);
	return r;
}

static const char *reason_name(unsigned reason)
{
	static const char *const names[] = {[DECIDE_FORCED] = "forced", [DECIDE_ONCE] = "once", [DECIDE_DEFAULT_PROVEN] = "default", [DECIDE_DEFAULT_TRIES] = "try", [DECIDE_RANKED] = "history",
		[DECIDE_LAST_GOOD] = "last good", [DECIDE_NEWEST_LEFT] = "newest left", [DECIDE_NOTHING] = "none"};

	return reason < ARRAY_SIZE(names) ? names[reason] : "?";
}

int history_import(struct history *h, const struct ledger *l, struct err *e)
{
	uint64_t from = l->boot > LEDGER_ATTEMPTS ? l->boot - LEDGER_ATTEMPTS + 1 : 1;
	int r = 0;

	for (uint64_t b = from; r == 0 && b <= l->boot; b++) {
		const struct ledger_attempt *a = ledger_attempt_of(l, b);
		_cleanup_err_ struct err quiet = {0};
		struct vs_record rec;
		char id[24];
		if (!a || (b == l->boot && a->result == LEDGER_RESULT_ATTEMPT && l->in_progress == a->snapshot)) /* this very boot: not judged yet */
			continue;
		attempt_id(id, b);
		if (vs_get(h->txn, "boot", id, &rec, &quiet) == 0 && vs_view_int(rec.meta, "code", -1) == a->result)
			continue;
		struct outcome o = {.attempt = b, .snapshot = a->snapshot, .result = (enum ledger_result)a->result};
		snprintf(o.reason, sizeof(o.reason), "%s", reason_name(a->reason));
		r = history_outcome(h, &o, e);
	}
	return r;
}
