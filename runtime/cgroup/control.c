/* control.c: freeze, kill, members. */
#include "runtime/cgroup/priv.h"

#include <errno.h>
#include <string.h>
#include "base/file.h"
#include "base/proc.h"

#define FREEZE_MS 10000

int cg_frozen(const struct cgroup *cg)
{
	_cleanup_free_ char *text = NULL;
	int r = cg_read(cg, "cgroup.freeze", &text);

	return r < 0 ? r : *text == '1';
}

int cg_freeze(const struct cgroup *cg, bool freeze, struct err *e)
{
	int r = file_write_str(cg->fd, "cgroup.freeze", freeze ? "1" : "0");

	if (r < 0)
		return err_sys(e, r, "%s the cgroup %s/%s", freeze ? "freeze" : "thaw", cg->mount, cg->path);
	r = cg_wait(cg, freeze ? "frozen 1" : "frozen 0", FREEZE_MS);
	if (r == -ETIMEDOUT && freeze) {
		(void)file_write_str(cg->fd, "cgroup.freeze", "0");
		return err_set(e, r, "the processes of the cgroup %s/%s could not be frozen within %d s; they run again", cg->mount, cg->path, FREEZE_MS / 1000);
	}
	return r < 0 ? err_sys(e, r, "%s the cgroup %s/%s", freeze ? "freeze" : "thaw", cg->mount, cg->path) : 0;
}

int cg_kill(const struct cgroup *cg)
{
	return cgroup_kill(cg->root, cg->path);
}

int cg_pids(const struct cgroup *cg, pid_t **ret, size_t *ret_n)
{
	return cgroup_pids(cg->root, cg->path, ret, ret_n);
}

int cg_add(const struct cgroup *cg, pid_t pid)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", (int)pid);
	return file_write_str(cg->fd, "cgroup.procs", text);
}

int cg_oom_kills(const struct cgroup *cg, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = cg_read(cg, "memory.events", &text);
	char *p;

	*ret = 0;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	p = strstr(text, "oom_kill ");
	if (p) {
		p += strlen("oom_kill ");
		p[strcspn(p, "\n")] = 0;
		r = parse_u64(p, ret);
	}
	return r < 0 ? r : 0;
}
