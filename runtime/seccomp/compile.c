/* compile.c: linux.seccomp to BPF, by libseccomp. */
#include "runtime/seccomp/priv.h"

#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include "base/file.h"
#include "base/mem.h"

#define PROGRAM_MAX (BPF_MAXINSNS * sizeof(struct sock_filter))

static void releasep(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

static int refused(struct err *e, int r, size_t rule, const char *name)
{
	return err_sys(e, r, "linux.seccomp.syscalls[%zu]: '%s' can't be made into a filter", rule, name);
}

static struct scmp_arg_cmp condition(const struct oci_seccomp_arg *a)
{
	return SCMP_CMP64(a->index, (enum scmp_compare)a->op, a->value, a->value_two);
}

/* libseccomp takes each argument once in a rule; conditions on the same one are then rules of their own, so that one of them suffices (as in runc). */
static bool index_twice(const struct oci_seccomp_rule *rule)
{
	unsigned seen = 0;

	for (size_t i = 0; i < rule->n_args; i++) {
		if (seen & 1U << rule->args[i].index)
			return true;
		seen |= 1U << rule->args[i].index;
	}
	return false;
}

static int add_call(scmp_filter_ctx ctx, const struct oci_seccomp_rule *rule, int nr)
{
	struct scmp_arg_cmp conditions[6];
	int r = 0;

	if (index_twice(rule)) {
		for (size_t i = 0; r >= 0 && i < rule->n_args; i++) {
			conditions[0] = condition(&rule->args[i]);
			r = seccomp_rule_add_array(ctx, rule->action, nr, 1, conditions);
		}
		return r;
	}
	for (size_t i = 0; i < rule->n_args; i++)
		conditions[i] = condition(&rule->args[i]);
	return seccomp_rule_add_array(ctx, rule->action, nr, (unsigned)rule->n_args, conditions);
}

static int add_rules(scmp_filter_ctx ctx, const struct oci_seccomp *s, struct err *e)
{
	for (size_t i = 0; i < s->n_rules; i++) {
		const struct oci_seccomp_rule *rule = &s->rules[i];
		if (rule->action == s->default_action)
			continue;
		for (size_t k = 0; k < rule->names.n; k++) {
			int nr = seccomp_syscall_resolve_name(rule->names.v[k]);
			if (nr == __NR_SCMP_ERROR) /* of another kernel or architecture */
				continue;
			int r = add_call(ctx, rule, nr);
			if (r < 0)
				return refused(e, r, i, rule->names.v[k]);
		}
	}
	return 0;
}

static int add_archs(scmp_filter_ctx ctx, const struct oci_seccomp *s, struct err *e)
{
	for (size_t i = 0; i < s->n_archs; i++) {
		int r = seccomp_arch_add(ctx, s->archs[i]);
		if (r < 0 && r != -EEXIST)
			return err_sys(e, r, "linux.seccomp.architectures[%zu]: doesn't go with this machine's", i);
	}
	return 0;
}

static int export(scmp_filter_ctx ctx, struct sock_fprog *ret, struct err *e)
{
	_cleanup_close_ int fd = memfd_create("seccomp", MFD_CLOEXEC);
	char *data;
	size_t n;
	int r;

	if (fd < 0)
		return err_sys(e, -errno, "linux.seccomp: make a file in memory");
	r = seccomp_export_bpf(ctx, fd);
	if (r >= 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r >= 0)
		r = fd_read_all(fd, PROGRAM_MAX, &data, &n);
	if (r == -EFBIG)
		return err_set(e, r, "linux.seccomp: the filter has more than %d instructions, the kernel's limit; name fewer calls or architectures", BPF_MAXINSNS);
	if (r < 0)
		return err_sys(e, r, "linux.seccomp: make the filter");
	ret->filter = (struct sock_filter *)(void *)data;
	ret->len = (unsigned short)(n / sizeof(struct sock_filter));
	return 0;
}

int filter_compile(const struct oci_seccomp *s, struct sock_fprog *ret, struct err *e)
{
	_cleanup_(releasep) scmp_filter_ctx ctx = seccomp_init(s->default_action);
	int r;

	if (!ctx)
		return err_set(e, -EINVAL, "linux.seccomp.defaultAction: libseccomp can't have this as the default");
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree, shorter ways for most calls */
	r = add_archs(ctx, s, e);
	if (r >= 0)
		r = add_rules(ctx, s, e);
	return r < 0 ? r : export(ctx, ret, e);
}
