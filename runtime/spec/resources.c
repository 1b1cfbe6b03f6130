/* resources.c: linux.resources (config-linux.md, "Control groups"), for config.json and `update`.
 *
 * All of cgroup v2; of v1 what can be said in v2. The rest is an error, unless the value asks for nothing (0, -1, false): callers send such. */
#include "runtime/spec/read.h"

#include <errno.h>
#include <string.h>
#include "base/str.h"

#define R(member) offsetof(struct oci_resources, member)
#define TABLE(name, check_fn) const struct table name##_table = { name##_fields, ARRAY_SIZE(name##_fields), check_fn }
#define BYTES_MAX INT64_MAX

/* 1: it asks for nothing. */
static int is_idle(const struct at *v, void *to)
{
	if (json_is_boolean(v->j))
		return json_is_false(v->j);
	if (json_is_integer(v->j))
		return json_integer_value(v->j) == 0 || json_integer_value(v->j) == -1;
	if (json_is_array(v->j))
		return json_array_size(v->j) == 0;
	return 0;
}

static int is_true(const struct at *v, void *to)
{
	return json_is_true(v->j);
}

static int read_device_type(const struct at *v, void *to)
{
	const char *s;
	int r = at_str(v, 0, &s);

	if (r < 0)
		return r;
	if (strlen(s) > 1 || (*s && !strchr("abc", *s)))
		return at_fail(v, "'%s' is no type of device; there are: a (all), b (block), c (character)", s);
	*(char *)to = *s ? *s : 'a';
	return 0;
}

static int read_device_number(const struct at *v, void *to)
{
	return at_i64(v, -1, UINT32_MAX, to);
}

static int read_access(const struct at *v, void *to)
{
	static const char letters[] = "mrw"; /* in the order of BPF_DEVCG_ACC_* */
	unsigned *access = to;
	const char *s;
	int r = at_str(v, 0, &s);

	if (r < 0 || !*s)
		return r;
	*access = 0;
	for (; *s; s++) {
		const char *p = strchr(letters, *s);
		if (!p)
			return at_fail(v, "'%c' is no access; there are: r, w, m", *s);
		*access |= 1U << (p - letters);
	}
	return 0;
}

static int check_rule(const struct at *o, void *to);

#define D(member) offsetof(struct oci_device_rule, member)

static const struct field rule_fields[] = {
	{ "allow", K_BOOL, REQUIRED, D(allow), .help = "" },
	{ "type", K_READ, 0, D(type), .read = read_device_type, .help = "a when missing" },
	{ "major", K_READ, 0, D(major), .read = read_device_number, .help = "all when missing or -1" },
	{ "minor", K_READ, 0, D(minor), .read = read_device_number, .help = "all when missing or -1" },
	{ "access", K_READ, 0, D(access), .read = read_access, .help = "rwm when missing" },
};
static TABLE(rule, check_rule);

/* A zeroed rule has meaningful zeros: what the document doesn't say is set here. */
static int check_rule(const struct at *o, void *to)
{
	struct oci_device_rule *d = to;

	if (!d->type)
		d->type = 'a';
	if (!at_member(o, "major").j)
		d->major = -1;
	if (!at_member(o, "minor").j)
		d->minor = -1;
	if (!d->access)
		d->access = OCI_ACCESS_MKNOD | OCI_ACCESS_READ | OCI_ACCESS_WRITE;
	return 0;
}

static int check_memory(const struct at *o, void *to)
{
	const struct oci_resources *r = to;

	if (r->memory_swap.set && r->memory_swap.v > 0 && r->memory_limit.set) {
		struct at v = at_member(o, "swap");
		if (r->memory_limit.v < 0)
			return at_fail(&v, "is memory and swap together and needs a memory limit; give `limit` too");
		if (r->memory_swap.v < r->memory_limit.v)
			return at_fail(&v, "is memory and swap together and must not be below `limit`");
	}
	return 0;
}

