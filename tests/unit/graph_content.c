/* What is in the compiled graph: values, defaults, edges from both ends, templates, drop-ins, what is enabled, the hash. */
#include <signal.h>
#include <sys/resource.h>
#include "tests/unit/graph_set.h"

static const struct graph *G;
static struct buf said;

/* Compile; there must be no error, and what is said has to be `expected`. */
static void make(const struct set_file *files, const char *expected)
{
	void *blob;
	size_t size;
	int r = compile_files(files, &said, &blob, &size);

	ck_assert_msg(r == 0 && streq(said.data, expected), "result %d, said: %s", r, said.data);
	ck_assert_int_eq(graph_verify(blob, size), 0);
	G = blob;
}
#define MAKE(...) make((const struct set_file[]){ __VA_ARGS__, { NULL, NULL } }, "")

static const struct gservice *svc(const char *name)
{
	uint32_t i = graph_find(G, name);

	ck_assert_msg(i != UINT32_MAX, "no service %s", name);
	return graph_service(G, i);
}

static const struct gsettings *set_of(const char *name) { return graph_settings(G, svc(name)); }

/* "a b c" */
static const char *names(struct gids l)
{
	static char text[4][256];
	static unsigned turn;
	char *t = text[turn++ % 4], *p = t;

	*t = 0;
	for (uint32_t i = 0; i < l.n; i++)
		p += sprintf(p, "%s%s", i ? " " : "", graph_str(G, graph_service(G, graph_ids(G, l)[i])->name));
	return t;
}

/* "x|y|" */
static const char *words(struct gstrv v)
{
	static char text[256];
	char *p = text;

	*text = 0;
	for (uint32_t i = 0; i < v.n; i++)
		p += sprintf(p, "%s|", graph_str(G, ((const gref *)graph_at(G, v.off))[i]));
	return text;
}

START_TEST(a_service_that_says_nothing_has_the_documented_defaults)
{
	MAKE({ "s/a.ini", LONGRUN }, { "s/o.ini", ONESHOT });
	const struct gservice *a = svc("a");
	const struct gsettings *s = set_of("a");

	ck_assert_uint_eq(a->type, SVC_LONGRUN);
	ck_assert_uint_eq(a->line, 2);
	ck_assert_uint_eq(a->notify, NOTIFY_NONE);
	ck_assert_uint_eq(a->restart, RESTART_ALWAYS);
	ck_assert_uint_eq(svc("o")->restart, RESTART_NO);
	ck_assert_uint_eq(a->output, OUT_LOG);
	ck_assert_uint_eq(a->pipe_to, UINT32_MAX);
	ck_assert(!a->boot_critical && !a->enabled && !s->no_new_privileges && !s->kill_main_only);
	ck_assert_uint_eq(s->notify_access, ACCESS_MAIN);
	ck_assert_int_eq(s->stop_signal, SIGTERM);
	ck_assert_int_eq(s->reload_signal, 0);
	ck_assert_int_eq(s->nice, INT32_MIN);
	ck_assert_int_eq(s->oom_score_adj, INT32_MIN);
	ck_assert_int_eq(s->umask, -1);
	ck_assert_int_eq(s->notify_fd, -1);
	ck_assert_uint_eq(s->restart_limit, 5);
	ck_assert_uint_eq(s->restart_interval, 10000000);
	ck_assert_uint_eq(s->restart_delay, 100000);
	ck_assert_uint_eq(s->restart_delay_max, 30000000);
	ck_assert_uint_eq(s->start_timeout, 90000000);
	ck_assert_uint_eq(s->stop_timeout, 10000000);
	ck_assert_uint_eq(s->settle_time, 5000000);
	ck_assert_uint_eq(s->watchdog, UINT64_MAX);
	ck_assert_uint_eq(s->log_size, 0);
	ck_assert_uint_eq(s->log_files, 0);
	ck_assert_uint_eq(G->boot_target, UINT32_MAX);
	ck_assert_uint_eq(G->generation, 7);
	ck_assert_ptr_eq(s, set_of("a"));
	free((void *)(uintptr_t)G);
}
END_TEST

