/* status.c: one service in detail, or the machine as a whole. */
#include "supervisor/ctl/ctl.h"

#include <fcntl.h>
#include <signal.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

static void field(const char *name)
{
	printf("%s%13s:%s ", paint_on(PAINT_DIM), name, paint_off());
}

static void text_field(const char *name, const char *text)
{
	if (!*text)
		return;
	field(name);
	print_clean(stdout, text);
	putchar('\n');
}

/* --- the cgroup's own figures, where controllers are there --- */

static bool cgroup_value(const char *cgroup, const char *file, const char *key, uint64_t *ret)
{
	char path[4096];
	_cleanup_free_ char *text = NULL;
	snprintf(path, sizeof path, CGROUP_ROOT "%s/%s", cgroup, file);
	if (!*cgroup || file_read(AT_FDCWD, path, 65536, &text, NULL) < 0)
		return false;
	char *from = key ? strstr(text, key) : text;
	if (!from)
		return false;
	from += key ? strlen(key) : 0;
	from[strcspn(from, "\n")] = '\0';
	return parse_u64(str_strip(from), ret) == 0;
}

struct usage {
	uint64_t memory, cpu_us, tasks, memory_max;
	bool memory_exact, tasks_exact;
};

static void sum_usage(const json_t *service, const json_t *processes, struct usage *u)
{
	char cgroup[2048] = "";
	size_t i;
	json_t *p;
	*u = (struct usage){0};
	json_array_foreach (processes, i, p) {
		u->memory += (uint64_t)ji(p, "memory_bytes");
		u->cpu_us += (uint64_t)ji(p, "cpu_us");
		u->tasks++;
		if (i == 0)
			proc_cgroup((pid_t)ji(p, "pid"), cgroup, sizeof cgroup);
	}
	if (streq(cgroup, "/"))
		return; /* without cgroups, or seen from another namespace: the root's figures are not the service's */
	u->memory_exact = cgroup_value(cgroup, "memory.current", NULL, &u->memory);
	cgroup_value(cgroup, "cpu.stat", "usage_usec ", &u->cpu_us);
	u->tasks_exact = cgroup_value(cgroup, "pids.current", NULL, &u->tasks);
	cgroup_value(cgroup, "memory.max", NULL, &u->memory_max);
}

static void print_usage(const json_t *service, const json_t *processes)
{
	struct usage u;
	char a[32], b[32];
	if (json_array_size(processes) == 0)
		return;
	sum_usage(service, processes, &u);
	field(u.tasks_exact ? "Tasks" : "Processes");
	printf("%llu\n", (unsigned long long)u.tasks);
	field("Memory");
	printf("%s%s%s%s\n", size_text(a, u.memory), u.memory_exact ? "" : " resident", u.memory_max ? " of " : "",
		u.memory_max ? size_text(b, u.memory_max) : "");
	field("CPU");
	printf("%s\n", duration_text(a, u.cpu_us));
}

/* --- processes --- */

static bool has(const json_t *processes, int64_t pid)
{
	size_t i;
	json_t *p;
	json_array_foreach (processes, i, p)
		if (ji(p, "pid") == pid)
			return true;
	return false;
}

/* The whole command line where it can be read; rastd sends only the name. */
static void print_command(const json_t *p)
{
	char path[64];
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	snprintf(path, sizeof path, "/proc/%lld/cmdline", (long long)ji(p, "pid"));
	if (file_read(AT_FDCWD, path, 1 << 20, &text, &n) < 0 || n == 0) {
		print_clean(stdout, js(p, "command"));
		return;
	}
	for (size_t i = 0; i + 1 < n; i++)
		if (!text[i])
			text[i] = ' ';
	if (n > 200)
		memcpy(text + 197, "...", 4);
	print_clean(stdout, text);
}

static void print_process(const json_t *p, unsigned depth)
{
	printf("%15s%*s%lld%s ", "", (int)depth * 2, "", (long long)ji(p, "pid"), jb(p, "main") ? "*" : "");
	print_command(p);
	putchar('\n');
}

