/* end.c: signals and the end. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/container/container.h"
#include "runtime/hooks/hooks.h"

#define KILL_WAIT_MS 10000

/* -ENOENT: it has none, or it is gone. */
int container_cgroup(const struct container *c, struct cgroup *ret, struct err *e)
{
	if (!c->st.cgroup_path)
		return err_set(e, -ENOENT, "container \"%s\" has no cgroup of its own", c->st.id);
	return cg_open_existing(c->st.cgroup_path, ret, e);
}

/* Every process of the cgroup. SIGKILL goes to all at once, so that none can fork its way out. */
static int kill_cgroup(const struct container *c, int sig, struct err *e)
{
	_cleanup_cgroup_ struct cgroup cg = CGROUP_NONE;
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;
	int r = container_cgroup(c, &cg, NULL);

	if (r < 0)
		return r == -ENOENT ? 0 : err_sys(e, r, "the cgroup of container \"%s\"", c->st.id);
	r = sig == SIGKILL ? cg_kill(&cg) : cg_pids(&cg, &pids, &n);
	for (size_t i = 0; i < n; i++)
		if (kill(pids[i], sig) < 0 && errno != ESRCH)
			r = -errno;
	return r < 0 && r != -ENOENT ? err_sys(e, r, "signal to all processes of container \"%s\"", c->st.id) : 0;
}

int container_kill(struct container *c, int sig, bool all, struct err *e)
{
	_cleanup_close_ int pidfd = container_pidfd(c, all ? NULL : e);
	int r = 0;

	if (pidfd < 0 && !all)
		return pidfd;
	/* Without a PID namespace of its own the first process takes nobody with it. */
	if (sig == SIGKILL && pidfd >= 0 && !all && container_spec(c, NULL) == 0)
		all = !c->spec->ns[OCI_NS_PID].listed || c->spec->ns[OCI_NS_PID].path;
	if (all && c->st.cgroup_path)
		r = kill_cgroup(c, sig, e);
	else if (pidfd >= 0)
		r = sys_pidfd_send_signal(pidfd, sig, NULL, 0);
	if (r == -ESRCH)
		return err_set(e, r, "container not running");
	if (r == 0 && sig == SIGKILL && pidfd >= 0 && all)
		sys_pidfd_send_signal(pidfd, sig, NULL, 0); /* a container without a cgroup */
	return r < 0 && !(e && e->code) ? err_sys(e, r, "signal %d to container \"%s\"", sig, c->st.id) : r;
}

static int wait_dead(const struct container *c, struct err *e)
{
	_cleanup_close_ int pidfd = container_pidfd(c, NULL);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (pidfd >= 0 && poll(&p, 1, KILL_WAIT_MS) == 0)
		return err_set(e, -ETIMEDOUT, "container \"%s\" is still there %d s after SIGKILL: a process hangs in the kernel", c->st.id, KILL_WAIT_MS / 1000);
	return 0;
}

static void run_poststop(struct container *c)
{
	_cleanup_err_ struct err e = { 0 };
	struct state_text t;

	if (!c->spec || !c->spec->hooks[OCI_HOOK_POSTSTOP].n || state_text_make(c->spec, c->st.id, c->st.bundle, &t) < 0)
		return;
	if (hooks_run(c->spec, OCI_HOOK_POSTSTOP, &t, "stopped", 0, &e) < 0)
		log_warning("container \"%s\": %s", c->st.id, err_text(&e));
	state_text_free(&t);
}

int container_delete(struct container *c, bool force, struct err *e)
{
	enum status s = container_status(c);
	_cleanup_cgroup_ struct cgroup cg = CGROUP_NONE;
	int r = 0;

	if (!force && (s == STATUS_RUNNING || s == STATUS_PAUSED))
		return err_set(e, -EBUSY, "cannot delete container %s that is not stopped: %s", c->st.id, status_name(s));
	if (s != STATUS_STOPPED && s != STATUS_CREATING) {
		container_kill(c, SIGKILL, true, NULL);
		r = wait_dead(c, e);
	}
	if (r < 0)
		return r;
	(void)!container_spec(c, NULL); /* a damaged copy doesn't keep a container from being deleted */
	if (container_cgroup(c, &cg, NULL) == 0)
		r = cg_remove(&cg, e);
	if (r < 0)
		return r;
	rdt_remove(&c->st.rdt);
	r = container_forget(c, e);
	run_poststop(c);
	return r;
}