START_TEST(the_size_of_a_log_is_a_setting_that_no_process_is_restarted_for)
{
	MAKE({ "s/a.ini", LONGRUN "log-max-size = 64K\nlog-max-files = 3\n" }, { "s/b.ini", LONGRUN }, { "s/none.ini", LONGRUN "log-max-files = 0\n" },
		{ "s/big.ini", LONGRUN "log-max-size = 4G\nlog-max-files = 99\n" }, { "s/c.ini", LONGRUN "log-max-size = 64K\n" }, { "s/c.d/x.ini", "[service]\nlog-max-size =\n" });

	ck_assert_uint_eq(set_of("a")->log_size, 65536);
	ck_assert_uint_eq(set_of("a")->log_files, 4);
	ck_assert_uint_eq(set_of("none")->log_files, 1);
	ck_assert_uint_eq(set_of("big")->log_size, UINT32_MAX);
	ck_assert_uint_eq(set_of("big")->log_files, 100);
	ck_assert_uint_eq(set_of("c")->log_size, 0);
	ck_assert_uint_eq(svc("a")->hash, svc("b")->hash);
	free((void *)(uintptr_t)G);
}
END_TEST

START_TEST(every_key_reaches_the_graph)
{
	MAKE({ "s/a.ini",
		"[service]\ntype = longrun\ndescription = What it is\nexec = /bin/x \"a b\" 'c' d\\ e\nexec-stop = /bin/stop\nreload-signal = HUP\npre-start = /bin/pre 1\npost-stop = /bin/post 2\n"
		"user = www\ngroup = 33\ngroups = adm tty\nworking-directory = /srv\nroot-directory = /root\nenvironment = A=1 2\nenvironment = B=\nenvironment-file = /etc/a -/etc/b\n"
		"umask = 027\nnice = -5\noom-score-adj = -500\nno-new-privileges = yes\ntty = tty3\noutput = console\nboot-critical = yes\nsettle-time = 1min\n"
		"[readiness]\nnotify = socket\nnotify-access = all\nstart-timeout = infinity\n"
		"[restart]\npolicy = on-failure\ndelay = 1s\ndelay-max = 2s\nmax-deaths = infinity\ninterval = 1h\nsuccess = 3 USR1 143\nwatchdog = 20s\n"
		"[stop]\ndown-signal = INT\ntimeout-kill = infinity\nkill-mode = process\n"
		"[limits]\nnofile = 1024:4096\nstack = 8M\ncore = infinity\n"
		"[cgroup]\nmemory.max = 64M\nmemory.high = max\ncpu.max = 50000 100000\nio.max = 8:0 rbps=1\nio.max = 8:16 wbps=2\n[install]\nenabled = yes\n" });
	const struct gservice *a = svc("a");
	const struct gsettings *s = set_of("a");
	const struct glimit *l = graph_at(G, s->limits);
	const struct gkv *kv = graph_at(G, s->cgroup);
	const int32_t *ok = graph_at(G, s->success);

	ck_assert_str_eq(graph_str(G, a->description), "What it is");
	ck_assert_str_eq(words(a->exec), "/bin/x|a b|c|d e|");
	ck_assert_str_eq(words(s->exec_stop), "/bin/stop|");
	ck_assert_str_eq(words(s->pre_start), "/bin/pre|1|");
	ck_assert_str_eq(words(s->post_stop), "/bin/post|2|");
	ck_assert_int_eq(s->reload_signal, SIGHUP);
	ck_assert_str_eq(graph_str(G, s->user), "www");
	ck_assert_str_eq(graph_str(G, s->group), "33");
	ck_assert_str_eq(words(s->groups), "adm|tty|");
	ck_assert_str_eq(graph_str(G, s->working_directory), "/srv");
	ck_assert_str_eq(graph_str(G, s->root_directory), "/root");
	ck_assert_str_eq(words(s->environment), "A=1 2|B=|");
	ck_assert_str_eq(words(s->environment_files), "/etc/a|-/etc/b|");
	ck_assert_int_eq(s->umask, 027);
	ck_assert_int_eq(s->nice, -5);
	ck_assert_int_eq(s->oom_score_adj, -500);
	ck_assert(s->no_new_privileges && a->boot_critical && a->enabled && s->kill_main_only);
	ck_assert_str_eq(graph_str(G, s->tty), "/dev/tty3");
	ck_assert_uint_eq(a->output, OUT_CONSOLE);
	ck_assert_uint_eq(s->settle_time, 60000000);
	ck_assert_uint_eq(a->notify, NOTIFY_SOCKET);
	ck_assert_uint_eq(s->notify_access, ACCESS_ALL);
	ck_assert_uint_eq(s->start_timeout, UINT64_MAX);
	ck_assert_uint_eq(a->restart, RESTART_ON_FAILURE);
	ck_assert_uint_eq(s->restart_delay, 1000000);
	ck_assert_uint_eq(s->restart_delay_max, 2000000);
	ck_assert_uint_eq(s->restart_limit, UINT32_MAX);
	ck_assert_uint_eq(s->restart_interval, 3600000000);
	ck_assert_uint_eq(s->n_success, 3);
	ck_assert(ok[0] == 3 && ok[1] == -SIGUSR1 && ok[2] == 143);
	ck_assert_uint_eq(s->watchdog, 20000000);
	ck_assert_int_eq(s->stop_signal, SIGINT);
	ck_assert_uint_eq(s->stop_timeout, UINT64_MAX);
	ck_assert_uint_eq(s->n_limits, 3);
	ck_assert(l[0].resource == RLIMIT_NOFILE && l[0].soft == 1024 && l[0].hard == 4096);
	ck_assert(l[1].resource == RLIMIT_STACK && l[1].soft == 8 << 20 && l[1].hard == 8 << 20);
	ck_assert(l[2].resource == RLIMIT_CORE && l[2].soft == RLIM_INFINITY && l[2].hard == RLIM_INFINITY);
	ck_assert_uint_eq(s->n_cgroup, 5);
	ck_assert_str_eq(graph_str(G, kv[0].key), "memory.max");
	ck_assert_str_eq(graph_str(G, kv[0].value), "67108864");
	ck_assert_str_eq(graph_str(G, kv[1].value), "max");
	ck_assert_str_eq(graph_str(G, kv[2].value), "50000 100000");
	ck_assert_str_eq(graph_str(G, kv[3].key), "io.max");
	ck_assert_str_eq(graph_str(G, kv[4].value), "8:16 wbps=2");
	free((void *)(uintptr_t)G);
}
END_TEST

