/* change.c: pause, resume, update, mounts, events. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/cli/cli.h"

/* --- pause, resume --- */

static int freeze(int argc, char **argv, bool on)
{
	_cleanup_container_ struct container c = CONTAINER_INIT;
	_cleanup_cgroup_ struct cgroup cg = CGROUP_NONE;
	_cleanup_err_ struct err e = { 0 };
	enum status s;
	int r;

	if (argc != 2)
		return cli_usage(argv[0], "exactly one container id is wanted");
	if (log_open() != 0)
		return 1;
	r = container_open(cli.root, argv[1], true, &c, &e);
	if (r < 0)
		return cli_fail(&e);
	s = container_status(&c);
	if (on && s != STATUS_RUNNING && s != STATUS_CREATED)
		r = err_set(&e, -EINVAL, "container not running or created: %s", status_name(s));
	if (!on && s != STATUS_PAUSED)
		r = err_set(&e, -EINVAL, "container not paused: %s", status_name(s));
	if (r == 0)
		r = container_cgroup(&c, &cg, &e);
	if (r == 0)
		r = cg_freeze(&cg, on, &e);
	return r < 0 ? cli_fail(&e) : 0;
}

int cmd_pause(int argc, char **argv, void *data)
{
	return freeze(argc, argv, true);
}

int cmd_resume(int argc, char **argv, void *data)
{
	return freeze(argc, argv, false);
}

/* --- update --- */

static const char *resources_file;
static const char *set[16];

/* An option and where its value goes in linux.resources. bytes: 64M is understood. */
static const struct field { const char *object, *key; bool text, bytes; } fields[] = {
	{ "blockIO", "weight", false, false }, { "cpu", "period", false, false }, { "cpu", "quota", false, false }, { "cpu", "burst", false, false },
	{ "cpu", "shares", false, false }, { "cpu", "idle", false, false }, { "cpu", "cpus", true, false }, { "cpu", "mems", true, false },
	{ "memory", "limit", false, true }, { "memory", "reservation", false, true }, { "memory", "swap", false, true }, { "pids", "limit", false, false },
};

const struct opt update_opts[] = {
	{ "resources", 'r', OPT_STRING, "FILE", "Read linux.resources as JSON from FILE (-: stdin); other options are not looked at then", &resources_file },
	{ "blkio-weight", 0, OPT_STRING, "N", "Weight of I/O, 10 to 1000", &set[0] },
	{ "cpu-period", 0, OPT_STRING, "US", "Period of the CPU quota", &set[1] },
	{ "cpu-quota", 0, OPT_STRING, "US", "CPU time in a period, -1: no limit", &set[2] },
	{ "cpu-burst", 0, OPT_STRING, "US", "CPU time that may be saved up", &set[3] },
	{ "cpu-share", 0, OPT_STRING, "N", "Share of CPU time, 2 to 262144", &set[4] },
	{ "cpu-shares", 0, OPT_STRING, "N", "The same", &set[4] },
	{ "cpu-idle", 0, OPT_STRING, "0|1", "Run only when nobody else wants to", &set[5] },
	{ "cpuset-cpus", 0, OPT_STRING, "LIST", "CPUs to run on", &set[6] },
	{ "cpuset-mems", 0, OPT_STRING, "LIST", "Memory nodes to use", &set[7] },
	{ "memory", 0, OPT_STRING, "BYTES", "Memory limit, -1: none", &set[8] },
	{ "memory-reservation", 0, OPT_STRING, "BYTES", "Memory that is not taken back when it's short", &set[9] },
	{ "memory-swap", 0, OPT_STRING, "BYTES", "Memory and swap together, -1: no limit", &set[10] },
	{ "pids-limit", 0, OPT_STRING, "N", "How many processes, -1: no limit", &set[11] },
};

static int add_field(json_t *top, const struct field *f, const char *value, struct err *e)
{
	json_t *o = json_object_get(top, f->object), *v;
	uint64_t bytes;
	int64_t number;

	if (f->text)
		v = json_string(value);
	else if (parse_i64(value, &number) == 0)
		v = json_integer(number);
	else if (f->bytes && parse_size(value, &bytes) == 0 && bytes <= INT64_MAX)
		v = json_integer((json_int_t)bytes);
	else
		return err_set(e, -EINVAL, "invalid value for %s.%s: '%s' is no number", f->object, f->key, value);
	if (!o) {
		o = json_object();
		json_object_set_new(top, f->object, o);
	}
	return json_object_set_new(o, f->key, v) == 0 ? 0 : err_sys(e, -ENOMEM, "update");
}

static int resources_from_options(struct oci_resources **ret, struct err *e)
{
	struct oci_load how = { .file = "options" };
	_cleanup_free_ char *text = NULL;
	json_t *top = json_object();
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fields); i++)
		if (set[i])
			r = add_field(top, &fields[i], set[i], e);
	text = json_dumps(top, JSON_COMPACT);
	json_decref(top);
	return r < 0 ? r : text ? oci_resources_parse(text, strlen(text), &how, ret, e) : err_sys(e, -ENOMEM, "update");
}

static int read_resources(struct oci_resources **ret, struct err *e)
{
	struct oci_load how = { .file = "resources" };
	_cleanup_free_ char *text = NULL;
	size_t n;
	int r;

	if (!resources_file)
		return resources_from_options(ret, e);
	if (!streq(resources_file, "-"))
		return oci_resources_load(AT_FDCWD, resources_file, &how, ret, e);
	r = fd_read_all(0, 1u << 20, &text, &n);
	return r < 0 ? err_sys(e, r, "stdin") : oci_resources_parse(text, n, &how, ret, e);
}

