/* exec.c: another process in a container. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/container/container.h"

/* --- the process from the options --- */

static int append(struct oci_arena *a, struct oci_strv *to, char *const *words)
{
	size_t n = words ? strv_len(words) : 0;
	const char **v = oci_alloc(a, (to->n + n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < to->n; i++)
		v[i] = to->v[i];
	for (size_t i = 0; i < n; i++)
		v[to->n + i] = words[i];
	v[to->n + n] = NULL;
	*to = (struct oci_strv){ v, to->n + n };
	return 0;
}

/* "K=V" replaces an earlier K. */
static int set_env(struct oci_arena *a, struct oci_strv *env, char *const *more, struct err *e)
{
	struct oci_strv kept = { .v = oci_alloc(a, (env->n + 1) * sizeof(char *)) };

	if (!kept.v)
		return err_sys(e, -ENOMEM, "--env");
	for (size_t i = 0; i < env->n; i++) {
		size_t n = strcspn(env->v[i], "=");
		bool replaced = false;
		for (char *const *m = more; m && *m; m++)
			replaced = replaced || (strncmp(*m, env->v[i], n) == 0 && (*m)[n] == '=');
		if (!replaced)
			kept.v[kept.n++] = env->v[i];
	}
	for (char *const *m = more; m && *m; m++)
		if (!strchr(*m, '=') || **m == '=')
			return err_set(e, -EINVAL, "--env %s: write NAME=VALUE", *m);
	*env = kept;
	return append(a, env, more) < 0 ? err_sys(e, -ENOMEM, "--env") : 0;
}

static int parse_id(const char *s, size_t n, uint32_t *ret)
{
	char text[16];
	uint64_t v;

	if (n == 0 || n >= sizeof(text) || strspn(s, "0123456789") < n)
		return -EINVAL;
	memcpy(text, s, n);
	text[n] = 0;
	if (parse_u64(text, &v) < 0 || v >= UINT32_MAX) /* (uid_t)-1 means "leave it" to the kernel: that would be root */
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

/* UID[:GID], digits and nothing else: "1000:" or "-1" or a name must not end up as root (crun's CVE-2026-30892). */
static int set_user(struct oci_user *u, const char *text, struct err *e)
{
	const char *colon = strchr(text, ':');
	uint32_t uid, gid = u->gid;

	if (parse_id(text, colon ? (size_t)(colon - text) : strlen(text), &uid) < 0 || (colon && parse_id(colon + 1, strlen(colon + 1), &gid) < 0))
		return err_set(e, -EINVAL, "--user %s: write UID or UID:GID, in digits", text);
	u->uid = uid;
	u->gid = gid;
	return 0;
}

static int set_gids(struct oci_arena *a, struct oci_user *u, char *const *words, struct err *e)
{
	size_t n = words ? strv_len(words) : 0;
	gid_t *v = oci_alloc(a, (u->n_gids + n + 1) * sizeof(*v));

	if (!v)
		return err_sys(e, -ENOMEM, "--additional-gids");
	if (u->n_gids)
		memcpy(v, u->gids, u->n_gids * sizeof(*v));
	for (size_t i = 0; i < n; i++)
		if (parse_id(words[i], strlen(words[i]), &v[u->n_gids++]) < 0)
			return err_set(e, -EINVAL, "--additional-gids %s: it's no group id", words[i]);
	u->gids = v;
	return 0;
}

static int add_caps(struct oci_process *p, char *const *names, struct err *e)
{
	for (char *const *n = names; n && *n; n++) {
		int cap = oci_cap_parse(*n);
		if (cap < 0)
			return err_set(e, -EINVAL, "--cap %s: there is no such capability", *n);
		/* never inheritable (CVE-2022-29162): they would come back through a file's capabilities */
		p->caps.bounding |= 1ULL << cap;
		p->caps.permitted |= 1ULL << cap;
		p->caps.effective |= 1ULL << cap;
		p->has_caps = true;
	}
	return 0;
}

static int process_from_options(const struct exec *o, struct container *c, struct oci_process **ret, struct err *e)
{
	struct oci_arena *a = c->spec->arena;
	struct oci_process *p = oci_alloc(a, sizeof(*p));
	int r;

	if (!p)
		return err_sys(e, -ENOMEM, "exec");
	if (!c->spec->process)
		return err_set(e, -EINVAL, "the container has no process of its own to take defaults from: give --process FILE");
	*p = *c->spec->process;
	if (!o->args || !*o->args)
		return err_set(e, -EINVAL, "no command given: rastrun exec ID COMMAND, or --process FILE");
	p->args = (struct oci_strv){ 0 };
	p->terminal = o->tty;
	p->has_console_size = false;
	p->caps.inheritable = p->caps.ambient = 0;
	if (c->spec->process->caps.ambient) { /* ambient ones are inheritable by definition */
		p->caps.ambient = c->spec->process->caps.ambient;
		p->caps.inheritable = p->caps.ambient;
	}
	p->cwd = o->cwd ? o->cwd : p->cwd;
	p->apparmor_profile = o->apparmor ? o->apparmor : p->apparmor_profile;
	p->selinux_label = o->label ? o->label : p->selinux_label;
	p->no_new_privileges = p->no_new_privileges || o->no_new_privs;
	r = append(a, &p->args, o->args);
	if (r == 0 && o->user)
		r = set_user(&p->user, o->user, e);
	if (r == 0)
		r = set_gids(a, &p->user, o->gids, e);
	if (r == 0)
		r = set_env(a, &p->env, o->env, e);
	if (r == 0)
		r = add_caps(p, o->caps, e);
	if (r == 0 && p->cwd && *p->cwd != '/')
		r = err_set(e, -EINVAL, "--cwd %s: write an absolute path", p->cwd);
	*ret = p;
	return r;
}

/* --- the cgroup --- */

/* The container's, or one below it. A "domain" cgroup with children that have controllers takes no processes itself (cgroups(7), "no
 * internal processes"): then the one that the container's first process is in. */
static int cgroup_of_process(const struct container *c, const struct cgroup *cg, int *ret, struct err *e)
{
	char path[PATH_MAX];
	int r = proc_cgroup(c->st.pid, path, sizeof(path));

	(void)cg;
	*ret = -1;
	if (r < 0 || strstr(path, ".."))
		return err_sys(e, r < 0 ? r : -EINVAL, "the cgroup of the container's process");
	r = *ret = sys_openat(cg->root, path[1] ? path + 1 : ".", O_RDONLY | O_DIRECTORY, 0);
	return r < 0 ? err_sys(e, r, "cgroup %s", path) : 0;
}

static int open_sub(const struct cgroup *cg, const char *name, int *ret, struct err *e)
{
	while (*name == '/')
		name++;
	if (strstr(name, ".."))
		return err_set(e, -EINVAL, "--cgroup %s: it leads out of the container's", name);
	*ret = sys_openat(cg->fd, *name ? name : ".", O_RDONLY | O_DIRECTORY, 0);
	return *ret < 0 ? err_sys(e, *ret, "--cgroup %s", name) : 0;
}

static bool takes_no_processes(const struct cgroup *cg)
{
	_cleanup_close_ int fd = sys_openat(cg->fd, "cgroup.subtree_control", O_RDONLY, 0);
	char one;

	return fd >= 0 && sys_read(fd, &one, 1) > 0;
}

static int find_cgroup(const struct exec *o, const struct container *c, int *ret, struct err *e)
{
	_cleanup_cgroup_ struct cgroup cg = CGROUP_NONE;
	int r;

	*ret = -1;
	if (!c->st.cgroup_path)
		return 0;
	r = container_cgroup(c, &cg, e);
	if (r < 0)
		return r;
	if (!o->ignore_paused && cg_frozen(&cg) > 0)
		return err_set(e, -EBUSY, "cannot exec in a paused container (use --ignore-paused to override)");
	if (o->cgroup)
		return open_sub(&cg, o->cgroup, ret, e);
	if (takes_no_processes(&cg))
		return cgroup_of_process(c, &cg, ret, e);
	*ret = cg.fd;
	cg.fd = -1;
	return 0;
}

/* --- */

static int load_process(const struct exec *o, struct container *c, struct run *run, const struct oci_process **ret, struct err *e)
{
	struct oci_load how = { .file = "process.json" };
	struct oci_process *made = NULL;
	int r;

	if (!o->process_file) {
		r = process_from_options(o, c, &made, e);
		*ret = made;
		return r;
	}
	r = oci_process_load(AT_FDCWD, o->process_file, &how, &run->process, e);
	*ret = run->process;
	return r;
}

int container_exec(const struct exec *o, struct container *c, struct run *run, struct err *e)
{
	struct rt_request rq = RT_REQUEST_INIT;
	enum status s = container_status(c);
	_cleanup_close_ int cgroup = -1;
	int r = container_spec(c, e);

	if (r < 0)
		return r;
	if (s == STATUS_STOPPED || s == STATUS_CREATING)
		return err_set(e, -ESRCH, "cannot exec in a %s container: container not running", status_name(s));
	r = load_process(o, c, run, &rq.process, e);
	if (r == 0)
		r = find_cgroup(o, c, &cgroup, e);
	if (r == 0)
		r = rq.target_pidfd = run->target = container_pidfd(c, e);
	if (r >= 0 && o->console_socket)
		r = rq.console_socket = run->console = socket_connect(o->console_socket, e);
	if (r < 0)
		return r;
	preserved_put(&o->preserve, run->fds, &rq);
	rq.spec = c->spec;
	rq.bundle = c->st.bundle;
	rq.cgroup_fd = cgroup;
	rq.no_new_keyring = true;
	rq.seccomp_cache = geteuid() == 0 ? "/run/rastrun-seccomp" : NULL;
	r = rt_plan_make(&rq, &run->plan, e);
	if (r == 0)
		r = rt_spawn(run->plan, &run->child, e);
	if (r == 0 && o->pid_file)
		r = write_pid_file(o->pid_file, run->child.pid, e);
	if (r == 0 && o->pidfd_socket)
		r = socket_send_fd(o->pidfd_socket, c->st.id, run->child.pidfd, e);
	if (r == 0)
		r = rt_start(run->plan, &run->child, e);
	else if (run->child.pid > 0)
		sys_pidfd_send_signal(run->child.pidfd, SIGKILL, NULL, 0);
	return r;
}
