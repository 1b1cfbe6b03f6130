/* The state machine of the supervisor: what a supervisor has to get right, one sentence each. */
#include "tests/unit/engine_fake.h"

START_TEST(dependencies_come_up_first)
{
	WORLD({"a", O}, {"b", N D "depends = a\n"}, {"c", L D "depends = b\n"});
	ck_assert_int_eq(start("c"), 0);
	ck_state("a", "starting");
	ck_state("b", "waiting");
	ends("a", CLD_EXITED, 0);
	ck_state("b", "starting");
	ck_state("c", "waiting");
	engine_event(&w.e, sv("b"), EV_READY);
	run();
	ck_state("c", "up");
	ck_assert_str_eq(w.order, "+a +b +c ");
	world_free();
}
END_TEST

START_TEST(stop_with_dependents_is_refused_and_force_stops_all_in_reverse)
{
	WORLD({"a", L}, {"b", L D "depends = a\n"}, {"c", L D "depends = b\n"});
	start("c");
	struct mark m = {0};
	uint32_t a = id("a");
	ck_assert_int_eq(mark_stop(&w.e, &a, 1, 0, &m), -EBUSY);
	ck_assert_uint_eq(m.n_blockers, 2);
	mark_clear(&m);
	ck_state("a", "up");
	w.order[0] = 0;
	ck_assert_int_eq(force_stop("a"), 0);
	ck_assert_str_eq(w.order, "-c -b -a ");
	world_free();
}
END_TEST

START_TEST(a_failed_oneshot_fails_its_dependents_only)
{
	WORLD({"bad", O}, {"dep", L D "depends = bad\n"}, {"wish", L D "wants = bad\n"}, {"free", L}, {"all", BUNDLE("dep wish free bad")});
	start("all");
	ends("bad", CLD_EXITED, 3);
	ck_state("bad", "failed");
	ck_state("dep", "failed");
	ck_state("wish", "up");
	ck_state("free", "up");
	ck_state("all", "failed");
	char why[128];
	ck_assert_str_eq(svc_reason(&w.e, sv("dep"), why, sizeof(why)), "dependency bad failed");
	ck_assert_str_eq(svc_reason(&w.e, sv("bad"), why, sizeof(why)), "exited with status 3");
	world_free();
}
END_TEST

START_TEST(what_a_failure_has_blocked_goes_on_when_it_is_mended)
{
	WORLD({"bad", O}, {"dep", L D "depends = bad\n"}, {"top", L D "depends = dep\n"}, {"all", BUNDLE("top")});
	start("all");
	ends("bad", CLD_EXITED, 1);
	ck_state("top", "failed");
	ck_assert_int_eq(start("bad"), 0);
	ends("bad", CLD_EXITED, 0);
	ck_state("dep", "up");
	ck_state("top", "up");
	ck_state("all", "up");
	world_free();
}
END_TEST

START_TEST(the_restart_limit_is_exact)
{
	WORLD({"a", L "[restart]\nlimit = 4\ninterval = 10s\ndelay = 1ms\ndelay-max = 1ms\n"});
	start("a");
	for (int k = 0; k < 10 && sv("a")->r.pid; k++) {
		ends("a", CLD_EXITED, 1);
		pass(1000);
	}
	ck_state("a", "failed");
	ck_assert_uint_eq(w.starts[id("a")], 4);
	ck_assert_uint_eq(sv("a")->r.restarts, 3);
	ck_assert_int_eq(start("a"), 0);
	ck_state("a", "up");
	world_free();
}
END_TEST

START_TEST(the_limit_holds_in_every_span_not_in_fixed_ones)
{
	WORLD({"a", L "[restart]\nlimit = 3\ninterval = 10s\ndelay = 1ms\ndelay-max = 1ms\n"});
	start("a");
	pass(9000000); /* one start at 0 s */
	ends("a", CLD_EXITED, 1);
	pass(1000); /* 9 s */
	ends("a", CLD_EXITED, 1);
	pass(1500000); /* 9.001 s; now 10.5 s: the first has expired */
	ends("a", CLD_EXITED, 1);
	pass(1000);
	ck_state("a", "up"); /* third within the span */
	ends("a", CLD_EXITED, 1);
	pass(1000);
	ck_state("a", "failed");
	world_free();
}
END_TEST

