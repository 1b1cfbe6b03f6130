/* adopt.c: take over what a former rastd left.
 *
 * The records say what was running. A process is believed to be a service's when it lives and is in the service's cgroup. One that is gone
 * has its end reported by PID 1 (the reports are here already, or come within moments), and is only given up as lost when no report comes.
 * A start that was interrupted is told by its record: the intent without last_pid never happened; with last_pid it did, whatever became of
 * it. */
#include "supervisor/manager.h"

#include <string.h>
#include <sys/wait.h>

#define CHECK_AT_ONCE 32u
#define LOST_AFTER 1000000u /* us without a report of the end of a process that is gone */

/* Alive, or a zombie whose end somebody still has to report? */
static bool exists(pid_t pid)
{
	return kill(pid, 0) == 0 || errno == EPERM;
}

static bool is_zombie(pid_t pid)
{
	char path[32];
	_cleanup_free_ char *stat = NULL;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read(AT_FDCWD, path, 4096, &stat, NULL) < 0)
		return false;
	const char *p = strrchr(stat, ')');
	return p && p[1] == ' ' && p[2] == 'Z';
}

static bool reported(const struct manager *m, pid_t pid, uint64_t since)
{
	for (uint32_t k = 0; k < m->n_early; k++)
		if (m->early[k].pid == pid && m->early[k].time_us >= since)
			return true;
	return false;
}

/* Fill in the pid of a start that was interrupted between clone and the record. Returns false if there never was a process. */
static bool finish_start(struct manager *m, struct svc *s)
{
	struct state_record *rec = &m->st.rec[svc_index(&m->e, s)];
	bool main_due = s->r.state == ST_STARTING && !s->r.pid, aux_due = s->r.aux && !s->r.aux_pid;
	if (!main_due && !aux_due)
		return true;
	if (!rec->last_pid)
		return false;
	if (main_due)
		s->r.pid = rec->last_pid;
	else
		s->r.aux_pid = rec->last_pid;
	return true;
}

/* The intent is there and no process: do it now. */
static void start_again(struct manager *m, struct svc *s)
{
	enum proc_kind kind = s->r.aux ? (enum proc_kind)s->r.aux : PROC_MAIN;
	if (spawn_gather(&m->e, s, kind) == 0)
		s->spawning = 1;
}

/* Is the process alive and in the service's cgroup? One look at cgroup.procs answers both (a zombie is not in it), and a thousand services
 * have to be looked at before we can answer anybody. */
static bool lives_there(struct manager *m, const struct svc *s, pid_t pid)
{
	char path[NAME_LEN_MAX + 32], buf[4096], want[16];
	if (m->cg_fd < 0)
		return exists(pid) && !is_zombie(pid);
	snprintf(path, sizeof(path), "%s/cgroup.procs", nm(m, s));
	_cleanup_close_ int fd = sys_openat(m->cg_fd, path, O_RDONLY, 0);
	ssize_t n = fd < 0 ? 0 : sys_read(fd, buf, sizeof(buf) - 1);
	buf[MAX(n, 0)] = '\0';
	int len = snprintf(want, sizeof(want), "%d\n", pid);
	for (const char *p = buf; (p = strstr(p, want)); p += len)
		if (p == buf || p[-1] == '\n')
			return true;
	/* in a child cgroup of its own making, or behind the first page of a crowd */
	return exists(pid) && !is_zombie(pid) && cgroups_has(m, s, pid);
}

/* Whose child is it? Ours after a re-exec; PID 1's else; a main process that was named by MAINPID= may have another parent, and is watched
 * then. */
static void find_parent(struct manager *m, struct svc *s, pid_t pid)
{
	pid_t parent = 1;
	s->adopted = 1;
	if (!m->have_children && m->p1_fd >= 0 && s->def->notify != NOTIFY_SOCKET)
		return;
	if (proc_parent(pid, &parent) == 0 && parent == getpid())
		s->adopted = 0;
	else if (m->p1_fd < 0 || parent != 1)
		exits_watch(m, s);
}

/* Had a child of PID 1 ended, PID 1 would have told us: its pid can't be another's as long as there is no report. So that clients are
 * answered soon these are looked at closely a little later, when nothing else is to be done (check_some). */
