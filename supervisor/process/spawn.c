/* spawn.c: start the processes that the engine has asked for.
 *
 * The order of what is written down, for each: the intent (state, time; last_pid zero) before the clone; last_pid by the kernel before the
 * child runs; the pid after the clone. Whenever rastd is killed, the next one finds either no process and the intent, or a process whose
 * pid it can read. The child shares our memory until it executes its program (CLONE_VM | CLONE_VFORK, about a third cheaper than copying
 * page tables). We sleep meanwhile; a program that is slow to be executed (disk, terminal, network file system) gets a forked child
 * instead, and we go on. */
#include "supervisor/process/plan.h"

#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#define NO_VFORK 1 /* clone3_vfork() is not written for this processor: children are forked */
#endif
#define CHILD_STACK (64u << 10)
#define SLOW_SPAWN 20000u       /* us: starting took longer than this, and the disk was read: it is busy */
#define VERY_SLOW_SPAWN 250000u /* us: whatever it was (a network file system tells nothing) */
#define SLOW_FOR 2000000u       /* us: then fork for this long */

void spawn_init(struct manager *m)
{
	struct rlimit all;
	m->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (m->null_fd < 0) /* no /dev yet? then at least something that reads as empty */
		m->null_fd = open("/", O_RDONLY | O_CLOEXEC);
	m->child_stack = mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (m->child_stack == MAP_FAILED)
		m->child_stack = NULL;
#ifdef NO_VFORK
	m->child_stack = NULL;
#endif
	m->out_slot = -1;
	if (close_range(~0u, ~0u, CLOSE_RANGE_UNSHARE) == 0) /* Linux 5.9; nothing is open up there */
		m->out_slot = fcntl(m->null_fd, F_DUPFD_CLOEXEC, 3);
	getrlimit(RLIMIT_NOFILE, &m->nofile);
	all = m->nofile;
	all.rlim_cur = all.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &all) < 0)
		log_debug("can't raise the limit of open files: %m");
	all = (struct rlimit){1u << 20, 1u << 20};
	if (m->nofile.rlim_max < 1u << 20 && setrlimit(RLIMIT_NOFILE, &all) < 0)
		log_debug("can't raise the hard limit of open files: %m");
}

int spawn_gather(struct engine *e, struct svc *s, enum proc_kind kind)
{
	struct manager *m = engine_manager(e);
	if (m->n_pend == m->cap_pend) {
		uint32_t cap = m->cap_pend ? m->cap_pend * 2 : 64;
		struct pend *p = realloc(m->pend, cap * sizeof(*p));
		if (!p)
			return -ENOMEM;
		m->pend = p;
		m->cap_pend = cap;
	}
	m->pend[m->n_pend++] = (struct pend){svc_index(e, s), kind};
	/* Now, before the new state is committed: a successor must not take the pid of the last run for the new one's. */
	m->st.rec[svc_index(e, s)].last_pid = 0;
	m->st.rec[svc_index(e, s)].spawn_err = 0;
	manager_schedule(m);
	return 0;
}

/* --- the clone --- */

/* clone3 with a stack of its own for the child, which calls plan_child() and never comes back. Returns the pid or a negative errno.
 * Written out since libc has no wrapper for clone3, and its clone() knows no cgroup. */
#ifdef NO_VFORK
#define clone3_vfork clone_fork /* never called: there is no stack for it */
#elif defined(__x86_64__)
static long clone3_vfork(struct clone_args *a, struct plan *p)
{
	long r;
	register void *plan __asm__("r12") = p;
	register int (*run)(void *) __asm__("r13") = plan_child;
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r12, %%rdi\n\t"
			 "call *%%r13\n\t"
			 "ud2\n"
			 "1:"
			 : "=a"(r)
			 : "0"((long)SYS_clone3), "D"(a), "S"(sizeof(*a)), "r"(plan), "r"(run)
			 : "rcx", "r11", "memory");
	return r;
}
#else
static long clone3_vfork(struct clone_args *a, struct plan *p)
{
	register long x8 __asm__("x8") = SYS_clone3;
	register long x0 __asm__("x0") = (long)a;
	register long x1 __asm__("x1") = sizeof(*a);
	register void *plan __asm__("x19") = p;
	register int (*run)(void *) __asm__("x20") = plan_child;
	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "mov x0, x19\n\t"
			 "blr x20\n\t"
			 "brk #1\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(plan), "r"(run)
			 : "x30", "memory");
	return x0;
}
#endif

