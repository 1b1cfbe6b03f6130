/* plan.c: everything that can be known before there is a child. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "runtime/ns/ns.h"
#include "runtime/process/process.h"
#include "runtime/security/security.h"

static int plan_namespaces(struct rt_plan *p, struct err *e)
{
	for (int k = 0; k < OCI_NS_N; k++) {
		const struct oci_ns *ns = &p->spec->ns[k];
		if (ns->listed && !ns->path)
			p->new_ns |= oci_ns_clone_flag(k);
		if (!ns->path)
			continue;
		int r = ns_open(k, ns->path, &p->join_fd[k], e);
		if (r < 0)
			return r;
	}
	p->new_user = p->new_ns & CLONE_NEWUSER;
	p->userns = p->new_user || p->join_fd[OCI_NS_USER] >= 0;
	p->mounts = p->new_ns & CLONE_NEWNS;
	/* Joined first what can only be joined by a parent, or has to be before the others are made. */
	for (int k = 0; k < OCI_NS_N; k++)
		p->by_stage = p->by_stage || p->join_fd[k] >= 0;
	if (p->new_ns & CLONE_NEWTIME && p->spec->n_time_offsets)
		p->by_stage = true;
	return 0;
}

static bool groups_denied(void)
{
	_cleanup_free_ char *text = NULL;

	return file_read(AT_FDCWD, "/proc/self/setgroups", 64, &text, NULL) == 0 && str_starts(text, "deny");
}

/* setgroups(2) is gone in a namespace that an ordinary user made with a single group; newgidmap keeps it. */
static bool keeps_groups(const struct rt_plan *p)
{
	const struct oci_idmaps *g = &p->spec->gid_maps;

	if (p->spec->ns[OCI_NS_USER].listed && !p->spec->ns[OCI_NS_USER].path && geteuid() != 0)
		return g->n == 1 && g->v[0].size == 1 && g->v[0].host == getegid();
	return ns_in_user_namespace() && groups_denied();
}

static int plan_environment(struct rt_plan *p)
{
	const struct oci_strv *env = &p->process->env;

	p->env = calloc(env->n + EXTRA_ENV + 1, sizeof(*p->env));
	if (!p->env)
		return -ENOMEM;
	for (size_t i = 0; i < env->n; i++) {
		p->env[p->n_env++] = env->v[i];
		p->has_home = p->has_home || str_starts(env->v[i], "HOME=");
	}
	return 0;
}

/* What this kernel and this machine can't do is said before anything is made. */
static int check(const struct rt_plan *p, struct err *e)
{
	const struct oci_process *pr = p->process;
	int r;

	if (!pr->args.n)
		return err_set(e, -EINVAL, "process.args: there is no program to run");
	r = sec_check(p->rq.target_pidfd >= 0 ? NULL : p->spec, pr, e);
	if (r < 0)
		return r;
	if (p->rq.target_pidfd >= 0)
		return 0;
	if (p->spec->root_path && !p->spec->ns[OCI_NS_MOUNT].listed)
		return err_set(e, -EINVAL, "linux.namespaces: without a mount namespace the container's mounts would be the host's; add {\"type\": \"mount\"}");
	if (p->new_user && !p->spec->uid_maps.n)
		return err_set(e, -EINVAL, "linux.uidMappings: a new user namespace needs a mapping");
	return sysctl_check(p->spec, e);
}

static int make(struct rt_plan *p, struct err *e)
{
	const char *id = p->rq.id ? p->rq.id : "";
	int r = check(p, e);

	if (r == 0 && p->rq.target_pidfd < 0)
		r = plan_namespaces(p, e);
	if (r < 0)
		return r;
	if (p->rq.target_pidfd >= 0) {
		p->by_stage = true;
		p->userns = p->spec->ns[OCI_NS_USER].listed;
	}
	p->keep_groups = keeps_groups(p);
	if (plan_environment(p) < 0 || state_text_make(p->spec, id, p->rq.bundle, &p->state) < 0)
		return err_sys(e, -ENOMEM, "making a plan");
	if (p->mounts)
		r = mnt_plan_make(&p->rq, p->userns, &p->mnt, e);
	if (r == 0 && p->spec->seccomp)
		r = filter_get(p->spec->seccomp, p->rq.seccomp_cache, &p->filter, e);
	if (r == 0 && p->rq.target_pidfd < 0)
		r = netdev_plan_make(p->spec, &p->net, e);
	p->waits = p->by_stage || p->new_user || p->net.n;
	return r;
}

int rt_plan_make(const struct rt_request *rq, struct rt_plan **ret, struct err *e)
{
	struct rt_plan *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_sys(e, -ENOMEM, "making a plan");
	*p = (struct rt_plan){ .rq = *rq, .spec = rq->spec, .process = rq->process ? rq->process : rq->spec->process };
	p->procfd = -1;
	for (int k = 0; k < OCI_NS_N; k++)
		p->join_fd[k] = -1;
	r = p->process ? make(p, e) : err_set(e, -EINVAL, "process: it is missing, so there is nothing to run");
	if (r < 0) {
		rt_plan_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void rt_plan_free(struct rt_plan *p)
{
	if (!p)
		return;
	for (int k = 0; k < OCI_NS_N; k++)
		closep(&p->join_fd[k]);
	closep(&p->procfd);
	mnt_plan_free(&p->mnt);
	filter_free(&p->filter);
	state_text_free(&p->state);
	netdev_plan_free(&p->net);
	free(p->env);
	free(p);
}

void rt_plan_freep(struct rt_plan **p)
{
	rt_plan_free(*p);
}

int rt_clone_flags(const struct rt_plan *p)
{
	return p->new_ns;
}