/* Children below their parent. A chain of processes is as deep as it likes, the indentation is not. */
static void print_children(const json_t *processes, int64_t parent, unsigned depth)
{
	size_t i;
	json_t *p;
	json_array_foreach (processes, i, p) {
		if (ji(p, "parent") != parent || ji(p, "pid") == parent)
			continue;
		print_process(p, MIN(depth, 20u));
		if (depth < 200)
			print_children(processes, ji(p, "pid"), depth + 1);
	}
}

static void print_processes(const json_t *processes)
{
	size_t i;
	json_t *p;
	if (json_array_size(processes) == 0)
		return;
	field("Tree");
	putchar('\n');
	json_array_foreach (processes, i, p)
		if (!has(processes, ji(p, "parent"))) {
			print_process(p, 0);
			print_children(processes, ji(p, "pid"), 1);
		}
}

/* --- the rest --- */

static void print_state(const json_t *s)
{
	char ago[32], when[48];
	const char *state = js(s, "state");
	uint64_t since = (uint64_t)ji(s, "since_us"), now = now_us();
	field("State");
	printf("%s%s%s", paint_on(state_paint(state)), state, paint_off());
	if (since && now > since)
		printf(" for %s, since %s", duration_text(ago, now - since), time_text(when, (uint64_t)ji(s, "since_realtime_us")));
	if (jb(s, "wanted") != streq(state, "up") && (streq(state, "up") || streq(state, "down")))
		printf("; wanted %s", jb(s, "wanted") ? "up" : "down");
	putchar('\n');
}

static void print_exit(const json_t *s)
{
	const json_t *e = json_object_get(s, "exit");
	if (!json_is_object(e))
		return;
	field("Last exit");
	if (streq(js(e, "code"), "exited"))
		printf("status %lld\n", (long long)ji(e, "status"));
	else
		printf("%s by %s%s\n", "killed", *js(e, "signal") ? js(e, "signal") : signal_name((int)ji(e, "status")),
			streq(js(e, "code"), "dumped") ? ", core dumped" : "");
}

static void print_needs(const char *name, const json_t *list)
{
	size_t i;
	json_t *n;
	if (json_array_size(list) == 0)
		return;
	field(name);
	json_array_foreach (list, i, n)
		printf("%s%s", i ? " " : "", json_string_value(n));
	putchar('\n');
}

static void print_service(const json_t *s, const json_t *processes, const json_t *log)
{
	char text[64];
	size_t i;
	json_t *line;
	printf("%s%s%s", paint_on(PAINT_BOLD), js(s, "name"), paint_off());
	if (*js(s, "description")) {
		printf(" - ");
		print_clean(stdout, js(s, "description"));
	}
	putchar('\n');
	field("Defined");
	printf("%s:%lld, %s%s%s\n", js(s, "file"), (long long)ji(s, "line"), js(s, "type"),
		jb(s, "enabled") ? ", enabled" : ", not enabled", jb(s, "boot_critical") ? ", boot-critical" : "");
	print_state(s);
	text_field(streq(js(s, "state"), "failed") ? "Why" : "Reason", js(s, "reason"));
	text_field("Says", js(s, "status_text"));
	text_field("Its error", js(s, "error_text"));
	if (jb(s, "needs_restart"))
		text_field("Note", "its definition has changed since it was started: 'rastctl restart' puts that into effect");
	text_field("Provider", js(s, "provider"));
	if (ji(s, "pid")) {
		snprintf(text, sizeof text, "%lld", (long long)ji(s, "pid"));
		text_field("Main process", text);
	}
	if (ji(s, "restarts")) {
		snprintf(text, sizeof text, "%lld", (long long)ji(s, "restarts"));
		text_field("Restarts", text);
	}
	print_exit(s);
	print_usage(s, processes);
	print_processes(processes);
	print_needs("Needs", json_object_get(s, "depends"));
	print_needs("Needed by", json_object_get(s, "dependents"));
	if (json_array_size(log) > 0)
		putchar('\n');
	json_array_foreach (log, i, line) {
		print_clean(stdout, json_string_value(line));
		putchar('\n');
	}
}