static bool sure(const struct manager *m, const struct svc *s)
{
	return m->p1_fd < 0 || m->have_children || s->def->notify == NOTIFY_SOCKET || s->r.state != ST_UP;
}

static int check_some(void *data)
{
	struct manager *m = data;
	unsigned n = 0;
	for (uint32_t i = m->check_from; i < m->e.n && n < CHECK_AT_ONCE; i++, m->check_from = i) {
		struct svc *s = &m->e.s[i];
		if (!s->unchecked)
			continue;
		n++;
		s->unchecked = 0;
		if (s->r.pid && s->adopted && !(s->awaited & 1) && exists(s->r.pid) && !lives_there(m, s, s->r.pid) && !is_zombie(s->r.pid))
			exits_lost(m, s, false);
	}
	return n == CHECK_AT_ONCE ? loop_defer(m->loop, check_some, m) : 0;
}

static void take_process(struct manager *m, struct svc *s, bool aux)
{
	pid_t pid = aux ? s->r.aux_pid : s->r.pid;
	if (!pid)
		return;
	pidmap_put(&m->pids, pid, svc_index(&m->e, s), aux);
	if (!sure(m, s)) {
		s->unchecked = 1;
		m->n_unchecked++;
	}
	if (s->unchecked ? exists(pid) : lives_there(m, s, pid)) {
		if (!aux)
			find_parent(m, s, pid);
		return;
	}
	if (reported(m, pid, s->r.started))
		return;
	if (exists(pid) && !is_zombie(pid)) { /* another process has the pid by now */
		log_debug("service '%s': pid %d belongs to somebody else now", nm(m, s), pid);
		exits_lost(m, s, aux);
		return;
	}
	s->awaited |= aux ? 2 : 1; /* a zombie of ours or PID 1's, or a report that is under way */
	m->n_awaited++;
}

static int on_lost(struct timer *t, void *data)
{
	struct manager *m = data;
	for (uint32_t i = 0; i < m->e.n; i++) {
		struct svc *s = &m->e.s[i];
		uint8_t awaited = s->awaited;
		s->awaited = 0;
		if ((awaited & 1) && s->r.pid && !exists(s->r.pid))
			exits_lost(m, s, false);
		if ((awaited & 2) && s->r.aux_pid && !exists(s->r.aux_pid))
			exits_lost(m, s, true);
	}
	return 0;
}

/* Ready without a sign, since the program runs: what a vfork would have told, had its parent lived. */
static void finish_exec(struct manager *m, struct svc *s)
{
	struct state_record *rec = &m->st.rec[svc_index(&m->e, s)];
	if (s->r.state != ST_STARTING || !s->r.pid || s->spawning || rec->spawn_err || s->def->notify != NOTIFY_NONE ||
		s->def->type != SVC_LONGRUN)
		return;
	if (exists(s->r.pid) && !is_zombie(s->r.pid))
		engine_event(&m->e, s, EV_EXEC_OK);
}

static bool has_intent(const struct svc *s)
{
	return s->r.state == ST_PRE_START || s->r.state == ST_STARTING || s->r.aux;
}

int adopt_all(struct manager *m)
{
	unsigned n = 0;
	siginfo_t si;
	m->have_children = sys_waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) != -ECHILD;
	for (uint32_t i = 0; i < m->e.n; i++) {
		struct svc *s = &m->e.s[i];
		if (svc_is_group(s))
			continue;
		if (has_intent(s) && !finish_start(m, s))
			start_again(m, s);
		n += s->r.pid != 0;
		take_process(m, s, false);
		take_process(m, s, true);
		finish_exec(m, s);
	}
	said_adopt(m);
	engine_resume(&m->e);
	for (uint32_t i = 0; i < m->e.n; i++)
		reload_resume(m, &m->e.s[i]);
	cgroups_settle(m);
	timer_init(&m->lost_timer, on_lost, m);
	if (m->n_awaited)
		timer_arm_in(m->loop, &m->lost_timer, LOST_AFTER);
	m->check_from = 0;
	if (m->n_unchecked)
		loop_defer(m->loop, check_some, m);
	log_notice("instance %u of the supervisor has taken over %u processes", m->st.boot.instance, n);
	manager_schedule(m);
	return 0;
}
