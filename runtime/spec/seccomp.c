/* seccomp.c: linux.seccomp (config-linux.md, "Seccomp"). Only names become numbers here; runtime/seccomp/ makes the filter. */
#include "runtime/spec/read.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include "base/str.h"

#define S(member) offsetof(struct oci_seccomp, member)
#define TABLE(name, check_fn) const struct table name##_table = { name##_fields, ARRAY_SIZE(name##_fields), check_fn }
#define ERRNO_MAX 4095 /* MAX_ERRNO of the kernel */
#define WAIT_KILLABLE_RECV (1U << 5) /* SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19 */
#define EPERM_ 1       /* what an action returns that says no errno */

/* The action at object[key] with the errno at object[errno_key]. */
static int read_action(const struct at *o, const char *key, const char *errno_key, uint32_t *ret)
{
	struct at v = at_member(o, key), num = at_member(o, errno_key);
	uint64_t number = EPERM_;
	int64_t action = 0;
	int r = v.j ? at_name(&v, &seccomp_action_names, &action) : at_fail(&v, "is missing");

	if (r >= 0 && num.j)
		r = at_u64(&num, ERRNO_MAX, &number);
	if (r < 0)
		return r;
	if ((uint32_t)action == SCMP_ACT_ERRNO(0))
		*ret = SCMP_ACT_ERRNO((uint32_t)number);
	else if ((uint32_t)action == SCMP_ACT_TRACE(0))
		*ret = SCMP_ACT_TRACE((uint32_t)number);
	else if (num.j)
		return at_fail(&num, "only SCMP_ACT_ERRNO and SCMP_ACT_TRACE have an errno; leave it out");
	else
		*ret = (uint32_t)action;
	return 0;
}

static int read_archs(const struct at *v, void *to)
{
	struct oci_seccomp *s = to;
	size_t n;
	int r = at_array_len(v, &n);

	if (r < 0)
		return r;
	s->archs = oci_alloc(v->rd->arena, (n + 1) * sizeof(*s->archs));
	if (!s->archs)
		return at_no_memory(v);
	for (size_t i = 0; i < n; i++) {
		struct at item = at_element(v, i);
		int64_t arch;
		r = at_name(&item, &seccomp_arch_names, &arch);
		if (r < 0)
			return r;
		for (size_t k = 0; k < i; k++)
			if (s->archs[k] == (uint32_t)arch)
				return at_fail(&item, "%s is there twice; leave one out", json_string_value(item.j));
		s->archs[s->n_archs++] = (uint32_t)arch;
	}
	return 0;
}

static int read_flags(const struct at *v, void *to)
{
	struct oci_seccomp *s = to;
	size_t n;
	int r = at_array_len(v, &n);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_element(v, i);
		int64_t flag = 0;
		r = at_name(&item, &seccomp_flag_names, &flag);
		s->flags |= (uint32_t)flag;
	}
	return r;
}

#define A(member) offsetof(struct oci_seccomp_arg, member)

static const struct field arg_fields[] = {
	{ "index", K_U32, REQUIRED, A(index), .max = 5, .help = "" },
	{ "value", K_U64, REQUIRED, A(value), .help = "" },
	{ "valueTwo", K_U64, 0, A(value_two), .help = "with SCMP_CMP_MASKED_EQ: (argument & value) == valueTwo" },
	{ "op", K_NAME, REQUIRED, A(op), .names = &seccomp_op_names, .help = "" },
};
static TABLE(arg, NULL);

#define RULE(member) offsetof(struct oci_seccomp_rule, member)

static int check_rule(const struct at *o, void *to)
{
	struct oci_seccomp_rule *rule = to;

	if (rule->names.n == 0) {
		struct at v = at_member(o, "names");
		return at_fail(&v, "needs at least one system call");
	}
	return read_action(o, "action", "errnoRet", &rule->action);
}

static const struct field rule_fields[] = {
	{ "names", K_STRV, REQUIRED | NONEMPTY, RULE(names), .help = "names that libseccomp doesn't know are passed over, as in runc: profiles name calls of all architectures and kernels" },
	{ "action", K_CHECKED, REQUIRED, .help = "as defaultAction; a rule that says the same as it is passed over" },
	{ "errnoRet", K_CHECKED, 0, .help = "EPERM when missing; an error with an action that has none" },
	{ "args", K_LIST, 0, RULE(args), RULE(n_args), sizeof(struct oci_seccomp_arg), &arg_table,
	  .help = "all must hold; when one index is there twice, each is a rule of its own (as in runc)" },
};
static TABLE(rule, check_rule);

