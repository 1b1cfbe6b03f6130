/* The event loop: base/loop.h. */
#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include "base/mem.h"
#include "tests/unit/unit.h"

static struct loop *l;
static int count;

static void begin(void)
{
	ck_assert_int_eq(loop_new(&l), 0);
	count = 0;
}

static int on_timer(struct timer *t, void *data)
{
	*(int *)data = ++count;
	return 0;
}

static int quit_timer(struct timer *t, void *data)
{
	loop_quit(l, 42);
	return 0;
}

START_TEST(timers_fire_in_the_order_of_their_deadlines)
{
	enum { N = 500 };
	static struct timer t[N];
	static int fired[N];
	uint64_t base, when[N];

	begin();
	base = now_us();
	srand(1);
	for (int i = 0; i < N; i++) {
		timer_init(&t[i], on_timer, &fired[i]);
		when[i] = base + (uint64_t)(rand() % 20000);
		ck_assert_int_eq(timer_arm_at(l, &t[i], when[i]), 0);
	}
	for (int i = 0; i < N; i += 3) /* move some */
		timer_arm_at(l, &t[i], when[i] = base + (uint64_t)(rand() % 20000));
	for (int i = 0; i < N; i += 5) /* take some out */
		timer_disarm(l, &t[i]);
	while (now_us() < base + 25000)
		ck_assert_int_ge(loop_step(l, 1), 0);
	for (int i = 0; i < N; i++) {
		ck_assert_int_eq(fired[i] != 0, i % 5 != 0);
		ck_assert(!timer_armed(&t[i]));
		for (int j = 0; j < N; j++)
			if (fired[i] && fired[j] && when[i] < when[j])
				ck_assert_int_lt(fired[i], fired[j]);
	}
	loop_free(l);
}
END_TEST

START_TEST(a_timer_never_fires_early)
{
	struct timer t;
	uint64_t at;

	begin();
	timer_init(&t, quit_timer, NULL);
	at = now_us() + 5000;
	ck_assert_int_eq(timer_arm_at(l, &t, at), 0);
	ck_assert_int_eq(loop_run(l), 42);
	ck_assert_uint_ge(now_us(), at);
	loop_free(l);
}
END_TEST

static int arm_again(struct timer *t, void *data)
{
	count++;
	return timer_arm_in(l, t, 0);
}

static int on_readable(struct source *s, int fd, uint32_t events, void *data)
{
	loop_quit(l, 7);
	return 0;
}

START_TEST(a_timer_that_is_always_due_does_not_starve_descriptors)
{
	struct timer t;
	int p[2];

	begin();
	ck_assert_int_eq(pipe(p), 0);
	timer_init(&t, arm_again, NULL);
	timer_arm_in(l, &t, 0);
	ck_assert_int_eq(write(p[1], "x", 1), 1);
	ck_assert_int_eq(loop_add_fd(l, p[0], EPOLLIN, on_readable, NULL, NULL), 0);
	ck_assert_int_eq(loop_run(l), 7);
	ck_assert_int_lt(count, 10);
	loop_free(l);
}
END_TEST

START_TEST(a_deadline_that_never_comes_is_no_deadline)
{
	struct timer t;

	begin();
	timer_init(&t, quit_timer, NULL);
	ck_assert_int_eq(timer_arm_in(l, &t, UINT64_MAX), 0);
	ck_assert(!timer_armed(&t));
	ck_assert_int_eq(timer_arm_in(l, &t, 1000000), 0);
	ck_assert_int_eq(timer_arm_at(l, &t, UINT64_MAX), 0);
	ck_assert(!timer_armed(&t));
	timer_disarm(l, &t);
	loop_free(l);
}
END_TEST

static long wakeups(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_nvcsw;
}

START_TEST(an_idle_loop_never_wakes_up)
{
	struct timer t, end;
	long before;

	begin();
	timer_init(&t, quit_timer, NULL);
	timer_init(&end, quit_timer, NULL);
	timer_arm_in(l, &t, 1000);
	loop_step(l, 0);
	timer_disarm(l, &t);
	before = wakeups();
	loop_step(l, 300); /* one sleep: its time-out ends it, nothing else */
	ck_assert_int_le(wakeups() - before, 2);
	loop_free(l);
}
END_TEST

static struct source *sources[8];

static int remove_all(struct source *s, int fd, uint32_t events, void *data)
{
	count++;
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		loop_remove_fd(sources[i]);
		sources[i] = NULL;
	}
	return 0;
}

START_TEST(a_callback_may_remove_any_source_its_own_included)
{
	int p[2];

	begin();
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(write(p[1], "x", 1), 1);
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		ck_assert_int_eq(loop_add_fd(l, dup(p[0]), EPOLLIN, remove_all, NULL, &sources[i]), 0);
	ck_assert_int_eq(loop_step(l, 0), 1);
	ck_assert_int_eq(count, 1);
	ck_assert_int_eq(loop_step(l, 0), 0);
	loop_remove_fd(NULL);
	loop_free(l);
}
END_TEST

static int step_again(struct source *s, int fd, uint32_t events, void *data)
{
	loop_remove_fd(s);
	count++;
	return MIN(loop_step(l, 0), 0);
}

START_TEST(a_round_within_a_round_keeps_removed_sources_in_memory)
{
	int p[2];

	begin();
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(write(p[1], "x", 1), 1);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(loop_add_fd(l, dup(p[0]), EPOLLIN, step_again, NULL, NULL), 0);
	loop_step(l, 0);
	ck_assert_int_eq(count, 5);
	loop_free(l);
}
END_TEST

