/* look.c: state, list, ps, features, spec. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/cli/cli.h"

static const char *format = "table";
static bool quiet, rootless;
static const char *bundle, *out_file;

const struct opt list_opts[] = {
	{ "format", 'f', OPT_STRING, "FORMAT", "table or json", &format },
	{ "quiet", 'q', OPT_FLAG, NULL, "Only ids", &quiet },
};

const struct opt ps_opts[] = { { "format", 'f', OPT_STRING, "FORMAT", "table or json", &format } };

const struct opt spec_opts[] = {
	{ "bundle", 'b', OPT_STRING, "DIR", "Write DIR/config.json (default: the working folder's)", &bundle },
	{ "config", 'f', OPT_STRING, "FILE", "Write FILE", &out_file },
	{ "rootless", 0, OPT_FLAG, NULL, "For an ordinary user", &rootless },
};

static bool wants_json(struct err *e, int *r)
{
	*r = streq(format, "json") || streq(format, "table") ? 0 : err_set(e, -EINVAL, "--format %s: table and json are known", format);
	return streq(format, "json");
}

int cmd_state(int argc, char **argv, void *data)
{
	_cleanup_container_ struct container c = CONTAINER_INIT;
	_cleanup_err_ struct err e = { 0 };
	_cleanup_free_ char *text = NULL;
	int r;

	if (argc != 2)
		return cli_usage("state", "exactly one container id is wanted");
	if (log_open() != 0)
		return 1;
	r = container_open(cli.root, argv[1], false, &c, &e);
	if (r == 0 && container_status(&c) == STATUS_CREATING) /* as runc has it: who waits for the container asks until there is an answer */
		r = err_set(&e, -ENOENT, "container \"%s\" does not exist yet: it is being created", argv[1]);
	if (r == 0)
		text = container_state_json(&c, &e);
	if (!text)
		return cli_fail(&e);
	puts(text);
	return 0;
}

/* --- list --- */

static void print_row(struct container *c)
{
	enum status s = container_status(c);

	printf("%-24s %-10d %-10s %-32s %-32s %s\n", c->st.id, s == STATUS_STOPPED ? 0 : (int)c->st.pid, status_name(s), c->st.bundle ? c->st.bundle : "",
		c->st.created ? c->st.created : "", c->st.owner ? c->st.owner : "");
}

static int list_one(const char *id, json_t *array)
{
	_cleanup_container_ struct container c = CONTAINER_INIT;
	_cleanup_err_ struct err e = { 0 };
	int r = container_open(cli.root, id, false, &c, &e);

	if (r == -ENOENT) /* deleted meanwhile */
		return 0;
	if (r < 0)
		return cli_fail(&e);
	if (!array) {
		print_row(&c);
		return 0;
	}
	_cleanup_free_ char *text = container_state_json(&c, &e);
	json_t *o = text ? json_loads(text, 0, NULL) : NULL;
	return o && json_array_append_new(array, o) == 0 ? 0 : 1;
}

