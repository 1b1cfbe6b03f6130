/* boot.c: from nothing to the boot target, and the judgement of how that went.
 *
 * Service files that can't be compiled lead to the bundle `rescue` of the distribution's own files, and if there is none, to a shell. The
 * boot is good when the target is up and every boot-critical service has stayed up for its settle-time; that is recorded by a child
 * (rastinit --mark), so that a slow disk holds nothing up. */
#include <string.h>
#include <sys/wait.h>
#include "supervisor/compile.h"

#define FAIL_DELAY 10000000u /* us: rast.fail-delay= */
#define SHELL_AGAIN 1000000u
#define REMEMBER_AGAIN 100000u

/* --- the kernel command line --- */

static bool cmdline_value(struct manager *m, const char *key, char *buf, size_t size)
{
	size_t n = strlen(key);
	bool found = false;
	for (char **w = m->words; w && *w; w++)
		if (!strncmp(*w, key, n) && (*w)[n] == '=') {
			snprintf(buf, size, "%s", *w + n + 1);
			found = true;
		}
	return found;
}

static bool cmdline_word(struct manager *m, const char *word)
{
	for (char **w = m->words; w && *w; w++)
		if (streq(*w, word))
			return true;
	return false;
}

static void read_cmdline(struct manager *m)
{
	_cleanup_free_ char *text = NULL;
	char buf[64];
	bool yes;
	if (file_read(AT_FDCWD, m->opt.cmdline, 65536, &text, NULL) < 0 || str_split_words(text, &m->words) < 0)
		return;
	if (cmdline_value(m, "rast.log", buf, sizeof(buf)) && log_level_from_name(buf) >= 0)
		log_set_max_level(log_level_from_name(buf));
	m->opt.show = !cmdline_word(m, "quiet");
	if (cmdline_value(m, "rast.show", buf, sizeof(buf)) && parse_bool(buf, &yes) == 0)
		m->opt.show = yes;
}

/* The kernel's `emergency` is PID 1's: its shell has been there, and was left to go on with the boot. */
static void choose_target(struct manager *m, char *buf, size_t size)
{
	static const char *const single[] = {"rescue", "single", "s", "S", "1"};
	snprintf(buf, size, "default");
	for (size_t k = 0; k < ARRAY_SIZE(single); k++)
		if (cmdline_word(m, single[k]))
			snprintf(buf, size, "rescue");
	cmdline_value(m, "rast.target", buf, size);
	if (m->p1_fd >= 0 && streq(buf, "emergency"))
		snprintf(buf, size, "default");
	if (m->opt.target)
		snprintf(buf, size, "%s", m->opt.target);
}

void boot_init(struct manager *m)
{
	read_cmdline(m);
}

/* KEY=value lines that stage 1 wrote: what it chose, and why. */
bool boot_value(struct manager *m, const char *key, char *buf, size_t size)
{
	_cleanup_free_ char *text = NULL;
	size_t n = strlen(key);
	if (file_read(AT_FDCWD, m->opt.boot_file, 65536, &text, NULL) < 0)
		return false;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
		if (!strncmp(line, key, n) && line[n] == '=') {
			snprintf(buf, size, "%s", line + n + 1);
			return true;
		}
	return false;
}

/* --- compiling --- */

static void print_problems(struct manager *m, json_t *problems)
{
	size_t k;
	json_t *p;
	json_array_foreach (problems, k, p) {
		const char *level = json_string_value(json_object_get(p, "level")), *file = json_string_value(json_object_get(p, "file"));
		const char *text = json_string_value(json_object_get(p, "text"));
		int line = (int)json_integer_value(json_object_get(p, "line"));
		bool error = level && streq(level, "error");
		char at[512] = "";
		if (file)
			snprintf(at, sizeof(at), line ? "%s:%d: " : "%s: ", file, line);
		if (error)
			output_tell(m, LOG_ERR, "%s%s", at, text ? text : "");
		else
			log_warning("%s%s", at, text ? text : "");
	}
}

