/* main.c: rastd. Started by PID 1 with its socket as descriptor 3, or --standalone. */
#include <inttypes.h>
#include <string.h>
#include <sys/prctl.h>
#include "base/opt.h"
#include "config.h"
#include "supervisor/compile.h"

static struct {
	bool standalone, no_logger, no_cgroup, no_mark, version;
	const char *run_dir, *config_dirs, *enabled_dir, *cgroup_root, *log_dir, *target, *mask, *level, *cmdline, *libdir;
} opts = {.run_dir = "/run/rastos",
	.config_dirs = RAST_ETCDIR "/services:" RAST_LIBDIR "/services",
	.enabled_dir = RAST_ETCDIR "/enabled",
	.cgroup_root = "/sys/fs/cgroup",
	.log_dir = "/var/log/rastos",
	.cmdline = "/proc/cmdline",
	.libdir = RAST_LIBDIR};

static const struct opt table[] = {
	{"standalone", 0, OPT_FLAG, NULL, "without PID 1 on descriptor 3: for containers, users and tests", &opts.standalone},
	{"target", 't', OPT_STRING, "NAME", "start this service or bundle (default: rast.target= of the kernel, or 'default')",
		&opts.target},
	{"mask", 0, OPT_STRING, "NAMES", "comma-separated: don't start these", &opts.mask},
	{"config-dir", 0, OPT_STRING, "DIRS", "folders of service files, colon-separated, the first one wins", &opts.config_dirs},
	{"enabled-dir", 0, OPT_STRING, "DIR", "folder of links to what is enabled", &opts.enabled_dir},
	{"run-dir", 0, OPT_STRING, "DIR", "where sockets and state are kept (default /run/rastos)", &opts.run_dir},
	{"log-dir", 0, OPT_STRING, "DIR", "where the logger writes (read for the last lines of a failure)", &opts.log_dir},
	{"cgroup-root", 0, OPT_STRING, "DIR", "where cgroup v2 is mounted, or a subtree of it that is ours", &opts.cgroup_root},
	{"no-cgroup", 0, OPT_FLAG, NULL, "use process groups even where cgroup v2 is there", &opts.no_cgroup},
	{"no-logger", 0, OPT_FLAG, NULL, "output of services goes to our own standard error", &opts.no_logger},
	{"no-mark", 0, OPT_FLAG, NULL, "don't record in the boot ledger how the boot went", &opts.no_mark},
	{"log-level", 0, OPT_STRING, "LEVEL", "err, warning, notice, info, debug", &opts.level},
	{"cmdline", 0, OPT_STRING, "FILE", "read this in place of /proc/cmdline", &opts.cmdline},
	{"libdir", 0, OPT_STRING, "DIR", "where rastinit is, for marking the boot", &opts.libdir},
};

static const struct program program = {.name = "rastd",
	.summary = "the supervisor of rastOS, started by PID 1",
	.man = "rastd(8)",
	.opts = table,
	.n_opts = ARRAY_SIZE(table),
	.version = RAST_VERSION};

static char **split_dirs(const char *s)
{
	char **v = NULL;
	_cleanup_free_ char *copy = strdup(s);
	for (char *rest = copy, *d; rest && (d = strsep(&rest, ":"));)
		if (*d && strv_push(&v, d) < 0)
			return NULL;
	return v;
}

static int setup_options(struct manager *m, char **argv)
{
	static char boot_file[4096];
	snprintf(boot_file, sizeof(boot_file), "%s/boot", opts.run_dir);
	m->argv = argv;
	m->opt = (struct options){.run_dir = opts.run_dir,
		.cgroup_root = opts.cgroup_root,
		.log_dir = opts.log_dir,
		.enabled_dir = opts.enabled_dir,
		.target = opts.target,
		.boot_file = boot_file,
		.cmdline = opts.cmdline,
		.libdir = opts.libdir,
		.standalone = opts.standalone,
		.no_logger = opts.no_logger,
		.no_cgroup = opts.no_cgroup,
		.no_mark = opts.no_mark,
		.mask = opts.mask};
	m->opt.config_dirs = split_dirs(opts.config_dirs);
	if (opts.level && log_level_from_name(opts.level) >= 0)
		log_set_max_level(log_level_from_name(opts.level));
	return m->opt.config_dirs ? 0 : -ENOMEM;
}

/* No handlers, nothing ignored: children inherit what is ignored. Everything that could end us by accident is blocked; signals that we want
 * come through the loop. */