static long clone_fork(struct clone_args *a, struct plan *p)
{
	long pid = sys_clone3(a, sizeof(*a));
	if (pid == 0)
		plan_child(p);
	return pid;
}

static long clone_once(struct manager *m, struct plan *p, volatile int32_t *tid, int cgroup, bool vforked)
{
	struct clone_args a = {
		.flags = CLONE_PARENT_SETTID | CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD, .parent_tid = (uint64_t)(uintptr_t)tid};
	if (cgroup >= 0) {
		a.flags |= CLONE_INTO_CGROUP;
		a.cgroup = (uint64_t)cgroup;
	}
	if (!vforked)
		return clone_fork(&a, p);
	a.flags |= CLONE_VM | CLONE_VFORK | (p->own_fds ? CLONE_FILES : 0);
	a.stack = (uint64_t)(uintptr_t)m->child_stack;
	a.stack_size = CHILD_STACK;
	return clone3_vfork(&a, p);
}

/* With the child in its cgroup from birth where the kernel can; else it joins before anything else. */
static long clone_child(struct manager *m, struct plan *p, volatile int32_t *tid, int cgroup, bool vforked)
{
	_cleanup_close_ int join = -1;
	if (cgroup >= 0 && !m->no_into_cgroup) {
		long r = clone_once(m, p, tid, cgroup, vforked);
		if (r != -EINVAL && r != -ENOSYS && r != -E2BIG && r != -EOPNOTSUPP)
			return r;
		log_notice("clone3 can't start processes in their cgroup (%s): they join it by themselves", strerror((int)-r));
		m->no_into_cgroup = true;
	}
	p->own_fds = 0; /* else the descriptor would not get there */
	if (cgroup >= 0)
		p->join_fd = join = sys_openat(cgroup, "cgroup.procs", O_WRONLY, 0);
	return clone_once(m, p, tid, -1, vforked);
}

/* --- one process --- */

static struct state_record *record(struct manager *m, const struct svc *s)
{
	return &m->st.rec[svc_index(&m->e, s)];
}

static void failed(struct manager *m, struct svc *s, enum proc_kind kind, unsigned step, int err)
{
	const char *prog = "", *sep = "";
	struct gstrv argv = plan_argv(&m->e, s, kind);
	const gref *first = argv.n ? graph_at(m->g, argv.off) : NULL;
	if (step == STEP_EXEC && first) {
		prog = graph_str(m->g, *first);
		sep = " ";
	}
	log_err("service '%s': %s%s%s: %s", nm(m, s), spawn_step_name(step), sep, prog, strerror(err));
	if (kind == PROC_MAIN || kind == PROC_PRE_START) {
		bool later = step == STEP_CLONE && (err == EAGAIN || err == ENOMEM);
		s->r.why = later || step == STEP_MEMORY ? WHY_SPAWN : WHY_EXEC;
		s->r.why_step = (uint8_t)step;
		s->r.why_kind = (uint8_t)kind;
		s->r.why_arg = (uint32_t)err;
	}
	s->r.aux_pid = kind == PROC_MAIN ? s->r.aux_pid : 0;
	s->dirty = 1;
	engine_event(&m->e, s, EV_EXEC_FAIL);
}

void spawn_exec_failed(struct manager *m, struct svc *s, enum proc_kind kind)
{
	uint32_t err = record(m, s)->spawn_err;
	failed(m, s, kind, err >> 16, (int)(err & 0xffff));
}

static void close_report(struct svc_ext *x)
{
	loop_remove_fd(x->exec_source);
	x->exec_source = NULL;
	close(x->exec_fd);
	x->exec_fd = -1;
}

void spawn_executed(struct manager *m, struct svc *s)
{
	if (!s->ext || s->ext->exec_fd < 0)
		return;
	close_report(s->ext);
	engine_event(&m->e, s, EV_EXEC_OK);
}

/* A forked child's report pipe: closed without a word by a successful exec. */
static int on_exec(struct source *src, int fd, uint32_t events, void *data)
{
	struct svc_ext *x = data;
	struct manager *m = x->manager;
	struct svc *s = ext_svc(x);
	close_report(x);
	if (!record(m, s)->spawn_err)
		manager_deliver(m, s, EV_EXEC_OK);
	return 0;
}