START_TEST(edges_are_known_at_both_ends)
{
	MAKE({ "s/a.ini", LONGRUN DEPS "depends = b b\nrequires = c\nwants = d\nafter = e\nbefore = f\nconflicts = g\nrequires-one = h i\n" }, { "s/b.ini", LONGRUN }, { "s/c.ini", LONGRUN },
	     { "s/d.ini", LONGRUN }, { "s/e.ini", LONGRUN }, { "s/f.ini", LONGRUN }, { "s/g.ini", LONGRUN DEPS "conflicts = a\n" }, { "s/h.ini", LONGRUN }, { "s/i.ini", LONGRUN },
	     { "s/p.ini", LONGRUN "output = pipe:b\n" }, { "s/z.ini", BUNDLE("b c") });
	ck_assert_str_eq(names(svc("a")->depends), "b c");
	ck_assert_str_eq(names(svc("b")->dependents), "a p");
	ck_assert_str_eq(names(svc("a")->wants), "d");
	ck_assert_str_eq(names(svc("d")->wanted_by), "a");
	ck_assert_str_eq(names(svc("a")->after), "e");
	ck_assert_str_eq(names(svc("e")->before), "a");
	ck_assert_str_eq(names(svc("a")->before), "f");
	ck_assert_str_eq(names(svc("f")->after), "a");
	ck_assert_str_eq(names(svc("a")->conflicts), "g");
	ck_assert_str_eq(names(svc("g")->conflicts), "a");
	ck_assert_str_eq(names(svc("a")->requires_one), "h i");
	ck_assert_str_eq(names(svc("i")->watched_by), "a");
	ck_assert_str_eq(names(svc("z")->contents), "b c");
	ck_assert_str_eq(names(svc("b")->watched_by), "z");
	ck_assert_str_eq(names(svc("p")->depends), "b");
	ck_assert_uint_eq(svc("p")->pipe_to, graph_find(G, "b"));
	ck_assert_uint_eq(svc("p")->output, OUT_PIPE);
	free((void *)(uintptr_t)G);
}
END_TEST

