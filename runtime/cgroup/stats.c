/* stats.c: what a container uses, in the form of `runc events --stats` (types/events.go of runc; containerd and others read it). */
#include "runtime/cgroup/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"

/* One number of a file. "max" is none: a limit that isn't there is left out. */
static bool number(const struct cgroup *cg, const char *file, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;

	return cg_read(cg, file, &text) >= 0 && parse_u64(str_strip(text), ret) == 0 && *ret <= INT64_MAX;
}

static void set(json_t *o, const char *key, uint64_t v)
{
	(void)json_object_set_new(o, key, json_integer((json_int_t)MIN(v, (uint64_t)INT64_MAX)));
}

static void set_file(json_t *o, const char *key, const struct cgroup *cg, const char *file)
{
	uint64_t v;

	if (number(cg, file, &v))
		set(o, key, v);
}

/* The value of `key` in a file of "key value" lines. */
static bool flat(const char *text, const char *key, uint64_t *ret)
{
	size_t n = strlen(key);

	for (const char *p = text; p && *p; p = strchr(p, '\n')) {
		char digits[24];
		p += *p == '\n';
		if (strncmp(p, key, n) != 0 || p[n] != ' ')
			continue;
		(void)snprintf(digits, sizeof(digits), "%.*s", (int)MIN(strcspn(p + n + 1, "\n"), sizeof(digits) - 1), p + n + 1);
		return parse_u64(digits, ret) == 0;
	}
	return false;
}

static void set_flat(json_t *o, const char *name, const char *text, const char *key, uint64_t factor)
{
	uint64_t v;

	if (flat(text, key, &v))
		set(o, name, v * factor);
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0": Documentation/accounting/psi.rst */
static json_t *pressure_line(const char *text, const char *kind)
{
	const char *p = strstr(text, kind);
	double avg10, avg60, avg300;
	uint64_t total;

	if (!p || sscanf(p + strlen(kind), " avg10=%lf avg60=%lf avg300=%lf total=%" SCNu64, &avg10, &avg60, &avg300, &total) != 4)
		return NULL;
	return json_pack("{s:f, s:f, s:f, s:I}", "avg10", avg10, "avg60", avg60, "avg300", avg300, "total", (json_int_t)total);
}

static void set_pressure(json_t *o, const struct cgroup *cg, const char *file)
{
	_cleanup_free_ char *text = NULL;
	json_t *psi, *line;

	if (cg_read(cg, file, &text) < 0 || !(psi = json_object()))
		return;
	if ((line = pressure_line(text, "some")))
		(void)json_object_set_new(psi, "some", line);
	if ((line = pressure_line(text, "full")))
		(void)json_object_set_new(psi, "full", line);
	(void)json_object_set_new(o, "psi", psi);
}

#define NS_PER_US 1000

static json_t *cpu(const struct cgroup *cg)
{
	_cleanup_free_ char *text = NULL;
	json_t *usage = json_object(), *throttling = json_object(), *o = json_object();

	if (cg_read(cg, "cpu.stat", &text) >= 0) {
		set_flat(usage, "total", text, "usage_usec", NS_PER_US);
		set_flat(usage, "user", text, "user_usec", NS_PER_US);
		set_flat(usage, "kernel", text, "system_usec", NS_PER_US);
		set_flat(throttling, "periods", text, "nr_periods", 1);
		set_flat(throttling, "throttledPeriods", text, "nr_throttled", 1);
		set_flat(throttling, "throttledTime", text, "throttled_usec", NS_PER_US);
	}
	(void)json_object_set_new(o, "usage", usage);
	(void)json_object_set_new(o, "throttling", throttling);
	set_pressure(o, cg, "cpu.pressure");
	return o;
}

static json_t *raw(const char *text)
{
	json_t *o = json_object();

	for (const char *p = text; *p;) {
		size_t line = strcspn(p, "\n"), key = MIN(strcspn(p, " "), line);
		char name[64];
		uint64_t v;
		(void)snprintf(name, sizeof(name), "%.*s", (int)MIN(key, sizeof(name) - 1), p);
		if (flat(p, name, &v))
			set(o, name, v);
		p += line + (p[line] == '\n');
	}
	return o;
}

static json_t *memory_entry(const struct cgroup *cg, const char *usage, const char *limit, const char *max, uint64_t failures)
{
	json_t *o = json_object();

	set_file(o, "usage", cg, usage);
	set_file(o, "limit", cg, limit); /* not there: unlimited */
	set_file(o, "max", cg, max);
	set(o, "failcnt", failures);
	return o;
}

static json_t *memory(const struct cgroup *cg)
{
	_cleanup_free_ char *events = NULL, *swap_events = NULL, *text = NULL;
	json_t *o = json_object();
	uint64_t failures = 0, swap_failures = 0;

	if (cg_read(cg, "memory.events", &events) >= 0)
		(void)flat(events, "max", &failures);
	if (cg_read(cg, "memory.swap.events", &swap_events) >= 0)
		(void)flat(swap_events, "max", &swap_failures);
	(void)json_object_set_new(o, "usage", memory_entry(cg, "memory.current", "memory.max", "memory.peak", failures));
	(void)json_object_set_new(o, "swap", memory_entry(cg, "memory.swap.current", "memory.swap.max", "memory.swap.peak", swap_failures));
	if (cg_read(cg, "memory.stat", &text) >= 0) {
		set_flat(o, "cache", text, "file", 1);
		(void)json_object_set_new(o, "raw", raw(text));
	}
	set_pressure(o, cg, "memory.pressure");
	return o;
}

static json_t *pids(const struct cgroup *cg)
{
	json_t *o = json_object();

	set_file(o, "current", cg, "pids.current");
	set_file(o, "limit", cg, "pids.max");
	return o;
}

static void add_io(json_t *list, unsigned major, unsigned minor, const char *op, const char *line, const char *key)
{
	const char *p = strstr(line, key);
	uint64_t v;

	if (p && sscanf(p + strlen(key), "%" SCNu64, &v) == 1)
		(void)json_array_append_new(list, json_pack("{s:i, s:i, s:s, s:I}", "major", (int)major, "minor", (int)minor, "op", op, "value", (json_int_t)v));
}

static json_t *io(const struct cgroup *cg)
{
	_cleanup_free_ char *text = NULL;
	json_t *o = json_object(), *bytes = json_array(), *count = json_array();
	char *save = NULL;

	if (cg_read(cg, "io.stat", &text) >= 0)
		for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			unsigned major, minor;
			if (sscanf(line, "%u:%u", &major, &minor) != 2)
				continue;
			add_io(bytes, major, minor, "Read", line, " rbytes=");
			add_io(bytes, major, minor, "Write", line, " wbytes=");
			add_io(count, major, minor, "Read", line, " rios=");
			add_io(count, major, minor, "Write", line, " wios=");
		}
	(void)json_object_set_new(o, "ioServiceBytesRecursive", bytes);
	(void)json_object_set_new(o, "ioServicedRecursive", count);
	set_pressure(o, cg, "io.pressure");
	return o;
}

