/* json.c: services, processes and the boot as the Varlink interface shows them. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include "supervisor/control/control.h"

void json_set_opt(json_t *o, const char *key, json_t *v)
{
	if (v)
		json_object_set_new(o, key, v);
}

int64_t realtime_of(uint64_t mono)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 - (int64_t)now_us() + (int64_t)mono;
}

json_t *json_names(struct manager *m, const uint32_t *ids, uint32_t n)
{
	json_t *a = json_array();
	for (uint32_t k = 0; a && k < n; k++)
		json_array_append_new(a, json_string(nm(m, &m->e.s[ids[k]])));
	return a;
}

static json_t *names_of(struct manager *m, struct gids l)
{
	return json_names(m, graph_ids(m->g, l), l.n);
}

json_t *json_exit(const struct svc *s)
{
	if (!s->r.exit_code)
		return NULL;
	const char *code = s->r.exit_code == CLD_EXITED ? "exited" : s->r.exit_code == CLD_DUMPED ? "dumped" : "killed";
	json_t *o = json_pack("{s:s,s:i}", "code", code, "status", s->r.exit_status);
	if (o && s->r.exit_code != CLD_EXITED)
		json_set_opt(o, "signal", json_string(signal_name(s->r.exit_status)));
	return o;
}

static void set_text(json_t *o, const char *key, const char *v)
{
	if (!strempty(v))
		json_set_opt(o, key, json_string(v));
}

json_t *json_service(struct manager *m, const struct svc *s)
{
	char why[256];
	const struct gservice *d = s->def;
	const char *file = graph_str(m->g, d->file);
	bool stale = svc_active(s) && !svc_is_group(s) && s->r.def_hash && s->r.def_hash != (uint32_t)d->hash;
	json_t *o = json_pack("{s:s,s:s,s:s,s:i,s:s,s:b,s:b,s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "name", nm(m, s), "type",
		svc_type_name(d->type), "file", file ? file : "", "line", (int)d->line, "state", svc_state_name(s->r.state), "wanted",
		svc_has(s, F_WANT), "enabled", d->enabled, "boot_critical", d->boot_critical, "needs_restart", stale, "restarts",
		(json_int_t)s->r.restarts, "since_us", (json_int_t)s->r.since, "since_realtime_us",
		(json_int_t)(s->r.since ? realtime_of(s->r.since) : 0), "wanted_us", (json_int_t)s->r.wanted, "started_us",
		(json_int_t)s->r.started, "ready_us", (json_int_t)s->r.ready, "depends", names_of(m, d->depends), "dependents",
		names_of(m, d->dependents));
	if (!o)
		return NULL;
	set_text(o, "description", graph_str(m->g, d->description));
	set_text(o, "reason", svc_reason(&m->e, s, why, sizeof(why)));
	set_text(o, "status_text", s->ext ? s->ext->status_text : NULL);
	set_text(o, "error_text", s->ext ? s->ext->error_text : NULL);
	json_set_opt(o, "exit", json_exit(s));
	if (s->r.pid)
		json_set_opt(o, "pid", json_integer(s->r.pid));
	if (s->r.provider < m->e.n && d->type == SVC_VIRTUAL)
		set_text(o, "provider", nm(m, &m->e.s[s->r.provider]));
	return o;
}

/* /proc/PID/stat, proc(5): fields 14 and 15 are user and system time in ticks, field 24 the resident set in pages. */
static json_t *process(pid_t pid, bool main_process)
{
	char path[32];
	char comm[64] = "?";
	_cleanup_free_ char *stat = NULL;
	unsigned long utime = 0, stime = 0;
	long rss = 0;
	pid_t parent = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read(AT_FDCWD, path, 4096, &stat, NULL) < 0)
		return NULL;
	const char *p = strrchr(stat, ')');
	proc_comm(pid, comm);
	if (p)
		sscanf(p + 2, "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld", &parent, &utime,
			&stime, &rss);
	long tick = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
	return json_pack("{s:i,s:i,s:s,s:I,s:I,s:b}", "pid", pid, "parent", parent, "command", comm, "memory_bytes",
		(json_int_t)rss * page, "cpu_us", (json_int_t)(utime + stime) * (1000000 / tick), "main",
		main_process);
}

static void add(json_t *a, json_t *v)
{
	if (v)
		json_array_append_new(a, v);
}

json_t *json_processes(struct manager *m, const struct svc *s)
{
	json_t *a = json_array();
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;
	if (!a || svc_is_group(s))
		return a;
	if (m->cg_fd >= 0)
		cgroup_pids(m->cg_fd, nm(m, s), &pids, &n);
	for (size_t k = 0; k < n; k++)
		add(a, process(pids[k], pids[k] == s->r.pid));
	if (!n && s->r.pid)
		add(a, process(s->r.pid, true));
	return a;
}

static const char *phase_name(unsigned p)
{
	static const char *const names[] = {"starting", "up", "good", "failed", "stopping"};
	return p < ARRAY_SIZE(names) ? names[p] : "?";
}

static void set_decision(struct manager *m, json_t *o)
{
	char buf[512];
	if (boot_value(m, "snapshot", buf, sizeof(buf)))
		set_text(o, "snapshot", buf);
	if (boot_value(m, "text", buf, sizeof(buf)) || boot_value(m, "reason", buf, sizeof(buf)))
		set_text(o, "decision", buf);
}

json_t *json_boot(struct manager *m)
{
	const struct boot_rec *b = &m->st.boot;
	char why[256];
	json_t *o = json_pack("{s:s,s:s,s:I,s:I,s:I}", "target", b->target, "state", phase_name(b->phase), "started_us",
		(json_int_t)b->started, "up_us", (json_int_t)b->up, "good_us", (json_int_t)b->good);
	uint32_t i = graph_find(m->g, b->target);
	if (!o)
		return NULL;
	if (i != NONE && b->phase == BOOT_FAILED)
		set_text(o, "reason", svc_reason(&m->e, &m->e.s[i], why, sizeof(why)));
	set_decision(m, o);
	return o;
}
