/* program.c: environment, working directory and path of the program. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/path/path.h"
#include "runtime/process/process.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PASSWD_MAX 65536 /* of the container's /etc/passwd; a line behind that is not looked for */

/* "name:x:uid:gid:gecos:home:shell": home of the user with that uid. line is changed. */
static const char *home_in_line(char *line, uint32_t uid)
{
	char *field[7], *save = line;
	uint64_t number;

	for (size_t i = 0; i < ARRAY_SIZE(field); i++) {
		field[i] = strsep(&save, ":");
		if (!field[i])
			return NULL;
	}
	return parse_u64(field[2], &number) == 0 && number == uid && field[5][0] == '/' ? field[5] : NULL;
}

/* From the container's own /etc/passwd, read as data: no NSS in a static program, and none of the container's libraries. */
static void find_home(struct child *c, int root)
{
	static char text[PASSWD_MAX];
	_cleanup_close_ int fd = path_open(root, "/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY);
	char *save = NULL;
	struct stat st;
	size_t got = 0;
	ssize_t n;

	snprintf(c->plan->home, sizeof(c->plan->home), "HOME=/");
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	while (got < sizeof(text) - 1 && (n = sys_read(fd, text + got, sizeof(text) - 1 - got)) > 0)
		got += (size_t)n;
	text[got] = 0;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *home = home_in_line(line, c->plan->process->user.uid);
		if (!home)
			continue;
		snprintf(c->plan->home, sizeof(c->plan->home), "HOME=%s", home);
		return;
	}
}

int program_environment(struct child *c, struct err *e)
{
	struct rt_plan *p = c->plan;
	size_t n = p->n_env;

	if (!p->has_home) {
		_cleanup_close_ int root = sys_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
		if (root < 0)
			return err_sys(e, root, "the container's root");
		find_home(c, root);
		p->env[n++] = p->home;
	}
	if (p->rq.listen_fds) {
		snprintf(p->listen_pid, sizeof(p->listen_pid), "LISTEN_PID=%d", (int)getpid());
		snprintf(p->listen_fds, sizeof(p->listen_fds), "LISTEN_FDS=%u", p->rq.listen_fds);
		p->env[n++] = p->listen_pid;
		p->env[n++] = p->listen_fds;
	}
	if (p->rq.notify_socket)
		p->env[n++] = "NOTIFY_SOCKET=/run/notify/notify";
	p->env[n] = NULL;
	return 0;
}

/* After pivot_root a working folder outside of the root has a path that begins with "(unreachable)" (getcwd(2)). */
static int verify_directory(void)
{
	char text[PATH_MAX];
	long n = syscall(SYS_getcwd, text, sizeof(text));

	if (n < 0)
		return -errno;
	return text[0] == '/' ? 0 : -EXDEV;
}

int program_directory(struct child *c, struct err *e)
{
	const char *cwd = c->plan->process->cwd;
	int r = 0;

	if (!cwd)
		return 0;
	if (chdir(cwd) < 0)
		r = -errno;
	if (r == 0)
		r = verify_directory();
	if (r == -EXDEV)
		return err_set(e, r, "process.cwd: %s leads out of the container; it is not entered", cwd);
	return r < 0 ? err_sys(e, r, "process.cwd: chdir to %s", cwd) : 0;
}

static int is_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

static const char *path_variable(const struct rt_plan *p)
{
	for (size_t i = 0; p->env[i]; i++)
		if (str_starts(p->env[i], "PATH="))
			return p->env[i] + strlen("PATH=");
	return DEFAULT_PATH;
}

/* podman looks for "executable file not found in", "no such file or directory" and "permission denied" to tell 127 from 126. */
static int not_found(const char *name, int r, bool in_path, struct err *e)
{
	if (in_path && r != -EACCES)
		return err_set(e, -ENOENT, "exec: \"%s\": executable file not found in $PATH", name);
	if (r == -EISDIR)
		return err_set(e, -EACCES, "exec: \"%s\": is a directory: permission denied", name);
	if (r == -EACCES)
		return err_set(e, r, "exec: \"%s\": permission denied", name);
	if (r == -ENOENT)
		return err_set(e, r, "exec: \"%s\": stat %s: no such file or directory", name, name);
	return err_sys(e, r, "exec: \"%s\"", name);
}

int program_find(struct child *c, struct err *e)
{
	const char *name = c->plan->process->args.v[0];
	int r, best = -ENOENT;

	if (strchr(name, '/')) {
		r = is_program(name);
		if (r < 0)
			return not_found(name, r, false, e);
		snprintf(c->program, sizeof(c->program), "%s", name);
		return strlen(name) < sizeof(c->program) ? 0 : err_set(e, -ENAMETOOLONG, "exec: the path is too long");
	}
	for (const char *p = path_variable(c->plan); *name && p; p = strchr(p, ':') ? strchr(p, ':') + 1 : NULL) {
		int len = (int)strcspn(p, ":");
		if (snprintf(c->program, sizeof(c->program), "%.*s/%s", len ? len : 1, len ? p : ".", name) >= (int)sizeof(c->program))
			continue;
		r = is_program(c->program);
		if (r == 0)
			return 0;
		if (r == -EACCES)
			best = r;
	}
	return not_found(name, best, true, e);
}