/* The first set of services of this boot: all, or else the distribution's alone, or else none. */
int boot_compile(struct manager *m)
{
	json_t *problems = NULL;
	_cleanup_err_ struct err e = {0};
	int r = compile_wait(m, 1, 0, &m->g, &problems, &e);
	print_problems(m, problems);
	json_decref(problems);
	problems = NULL;
	if (r == 0)
		return 0;
	m->st.boot.rescue = RESCUE_SET;
	output_tell(m, LOG_ERR, "%s: starting the rescue target instead; mend the files, then: rastctl check, rastctl apply", err_text(&e));
	err_clear(&e);
	r = compile_wait(m, 1, 1, &m->g, &problems, &e);
	json_decref(problems);
	if (r == 0 && graph_find(m->g, "rescue") != NONE)
		return 0;
	if (r == 0)
		graph_unmap(m->g);
	log_err("the distribution's own service files can't be used either (%s): a shell", r < 0 ? err_text(&e) : "no bundle 'rescue'");
	m->st.boot.rescue = RESCUE_SHELL;
	m->opt.config_dirs[0] = NULL; /* no folder at all: the empty set */
	err_clear(&e);
	r = compile_wait(m, 1, 0, &m->g, &problems, &e);
	json_decref(problems);
	return r;
}

/* --- the shell of last resort --- */

static int on_shell_again(struct timer *t, void *data)
{
	boot_shell(data);
	return 0;
}

static void on_shell_end(struct manager *m, int code, int status, void *data)
{
	if (m->st.boot.power)
		return;
	timer_init(&m->shell_timer, on_shell_again, m);
	timer_arm_in(m->loop, &m->shell_timer, SHELL_AGAIN);
}

void boot_shell(struct manager *m)
{
	char *const sulogin[] = {(char *)"sulogin", (char *)"--force", NULL}, *const sh[] = {(char *)"/bin/sh", (char *)"-l", NULL};
	output_console(m, "rastd: rescue shell; leave it with: rastctl reboot -f");
	if (spawn_helper_tty(m, sulogin, "/dev/console", on_shell_end, NULL) < 0 &&
		spawn_helper_tty(m, sh, "/dev/console", on_shell_end, NULL) < 0)
		log_err("no shell can be started on /dev/console");
}

/* --- masks --- */

/* rast.mask=: not started in this boot. They stay in the graph: what depends on them says so. */
void boot_masks(struct manager *m)
{
	char buf[1024], *rest = buf;
	if (!cmdline_value(m, "rast.mask", buf, sizeof(buf)) && !m->opt.mask)
		return;
	if (m->opt.mask)
		snprintf(buf, sizeof(buf), "%s", m->opt.mask);
	for (char *name; (name = strsep(&rest, ","));) {
		uint32_t i = graph_find(m->g, name);
		if (i == NONE)
			log_warning("rast.mask=%s: there is no such service", name);
		else
			m->e.s[i].r.flags |= F_MASKED;
	}
}

/* --- the ledger, and the way out --- */

static bool snapshot_of(struct manager *m, char *buf, size_t size)
{
	return boot_value(m, "snapshot", buf, size) && !streq(buf, "none");
}

static void on_marked(struct manager *m, int code, int status, void *data)
{
	const char *how = data;
	idle_due(m);
	manager_schedule(m);
	if (code == CLD_EXITED && status == 0)
		log_info("this boot is recorded as '%s'", how);
	else
		log_err("this boot could not be recorded as '%s' (rastinit --mark: %s %d)", how, code == CLD_EXITED ? "status" : "signal",
			status);
}

void boot_mark(struct manager *m, const char *how)
{
	char snapshot[32], program[4096];
	if (m->opt.no_mark || m->opt.standalone || !snapshot_of(m, snapshot, sizeof(snapshot)))
		return;
	snprintf(program, sizeof(program), "%s/rastinit", m->opt.libdir);
	char *const argv[] = {program, (char *)"--mark", (char *)(uintptr_t)how, snapshot, NULL};
	int r = spawn_helper(m, argv, on_marked, (void *)(uintptr_t)how);
	if (r < 0)
		log_err("record this boot as '%s': %s: %s", how, program, strerror(-r));
}

static int on_fail_reboot(struct timer *t, void *data)
{
	struct manager *m = data;
	if (m->st.boot.reboot_at && !m->st.boot.power && remember_busy())
		return timer_arm_in(m->loop, t, REMEMBER_AGAIN);
	if (m->st.boot.reboot_at && !m->st.boot.power)
		power_begin(m, RINIT_REBOOT, false, "the boot target failed on a deployment that is not proven: the next one is tried");
	return 0;
}

