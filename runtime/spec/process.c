/* process.c: the process object (config.md, "Process"). */
#include "runtime/spec/read.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <sched.h>
#include <string.h>
#include "base/str.h"

#define P(member) offsetof(struct oci_process, member)
#define TABLE(name, check_fn) const struct table name##_table = { name##_fields, ARRAY_SIZE(name##_fields), check_fn }

static const struct field console_fields[] = {
	{ "height", K_U16, REQUIRED, P(console_height), .help = "rows of the new terminal" },
	{ "width", K_U16, REQUIRED, P(console_width), .help = "columns of the new terminal" },
};
static TABLE(console, NULL);

static int read_gids(const struct at *v, void *to)
{
	struct oci_user *u = to;
	size_t n;
	int r = at_array_len(v, &n);

	if (r < 0)
		return r;
	u->gids = oci_alloc(v->rd->arena, (n + 1) * sizeof(*u->gids));
	if (!u->gids)
		return at_no_memory(v);
	for (u->n_gids = 0; u->n_gids < n; u->n_gids++) {
		struct at item = at_element(v, u->n_gids);
		uint64_t gid;
		r = at_u64(&item, UINT32_MAX - 1, &gid);
		if (r < 0)
			return r;
		u->gids[u->n_gids] = (gid_t)gid;
	}
	return 0;
}

#define U(member) offsetof(struct oci_user, member)

static const struct field user_fields[] = {
	{ "uid", K_U32, 0, U(uid), .max = UINT32_MAX - 1, .help = "setresuid(2), in the container's user namespace; 0 when missing" },
	{ "gid", K_U32, 0, U(gid), .max = UINT32_MAX - 1, .help = "setresgid(2)" },
	{ "umask", K_U32, 0, U(umask), U(has_umask), .max = 07777, .help = "umask(2); without it the caller's stays" },
	{ "additionalGids", K_READ, 0, 0, .read = read_gids, .help = "setgroups(2)" },
};
static TABLE(user, NULL);

static int read_caps(const struct at *v, void *to)
{
	uint64_t *set = to;
	size_t n;
	int r = at_array_len(v, &n);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_element(v, i);
		int64_t cap = 0;
		r = at_name(&item, &cap_names, &cap);
		*set |= UINT64_C(1) << cap;
	}
	return r;
}

/* capabilities(7): what execve and prctl would refuse later. A capability twice is harmless and common. */
static int check_caps(const struct at *o, void *to)
{
	struct oci_caps *c = to;

	if (c->effective & ~c->permitted)
		return at_fail(o, "effective has a capability that permitted has not; add it to permitted");
	/* runc 1.1's own `spec` writes ambient ones that aren't inheritable, and runc then doesn't raise them. */
	c->ambient &= c->permitted & c->inheritable;
	return 0;
}

#define C(member) offsetof(struct oci_caps, member)

static const struct field caps_fields[] = {
	{ "bounding", K_READ, 0, C(bounding), .read = read_caps, .help = "all others are dropped from the bounding set (prctl PR_CAPBSET_DROP)" },
	{ "effective", K_READ, 0, C(effective), .read = read_caps, .help = "capset(2)" },
	{ "inheritable", K_READ, 0, C(inheritable), .read = read_caps, .help = "capset(2)" },
	{ "permitted", K_READ, 0, C(permitted), .read = read_caps, .help = "capset(2)" },
	{ "ambient", K_READ, 0, C(ambient), .read = read_caps, .help = "prctl(2) PR_CAP_AMBIENT_RAISE, after capset; those that are not permitted and inheritable too are left out, as in runc" },
};
static TABLE(caps, check_caps);

static int read_rlimit_type(const struct at *v, void *to)
{
	struct oci_rlimit *l = to;
	int64_t n;
	int r = at_name(v, &rlimit_names, &n);

	if (r < 0)
		return r;
	l->resource = (int)n;
	l->name = json_string_value(v->j);
	return 0;
}

static int check_rlimit(const struct at *o, void *to)
{
	const struct oci_rlimit *l = to;

	if (l->soft > l->hard)
		return at_fail(o, "the soft limit of %s is above the hard one; raise hard or lower soft", l->name);
	return 0;
}

#define L(member) offsetof(struct oci_rlimit, member)

