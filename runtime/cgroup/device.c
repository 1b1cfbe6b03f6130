/* device.c: linux.resources.devices as a BPF program (BPF_PROG_TYPE_CGROUP_DEVICE; kernel/bpf/cgroup.c).
 *
 * v1's list was one of exceptions, and each of read, write and mknod was decided for itself: so does this program. It goes through the rules from the
 * last to the first with the accesses that are not decided yet. A rule that fits the device takes its own from them: an allowing one
 * strikes them off, a denying one ends it. What no rule decides is denied. */
#include "runtime/cgroup/priv.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/mem.h"

#define ALL (OCI_ACCESS_MKNOD | OCI_ACCESS_READ | OCI_ACCESS_WRITE)

/* What every container may use, whatever its rules say (config-linux.md, "Default Devices"), as in runc; making nodes of any device does no harm. */
const struct oci_device_rule device_defaults[] = {
	{ true, 'c', -1, -1, OCI_ACCESS_MKNOD }, { true, 'b', -1, -1, OCI_ACCESS_MKNOD },
	{ true, 'c', 1, 3, ALL }, /* null */
	{ true, 'c', 1, 5, ALL }, /* zero */
	{ true, 'c', 1, 7, ALL }, /* full */
	{ true, 'c', 1, 8, ALL }, /* random */
	{ true, 'c', 1, 9, ALL }, /* urandom */
	{ true, 'c', 5, 0, ALL }, /* tty */
	{ true, 'c', 5, 2, ALL }, /* ptmx */
	{ true, 'c', 136, -1, ALL }, /* pts */
};
const size_t device_defaults_n = ARRAY_SIZE(device_defaults);

/* The registers: r1 is the kernel's struct bpf_cgroup_dev_ctx at the beginning and free later. */
enum { R0, R1, TYPE, LEFT /* accesses that are not decided yet */, MAJOR, MINOR };

#define INSN(code_, dst, src, off_, imm_) \
	((struct bpf_insn){ .code = (code_), .dst_reg = (dst), .src_reg = (src), .off = (int16_t)(off_), .imm = (int32_t)(imm_) })
#define LOAD32(dst, src, off) INSN(BPF_LDX | BPF_MEM | BPF_W, dst, src, off, 0)
#define MOV(dst, src) INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define MOVI(dst, imm) INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm)
#define ANDI(dst, imm) INSN(BPF_ALU64 | BPF_AND | BPF_K, dst, 0, 0, imm)
#define SHRI(dst, imm) INSN(BPF_ALU64 | BPF_RSH | BPF_K, dst, 0, 0, imm)
#define JNE32(dst, imm) INSN(BPF_JMP32 | BPF_JNE | BPF_K, dst, 0, 0, imm) /* the offset is filled in at the rule's end */
#define JEQ32(dst, imm) INSN(BPF_JMP32 | BPF_JEQ | BPF_K, dst, 0, 0, imm)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

struct code {
	struct bpf_insn *v;
	size_t n, max;
};

static void emit(struct code *c, struct bpf_insn insn)
{
	if (c->n < c->max)
		c->v[c->n] = insn;
	c->n++;
}

static bool is_open_jump(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_JMP32 && insn->off == 0;
}

static void add_rule(struct code *c, const struct oci_device_rule *rule)
{
	size_t begin = c->n;

	if (rule->type != 'a')
		emit(c, JNE32(TYPE, rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR));
	if (rule->major >= 0)
		emit(c, JNE32(MAJOR, rule->major));
	if (rule->minor >= 0)
		emit(c, JNE32(MINOR, rule->minor));
	if (rule->allow) {
		emit(c, ANDI(LEFT, ALL & ~rule->access));
		emit(c, JNE32(LEFT, 0));
	} else {
		emit(c, MOV(R1, LEFT));
		emit(c, ANDI(R1, rule->access));
		emit(c, JEQ32(R1, 0));
	}
	emit(c, MOVI(R0, rule->allow));
	emit(c, EXIT);
	for (size_t i = begin; i < MIN(c->n, c->max); i++)
		if (is_open_jump(&c->v[i]))
			c->v[i].off = (int16_t)(c->n - i - 1);
}

