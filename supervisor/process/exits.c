/* exits.c: hear of the ends of processes.
 *
 * Our own children: look (WNOWAIT), write the consequence into the record, then reap. Processes that a former rastd started belong to PID
 * 1, which reports them. A main process that is neither's child (MAINPID=, or adopted without PID 1) is watched by its pidfd; how it ended
 * is then told by PID 1's report, if one comes. */
#include "supervisor/manager.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void main_ended(struct manager *m, struct svc *s, int code, int status)
{
	struct state_record *rec = &m->st.rec[svc_index(&m->e, s)];
	bool not_executed = rec->spawn_err && rec->last_pid == s->r.pid;
	if (!not_executed)
		spawn_executed(m, s);
	s->r.pid = 0;
	s->adopted = 0;
	notify_forget(m, s);
	if (not_executed) {
		spawn_exec_failed(m, s, PROC_MAIN);
		return;
	}
	s->r.exit_code = (uint8_t)code;
	s->r.exit_status = (uint8_t)status;
	s->dirty = 1;
	log_debug("service '%s': main process ended (code %d, status %d)", nm(m, s), code, status);
	engine_event(&m->e, s, EV_MAIN_EXIT);
}

static void aux_ended(struct manager *m, struct svc *s, int code, int status)
{
	static const char *const names[] = {"", "", "pre-start", "exec-stop", "post-stop", "exec-reload"};
	enum proc_kind kind = s->r.aux;
	struct state_record *rec = &m->st.rec[svc_index(&m->e, s)];
	bool not_executed = rec->spawn_err && rec->last_pid == s->r.aux_pid;
	s->r.aux_pid = 0;
	if (not_executed) {
		m->jobs_dirty = true;
		spawn_exec_failed(m, s, kind);
		return;
	}
	s->r.aux = PROC_NONE;
	s->aux_code = (uint8_t)code;
	s->aux_status = (uint8_t)status;
	s->dirty = 1;
	if ((code != CLD_EXITED || status) && kind < ARRAY_SIZE(names))
		log_warning("service '%s': %s %s %d", nm(m, s), names[kind],
			code == CLD_EXITED ? "exited with status" : "was killed by signal", status);
	if (kind == PROC_RELOAD && s->ext)
		timer_disarm(m->loop, &s->ext->reload_timer);
	m->jobs_dirty = true; /* the end of exec-reload changes no state, but somebody waits for it */
	engine_event(&m->e, s, EV_AUX_EXIT);
}

static bool child_ended(struct manager *m, pid_t pid, int code, int status)
{
	for (struct child **p = &m->children; *p; p = &(*p)->next)
		if ((*p)->pid == pid) {
			struct child *c = *p;
			*p = c->next;
			if (c->cb)
				c->cb(m, code, status, c->data);
			free(c);
			return true;
		}
	return false;
}

static void ended(struct manager *m, pid_t pid, int code, int status)
{
	uint32_t i;
	bool aux;
	if (!pidmap_get(&m->pids, pid, &i, &aux)) {
		child_ended(m, pid, code, status);
		return;
	}
	struct svc *s = &m->e.s[i];
	pidmap_del(&m->pids, pid);
	if (aux)
		aux_ended(m, s, code, status);
	else
		main_ended(m, s, code, status);
	manager_schedule(m);
}

/* Look at one that has ended, see to what follows from it, and reap it. False: there is none. */
static bool reap_one(struct manager *m, idtype_t type, pid_t pid, bool at_once)
{
	siginfo_t si = {0}, gone;
	if (sys_waitid(type, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || !si.si_pid)
		return false;
	FAULT_POINT("exit-seen");
	ended(m, si.si_pid, si.si_code, si.si_status);
	FAULT_POINT("exit-recorded");
	if (at_once)
		manager_run_now(m);
	sys_waitid(P_PID, (id_t)si.si_pid, &gone, WEXITED | WNOHANG);
	return true;
}

void exits_reap(struct manager *m)
{
	while (reap_one(m, P_ALL, 0, false))
		;
}

void exits_report(struct manager *m, pid_t pid, int code, int status)
{
	ended(m, pid, code, status);
}

void exits_lost(struct manager *m, struct svc *s, bool aux)
{
	log_warning("service '%s': process %d ended while nobody watched", nm(m, s), aux ? s->r.aux_pid : s->r.pid);
	pidmap_del(&m->pids, aux ? s->r.aux_pid : s->r.pid);
	if (aux)
		aux_ended(m, s, CLD_EXITED, 0);
	else
		main_ended(m, s, CLD_KILLED, SIGKILL);
	manager_schedule(m);
}

/* --- processes that are not our children --- */

static void unwatch(struct svc_ext *x)
{
	loop_remove_fd(x->main_source);
	closep(&x->main_pidfd);
	x->main_source = NULL;
	x->main_pidfd = -1;
}

/* It has ended. Its parent, or PID 1, has its status; PID 1's report usually is in the socket already or comes at once. */
static int on_pidfd(struct source *src, int fd, uint32_t events, void *data)
{
	struct svc_ext *x = data;
	struct svc *s = ext_svc(x);
	struct manager *m = x->manager;
	if (!x->waited_once && m->p1_fd >= 0) { /* give the report 50 ms: pidfds become readable before it is sent */
		x->waited_once = true;
		loop_modify_fd(x->main_source, 0);
		return timer_arm_in(m->loop, &x->lost_timer, 50000);
	}
	unwatch(x);
	if (s->r.pid)
		exits_lost(m, s, false);
	return 0;
}

static int on_lost_timer(struct timer *t, void *data)
{
	struct svc_ext *x = data;
	struct svc *s = ext_svc(x);
	unwatch(x);
	if (s->r.pid) /* perhaps still a zombie whose parent takes its time: ended all the same */
		exits_lost(x->manager, s, false);
	return 0;
}

int exits_watch(struct manager *m, struct svc *s)
{
	struct svc_ext *x = manager_ext(m, s);
	if (!x)
		return -ENOMEM;
	unwatch(x);
	timer_disarm(m->loop, &x->lost_timer);
	timer_init(&x->lost_timer, on_lost_timer, x);
	x->waited_once = false;
	x->main_pidfd = sys_pidfd_open(s->r.pid, 0);
	if (x->main_pidfd < 0)
		return x->main_pidfd;
	return loop_add_fd(m->loop, x->main_pidfd, EPOLLIN, on_pidfd, x, &x->main_source);
}

void exits_unwatch(struct manager *m, struct svc *s)
{
	if (!s->ext)
		return;
	unwatch(s->ext);
	timer_disarm(m->loop, &s->ext->lost_timer);
}

/* The one that the signal names is seen to first, and what is to be started for it is started before the dead one is buried, its end is logged, and
 * the others are looked for (which takes the longer the more children there are). A restart is as quick as that. */
static int on_sigchld(const struct signalfd_siginfo *si, void *data)
{
	struct manager *m = data;
	log_hold(true);
	reap_one(m, P_PID, (pid_t)si->ssi_pid, true);
	log_hold(false);
	exits_reap(m);
	return 0;
}

int exits_init(struct manager *m)
{
	return loop_add_signal(m->loop, SIGCHLD, on_sigchld, m);
}