static uint64_t fail_delay(struct manager *m)
{
	char buf[32];
	uint64_t us = FAIL_DELAY;
	if (cmdline_value(m, "rast.fail-delay", buf, sizeof(buf)))
		parse_duration(buf, &us);
	return us;
}

/* May rebooting help? Only if this deployment has not proven itself, and there is another one. */
static bool another_may_be_better(struct manager *m)
{
	char proven[16], others[16];
	uint64_t n = 0;
	return boot_value(m, "proven", proven, sizeof(proven)) && streq(proven, "0") &&
	       boot_value(m, "alternatives", others, sizeof(others)) && parse_u64(others, &n) == 0 && n > 0;
}

static void arm_reboot(struct manager *m)
{
	timer_init(&m->fail_timer, on_fail_reboot, m);
	timer_arm_at(m->loop, &m->fail_timer, m->st.boot.reboot_at);
}

void boot_stay(struct manager *m)
{
	if (!m->st.boot.reboot_at)
		return;
	m->st.boot.reboot_at = 0;
	state_put_boot(&m->st);
	timer_disarm(m->loop, &m->fail_timer);
	output_console(m, "rastd: staying with this deployment");
}

/* What was meant to be booted can't come up. */
static void failed_deployment(struct manager *m, const char *why)
{
	boot_mark(m, "failed");
	remember_boot(m, false, why);
	if (m->opt.standalone || !another_may_be_better(m))
		return;
	uint64_t us = fail_delay(m);
	m->st.boot.reboot_at = now_us() + us;
	state_put_boot(&m->st);
	arm_reboot(m);
	output_console(m, "rastd: this deployment is not proven and there is another one: rebooting in %.0f s (rastctl reset: stay)",
		(double)us / 1e6);
}

/* --- going up --- */

static uint32_t find_target(struct manager *m)
{
	uint32_t i = graph_find(m->g, m->st.boot.target);
	if (i == NONE && m->st.boot.rescue != RESCUE_SHELL) {
		log_err("there is no service '%s' to boot into: trying 'default', then 'rescue'", m->st.boot.target);
		snprintf(m->st.boot.target, sizeof(m->st.boot.target), "default");
		i = graph_find(m->g, "default");
	}
	if (i == NONE) {
		snprintf(m->st.boot.target, sizeof(m->st.boot.target), "rescue");
		i = graph_find(m->g, "rescue");
	}
	return i;
}

static int start_target(struct manager *m, uint32_t i)
{
	struct mark k = {0};
	if (m->logger != NONE)
		mark_start(&m->e, &m->logger, 1, 0, &k);
	mark_clear(&k);
	int r = mark_start(&m->e, &i, 1, 0, &k);
	if (r == -EBUSY)
		log_err("target '%s' can't be started: %s conflicts with %s", m->st.boot.target, nm(m, &m->e.s[k.subject]),
			nm(m, &m->e.s[k.other]));
	mark_clear(&k);
	manager_schedule(m);
	return r == -ENOMEM ? r : 0;
}

int boot_begin(struct manager *m)
{
	choose_target(m, m->st.boot.target, sizeof(m->st.boot.target));
	if (m->st.boot.rescue)
		snprintf(m->st.boot.target, sizeof(m->st.boot.target), "rescue");
	uint32_t i = find_target(m);
	m->st.boot.phase = BOOT_STARTING;
	state_put_boot(&m->st);
	if (m->st.boot.rescue)
		failed_deployment(m, "the service files have errors");
	if (i == NONE) {
		if (!m->opt.standalone)
			boot_shell(m);
		return 0;
	}
	return start_target(m, i);
}

/* --- the judgement --- */

static void set_phase(struct manager *m, enum boot_phase p)
{
	m->st.boot.phase = p;
	idle_due(m);
	state_put_boot(&m->st);
	events_boot(m);
}

/* A rescue shell that came up says nothing about the deployment, and must not make it a proven one. */
static bool proves_something(const struct manager *m)
{
	const char *t = m->st.boot.target;
	return m->st.boot.rescue == RESCUE_NO && !streq(t, "rescue") && !streq(t, "emergency");
}