START_TEST(providers_stand_in_the_virtuals_order_and_then_by_name)
{
	MAKE({ "s/net.ini", VIRTUAL DEPS "providers = z m\n" }, { "s/b.ini", LONGRUN DEPS "provides = net\n" }, { "s/a.ini", LONGRUN DEPS "provides = net other\n" },
	     { "s/m.ini", LONGRUN DEPS "provides = net\n" }, { "s/z.ini", LONGRUN });
	ck_assert_str_eq(names(svc("net")->contents), "z m a b");
	ck_assert_uint_eq(svc("other")->type, SVC_VIRTUAL);
	ck_assert_str_eq(names(svc("other")->contents), "a");
	ck_assert_str_eq(names(svc("a")->watched_by), "net other");
	free((void *)(uintptr_t)G);
}
END_TEST

START_TEST(enabled_services_are_wanted_by_the_boot_target_and_critical_ones_are_part_of_it)
{
	MAKE({ "s/default.ini", BUNDLE("x") }, { "s/x.ini", LONGRUN }, { "s/a.ini", LONGRUN "[install]\nenabled = yes\n" }, { "s/b.ini", LONGRUN "boot-critical = yes\n" },
	     { "s/c.ini", LONGRUN "[install]\nenabled = yes\n" }, { "enabled/b", "-> ../s/b.ini" }, { "enabled/c", "-> /dev/null" });
	ck_assert_str_eq(names(svc("default")->contents), "x b");
	ck_assert_str_eq(names(svc("default")->wants), "a");
	ck_assert_str_eq(names(svc("a")->wanted_by), "default");
	ck_assert_str_eq(names(svc("b")->watched_by), "default");
	ck_assert(svc("a")->enabled && svc("b")->enabled && !svc("c")->enabled && !svc("x")->enabled);
	ck_assert_uint_eq(G->boot_target, graph_find(G, "default"));
	free((void *)(uintptr_t)G);
	MAKE({ "s/a.ini", LONGRUN }, { "enabled/a", "-> ../s/a.ini" }); /* without a file for it */
	ck_assert_uint_eq(svc("default")->type, SVC_BUNDLE);
	ck_assert_str_eq(names(svc("default")->wants), "a");
	free((void *)(uintptr_t)G);
}
END_TEST

