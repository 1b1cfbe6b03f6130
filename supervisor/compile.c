/* compile.c: see compile.h. */
#include "supervisor/compile.h"

#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>

#define GIVE_UP_MS 5000 /* a compiler that is killed and does not end sits in the kernel */
#define REPORT_MAX (1u << 20)

/* --- in the child --- */

static void note(int level, const char *file, int line, const char *text, void *data)
{
	json_t *o = json_pack("{s:s,s:s}", "level", level <= LOG_ERR ? "error" : "warning", "text", text);
	if (o && file)
		json_object_set_new(o, "file", json_string(file));
	if (o && line > 0)
		json_object_set_new(o, "line", json_integer(line));
	if (o)
		json_array_append_new(data, o);
}

static int write_graph(struct manager *m, uint64_t generation, const void *blob, size_t size)
{
	char name[32], tmp[40];
	snprintf(name, sizeof(name), "%" PRIu64, generation);
	snprintf(tmp, sizeof(tmp), ".%" PRIu64 ".tmp", generation);
	_cleanup_close_ int fd = sys_openat(m->graph_fd, tmp, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	int r = fd < 0 ? fd : write_all(fd, blob, size);
	return r < 0 ? r : sys_renameat(m->graph_fd, tmp, m->graph_fd, name);
}

static void child_main(struct manager *m, uint64_t generation, unsigned last_dirs, char *const *instances, int fd) __attribute__((noreturn));
static void child_main(struct manager *m, uint64_t generation, unsigned last_dirs, char *const *instances, int fd)
{
	unsigned n = (unsigned)strv_len(m->opt.config_dirs), skip = last_dirs && last_dirs < n ? n - last_dirs : 0;
	struct graph_source src = {.dirs = (const char *const *)m->opt.config_dirs + skip,
		.n_dirs = n - skip,
		.enabled_dir = last_dirs ? NULL : m->opt.enabled_dir,
		.instances = (const char *const *)instances,
		.n_instances = (unsigned)strv_len((char **)(uintptr_t)instances)};
	void *blob = NULL;
	size_t size = 0;
	json_t *problems = json_array();
	char trouble[256];
	int r = problems ? graph_compile(&src, generation, note, problems, &blob, &size) : -ENOMEM;
	snprintf(trouble, sizeof(trouble), "the service files can't be compiled: %s", strerror(-MIN(r, 0)));
	if (r == 0) {
		r = write_graph(m, generation, blob, size);
		snprintf(trouble, sizeof(trouble), "the compiled service files can't be written to %s/graph: %s; make room there", m->opt.run_dir, strerror(-MIN(r, 0)));
	}
	if (r < 0 && r != -EINVAL && problems)
		note(LOG_ERR, NULL, 0, trouble, problems);
	_cleanup_free_ char *text = problems ? json_dumps(problems, JSON_COMPACT) : NULL;
	if (text)
		(void)!write_all(fd, text, strlen(text));
	_exit(r == 0 ? 0 : r == -EINVAL ? 2 : 1);
}

/* --- in rastd --- */

int compile_start(struct manager *m, struct compile *c, uint64_t generation, unsigned last_dirs, char *const *instances, struct err *e)
{
	int fds[2];
	*c = (struct compile){.pid = -1, .fd = -1, .generation = generation};
	int r = sys_pipe2(fds, O_CLOEXEC);
	if (r < 0)
		return err_sys(e, r, "make a pipe to the compiler");
	c->pid = fork();
	if (c->pid == 0)
		child_main(m, generation, last_dirs, instances, fds[1]);
	close(fds[1]);
	if (c->pid < 0) {
		close(fds[0]);
		return err_sys(e, -errno, "start the compiler");
	}
	c->fd = fds[0];
	fd_set_nonblock(c->fd, true);
	return 0;
}

int compile_read(struct compile *c)
{
	char buf[16384];
	for (;;) {
		ssize_t n = sys_read(c->fd, buf, sizeof(buf));
		if (n == -EAGAIN)
			return 0;
		if (n <= 0)
			return 1;
		if (c->text.len < REPORT_MAX)
			buf_add(&c->text, buf, (size_t)n);
	}
}

json_t *compile_problems(struct compile *c)
{
	json_t *a = c->text.data ? json_loadb(c->text.data, c->text.len, 0, NULL) : NULL;
	if (json_is_array(a))
		return a;
	json_decref(a);
	a = json_array();
	if (a)
		note(LOG_ERR, NULL, 0, "the compiler of service files ended without a word (crashed?)", a);
	return a;
}

void compile_done(struct compile *c)
{
	closep(&c->fd);
	buf_free(&c->text);
	c->fd = -1;
}

int compile_wait(struct manager *m, uint64_t generation, unsigned last_dirs, const struct graph **ret, json_t **problems, struct err *e)
{
	struct compile c;
	siginfo_t si = {0};
	char name[32];
	int r = compile_start(m, &c, generation, last_dirs, NULL, e);
	if (r < 0)
		return r;
	bool killed = false, stuck = false;
	while (!stuck && !compile_read(&c)) {
		struct pollfd p = {.fd = c.fd, .events = POLLIN};
		if (poll(&p, 1, killed ? GIVE_UP_MS : (int)COMPILE_LIMIT_MS) != 0)
			continue;
		stuck = killed;
		killed = true;
		kill(c.pid, SIGKILL); /* then the pipe ends */
	}
	if (!stuck)
		sys_waitid(P_PID, (id_t)c.pid, &si, WEXITED);
	*problems = compile_problems(&c);
	compile_done(&c);
	if (si.si_code != CLD_EXITED || si.si_status != 0)
		return err_set(e, -EINVAL, "the service files have errors");
	snprintf(name, sizeof(name), "%" PRIu64, generation);
	return graph_map(m->graph_fd, name, ret, e);
}

void compile_remove(struct manager *m, uint64_t generation)
{
	char name[32];
	snprintf(name, sizeof(name), "%" PRIu64, generation);
	sys_unlinkat(m->graph_fd, name, 0);
}

void compile_point_to(struct manager *m, uint64_t generation)
{
	char name[32];
	snprintf(name, sizeof(name), "%" PRIu64, generation);
	sys_unlinkat(m->graph_fd, ".current", 0);
	if (symlinkat(name, m->graph_fd, ".current") == 0)
		sys_renameat(m->graph_fd, ".current", m->graph_fd, "current");
}

void compile_tidy(struct manager *m, uint64_t generation)
{
	char ours[32];
	_cleanup_closedir_ DIR *d = NULL;
	int fd = sys_openat(m->graph_fd, ".", O_DIRECTORY | O_RDONLY, 0);
	snprintf(ours, sizeof(ours), "%" PRIu64, generation);
	if (fd < 0 || !(d = fdopendir(fd)))
		return;
	for (struct dirent *de; (de = readdir(d));)
		if (de->d_type == DT_REG && !streq(de->d_name, ours))
			sys_unlinkat(m->graph_fd, de->d_name, 0);
	compile_point_to(m, generation);
}
