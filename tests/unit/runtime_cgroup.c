/* A container's cgroup: places, conversions, what is written where (into plain files), the device program (in a small interpreter and, where there is a
 * cgroup hierarchy that may be written, in the kernel), and the life of a real one. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/priv.h"

START_TEST(shares_become_weights)
{
	const struct { uint64_t shares, weight; } cases[] = {
		{ 0, 0 }, { 1, 1 }, { 2, 1 }, { 512, 59 }, { 1024, 100 }, { 2048, 174 }, { 262143, 10000 }, { 262144, 10000 }, { UINT64_MAX, 10000 },
	};
	uint64_t last = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_msg(cg_weight_from_shares(cases[i].shares) == cases[i].weight, "%lu: %lu", cases[i].shares, cg_weight_from_shares(cases[i].shares));
	for (uint64_t s = 2; s < 262144; s += 101) {
		uint64_t w = cg_weight_from_shares(s);
		ck_assert(w >= last && w >= 1 && w <= 10000);
		last = w;
	}
	ck_assert_uint_eq(cg_io_weight_from_blkio(10), 1);
	ck_assert_uint_eq(cg_io_weight_from_blkio(1000), 10000);
	ck_assert_uint_eq(cg_io_weight_from_blkio(0), 0);
}
END_TEST

START_TEST(systemd_names_become_paths)
{
	const struct { const char *name; bool rootless; const char *path; } cases[] = {
		{ "system.slice:docker:abc", false, "system.slice/docker-abc.scope" }, { ":docker:abc", false, "system.slice/docker-abc.scope" },
		{ ":libpod:abc", true, "user.slice/libpod-abc.scope" }, { "a-b-c.slice:p:n", false, "a.slice/a-b.slice/a-b-c.slice/p-n.scope" },
		{ "-.slice:p:n", false, "p-n.scope" }, { "machine.slice::n", false, "machine.slice/n.scope" }, { "m.slice:p:n.slice", false, "m.slice/n.slice" },
		{ "kubepods-besteffort-pod12_3.slice:cri-containerd:x", false,
		  "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod12_3.slice/cri-containerd-x.scope" },
	};
	static const char *const bad[] = { "", "a", "a:b", "a:b:c", "a.slice:b:", "a--b.slice:p:n", "-a.slice:p:n", "a-.slice:p:n", ".slice:p:n", "a/b.slice:p:n",
		"a.slice:p/q:n", "a.slice:p:n/m", "a.slice:p:n:o" };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *path = NULL;
		ck_assert_msg(cg_path_from_systemd(cases[i].name, cases[i].rootless, &path) == 0, "%s", cases[i].name);
		ck_assert_str_eq(path, cases[i].path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *path = NULL;
		ck_assert_msg(cg_path_from_systemd(bad[i], false, &path) == -EINVAL, "%s", bad[i]);
		ck_assert_ptr_null(path);
	}
}
END_TEST

START_TEST(places_are_below_the_hierarchys_top)
{
	const struct { const char *path, *want; } cases[] = {
		{ NULL, "rastos.container/id" }, { "", "rastos.container/id" }, { "/a/b", "a/b" }, { "//a/./b/", "a/b" }, { "x/y", "rastos.container/x/y" },
	};
	static const char *const bad[] = { "/", "//", "/..", "/a/../b", "../a" };
	_cleanup_err_ struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_cgroup_ struct cgroup cg = CGROUP_NONE;
		int r = cg_open(cases[i].path, "id", false, false, &cg, &e);
		if (r == -ENOTSUP) /* no cgroup 2 here */
			return;
		ck_assert_msg(r == 0, "%s", err_text(&e));
		ck_assert_str_eq(cg.path, cases[i].want);
		ck_assert(cg.root >= 0 && cg.fd < 0 && !cg.none);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct cgroup cg;
		ck_assert_int_eq(cg_open(bad[i], "id", false, false, &cg, &e), -EINVAL);
		ck_assert(str_starts(err_text(&e), "linux.cgroupsPath: "));
		ck_assert_int_eq(cg.root, -1);
	}
}
END_TEST

/* --- what is written where --- */

