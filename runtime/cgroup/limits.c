/* limits.c: linux.resources to the files of the cgroup (Documentation/admin-guide/cgroup-v2.rst); v1 values converted. */
#include "runtime/cgroup/priv.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"

enum { CPUSET, CPU, IO, MEMORY, HUGETLB, PIDS, RDMA, MISC, DMEM };
const char *const controllers[CONTROLLERS] = { "cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc", "dmem" };

#define PERIOD_DEFAULT 100000 /* microseconds; the kernel's, default_cfs_period() */

unsigned controllers_in(const char *text)
{
	unsigned set = 0;

	for (const char *p = text; *p; p += strspn(p, " \n")) {
		size_t n = strcspn(p, " \n");
		for (unsigned i = 0; i < CONTROLLERS; i++)
			if (strlen(controllers[i]) == n && strncmp(p, controllers[i], n) == 0)
				set |= 1U << i;
		p += n;
	}
	return set;
}

static unsigned unified_controllers(const struct oci_map *unified)
{
	unsigned set = 0;

	for (size_t i = 0; i < unified->n; i++) {
		char name[32];
		size_t n = strcspn(unified->v[i].key, ".");
		if (n >= sizeof(name))
			continue;
		memcpy(name, unified->v[i].key, n);
		name[n] = 0;
		set |= controllers_in(name);
	}
	return set;
}

static unsigned keys_controllers(const struct oci_resources *r)
{
	unsigned set = 0;

	if (r->memory_limit.set || r->memory_reservation.set || r->memory_swap.set)
		set |= 1U << MEMORY;
	if ((r->cpu_shares.set && r->cpu_shares.v) || (r->cpu_quota.set && r->cpu_quota.v) || (r->cpu_period.set && r->cpu_period.v) || r->cpu_burst.set || r->cpu_idle.set)
		set |= 1U << CPU;
	if (r->cpuset_cpus || r->cpuset_mems)
		set |= 1U << CPUSET;
	if (r->pids_limit.set && r->pids_limit.v > 0)
		set |= 1U << PIDS;
	if ((r->io_weight.set && r->io_weight.v) || r->io_weight_device.n || r->io_rbps.n || r->io_wbps.n || r->io_riops.n || r->io_wiops.n)
		set |= 1U << IO;
	return set | (r->n_hugepages ? 1U << HUGETLB : 0) | (r->n_rdma ? 1U << RDMA : 0);
}

unsigned controllers_needed(const struct oci_resources *res)
{
	return res ? keys_controllers(res) | unified_controllers(&res->unified) : 0;
}

const char *controller_key(const struct oci_resources *res, unsigned i)
{
	static const char *const keys[CONTROLLERS] = { "cpu", "cpu", "blockIO", "memory", "hugepageLimits", "pids", "rdma", "unified", "unified" };

	return keys_controllers(res) & 1U << i ? keys[i] : "unified";
}

/* 2 to 262144 become 1 to 10000, 1024 becomes 100: the curve of runc 1.3 and crun 1.23. The straight line of before made 1024 a 39, less than
 * what a cgroup has that says nothing. */
uint64_t cg_weight_from_shares(uint64_t shares)
{
	double l, exponent;

	if (shares == 0)
		return 0;
	if (shares <= 2)
		return 1;
	if (shares >= 262144)
		return 10000;
	l = log2((double)shares);
	exponent = (l * l + 125 * l) / 612.0 - 7.0 / 34.0;
	return (uint64_t)ceil(pow(10, exponent) - 1e-9);
}

uint64_t cg_io_weight_from_blkio(uint64_t weight)
{
	return weight == 0 ? 0 : 1 + (weight - 10) * 9999 / 990;
}

struct job {
	const struct cgroup *cg;
	const char *prefix; /* of JSON paths */
	struct err *e;
};

static int failed(const struct job *j, int r, const char *json, const char *file, const char *value)
{
	const char *dot = *j->prefix ? "." : "";

	if (r == -ENOENT)
		return err_set(j->e, -ENOTSUP, "%s%s%s: there is no %s in the cgroup %s/%s: its controller is not enabled, or the kernel hasn't it", j->prefix, dot, json,
			file, j->cg->mount, j->cg->path);
	return err_sys(j->e, r, "%s%s%s: write '%s' to %s/%s/%s", j->prefix, dot, json, value, j->cg->mount, j->cg->path, file);
}

static _printf_(4, 5) int put(const struct job *j, const char *json, const char *file, const char *fmt, ...)
{
	char value[256];
	va_list ap;
	int r;

	va_start(ap, fmt);
	(void)vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	r = file_write_str(j->cg->fd, file, value);
	return r < 0 ? failed(j, r, json, file, value) : 0;
}

static int put_limit(const struct job *j, const char *json, const char *file, int64_t v)
{
	return v < 0 ? put(j, json, file, "max") : put(j, json, file, "%" PRId64, v);
}

static bool has(const struct job *j, const char *file)
{
	return faccessat(j->cg->fd, file, F_OK, 0) == 0;
}

