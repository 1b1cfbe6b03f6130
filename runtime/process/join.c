/* join.c: a process in between. A PID namespace that exists, and the offsets of a new time namespace, only take effect for children
 * (setns(2), time_namespaces(7)); a user namespace must be joined before the others are made. So a first child goes there and clones the container's
 * process with CLONE_PARENT: it is the caller's own child all the same, and the caller's namespaces stay what they were. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/ns/ns.h"
#include "runtime/proc/proc.h"
#include "runtime/process/process.h"
#include "runtime/security/security.h"

/* Namespaces that the container lists, as setns(2)'s flags for its pidfd. */
static int listed(const struct oci_spec *s)
{
	int flags = 0;

	for (int k = 0; k < OCI_NS_N; k++)
		if (s->ns[k].listed)
			flags |= oci_ns_clone_flag(k);
	return flags;
}

static int join_container(struct rt_plan *p, struct err *e)
{
	const char *what = NULL;
	int r = sec_affinity(&p->process->exec_affinity_initial, &what);

	if (r < 0)
		return err_sys(e, r, "%s", what ? what : "process.execCPUAffinity");
	if (plan_needs_proc(p)) { /* the container's /proc is the container's to forge */
		p->procfd = procfs_open(e);
		if (p->procfd < 0)
			return p->procfd;
	}
	if (setns(p->rq.target_pidfd, listed(p->spec)) < 0)
		return err_sys(e, -errno, "joining the container's namespaces");
	return 0;
}

static int join_one(const struct rt_plan *p, enum oci_ns_kind k, struct err *e)
{
	if (p->join_fd[k] >= 0 && setns(p->join_fd[k], oci_ns_clone_flag(k)) < 0)
		return err_sys(e, -errno, "linux.namespaces: joining the %s namespace %s", oci_ns_name(k), p->spec->ns[k].path);
	return 0;
}

static int new_user(struct rt_plan *p, int chan, struct err *e)
{
	struct sync_msg m;
	int r;

	if (unshare(CLONE_NEWUSER) < 0)
		return err_sys(e, -errno, "a new user namespace");
	r = sync_send(chan, SYNC_WANT_MAPS, (int)getpid(), NULL);
	return r < 0 ? err_sys(e, r, "user namespace") : sync_expect(chan, SYNC_GO, &m, NULL, e);
}

static int new_time(const struct rt_plan *p, struct err *e)
{
	_cleanup_close_ int procfd = procfs_open(e);

	if (procfd < 0)
		return procfd;
	if (unshare(CLONE_NEWTIME) < 0)
		return err_sys(e, -errno, "a new time namespace");
	return ns_write_time_offsets(p->spec->time_offsets, p->spec->n_time_offsets, procfd, e);
}

static int go_there(struct rt_plan *p, int chan, struct err *e)
{
	int r = child_begin(p, e);

	if (r < 0)
		return r;
	if (p->rq.target_pidfd >= 0)
		return prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : join_container(p, e);
	if (p->new_user)
		r = new_user(p, chan, e);
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_sys(e, -errno, "PR_SET_DUMPABLE");
	/* The user namespace first: it owns the others. The mount namespace last: after it paths mean something else. */
	static const enum oci_ns_kind order[] = { OCI_NS_USER, OCI_NS_PID, OCI_NS_NETWORK, OCI_NS_IPC, OCI_NS_UTS, OCI_NS_CGROUP, OCI_NS_TIME };
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(order); i++)
		r = join_one(p, order[i], e);
	if (r == 0 && p->new_ns & CLONE_NEWTIME && p->spec->n_time_offsets) {
		prctl(PR_SET_DUMPABLE, 1); /* our own file in /proc would be root's, outside */
		r = new_time(p, e);
		prctl(PR_SET_DUMPABLE, 0);
	}
	return r == 0 ? join_one(p, OCI_NS_MOUNT, e) : r;
}

_Noreturn void stage_main(struct rt_plan *p, int chan)
{
	_cleanup_err_ struct err e = { 0 };
	int r = go_there(p, chan, &e), pid = -1;

	if (r == 0) {
		uint64_t flags = (uint64_t)(unsigned)p->new_ns & ~(uint64_t)CLONE_NEWUSER;
		if (p->spec->n_time_offsets)
			flags &= ~(uint64_t)CLONE_NEWTIME;
		struct clone_args a = { .flags = CLONE_PARENT | flags };
		pid = sys_clone3(&a, sizeof(a));
		if (pid == 0) {
			struct sync_msg m;
			/* Our pid is what the parent has been told; it lets us go when it holds us. */
			if (sync_recv(chan, &m, NULL) != SYNC_GO)
				_exit(1);
			child_main(p, chan);
		}
		r = pid < 0 ? err_sys(&e, pid, "clone3") : sync_send(chan, SYNC_PID, pid, NULL);
	}
	if (r < 0)
		sync_send(chan, SYNC_ERROR, r, err_text(&e));
	_exit(r < 0 ? 1 : 0);
}