static const struct oci_resources *resources(const char *json, struct oci_resources **keep)
{
	const struct oci_load how = { .file = "r" };
	_cleanup_err_ struct err e = { 0 };
	_cleanup_free_ char *text = strdup(json);

	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	if (oci_resources_parse(text, strlen(text), &how, keep, &e) < 0)
		ck_abort_msg("%s", err_text(&e));
	return *keep;
}

static void write_file(int dir, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	ck_assert(fd >= 0 && write_all(fd, text, strlen(text)) == 0);
}

static const char *const files[] = { "memory.max", "memory.low", "memory.swap.max", "memory.current", "cpu.weight", "cpu.max", "cpu.max.burst", "cpu.idle",
	"cpuset.cpus", "cpuset.mems", "pids.max", "io.weight", "io.max", "hugetlb.2MB.max", "hugetlb.2MB.rsvd.max", "rdma.max", "memory.high" };

START_TEST(limits_reach_their_files)
{
	const struct { const char *json, *file, *want; } cases[] = {
		{ "{'memory':{'limit':1000}}", "memory.max", "1000" }, { "{'memory':{'limit':-1}}", "memory.max", "max" },
		{ "{'memory':{'limit':1000,'swap':1500}}", "memory.swap.max", "500" }, { "{'memory':{'limit':1000,'swap':1000}}", "memory.swap.max", "0" },
		{ "{'memory':{'limit':1000,'swap':-1}}", "memory.swap.max", "max" }, { "{'memory':{'swap':5000}}", "memory.swap.max", "904" },
		{ "{'memory':{'limit':0,'swap':0}}", "memory.swap.max", "-" }, { "{'memory':{'reservation':77}}", "memory.low", "77" },
		{ "{'cpu':{'shares':1024}}", "cpu.weight", "100" }, { "{'cpu':{'shares':0}}", "cpu.weight", "-" },
		{ "{'cpu':{'shares':1024,'idle':1}}", "cpu.weight", "-" }, { "{'cpu':{'idle':1}}", "cpu.idle", "1" },
		{ "{'cpu':{'quota':5000}}", "cpu.max", "5000" }, { "{'cpu':{'quota':-1,'period':20000}}", "cpu.max", "max 20000" },
		{ "{'cpu':{'period':20000}}", "cpu.max", "7000 20000" }, { "{'cpu':{'quota':5000,'burst':100}}", "cpu.max.burst", "100" },
		{ "{'cpu':{'cpus':'0-1','mems':'0'}}", "cpuset.cpus", "0-1" }, { "{'cpu':{'mems':'0'}}", "cpuset.mems", "0" },
		{ "{'pids':{'limit':0}}", "pids.max", "max" }, { "{'pids':{'limit':-1}}", "pids.max", "max" },
		{ "{'blockIO':{'weight':505}}", "io.weight", "5000" }, { "{'blockIO':{'weightDevice':[{'major':8,'minor':16,'weight':10}]}}", "io.weight", "8:16 1" },
		{ "{'blockIO':{'throttleReadBpsDevice':[{'major':8,'minor':0,'rate':600}]}}", "io.max", "8:0 rbps=600" },
		{ "{'blockIO':{'throttleWriteBpsDevice':[{'major':8,'minor':0,'rate':0}]}}", "io.max", "8:0 wbps=max" },
		{ "{'blockIO':{'throttleReadIOPSDevice':[{'major':8,'minor':0,'rate':1}]}}", "io.max", "8:0 riops=1" },
		{ "{'blockIO':{'throttleWriteIOPSDevice':[{'major':8,'minor':0,'rate':2}]}}", "io.max", "8:0 wiops=2" },
		{ "{'hugepageLimits':[{'pageSize':'2MB','limit':4194304}]}", "hugetlb.2MB.max", "4194304" },
		{ "{'hugepageLimits':[{'pageSize':'2MB','limit':4194304}]}", "hugetlb.2MB.rsvd.max", "4194304" },
		{ "{'rdma':{'mlx5':{'hcaHandles':3}}}", "rdma.max", "mlx5 hca_handle=3" }, { "{'rdma':{'mlx5':{'hcaObjects':4}}}", "rdma.max", "mlx5 hca_object=4" },
		{ "{'unified':{'memory.high':'123'}}", "memory.high", "123" }, { "{'memory':{'limit':9},'unified':{'memory.max':'10'}}", "memory.max", "10" },
	};
	int dir = make_test_dir();
	const struct cgroup cg = { .root = dir, .fd = dir, .mount = (char[]){ "/m" }, .path = (char[]){ "c" } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_err_ struct err e = { 0 };
		_cleanup_free_ char *text = NULL;
		struct oci_resources *r = NULL;
		for (size_t k = 0; k < ARRAY_SIZE(files); k++)
			write_file(dir, files[k], streq(files[k], "memory.max") ? "4096" : streq(files[k], "cpu.max") ? "7000 100000" : "-");
		if (cg_apply(&cg, resources(cases[i].json, &r), "linux.resources", &e) < 0)
			ck_abort_msg("%s: %s", cases[i].json, err_text(&e));
		ck_assert_int_eq(file_read(dir, cases[i].file, 4096, &text, NULL), 0);
		text[MIN(strlen(text), strlen(cases[i].want))] = 0; /* a plain file keeps what was longer before */
		ck_assert_msg(streq(text, cases[i].want), "%s: %s is '%s'", cases[i].json, cases[i].file, text);
		oci_resources_free(r);
	}
	close(dir);
	rm_rf(AT_FDCWD, test_dir_path);
}
END_TEST

