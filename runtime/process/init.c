/* init.c: the child's side: what a process does to become a container's. The lists below are the whole story, in their order. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/ns/ns.h"
#include "runtime/path/path.h"
#include "runtime/proc/proc.h"
#include "runtime/process/process.h"
#include "runtime/security/security.h"

typedef int step_fn(struct child *c, struct err *e);

static step_fn become_root, new_session, open_proc, limits, network, host_name, root, mounts, devices, notify_socket, terminal, hooks_of_runtime,
	hooks_of_container, working_folder, sysctls, mask, seal, pivot, labels, use_terminal, privileges, ready, hooks_of_start, last_filter, execute;

/* A container that has just been cloned into its namespaces. */
static step_fn *const new_container[] = {
	become_root,        /* ids of the new user namespace */
	new_session,        /* session, keyring */
	open_proc,          /* before anything of the container is touched */
	limits,             /* rlimits, scheduling, memory policy, personality */
	network,            /* lo, network devices */
	host_name,
	root,               /* bound, private; paths are resolved in it from here on */
	mounts,
	devices,
	notify_socket,
	terminal,           /* opened, sent away, bound at /dev/console */
	hooks_of_runtime,   /* prestart, createRuntime: the parent runs them */
	hooks_of_container, /* createContainer */
	working_folder,     /* made if it is missing, while the root can be written */
	sysctls,
	mask,               /* masked and read-only paths */
	seal,               /* read-only root */
	pivot,              /* the old root is gone */
	use_terminal,       /* controlling terminal; or the user gets what 0, 1 and 2 are */
	program_environment,
	labels,             /* AppArmor, SELinux at execve; Landlock */
	privileges,         /* no_new_privs, bounding set, ids, capabilities */
	program_directory,
	program_find,
	fds_arrange,
	ready,              /* created; waits to be started */
	hooks_of_start,
	last_filter,        /* seccomp, as late as it can be */
	execute,
};

/* Another process in a container: its namespaces have been joined already. */
static step_fn *const new_process[] = {
	become_root,
	new_session,
	limits,
	terminal,
	use_terminal,
	program_environment,
	labels,
	privileges,
	program_directory,
	program_find,
	fds_arrange,
	ready,
	last_filter,
	execute,
};

/* --- before the mounts --- */

/* Ids that mean nothing in the new user namespace make files that can't be (EOVERFLOW): become its root, where it has one. */
static int become_root(struct child *c, struct err *e)
{
	if (!c->plan->userns)
		return 0;
	if (!c->plan->keep_groups && syscall(SYS_setgroups, 0, NULL) < 0 && errno != EPERM)
		return err_sys(e, -errno, "dropping groups");
	if ((syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0) && errno != EINVAL)
		return err_sys(e, -errno, "becoming root of the user namespace");
	return 0;
}

static int new_session(struct child *c, struct err *e)
{
	char name[256];
	const char *what = NULL;

	if (c->chan >= 0)
		setsid(); /* fails only for a leader, which is one already */
	if (c->plan->rq.no_new_keyring || !c->plan->rq.id)
		return 0;
	snprintf(name, sizeof(name), "_ses.%s", c->plan->rq.id);
	int r = sec_keyring(name, &what);
	/* Quotas of keys and seccomp filters of an outer container: a shared keyring is no reason not to run. */
	return r < 0 && r != -EDQUOT && r != -EPERM && r != -ENOSYS ? err_sys(e, r, "%s", what ? what : "a session keyring") : 0;
}

bool plan_needs_proc(const struct rt_plan *p)
{
	return p->process->apparmor_profile || p->process->selinux_label || p->spec->sysctl.n;
}

static int open_proc(struct child *c, struct err *e)
{
	if (c->procfd >= 0 || !plan_needs_proc(c->plan))
		return 0;
	c->procfd = procfs_open(e);
	return c->procfd < 0 ? c->procfd : 0;
}

