/* engine_fake.h: the engine of the supervisor with a fake world below it: processes are numbers, time is a variable. For engine_*.c. */
#ifndef RAST_TESTS_ENGINE_FAKE_H
#define RAST_TESTS_ENGINE_FAKE_H

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include "base/log.h"
#include "supervisor/engine/engine-priv.h"
#include "supervisor/graph/compile.h"
#include "tests/unit/unit.h"

#define FAKE_MAX 256

struct text_of { const char *name, *text; };

static struct world {
	struct engine e;
	void *blob;
	uint64_t now;
	int next_pid;
	struct svc_rec shadow[FAKE_MAX];   /* what the state file would hold */
	struct pending { uint32_t i; enum proc_kind kind; } pend[FAKE_MAX * 4];
	unsigned n_pend;
	/* how services behave */
	bool exec_fails[FAKE_MAX], ignores_stop[FAKE_MAX], leaves_behind[FAKE_MAX];
	/* what happened */
	bool leftover[FAKE_MAX];
	bool dying_main[FAKE_MAX], dying_aux[FAKE_MAX], emptied[FAKE_MAX], killed[FAKE_MAX];
	unsigned starts[FAKE_MAX], runs[FAKE_MAX][6], signals[FAKE_MAX], kills[FAKE_MAX];
	uint64_t start_times[FAKE_MAX][64];
	char order[8192];                  /* "+a -a ": came up, went down */
} w;

static uint32_t id(const char *name)
{
	uint32_t i = graph_find(w.e.g, name);
	ck_assert_msg(i != NONE, "no service %s", name);
	return i;
}

static struct svc *sv(const char *name) { return &w.e.s[id(name)]; }
static inline const char *st(const char *name) { return svc_state_name(sv(name)->r.state); }

static int fake_spawn(struct engine *e, struct svc *s, enum proc_kind kind)
{
	ck_assert_uint_lt(w.n_pend, FAKE_MAX * 4);
	ck_assert_msg(!s->spawning, "%s: two processes asked for at once", svc_name(e, s));
	w.pend[w.n_pend++] = (struct pending){ svc_index(e, s), kind };
	return 0;
}

static void start_fake(struct svc *s, enum proc_kind kind)
{
	uint32_t i = svc_index(&w.e, s);
	s->spawning = 0;
	w.runs[i][kind]++;
	w.killed[i] = false;
	if (kind == PROC_MAIN) {
		w.start_times[i][w.starts[i] % 64] = w.now;
		w.starts[i]++;
		ck_assert_msg(!s->r.pid, "%s has a main process already", svc_name(&w.e, s));
	}
	if (w.exec_fails[i] && kind == PROC_MAIN) {
		s->r.why = WHY_EXEC;
		s->r.why_step = 1;
		s->r.why_arg = ENOENT;
		s->dirty = 1;
		engine_event(&w.e, s, EV_EXEC_FAIL);
		return;
	}
	if (kind == PROC_MAIN)
		s->r.pid = ++w.next_pid;
	else
		s->r.aux_pid = ++w.next_pid;
	s->dirty = 1;
	engine_event(&w.e, s, EV_EXEC_OK);
}

static void fake_flush(struct engine *e)
{
	for (unsigned k = 0; k < w.n_pend; k++)
		start_fake(&e->s[w.pend[k].i], w.pend[k].kind);
	w.n_pend = 0;
}

static void fake_signal(struct engine *e, struct svc *s, int sig, bool all)
{
	uint32_t i = svc_index(e, s);
	w.signals[i]++;
	if (w.ignores_stop[i])
		return;
	w.dying_main[i] = s->r.pid != 0;
	w.dying_aux[i] = s->r.aux_pid != 0;
	if (all && w.leftover[i]) {
		w.leftover[i] = false;
		w.emptied[i] = true;
	}
}

static void fake_kill(struct engine *e, struct svc *s)
{
	uint32_t i = svc_index(e, s);
	w.kills[i]++;
	w.killed[i] = true;
	w.dying_main[i] = s->r.pid != 0;
	w.dying_aux[i] = s->r.aux_pid != 0;
	w.leftover[i] = false;
	w.emptied[i] = true;
}

static bool fake_empty(struct engine *e, struct svc *s) { return !s->r.pid && !s->r.aux_pid && !w.leftover[svc_index(e, s)]; }
static void fake_commit(struct engine *e, struct svc *s) { w.shadow[svc_index(e, s)] = s->r; }
static uint64_t fake_now(struct engine *e) { return w.now; }

static void fake_changed(struct engine *e, struct svc *s, enum svc_state old)
{
	size_t n = strlen(w.order);
	if (n + 80 > sizeof(w.order))
		return;
	if (s->r.state == ST_UP)
		snprintf(w.order + n, sizeof(w.order) - n, "+%s ", svc_name(e, s));
	else if (s->r.state == ST_DOWN && old != ST_WAITING && old != ST_FAILED)
		snprintf(w.order + n, sizeof(w.order) - n, "-%s ", svc_name(e, s));
}

static const struct engine_ops fake_ops = { .spawn = fake_spawn, .signal = fake_signal, .kill = fake_kill, .empty = fake_empty, .commit = fake_commit, .changed = fake_changed, .flush = fake_flush, .now = fake_now };