START_TEST(a_limit_that_cant_be_set_is_named_by_its_json_path)
{
	const struct { const char *json, *error; } cases[] = {
		{ "{'pids':{'limit':5}}", "linux.resources.pids.limit: there is no pids.max in the cgroup /m/c: its controller is not enabled, or the kernel hasn't it" },
		{ "{'unified':{'foo.bar':'5'}}", "linux.resources.unified[\"foo.bar\"]: there is no foo.bar in the cgroup /m/c: its controller is not enabled, or the kernel hasn't it" },
		{ "{'memory':{'limit':4000,'checkBeforeUpdate':true}}", "linux.resources.memory.limit: 4000 is below the 5000 bytes in use; checkBeforeUpdate asks to refuse that" },
		{ "{'memory':{'swap':4000}}", "linux.resources.memory.swap: is memory and swap together and must not be below the memory limit; give `limit` too" },
		{ "{'hugepageLimits':[{'pageSize':'1GB','limit':1}]}", "linux.resources.hugepageLimits: there is no hugetlb.1GB.max in the cgroup /m/c: its controller is not enabled, or the kernel hasn't it" },
	};
	int dir = make_test_dir();
	const struct cgroup cg = { .root = dir, .fd = dir, .mount = (char[]){ "/m" }, .path = (char[]){ "c" } };

	write_file(dir, "memory.current", "5000\n");
	write_file(dir, "memory.max", "max\n");
	write_file(dir, "memory.swap.max", "max\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_err_ struct err e = { 0 };
		struct oci_resources *r = NULL;
		ck_assert_int_lt(cg_apply(&cg, resources(cases[i].json, &r), "linux.resources", &e), 0);
		ck_assert_str_eq(err_text(&e), cases[i].error);
		oci_resources_free(r);
	}
	close(dir);
	rm_rf(AT_FDCWD, test_dir_path);
}
END_TEST

/* --- the device program --- */

/* The instructions that device.c uses, nothing else. Returns r0, aborts at anything strange. */
static int interpret(const struct bpf_insn *p, int n, const struct bpf_cgroup_dev_ctx *ctx)
{
	uint64_t r[11] = { 0 };

	for (int pc = 0, steps = 0;; pc++, steps++) {
		ck_assert(pc >= 0 && pc < n && steps < 100000);
		const struct bpf_insn *i = &p[pc];
		switch (i->code) {
		case BPF_LDX | BPF_MEM | BPF_W: ck_assert(i->src_reg == 1 && i->off >= 0 && i->off <= 8); r[i->dst_reg] = ((const uint32_t *)ctx)[i->off / 4]; break;
		case BPF_ALU64 | BPF_MOV | BPF_X: r[i->dst_reg] = r[i->src_reg]; break;
		case BPF_ALU64 | BPF_MOV | BPF_K: r[i->dst_reg] = (uint64_t)i->imm; break;
		case BPF_ALU64 | BPF_AND | BPF_K: r[i->dst_reg] &= (uint64_t)i->imm; break;
		case BPF_ALU64 | BPF_RSH | BPF_K: r[i->dst_reg] >>= i->imm; break;
		case BPF_JMP32 | BPF_JNE | BPF_K: pc += (uint32_t)r[i->dst_reg] != (uint32_t)i->imm ? i->off : 0; break;
		case BPF_JMP32 | BPF_JEQ | BPF_K: pc += (uint32_t)r[i->dst_reg] == (uint32_t)i->imm ? i->off : 0; break;
		case BPF_JMP | BPF_EXIT: return (int)r[0];
		default: ck_abort_msg("instruction %#x", i->code);
		}
	}
}

