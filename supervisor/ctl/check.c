/* check.c: compile service files without rastd, and say everything that is wrong with them. */
#include "supervisor/ctl/ctl.h"

#include <errno.h>
#include <sys/stat.h>
#include "supervisor/graph.h"

struct report {
	unsigned errors, warnings;
	json_t *problems;
	bool silent;
	const char *only; /* NULL, or the file that was asked for: others' problems are not told */
};

static void on_problem(int level, const char *file, int line, const char *text, void *data)
{
	struct report *r = data;
	bool error = level <= LOG_ERR;
	if (r->only && (!file || !streq(file, r->only)))
		return;
	r->errors += error;
	r->warnings += !error;
	if (r->silent)
		return;
	if (r->problems)
		json_array_append_new(r->problems,
			json_pack("{s:s, s:s?, s:i, s:s}", "level", error ? "error" : "warning", "file", file, "line", line, "text", text));
	else {
		print_place(file, line);
		fprintf(stderr, "%s%s\n", error ? "" : "warning: ", text);
	}
}

static int compile(const char *const *dirs, unsigned n, const char *enabled, struct report *report, size_t *services)
{
	struct graph_source src = {.dirs = dirs, .n_dirs = n, .enabled_dir = enabled};
	_cleanup_free_ void *blob = NULL;
	size_t size = 0;
	int r = graph_compile(&src, 1, on_problem, report, &blob, &size);
	if (r >= 0)
		*services = ((const struct graph *)blob)->n_services;
	return r;
}

static void machine_dirs(char etc[4096], char lib[4096], char enabled[4096])
{
	snprintf(etc, 4096, "%s/services", set.etc_dir);
	snprintf(lib, 4096, "%s/services", set.lib_dir);
	snprintf(enabled, 4096, "%s/enabled", set.etc_dir);
}

/* Without operands: what rastd would read. */
static int check_machine(struct report *report, size_t *services)
{
	char etc[4096], lib[4096], enabled[4096];
	machine_dirs(etc, lib, enabled);
	const char *dirs[] = {etc, lib};
	return compile(dirs, ARRAY_SIZE(dirs), access(enabled, F_OK) == 0 ? enabled : NULL, report, services);
}

bool check_machine_enabled(const char *name)
{
	char etc[4096], lib[4096], enabled[4096];
	_cleanup_free_ void *blob = NULL;
	size_t size = 0;
	struct report report = {.silent = true};
	machine_dirs(etc, lib, enabled);
	const char *dirs[] = {etc, lib};
	struct graph_source src = {.dirs = dirs, .n_dirs = ARRAY_SIZE(dirs), .enabled_dir = enabled};
	uint32_t i = graph_compile(&src, 1, on_problem, &report, &blob, &size) < 0 ? UINT32_MAX : graph_find(blob, name);
	return i != UINT32_MAX && graph_service(blob, i)->enabled;
}

unsigned check_machine_errors(bool tell)
{
	struct report report = {.silent = !tell};
	size_t services = 0;
	check_machine(&report, &services);
	return report.errors;
}

/* A file alone makes no sense, since it speaks of others: its folder is compiled, before the machine's own, and its problems are told. */
static int check_file(const char *path, struct report *report, size_t *services)
{
	char etc[4096], lib[4096];
	_cleanup_free_ char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	char *slash = strrchr(copy, '/');
	const char *dir = ".";
	if (slash) {
		*slash = '\0';
		dir = copy;
	}
	char shown[4096];
	snprintf(shown, sizeof shown, "%s/%s", dir, slash ? slash + 1 : copy);
	snprintf(etc, sizeof etc, "%s/services", set.etc_dir);
	snprintf(lib, sizeof lib, "%s/services", set.lib_dir);
	const char *dirs[] = {dir, etc, lib};
	report->only = shown;
	int r = compile(dirs, ARRAY_SIZE(dirs), NULL, report, services);
	report->only = NULL;
	return r == -EINVAL ? 0 : r; /* the errors that count have been counted */
}

static int check_one(const char *path, struct report *report, size_t *services)
{
	struct stat st;
	const char *dirs[] = {path};
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? compile(dirs, 1, NULL, report, services) : check_file(path, report, services);
}

static int finish(const struct report *report, size_t services, bool unread)
{
	if (set.json) {
		print_json(json_pack("{s:b, s:I, s:O}", "ok", report->errors == 0 && !unread, "services", (json_int_t)services, "problems",
			report->problems));
	} else if (report->errors) {
		ctl_error(CTL_FAILED, "%u error%s, %u warning%s", report->errors, report->errors == 1 ? "" : "s", report->warnings,
			report->warnings == 1 ? "" : "s");
	} else if (!set.quiet && !unread) {
		printf("%zu service%s, no error, %u warning%s\n", services, services == 1 ? "" : "s", report->warnings,
			report->warnings == 1 ? "" : "s");
	}
	return report->errors ? CTL_FAILED : CTL_OK;
}

VERB(check)
{
	struct report report = {.problems = set.json ? json_array() : NULL};
	size_t services = 0;
	int status = CTL_OK, r = argc < 2 ? check_machine(&report, &services) : 0;
	if (r < 0 && r != -EINVAL)
		status = ctl_error(CTL_FAILED, "the service files can't be checked: %s", strerror(-r));
	for (int i = 1; i < argc; i++) {
		size_t n = 0;
		r = check_one(argv[i], &report, &n);
		services += n;
		if (r < 0 && r != -EINVAL)
			status = ctl_error(CTL_FAILED, "check %s: %s", argv[i], strerror(-r));
	}
	int told = finish(&report, services, status != CTL_OK);
	json_decref(report.problems);
	return status ? status : told;
}