static int read_number(const struct job *j, const char *file, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = cg_read(j->cg, file, &text);

	if (r < 0)
		return r;
	if (streq(str_strip(text), "max")) {
		*ret = UINT64_MAX;
		return 0;
	}
	return parse_u64(str_strip(text), ret);
}

/* v1's "memory and swap" to v2's swap alone. */
static int put_swap(const struct job *j, const struct oci_resources *r)
{
	uint64_t limit = (uint64_t)r->memory_limit.v;

	if (r->memory_swap.v == 0) /* as in v1: not given */
		return 0;
	if (r->memory_swap.v < 0)
		return put(j, "memory.swap", "memory.swap.max", "max");
	if (!r->memory_limit.set || r->memory_limit.v == 0) {
		int q = read_number(j, "memory.max", &limit);
		if (q < 0)
			return failed(j, q, "memory.swap", "memory.max", "");
	}
	if (limit > (uint64_t)r->memory_swap.v)
		return err_set(j->e, -EINVAL, "%s%smemory.swap: is memory and swap together and must not be below the memory limit; give `limit` too", j->prefix,
			*j->prefix ? "." : "");
	return put(j, "memory.swap", "memory.swap.max", "%" PRIu64, (uint64_t)r->memory_swap.v - limit);
}

static int check_usage(const struct job *j, const struct oci_resources *r)
{
	uint64_t used;

	if (!r->memory_check_before_update || r->memory_limit.v < 0)
		return 0;
	if (read_number(j, "memory.current", &used) >= 0 && used > (uint64_t)r->memory_limit.v)
		return err_set(j->e, -EBUSY, "%s%smemory.limit: %" PRId64 " is below the %" PRIu64 " bytes in use; checkBeforeUpdate asks to refuse that", j->prefix,
			*j->prefix ? "." : "", r->memory_limit.v, used);
	return 0;
}

static int put_memory(const struct job *j, const struct oci_resources *r)
{
	int q = r->memory_limit.set && r->memory_limit.v != 0 ? check_usage(j, r) : 0;

	if (q >= 0 && r->memory_swap.set)
		q = put_swap(j, r);
	if (q >= 0 && r->memory_limit.set && r->memory_limit.v != 0) /* 0: not given, as in v1 */
		q = put_limit(j, "memory.limit", "memory.max", r->memory_limit.v);
	if (q >= 0 && r->memory_reservation.set)
		q = put_limit(j, "memory.reservation", "memory.low", r->memory_reservation.v);
	return q;
}

/* cpu.max is "QUOTA PERIOD"; one alone leaves the other as it is. */
static int put_cpu_max(const struct job *j, const struct oci_resources *r)
{
	bool quota = r->cpu_quota.set && r->cpu_quota.v != 0, period = r->cpu_period.set && r->cpu_period.v != 0;
	_cleanup_free_ char *now = NULL;
	char text[32] = "max";

	if (!quota && !period)
		return 0;
	if (quota && r->cpu_quota.v > 0)
		(void)snprintf(text, sizeof(text), "%" PRId64, r->cpu_quota.v);
	if (!quota && cg_read(j->cg, "cpu.max", &now) >= 0) {
		now[strcspn(now, " \n")] = 0;
		(void)snprintf(text, sizeof(text), "%.20s", now);
	}
	return period ? put(j, "cpu.period", "cpu.max", "%s %" PRIu64, text, r->cpu_period.v) : put(j, "cpu.quota", "cpu.max", "%s", text);
}

static int put_burst(const struct job *j, const struct oci_resources *r)
{
	return r->cpu_burst.set ? put(j, "cpu.burst", "cpu.max.burst", "%" PRIu64, r->cpu_burst.v) : 0;
}

/* The kernel wants burst <= quota at any moment: whichever order works. */
static int put_quota_and_burst(const struct job *j, const struct oci_resources *r)
{
	struct job silent = { j->cg, j->prefix, NULL };
	int q = put_burst(&silent, r);

	if (q >= 0)
		return put_cpu_max(j, r);
	q = put_cpu_max(j, r);
	return q < 0 ? q : put_burst(j, r);
}

static int put_cpu(const struct job *j, const struct oci_resources *r)
{
	uint64_t weight = r->cpu_shares.set ? cg_weight_from_shares(r->cpu_shares.v) : 0;
	int q = r->cpu_idle.set ? put(j, "cpu.idle", "cpu.idle", "%" PRId64, r->cpu_idle.v) : 0;

	if (q >= 0 && weight > 0 && !(r->cpu_idle.set && r->cpu_idle.v == 1)) /* an idle group has no weight */
		q = put(j, "cpu.shares", "cpu.weight", "%" PRIu64, weight);
	if (q >= 0)
		q = put_quota_and_burst(j, r);
	if (q >= 0 && r->cpuset_cpus)
		q = put(j, "cpu.cpus", "cpuset.cpus", "%s", r->cpuset_cpus);
	if (q >= 0 && r->cpuset_mems)
		q = put(j, "cpu.mems", "cpuset.mems", "%s", r->cpuset_mems);
	return q;
}

