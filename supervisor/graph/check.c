/* check.c: what one service file says by itself: is something missing, does it fit together? */
#include <sys/resource.h>
#include "base/log.h"
#include "supervisor/graph/compile.h"
#include "supervisor/graph/keys.h"

static _printf_(4, 5) void complain(struct compiler *c, struct unit *u, const struct given *g, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (!text)
		(void)compiler_oom(c);
	else
		problem(c, LOG_ERR, g ? g->at : u->at, "%s", text);
	u->broken = true;
}

static void check_types(struct compiler *c, struct unit *u)
{
	for (unsigned i = 0; i < u->given.n; i++) {
		const struct given *g = &u->given.v[i];
		if (g->key->types & 1u << u->v.type)
			continue;
		if (g->key->name)
			complain(c, u, g, "'%s' is not for a %s; take it out, or make the service another type", g->key->name, type_names[u->v.type]);
		else
			complain(c, u, g, "[%s] is not for a %s, which has no processes; take it out", g->key->section, type_names[u->v.type]);
	}
}

/* What a longrun or oneshot needs, and what goes together. */
static void check_process(struct compiler *c, struct unit *u)
{
	const struct values *v = &u->v;

	if (!unit_given(u, "service", "exec"))
		complain(c, u, unit_given(u, "service", "type"), "a %s without exec; add exec = COMMAND to [service]", type_names[v->type]);
	else if (v->exec.n == 0 && !u->broken)
		complain(c, u, unit_given(u, "service", "exec"), "exec is empty; write the command");
	if (v->exec_reload.n > 0 && v->reload_signal > 0)
		complain(c, u, unit_given(u, "service", "reload-signal"), "exec-reload and reload-signal are both set; keep one of them");
	if (v->output == OUT_TTY && !v->tty)
		complain(c, u, unit_given(u, "service", "output"), "output = tty without a terminal; add tty = DEVICE to [service]");
	if (unit_given(u, "restart", "delay-max") && v->delay > v->delay_max)
		complain(c, u, unit_given(u, "restart", "delay-max"), "delay-max is shorter than delay; make it longer, or take it out");
	if (v->type == SVC_ONESHOT && v->policy == RESTART_ALWAYS)
		complain(c, u, unit_given(u, "restart", "policy"), "a oneshot that succeeded is up and has nothing to restart; write policy = on-failure, or type = longrun");
}

static void check_readiness(struct compiler *c, struct unit *u)
{
	const struct values *v = &u->v;
	const struct given *access = unit_given(u, "readiness", "notify-access");

	if (v->watchdog != UINT64_MAX && v->notify != NOTIFY_SOCKET)
		complain(c, u, unit_given(u, "restart", "watchdog"), "watchdog without notify = socket, by which its messages come; add that to [readiness]");
	if (v->reload_notify && (v->notify != NOTIFY_SOCKET || v->reload_signal <= 0))
		complain(c, u, unit_given(u, "readiness", "reload-notify"), "reload-notify without %s; add that, or take it out", v->notify != NOTIFY_SOCKET ? "notify = socket" : "reload-signal");
	if (access && v->notify != NOTIFY_SOCKET)
		complain(c, u, access, "notify-access without notify = socket; add that, or take it out");
	for (unsigned i = 0; i < v->limits.n; i++) {
		const struct limit *l = &v->limits.v[i];
		if (l->l.resource == RLIMIT_NOFILE && v->notify == NOTIFY_FD && l->l.soft <= (uint64_t)v->notify_fd)
			complain(c, u, &(struct given){ .at = l->at }, "nofile allows descriptors below %ju only, but notify = fd:%d; raise the limit, or take a lower descriptor", (uintmax_t)l->l.soft, v->notify_fd);
	}
}

/* Settings that do nothing here: no error, since a drop-in may have switched off what they belong to. */
static void check_idle(struct compiler *c, struct unit *u)
{
	const struct given *settle = unit_given(u, "service", "settle-time"), *delay = unit_given(u, "restart", "delay");

	const struct given *log = unit_given(u, "service", "log-max-size");

	if (!log)
		log = unit_given(u, "service", "log-max-files");
	if (log && u->v.output != OUT_LOG && !(u->v.output < 0 && !u->v.tty))
		problem(c, LOG_WARNING, log->at, "%s does nothing without output = log; take it out", log->key->name);
	if (settle && !u->v.boot_critical)
		problem(c, LOG_WARNING, settle->at, "settle-time does nothing without boot-critical = yes; add that, or take it out");
	if (delay && u->v.delay == 0 && u->v.limit == UINT32_MAX && u->v.policy != RESTART_NO)
		problem(c, LOG_WARNING, delay->at, "no delay and no limit: if '%s' can't start, it is tried again without rest; give one of them", u->name);
}

/* Defaults that depend on other keys. */
static void settle_defaults(struct values *v)
{
	if (v->policy < 0)
		v->policy = v->type == SVC_LONGRUN ? RESTART_ALWAYS : RESTART_NO;
	if (v->output < 0)
		v->output = v->tty ? OUT_TTY : OUT_LOG;
	v->delay_max = MAX(v->delay, v->delay_max);
}

void check_unit(struct compiler *c, struct unit *u)
{
	if (u->v.type < 0) {
		if (!u->broken)
			complain(c, u, NULL, "no type; add type = oneshot, longrun, bundle or virtual to [service]");
		return;
	}
	check_types(c, u);
	if (u->v.type == SVC_ONESHOT || u->v.type == SVC_LONGRUN) {
		check_process(c, u);
		check_readiness(c, u);
		check_idle(c, u);
	}
	if (u->v.type == SVC_BUNDLE && !u->implicit && !unit_given(u, "dependencies", "contents"))
		complain(c, u, unit_given(u, "service", "type"), "a bundle without contents; add contents = NAME... to [dependencies] (it may be empty)");
	settle_defaults(&u->v);
}