static bool fits(const struct oci_device_rule *r, char type, uint32_t major, uint32_t minor)
{
	return (r->type == 'a' || r->type == type) && (r->major < 0 || r->major == major) && (r->minor < 0 || r->minor == minor);
}

/* The meaning: each access by itself, the last rule that names it decides; none: no. */
static bool allowed(const struct oci_device_rule *rules, size_t n, char type, uint32_t major, uint32_t minor, unsigned access)
{
	for (unsigned bit = 1; bit <= 4; bit <<= 1) {
		bool yes = false;
		for (size_t i = 0; i < n; i++)
			if (fits(&rules[i], type, major, minor) && (rules[i].access & bit))
				yes = rules[i].allow;
		if ((access & bit) && !yes)
			return false;
	}
	return true;
}

static unsigned below(unsigned n) /* xorshift64: the same numbers every time */
{
	static uint64_t random = 88172645463325252ULL;

	random ^= random << 13;
	random ^= random >> 7;
	random ^= random << 17;
	return (unsigned)(random % n);
}

START_TEST(the_device_program_decides_as_the_rules_say)
{
	for (int round = 0; round < 400; round++) {
		struct oci_device_rule rules[8];
		struct bpf_insn insns[8 * DEVICE_RULE_INSNS + 8];
		size_t n = below(9);
		static const uint32_t numbers[] = { 0, 1, 255, 4294967295U };
		for (size_t i = 0; i < n; i++)
			rules[i] = (struct oci_device_rule){ below(2), "abc"[below(3)], below(2) ? -1 : (int64_t)numbers[below(4)],
				below(2) ? -1 : (int64_t)numbers[below(4)], 1 + below(7) };
		int len = device_program(rules, n, insns, ARRAY_SIZE(insns));
		ck_assert_int_gt(len, 0);
		for (int type = 1; type <= 2; type++)
			for (int k = 0; k < 16; k++)
				for (unsigned access = 1; access < 8; access++) {
					const struct bpf_cgroup_dev_ctx ctx = { (access << 16) | (unsigned)type, numbers[k / 4], numbers[k % 4] };
					ck_assert_int_eq(interpret(insns, len, &ctx), allowed(rules, n, type == 1 ? 'b' : 'c', ctx.major, ctx.minor, access));
				}
	}
}
END_TEST

START_TEST(a_program_that_is_too_long_is_an_error)
{
	struct bpf_insn insns[8];

	ck_assert_int_eq(device_program(device_defaults, device_defaults_n, insns, ARRAY_SIZE(insns)), -E2BIG);
	ck_assert_int_eq(device_program(NULL, 0, insns, ARRAY_SIZE(insns)), 8);
}
END_TEST

/* --- real cgroups, where they may be made --- */

static bool real(struct cgroup *cg, const char *name)
{
	_cleanup_err_ struct err e = { 0 };
	char path[64];

	snprintf(path, sizeof(path), "/rast-unit-%d/%s", (int)getpid(), name);
	return geteuid() == 0 && cg_open(path, "x", false, false, cg, &e) == 0 && cg_create(cg, NULL, &e) == 0;
}

static void remove_real(struct cgroup *cg)
{
	_cleanup_err_ struct err e = { 0 };

	if (cg_remove(cg, &e) < 0)
		ck_abort_msg("%s", err_text(&e));
	*strrchr(cg->path, '/') = 0;
	(void)cgroup_remove(cg->root, cg->path);
}

static pid_t sleeper(const struct cgroup *cg)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (cg_add(cg, 0) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	for (int i = 0; i < 2000 && cgroup_populated(cg->root, cg->path) != 1; i++)
		usleep(10000);
	ck_assert_int_eq(cgroup_populated(cg->root, cg->path), 1);
	return pid;
}