static void setup_signals(void)
{
	sigset_t block;
	for (int s = 1; s < NSIG; s++)
		if (s != SIGKILL && s != SIGSTOP)
			signal(s, SIG_DFL);
	sigemptyset(&block);
	sigaddset(&block, SIGPIPE);
	sigaddset(&block, SIGHUP);
	sigprocmask(SIG_BLOCK, &block, NULL);
}

static int open_dirs(struct manager *m)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/graph", m->opt.run_dir);
	int r = mkdir_p(path, 0755);
	if (r < 0)
		return r;
	m->run_fd = sys_openat(AT_FDCWD, m->opt.run_dir, O_DIRECTORY | O_RDONLY, 0);
	m->graph_fd = sys_openat(AT_FDCWD, path, O_DIRECTORY | O_RDONLY, 0);
	return m->run_fd < 0 ? m->run_fd : m->graph_fd < 0 ? m->graph_fd : 0;
}

/* --- what a former rastd left --- */

static void drop_found(struct manager *m, struct found *f)
{
	pid1_drop(m, f->name);
	for (size_t k = 0; k < f->n; k++)
		close(f->fd[k]);
}

static int claim(struct manager *m, struct found *f)
{
	int *to = streq(f->name, "varlink") ? &m->listen_fd : streq(f->name, "notify") ? &m->notify_fd : NULL;
	if (to && f->n == 1) {
		*to = f->fd[0];
		return 1;
	}
	if (output_adopt(m, f->name, f->fd, f->n) || fdstore_adopt(m, f->name, f->fd, f->n) || notify_adopt(m, f->name, f->fd, f->n))
		return 1;
	return 0;
}

static void claim_all(struct manager *m)
{
	while (m->found) {
		struct found *f = m->found;
		m->found = f->next;
		if (!claim(m, f))
			drop_found(m, f);
		free(f);
	}
}

/* The graph that the state file belongs to. */
static int load_former(struct manager *m, struct err *e)
{
	char name[32];
	int r = state_open(m->run_fd, &m->st, e);
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%" PRIu64, m->st.h->generation);
	r = graph_map(m->graph_fd, name, &m->g, e);
	if (r == 0 && (!m->g || m->g->n_services != m->st.h->n))
		r = err_set(e, -EBADMSG, "graph and state file don't belong together");
	if (r < 0) {
		state_close(&m->st);
		return r;
	}
	r = manager_load(m, m->g);
	for (uint32_t i = 0; r == 0 && i < m->e.n; i++)
		if (!state_get(&m->st, i, &m->e.s[i].r))
			m->e.s[i].r.provider = NONE;
	return r;
}

static int resume(struct manager *m)
{
	if (!m->g) /* load_former() has mapped it */
		return -EBADMSG;
	m->st.boot.instance = MAX(m->instance, m->st.boot.instance + 1);
	state_put_boot(&m->st);
	m->e.no_restart = m->st.boot.power != 0;
	apply_resume(m);
	claim_all(m);
	output_init(m);
	int r = adopt_all(m);
	output_recover(m);
	compile_tidy(m, m->g->generation);
	pid1_take_early(m);
	exits_reap(m);
	boot_resume(m);
	power_resume(m);
	manager_schedule(m); /* if there is nothing to do, it is time to say so */
	return r;
}

/* Whatever lives in our cgroups without a record can't be taken over: two of a service would be worse than a new one. */
static void kill_strays(struct manager *m)
{
	_cleanup_closedir_ DIR *d = m->cg_fd < 0 ? NULL : fdopendir(sys_openat(m->cg_fd, ".", O_DIRECTORY | O_RDONLY, 0));
	for (struct dirent *de; d && (de = readdir(d));)
		if (de->d_type == DT_DIR && de->d_name[0] != '.') {
			if (cgroup_populated(m->cg_fd, de->d_name) > 0)
				log_warning("cgroup %s has processes that no record tells of: killed", de->d_name);
			cgroup_kill(m->cg_fd, de->d_name);
			for (int k = 0; k < 100 && cgroup_remove(m->cg_fd, de->d_name) == -EBUSY; k++)
				usleep(1000);
		}
}