static int limits(struct child *c, struct err *e)
{
	const struct oci_process *p = c->plan->process;
	const struct oci_spec *s = c->plan->spec;
	const char *what = NULL;
	int r = sec_rlimits(p->rlimits, p->n_rlimits, &what);

	if (r == 0)
		r = sec_scheduler(p->scheduler, &what);
	if (r == 0)
		r = sec_ioprio(p, &what);
	if (r == 0 && c->plan->rq.target_pidfd >= 0)
		r = sec_affinity(&p->exec_affinity_final, &what);
	if (r == 0 && s->memory_policy)
		r = sec_mempolicy(s->memory_policy, &what);
	if (r == 0 && s->has_personality)
		r = sec_personality(s->personality, &what);
	return r < 0 ? err_sys(e, r, "%s", what ? what : "limits") : 0;
}

static int network(struct child *c, struct err *e)
{
	if (!(c->plan->new_ns & CLONE_NEWNET))
		return c->plan->net.n ? netdev_configure(&c->plan->net, e) : 0;
	int r = ns_loopback_up();
	if (r < 0)
		return err_sys(e, r, "the loopback interface of the new network namespace");
	return netdev_configure(&c->plan->net, e);
}

static int host_name(struct child *c, struct err *e)
{
	const struct oci_spec *s = c->plan->spec;

	if (s->hostname && c->plan->spec->ns[OCI_NS_UTS].listed && sethostname(s->hostname, strlen(s->hostname)) < 0)
		return err_sys(e, -errno, "hostname");
	if (s->domainname && c->plan->spec->ns[OCI_NS_UTS].listed && setdomainname(s->domainname, strlen(s->domainname)) < 0)
		return err_sys(e, -errno, "domainname");
	return 0;
}

/* --- files --- */

static int root(struct child *c, struct err *e)
{
	umask(0022);
	return c->plan->mounts ? mnt_root(&c->mnt, e) : 0;
}

static int mounts(struct child *c, struct err *e)
{
	return c->plan->mounts ? mnt_all(&c->mnt, e) : 0;
}

static int devices(struct child *c, struct err *e)
{
	return c->plan->mounts ? mnt_devices(&c->mnt, e) : 0;
}

static int notify_socket(struct child *c, struct err *e)
{
	return c->plan->mounts && c->plan->rq.notify_socket ? mnt_notify_socket(&c->mnt, c->plan->rq.notify_socket, e) : 0;
}

static int terminal(struct child *c, struct err *e)
{
	int r;

	if (!c->plan->process->terminal)
		return 0;
	r = tty_open(c, e);
	if (r == 0 && c->master >= 0)
		r = c->chan < 0 ? err_set(e, -EOPNOTSUPP, "process.terminal: a console socket is needed") : sync_send_fd(c->chan, SYNC_MASTER, c->master);
	return r == 0 && c->plan->mounts && c->plan->mnt.root ? mnt_console(&c->mnt, c->tty, e) : r;
}

static int working_folder(struct child *c, struct err *e)
{
	const char *cwd = c->plan->process->cwd;

	if (!c->plan->mounts || !c->plan->mnt.root || !cwd || streq(cwd, "/"))
		return 0;
	_cleanup_close_ int fd = path_make_dir(c->mnt.rootfd, cwd, 0755);
	return fd < 0 && fd != -EACCES && fd != -EROFS ? err_sys(e, fd, "process.cwd: %s", cwd) : 0;
}

static int sysctls(struct child *c, struct err *e)
{
	return c->plan->spec->sysctl.n ? sysctl_apply(c->plan->spec, c->procfd, e) : 0;
}

static int mask(struct child *c, struct err *e)
{
	return c->plan->mounts ? mnt_mask(&c->mnt, e) : 0;
}

static int seal(struct child *c, struct err *e)
{
	return c->plan->mounts ? mnt_seal(&c->mnt, e) : 0;
}

