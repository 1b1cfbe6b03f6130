/* late.c: what of a plan has to be read from files. Done in a forked child, so that only the service waits for its disk, and start-timeout is the limit. */
#include "supervisor/process/plan.h"

#include <string.h>

#define ENV_FILE_MAX (64u << 10)

/* --- the environment --- */

void env_put(struct env *x, char *setting)
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

void env_settings(struct plan *p)
{
	const gref *refs = graph_at(p->graph, p->settings->environment.off);
	for (uint32_t k = 0; k < p->settings->environment.n; k++)
		env_put(&p->env, (char *)(uintptr_t)graph_str(p->graph, refs[k]));
}

void env_done(struct plan *p)
{
	for (unsigned k = 0; k < p->env.n; k++)
		if (str_starts(p->env.v[k], "PATH="))
			p->path = p->env.v[k] + 5;
}

static int fail(int r)
{
	errno = -r;
	return r < 0 ? -1 : 0;
}

int late_environment(struct plan *p)
{
	if (!p->late) /* a program of our own has no settings at all */
		return 0;
	const gref *refs = graph_at(p->graph, p->settings->environment_files.off);
	for (uint32_t k = 0; k < p->settings->environment_files.n; k++) {
		int r = env_file(&p->env, graph_str(p->graph, refs[k]));
		if (r < 0)
			return fail(r);
	}
	env_settings(p);
	env_done(p);
	return p->env.failed ? fail(-ENOMEM) : 0;
}

/* --- the account --- */

static void env_user(struct env *x, const char *user, const char *home)
{
	env_put(x, scratch_printf("USER=%s", user));
	env_put(x, scratch_printf("LOGNAME=%s", user));
	env_put(x, scratch_printf("HOME=%s", home));
}

static int extra_groups(struct plan *p, const char *user)
{
	const struct gsettings *c = p->settings;
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
	const gref *refs = graph_at(p->graph, c->groups.off);
	for (uint32_t k = 0; k < c->groups.n && r == 0; k++)
		r = creds_group(graph_str(p->graph, refs[k]), &p->groups[p->n_groups++]);
	return r;
}

static int account(struct plan *p)
{
	const struct gsettings *c = p->settings;
	const char *user = graph_str(p->graph, c->user);
	char home[256] = "/";
	int r = 0;
	if (!user && !c->group && !c->groups.n)
		return 0;
	p->set_user = true;
	if (user)
		r = creds_user(user, &p->uid, &p->gid, home, sizeof(home));
	if (r == 0 && c->group)
		r = creds_group(graph_str(p->graph, c->group), &p->gid);
	if (r == 0 && user)
		env_user(&p->env, user, home);
	if (r == 0)
		r = extra_groups(p, user);
	return r == 0 && p->own_socket && chown(p->own_socket, p->uid, (gid_t)-1) < 0 ? -errno : r;
}

int late_account(struct plan *p)
{
	return p->late ? fail(account(p)) : 0;
}