/* Has every boot-critical service been up long enough? Returns when that will be the case, 0: it is. */
static uint64_t settled_at(struct manager *m)
{
	uint64_t latest = 0, now = now_us();
	for (uint32_t i = 0; i < m->e.n; i++) {
		const struct svc *s = &m->e.s[i];
		uint64_t settle = cfg(&m->e, s)->settle_time;
		if (!s->def->boot_critical || svc_is_group(s) || !svc_has(s, F_WANT) || settle == NEVER)
			continue;
		latest = MAX(latest, s->r.state == ST_UP ? s->r.ready + settle : now + MAX(settle, 100000u));
	}
	return latest <= now ? 0 : latest;
}

static int on_settle(struct timer *t, void *data)
{
	struct manager *m = data;
	uint64_t at = settled_at(m);
	if (m->st.boot.phase != BOOT_UP)
		return 0;
	if (at)
		return timer_arm_at(m->loop, t, at);
	m->st.boot.good = now_us();
	set_phase(m, BOOT_GOOD);
	log_notice("the boot is good: '%s' is up and its critical services have settled", m->st.boot.target);
	boot_mark(m, "good");
	remember_boot(m, true, NULL);
	pid1_send(m, RINIT_BOOTED, 1, 0, NULL);
	return 0;
}

static void target_failed(struct manager *m, const struct svc *s)
{
	char why[256];
	svc_reason(&m->e, s, why, sizeof(why));
	set_phase(m, BOOT_FAILED);
	output_tell(m, LOG_ERR, "boot target '%s' failed: %s", m->st.boot.target, why);
	pid1_send(m, RINIT_BOOTED, 0, 0, NULL);
	if (proves_something(m))
		failed_deployment(m, why);
}

static void judge(struct manager *m)
{
	if (!proves_something(m))
		return;
	timer_init(&m->settle_timer, on_settle, m);
	on_settle(&m->settle_timer, m);
}

static void target_up(struct manager *m)
{
	m->st.boot.up = now_us();
	set_phase(m, BOOT_UP);
	if (!m->st.boot.rescue)
		boot_stay(m);
	log_notice("boot target '%s' is up after %.3f s", m->st.boot.target, (double)(m->st.boot.up - m->st.boot.started) / 1e6);
	if (!proves_something(m)) /* else it is told when the boot is good */
		pid1_send(m, RINIT_BOOTED, 1, 0, NULL);
	judge(m);
}

void boot_check(struct manager *m)
{
	const struct boot_rec *b = &m->st.boot;
	if ((b->phase != BOOT_STARTING && b->phase != BOOT_FAILED && b->phase != BOOT_UP) || b->power || !m->g)
		return;
	uint32_t i = graph_find(m->g, b->target);
	if (i == NONE)
		return;
	if (m->e.s[i].r.state == ST_UP && b->phase != BOOT_UP)
		target_up(m);
	else if (m->e.s[i].r.state == ST_FAILED && b->phase != BOOT_FAILED) /* with BOOT_UP: what was up has not stayed up until it was settled */
		target_failed(m, &m->e.s[i]);
}

/* Another target before the judgement: nobody will know whether the one of this boot would have been good. Back to it, and it is judged. */
void boot_isolated(struct manager *m, const char *name)
{
	struct boot_rec *b = &m->st.boot;
	char meant[64];
	boot_stay(m);
	if (b->phase == BOOT_GOOD || b->phase == BOOT_STOPPING || streq(b->target, name))
		return;
	choose_target(m, meant, sizeof(meant));
	if (b->rescue == RESCUE_NO || b->rescue == RESCUE_PERSON)
		b->rescue = streq(name, meant) ? RESCUE_NO : RESCUE_PERSON;
	snprintf(b->target, sizeof(b->target), "%s", name);
	set_phase(m, BOOT_STARTING);
}

/* A new rastd: go on with what the former one was waiting for. */
void boot_resume(struct manager *m)
{
	uint32_t i = graph_find(m->g, m->st.boot.target);
	bool marked = i == NONE || svc_has(&m->e.s[i], F_WANT); /* the target is marked last, so nothing of it is missing then */
	if (m->st.boot.phase == BOOT_STARTING && !m->st.boot.power && !marked)
		start_target(m, i);
	if (m->st.boot.phase == BOOT_UP)
		judge(m);
	if (m->st.boot.reboot_at)
		arm_reboot(m);
	if (m->st.boot.rescue == RESCUE_SHELL && !m->opt.standalone)
		boot_shell(m);
}