static void note_error(int level, const char *file, int line, const char *text, void *data)
{
	if (level <= LOG_ERR)
		ck_abort_msg("%s:%d: %s", file, line, text);
}

static inline void world_load(const struct text_of *v, unsigned n)
{
	_cleanup_(compiler_free) struct compiler c = { .cb = note_error };
	size_t size;
	char file[80];
	log_set_max_level(-1);
	memset(&w, 0, sizeof(w));
	w.now = 1000000000;
	w.next_pid = 100;
	for (unsigned k = 0; k < n; k++) {
		snprintf(file, sizeof(file), "%s.ini", v[k].name);
		ck_assert_int_eq(load_text(&c, v[k].name, file, v[k].text, strlen(v[k].text)), 0);
	}
	ck_assert_int_eq(compile_rest(&c, 1, &w.blob, &size), 0);
	ck_assert_int_eq(engine_init(&w.e, w.blob, &fake_ops, NULL), 0);
	ck_assert_uint_le(w.e.n, FAKE_MAX);
	for (uint32_t i = 0; i < w.e.n; i++)
		w.shadow[i] = w.e.s[i].r;
}

static void world_free(void)
{
	engine_free(&w.e);
	free(w.blob);
}

#define WORLD(...)                                                       \
	static const struct text_of texts_[] = { __VA_ARGS__ };          \
	world_load(texts_, sizeof(texts_) / sizeof(texts_[0]))

static void exit_main(struct svc *s, int code, int status)
{
	uint32_t i = svc_index(&w.e, s);
	ck_assert_int_ne(s->r.pid, 0);
	w.dying_main[i] = false;
	w.leftover[i] = w.leftover[i] || (w.leaves_behind[i] && !w.killed[i]);
	s->r.pid = 0;
	s->r.exit_code = (uint8_t)code;
	s->r.exit_status = (uint8_t)status;
	s->dirty = 1;
	engine_event(&w.e, s, EV_MAIN_EXIT);
}

static void exit_aux(struct svc *s, int code, int status)
{
	w.dying_aux[svc_index(&w.e, s)] = false;
	s->r.aux_pid = 0;
	s->r.aux = PROC_NONE;
	s->aux_code = (uint8_t)code;
	s->aux_status = (uint8_t)status;
	s->dirty = 1;
	engine_event(&w.e, s, EV_AUX_EXIT);
}

/* What signals have begun comes to its end. */
static bool reap(void)
{
	bool any = false;
	for (uint32_t i = 0; i < w.e.n; i++) {
		struct svc *s = &w.e.s[i];
		if (w.dying_main[i] && s->r.pid) {
			exit_main(s, CLD_KILLED, SIGTERM);
			any = true;
		}
		if (w.dying_aux[i] && s->r.aux_pid) {
			exit_aux(s, CLD_KILLED, SIGTERM);
			any = true;
		}
		if (w.emptied[i]) {
			w.emptied[i] = false;
			engine_event(&w.e, s, EV_EMPTY);
			any = true;
		}
	}
	return any;
}

static void run(void)
{
	unsigned rounds = 0;
	do {
		while (engine_run(&w.e, 7))
			ck_assert_msg(++rounds < 100000, "the engine does not come to rest");
	} while (reap());
}

static void pass(uint64_t us)
{
	uint64_t end = w.now + us;
	for (unsigned k = 0;; k++) {
		uint64_t next = engine_next_deadline(&w.e);
		ck_assert_uint_lt(k, 100000);
		if (!next || next > end)
			break;
		w.now = MAX(w.now, next);
		engine_expire(&w.e, w.now);
		run();
	}
	w.now = end;
	run();
}

static int ask(int (*mark)(struct engine *e, const uint32_t *ids, uint32_t n, int how, struct mark *m), const char *name, int how)
{
	struct mark m = { 0 };
	uint32_t i = id(name);
	int r = mark(&w.e, &i, 1, how, &m);
	mark_clear(&m);
	run();
	return r;
}

static inline int start(const char *name) { return ask(mark_start, name, 0); }
static inline int stop(const char *name) { return ask(mark_stop, name, 0); }
static inline int force_stop(const char *name) { return ask(mark_stop, name, MARK_FORCE); }
static inline int restart(const char *name) { return ask(mark_restart, name, 0); }

static inline void ends(const char *name, int code, int status)
{
	exit_main(sv(name), code, status);
	run();
}

/* A new rastd: all that it has is what was committed. */
static void resurrect(void)
{
	const struct graph *g = w.e.g;
	engine_free(&w.e);
	ck_assert_int_eq(engine_init(&w.e, g, &fake_ops, NULL), 0);
	for (uint32_t i = 0; i < w.e.n; i++)
		w.e.s[i].r = w.shadow[i];
	w.n_pend = 0;
	engine_resume(&w.e);
	run();
}

#define L "[service]\ntype = longrun\nexec = /bin/x\n"
#define N L "[readiness]\nnotify = socket\n"
#define O "[service]\ntype = oneshot\nexec = /bin/x\n"
#define D "[dependencies]\n"
#define BUNDLE(x) "[service]\ntype = bundle\n[dependencies]\ncontents = " x "\n"

#define ck_state(name, state) ck_assert_str_eq(st(name), state)

#endif