static int pivot(struct child *c, struct err *e)
{
	return c->plan->mounts ? mnt_pivot(&c->mnt, e) : 0;
}

static int use_terminal(struct child *c, struct err *e)
{
	fds_give_to_user(c);
	return c->tty >= 0 ? tty_use(c, e) : 0;
}

/* --- hooks --- */

static int hooks_of_runtime(struct child *c, struct err *e)
{
	const struct oci_hooks *h = c->plan->spec->hooks;
	struct sync_msg m;
	int r;

	if (!h[OCI_HOOK_PRESTART].n && !h[OCI_HOOK_CREATE_RUNTIME].n && !h[OCI_HOOK_CREATE_CONTAINER].n && !h[OCI_HOOK_START_CONTAINER].n)
		return 0;
	if (c->chan < 0)
		return err_set(e, -EOPNOTSUPP, "hooks are for containers");
	r = sync_send(c->chan, SYNC_HOOKS, 0, NULL);
	if (r < 0)
		return err_sys(e, r, "hooks");
	r = sync_expect(c->chan, SYNC_GO, &m, NULL, e);
	c->host_pid = m.value;
	return r;
}

static int hooks_of_container(struct child *c, struct err *e)
{
	return hooks_run(c->plan->spec, OCI_HOOK_CREATE_CONTAINER, &c->plan->state, "creating", c->host_pid, e);
}

static int hooks_of_start(struct child *c, struct err *e)
{
	return hooks_run(c->plan->spec, OCI_HOOK_START_CONTAINER, &c->plan->state, "created", c->host_pid, e);
}

/* --- what is given up --- */

static int labels(struct child *c, struct err *e)
{
	const struct oci_process *p = c->plan->process;
	const char *what = NULL;
	int r = 0;

	if (p->selinux_label)
		r = sec_selinux_exec(c->procfd, p->selinux_label, &what);
	if (r == 0 && p->apparmor_profile)
		r = sec_apparmor_exec(c->procfd, p->apparmor_profile, &what);
	if (r == 0 && c->plan->spec->landlock) {
		_cleanup_close_ int top = sys_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
		r = top < 0 ? top : sec_landlock(c->plan->spec->landlock, top, &what);
	}
	return r < 0 ? err_sys(e, r, "%s", what ? what : "security labels") : 0;
}

/* The agent is told by the parent, which takes the listener from us: under the filter we might not be able to. */
static int install_filter(struct child *c, struct err *e)
{
	struct sync_msg m;
	int fd = filter_install(&c->plan->filter), r = fd;

	if (fd < 0)
		return err_sys(e, fd, "linux.seccomp: loading the filter");
	c->filtered = true;
	if (!c->plan->spec->seccomp->notifies)
		return 0;
	if (c->chan < 0)
		return err_set(e, -EOPNOTSUPP, "linux.seccomp: SCMP_ACT_NOTIFY is for containers");
	r = sync_send(c->chan, SYNC_LISTENER, fd, NULL);
	if (r == 0)
		r = sync_expect(c->chan, SYNC_GO, &m, NULL, e);
	close(fd);
	return r < 0 && !(e && e->code) ? err_sys(e, r, "linux.seccomp: the listener") : r;
}