START_TEST(a_cgroup_is_made_filled_frozen_and_removed_with_all_that_is_in_it)
{
	_cleanup_cgroup_ struct cgroup cg = CGROUP_NONE, again = CGROUP_NONE;
	_cleanup_err_ struct err e = { 0 };
	_cleanup_free_ pid_t *pids = NULL;
	_cleanup_free_ char *json = NULL;
	size_t n;
	int status;

	if (!real(&cg, "life"))
		return;
	pid_t pid = sleeper(&cg);
	ck_assert(cg_pids(&cg, &pids, &n) == 0 && n == 1 && pids[0] == pid);
	ck_assert_int_eq(cg_freeze(&cg, true, &e), 0);
	ck_assert_int_eq(cg_frozen(&cg), 1);
	ck_assert_int_eq(cg_freeze(&cg, false, &e), 0);
	ck_assert_int_eq(cg_frozen(&cg), 0);
	ck_assert_int_eq(cg_stats(&cg, &json, &e), 0);
	ck_assert(str_starts(json, "{\"cpu\":{\"usage\":{"));
	ck_assert_int_eq(cg_open_existing(cg.path, &again, &e), 0);
	ck_assert_int_eq(cg_create(&again, NULL, &e), -EBUSY); /* it has processes */
	ck_assert(strstr(err_text(&e), "has processes already"));
	cgroup_make(cg.fd, "below");
	remove_real(&cg);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WTERMSIG(status), SIGKILL);
	ck_assert_int_eq(cg_remove(&again, &e), 0); /* gone already */
}
END_TEST

static int open_in(const struct cgroup *cg, const char *device, int flags)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (cg_add(cg, 0) < 0)
			_exit(255);
		_exit(open(device, flags) < 0 ? errno : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

START_TEST(the_kernel_takes_the_device_program_and_replaces_it)
{
	_cleanup_cgroup_ struct cgroup cg = CGROUP_NONE;
	_cleanup_err_ struct err e = { 0 };
	struct oci_resources *deny = NULL, *read_only = NULL, *all = NULL;

	if (access("/dev/kmsg", R_OK | W_OK) < 0 || !real(&cg, "devices"))
		return;
	if (cg_devices(&cg, resources("{'devices':[{'allow':false}]}", &deny), &e) < 0)
		ck_abort_msg("%s", err_text(&e));
	ck_assert_int_eq(open_in(&cg, "/dev/null", O_RDWR), 0);
	ck_assert_int_eq(open_in(&cg, "/dev/urandom", O_RDONLY), 0);
	ck_assert_int_eq(open_in(&cg, "/dev/kmsg", O_RDONLY), EPERM);
	ck_assert_int_eq(cg_devices(&cg, resources("{'devices':[{'allow':false},{'allow':true,'type':'c','major':1,'minor':11,'access':'r'}]}", &read_only), &e), 0);
	ck_assert_int_eq(open_in(&cg, "/dev/kmsg", O_RDONLY), 0);
	ck_assert_int_eq(open_in(&cg, "/dev/kmsg", O_WRONLY), EPERM);
	ck_assert_int_eq(cg_devices(&cg, resources("{'devices':[{'allow':true}]}", &all), &e), 0);
	ck_assert_int_eq(open_in(&cg, "/dev/kmsg", O_RDWR), 0); /* the old program would still say no */
	ck_assert_int_eq(cg_devices(&cg, NULL, &e), 0);
	ck_assert_int_eq(open_in(&cg, "/dev/kmsg", O_RDONLY), EPERM);
	ck_assert_int_eq(open_in(&cg, "/dev/zero", O_RDWR), 0);
	oci_resources_free(deny);
	oci_resources_free(read_only);
	oci_resources_free(all);
	remove_real(&cg);
}
END_TEST

PROMISES("runtime: cgroup", shares_become_weights, systemd_names_become_paths, places_are_below_the_hierarchys_top, limits_reach_their_files,
	a_limit_that_cant_be_set_is_named_by_its_json_path, the_device_program_decides_as_the_rules_say, a_program_that_is_too_long_is_an_error,
	a_cgroup_is_made_filled_frozen_and_removed_with_all_that_is_in_it, the_kernel_takes_the_device_program_and_replaces_it)
