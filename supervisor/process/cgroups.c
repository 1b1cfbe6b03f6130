/* cgroups.c: one cgroup per service, <cgroup root>/rastos.service/NAME. It is made when the first process of a run starts and removed when
 * the run has ended: that rmdir works is how we know that nothing of the service is left. A longrun that died and is about to be started again
 * keeps it if it is as good as new: removing and making it is a good part of the time that a restart takes. While something is left, cgroup.events is watched
 * by inotify. Without cgroup v2 a service is its process group (each has a session of its own). */
#include "supervisor/manager.h"

#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#define SUBTREE "rastos.service"

static unsigned controllers_on; /* by us, a bit each; after a re-exec they are switched on anew, which changes nothing */
static const char *const controllers[] = {"cpu", "memory", "io", "pids", "cpuset", "hugetlb", "rdma", "misc", "dmem"};

/* A controller is switched on, from the root down, when a service first has a key of it: each one that is on makes starting any service dearer (with
 * all of them the kernel makes some seventy files per cgroup). */
static void need_controller(struct manager *m, const char *key)
{
	char on[32];
	for (unsigned c = 0; c < ARRAY_SIZE(controllers); c++) {
		size_t n = strlen(controllers[c]);
		if (strncmp(key, controllers[c], n) != 0 || key[n] != '.' || (controllers_on & 1u << c))
			continue;
		controllers_on |= 1u << c;
		_cleanup_close_ int root = open(m->opt.cgroup_root, O_DIRECTORY | O_CLOEXEC);
		snprintf(on, sizeof(on), "+%s", controllers[c]);
		if (root >= 0) /* most often on already, and below a container's root perhaps not ours to switch: what counts is the next */
			(void)file_write_str(root, "cgroup.subtree_control", on);
		int r = file_write_str(m->cg_fd, "cgroup.subtree_control", on);
		if (r < 0)
			log_warning("cgroup controller %s can't be enabled in %s: %s", controllers[c], m->cg_path, strerror(-r));
	}
}

static int on_inotify(struct source *src, int fd, uint32_t events, void *data);

int cgroups_init(struct manager *m)
{
	struct statfs sf;
	m->cg_fd = m->inotify_fd = m->kept_fd = -1;
	_cleanup_close_ int root = m->opt.no_cgroup ? -1 : open(m->opt.cgroup_root, O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || fstatfs(root, &sf) < 0 || sf.f_type != CGROUP2_SUPER_MAGIC) {
		log_notice("no cgroup v2 at %s: services are held together by process groups only", m->opt.cgroup_root);
		return 0;
	}
	int r = sys_mkdirat(root, SUBTREE, 0755);
	m->cg_fd = sys_openat(root, SUBTREE, O_DIRECTORY | O_RDONLY, 0);
	if (m->cg_fd < 0 || asprintf(&m->cg_path, "%s/" SUBTREE, m->opt.cgroup_root) < 0) {
		log_notice("can't make the cgroup %s/" SUBTREE " (%s): services are held together by process groups only",
			m->opt.cgroup_root, strerror(r < 0 ? -r : errno));
		closep(&m->cg_fd);
		m->cg_fd = -1;
		return 0;
	}
	m->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (m->inotify_fd < 0)
		return -errno;
	return loop_add_fd(m->loop, m->inotify_fd, EPOLLIN, on_inotify, m, &m->inotify_source);
}

/* The cgroup that was kept last is at hand: most often the next start is that service's. */
static bool kept(const struct manager *m, uint32_t i)
{
	return m->kept_fd >= 0 && m->kept == i;
}

static void keep(struct manager *m, uint32_t i, int fd)
{
	closep(&m->kept_fd);
	m->kept_fd = fd;
	m->kept = i;
}

void cgroups_let_go(struct manager *m)
{
	keep(m, NONE, -1);
}

static bool removed(struct manager *m, const char *name)
{
	int r = sys_unlinkat(m->cg_fd, name, AT_REMOVEDIR);
	if (r == 0 || r == -ENOENT)
		return true;
	/* EBUSY: processes, or child cgroups that the service has made and left */
	return cgroup_populated(m->cg_fd, name) == 0 && cgroup_remove(m->cg_fd, name) == 0;
}

int cgroups_open(struct manager *m, struct svc *s)
{
	const char *name = nm(m, s);
	s->cgroup_kept = 0;
	if (kept(m, svc_index(&m->e, s)))
		return take_fd(&m->kept_fd);
	int r = sys_mkdirat(m->cg_fd, name, 0755);
	if (r == -EEXIST && !s->cgroup_ours && removed(m, name)) /* one that we find may have been killed by a former rastd: whatever is born there dies */
		r = sys_mkdirat(m->cg_fd, name, 0755);
	if (r < 0 && r != -EEXIST)
		return r;
	if (r == 0)
		s->cgroup_ours = 1;
	int fd = sys_openat(m->cg_fd, name, O_DIRECTORY | O_PATH, 0);
	if (fd >= 0 && r == 0 && cfg(&m->e, s)->n_cgroup)
		cgroups_apply_keys(m, s);
	return fd;
}