static const struct field memory_fields[] = {
	{ "limit", K_OPT_I64, 0, R(memory_limit), .min = -1, .max = BYTES_MAX, .help = "memory.max" },
	{ "reservation", K_OPT_I64, 0, R(memory_reservation), .min = -1, .max = BYTES_MAX, .help = "memory.low" },
	{ "swap", K_OPT_I64, 0, R(memory_swap), .min = -1, .max = BYTES_MAX, .help = "memory.swap.max, after `limit` is taken off" },
	{ "kernel", K_NEVER, .read = is_idle, .help = "cgroup v2 has no limit for the kernel's memory; leave it out" },
	{ "kernelTCP", K_NEVER, .read = is_idle, .help = "cgroup v2 has no limit for TCP buffers; leave it out" },
	{ "swappiness", K_NEVER, .help = "cgroup v2 has no swappiness; leave it out, or set vm.swappiness on the host" },
	{ "disableOOMKiller", K_NEVER, .read = is_idle, .help = "cgroup v2 can't switch the OOM killer off; leave it out" },
	{ "useHierarchy", K_NEVER, .read = is_true, .help = "cgroup v2 is always hierarchical; leave it out" },
	{ "checkBeforeUpdate", K_BOOL, 0, R(memory_check_before_update), .help = "a limit below what is in use is refused" },
};
static TABLE(memory, check_memory);

static int read_list_of_cpus(const struct at *v, void *to)
{
	struct oci_bits bits;
	const char *s;
	int r = at_str(v, 0, &s);

	if (r < 0 || !*s)
		return r;
	r = oci_bits_parse(v->rd->arena, s, &bits);
	if (r == -ENOMEM)
		return at_no_memory(v);
	if (r < 0)
		return at_fail(v, "'%s' is no list of numbers; write it like \"0-3,7\"", s);
	*(const char **)to = s;
	return 0;
}

static int check_cpu(const struct at *o, void *to)
{
	const struct oci_resources *r = to;

	if (r->cpu_quota.set && r->cpu_quota.v > 0 && r->cpu_quota.v < 1000) {
		struct at v = at_member(o, "quota");
		return at_fail(&v, "must be at least 1000 (microseconds), or -1 for none");
	}
	if (r->cpu_period.set && r->cpu_period.v != 0 && r->cpu_period.v < 1000) {
		struct at v = at_member(o, "period");
		return at_fail(&v, "must be at least 1000 (microseconds), at most 1000000");
	}
	if (r->cpu_burst.set && r->cpu_quota.set && r->cpu_quota.v > 0 && r->cpu_burst.v > (uint64_t)r->cpu_quota.v) {
		struct at v = at_member(o, "burst");
		return at_fail(&v, "must not be above `quota`");
	}
	return 0;
}

static const struct field cpu_fields[] = {
	{ "shares", K_OPT_U64, 0, R(cpu_shares), .help = "cpu.weight: 10^((l^2 + 125 l) / 612 - 7/34), l = log2(shares), so that 2 is 1, 1024 is 100, 262144 is 10000; 0 is none" },
	{ "quota", K_OPT_I64, 0, R(cpu_quota), .min = -1, .max = INT64_MAX, .help = "cpu.max; 0 and -1 are \"max\"" },
	{ "burst", K_OPT_U64, 0, R(cpu_burst), .help = "cpu.max.burst" },
	{ "period", K_OPT_U64, 0, R(cpu_period), .max = 1000000, .help = "cpu.max; 0 is 100000" },
	{ "realtimeRuntime", K_NEVER, .read = is_idle, .help = "cgroup v2 has no realtime scheduling; leave it out" },
	{ "realtimePeriod", K_NEVER, .read = is_idle, .help = "cgroup v2 has no realtime scheduling; leave it out" },
	{ "cpus", K_READ, 0, R(cpuset_cpus), .read = read_list_of_cpus, .help = "cpuset.cpus" },
	{ "mems", K_READ, 0, R(cpuset_mems), .read = read_list_of_cpus, .help = "cpuset.mems" },
	{ "idle", K_OPT_I64, 0, R(cpu_idle), .min = 0, .max = 1, .help = "cpu.idle" },
};
static TABLE(cpu, check_cpu);

static const struct field pids_fields[] = {
	{ "limit", K_OPT_I64, 0, R(pids_limit), .min = -1, .max = INT64_MAX, .help = "pids.max; 0 and -1 are \"max\"" },
};
static TABLE(pids, NULL);

#define IO(member) offsetof(struct oci_io_device, member)

static const struct field weight_device_fields[] = {
	{ "major", K_U32, REQUIRED, IO(major), .help = "" },
	{ "minor", K_U32, REQUIRED, IO(minor), .help = "" },
	{ "weight", K_U64, REQUIRED, IO(value), .min = 10, .max = 1000, .help = "io.bfq.weight or io.weight of this device" },
	{ "leafWeight", K_NEVER, .read = is_idle, .help = "cgroup v2 has no leaf weights; leave it out" },
};
static TABLE(weight_device, NULL);