static void add(struct buf *b, const void *p, size_t n)
{
	(void)buf_add(b, p, n);
}

static void add_rule(struct buf *b, const struct oci_seccomp_rule *rule)
{
	add(b, &rule->action, 4);
	add(b, &rule->names.n, sizeof(size_t));
	for (size_t i = 0; i < rule->names.n; i++)
		add(b, rule->names.v[i], strlen(rule->names.v[i]) + 1);
	add(b, &rule->n_args, sizeof(size_t));
	for (size_t i = 0; i < rule->n_args; i++) {
		const struct oci_seccomp_arg *a = &rule->args[i];
		add(b, &a->index, sizeof(a->index));
		add(b, &a->op, sizeof(a->op));
		add(b, &a->value, 8);
		add(b, &a->value_two, 8);
	}
}

/* Each list with its length in front, so that no two profiles have the same bytes. */
static int canonical(const struct at *o, struct oci_seccomp *s)
{
	_cleanup_buf_ struct buf b = { 0 };
	void *copy;

	add(&b, &s->default_action, 4);
	add(&b, &s->flags, 4);
	add(&b, &s->n_archs, sizeof(size_t));
	for (size_t i = 0; i < s->n_archs; i++)
		add(&b, &s->archs[i], 4);
	add(&b, &s->n_rules, sizeof(size_t));
	for (size_t i = 0; i < s->n_rules; i++)
		add_rule(&b, &s->rules[i]);
	copy = b.failed ? NULL : oci_alloc(o->rd->arena, b.len);
	if (!copy)
		return at_no_memory(o);
	s->canonical = memcpy(copy, b.data, b.len);
	s->canonical_len = b.len;
	return 0;
}

static int check_listener(const struct at *o, const struct oci_seccomp *s)
{
	struct at path = at_member(o, "listenerPath"), metadata = at_member(o, "listenerMetadata");

	if (s->listener_metadata && !s->listener_path)
		return at_fail(&metadata, "is for the agent at listenerPath, which is missing");
	if (s->notifies && !s->listener_path)
		return at_fail(&path, "is missing: SCMP_ACT_NOTIFY needs the socket of an agent");
	return 0;
}

static int check_seccomp(const struct at *o, void *to)
{
	struct oci_seccomp *s = to;
	struct at v = at_member(o, "defaultAction");
	int r = read_action(o, "defaultAction", "defaultErrnoRet", &s->default_action);

	if (r < 0)
		return r;
	if (s->default_action == SCMP_ACT_NOTIFY)
		return at_fail(&v, "SCMP_ACT_NOTIFY can't be the default: the runtime couldn't start the process; name the calls in syscalls[]");
	for (size_t i = 0; i < s->n_rules; i++)
		s->notifies |= s->rules[i].action == SCMP_ACT_NOTIFY;
	if (!at_member(o, "flags").j) /* as runc: without the mitigation that the kernel would otherwise switch on for filters */
		s->flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	if ((s->flags & WAIT_KILLABLE_RECV) && !s->notifies) {
		struct at flags = at_member(o, "flags");
		return at_fail(&flags, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is for SCMP_ACT_NOTIFY, which no entry of syscalls has; leave it out");
	}
	r = check_listener(o, s);
	return r < 0 ? r : canonical(o, s);
}

static const struct field seccomp_fields[] = {
	{ "defaultAction", K_CHECKED, REQUIRED, .help = "all of libseccomp's; SCMP_ACT_NOTIFY can't be the default" },
	{ "defaultErrnoRet", K_CHECKED, 0, .help = "EPERM when missing; an error with an action that has none" },
	{ "architectures", K_READ, 0, 0, .read = read_archs, .help = "the native one when missing; twice is an error" },
	{ "flags", K_READ, 0, 0, .read = read_flags, .help = "flags of seccomp(2); when the key is missing, SECCOMP_FILTER_FLAG_SPEC_ALLOW, as in runc" },
	{ "listenerPath", K_STR, ABSOLUTE, S(listener_path), .help = "the listener and the container process state are sent there; needed with SCMP_ACT_NOTIFY, else nothing" },
	{ "listenerMetadata", K_STR, 0, S(listener_metadata), .help = "`metadata` of that state" },
	{ "syscalls", K_LIST, 0, S(rules), S(n_rules), sizeof(struct oci_seccomp_rule), &rule_table, .help = "of two entries that contradict each other the first counts, as in libseccomp" },
};
TABLE(seccomp, check_seccomp);