static int watch_exec(struct manager *m, struct svc *s, int fd)
{
	struct svc_ext *x = manager_ext(m, s);
	if (!x)
		return -ENOMEM;
	if (x->exec_fd >= 0) /* of a former process; nobody waits for it any more */
		close_report(x);
	x->exec_fd = fd;
	x->exec_source = NULL;
	return loop_add_fd(m->loop, fd, EPOLLIN, on_exec, x, &x->exec_source);
}

static bool use_fork(struct manager *m, struct svc *s, const struct plan *p)
{
	return !m->child_stack || p->late || p->tty || p->root || p->cwd || m->slow_until > now_us();
}

static void begun(struct manager *m, struct svc *s, enum proc_kind kind, pid_t pid)
{
	if (kind == PROC_MAIN)
		s->r.pid = pid;
	else
		s->r.aux_pid = pid;
	m->begun_since_idle++;
	s->dirty = 1;
	s->adopted = kind == PROC_MAIN ? 0 : s->adopted;
	if (pidmap_put(&m->pids, pid, svc_index(&m->e, s), kind != PROC_MAIN) < 0)
		log_err("service '%s': no memory to remember pid %d", nm(m, s), pid); /* found again by its cgroup when it ends */
}

static int renew_cgroup(struct manager *m, struct svc *s, struct plan *p)
{
	closep(&p->cgroup);
	cgroups_drop(m, s);
	p->kept = false;
	p->cgroup = cgroups_open(m, s);
	return MIN(p->cgroup, 0);
}

/* Linux from 6.14 on kills at birth what is born into a cgroup that cgroup.kill was ever written to, when its parent lives in another one
 * (kernel/cgroup/cgroup.c, cgroup_css_set_fork(): kill_seq is the parent's). We don't keep a cgroup that we have killed; if somebody else has, we
 * see a child that never ran. */
static long clone_vforked(struct manager *m, struct svc *s, struct plan *p)
{
	struct state_record *rec = record(m, s);
	long pid = clone_child(m, p, &rec->last_pid, p->cgroup, true);
	if (pid <= 0 || p->ran || !p->kept)
		return pid;
	siginfo_t si;
	sys_waitid(P_PID, (id_t)pid, &si, WEXITED);
	rec->last_pid = 0;
	int r = renew_cgroup(m, s, p);
	return r < 0 ? r : clone_child(m, p, &rec->last_pid, p->cgroup, true);
}

static void start_forked(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p)
{
	int fds[2];
	int r = sys_pipe2(fds, O_CLOEXEC);
	if (r < 0) {
		failed(m, s, kind, STEP_CLONE, -r);
		return;
	}
	p->report_fd = fds[1];
	if (p->kept) /* nothing would tell that it never ran */
		(void)renew_cgroup(m, s, p);
	long pid = clone_child(m, p, &record(m, s)->last_pid, p->cgroup, false);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		failed(m, s, kind, STEP_CLONE, (int)-pid);
		return;
	}
	begun(m, s, kind, (pid_t)pid);
	if (kind == PROC_MAIN && watch_exec(m, s, fds[0]) == 0) {
		m->e.ops->commit(&m->e, s);
		return;
	}
	close(fds[0]);
	engine_event(&m->e, s, EV_EXEC_OK);
}

/* A machine whose processors are busy makes every start slow, and forking would only add to its work: what is worth going on meanwhile is a
 * disk. */
static bool was_slow(pid_t pid, uint64_t took)
{
	char path[32];
	_cleanup_free_ char *io = NULL;
	const char *p;
	if (took <= SLOW_SPAWN || took > VERY_SLOW_SPAWN)
		return took > VERY_SLOW_SPAWN;
	snprintf(path, sizeof(path), "/proc/%d/io", (int)pid);
	if (file_read(AT_FDCWD, path, 4096, &io, NULL) < 0 || !(p = strstr(io, "\nread_bytes: ")))
		return true; /* a kernel without I/O accounting */
	return p[strlen("\nread_bytes: ")] != '0';
}

/* The plain case, which is nearly every service: nothing but 0, 1 and 2, from low numbers. The child begins with our table of descriptors and copies the few
 * below own_fds, not the thousands. We sleep meanwhile, so nobody changes the table. */