static int put_weights(const struct job *j, const struct oci_resources *r)
{
	bool any = (r->io_weight.set && r->io_weight.v != 0) || r->io_weight_device.n > 0;
	bool bfq = any && has(j, "io.bfq.weight"); /* BFQ takes v1's numbers */
	const char *file = bfq ? "io.bfq.weight" : "io.weight";
	int q = 0;

	if (r->io_weight.set && r->io_weight.v != 0)
		q = put(j, "blockIO.weight", file, "%" PRIu64, bfq ? r->io_weight.v : cg_io_weight_from_blkio(r->io_weight.v));
	for (size_t i = 0; q >= 0 && i < r->io_weight_device.n; i++) {
		const struct oci_io_device *d = &r->io_weight_device.v[i];
		q = put(j, "blockIO.weightDevice", file, "%u:%u %" PRIu64, d->major, d->minor, bfq ? d->value : cg_io_weight_from_blkio(d->value));
	}
	return q;
}

static int put_rates(const struct job *j, const char *json, const char *key, const struct oci_io_devices *d)
{
	int q = 0;

	for (size_t i = 0; q >= 0 && i < d->n; i++) {
		if (d->v[i].value == 0)
			q = put(j, json, "io.max", "%u:%u %s=max", d->v[i].major, d->v[i].minor, key);
		else
			q = put(j, json, "io.max", "%u:%u %s=%" PRIu64, d->v[i].major, d->v[i].minor, key, d->v[i].value);
	}
	return q;
}

static int put_io(const struct job *j, const struct oci_resources *r)
{
	int q = put_weights(j, r);

	if (q >= 0)
		q = put_rates(j, "blockIO.throttleReadBpsDevice", "rbps", &r->io_rbps);
	if (q >= 0)
		q = put_rates(j, "blockIO.throttleWriteBpsDevice", "wbps", &r->io_wbps);
	if (q >= 0)
		q = put_rates(j, "blockIO.throttleReadIOPSDevice", "riops", &r->io_riops);
	return q < 0 ? q : put_rates(j, "blockIO.throttleWriteIOPSDevice", "wiops", &r->io_wiops);
}

static int put_hugepages(const struct job *j, const struct oci_resources *r)
{
	int q = 0;

	for (size_t i = 0; q >= 0 && i < r->n_hugepages; i++) {
		char file[64];
		(void)snprintf(file, sizeof(file), "hugetlb.%s.rsvd.max", r->hugepages[i].page_size);
		if (has(j, file))
			q = put(j, "hugepageLimits", file, "%" PRIu64, r->hugepages[i].limit);
		(void)snprintf(file, sizeof(file), "hugetlb.%s.max", r->hugepages[i].page_size);
		if (q >= 0)
			q = put(j, "hugepageLimits", file, "%" PRIu64, r->hugepages[i].limit);
	}
	return q;
}

static int put_rdma(const struct job *j, const struct oci_resources *r)
{
	int q = 0;

	for (size_t i = 0; q >= 0 && i < r->n_rdma; i++) {
		const struct oci_rdma *d = &r->rdma[i];
		if (d->handles.set)
			q = put(j, "rdma", "rdma.max", "%s hca_handle=%" PRIu64, d->device, d->handles.v);
		if (q >= 0 && d->objects.set)
			q = put(j, "rdma", "rdma.max", "%s hca_object=%" PRIu64, d->device, d->objects.v);
	}
	return q;
}

/* As it is, a line at a time: that is how the kernel takes files that have one line for each device. */
static int put_unified(const struct job *j, const struct oci_kv *kv)
{
	_cleanup_free_ char *value = strdup(kv->value), *json = NULL;
	char *save = NULL;
	int q = 0;

	if (!value || asprintf(&json, "unified[\"%s\"]", kv->key) < 0)
		return err_set(j->e, -ENOMEM, "not enough memory");
	for (char *line = strtok_r(value, "\n", &save); q >= 0 && line; line = strtok_r(NULL, "\n", &save)) {
		q = file_write_str(j->cg->fd, kv->key, line);
		if (q < 0)
			return failed(j, q, json, kv->key, line);
	}
	return q;
}

int cg_apply(const struct cgroup *cg, const struct oci_resources *res, const char *prefix, struct err *e)
{
	static int (*const parts[])(const struct job *, const struct oci_resources *) = { put_memory, put_cpu, put_io, put_hugepages, put_rdma };
	const struct job j = { cg, prefix, e };
	int r = 0;

	if (!res || cg->none)
		return 0;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++)
		r = parts[i](&j, res);
	/* 0 is no limit, as podman means it and runc and crun have it: no process at all could be made under a limit of none. */
	if (r >= 0 && res->pids_limit.set && (res->pids_limit.v > 0 || has(&j, "pids.max")))
		r = put_limit(&j, "pids.limit", "pids.max", res->pids_limit.v > 0 ? res->pids_limit.v : -1);
	for (size_t i = 0; r >= 0 && i < res->unified.n; i++)
		r = put_unified(&j, &res->unified.v[i]);
	return r;
}