void cgroups_apply_keys(struct manager *m, struct svc *s)
{
	const struct gkv *kv = graph_at(m->g, cfg(&m->e, s)->cgroup);
	for (uint32_t k = 0; m->cg_fd >= 0 && k < cfg(&m->e, s)->n_cgroup; k++) {
		need_controller(m, graph_str(m->g, kv[k].key));
		int r = cgroup_set(m->cg_fd, nm(m, s), graph_str(m->g, kv[k].key), graph_str(m->g, kv[k].value));
		if (r < 0)
			log_warning("service '%s': cgroup key %s = %s: %s", nm(m, s), graph_str(m->g, kv[k].key),
				graph_str(m->g, kv[k].value),
				r == -ENOENT ? "the kernel doesn't have it (is its controller enabled?)" : strerror(-r));
	}
}

/* --- empty? --- */

static void unwatch(struct manager *m, uint32_t i)
{
	for (unsigned k = 0; k < m->n_watches; k++)
		if (m->watches[k].i == i) {
			inotify_rm_watch(m->inotify_fd, m->watches[k].wd);
			m->watches[k] = m->watches[--m->n_watches];
			return;
		}
}

static bool watched(const struct manager *m, uint32_t i)
{
	for (unsigned k = 0; k < m->n_watches; k++)
		if (m->watches[k].i == i)
			return true;
	return false;
}

static int watch(struct manager *m, uint32_t i, const char *name)
{
	char path[4096];
	if (watched(m, i))
		return 0;
	if (m->n_watches == m->cap_watches) {
		unsigned cap = m->cap_watches ? m->cap_watches * 2 : 16;
		void *p = realloc(m->watches, cap * sizeof(*m->watches));
		if (!p)
			return -ENOMEM;
		m->watches = p;
		m->cap_watches = cap;
	}
	snprintf(path, sizeof(path), "%s/%s/cgroup.events", m->cg_path, name);
	int wd = inotify_add_watch(m->inotify_fd, path, IN_MODIFY);
	if (wd < 0)
		return -errno;
	m->watches[m->n_watches].wd = wd;
	m->watches[m->n_watches++].i = i;
	return 0;
}

static bool begins_with(int dir, const char *file, const char *text)
{
	char buf[64];
	_cleanup_close_ int fd = sys_openat(dir, file, O_RDONLY, 0);
	ssize_t n = fd < 0 ? -1 : sys_read(fd, buf, sizeof(buf));
	return n >= (ssize_t)strlen(text) && !memcmp(buf, text, strlen(text));
}

/* Nobody in it, not frozen, and no groups below (each counts as a link). With processes in it the last run can't have made it threaded, nor one that
 * passes controllers of domains on. Documentation/admin-guide/cgroup-v2.rst */
static bool keep_if_as_new(struct manager *m, uint32_t i, const char *name)
{
	struct stat st;
	int dir = sys_openat(m->cg_fd, name, O_DIRECTORY | O_PATH, 0);
	if (dir < 0)
		return false;
	if (fstat(dir, &st) == 0 && st.st_nlink == 2 && begins_with(dir, "cgroup.events", "populated 0\nfrozen 0\n")) {
		keep(m, i, dir);
		return true;
	}
	close(dir);
	return false;
}

/* Keys are written into a new cgroup only, and counters that a limit acts upon begin anew with it. */
static bool comes_back(const struct engine *e, const struct svc *s)
{
	return s->def->type == SVC_LONGRUN && s->def->restart != RESTART_NO && s->cgroup_ours && svc_has(s, F_WANT) && !svc_has(s, F_STOP_ASKED) && !e->no_restart &&
	       !cfg(e, s)->n_cgroup;
}

void cgroups_drop(struct manager *m, struct svc *s)
{
	s->cgroup_kept = 0;
	if (kept(m, svc_index(&m->e, s)))
		keep(m, NONE, -1);
	if (m->cg_fd >= 0)
		(void)sys_unlinkat(m->cg_fd, nm(m, s), AT_REMOVEDIR);
}