START_TEST(back_off_grows_and_is_reset_by_success)
{
	WORLD({"a", L "[restart]\nlimit = infinity\ninterval = 10s\ndelay = 100ms\ndelay-max = 1s\n"});
	const uint64_t want[] = {100000, 200000, 400000, 800000, 1000000, 1000000};
	start("a");
	for (unsigned k = 0; k < ARRAY_SIZE(want); k++) {
		ends("a", CLD_EXITED, 1);
		ck_state("a", "backoff");
		ck_assert_uint_eq(engine_next_deadline(&w.e) - w.now, want[k]);
		pass(want[k]);
		ck_state("a", "up");
	}
	pass(10000000);
	ends("a", CLD_EXITED, 1);
	ck_assert_uint_eq(engine_next_deadline(&w.e) - w.now, 100000);
	world_free();
}
END_TEST

START_TEST(a_stop_during_a_pending_restart_stays_stopped)
{
	WORLD({"a", L});
	start("a");
	ends("a", CLD_EXITED, 1);
	ck_state("a", "backoff");
	stop("a");
	pass(60000000);
	ck_state("a", "down");
	ck_assert_uint_eq(w.starts[id("a")], 1);
	world_free();
}
END_TEST

START_TEST(a_start_during_a_pending_restart_starts_at_once)
{
	WORLD({"a", L "[restart]\ndelay = 20s\n"});
	start("a");
	ends("a", CLD_EXITED, 1);
	start("a");
	ck_state("a", "up");
	world_free();
}
END_TEST

START_TEST(a_restart_of_the_parent_restarts_dependents_once)
{
	WORLD({"a", L}, {"b", L D "depends = a\n"}, {"c", L D "depends = b\n"}, {"other", L});
	start("c");
	start("other");
	w.order[0] = 0;
	ck_assert_int_eq(restart("a"), 0);
	ck_assert_str_eq(w.order, "+a +b +c ");
	ck_assert_uint_eq(w.starts[id("a")], 2);
	ck_assert_uint_eq(w.starts[id("b")], 2);
	ck_assert_uint_eq(w.starts[id("c")], 2);
	ck_assert_uint_eq(w.starts[id("other")], 1);
	world_free();
}
END_TEST

START_TEST(readiness_is_withdrawn_on_a_crash_and_asserted_again)
{
	WORLD({"a", N}, {"b", L D "depends = a\n"});
	start("b");
	engine_event(&w.e, sv("a"), EV_READY);
	run();
	ends("a", CLD_KILLED, SIGSEGV);
	ck_state("a", "backoff");
	ck_state("b", "waiting");
	pass(100000);
	ck_state("a", "starting");
	ck_state("b", "waiting");
	engine_event(&w.e, sv("a"), EV_READY);
	run();
	ck_state("b", "up");
	world_free();
}
END_TEST

START_TEST(with_a_failing_pre_start_the_program_never_starts)
{
	WORLD({"a", L "pre-start = /bin/p\n[restart]\npolicy = no\n"});
	start("a");
	ck_state("a", "pre-start");
	exit_aux(sv("a"), CLD_EXITED, 1);
	run();
	ck_state("a", "failed");
	ck_assert_uint_eq(w.starts[id("a")], 0);
	world_free();
}
END_TEST

START_TEST(a_bad_program_and_a_start_that_takes_too_long_are_different_errors)
{
	char why[128];
	WORLD({"bad", L "[restart]\npolicy = no\n"}, {"slow", N "start-timeout = 1s\n[restart]\npolicy = no\n"});
	w.exec_fails[id("bad")] = true;
	start("bad");
	ck_state("bad", "failed");
	start("slow");
	pass(1000000);
	ck_state("slow", "failed");
	ck_assert_int_eq(sv("bad")->r.why, WHY_EXEC);
	ck_assert_int_eq(sv("slow")->r.why, WHY_START_TIMEOUT);
	ck_assert_str_eq(svc_reason(&w.e, sv("slow"), why, sizeof(why)), "not ready after 1 s (start-timeout=)");
	world_free();
}
END_TEST

START_TEST(what_ignores_the_stop_signal_is_killed_when_the_time_is_over)
{
	WORLD({"a", L "[stop]\ntimeout = 3s\n"});
	start("a");
	w.ignores_stop[id("a")] = true;
	stop("a");
	ck_state("a", "stopping");
	pass(2999999);
	ck_assert_uint_eq(w.kills[id("a")], 0);
	pass(1);
	ck_state("a", "down");
	ck_assert_uint_eq(w.kills[id("a")], 1);
	world_free();
}
END_TEST