START_TEST(templates_make_the_instances_that_are_named)
{
	MAKE({ "s/getty@.ini", LONGRUN "tty = %i\ndescription = %n at 100%%\n" }, { "s/getty@.d/x.ini", "[service]\nnice = 1\numask = 077\n" },
	     { "s/getty@tty2.d/y.ini", "[service]\nnice = 2\n" }, { "s/getty@tty3.ini", LONGRUN "description = my own, 100%\n" },
	     { "s/a.ini", LONGRUN DEPS "wants = getty@tty1 getty@tty3\n" }, { "enabled/getty@tty2", "-> ../s/getty@.ini" });
	ck_assert_str_eq(graph_str(G, set_of("getty@tty1")->tty), "/dev/tty1");
	ck_assert_str_eq(graph_str(G, svc("getty@tty1")->description), "getty@tty1 at 100%");
	ck_assert_int_eq(set_of("getty@tty1")->nice, 1);
	ck_assert_int_eq(set_of("getty@tty2")->nice, 2);
	ck_assert_int_eq(set_of("getty@tty2")->umask, 077);
	ck_assert(svc("getty@tty2")->enabled);
	ck_assert_str_eq(graph_str(G, svc("getty@tty3")->description), "my own, 100%");
	ck_assert_uint_eq(graph_find(G, "getty@"), UINT32_MAX);
	ck_assert_uint_eq(svc("getty@tty1")->output, OUT_TTY);
	free((void *)(uintptr_t)G);
}
END_TEST

START_TEST(the_first_folder_wins_and_drop_ins_of_all_are_applied_by_name)
{
	MAKE({ "s/a.ini", LONGRUN "description = mine\nnice = 1\nenvironment = A=1\nenvironment = B=1\n" DEPS "after = b\nwants = c\n[limits]\nnofile = 5\n" }, { "t/a.ini", ONESHOT "description = theirs\n" },
	     { "t/a.d/10.ini", "[service]\nnice = 10\numask = 022\n" }, { "s/a.d/20.ini", "[service]\nnice = 15\nenvironment = A=2\n" DEPS "after =\nafter = c\nwants = b\n[limits]\nnofile =\nnproc = 1\n" },
	     { "t/a.d/20.ini", "[service]\nnice = 19\n" }, { "t/a.d/30.ini", "[service]\ndescription =\n" }, { "s/a.d/40.ini", "-> /dev/null" }, { "t/a.d/40.ini", "[service]\nnice = 4\n" },
	     { "t/b.ini", LONGRUN }, { "s/c.ini", LONGRUN }, { "s/d.ini", "-> /dev/null" }, { "t/d.ini", LONGRUN });
	ck_assert_uint_eq(svc("a")->type, SVC_LONGRUN);
	ck_assert_int_eq(set_of("a")->nice, 15);
	ck_assert_int_eq(set_of("a")->umask, 022);
	ck_assert_str_eq(words(set_of("a")->environment), "A=2|B=1|");
	ck_assert_uint_eq(svc("a")->description, 0);
	ck_assert_str_eq(names(svc("a")->after), "c");
	ck_assert_str_eq(names(svc("a")->wants), "c b");
	ck_assert_uint_eq(set_of("a")->n_limits, 1);
	ck_assert_uint_eq(graph_find(G, "d"), UINT32_MAX);
	free((void *)(uintptr_t)G);
}
END_TEST

START_TEST(an_empty_value_goes_back_to_the_default)
{
	MAKE({ "s/a.ini", LONGRUN "output = pipe:b\nuser = u\nnice = 5\nexec-stop = x\n[readiness]\nnotify = fd:7\n[stop]\ntimeout = 1s\n[cgroup]\nmemory.max = 1M\npids.max = 5\n[limits]\nnofile = 5\nnproc = 6\n[restart]\nsuccess = 3\n" },
	     { "s/b.ini", LONGRUN },
	     { "s/a.d/x.ini", "[service]\noutput =\nuser =\nnice =\nexec-stop =\n[readiness]\nnotify =\n[stop]\ntimeout =\n[cgroup]\nmemory.max =\n[limits]\nnofile =\n[restart]\nsuccess =\nsuccess = 4\n" });
	const struct gservice *a = svc("a");
	const struct gsettings *s = set_of("a");
	const struct gkv *kv = graph_at(G, s->cgroup);
	const struct glimit *l = graph_at(G, s->limits);
	const int32_t *ok = graph_at(G, s->success);

	ck_assert(kv && l && ok);
	ck_assert(a->output == OUT_LOG && a->pipe_to == UINT32_MAX && a->depends.n == 0 && a->notify == NOTIFY_NONE && s->notify_fd == -1);
	ck_assert(s->user == 0 && s->nice == INT32_MIN && s->exec_stop.n == 0 && s->stop_timeout == 10000000);
	ck_assert_uint_eq(s->n_cgroup, 1);
	ck_assert_str_eq(graph_str(G, kv->key), "pids.max");
	ck_assert_uint_eq(s->n_limits, 1);
	ck_assert_uint_eq(l->resource, RLIMIT_NPROC);
	ck_assert_uint_eq(s->n_success, 1);
	ck_assert_int_eq(*ok, 4);
	free((void *)(uintptr_t)G);
}
END_TEST