static int privileges(struct child *c, struct err *e)
{
	const struct oci_process *p = c->plan->process;
	const char *what = NULL;
	int r = 0;

	if (p->no_new_privileges)
		r = sec_no_new_privs(&what);
	else if (c->plan->filter.prog.len) { /* without no_new_privs it takes CAP_SYS_ADMIN, which is about to go */
		r = install_filter(c, e);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = sec_bounding(&p->caps, &what);
	if (r == 0)
		r = sec_user(&p->user, c->plan->keep_groups, &what);
	if (r == 0)
		r = sec_caps(&p->caps, &what);
	return r < 0 ? err_sys(e, r, "%s", what ? what : "privileges") : 0;
}

static int last_filter(struct child *c, struct err *e)
{
	return c->plan->filter.prog.len && !c->filtered ? install_filter(c, e) : 0;
}

/* --- the end --- */

/* The runtime has gone; the next one comes to the socket in the state directory. */
static int wait_at_socket(struct child *c, struct err *e)
{
	struct sync_msg m;
	int conn = -1;

	close(c->chan);
	c->chan = -1;
	for (;;) {
		conn = accept4(c->plan->rq.start_socket, NULL, NULL, SOCK_CLOEXEC);
		if (conn < 0 && errno != EINTR)
			return err_sys(e, -errno, "waiting to be started");
		if (conn < 0)
			continue;
		if (sync_recv(conn, &m, NULL) == SYNC_START)
			break;
		close(conn);
	}
	close(c->plan->rq.start_socket);
	c->chan = conn;
	return 0;
}

static int ready(struct child *c, struct err *e)
{
	struct sync_msg m;
	int r;

	if (c->chan < 0)
		return 0;
	r = sync_send(c->chan, SYNC_READY, 0, NULL);
	if (r < 0)
		return err_sys(e, r, "reporting");
	r = sync_recv(c->chan, &m, NULL);
	if (r == SYNC_DETACH)
		return wait_at_socket(c, e);
	return r == SYNC_START ? 0 : err_set(e, -EPIPE, "the runtime went away");
}

static int execute(struct child *c, struct err *e)
{
	execve(c->program, (char *const *)c->plan->process->args.v, (char *const *)c->plan->env);
	int r = -errno;
	if (r == -ENOEXEC)
		return err_set(e, r, "exec %s: exec format error (for another processor, or a script without a #! line)", c->program);
	if (r == -ENOENT)
		return err_set(e, r, "exec %s: no such file or directory (its interpreter or loader is missing)", c->program);
	return err_sys(e, r, "exec %s", c->program);
}

/* --- around it --- */

static void reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		if (s == SIGPIPE || s == SIGCHLD || s == SIGHUP) /* what shells and Python set to ignored; handlers were cleared by the clone */
			sigaction(s, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int child_begin(struct rt_plan *p, struct err *e)
{
	const char *what = NULL;

	reset_signals();
	if (!p->process->has_oom_score_adj)
		return 0;
	_cleanup_close_ int procfd = procfs_open(e);
	if (procfd < 0)
		return procfd;
	int r = sec_oom_score(procfd, p->process->oom_score_adj, &what);
	/* Lowering it is root's alone; an ordinary user's container keeps what the user has. */
	return r < 0 && !((r == -EACCES || r == -EPERM) && p->userns) ? err_sys(e, r, "process.oomScoreAdj") : 0;
}

static int run_steps(struct child *c, step_fn *const *steps, size_t n, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = steps[i](c, e);
	return r;
}

static int run(struct rt_plan *p, int *chan, struct err *e)
{
	struct child c = { .plan = p, .chan = *chan, .procfd = p->procfd, .tty = -1, .master = -1, .mnt = MNT_CHILD_INIT(&p->mnt) };
	int r;

	/* Not to be looked into by who is in the namespaces that we join; execve makes us ordinary again. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_sys(e, -errno, "PR_SET_DUMPABLE");
	if (p->rq.target_pidfd >= 0)
		r = run_steps(&c, new_process, ARRAY_SIZE(new_process), e);
	else
		r = run_steps(&c, new_container, ARRAY_SIZE(new_container), e);
	*chan = c.chan; /* it may be the one of `start` by now */
	return r;
}

int child_run(struct rt_plan *p, int chan, struct err *e)
{
	return run(p, &chan, e);
}

_Noreturn void child_main(struct rt_plan *p, int chan)
{
	_cleanup_err_ struct err e = { 0 };
	int r = run(p, &chan, &e);

	if (chan >= 0)
		sync_send(chan, SYNC_ERROR, r, err_text(&e));
	_exit(1);
}