/* hugetlb.SIZE.current, one for each page size of the machine */
static json_t *hugetlb(const struct cgroup *cg)
{
	_cleanup_closedir_ DIR *dir = NULL;
	json_t *o = json_object();

	(void)dir_open(cg->fd, ".", &dir);
	for (struct dirent *d; dir && (d = readdir(dir));) {
		const char *size = d->d_name + strlen("hugetlb."), *end = str_starts(d->d_name, "hugetlb.") ? strchr(size, '.') : NULL;
		char name[32], file[64];
		if (!end || !streq(end, ".current"))
			continue;
		json_t *entry = json_object();
		(void)snprintf(name, sizeof(name), "%.*s", (int)MIN(end - size, (long)sizeof(name) - 1), size);
		set_file(entry, "usage", cg, d->d_name);
		(void)snprintf(file, sizeof(file), "hugetlb.%s.max", name);
		set_file(entry, "max", cg, file);
		(void)json_object_set_new(o, name, entry);
	}
	return o;
}

static json_t *cpuset(const struct cgroup *cg)
{
	static const struct { const char *key, *file; } lists[] = { { "cpus", "cpuset.cpus.effective" }, { "mems", "cpuset.mems.effective" } };
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		_cleanup_free_ char *text = NULL;
		struct { const char *p; char *end; unsigned long from, to; } s = { 0 };
		if (cg_read(cg, lists[i].file, &text) < 0)
			continue;
		json_t *list = json_array();
		for (s.p = text; *s.p >= '0' && *s.p <= '9'; s.p = s.end + (*s.end == ',')) {
			s.from = s.to = strtoul(s.p, &s.end, 10);
			if (*s.end == '-')
				s.to = strtoul(s.end + 1, &s.end, 10);
			for (unsigned long v = s.from; v <= s.to && v < 8192; v++)
				(void)json_array_append_new(list, json_integer((json_int_t)v));
		}
		(void)json_object_set_new(o, lists[i].key, list);
	}
	return o;
}

int cg_stats(const struct cgroup *cg, char **ret_json, struct err *e)
{
	json_auto_t *o = json_object();

	if (!o)
		return err_set(e, -ENOMEM, "not enough memory");
	if (cg->none || cg->fd < 0)
		return err_set(e, -ENODATA, "the container has no cgroup of its own, so nothing is counted for it");
	(void)json_object_set_new(o, "cpu", cpu(cg));
	(void)json_object_set_new(o, "cpuset", cpuset(cg));
	(void)json_object_set_new(o, "memory", memory(cg));
	(void)json_object_set_new(o, "pids", pids(cg));
	(void)json_object_set_new(o, "blkio", io(cg));
	(void)json_object_set_new(o, "hugetlb", hugetlb(cg));
	(void)json_object_set_new(o, "intel_rdt", json_object());
	*ret_json = json_dumps(o, JSON_COMPACT);
	return *ret_json ? 0 : err_set(e, -ENOMEM, "not enough memory");
}
