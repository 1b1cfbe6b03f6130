/* plan.c: what a new process of a service gets, as far as the parent makes it: arguments, environment, limits, descriptors, its cgroup. */
#include "supervisor/process/plan.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include "services/logger/protocol.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct gstrv plan_argv(const struct engine *e, const struct svc *s, enum proc_kind kind)
{
	const struct gsettings *c = cfg(e, s);
	switch (kind) {
	case PROC_PRE_START:
		return c->pre_start;
	case PROC_EXEC_STOP:
		return c->exec_stop;
	case PROC_POST_STOP:
		return c->post_stop;
	case PROC_RELOAD:
		return c->exec_reload;
	default:
		return s->def->exec;
	}
}

/* --- environment --- */

static const char *code_name(const struct svc *s)
{
	return s->r.exit_code == CLD_EXITED ? "exited" : s->r.exit_code == CLD_DUMPED ? "dumped" : "killed";
}

bool plan_notifies(const struct engine *e, const struct svc *s)
{
	uint64_t watchdog = cfg(e, s)->watchdog;
	return s->def->notify == NOTIFY_SOCKET || (watchdog && watchdog != NEVER);
}

static void env_run(struct manager *m, struct svc *s, enum proc_kind kind, struct env *x)
{
	const struct gsettings *c = cfg(&m->e, s);
	char path[4096];
	notify_path(m, s, path, sizeof(path));
	if (plan_notifies(&m->e, s))
		env_put(x, scratch_printf("NOTIFY_SOCKET=%s", path));
	if (kind == PROC_MAIN && c->watchdog && c->watchdog != NEVER)
		env_put(x, scratch_printf("WATCHDOG_USEC=%llu", (unsigned long long)c->watchdog));
	if (kind != PROC_MAIN && s->r.pid)
		env_put(x, scratch_printf("MAINPID=%d", s->r.pid));
	if (kind == PROC_POST_STOP && s->r.exit_code) {
		env_put(x, scratch_printf("EXIT_CODE=%s", code_name(s)));
		env_put(x, scratch_printf("EXIT_STATUS=%s", s->r.exit_code == CLD_EXITED ? scratch_printf("%d", s->r.exit_status)
											 : signal_name(s->r.exit_status) + 3));
	}
}

static void env_tty(struct env *x, const char *tty)
{
	bool vt = str_starts(tty, "/dev/tty") && tty[8] >= '0' && tty[8] <= '9';
	env_put(x, scratch_printf("TERM=%s", vt ? "linux" : "vt220"));
}

static void env_listen(struct svc *s, struct env *x, struct plan *p)
{
	struct buf names = {0};
	for (unsigned k = 0; k < s->ext->n_fds; k++)
		buf_addf(&names, "%s%s", k ? ":" : "", s->ext->fd_names[k]);
	env_put(x, scratch_printf("LISTEN_FDS=%u", s->ext->n_fds));
	env_put(x, scratch_printf("LISTEN_FDNAMES=%.*s", (int)names.len, names.data ? names.data : ""));
	buf_free(&names);
	char *pid = scratch_printf("LISTEN_PID=          ");
	env_put(x, pid);
	if (pid)
		p->listen_pid = pid + strlen("LISTEN_PID=");
}

static int make_env(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p)
{
	struct env *x = &p->env;
	env_put(x, scratch_printf("PATH=" DEFAULT_PATH));
	env_put(x, scratch_printf("SERVICE_NAME=%s", nm(m, s)));
	if (p->tty)
		env_tty(x, p->tty);
	env_run(m, s, kind, x);
	if (p->n_extra && s->ext && p->extra == s->ext->fds)
		env_listen(s, x, p);
	if (p->late)
		return x->failed ? -ENOMEM : 0;
	env_settings(p);
	env_done(p);
	return x->failed ? -ENOMEM : 0;
}

/* --- the rest --- */

static int make_limits(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p)
{
	const struct gsettings *c = p->settings;
	struct rlimit now;
	p->limits = graph_at(m->g, c->limits);
	p->n_limits = c->n_limits;
	p->nofile = m->nofile;
	p->set_nofile = getrlimit(RLIMIT_NOFILE, &now) == 0 && (now.rlim_cur != m->nofile.rlim_cur || now.rlim_max != m->nofile.rlim_max);
	p->nice = c->nice;
	p->umask = c->umask;
	p->oom = c->oom_score_adj == INT32_MIN ? NULL : scratch_printf("%d", c->oom_score_adj);
	p->no_new_privs = c->no_new_privileges;
	p->root = graph_str(m->g, c->root_directory);
	p->cwd = graph_str(m->g, c->working_directory);
	return c->oom_score_adj == INT32_MIN || p->oom ? 0 : -ENOMEM;
}