static const struct field rlimit_fields[] = {
	{ "type", K_READ, REQUIRED, 0, .read = read_rlimit_type, .help = "one of getrlimit(2)'s; twice is an error" },
	{ "soft", K_U64, REQUIRED, L(soft), .help = "prlimit(2)" },
	{ "hard", K_U64, REQUIRED, L(hard), .help = "prlimit(2)" },
};
static TABLE(rlimit, check_rlimit);

static int read_policy(const struct at *v, void *to)
{
	int64_t n;
	int r = at_name(v, &policy_names, &n);

	if (r >= 0 && n == 4)
		return at_fail(v, "Linux has never had SCHED_ISO; use SCHED_OTHER with a nice value");
	if (r >= 0)
		*(uint32_t *)to = (uint32_t)n;
	return r;
}

static int read_sched_flags(const struct at *v, void *to)
{
	uint64_t *flags = to;
	size_t n;
	int r = at_array_len(v, &n);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_element(v, i);
		int64_t flag = 0;
		r = at_name(&item, &sched_flag_names, &flag);
		if (r >= 0 && (flag == SCHED_FLAG_UTIL_CLAMP_MIN || flag == SCHED_FLAG_UTIL_CLAMP_MAX))
			return at_fail(&item, "the OCI spec has no field for the clamp's value; use resources.unified with cpu.uclamp.min or .max");
		*flags |= (uint64_t)flag;
	}
	return r;
}

/* sched_setattr(2), so that the errors come before anything is made */
static int check_scheduler(const struct at *o, void *to)
{
	const struct oci_scheduler *s = to;
	bool realtime = s->policy == SCHED_FIFO || s->policy == SCHED_RR;

	if (realtime && (s->priority < 1 || s->priority > 99))
		return at_fail(o, "SCHED_FIFO and SCHED_RR need a priority between 1 and 99");
	if (!realtime && s->priority != 0)
		return at_fail(o, "only SCHED_FIFO and SCHED_RR have a priority; leave it out");
	if (s->policy != SCHED_DEADLINE && (s->runtime || s->deadline || s->period))
		return at_fail(o, "only SCHED_DEADLINE has runtime, deadline and period; leave them out");
	if (s->policy == SCHED_DEADLINE && (s->runtime < 1024 || s->runtime > s->deadline || (s->period && s->deadline > s->period)))
		return at_fail(o, "SCHED_DEADLINE needs 1024 ns <= runtime <= deadline <= period");
	return 0;
}

#define S(member) offsetof(struct oci_scheduler, member)

static const struct field scheduler_fields[] = {
	{ "policy", K_READ, REQUIRED, S(policy), .read = read_policy, .help = "sched_setattr(2); SCHED_ISO is an error, Linux has none" },
	{ "nice", K_INT, 0, S(nice), .min = -20, .max = 19, .help = "with SCHED_OTHER and SCHED_BATCH" },
	{ "priority", K_INT, 0, S(priority), .min = 0, .max = 99, .help = "with SCHED_FIFO and SCHED_RR: 1 to 99" },
	{ "flags", K_READ, 0, S(flags), .read = read_sched_flags, .help = "SCHED_FLAG_UTIL_CLAMP_* are errors: the spec has no value for them" },
	{ "runtime", K_U64, 0, S(runtime), .help = "nanoseconds, with SCHED_DEADLINE" },
	{ "deadline", K_U64, 0, S(deadline), .help = "nanoseconds, with SCHED_DEADLINE" },
	{ "period", K_U64, 0, S(period), .help = "nanoseconds, with SCHED_DEADLINE" },
};
static TABLE(scheduler, check_scheduler);

struct ioprio {
	int class, priority;
};

static const struct field ioprio_fields[] = {
	{ "class", K_NAME, REQUIRED, offsetof(struct ioprio, class), .names = &ioprio_names, .help = "ioprio_set(2)" },
	{ "priority", K_INT, 0, offsetof(struct ioprio, priority), .min = 0, .max = 7, .help = "0 is the highest" },
};
static TABLE(ioprio, NULL);

static int read_ioprio(const struct at *v, void *to)
{
	struct oci_process *p = to;
	struct ioprio io = { 0 };
	int r = at_object(v, &ioprio_table, &io);

	if (r >= 0) {
		p->has_io_priority = true;
		p->io_priority = IOPRIO_PRIO_VALUE(io.class, io.priority);
	}
	return r;
}

static int read_cpus(const struct at *v, void *to)
{
	return at_bits(v, "CPUs", to);
}