START_TEST(what_a_dead_service_leaves_behind_is_killed_before_the_restart)
{
	WORLD({"a", L});
	start("a");
	w.leaves_behind[id("a")] = true;
	ends("a", CLD_EXITED, 1);
	ck_assert_uint_eq(w.kills[id("a")], 1);
	ck_state("a", "backoff");
	world_free();
}
END_TEST

START_TEST(post_stop_runs_after_every_end_and_exec_stop_before_a_stop)
{
	WORLD({"a", L "exec-stop = /bin/s\npost-stop = /bin/p\n"});
	start("a");
	stop("a");
	ck_state("a", "stopping");
	ck_assert_uint_eq(w.signals[id("a")], 0);
	exit_aux(sv("a"), CLD_EXITED, 0);
	run();
	ck_assert_uint_eq(w.signals[id("a")], 1);
	ck_state("a", "post-stop");
	exit_aux(sv("a"), CLD_EXITED, 0);
	run();
	ck_state("a", "down");
	start("a");
	ends("a", CLD_KILLED, SIGKILL);
	ck_state("a", "post-stop");
	exit_aux(sv("a"), CLD_EXITED, 0);
	run();
	ck_state("a", "backoff");
	world_free();
}
END_TEST

START_TEST(after_orders_without_needing)
{
	WORLD({"slow", N}, {"late", L D "after = slow\n"}, {"all", BUNDLE("slow late")});
	start("late");
	ck_state("late", "up");
	ck_state("slow", "down");
	stop("late");
	start("all");
	ck_state("late", "waiting");
	engine_event(&w.e, sv("slow"), EV_READY);
	run();
	ck_state("late", "up");
	w.order[0] = 0;
	stop("all");
	ck_assert_str_eq(w.order, "-all -late -slow ");
	world_free();
}
END_TEST

START_TEST(conflicts_stop_each_other_unless_the_other_was_asked_for)
{
	WORLD({"a", L D "conflicts = b\n"}, {"b", L}, {"c", L D "depends = b\n"});
	start("a");
	ck_assert_int_eq(start("c"), -EBUSY);
	ck_state("a", "up");
	ck_assert_int_eq(ask(mark_start, "c", MARK_FORCE), 0);
	ck_state("a", "down");
	ck_state("c", "up");
	ck_assert_int_eq(start("a"), -EBUSY); /* c was asked for */
	stop("c");
	ck_assert_int_eq(start("a"), 0); /* b was not */
	ck_state("b", "down");
	ck_state("a", "up");
	world_free();
}
END_TEST

START_TEST(a_virtual_service_falls_over_to_the_next_provider)
{
	WORLD({"v", "[service]\ntype = virtual\n" D "providers = p q\n"}, {"p", L "[restart]\npolicy = no\n"}, {"q", L},
		{"x", L D "depends = v\n"});
	start("x");
	ck_state("p", "up");
	ck_state("q", "down");
	ends("p", CLD_EXITED, 1);
	ck_state("p", "failed");
	ck_state("q", "up");
	ck_state("x", "up");
	ck_assert_uint_eq(w.starts[id("x")], 2);
	ck_assert_int_eq(stop("q"), -EBUSY);
	world_free();
}
END_TEST

START_TEST(requires_one_is_content_with_any)
{
	WORLD({"p", L "[restart]\npolicy = no\n"}, {"q", L}, {"x", L D "requires-one = p q\n"});
	w.exec_fails[id("p")] = true;
	start("x");
	ck_state("p", "failed");
	ck_state("q", "up");
	ck_state("x", "up");
	world_free();
}
END_TEST

START_TEST(a_member_of_a_bundle_can_be_stopped_alone)
{
	WORLD({"a", L}, {"b", L}, {"all", BUNDLE("a b")});
	start("all");
	ck_assert_int_eq(stop("a"), 0);
	ck_state("a", "down");
	ck_state("all", "up");
	world_free();
}
END_TEST

START_TEST(a_member_of_a_bundle_that_others_need_can_not)
{
	WORLD({"a", L}, {"b", L}, {"all", BUNDLE("a b")}, {"x", L D "depends = all\n"});
	start("x");
	ck_assert_int_eq(stop("a"), -EBUSY);
	ck_assert_int_eq(force_stop("a"), 0);
	ck_state("x", "down");
	ck_state("all", "down");
	ck_state("b", "up");
	world_free();
}
END_TEST

