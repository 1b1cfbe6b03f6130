/* spawn.c: the parent's side. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/ns/ns.h"
#include "runtime/process/process.h"

/* --- the clone --- */

static int clone_first(struct rt_plan *p, int chan[2], int *pidfd, struct err *e)
{
	struct clone_args a = { .flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND, .pidfd = (uint64_t)(uintptr_t)pidfd, .exit_signal = SIGCHLD };
	int pid;

	if (p->rq.cgroup_fd >= 0) {
		a.flags |= CLONE_INTO_CGROUP;
		a.cgroup = (uint64_t)p->rq.cgroup_fd;
	}
	if (!p->by_stage)
		a.flags |= (uint64_t)(unsigned)p->new_ns;
	pid = sys_clone3(&a, sizeof(a));
	if (pid == 0) {
		_cleanup_err_ struct err own = { 0 };
		struct sync_msg m;
		close(chan[0]);
		if (p->by_stage)
			stage_main(p, chan[1]);
		int r = child_begin(p, &own);
		if (r == 0 && p->waits) /* id maps are written, network devices moved */
			r = sync_expect(chan[1], SYNC_GO, &m, NULL, &own);
		if (r == 0)
			child_main(p, chan[1]);
		sync_send(chan[1], SYNC_ERROR, r, err_text(&own));
		_exit(1);
	}
	return pid < 0 ? err_sys(e, pid, "clone3: a process in namespaces of its own") : pid;
}

static void kill_and_reap(struct rt_child *c)
{
	siginfo_t si;

	if (c->pidfd >= 0)
		sys_pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
	if (c->pid > 0)
		sys_waitid(P_PID, (id_t)c->pid, &si, WEXITED);
	c->pid = 0;
}

/* The child in between says who the container's process is, and goes. */
static int follow_stage(struct rt_plan *p, struct rt_child *c, struct err *e)
{
	struct sync_msg m;
	siginfo_t si;
	int r;

	if (p->new_user) {
		r = sync_expect(c->channel, SYNC_WANT_MAPS, &m, NULL, e);
		if (r == 0)
			r = ns_write_maps(c->pid, &p->spec->uid_maps, &p->spec->gid_maps, e);
		if (r == 0)
			r = sync_send(c->channel, SYNC_GO, 0, NULL);
		if (r < 0)
			return r;
	}
	r = sync_expect(c->channel, SYNC_PID, &m, NULL, e);
	if (r < 0)
		return r;
	sys_waitid(P_PID, (id_t)c->pid, &si, WEXITED);
	closep(&c->pidfd);
	c->pid = m.value;
	c->pidfd = sys_pidfd_open(c->pid, 0);
	return c->pidfd < 0 ? err_sys(e, c->pidfd, "pidfd_open") : 0;
}

/* --- until it is ready --- */

static int before_its_steps(struct rt_plan *p, struct rt_child *c, struct err *e)
{
	int r = 0;

	if (p->by_stage)
		r = follow_stage(p, c, e);
	else if (p->new_user)
		r = ns_write_maps(c->pid, &p->spec->uid_maps, &p->spec->gid_maps, e);
	if (r == 0)
		r = netdev_move(&p->net, c->pid, e);
	if (r < 0 || !p->waits)
		return r;
	r = sync_send(c->channel, SYNC_GO, c->pid, NULL);
	return r == -EPIPE ? 0 : r; /* it has an error for us */
}

static int run_hooks(struct rt_plan *p, struct rt_child *c, struct err *e)
{
	int r = hooks_run(p->spec, OCI_HOOK_PRESTART, &p->state, "creating", c->pid, e);

	if (r == 0)
		r = hooks_run(p->spec, OCI_HOOK_CREATE_RUNTIME, &p->state, "creating", c->pid, e);
	return r < 0 ? r : sync_send(c->channel, SYNC_GO, c->pid, NULL);
}

static int pass_listener(const struct oci_spec *spec, const struct state_text *t, int chan, int pidfd, pid_t pid, const char *status, int their_fd, struct err *e)
{
	_cleanup_close_ int listener = filter_steal(pidfd, their_fd);
	if (listener < 0)
		return err_sys(e, listener, "linux.seccomp: taking the listener");
	_cleanup_free_ char *json = state_text_json(t, status, pid);
	if (!json)
		return err_sys(e, -ENOMEM, "linux.seccomp");
	int r = filter_notify(spec->seccomp, spec->oci_version, pid, json, listener, e);
	return r < 0 ? r : sync_send(chan, SYNC_GO, 0, NULL);
}