START_TEST(a_masked_service_leaves_those_alone_that_do_not_need_it)
{
	MAKE({ "s/a.ini", "-> /dev/null" }, { "t/a.ini", LONGRUN }, { "s/b.ini", LONGRUN DEPS "wants = a\nafter = a\nbefore = a\nconflicts = a\nrequires-one = a c\n" }, { "s/c.ini", LONGRUN },
	     { "s/z.ini", BUNDLE("a c") }, { "enabled/a", "-> ../t/a.ini" });
	ck_assert_str_eq(names(svc("z")->contents), "c");
	ck_assert_str_eq(names(svc("b")->requires_one), "c");
	ck_assert_uint_eq(svc("b")->wants.n, 0);
	ck_assert_uint_eq(graph_find(G, "a"), UINT32_MAX);
	free((void *)(uintptr_t)G);
}
END_TEST

START_TEST(warnings_are_kept_in_the_graph)
{
	make((const struct set_file[]){ { "s/a.ini", LONGRUN DEPS "wants = nobody\n" }, { NULL, NULL } }, "warning s/a.ini:5: wants names 'nobody', which does not exist; nothing comes of it\n");
	ck_assert_uint_eq(G->n_warnings, 1);
	ck_assert_ptr_nonnull(strstr(words((struct gstrv){ 1, G->warnings }), "s/a.ini:5: wants names 'nobody'"));
	free((void *)(uintptr_t)G);
}
END_TEST

/* The hash of service a whose file is LONGRUN and `more`. */
static uint64_t hash_with(const char *more)
{
	char text[512];
	uint64_t h;

	snprintf(text, sizeof(text), "%s%s", LONGRUN, more);
	MAKE({ "s/a.ini", text }, { "s/b.ini", LONGRUN }, { "s/c.ini", LONGRUN });
	h = svc("a")->hash;
	free((void *)(uintptr_t)G);
	return h;
}

START_TEST(the_hash_changes_with_what_shapes_the_process_and_with_nothing_else)
{
	static const char *const shape[] = {
		"user = x\n", "group = x\n", "groups = x\n", "groups = x y\n", "working-directory = /\n", "root-directory = /\n", "environment = A=1\n", "environment = A=2\n", "environment-file = /a\n",
		"umask = 022\n", "nice = 0\n", "oom-score-adj = 0\n", "no-new-privileges = yes\n", "tty = tty1\n", "output = null\n", "output = pipe:b\n", "output = pipe:c\n", "[readiness]\nnotify = fd:3\n",
		"[readiness]\nnotify = fd:4\n", "[readiness]\nnotify = socket\n", "[limits]\nnofile = 5\n", "[limits]\nnproc = 5\n", "[cgroup]\nmemory.max = 1M\n", "[cgroup]\nmemory.high = 1M\n", "",
		"[readiness]\nnotify = socket\n[restart]\nwatchdog = 1s\n",
	};
	static const char *const rest[] = {
		"description = x\n", "exec-stop = x\n", "exec-reload = x\n", "reload-signal = HUP\n", "pre-start = x\n", "post-stop = x\n", "boot-critical = yes\n", "boot-critical = yes\nsettle-time = 1s\n",
		"# comment\n", "output = log\n", "[readiness]\nnotify = none\nstart-timeout = 1s\n", "[restart]\npolicy = no\ndelay = 1s\nlimit = 1\ninterval = 1s\nsuccess = 3\n",
		"[stop]\nsignal = INT\ntimeout = 1s\nkill-mode = process\n", "[dependencies]\nafter = b\nwants = c\ndepends = b\n", "[install]\nenabled = yes\n",
	};
	uint64_t plain = hash_with(""), h[ARRAY_SIZE(shape)];

	for (size_t i = 0; i < ARRAY_SIZE(shape); i++) {
		h[i] = hash_with(shape[i]);
		for (size_t j = 0; j < i; j++)
			ck_assert_msg(h[i] != h[j], "%s and %s", shape[i], shape[j]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rest); i++)
		ck_assert_msg(hash_with(rest[i]) == plain, "%s", rest[i]);
}
END_TEST