bool cgroups_empty(struct engine *e, struct svc *s)
{
	struct manager *m = engine_manager(e);
	uint32_t i = svc_index(e, s);
	if (m->cg_fd >= 0 && comes_back(e, s) && keep_if_as_new(m, i, nm(m, s))) {
		s->cgroup_kept = 1;
		unwatch(m, i);
		return true;
	}
	if (m->cg_fd < 0 || removed(m, nm(m, s))) {
		unwatch(m, i);
		return true;
	}
	int r = watch(m, i, nm(m, s));
	if (r < 0 && r != -ENOENT)
		log_warning("service '%s': can't watch its cgroup: %s", nm(m, s), strerror(-r));
	if (!removed(m, nm(m, s))) /* the last one may have gone before the watch was there */
		return false;
	unwatch(m, i);
	return true;
}

static int on_inotify(struct source *src, int fd, uint32_t events, void *data)
{
	struct manager *m = data;
	_Alignas(struct inotify_event) char buf[4096];
	ssize_t n = sys_read(fd, buf, sizeof(buf));
	for (char *p = buf; n > 0 && p < buf + n; p += sizeof(struct inotify_event) + ((struct inotify_event *)p)->len) {
		const struct inotify_event *ev = (void *)p;
		for (unsigned k = 0; k < m->n_watches; k++)
			if (m->watches[k].wd == ev->wd && (ev->mask & IN_MODIFY)) {
				manager_deliver(m, &m->e.s[m->watches[k].i], EV_EMPTY);
				break;
			}
	}
	return 0;
}

/* --- signals --- */

void cgroups_kill(struct engine *e, struct svc *s)
{
	struct manager *m = engine_manager(e);
	FAULT_POINT("killing");
	s->cgroup_ours = 0;
	if (m->cg_fd >= 0) {
		int r = cgroup_kill(m->cg_fd, nm(m, s));
		if (r < 0 && r != -ENOENT)
			log_warning("service '%s': kill its cgroup: %s", nm(m, s), strerror(-r));
		return;
	}
	if (s->r.pid)
		kill(-s->r.pid, SIGKILL);
	if (s->r.aux_pid)
		kill(-s->r.aux_pid, SIGKILL);
}

static void send_one(struct manager *m, struct svc *s, pid_t pid, int sig)
{
	if (pid <= 0 || (s->adopted && !cgroups_has(m, s, pid)))
		return;
	if (kill(pid, sig) < 0 && errno != ESRCH)
		log_warning("service '%s': send signal %d to %d: %m", nm(m, s), sig, pid);
	if (sig != SIGKILL && sig != SIGCONT && sig != SIGHUP && sig != SIGUSR1 && sig != SIGUSR2)
		kill(pid, SIGCONT); /* a stopped process would not see it */
}

static bool send_all(struct manager *m, struct svc *s, int sig)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;
	if (m->cg_fd < 0 || cgroup_pids(m->cg_fd, nm(m, s), &pids, &n) < 0 || !n)
		return false;
	for (size_t k = 0; k < n; k++)
		if (kill(pids[k], sig) == 0 && sig != SIGKILL && sig != SIGCONT)
			kill(pids[k], SIGCONT);
	return true;
}

void cgroups_signal(struct engine *e, struct svc *s, int sig, bool all)
{
	struct manager *m = engine_manager(e);
	pid_t pid = s->r.pid ? s->r.pid : s->r.aux_pid;
	FAULT_POINT("signalling");
	if (all && send_all(m, s, sig))
		return;
	if (all && m->cg_fd < 0 && pid)
		kill(-pid, sig);
	send_one(m, s, pid, sig);
}

/* --- whose is it? --- */

static const char *name_in_path(struct manager *m, char *path)
{
	char *p = strstr(path, "/" SUBTREE "/");
	if (!p)
		return NULL;
	p += strlen("/" SUBTREE "/");
	p[strcspn(p, "/")] = '\0';
	return p;
}

uint32_t cgroups_find(struct manager *m, pid_t pid)
{
	char path[512];
	if (m->cg_fd < 0 || proc_cgroup(pid, path, sizeof(path)) < 0)
		return NONE;
	const char *name = name_in_path(m, path);
	return name ? graph_find(m->g, name) : NONE;
}

bool cgroups_has(struct manager *m, const struct svc *s, pid_t pid)
{
	return m->cg_fd < 0 ? kill(pid, 0) == 0 : cgroups_find(m, pid) == svc_index(&m->e, s);
}

void cgroups_settle(struct manager *m)
{
	for (uint32_t i = 0; i < m->e.n; i++) {
		struct svc *s = &m->e.s[i];
		bool ending = s->r.state == ST_STOPPING || s->r.state == ST_KILLING || s->r.state == ST_POST_STOP;
		if (ending && !s->r.pid && !s->r.aux)
			engine_event(&m->e, s, EV_EMPTY);
	}
}