static int make_fds(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p)
{
	static int logger_fds[3];
	p->in = m->null_fd;
	p->out = output_fd(m, s);
	if (kind != PROC_MAIN)
		return 0;
	const char *tty = graph_str(m->g, cfg(&m->e, s)->tty);
	if (tty) {
		p->tty = tty;
		p->tty_stdio = s->def->output == OUT_TTY;
	}
	if (svc_index(&m->e, s) == m->logger) {
		logger_fds[LOGD_CONTROL_FD - 3] = m->lg_peer;
		logger_fds[LOGD_STAGE_READ_FD - 3] = m->stage[0];
		logger_fds[LOGD_STAGE_WRITE_FD - 3] = m->stage[1];
		p->extra = logger_fds;
		p->n_extra = 3;
	} else if (s->ext && s->ext->n_fds) {
		p->extra = s->ext->fds;
		p->n_extra = s->ext->n_fds;
	}
	return 0;
}

static int make_argv(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p)
{
	struct gstrv l = plan_argv(&m->e, s, kind);
	const gref *refs = graph_at(m->g, l.off);
	p->argv = scratch_alloc((l.n + 1) * sizeof(char *));
	for (uint32_t k = 0; p->argv && k < l.n; k++)
		p->argv[k] = (char *)(uintptr_t)graph_str(m->g, refs[k]);
	return p->argv && p->argv[0] ? 0 : -ENOMEM;
}

/* What is written on files is read by the child. */
static int make_late(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p)
{
	const struct gsettings *c = cfg(&m->e, s);
	p->graph = m->g;
	p->settings = c;
	p->n_groups = -1;
	p->late = c->user || c->group || c->groups.n || c->environment_files.n;
	return 0;
}

static int make_cgroup(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p)
{
	if (m->cg_fd < 0)
		return 0;
	p->kept = s->cgroup_kept;
	p->cgroup = cgroups_open(m, s);
	return MIN(p->cgroup, 0);
}

static int make_own_socket(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p)
{
	char path[4096];
	if (cfg(&m->e, s)->notify_access != ACCESS_ALL || !plan_notifies(&m->e, s))
		return 0;
	notify_path(m, s, path, sizeof(path));
	p->own_socket = scratch_printf("%s", path);
	return p->own_socket ? notify_own(m, s, getuid()) : -ENOMEM;
}

/* notify=fd:N: a pipe for this run. */
static int make_notify_pipe(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p)
{
	int fds[2];
	if (kind != PROC_MAIN || s->def->notify != NOTIFY_FD)
		return 0;
	int r = sys_pipe2(fds, O_CLOEXEC);
	if (r < 0)
		return r;
	p->notify_fd = fds[1];
	p->notify_to = cfg(&m->e, s)->notify_fd;
	return notify_fd_watch(m, s, fds[0]);
}

static int make_stdin(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p)
{
	p->own_stdin = kind == PROC_MAIN ? output_stdin(m, s) : -1;
	if (p->own_stdin >= 0)
		p->in = p->own_stdin;
	return 0;
}

/* The parent's part, in order. A new kind of setting has a row here, for what can be made beforehand, and one in child.c, or both. */
static const struct {
	enum spawn_step step; /* how a failure is called */
	int (*make)(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p);
} makers[] = {
	{STEP_MEMORY, make_late},
	{STEP_FDS, make_fds},
	{STEP_LIMITS, make_limits},
	{STEP_MEMORY, make_argv},
	{STEP_ENVIRONMENT, make_env},
	{STEP_CGROUP, make_cgroup},
	{STEP_FDS, make_own_socket},
	{STEP_FDS, make_notify_pipe},
	{STEP_OUTPUT, make_stdin},
};

int plan_make(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p, enum spawn_step *step)
{
	int r = 0;
	*p = (struct plan){.cgroup = -1, .own_stdin = -1, .notify_fd = -1, .join_fd = -1, .report_fd = -1};
	scratch_reset();
	for (size_t k = 0; k < ARRAY_SIZE(makers) && r == 0; k++) {
		*step = makers[k].step;
		r = makers[k].make(m, s, kind, p);
	}
	return r;
}

void plan_done(struct plan *p)
{
	closep(&p->cgroup);
	closep(&p->own_stdin);
	closep(&p->notify_fd);
}