START_TEST(a_service_that_ends_as_it_may_is_down_and_not_failed)
{
	WORLD({"a", L "[restart]\npolicy = on-failure\nsuccess = 7 USR1\n"});
	start("a");
	ends("a", CLD_EXITED, 7);
	ck_state("a", "down");
	start("a");
	ends("a", CLD_KILLED, SIGUSR1);
	ck_state("a", "down");
	start("a");
	ends("a", CLD_EXITED, 8);
	ck_state("a", "backoff");
	world_free();
}
END_TEST

START_TEST(the_watchdog_restarts_what_is_silent)
{
	WORLD({"a", N "[restart]\nwatchdog = 2s\n"});
	start("a");
	engine_event(&w.e, sv("a"), EV_READY);
	pass(1900000);
	engine_extend(&w.e, sv("a"), w.now + 2000000);
	pass(1900000);
	ck_state("a", "up");
	pass(100000);
	ck_state("a", "backoff");
	ck_assert_int_eq(sv("a")->r.why, WHY_WATCHDOG);
	world_free();
}
END_TEST

START_TEST(at_shutdown_everything_goes_in_reverse_and_nothing_comes_back)
{
	WORLD({"a", L}, {"b", L D "depends = a\n"}, {"c", O D "depends = b\n"}, {"d", L D "after = c\n"}, {"all", BUNDLE("c d")});
	start("all");
	ends("c", CLD_EXITED, 0);
	ends("a", CLD_EXITED, 1); /* waits to be started again, the others with it */
	mark_stop_all(&w.e, NONE);
	run();
	pass(60000000);
	for (uint32_t i = 0; i < w.e.n; i++)
		ck_assert_str_eq(svc_state_name(w.e.s[i].r.state), "down");
	ck_assert_uint_eq(w.starts[id("a")], 1);
	world_free();
}
END_TEST

static void quiet_commit(struct engine *e, struct svc *s) {}
static void quiet_changed(struct engine *e, struct svc *s, enum svc_state old) {}

START_TEST(a_chain_of_a_hundred_thousand_needs_no_stack)
{
	enum { LEN = 100000 };
	_cleanup_(compiler_free) struct compiler c = {.cb = note_error};
	char name[16], text[128];
	size_t size;
	struct mark m = {0};
	log_set_max_level(-1);
	memset(&w, 0, sizeof(w));
	for (int k = 0; k < LEN; k++) {
		snprintf(name, sizeof(name), "n%d", k);
		snprintf(text, sizeof(text), k ? "[service]\ntype = bundle\n[dependencies]\ncontents =\ndepends = n%d\n" : "[service]\ntype = bundle\n[dependencies]\ncontents =\n",
			k - 1);
		ck_assert_int_eq(load_text(&c, name, name, text, strlen(text)), 0);
	}
	ck_assert_int_eq(compile_rest(&c, 1, &w.blob, &size), 0);
	ck_assert_int_eq(engine_init(&w.e, w.blob, &fake_ops, NULL), 0);
	uint32_t last = id("n99999"), first = id("n0");
	struct engine_ops ops = {
		.spawn = fake_spawn, .commit = quiet_commit, .changed = quiet_changed, .flush = fake_flush, .now = fake_now};
	w.e.ops = &ops;
	ck_assert_int_eq(mark_start(&w.e, &last, 1, 0, &m), 0);
	ck_assert_uint_eq(m.n, LEN);
	mark_clear(&m);
	while (engine_run(&w.e, 1000))
		;
	ck_assert_int_eq(w.e.s[last].r.state, ST_UP);
	ck_assert_int_eq(mark_stop(&w.e, &first, 1, MARK_FORCE, &m), 0);
	mark_clear(&m);
	while (engine_run(&w.e, 1000))
		;
	ck_assert_int_eq(w.e.s[first].r.state, ST_DOWN);
	world_free();
}
END_TEST

START_TEST(an_interrupted_rastd_goes_on_where_it_was)
{
	WORLD({"a", N}, {"b", L D "depends = a\n"}, {"c", L "[restart]\ndelay = 5s\n"});
	start("b");
	start("c");
	ends("c", CLD_EXITED, 1);
	resurrect();
	ck_state("a", "starting");
	ck_state("b", "waiting");
	ck_state("c", "backoff");
	engine_event(&w.e, sv("a"), EV_READY);
	run();
	ck_state("b", "up");
	pass(5000000);
	ck_state("c", "up");
	ck_assert_uint_eq(w.starts[id("a")], 1);
	world_free();
}
END_TEST