static int fail_cb(struct source *s, int fd, uint32_t events, void *data)
{
	return -EXDEV;
}

START_TEST(a_negative_return_ends_the_run_with_it)
{
	int p[2];

	begin();
	ck_assert_int_eq(pipe(p), 0);
	close(p[1]);
	ck_assert_int_eq(loop_add_fd(l, p[0], EPOLLIN, fail_cb, NULL, NULL), 0);
	ck_assert_int_eq(loop_run(l), -EXDEV);
	loop_free(l);
}
END_TEST

START_TEST(a_bad_descriptor_is_an_error_at_once)
{
	struct source *s;

	begin();
	ck_assert_int_eq(loop_add_fd(l, 9999, EPOLLIN, fail_cb, NULL, &s), -EBADF);
	loop_free(l);
}
END_TEST

static int on_signal(const struct signalfd_siginfo *si, void *data)
{
	ck_assert_int_eq(si->ssi_pid, getpid());
	count += (int)si->ssi_signo;
	return 0;
}

START_TEST(signals_are_delivered_to_their_handlers)
{
	begin();
	ck_assert_int_eq(loop_add_signal(l, SIGUSR1, on_signal, NULL), 0);
	ck_assert_int_eq(loop_add_signal(l, SIGTERM, on_signal, NULL), 0);
	ck_assert_int_eq(loop_add_signal(l, 0, on_signal, NULL), -EINVAL);
	ck_assert_int_eq(loop_add_signal(l, 1000, on_signal, NULL), -EINVAL);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGTERM);
	ck_assert_int_eq(loop_step(l, 100), 2);
	ck_assert_int_eq(count, SIGUSR1 + SIGTERM);
	loop_free(l);
}
END_TEST

static int deferred(void *data)
{
	count++;
	return count < 4 ? loop_defer(l, deferred, NULL) : 0;
}

START_TEST(what_is_deferred_runs_once_before_the_loop_sleeps)
{
	begin();
	ck_assert_int_eq(loop_defer(l, deferred, NULL), 0);
	ck_assert_int_eq(loop_step(l, -1), 1);
	ck_assert_int_eq(count, 1);
	for (int i = 0; i < 3; i++) /* each time it has deferred itself again */
		loop_step(l, -1);
	ck_assert_int_eq(count, 4);
	ck_assert_int_eq(loop_step(l, 0), 0);
	loop_free(l);
}
END_TEST

static int defer_order[3];
static int note(void *data)
{
	defer_order[count++] = (int)(intptr_t)data;
	return 0;
}

START_TEST(deferred_work_keeps_its_order)
{
	begin();
	for (intptr_t i = 0; i < 3; i++)
		loop_defer(l, note, (void *)i);
	loop_step(l, -1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(defer_order[i], i);
	loop_free(l);
}
END_TEST

static int toggle(struct source *s, int fd, uint32_t events, void *data)
{
	count++;
	return loop_modify_fd(s, 0);
}

START_TEST(a_source_without_events_is_silent)
{
	int p[2];

	begin();
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(write(p[1], "x", 1), 1);
	ck_assert_int_eq(loop_add_fd(l, p[0], EPOLLIN, toggle, NULL, NULL), 0);
	for (int i = 0; i < 5; i++)
		loop_step(l, 0);
	ck_assert_int_eq(count, 1);
	loop_free(l);
	loop_free(NULL);
}
END_TEST

START_TEST(memory_is_given_back_before_a_sleep_and_the_loop_goes_on_as_ever)
{
	struct timer t;
	int fired;

	begin();
	timer_init(&t, on_timer, &fired);
	for (int i = 0; i < 3; i++) {
		fired = 0;
		ck_assert_int_eq(timer_arm_in(l, &t, 20000), 0);
		loop_trim(l);
		while (!fired)
			ck_assert_int_ge(loop_step(l, -1), 0);
	}
	ck_assert_int_eq(count, 3);
	loop_free(l);
}
END_TEST

START_TEST(what_is_pending_is_not_kept_waiting_by_giving_memory_back)
{
	int p[2];
	struct source *s;

	begin();
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(loop_add_fd(l, p[0], EPOLLIN, on_readable, p, &s), 0);
	ck_assert_int_eq(write(p[1], "x", 1), 1);
	loop_trim(l);
	ck_assert_int_eq(loop_run(l), 7);
	loop_remove_fd(s);
	ck_assert_int_eq(loop_step(l, 0), 0); /* not asked to sleep */
	ck_assert_int_eq(loop_step(l, 1), 0);
	loop_free(l);
	close(p[0]);
	close(p[1]);
}
END_TEST

PROMISES("base: loop", timers_fire_in_the_order_of_their_deadlines, a_timer_never_fires_early,
	a_timer_that_is_always_due_does_not_starve_descriptors, a_deadline_that_never_comes_is_no_deadline, an_idle_loop_never_wakes_up,
	a_callback_may_remove_any_source_its_own_included, a_round_within_a_round_keeps_removed_sources_in_memory,
	a_negative_return_ends_the_run_with_it, a_bad_descriptor_is_an_error_at_once, signals_are_delivered_to_their_handlers,
	what_is_deferred_runs_once_before_the_loop_sleeps, deferred_work_keeps_its_order, a_source_without_events_is_silent,
	memory_is_given_back_before_a_sleep_and_the_loop_goes_on_as_ever, what_is_pending_is_not_kept_waiting_by_giving_memory_back)