static int until_ready(struct rt_plan *p, struct rt_child *c, struct err *e)
{
	struct sync_msg m;
	int r = 0;

	while (r == 0) {
		int fd = -1;
		switch (sync_recv(c->channel, &m, &fd)) {
		case SYNC_READY:
			return 0;
		case SYNC_MASTER:
			c->master = fd;
			break;
		case SYNC_HOOKS:
			r = run_hooks(p, c, e);
			break;
		case SYNC_LISTENER:
			r = pass_listener(p->spec, &p->state, c->channel, c->pidfd, c->pid, "creating", m.value, e);
			break;
		case SYNC_ERROR:
			return err_set(e, m.value < 0 ? m.value : -EIO, "%s", m.text);
		default:
			return err_set(e, -EPIPE, "the container's process ended before it was ready (killed? out of memory?)");
		}
	}
	return r;
}

int rt_spawn(struct rt_plan *p, struct rt_child *ret, struct err *e)
{
	struct rt_child c = RT_CHILD_INIT;
	int chan[2], r;

	r = sys_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, chan);
	if (r < 0)
		return err_sys(e, r, "socketpair");
	c.channel = chan[0];
	r = clone_first(p, chan, &c.pidfd, e);
	close(chan[1]);
	if (r > 0) {
		c.pid = r;
		r = before_its_steps(p, &c, e);
	}
	if (r == 0)
		r = until_ready(p, &c, e);
	if (r < 0) {
		kill_and_reap(&c);
		rt_child_close(&c);
		return r;
	}
	*ret = c;
	return 0;
}

/* --- and on --- */

static int start_over(int chan, const struct oci_spec *spec, const struct state_text *t, int pidfd, pid_t pid, struct err *e)
{
	struct sync_msg m;
	int r = sync_send(chan, SYNC_START, 0, NULL);

	while (r == 0) {
		r = sync_recv(chan, &m, NULL);
		if (r == SYNC_EOF)
			return 0;
		if (r == SYNC_ERROR)
			return err_set(e, m.value < 0 ? m.value : -EIO, "%s", m.text);
		if (r == SYNC_LISTENER)
			r = pass_listener(spec, t, chan, pidfd, pid, "created", m.value, e);
		else if (r > 0)
			r = -EPROTO;
	}
	return e && e->code ? r : err_sys(e, r, "starting the container's process");
}

int rt_start(struct rt_plan *p, struct rt_child *c, struct err *e)
{
	int r = start_over(c->channel, p->spec, &p->state, c->pidfd, c->pid, e);

	closep(&c->channel);
	c->channel = -1;
	if (r < 0)
		kill_and_reap(c);
	return r;
}

int rt_detach(struct rt_child *c, struct err *e)
{
	int r = sync_send(c->channel, SYNC_DETACH, 0, NULL);

	closep(&c->channel);
	c->channel = -1;
	return r < 0 ? err_sys(e, r, "leaving the container's process to wait") : 0;
}

int rt_start_at(int dirfd, const char *name, const struct oci_spec *spec, const char *id, const char *bundle, pid_t pid, struct err *e)
{
	_cleanup_close_ int chan = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct state_text t = { 0 };
	int r;

	if (chan < 0)
		return err_sys(e, -errno, "socket");
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dirfd, name); /* a state directory's path may be too long for sun_path */
	if (connect(chan, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(e, -errno, "the container's process doesn't wait to be started");
	_cleanup_close_ int pidfd = sys_pidfd_open(pid, 0);
	r = spec->seccomp && spec->seccomp->notifies ? state_text_make(spec, id, bundle, &t) : 0;
	if (r == 0)
		r = start_over(chan, spec, &t, pidfd, pid, e);
	state_text_free(&t);
	return r;
}

void rt_child_close(struct rt_child *c)
{
	closep(&c->pidfd);
	closep(&c->channel);
	closep(&c->master);
	c->pidfd = c->channel = c->master = -1;
}

int rt_enter(struct rt_plan *p, struct err *e)
{
	int r = child_begin(p, e);

	if (r < 0)
		return r;
	if (p->by_stage || p->new_user || p->new_ns & CLONE_NEWPID)
		return err_set(e, -EOPNOTSUPP, "a new user or PID namespace, and joining one, need rt_spawn()");
	if (p->new_ns && unshare(p->new_ns) < 0)
		return err_sys(e, -errno, "unshare");
	return child_run(p, -1, e);
}