static int begin(struct manager *m)
{
	_cleanup_err_ struct err e = {0};
	struct boot_rec boot = {.started = now_us(), .instance = MAX(m->instance, 1u)};
	m->st.boot = boot;
	kill_strays(m);
	int r = boot_compile(m);
	if (r < 0 || !m->g)
		return r < 0 ? r : -EINVAL;
	boot = m->st.boot;
	compile_point_to(m, m->g->generation);
	r = manager_load(m, m->g);
	if (r == 0)
		r = state_create(m->run_fd, ".state.new", m->g, &boot, &m->st, &e);
	for (uint32_t i = 0; r == 0 && i < m->e.n; i++)
		m->e.s[i].r.provider = NONE;
	if (r == 0)
		r = state_publish(m->run_fd, ".state.new", &e);
	if (r < 0) {
		log_err("%s", err_text(&e));
		return r;
	}
	boot_masks(m);
	claim_all(m);
	output_init(m);
	pid1_take_early(m);
	return boot_begin(m);
}

static int on_term(const struct signalfd_siginfo *si, void *data)
{
	power_begin(data, RINIT_POWEROFF, false, "SIGTERM");
	return 0;
}

static int on_hup(const struct signalfd_siginfo *si, void *data)
{
	apply_from_signal(data);
	return 0;
}

static int setup_standalone(struct manager *m)
{
	if (!m->opt.standalone)
		return 0;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		log_warning("become a subreaper: %m");
	int r = loop_add_signal(m->loop, SIGTERM, on_term, m);
	if (r == 0)
		r = loop_add_signal(m->loop, SIGINT, on_term, m);
	return r < 0 ? r : loop_add_signal(m->loop, SIGHUP, on_hup, m);
}

static int fail(const char *what, int r)
{
	log_err("%s: %s", what, strerror(-r));
	return 1;
}

static int setup(struct manager *m)
{
	static const struct {
		const char *what;
		int (*run)(struct manager *m);
	} steps[] = {{"open the run folder", open_dirs}, {"prepare the cgroups", cgroups_init}, {"listen to PID 1", pid1_init},
		{"wait for children", exits_init}, {"catch signals", setup_standalone}};
	int r = loop_new(&m->loop);
	if (r < 0)
		return r;
	for (size_t k = 0; k < ARRAY_SIZE(steps); k++)
		if ((r = steps[k].run(m)) < 0)
			return fail(steps[k].what, r);
	return 0;
}

/* New program, same process: the descriptor to PID 1 and the state file are all it needs. */
int manager_reexec(struct manager *m)
{
	if (m->p1_fd >= 0)
		fd_set_cloexec(m->p1_fd, false);
	log_notice("executing %s anew", m->argv[0]);
	setrlimit(RLIMIT_NOFILE, &m->nofile);
	execv(m->argv[0], m->argv);
	log_err("execute %s: %m; going on as before", m->argv[0]);
	if (m->p1_fd >= 0)
		fd_set_cloexec(m->p1_fd, true);
	m->reexec = false;
	return 0;
}

int main(int argc, char **argv)
{
	static struct manager m = {.p1_fd = -1,
		.listen_fd = -1,
		.notify_fd = -1,
		.cg_fd = -1,
		.inotify_fd = -1,
		.lg_fd = -1,
		.lg_peer = -1,
		.stage = {-1, -1},
		.own_log_fd = -1,
		.console_fd = -1,
		.logger = NONE};
	_cleanup_err_ struct err e = {0};
	char **all = argv;
	if (opt_parse(&program, table, ARRAY_SIZE(table), &argc, &argv))
		return 2;
	log_init("rastd", opts.standalone ? LOG_TO_STDERR : LOG_TO_KMSG, -1);
	if (!opts.standalone && fcntl(RINIT_FD, F_GETFD) < 0)
		return fail("descriptor 3 is not PID 1's socket (rastd is started by rastinit, or with --standalone)", -EBADF);
	m.p1_fd = opts.standalone ? -1 : RINIT_FD;
	setup_signals();
	if (setup_options(&m, all) < 0)
		return fail("read the options", -ENOMEM);
	spawn_init(&m);
	boot_init(&m);
	if (!opts.standalone)
		m.console_fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (setup(&m))
		return 1;
	int r = load_former(&m, &e);
	if (r < 0 && r != -ENOENT)
		log_err("take over from the former supervisor: %s: services are started anew", err_text(&e));
	r = r < 0 ? begin(&m) : resume(&m);
	if (r < 0)
		return fail("begin", r);
	if ((r = control_init(&m)) < 0)
		return fail("listen for clients", r);
	if ((r = notify_init(&m)) < 0)
		return fail("listen for services", r);
	if (m.early_power)
		power_begin(&m, (enum rinit_power)m.early_power, false, NULL);
	r = loop_run(m.loop);
	return r < 0 ? fail("event loop", r) : 0;
}