static int one(const char *name, json_t *array, int *status)
{
	_cleanup_json_ json_t *reply = NULL;
	int r = ctl_call("Status", json_pack("{s:s, s:I}", "name", name, "lines", (json_int_t)(set.lines < 0 ? 10 : set.lines)), &reply);
	if (r)
		return r;
	const json_t *s = json_object_get(reply, "service");
	if (!streq(js(s, "state"), "up"))
		*status = CTL_NOT_RUNNING;
	if (set.json)
		json_array_append(array, reply);
	else if (!set.quiet)
		print_service(s, json_object_get(reply, "processes"), json_object_get(reply, "log"));
	return CTL_OK;
}

/* --- the machine --- */

struct overview {
	unsigned total, up, failed, busy;
	struct table bad;
};

static int count(json_t *reply, void *data)
{
	struct overview *o = data;
	const json_t *s = json_object_get(reply, "service");
	const char *state = js(s, "state");
	o->total++;
	if (streq(state, "up"))
		o->up++;
	else if (!streq(state, "down"))
		o->busy++;
	if (streq(state, "failed") || streq(state, "backoff")) {
		o->failed++;
		table_add(&o->bad, js(s, "name"), PAINT_BAD);
		table_add(&o->bad, state, PAINT_NONE);
		table_add(&o->bad, js(s, "reason"), PAINT_NONE);
	}
	return 0;
}

static void print_overview(const json_t *ping, const struct overview *o)
{
	const json_t *b = json_object_get(ping, "boot");
	char text[256], since[32];
	field("Boot");
	printf("%s: %s%s%s%s%s\n", js(b, "target"), paint_on(state_paint(js(b, "state"))), js(b, "state"), paint_off(),
		*js(b, "reason") ? ": " : "", js(b, "reason"));
	text_field("Snapshot", js(b, "snapshot"));
	text_field("Decision", js(b, "decision"));
	snprintf(text, sizeof text, "%u, of which %u are up, %u on their way or failed", o->total, o->up, o->busy);
	text_field("Services", text);
	uint64_t now = now_us(), started = (uint64_t)ji(b, "started_us");
	snprintf(text, sizeof text, "%s, process %lld, started %lld time%s in this boot%s%s%s", js(ping, "version"),
		(long long)ji(ping, "pid"), (long long)ji(ping, "instance"), ji(ping, "instance") == 1 ? "" : "s",
		started && now > started ? ", first " : "", started && now > started ? duration_text(since, now - started) : "",
		started && now > started ? " ago" : "");
	text_field("rastd", text);
	if (o->failed) {
		putchar('\n');
		table_print(&o->bad);
	}
}

static int overview(void)
{
	_cleanup_json_ json_t *ping = NULL;
	struct overview o = {.bad = {.n_columns = 3, .heads = {"NAME", "STATE", "WHY"}}};
	int r = ctl_call("Ping", NULL, &ping);
	if (r == CTL_OK)
		r = ctl_more("List", NULL, count, &o);
	if (r == CTL_OK && set.json) {
		json_t *counts = json_pack("{s:i, s:i, s:i}", "total", (int)o.total, "up", (int)o.up, "failed", (int)o.failed);
		json_object_set_new(ping, "counts", counts);
		print_json(json_incref(ping));
	} else if (r == CTL_OK && !set.quiet) {
		print_overview(ping, &o);
	}
	table_free(&o.bad);
	return r;
}

VERB(status)
{
	if (argc < 2)
		return overview();
	json_t *array = json_array();
	int status = CTL_OK, worst = CTL_OK;
	for (int i = 1; i < argc; i++) {
		if (i > 1 && !set.json && !set.quiet)
			putchar('\n');
		int r = one(argv[i], array, &status);
		if (r == CTL_UNREACHABLE) {
			json_decref(array);
			return r;
		}
		worst = r ? r : worst;
	}
	if (set.json && json_array_size(array))
		print_json(argc == 2 ? json_incref(json_array_get(array, 0)) : json_incref(array));
	json_decref(array);
	return worst ? worst : status;
}
