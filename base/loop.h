/* loop.h: the event loop: epoll, one timerfd under a heap of timers, signalfd.
 *
 * One thread. A callback may remove any source, its own included: memory of a
 * removed source is given back when the dispatch round has ended. A source is
 * owned by the loop; loop_free() removes what is left. An idle loop sleeps in
 * epoll_wait without time-out: no periodic wakeups. All times are
 * CLOCK_MONOTONIC in microseconds. Callbacks return 0 or a negative errno; a
 * negative return ends loop_run() with it. */
#ifndef RAST_BASE_LOOP_H
#define RAST_BASE_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/types.h>

struct loop;
struct source;
struct timer;

typedef int (*loop_fd_cb)(struct source *s, int fd, uint32_t events, void *data);
typedef int (*loop_signal_cb)(const struct signalfd_siginfo *si, void *data);
typedef int (*loop_timer_cb)(struct timer *t, void *data);
typedef int (*loop_defer_cb)(void *data);

int  loop_new(struct loop **ret);
void loop_free(struct loop *l); /* NULL is allowed */
int  loop_run(struct loop *l);  /* until loop_quit() (returns its code) or an error */
int  loop_step(struct loop *l, int timeout_ms); /* one round; -1 waits for ever; returns the number of events */
void loop_quit(struct loop *l, int code);

/* fd is borrowed: it must stay open until the source is removed. */
int  loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_cb cb, void *data, struct source **ret);
int  loop_modify_fd(struct source *s, uint32_t events);
void loop_remove_fd(struct source *s); /* NULL is allowed */

/* Block the signal and deliver it through the loop's one signalfd. Signals of the same number coalesce, as always. */
int  loop_add_signal(struct loop *l, int sig, loop_signal_cb cb, void *data);

/* A timer lives inside the caller's struct: no allocation per timer beyond the heap's array. */
struct timer {
	uint64_t when_us;      /* deadline, 0: not armed */
	uint32_t heap_index;
	loop_timer_cb cb;
	void *data;
};
void timer_init(struct timer *t, loop_timer_cb cb, void *data);
int  timer_arm_at(struct loop *l, struct timer *t, uint64_t when_us); /* re-arming moves it */
int  timer_arm_in(struct loop *l, struct timer *t, uint64_t in_us);
void timer_disarm(struct loop *l, struct timer *t);
static inline int timer_armed(const struct timer *t) { return t->when_us != 0; }

/* Everything is done that was begun: the next sleep begins with giving back memory (base/trim.h). */
void loop_trim(struct loop *l);

/* Run cb once, at the end of the current round, before the loop sleeps. */
int  loop_defer(struct loop *l, loop_defer_cb cb, void *data);

uint64_t now_us(void);      /* CLOCK_MONOTONIC */
uint64_t now_boot_us(void); /* CLOCK_BOOTTIME */

#endif