static const struct field rate_device_fields[] = {
	{ "major", K_U32, REQUIRED, IO(major), .help = "" },
	{ "minor", K_U32, REQUIRED, IO(minor), .help = "" },
	{ "rate", K_U64, REQUIRED, IO(value), .help = "per second; 0 is no limit" },
};
static TABLE(rate_device, NULL);

#define DEVICES(key, member, table, help_) \
	{ key, K_LIST, 0, R(member.v), R(member.n), sizeof(struct oci_io_device), &table, .help = help_ }

static const struct field io_fields[] = {
	{ "weight", K_OPT_U64, 0, R(io_weight), .max = 1000, .help = "io.bfq.weight when the scheduler BFQ is there, else io.weight: 1 + (weight - 10) * 9999 / 990; 0 is none" },
	{ "leafWeight", K_NEVER, .read = is_idle, .help = "cgroup v2 has no leaf weights; leave it out" },
	DEVICES("weightDevice", io_weight_device, weight_device_table, "the same for one device"),
	DEVICES("throttleReadBpsDevice", io_rbps, rate_device_table, "io.max rbps"),
	DEVICES("throttleWriteBpsDevice", io_wbps, rate_device_table, "io.max wbps"),
	DEVICES("throttleReadIOPSDevice", io_riops, rate_device_table, "io.max riops"),
	DEVICES("throttleWriteIOPSDevice", io_wiops, rate_device_table, "io.max wiops"),
};

static int check_io(const struct at *o, void *to)
{
	const struct oci_resources *r = to;
	const struct { const char *key; const struct oci_io_devices *d; } lists[] = {
		{ "weightDevice", &r->io_weight_device }, { "throttleReadBpsDevice", &r->io_rbps }, { "throttleWriteBpsDevice", &r->io_wbps },
		{ "throttleReadIOPSDevice", &r->io_riops }, { "throttleWriteIOPSDevice", &r->io_wiops },
	};

	if (r->io_weight.set && r->io_weight.v != 0 && r->io_weight.v < 10) {
		struct at v = at_member(o, "weight");
		return at_fail(&v, "must be between 10 and 1000");
	}
	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		for (size_t i = 0; i < lists[l].d->n; i++)
			for (size_t k = 0; k < i; k++)
				if (lists[l].d->v[i].major == lists[l].d->v[k].major && lists[l].d->v[i].minor == lists[l].d->v[k].minor) {
					struct at v = at_member(o, lists[l].key), item = at_element(&v, i);
					return at_fail(&item, "device %u:%u is there twice; leave one out", lists[l].d->v[i].major, lists[l].d->v[i].minor);
				}
	return 0;
}
static TABLE(io, check_io);

static int read_page_size(const struct at *v, void *to)
{
	const char *s;
	int r = at_str(v, NONEMPTY, &s);

	if (r < 0)
		return r;
	size_t digits = strspn(s, "0123456789");
	if (digits == 0 || digits > 6 || *s == '0' || !strchr("KMG", s[digits]) || !s[digits] || !streq(s + digits + 1, "B"))
		return at_fail(v, "'%s' is no page size; write it like \"64KB\", \"2MB\", \"1GB\"", s);
	*(const char **)to = s;
	return 0;
}

static const struct field hugepage_fields[] = {
	{ "pageSize", K_READ, REQUIRED, offsetof(struct oci_hugepage, page_size), .read = read_page_size, .help = "" },
	{ "limit", K_U64, REQUIRED, offsetof(struct oci_hugepage, limit), .help = "hugetlb.SIZE.rsvd.max where the kernel has it, and hugetlb.SIZE.max" },
};
static TABLE(hugepage, NULL);

/* A name that becomes part of a line or of a file's name in the cgroup. */
static int plain_key(const struct at *v, const char *key)
{
	if (!*key || strpbrk(key, "/ \n\t") || streq(key, ".") || streq(key, ".."))
		return at_fail(v, "'%s' is no name of a file or device: no '/', no white space", key);
	return 0;
}

#define RD(member) offsetof(struct oci_rdma, member)

static int check_rdma(const struct at *o, void *to)
{
	const struct oci_rdma *r = to;

	return r->handles.set || r->objects.set ? 0 : at_fail(o, "needs hcaHandles or hcaObjects");
}

