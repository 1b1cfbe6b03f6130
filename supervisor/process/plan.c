/* plan.c: what a new process of a service gets: arguments, environment, user, limits, descriptors. */
#include "supervisor/process/plan.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include "services/logger/protocol.h"

#define ENV_FILE_MAX (64u << 10)
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

static char **make_argv(const struct graph *g, struct gstrv l)
{
	char **v = scratch_alloc((l.n + 1) * sizeof(char *));
	const gref *refs = graph_at(g, l.off);
	for (uint32_t k = 0; v && k < l.n; k++)
		v[k] = (char *)(uintptr_t)graph_str(g, refs[k]);
	return v;
}

/* --- environment: a list in which a later setting replaces an earlier one --- */

struct env {
	char **v;
	unsigned n, cap;
	bool failed;
};

static void env_put(struct env *x, char *setting)
{
	if (!setting || x->failed) {
		x->failed = true;
		return;
	}
	size_t key = strcspn(setting, "=");
	for (unsigned k = 0; k < x->n; k++)
		if (!strncmp(x->v[k], setting, key + 1)) {
			x->v[k] = setting;
			return;
		}
	if (x->n + 1 >= x->cap) {
		unsigned cap = x->cap ? x->cap * 2 : 24;
		char **v = scratch_alloc(cap * sizeof(char *));
		if (!v) {
			x->failed = true;
			return;
		}
		for (unsigned k = 0; k < x->n; k++)
			v[k] = x->v[k];
		x->v = v;
		x->cap = cap;
	}
	x->v[x->n++] = setting;
	x->v[x->n] = NULL;
}

/* KEY=value lines as a shell would read them; "#" and ";" begin comments; quotes as in a command line. */
static void env_line(struct env *x, char *line)
{
	line = str_strip(line);
	size_t key = strcspn(line, "=");
	if (!*line || *line == '#' || *line == ';' || !line[key])
		return;
	_cleanup_strv_ char **words = NULL;
	const char *value = line + key + 1;
	if (str_split_words(value, &words) == 0 && words && strv_len(words) == 1)
		value = words[0];
	env_put(x, scratch_printf("%.*s=%s", (int)key, line, value));
}

static int env_file(struct env *x, const char *path)
{
	_cleanup_free_ char *text = NULL;
	if (!path)
		return 0;
	bool optional = *path == '-';
	int r = file_read(AT_FDCWD, path + optional, ENV_FILE_MAX, &text, NULL);
	if (r < 0)
		return optional && r == -ENOENT ? 0 : r;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
		env_line(x, line);
	return 0;
}

static void env_user(struct env *x, const char *user, const char *home)
{
	env_put(x, scratch_printf("USER=%s", user));
	env_put(x, scratch_printf("LOGNAME=%s", user));
	env_put(x, scratch_printf("HOME=%s", home));
}

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

static int make_env(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p, const char *user, const char *home)
{
	const struct gsettings *c = cfg(&m->e, s);
	struct env x = {0};
	env_put(&x, scratch_printf("PATH=" DEFAULT_PATH));
	env_put(&x, scratch_printf("SERVICE_NAME=%s", nm(m, s)));
	if (user)
		env_user(&x, user, home);
	if (p->tty)
		env_tty(&x, p->tty);
	env_run(m, s, kind, &x);
	if (p->n_extra && s->ext && p->extra == s->ext->fds)
		env_listen(s, &x, p);
	const gref *refs = graph_at(m->g, c->environment_files.off);
	for (uint32_t k = 0; k < c->environment_files.n; k++) {
		int r = env_file(&x, graph_str(m->g, refs[k]));
		if (r < 0)
			return r;
	}
	refs = graph_at(m->g, c->environment.off);
	for (uint32_t k = 0; k < c->environment.n; k++)
		env_put(&x, (char *)(uintptr_t)graph_str(m->g, refs[k]));
	p->envp = x.v;
	for (unsigned k = 0; k < x.n; k++)
		if (str_starts(x.v[k], "PATH="))
			p->path = x.v[k] + 5;
	return x.failed ? -ENOMEM : 0;
}

/* --- user and groups --- */

static int make_extra_groups(struct manager *m, const struct gsettings *c, const char *user, struct plan *p)
{
	_cleanup_free_ gid_t *v = NULL;
	int n = 0, r = user ? creds_groups_of(user, p->gid, &v, &n) : 0;
	if (r < 0)
		return r;
	p->groups = scratch_alloc(((size_t)n + c->groups.n + 1) * sizeof(gid_t));
	if (!p->groups)
		return -ENOMEM;
	for (int k = 0; k < n; k++)
		p->groups[k] = v[k];
	p->n_groups = n;
	const gref *refs = graph_at(m->g, c->groups.off);
	for (uint32_t k = 0; k < c->groups.n && r == 0; k++)
		r = creds_group(graph_str(m->g, refs[k]), &p->groups[p->n_groups++]);
	return r;
}

static int make_user(struct manager *m, struct svc *s, struct plan *p, const char **user, char *home, size_t size)
{
	const struct gsettings *c = cfg(&m->e, s);
	int r = 0;
	p->n_groups = -1;
	*user = graph_str(m->g, c->user);
	if (!*user && !c->group && !c->groups.n)
		return 0;
	p->set_user = true;
	if (*user)
		r = creds_user(*user, &p->uid, &p->gid, home, size);
	if (r == 0 && c->group)
		r = creds_group(graph_str(m->g, c->group), &p->gid);
	return r < 0 ? r : make_extra_groups(m, c, *user, p);
}

/* --- the rest --- */

static void make_limits(struct manager *m, const struct gsettings *c, struct plan *p)
{
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
}

static void make_fds(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p)
{
	static int logger_fds[3];
	p->in = m->null_fd;
	p->out = output_fd(m, s);
	p->notify_fd = p->join_fd = p->report_fd = -1;
	if (kind != PROC_MAIN)
		return;
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
}

int plan_make(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p, enum spawn_step *step)
{
	char home[256] = "/";
	const char *user = NULL;
	*p = (struct plan){0};
	make_fds(m, s, kind, p);
	make_limits(m, cfg(&m->e, s), p);
	*step = STEP_MEMORY;
	p->argv = make_argv(m->g, plan_argv(&m->e, s, kind));
	if (!p->argv || !p->argv[0])
		return -ENOMEM;
	*step = STEP_USER;
	int r = make_user(m, s, p, &user, home, sizeof(home));
	if (r < 0)
		return r;
	*step = STEP_ENVIRONMENT;
	return make_env(m, s, kind, p, user, home);
}