START_TEST(isolating_a_bundle_stops_all_that_it_does_not_need_in_order)
{
	WORLD({"log", L}, {"db", L}, {"web", L D "depends = db\n"}, {"ui", L D "after = web\n"}, {"shared", L}, {"bad", L "[restart]\npolicy = no\n"},
		{"shell", L D "depends = shared\nconflicts = ui\n"}, {"many", BUNDLE("web ui shared bad")}, {"one", BUNDLE("shell")});
	start("log");
	start("many");
	ends("bad", CLD_EXITED, 1);
	w.order[0] = 0;
	uint32_t one = id("one"), log = id("log"), pid = (uint32_t)sv("shared")->r.pid;
	struct mark m = {0};
	ck_assert_int_eq(mark_isolate(&w.e, &one, 1, log, MARK_DRY, &m), 0);
	ck_assert_uint_eq(m.n, 7); /* one and shell; ui, web, db, bad and many */
	mark_clear(&m);
	ck_state("web", "up");
	ck_assert_int_eq(mark_isolate(&w.e, &one, 1, log, 0, &m), 0);
	mark_clear(&m);
	run();
	ck_state("one", "up");
	ck_state("shell", "up");
	ck_state("log", "up");
	ck_state("bad", "down");
	ck_assert_uint_eq((uint32_t)sv("shared")->r.pid, pid);
	const char *ui = strstr(w.order, "-ui "), *web = strstr(w.order, "-web "), *db = strstr(w.order, "-db "), *shell = strstr(w.order, "+shell ");
	ck_assert_msg(ui && web && db && shell && ui < web && web < db && ui < shell, "%s", w.order);
	w.order[0] = 0;
	uint32_t many = id("many");
	ck_assert_int_eq(mark_isolate(&w.e, &many, 1, log, 0, &m), 0);
	mark_clear(&m);
	run();
	ck_state("shell", "down");
	ck_state("one", "down");
	ck_state("ui", "up");
	ck_state("many", "up");
	world_free();
}
END_TEST

START_TEST(what_conflicts_within_itself_can_not_be_isolated_and_nothing_changes)
{
	WORLD({"a", L}, {"wish", L D "conflicts = b\n"}, {"b", L}, {"set", BUNDLE("b") "wants = wish\n"});
	start("a");
	uint32_t set = id("set");
	struct mark m = {0};
	ck_assert_int_eq(mark_isolate(&w.e, &set, 1, NONE, 0, &m), 0); /* a wish that can't be had is left out */
	mark_clear(&m);
	run();
	ck_state("b", "up");
	ck_state("wish", "down");
	ck_state("a", "down");
	sv("b")->r.flags |= F_MASKED;
	uint32_t b = id("b");
	ck_assert_int_eq(mark_isolate(&w.e, &b, 1, NONE, 0, &m), -EPERM);
	mark_clear(&m);
	ck_state("set", "up");
	world_free();
}
END_TEST

PROMISES("engine", dependencies_come_up_first, stop_with_dependents_is_refused_and_force_stops_all_in_reverse,
	a_failed_oneshot_fails_its_dependents_only, what_a_failure_has_blocked_goes_on_when_it_is_mended, the_restart_limit_is_exact,
	the_limit_holds_in_every_span_not_in_fixed_ones, back_off_grows_and_is_reset_by_success,
	a_stop_during_a_pending_restart_stays_stopped, a_start_during_a_pending_restart_starts_at_once,
	a_restart_of_the_parent_restarts_dependents_once, readiness_is_withdrawn_on_a_crash_and_asserted_again,
	with_a_failing_pre_start_the_program_never_starts, a_bad_program_and_a_start_that_takes_too_long_are_different_errors,
	what_ignores_the_stop_signal_is_killed_when_the_time_is_over, what_a_dead_service_leaves_behind_is_killed_before_the_restart,
	post_stop_runs_after_every_end_and_exec_stop_before_a_stop, after_orders_without_needing,
	conflicts_stop_each_other_unless_the_other_was_asked_for, a_virtual_service_falls_over_to_the_next_provider,
	requires_one_is_content_with_any, a_member_of_a_bundle_can_be_stopped_alone, a_member_of_a_bundle_that_others_need_can_not,
	a_service_that_ends_as_it_may_is_down_and_not_failed, the_watchdog_restarts_what_is_silent,
	at_shutdown_everything_goes_in_reverse_and_nothing_comes_back, a_chain_of_a_hundred_thousand_needs_no_stack,
	an_interrupted_rastd_goes_on_where_it_was, isolating_a_bundle_stops_all_that_it_does_not_need_in_order,
	what_conflicts_within_itself_can_not_be_isolated_and_nothing_changes)