START_TEST(unsafe_files_and_folders_are_refused)
{
	static const struct { const char *path; mode_t mode; uid_t owner; const char *said; } cases[] = {
		{ "s/a.ini", 0646, 0, "error s/a.ini: everybody may write to it, and so run commands as root; chmod o-w s/a.ini\n" },
		{ "s", 0777, 0, "error s: everybody may write to it, and so run commands as root; chmod o-w s\n" },
		{ "s/a.d", 0757, 0, "error s/a.d: everybody may write to it, and so run commands as root; chmod o-w s/a.d\n" },
		{ "s/a.d/x.ini", 0666, 0, "error s/a.d/x.ini: everybody may write to it, and so run commands as root; chmod o-w s/a.d/x.ini\n" },
		{ "s/a.ini", 0644, 1000, "error s/a.ini: it belongs to user 1000, who could run commands as root by it; chown root s/a.ini\n" },
		{ "enabled", 0777, 0, "error enabled: everybody may write to it, and so run commands as root; chmod o-w enabled\n" },
	};
	void *blob;
	size_t size;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = make_test_dir(), r;
		if (cases[i].owner && geteuid() != 0)
			continue;
		put_set_file("s/a.ini", LONGRUN);
		put_set_file("s/a.d/x.ini", "[service]\nnice = 1\n");
		put_set_file("enabled/a", "-> ../s/a.ini");
		ck_assert_int_eq(fchmodat(fd, cases[i].path, cases[i].mode, 0), 0);
		ck_assert(!cases[i].owner || fchownat(fd, cases[i].path, cases[i].owner, 0, 0) == 0);
		r = compile_set(&said, &blob, &size);
		rm_rf(AT_FDCWD, test_dir_path);
		close(fd);
		ck_assert_int_eq(r, -EINVAL);
		ck_assert_str_eq(said.data, cases[i].said);
	}
}
END_TEST

START_TEST(a_set_without_folders_is_empty)
{
	MAKE({ "x/y", "" });
	ck_assert_uint_eq(G->n_services, 0);
	ck_assert_uint_eq(graph_find(G, "a"), UINT32_MAX);
	free((void *)(uintptr_t)G);
}
END_TEST

PROMISES("graph: content", a_service_that_says_nothing_has_the_documented_defaults, every_key_reaches_the_graph, the_size_of_a_log_is_a_setting_that_no_process_is_restarted_for, edges_are_known_at_both_ends,
	providers_stand_in_the_virtuals_order_and_then_by_name, enabled_services_are_wanted_by_the_boot_target_and_critical_ones_are_part_of_it,
	templates_make_the_instances_that_are_named, the_first_folder_wins_and_drop_ins_of_all_are_applied_by_name, an_empty_value_goes_back_to_the_default, a_masked_service_leaves_those_alone_that_do_not_need_it,
	warnings_are_kept_in_the_graph, the_hash_changes_with_what_shapes_the_process_and_with_nothing_else, unsafe_files_and_folders_are_refused, a_set_without_folders_is_empty)