static const struct field affinity_fields[] = {
	{ "initial", K_READ, 0, P(exec_affinity_initial), .read = read_cpus, .help = "sched_setaffinity(2) of `exec` before it enters the container's cgroup" },
	{ "final", K_READ, 0, P(exec_affinity_final), .read = read_cpus, .help = "sched_setaffinity(2) when it is in the cgroup" },
};
static TABLE(affinity, NULL);

static int read_env(const struct at *v, void *to)
{
	struct oci_strv *env = to;
	int r = at_strv(v, 0, env);

	for (size_t i = 0; r >= 0 && i < env->n; i++) {
		struct at item = at_element(v, i);
		const char *eq = strchr(env->v[i], '=');
		if (!eq || eq == env->v[i])
			return at_fail(&item, "'%s' is no NAME=VALUE", env->v[i]);
	}
	return r;
}

static int check_process(const struct at *o, void *to)
{
	struct oci_process *p = to;

	if (p->args.n == 0) {
		struct at v = at_member(o, "args");
		return at_fail(&v, "must name the program to run");
	}
	if (!*p->args.v[0]) {
		struct at v = at_member(o, "args"), first = at_element(&v, 0);
		return at_fail(&first, "must not be empty: it is the program to run");
	}
	for (size_t i = 0; i < p->n_rlimits; i++)
		for (size_t k = 0; k < i; k++)
			if (p->rlimits[i].resource == p->rlimits[k].resource) {
				struct at v = at_member(o, "rlimits"), item = at_element(&v, i);
				return at_fail(&item, "%s is there twice; leave one out", p->rlimits[i].name);
			}
	if (!p->env.v) {
		p->env.v = oci_alloc(o->rd->arena, sizeof(char *));
		if (!p->env.v)
			return at_no_memory(o);
	}
	return 0;
}

static const struct field process_fields[] = {
	{ "terminal", K_BOOL, 0, P(terminal), .help = "a new pseudoterminal, its master sent to --console-socket or relayed" },
	{ "consoleSize", K_OBJECT, 0, 0, P(has_console_size), .sub = &console_table, .help = "ioctl TIOCSWINSZ on the new terminal; nothing without `terminal`" },
	{ "user", K_OBJECT, 0, P(user), .sub = &user_table, .help = "root when missing" },
	{ "args", K_STRV, REQUIRED, P(args), .help = "execve(2); a name without '/' is looked up in PATH of `env`" },
	{ "env", K_READ, 0, P(env), .read = read_env, .help = "the environment, nothing else; each must be NAME=VALUE" },
	{ "cwd", K_STR, REQUIRED | ABSOLUTE, P(cwd), .help = "chdir(2) after the root is changed; made when missing, and verified to be inside of the root" },
	{ "capabilities", K_OBJECT, 0, P(caps), P(has_caps), .sub = &caps_table, .help = "all five sets; missing ones are empty; a name that Linux doesn't know is an error" },
	{ "rlimits", K_LIST, 0, P(rlimits), P(n_rlimits), sizeof(struct oci_rlimit), &rlimit_table, .help = "prlimit(2)" },
	{ "noNewPrivileges", K_BOOL, 0, P(no_new_privileges), .help = "prctl(2) PR_SET_NO_NEW_PRIVS" },
	{ "apparmorProfile", K_STR, NO_NEWLINE, P(apparmor_profile), .help = "written to /proc/thread-self/attr/apparmor/exec; an error when AppArmor is off" },
	{ "oomScoreAdj", K_INT, 0, P(oom_score_adj), P(has_oom_score_adj), .min = -1000, .max = 1000, .help = "written to /proc/self/oom_score_adj" },
	{ "scheduler", K_NEW, 0, P(scheduler), .size = sizeof(struct oci_scheduler), .sub = &scheduler_table, .help = "sched_setattr(2)" },
	{ "selinuxLabel", K_STR, NO_NEWLINE, P(selinux_label), .help = "written to /proc/thread-self/attr/exec; an error when SELinux is off" },
	{ "ioPriority", K_READ, 0, 0, .sub = &ioprio_table, .read = read_ioprio, .help = "ioprio_set(2)" },
	{ "execCPUAffinity", K_OBJECT, 0, 0, .sub = &affinity_table, .help = "for `exec` only" },
};
TABLE(process, check_process);