int cmd_list(int argc, char **argv, void *data)
{
	_cleanup_err_ struct err e = { 0 };
	_cleanup_strv_ char **ids = NULL;
	int r, failed = 0;
	bool json = wants_json(&e, &r);

	if (argc != 1)
		return cli_usage("list", "it takes no operands");
	if (log_open() != 0)
		return 1;
	if (r == 0)
		r = state_list(cli.root, &ids, &e);
	if (r < 0)
		return cli_fail(&e);
	json_t *array = json && !quiet ? json_array() : NULL;
	if (!json && !quiet)
		printf("%-24s %-10s %-10s %-32s %-32s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
	for (size_t i = 0; ids && ids[i]; i++) {
		if (quiet)
			puts(ids[i]);
		else
			failed |= list_one(ids[i], array);
	}
	if (array) {
		_cleanup_free_ char *text = json_dumps(array, JSON_COMPACT);
		json_decref(array);
		puts(text ? text : "[]");
	}
	return failed;
}

/* --- ps --- */

static int by_pid(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;
	return (x > y) - (x < y);
}

static void print_pids(const pid_t *pids, size_t n)
{
	putchar('[');
	for (size_t i = 0; i < n; i++)
		printf("%s%d", i ? "," : "", (int)pids[i]);
	puts("]");
}

/* Lines of ps whose PID column is one of ours, and the heading. */
static int filter_ps(FILE *in, const pid_t *pids, size_t n, struct err *e)
{
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;
	int column = -1;

	while (getline(&line, &cap, in) > 0 && line) {
		_cleanup_free_ char *copy = strdup(line);
		char *save = NULL;
		int i = 0;
		pid_t pid = 0;
		for (char *w = copy ? strtok_r(copy, " \t\n", &save) : NULL; w; w = strtok_r(NULL, " \t\n", &save), i++) {
			uint64_t v;
			if (column < 0 && streq(w, "PID"))
				column = i;
			else if (i == column && parse_u64(w, &v) == 0)
				pid = (pid_t)v;
		}
		if (column < 0)
			return err_set(e, -EINVAL, "ps: its output has no PID column; choose other options");
		if (pid == 0 || (n && bsearch(&pid, pids, n, sizeof(*pids), by_pid)))
			fputs(line, stdout);
	}
	return 0;
}

static int table_of_ps(char **args, const pid_t *pids, size_t n, struct err *e)
{
	_cleanup_strv_ char **argv = NULL;
	int out[2], status = 0, r = strv_push(&argv, "ps");

	if (!*args)
		r |= strv_push(&argv, "-ef");
	for (; *args; args++)
		r |= strv_push(&argv, *args);
	if (r != 0 || sys_pipe2(out, O_CLOEXEC) < 0)
		return err_sys(e, -ENOMEM, "ps");
	pid_t pid = fork();
	if (pid == 0) {
		dup2(out[1], 1);
		execvp("ps", argv);
		_exit(127);
	}
	close(out[1]);
	FILE *in = fdopen(out[0], "r");
	r = pid < 0 || !in ? err_sys(e, -ENOMEM, "ps") : filter_ps(in, pids, n, e);
	if (in)
		fclose(in);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(e, -ENOENT, "ps can't be run: install the package procps, or use --format json");
	return r;
}

int cmd_ps(int argc, char **argv, void *data)
{
	_cleanup_container_ struct container c = CONTAINER_INIT;
	_cleanup_cgroup_ struct cgroup cg = CGROUP_NONE;
	_cleanup_err_ struct err e = { 0 };
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;
	int r;

	if (argc < 2)
		return cli_usage("ps", "a container id is wanted");
	if (log_open() != 0)
		return 1;
	bool json = wants_json(&e, &r);
	if (r == 0)
		r = container_open(cli.root, argv[1], false, &c, &e);
	if (r == 0)
		r = container_cgroup(&c, &cg, &e);
	if (r == 0)
		r = cg_pids(&cg, &pids, &n);
	if (r < 0)
		return e.code ? cli_fail(&e) : (err_sys(&e, r, "ps"), cli_fail(&e));
	if (n)
		qsort(pids, n, sizeof(*pids), by_pid);
	if (json)
		print_pids(pids, n);
	else
		r = table_of_ps(argv + 2, pids, n, &e);
	return r < 0 ? cli_fail(&e) : 0;
}

/* --- without a container --- */

int cmd_features(int argc, char **argv, void *data)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_err_ struct err e = { 0 };
	int r = oci_features(&text);

	if (r < 0) {
		err_sys(&e, r, "features");
		return cli_fail(&e);
	}
	puts(text);
	return 0;
}

int cmd_spec(int argc, char **argv, void *data)
{
	_cleanup_free_ char *text = NULL, *path = NULL;
	_cleanup_err_ struct err e = { 0 };
	int r;

	if (argc != 1)
		return cli_usage("spec", "it takes no operands");
	r = oci_spec_default(rootless || geteuid() != 0, &text);
	if (r == 0 && asprintf(&path, "%s%s%s", bundle && !out_file ? bundle : "", bundle && !out_file ? "/" : "", out_file ? out_file : "config.json") < 0)
		r = -ENOMEM;
	_cleanup_close_ int fd = r < 0 ? r : sys_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0666);
	if (fd == -EEXIST) {
		err_set(&e, fd, "File %s exists. Remove it first", path);
		return cli_fail(&e);
	}
	r = fd < 0 ? fd : write_all(fd, text, strlen(text));
	if (r < 0) {
		err_sys(&e, r, "%s", path ? path : "config.json");
		return cli_fail(&e);
	}
	return 0;
}