int cmd_update(int argc, char **argv, void *data)
{
	_cleanup_container_ struct container c = CONTAINER_INIT;
	_cleanup_cgroup_ struct cgroup cg = CGROUP_NONE;
	_cleanup_(oci_resources_freep) struct oci_resources *res = NULL;
	_cleanup_err_ struct err e = { 0 };
	int r;

	if (argc != 2)
		return cli_usage("update", "exactly one container id is wanted");
	if (log_open() != 0)
		return 1;
	r = container_open(cli.root, argv[1], true, &c, &e);
	if (r == 0)
		r = read_resources(&res, &e);
	if (r == 0)
		r = container_cgroup(&c, &cg, &e);
	if (r == 0)
		r = cg_apply(&cg, res, "", &e);
	if (r == 0 && res && res->n_devices)
		r = cg_devices(&cg, res, &e);
	return r < 0 ? cli_fail(&e) : 0;
}

/* --- mounts --- */

static int change_mounts(int argc, char **argv, bool remove)
{
	_cleanup_container_ struct container c = CONTAINER_INIT;
	_cleanup_err_ struct err e = { 0 };
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r;

	if (argc != 3)
		return cli_usage(remove ? "mounts remove" : "mounts add", "a container id and a file are wanted");
	if (log_open() != 0)
		return 1;
	r = streq(argv[2], "-") ? fd_read_all(0, 1u << 20, &text, &n) : file_read(AT_FDCWD, argv[2], 1u << 20, &text, &n);
	if (r < 0)
		err_sys(&e, r, "%s", argv[2]);
	if (r == 0)
		r = container_open(cli.root, argv[1], true, &c, &e);
	if (r == 0)
		r = container_mounts(&c, remove, text, n, &e);
	return r < 0 ? cli_fail(&e) : 0;
}

int cmd_mounts_add(int argc, char **argv, void *data)
{
	return change_mounts(argc, argv, false);
}

int cmd_mounts_remove(int argc, char **argv, void *data)
{
	return change_mounts(argc, argv, true);
}

/* --- events --- */

static bool once;
static uint64_t interval_us = 5000000;

const struct opt events_opts[] = {
	{ "stats", 0, OPT_FLAG, NULL, "Print what it uses once and end", &once },
	{ "interval", 0, OPT_DURATION, "TIME", "How often (default 5s)", &interval_us },
};

static int print_event(const char *type, const char *id, const char *stats)
{
	json_t *data = stats ? json_loads(stats, 0, NULL) : NULL;
	json_t *o = data ? json_pack("{s:s, s:s, s:o}", "type", type, "id", id, "data", data) : json_pack("{s:s, s:s}", "type", type, "id", id);
	_cleanup_free_ char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	if (!text || puts(text) < 0 || fflush(stdout) != 0)
		return -EIO;
	return 0;
}

static int print_stats(const struct container *c, const struct cgroup *cg, struct err *e)
{
	_cleanup_free_ char *stats = NULL;
	int r = cg_stats(cg, &stats, e);

	if (r == 0)
		r = print_event("stats", c->st.id, stats);
	return r < 0 && !(e && e->code) ? err_sys(e, r, "events") : r;
}

/* Until the container ends. An out-of-memory kill is told as soon as it is seen. */
static int follow(const struct container *c, const struct cgroup *cg, struct err *e)
{
	_cleanup_close_ int pidfd = container_pidfd(c, e);
	_cleanup_close_ int memory = sys_openat(cg->fd, "memory.events", O_RDONLY, 0);
	uint64_t kills = 0, now;
	int r = pidfd < 0 ? pidfd : 0;

	(void)!cg_oom_kills(cg, &kills);
	while (r == 0) {
		struct pollfd p[] = { { pidfd, POLLIN, 0 }, { memory, POLLPRI, 0 } };
		int n = poll(p, 2, (int)MIN(interval_us / 1000, 1u << 30));
		if (n < 0 && errno != EINTR)
			return err_sys(e, -errno, "events");
		if (cg_oom_kills(cg, &now) == 0 && now > kills) {
			kills = now;
			r = print_event("oom", c->st.id, NULL);
		}
		if (n > 0 && p[0].revents)
			return 0;
		if (n == 0)
			r = print_stats(c, cg, e);
	}
	return r;
}

int cmd_events(int argc, char **argv, void *data)
{
	_cleanup_container_ struct container c = CONTAINER_INIT;
	_cleanup_cgroup_ struct cgroup cg = CGROUP_NONE;
	_cleanup_err_ struct err e = { 0 };
	int r;

	if (argc != 2)
		return cli_usage("events", "exactly one container id is wanted");
	if (log_open() != 0)
		return 1;
	if (interval_us < 1000)
		return cli_usage("events", "--interval must be at least 1ms");
	r = container_open(cli.root, argv[1], false, &c, &e);
	if (r == 0 && container_status(&c) == STATUS_STOPPED)
		r = err_set(&e, -ESRCH, "container with id %s is not running", c.st.id);
	if (r == 0)
		r = container_cgroup(&c, &cg, &e);
	if (r == 0)
		r = once ? print_stats(&c, &cg, &e) : follow(&c, &cg, &e);
	return r < 0 ? cli_fail(&e) : 0;
}
