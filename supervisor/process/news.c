/* news.c: what a message of sd_notify(3) may say, line by line. What is not known here is none of the service's business with us: it is ignored, as the
 * manual page has it; what is known and can't be had is refused aloud. */
#include "supervisor/process/notify.h"

#include <string.h>
#include <sys/stat.h>

static void on_ready(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	if (!streq(v, "1") || reload_ready(m, s) || s->def->notify != NOTIFY_SOCKET)
		return;
	engine_event(&m->e, s, EV_READY);
	if (s->ext && s->ext->watchdog && s->r.state == ST_UP) /* said before it was ready */
		engine_watchdog(&m->e, s, s->ext->watchdog);
	manager_schedule(m);
}

static void on_reloading(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	if (streq(v, "1"))
		reload_says(m, s, n->when);
}

static void on_stopping(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	if (streq(v, "1"))
		manager_deliver(m, s, EV_STOPPING);
}

static void on_status(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	said_status(m, s, v);
}

static void on_errno(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	char text[160];
	uint64_t number;
	if (parse_u64(v, &number) < 0 || number > 4095) { /* MAX_ERRNO of include/linux/err.h */
		log_warning("service '%s': ERRNO=%.80s is no error number", nm(m, s), v);
		return;
	}
	snprintf(text, sizeof(text), "%s (errno %u)", strerror((int)number), (unsigned)number);
	said_error(m, s, number ? text : "");
}

static void on_named_error(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	said_error(m, s, v);
}

static void on_extend(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	uint64_t us, now = now_us();
	if (parse_u64(v, &us) < 0 || us > UINT64_MAX / 2) {
		log_warning("service '%s': EXTEND_TIMEOUT_USEC=%.80s is no number of microseconds", nm(m, s), v);
		return;
	}
	if (s->r.state == ST_UP) {
		reload_extend(m, s, now + us);
		return;
	}
	if (!s->r.deadline || s->r.state == ST_BACKOFF || s->r.state == ST_KILLING)
		return;
	if (now + us > s->r.deadline)
		engine_extend(&m->e, s, now + us);
	manager_schedule(m);
}

static uint64_t watchdog_of(struct manager *m, const struct svc *s)
{
	return s->ext && s->ext->watchdog ? s->ext->watchdog : cfg(&m->e, s)->watchdog;
}

static void on_watchdog(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	if (s->r.state != ST_UP)
		return;
	if (streq(v, "trigger"))
		engine_bite(&m->e, s);
	else if (streq(v, "1") && svc_has(s, F_WD_ON))
		engine_extend(&m->e, s, now_us() + watchdog_of(m, s));
	else if (!streq(v, "1"))
		log_warning("service '%s': WATCHDOG=%.80s is neither 1 nor trigger", nm(m, s), v);
	manager_schedule(m);
}

static void on_watchdog_usec(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	uint64_t us;
	if (parse_u64(v, &us) < 0) {
		log_warning("service '%s': WATCHDOG_USEC=%.80s is no number of microseconds", nm(m, s), v);
		return;
	}
	said_watchdog(m, s, us ? us : NEVER);
	if (s->r.state == ST_UP)
		engine_watchdog(&m->e, s, watchdog_of(m, s));
	manager_schedule(m);
}

/* --- the main process --- */

/* It has to be the service's: 0, 1 and strangers are not. */
static void take_main(struct manager *m, struct svc *s, pid_t pid, struct news *n)
{
	if (pid < 2 || pid == getpid() || pid == s->r.pid)
		return;
	if (m->cg_fd < 0 || cgroups_find(m, pid) != n->i) {
		log_warning("service '%s': MAINPID=%d is not a process of it: ignored", nm(m, s), pid);
		return;
	}
	pid_t parent = 0;
	if (s->r.pid)
		pidmap_del(&m->pids, s->r.pid);
	s->r.pid = (int32_t)pid;
	pidmap_put(&m->pids, s->r.pid, n->i, false);
	m->e.ops->commit(&m->e, s);
	s->adopted = proc_parent(s->r.pid, &parent) < 0 || parent != getpid();
	if (s->adopted)
		exits_watch(m, s);
}

static void on_mainpid(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	uint64_t pid;
	if (parse_u64(v, &pid) < 0 || pid > INT32_MAX)
		log_warning("service '%s': MAINPID=%.80s is no process", nm(m, s), v);
	else if (n->pidfd_checked)
		take_main(m, s, (pid_t)pid, n);
	else
		log_warning("service '%s': MAINPID=%.80s is another process than MAINPIDFDID= says: ignored", nm(m, s), v);
}

