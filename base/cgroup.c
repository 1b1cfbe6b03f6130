/* cgroup.c: cgroup v2 folders (Documentation/admin-guide/cgroup-v2.rst). */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"

#define KILL_PASSES 64
#define DEPTH_MAX 64 /* of a tree whose pids are listed; each level holds a descriptor */
#define PROCS_MAX (1 << 20)

static int key_path(char buf[PATH_MAX], const char *name, const char *key)
{
	return snprintf(buf, PATH_MAX, "%s/%s", name, key) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int cgroup_make(int rootfd, const char *name)
{
	char buf[PATH_MAX];
	int r;

	if (strempty(name) || *name == '/' || strstr(name, ".."))
		return -EINVAL;
	if (snprintf(buf, sizeof(buf), "%s", name) >= PATH_MAX)
		return -ENAMETOOLONG;
	for (char *p = buf; p; p = strchr(p + 1, '/')) {
		if (p == buf)
			continue;
		*p = 0;
		r = sys_mkdirat(rootfd, buf, 0755);
		if (r < 0 && r != -EEXIST)
			return r;
		*p = '/';
	}
	r = sys_mkdirat(rootfd, buf, 0755);
	if (r < 0 && r != -EEXIST)
		return r;
	return sys_openat(rootfd, buf, O_RDONLY | O_DIRECTORY, 0);
}

int cgroup_set(int rootfd, const char *name, const char *key, const char *value)
{
	char path[PATH_MAX];
	int r = key_path(path, name, key);

	return r < 0 ? r : file_write_str(rootfd, path, value);
}

int cgroup_populated(int rootfd, const char *name)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	const char *p;
	int r = key_path(path, name, "cgroup.events");

	if (r >= 0)
		r = file_read(rootfd, path, 4096, &text, NULL);
	if (r < 0)
		return r;
	p = strstr(text, "populated ");
	return p ? p[strlen("populated ")] == '1' : -EBADMSG;
}

int cgroup_remove(int rootfd, const char *name)
{
	return rmdir_r(rootfd, name);
}

struct pid_list {
	pid_t *pids;
	size_t n, cap;
};

static int add_pid(struct pid_list *l, pid_t pid)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		pid_t *p = reallocarray(l->pids, cap, sizeof(*p));
		if (!p)
			return -ENOMEM;
		l->pids = p;
		l->cap = cap;
	}
	l->pids[l->n++] = pid;
	return 0;
}

static int add_procs(struct pid_list *l, int dirfd)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL;
	int r = file_read(dirfd, "cgroup.procs", PROCS_MAX, &text, NULL);

	if (r == -ENODEV || r == -EOPNOTSUPP) /* removed meanwhile; a threaded cgroup, whose pids are listed by its parent */
		return 0;
	if (r < 0)
		return r;
	for (char *line = strtok_r(text, "\n", &save); line && r >= 0; line = strtok_r(NULL, "\n", &save)) {
		uint64_t pid;
		if (parse_u64(line, &pid) == 0 && pid > 0 && pid <= INT32_MAX) /* 0: outside of our PID namespace */
			r = add_pid(l, (pid_t)pid);
	}
	return r;
}

static int add_tree(struct pid_list *l, int parent, const char *name, int depth)
{
	_cleanup_closedir_ DIR *dir = NULL;
	int r = dir_open(parent, name, &dir);

	if (r < 0)
		return r;
	if (depth > DEPTH_MAX)
		return -ELOOP;
	r = add_procs(l, dirfd(dir));
	for (struct dirent *d; r >= 0 && (d = readdir(dir));) {
		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		r = add_tree(l, dirfd(dir), d->d_name, depth + 1);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

int cgroup_pids(int rootfd, const char *name, pid_t **ret, size_t *ret_n)
{
	struct pid_list list = { 0 };
	int r = add_tree(&list, rootfd, name, 0);

	if (r < 0) {
		free(list.pids);
		return r;
	}
	*ret = list.pids;
	*ret_n = list.n;
	return 0;
}

/* Frozen members can neither fork nor exit by themselves, so that no pid of the list is anybody else's when it is killed. */
static int kill_each(int rootfd, const char *name)
{
	int r = 0;

	(void)cgroup_set(rootfd, name, "cgroup.freeze", "1");
	for (int pass = 0; pass < KILL_PASSES; pass++) {
		_cleanup_free_ pid_t *pids = NULL;
		size_t n = 0;
		r = cgroup_pids(rootfd, name, &pids, &n);
		if (r < 0 || n == 0)
			break;
		for (size_t i = 0; i < n; i++)
			(void)kill(pids[i], SIGKILL);
		(void)usleep(1000);
		r = -EBUSY;
	}
	(void)cgroup_set(rootfd, name, "cgroup.freeze", "0");
	return r;
}

int cgroup_kill(int rootfd, const char *name)
{
	int r = cgroup_set(rootfd, name, "cgroup.kill", "1");

	return r == -ENOENT || r == -EOPNOTSUPP ? kill_each(rootfd, name) : r;
}