static const struct field rdma_fields[] = {
	{ "hcaHandles", K_OPT_U64, 0, RD(handles), .max = UINT32_MAX, .help = "rdma.max hca_handle" },
	{ "hcaObjects", K_OPT_U64, 0, RD(objects), .max = UINT32_MAX, .help = "rdma.max hca_object" },
};
static TABLE(rdma, check_rdma);

static int read_rdma(const struct at *v, void *to)
{
	struct oci_resources *res = to;
	const char *key;
	json_t *j;

	if (!json_is_object(v->j))
		return at_fail(v, "must be an object: the devices' names and their limits");
	res->rdma = oci_alloc(v->rd->arena, MAX(json_object_size(v->j), (size_t)1) * sizeof(*res->rdma));
	if (!res->rdma)
		return at_no_memory(v);
	json_object_foreach(v->j, key, j) {
		struct at item = at_member(v, key);
		struct oci_rdma *rdma = &res->rdma[res->n_rdma++];
		int r = plain_key(&item, key);
		if (r >= 0)
			r = at_object(&item, &rdma_table, rdma);
		if (r < 0)
			return r;
		rdma->device = key;
	}
	return 0;
}

/* Files of the cgroup that are no limits but how the runtime itself works: writing them would move or end processes. */
static const char *const not_unified[] = { "cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "cgroup.type", "cgroup.subtree_control" };

static int read_unified(const struct at *v, void *to)
{
	struct oci_map *map = to;
	int r = at_map(v, map);

	for (size_t i = 0; r >= 0 && i < map->n; i++) {
		struct at item = at_member(v, map->v[i].key);
		r = plain_key(&item, map->v[i].key);
		if (r >= 0 && !strchr(map->v[i].key, '.'))
			return at_fail(&item, "'%s' is no file of a cgroup; they are called CONTROLLER.NAME", map->v[i].key);
		for (size_t k = 0; r >= 0 && k < ARRAY_SIZE(not_unified); k++)
			if (streq(map->v[i].key, not_unified[k]))
				return at_fail(&item, "is not for limits: the runtime itself uses it; leave it out");
	}
	return r;
}

static const struct field network_fields[] = {
	{ "classID", K_NEVER, .read = is_idle, .help = "cgroup v2 has no net_cls; use nftables with `socket cgroupv2`" },
	{ "priorities", K_NEVER, .read = is_idle, .help = "cgroup v2 has no net_prio; use nftables with `socket cgroupv2`" },
};
static TABLE(network, NULL);

static int check_resources(const struct at *o, void *to)
{
	const struct oci_resources *r = to;

	for (size_t i = 0; i < r->n_hugepages; i++)
		for (size_t k = 0; k < i; k++)
			if (streq(r->hugepages[i].page_size, r->hugepages[k].page_size)) {
				struct at v = at_member(o, "hugepageLimits"), item = at_element(&v, i);
				return at_fail(&item, "%s is there twice; leave one out", r->hugepages[i].page_size);
			}
	return 0;
}

static const struct field resources_fields[] = {
	{ "devices", K_LIST, 0, R(devices), R(n_devices), sizeof(struct oci_device_rule), &rule_table,
	  .help = "a BPF program (BPF_PROG_TYPE_CGROUP_DEVICE), the last rule that fits decides; always allowed: the default devices, and mknod of any" },
	{ "memory", K_OBJECT, 0, 0, .sub = &memory_table, .help = "controller memory" },
	{ "cpu", K_OBJECT, 0, 0, .sub = &cpu_table, .help = "controllers cpu, cpuset" },
	{ "pids", K_OBJECT, 0, 0, .sub = &pids_table, .help = "controller pids" },
	{ "blockIO", K_OBJECT, 0, 0, .sub = &io_table, .help = "controller io" },
	{ "hugepageLimits", K_LIST, 0, R(hugepages), R(n_hugepages), sizeof(struct oci_hugepage), &hugepage_table, .help = "controller hugetlb" },
	{ "network", K_OBJECT, 0, 0, .sub = &network_table, .help = "controllers of cgroup v1 only" },
	{ "rdma", K_READ, 0, 0, .sub = &rdma_table, .read = read_rdma, .help = "controller rdma" },
	{ "unified", K_READ, 0, R(unified), .read = read_unified, .help = "written as it is, after all others; files that the runtime itself uses (cgroup.procs, .threads, .kill, .freeze, .type, .subtree_control) are errors" },
};
TABLE(resources, check_resources);