/* The process of a pidfd: its fdinfo has a line "Pid:", pidfd_open(2). */
static pid_t pid_of(int pidfd)
{
	char path[48];
	_cleanup_free_ char *text = NULL;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	const char *line = file_read(AT_FDCWD, path, 4096, &text, NULL) < 0 ? NULL : strstr(text, "\nPid:");
	return line ? atoi(line + strlen("\nPid:")) : -1;
}

static void on_mainpidfd(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	pid_t pid = n->n_fds == 1 ? pid_of(n->fds[0]) : -1;
	if (pid < 2)
		log_warning("service '%s': MAINPIDFD=1 has to come with one descriptor of a process", nm(m, s));
	else
		take_main(m, s, pid, n);
}

/* --- descriptors --- */

static void on_fdstore(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	if (streq(v, "1"))
		fdstore_add(m, s, n);
}

static void on_fdremove(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	if (streq(v, "1"))
		fdstore_remove(m, s, n->fdname);
}

/* Messages are read in their order, and what came with one is closed when it has been dealt with: that is the answer. */
static void on_barrier(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	if (n->n_fds != 1)
		log_warning("service '%s': BARRIER=1 has to come with one descriptor, and came with %zu", nm(m, s), n->n_fds);
}

static void on_access(struct manager *m, struct svc *s, const char *v, struct news *n)
{
	log_warning("service '%s': NOTIFYACCESS=%.80s is refused: who may speak is said by notify-access in its file", nm(m, s), v);
}

/* --- lines --- */

static const struct line {
	const char *key;
	void (*run)(struct manager *m, struct svc *s, const char *v, struct news *n);
} lines[] = {
	{"READY", on_ready},
	{"RELOADING", on_reloading},
	{"STOPPING", on_stopping},
	{"STATUS", on_status},
	{"ERRNO", on_errno},
	{"BUSERROR", on_named_error},
	{"VARLINKERROR", on_named_error},
	{"EXTEND_TIMEOUT_USEC", on_extend},
	{"WATCHDOG", on_watchdog},
	{"WATCHDOG_USEC", on_watchdog_usec},
	{"MAINPID", on_mainpid},
	{"MAINPIDFD", on_mainpidfd},
	{"FDSTORE", on_fdstore},
	{"FDSTOREREMOVE", on_fdremove},
	{"BARRIER", on_barrier},
	{"NOTIFYACCESS", on_access},
};

static bool may_tell(struct manager *m, const struct svc *s, const struct news *n)
{
	switch (cfg(&m->e, s)->notify_access) {
	case ACCESS_NONE:
		return false;
	case ACCESS_MAIN:
		return n->is_main || n->pid == s->r.aux_pid;
	default:
		return true;
	}
}

static void run_line(struct manager *m, struct svc *s, char *line, struct news *n)
{
	char *v = strchr(line, '=');
	if (!v)
		return;
	*v++ = '\0';
	for (size_t k = 0; k < ARRAY_SIZE(lines); k++)
		if (streq(line, lines[k].key))
			lines[k].run(m, s, v, n);
}

/* The value of a line that says something about others; heap memory, or NULL. */
static char *value_of(const char *text, const char *key)
{
	size_t n = strlen(key);
	for (const char *p = text; p; p = strchr(p, '\n'), p += p != NULL)
		if (!strncmp(p, key, n) && p[n] == '=')
			return strndup(p + n + 1, strcspn(p + n + 1, "\n"));
	return NULL;
}

static uint64_t number_of(const char *text, const char *key, uint64_t def)
{
	_cleanup_free_ char *v = value_of(text, key);
	uint64_t ret;
	return v && parse_u64(v, &ret) == 0 ? ret : def;
}

/* MAINPIDFDID= is the inode of the pidfd (pidfs, Linux 6.9): the same process, or another one that has its number by now? */
static bool check_pidfd_id(const char *text)
{
	uint64_t id = number_of(text, "MAINPIDFDID", 0), pid = number_of(text, "MAINPID", 0);
	struct stat st;
	if (!id || pid < 1 || pid > INT32_MAX)
		return true;
	_cleanup_close_ int fd = sys_pidfd_open((pid_t)pid, 0);
	return fd >= 0 && fstat(fd, &st) == 0 && st.st_ino == id;
}

void news_take(struct manager *m, char *text, struct news *n)
{
	struct svc *s = &m->e.s[n->i];
	if (!may_tell(m, s, n)) {
		log_debug("service '%s': message of pid %d not accepted (notify-access)", nm(m, s), n->pid);
		return;
	}
	_cleanup_free_ char *fdname = value_of(text, "FDNAME");
	n->fdname = fdname;
	n->no_poll = number_of(text, "FDPOLL", 1) == 0;
	n->when = number_of(text, "MONOTONIC_USEC", 0);
	n->pidfd_checked = check_pidfd_id(text);
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
		run_line(m, s, line, n);
}
