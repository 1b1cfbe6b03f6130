/* Random sets of services under random requests, ends, time and deaths of rastd: what has to hold always. */
#include "tests/unit/engine_fake.h"

#define ROUNDS 1000
#define STEPS 120

static uint64_t seed;

static unsigned rnd(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

/* --- a random set: edges go from higher to lower numbers, so there is no cycle --- */

static const char *const kinds[] = {O, L, L, N, "[service]\ntype = bundle\n", "[service]\ntype = virtual\n", L "pre-start = /bin/p\n",
	L "exec-stop = /bin/s\npost-stop = /bin/q\n"};

static void add_edges(struct buf *b, unsigned i, bool bundle, bool virt)
{
	static const char *const relations[] = {"depends", "wants", "after", "requires-one", "conflicts"};
	buf_addf(b, "[dependencies]\n");
	if (bundle || virt)
		for (unsigned k = 0; k < 1 + rnd(3); k++)
			buf_addf(b, "%s = n%02u\n", bundle ? "contents" : "providers", rnd(i));
	else
		for (unsigned k = 0; k < rnd(4); k++)
			buf_addf(b, "%s = n%02u\n", relations[rnd(12) == 0 ? 4 : rnd(4)], rnd(i));
}

static void ignore(int level, const char *file, int line, const char *text, void *data) {}

/* False: the compiler found something to object to (a dependency that conflicts, ...). */
static bool random_world(void)
{
	_cleanup_(compiler_free) struct compiler c = {.cb = ignore};
	unsigned n = 3 + rnd(20);
	size_t size;
	memset(&w, 0, sizeof(w));
	w.now = 1000000000;
	w.next_pid = 100;
	for (unsigned i = 0; i < n; i++) {
		_cleanup_buf_ struct buf b = {0};
		char name[16];
		unsigned kind = i < 2 ? 1 + rnd(3) : rnd(ARRAY_SIZE(kinds));
		buf_addf(&b, "%s", kinds[kind]);
		if (i)
			add_edges(&b, i, kind == 4, kind == 5);
		if (kind != 4 && kind != 5)
			buf_addf(&b, "[restart]\npolicy = %s\nlimit = %u\ninterval = 10s\n",
				rnd(3) == 0 || kind == 0 ? "no"
				: rnd(2)                 ? "always"
							 : "on-failure",
				1 + rnd(5));
		snprintf(name, sizeof(name), "n%02u", i);
		ck_assert_int_eq(load_text(&c, name, name, b.data, b.len), 0);
	}
	if (compile_rest(&c, 1, &w.blob, &size) < 0)
		return false;
	ck_assert_int_eq(engine_init(&w.e, w.blob, &fake_ops, NULL), 0);
	for (uint32_t i = 0; i < w.e.n; i++) {
		w.shadow[i] = w.e.s[i].r;
		w.exec_fails[i] = rnd(12) == 0;
		w.ignores_stop[i] = rnd(6) == 0;
		w.leaves_behind[i] = rnd(6) == 0;
	}
	return true;
}

/* --- what happens --- */

static void random_end(void)
{
	struct svc *s = &w.e.s[rnd(w.e.n)];
	int code = rnd(3) ? CLD_EXITED : CLD_KILLED, status = code == CLD_KILLED ? SIGSEGV : rnd(3) ? 0 : 1;
	if (s->r.aux_pid && rnd(2))
		exit_aux(s, code, status);
	else if (s->r.pid)
		exit_main(s, code, status);
}

static void random_request(void)
{
	struct mark m = {0};
	uint32_t ids[2] = {rnd(w.e.n), rnd(w.e.n)};
	int how = rnd(2) ? MARK_FORCE : 0;
	switch (rnd(4)) {
	case 0:
		mark_stop(&w.e, ids, 1, how, &m);
		break;
	case 1:
		mark_restart(&w.e, ids, 1, how, &m);
		break;
	default:
		mark_start(&w.e, ids, 1 + rnd(2) * (ids[0] != ids[1]), how, &m);
		break;
	}
	mark_clear(&m);
}

static void random_step(void)
{
	switch (rnd(10)) {
	case 0:
	case 1:
	case 2:
		random_request();
		break;
	case 3:
	case 4:
		random_end();
		break;
	case 5:
		engine_event(&w.e, &w.e.s[rnd(w.e.n)], EV_READY);
		break;
	case 6:
		resurrect();
		break;
	case 7:
		mark_reset(&w.e, rnd(w.e.n));
		break;
	default:
		pass(rnd(4) ? rnd(500000) : rnd(20000000));
		break;
	}
	if (rnd(4))
		run();
}

/* --- what has to hold when nothing is left to do --- */

static void ck_stands_on_what_is_up(struct svc *s)
{
	const uint32_t *ids = graph_ids(w.e.g, s->def->depends);
	for (uint32_t k = 0; k < s->def->depends.n; k++) {
		const struct svc *d = &w.e.s[ids[k]];
		ck_assert_msg(d->r.state == ST_UP, "seed %llu: %s is %s, but %s is %s", (unsigned long long)seed, svc_name(&w.e, s),
			svc_state_name(s->r.state), svc_name(&w.e, d), svc_state_name(d->r.state));
	}
}

static void ck_no_conflict(struct svc *s)
{
	const uint32_t *ids = graph_ids(w.e.g, s->def->conflicts);
	for (uint32_t k = 0; k < s->def->conflicts.n; k++)
		ck_assert_msg(!svc_active(&w.e.s[ids[k]]), "%s runs beside %s", svc_name(&w.e, s), svc_name(&w.e, &w.e.s[ids[k]]));
}

static void ck_limit(struct svc *s)
{
	uint32_t i = svc_index(&w.e, s), limit = cfg(&w.e, s)->restart_limit;
	(void)i;
	ck_assert_uint_le(s->r.starts, MAX(limit, 1u));
}

static void ck_processes(struct svc *s)
{
	bool runs = s->r.state == ST_STARTING || (s->r.state == ST_UP && s->def->type == SVC_LONGRUN);
	bool rests = s->r.state == ST_DOWN || s->r.state == ST_WAITING || s->r.state == ST_BACKOFF ||
		     (s->r.state == ST_FAILED && s->r.why != WHY_UNKILLABLE);
	if (svc_is_group(s))
		return;
	ck_assert_msg(!runs || s->r.pid, "%s is %s without a process", svc_name(&w.e, s), svc_state_name(s->r.state));
	ck_assert_msg(!rests || (!s->r.pid && !s->r.aux_pid && !w.leftover[svc_index(&w.e, s)]), "%s is %s with a process",
		svc_name(&w.e, s), svc_state_name(s->r.state));
	ck_assert_msg(!svc_stopping(s) || s->r.state == ST_STOP_WAIT || s->r.deadline || s->r.aux, "%s is %s for ever", svc_name(&w.e, s),
		svc_state_name(s->r.state));
}

static void ck_always(void)
{
	for (uint32_t i = 0; i < w.e.n; i++) {
		struct svc *s = &w.e.s[i];
		bool stands = s->r.state == ST_UP || s->r.state == ST_STARTING || s->r.state == ST_PRE_START;
		ck_processes(s);
		ck_assert_msg(s->queued == 0 && s->spawning == 0 && s->mark == 0, "%s is left in a queue", svc_name(&w.e, s));
		ck_assert_mem_eq(&w.shadow[i], &s->r, sizeof(s->r)); /* all of it is in the state file */
		if (!svc_is_group(s))
			ck_limit(s);
		if (stands)
			ck_stands_on_what_is_up(s);
		if (stands && !svc_is_group(s))
			ck_no_conflict(s);
	}
}

/* Nobody has been forgotten: looking at everybody once more changes nothing. */
static void ck_at_rest(void)
{
	uint8_t before[FAKE_MAX];
	for (uint32_t i = 0; i < w.e.n; i++)
		before[i] = w.e.s[i].r.state;
	for (uint32_t i = 0; i < w.e.n; i++)
		engine_queue(&w.e, i);
	run();
	for (uint32_t i = 0; i < w.e.n; i++)
		ck_assert_msg(before[i] == w.e.s[i].r.state, "%s (type %u, flags %x) was forgotten in %s (now %s)",
			svc_name(&w.e, &w.e.s[i]), w.e.s[i].def->type, w.e.s[i].r.flags, svc_state_name(before[i]),
			svc_state_name(w.e.s[i].r.state));
}

/* Everything can be stopped. */
static void ck_shutdown(void)
{
	mark_stop_all(&w.e, NONE);
	run();
	for (int k = 0; k < 40; k++) {
		pass(10000000);
		for (uint32_t i = 0; i < w.e.n; i++)
			if (w.e.s[i].r.aux_pid) {
				exit_aux(&w.e.s[i], CLD_EXITED, 0);
				run();
			}
	}
	for (uint32_t i = 0; i < w.e.n; i++)
		ck_assert_msg(w.e.s[i].r.state == ST_DOWN, "after shutdown %s is %s (why %u, pid %d)", svc_name(&w.e, &w.e.s[i]),
			svc_state_name(w.e.s[i].r.state), w.e.s[i].r.why, w.e.s[i].r.pid);
}

START_TEST(what_has_to_hold_always_holds)
{
	unsigned compiled = 0;
	log_set_max_level(-1);
	for (unsigned round = 0; round < ROUNDS; round++) {
		seed = round + 1;
		if (!random_world())
			continue;
		compiled++;
		for (unsigned step = 0; step < STEPS; step++) {
			random_step();
			run();
			ck_always();
			ck_at_rest();
		}
		ck_shutdown();
		world_free();
	}
	ck_assert_uint_gt(compiled, ROUNDS / 4);
}
END_TEST

PROMISES("engine, random", what_has_to_hold_always_holds)