static void share_files(struct manager *m, struct plan *p)
{
	if (m->out_slot < 0 || p->n_extra || p->notify_fd >= 0 || p->in != m->null_fd || m->no_into_cgroup)
		return;
	if (p->out > m->out_slot) {
		if (dup3(p->out, m->out_slot, O_CLOEXEC) < 0)
			return;
		p->out = m->out_slot;
	}
	p->own_fds = (unsigned)MAX(m->out_slot, p->in) + 1;
}

static void unshare_files(struct manager *m, const struct plan *p)
{
	if (m->out_slot >= 0 && p->out == m->out_slot)
		(void)dup3(m->null_fd, m->out_slot, O_CLOEXEC);
}

static void start_vforked(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p)
{
	struct state_record *rec = record(m, s);
	uint64_t before = now_us();
	share_files(m, p);
	long pid = clone_vforked(m, s, p);
	FAULT_POINT("cloned");
	unshare_files(m, p);
	if (pid < 0) {
		failed(m, s, kind, STEP_CLONE, (int)-pid);
		return;
	}
	uint64_t after = now_us();
	if (was_slow((pid_t)pid, after - before))
		m->slow_until = after + SLOW_FOR;
	if (rec->spawn_err) {
		siginfo_t si;
		sys_waitid(P_PID, (id_t)pid, &si, WEXITED);
		spawn_exec_failed(m, s, kind);
		return;
	}
	begun(m, s, kind, (pid_t)pid);
	engine_event(&m->e, s, EV_EXEC_OK);
	FAULT_POINT("started");
}

static void start_one(struct manager *m, struct svc *s, enum proc_kind kind)
{
	struct plan p;
	enum spawn_step step;
	struct state_record *rec = record(m, s);
	rec->last_pid = 0;
	rec->spawn_err = 0;
	m->e.ops->commit(&m->e, s);
	FAULT_POINT("intent");
	int r = plan_make(m, s, kind, &p, &step);
	p.err = &rec->spawn_err;
	if (r < 0)
		failed(m, s, kind, step, -r);
	else if (use_fork(m, s, &p))
		start_forked(m, s, kind, &p);
	else
		start_vforked(m, s, kind, &p);
	plan_done(&p);
}

void spawn_flush(struct engine *e)
{
	struct manager *m = engine_manager(e);
	if (!m->n_pend)
		return;
	output_prepare(m, m->pend, m->n_pend);
	FAULT_POINT("prepared");
	for (uint32_t k = 0; k < m->n_pend; k++) { /* more may be gathered meanwhile */
		struct pend p = m->pend[k];
		e->s[p.i].spawning = 0;
		start_one(m, &e->s[p.i], p.kind);
	}
	m->n_pend = 0;
}

/* --- programs of our own --- */

int spawn_helper_tty(
	struct manager *m, char *const argv[], const char *tty, void (*cb)(struct manager *m, int code, int status, void *data), void *data)
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", term[] = "TERM=vt220",
		    home[] = "HOME=/root";
	static char *env[] = {path, term, home, NULL};
	volatile uint32_t err = 0;
	volatile int32_t tid = 0;
	struct plan p = {.argv = (char **)(uintptr_t)argv,
		.env = {.v = env, .n = ARRAY_SIZE(env) - 1},
		.cgroup = -1,
		.own_stdin = -1,
		.path = path + 5,
		.in = m->null_fd,
		.out = STDERR_FILENO,
		.notify_fd = -1,
		.join_fd = -1,
		.report_fd = -1,
		.nice = INT32_MIN,
		.umask = -1,
		.n_groups = -1,
		.err = &err,
		.tty = tty,
		.tty_stdio = tty != NULL};
	struct child *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	long pid = clone_child(m, &p, &tid, -1, m->child_stack != NULL);
	if (pid >= 0 && err) {
		siginfo_t si;
		sys_waitid(P_PID, (id_t)pid, &si, WEXITED);
		pid = -(long)(err & 0xffff);
	}
	if (pid < 0) {
		free(c);
		return (int)pid;
	}
	*c = (struct child){.pid = (pid_t)pid, .cb = cb, .data = data, .next = m->children};
	m->children = c;
	return 0;
}

int spawn_helper(struct manager *m, char *const argv[], void (*cb)(struct manager *m, int code, int status, void *data), void *data)
{
	return spawn_helper_tty(m, argv, NULL, cb, data);
}