int device_program(const struct oci_device_rule *rules, size_t n, struct bpf_insn *insns, size_t max)
{
	struct code c = { insns, 0, max };

	emit(&c, LOAD32(TYPE, R1, offsetof(struct bpf_cgroup_dev_ctx, access_type)));
	emit(&c, LOAD32(MAJOR, R1, offsetof(struct bpf_cgroup_dev_ctx, major)));
	emit(&c, LOAD32(MINOR, R1, offsetof(struct bpf_cgroup_dev_ctx, minor)));
	emit(&c, MOV(LEFT, TYPE));
	emit(&c, SHRI(LEFT, 16));
	emit(&c, ANDI(TYPE, 0xffff));
	for (size_t i = n; i > 0; i--)
		add_rule(&c, &rules[i - 1]);
	emit(&c, MOVI(R0, 0));
	emit(&c, EXIT);
	return c.n <= max ? (int)c.n : -E2BIG;
}

static int bpf(int cmd, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

static int load(const struct bpf_insn *insns, int n)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insns = (uintptr_t)insns,
		.insn_cnt = (uint32_t)n,
		.license = (uintptr_t)"MIT",
		.prog_name = "rast_devices",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

#define ATTACHED_MAX 64 /* BPF_CGROUP_MAX_PROGS */

/* The programs that are attached to this very cgroup, by number. */
static int attached(int cgroup_fd, uint32_t ids[ATTACHED_MAX])
{
	union bpf_attr attr = { .query = { .target_fd = (uint32_t)cgroup_fd, .attach_type = BPF_CGROUP_DEVICE, .prog_ids = (uintptr_t)ids, .prog_cnt = ATTACHED_MAX } };
	int r = bpf(BPF_PROG_QUERY, &attr);

	return r < 0 ? r : (int)attr.query.prog_cnt;
}

static int attach(int cgroup_fd, int prog, int replaced)
{
	union bpf_attr attr = {
		.target_fd = (uint32_t)cgroup_fd,
		.attach_bpf_fd = (uint32_t)prog,
		.attach_type = BPF_CGROUP_DEVICE,
		.attach_flags = BPF_F_ALLOW_MULTI | (replaced >= 0 ? BPF_F_REPLACE : 0),
		.replace_bpf_fd = replaced >= 0 ? (uint32_t)replaced : 0,
	};

	return bpf(BPF_PROG_ATTACH, &attr);
}

static int program_by_id(uint32_t id)
{
	union bpf_attr attr = { .prog_id = id };

	return bpf(BPF_PROG_GET_FD_BY_ID, &attr);
}

static void detach(int cgroup_fd, uint32_t id)
{
	_cleanup_close_ int prog = program_by_id(id);
	union bpf_attr attr = { .target_fd = (uint32_t)cgroup_fd, .attach_bpf_fd = (uint32_t)MAX(prog, 0), .attach_type = BPF_CGROUP_DEVICE };

	if (prog >= 0)
		(void)bpf(BPF_PROG_DETACH, &attr);
}

/* The old one goes in the moment in which the new one comes; all that are attached decide together, so that none too many may stay. */
static int replace(int cgroup_fd, int prog)
{
	uint32_t ids[ATTACHED_MAX] = { 0 };
	int n = attached(cgroup_fd, ids), r;
	_cleanup_close_ int old = n > 0 ? program_by_id(ids[0]) : -1;

	r = attach(cgroup_fd, prog, old);
	for (int i = 1; r >= 0 && i < n; i++)
		detach(cgroup_fd, ids[i]);
	return r;
}

int cg_devices(struct cgroup *cg, const struct oci_resources *res, struct err *e)
{
	size_t n = res ? res->n_devices : 0, max = (n + device_defaults_n) * DEVICE_RULE_INSNS + 8;
	_cleanup_free_ struct oci_device_rule *rules = calloc(n + device_defaults_n, sizeof(*rules));
	_cleanup_free_ struct bpf_insn *insns = calloc(max, sizeof(*insns));
	_cleanup_close_ int prog = -1;
	int r;

	if (cg->none)
		return 0;
	if (!rules || !insns)
		return err_set(e, -ENOMEM, "not enough memory");
	if (n > 0)
		memcpy(rules, res->devices, n * sizeof(*rules));
	memcpy(rules + n, device_defaults, device_defaults_n * sizeof(*rules));
	r = device_program(rules, n + device_defaults_n, insns, max);
	if (r >= 0)
		r = prog = load(insns, r);
	if (r == -EPERM && geteuid() != 0) /* an ordinary user: his container's user namespace keeps him from devices as it is */
		return 0;
	if (r < 0)
		return err_sys(e, r, "linux.resources.devices: load the program for %zu rules", n);
	r = cg->fresh ? attach(cg->fd, prog, -1) : replace(cg->fd, prog);
	cg->fresh = false;
	return r < 0 ? err_sys(e, r, "linux.resources.devices: attach the program to the cgroup %s/%s", cg->mount, cg->path) : 0;
}
