/* loop.c: see loop.h. */
#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include "base/mem.h"
#include "base/timer.h"
#include "base/trim.h"

#define EVENTS_PER_ROUND 32
#define SIGNALS_PER_ROUND 8

struct source {
	struct loop *loop;
	struct source *next, *prev; /* in loop->sources; next alone in loop->removed */
	loop_fd_cb cb;              /* NULL: removed, memory waits for the end of the round */
	void *data;
	int fd;
};

struct signal_handler {
	loop_signal_cb cb;
	void *data;
};

struct deferred {
	loop_defer_cb cb;
	void *data;
};

struct loop {
	int epfd;
	int depth; /* of dispatch rounds: a callback may call loop_step() */
	struct source *sources, *removed;
	struct source timer_source, signal_source;
	struct timer_heap timers;
	uint64_t timerfd_us; /* what the timerfd is set to, 0: disarmed */
	sigset_t signals;
	struct signal_handler *handlers; /* [_NSIG], once a signal is added */
	struct deferred *deferred;
	size_t n_deferred, cap_deferred;
	int fired; /* callbacks run in this round */
	bool trim;
	bool quit;
	int quit_code;
};

static uint64_t clock_us(clockid_t clock)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

uint64_t now_boot_us(void)
{
	return clock_us(CLOCK_BOOTTIME);
}

static int watch(struct loop *l, struct source *s, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	return epoll_ctl(l->epfd, op, s->fd, &ev) < 0 ? -errno : 0;
}

int loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_cb cb, void *data, struct source **ret)
{
	struct source *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	*s = (struct source){ .loop = l, .fd = fd, .cb = cb, .data = data, .next = l->sources };
	r = watch(l, s, EPOLL_CTL_ADD, events);
	if (r < 0) {
		free(s);
		return r;
	}
	if (s->next)
		s->next->prev = s;
	l->sources = s;
	if (ret)
		*ret = s;
	return 0;
}

int loop_modify_fd(struct source *s, uint32_t events)
{
	return watch(s->loop, s, EPOLL_CTL_MOD, events);
}

static void unlink_source(struct source *s)
{
	if (s->prev)
		s->prev->next = s->next;
	else
		s->loop->sources = s->next;
	if (s->next)
		s->next->prev = s->prev;
}

void loop_remove_fd(struct source *s)
{
	if (!s || !s->cb)
		return;
	(void)watch(s->loop, s, EPOLL_CTL_DEL, 0);
	unlink_source(s);
	if (s->loop->depth == 0) {
		free(s);
		return;
	}
	s->cb = NULL; /* an event of this round may still point here */
	s->next = s->loop->removed;
	s->loop->removed = s;
}

static void free_removed(struct loop *l)
{
	while (l->removed) {
		struct source *s = l->removed;
		l->removed = s->next;
		free(s);
	}
}

void timer_init(struct timer *t, loop_timer_cb cb, void *data)
{
	*t = (struct timer){ .cb = cb, .data = data };
}

int timer_arm_at(struct loop *l, struct timer *t, uint64_t when_us)
{
	if (when_us == UINT64_MAX) { /* never */
		timer_disarm(l, t);
		return 0;
	}
	return timer_heap_put(&l->timers, t, MAX(when_us, (uint64_t)1));
}

int timer_arm_in(struct loop *l, struct timer *t, uint64_t in_us)
{
	uint64_t when;

	return timer_arm_at(l, t, __builtin_add_overflow(now_us(), in_us, &when) ? UINT64_MAX : when);
}

void timer_disarm(struct loop *l, struct timer *t)
{
	timer_heap_remove(&l->timers, t);
}

/* Before each sleep and only when the first deadline has changed: arming and disarming between two rounds costs nothing. */
static int set_timerfd(struct loop *l)
{
	uint64_t first = l->timers.n ? l->timers.at[0]->when_us : 0;
	struct itimerspec its = { .it_value = { .tv_sec = (time_t)(first / 1000000), .tv_nsec = (long)(first % 1000000) * 1000 } };

	if (first == l->timerfd_us)
		return 0;
	if (timerfd_settime(l->timer_source.fd, TFD_TIMER_ABSTIME, &its, NULL) < 0)
		return -errno;
	l->timerfd_us = first;
	return 0;
}

static int on_timerfd(struct source *s, int fd, uint32_t events, void *data)
{
	struct loop *l = s->loop;
	uint64_t now = now_us(), expirations;
	int r = 0;

	if (read(fd, &expirations, sizeof(expirations)) > 0)
		l->timerfd_us = 0; /* one shot: it is disarmed now */
	/* At most as many as there are: a timer that arms itself for "now" must not starve the rest. */
	for (uint32_t n = l->timers.n; r >= 0 && n > 0 && l->timers.n > 0; n--) {
		struct timer *t = l->timers.at[0];
		if (t->when_us > now)
			break;
		timer_heap_remove(&l->timers, t);
		l->fired++;
		r = t->cb(t, t->data);
	}
	return MIN(r, 0);
}

static int on_signalfd(struct source *s, int fd, uint32_t events, void *data)
{
	struct signalfd_siginfo infos[SIGNALS_PER_ROUND];
	ssize_t n = read(fd, infos, sizeof(infos));
	int r = 0;

	for (size_t i = 0; r >= 0 && n > 0 && i < (size_t)n / sizeof(infos[0]); i++) {
		struct signal_handler *h = &s->loop->handlers[infos[i].ssi_signo];
		s->loop->fired++;
		if (h->cb)
			r = h->cb(&infos[i], h->data);
	}
	return MIN(r, 0);
}

int loop_add_signal(struct loop *l, int sig, loop_signal_cb cb, void *data)
{
	struct source *s = &l->signal_source;
	sigset_t set = l->signals;
	int fd;

	if (sigaddset(&set, sig) < 0 || sig >= _NSIG)
		return -EINVAL;
	if (!l->handlers)
		l->handlers = calloc(_NSIG, sizeof(*l->handlers));
	if (!l->handlers)
		return -ENOMEM;
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(s->fd, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (s->fd < 0) {
		s->fd = fd;
		int r = watch(l, s, EPOLL_CTL_ADD, EPOLLIN);
		if (r < 0) {
			close(take_fd(&s->fd));
			return r;
		}
	}
	l->signals = set;
	l->handlers[sig] = (struct signal_handler){ cb, data };
	return 0;
}

int loop_defer(struct loop *l, loop_defer_cb cb, void *data)
{
	if (l->n_deferred == l->cap_deferred) {
		size_t cap = l->cap_deferred ? l->cap_deferred * 2 : 8;
		struct deferred *p = reallocarray(l->deferred, cap, sizeof(*p));
		if (!p)
			return -ENOMEM;
		l->deferred = p;
		l->cap_deferred = cap;
	}
	l->deferred[l->n_deferred++] = (struct deferred){ cb, data };
	return 0;
}

/* Those that were there at the start; what they defer in turn is for the next round, which then doesn't sleep. */
static int run_deferred(struct loop *l)
{
	size_t n = l->n_deferred, i = 0;
	int r = 0;

	while (i < n && r >= 0) {
		struct deferred d = l->deferred[i++];
		l->fired++;
		r = d.cb(d.data);
	}
	if (i > 0) {
		l->n_deferred -= i;
		memmove(l->deferred, l->deferred + i, l->n_deferred * sizeof(*l->deferred));
	}
	return MIN(r, 0);
}

static int dispatch(struct loop *l, const struct epoll_event *ev)
{
	struct source *s = ev->data.ptr;

	if (!s->cb)
		return 0;
	if (s != &l->timer_source && s != &l->signal_source)
		l->fired++;
	return s->cb(s, s->fd, ev->events, s->data);
}

void loop_trim(struct loop *l)
{
	l->trim = true;
}

/* Only a real sleep is worth trimming for. */
static int wait_events(struct loop *l, struct epoll_event *events, int timeout_ms)
{
	int n = epoll_wait(l->epfd, events, EVENTS_PER_ROUND, l->trim ? 0 : timeout_ms);

	if (!l->trim || n != 0 || timeout_ms == 0)
		return n;
	l->trim = false;
	return trim_and_wait(l->epfd, events, EVENTS_PER_ROUND, timeout_ms);
}

static int round_of(struct loop *l, int timeout_ms)
{
	struct epoll_event events[EVENTS_PER_ROUND];
	int r = set_timerfd(l), n;

	if (r < 0)
		return r;
	n = wait_events(l, events, l->n_deferred ? 0 : timeout_ms);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n && r >= 0; i++)
		r = dispatch(l, &events[i]);
	return r < 0 ? r : run_deferred(l);
}

int loop_step(struct loop *l, int timeout_ms)
{
	int r;

	if (l->depth == 0)
		l->fired = 0;
	l->depth++;
	r = round_of(l, timeout_ms);
	if (--l->depth == 0)
		free_removed(l);
	return r < 0 ? r : l->fired;
}

int loop_run(struct loop *l)
{
	int r = 0;

	while (!l->quit && r >= 0)
		r = loop_step(l, -1);
	l->quit = false;
	return r < 0 ? r : l->quit_code;
}

void loop_quit(struct loop *l, int code)
{
	l->quit = true;
	l->quit_code = code;
}

static int open_loop(struct loop *l)
{
	struct source *t = &l->timer_source;

	*t = (struct source){ .loop = l, .fd = -1, .cb = on_timerfd };
	l->signal_source = (struct source){ .loop = l, .fd = -1, .cb = on_signalfd };
	sigemptyset(&l->signals);
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0)
		return -errno;
	t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (t->fd < 0)
		return -errno;
	return watch(l, t, EPOLL_CTL_ADD, EPOLLIN);
}

int loop_new(struct loop **ret)
{
	struct loop *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	r = open_loop(l);
	if (r < 0) {
		loop_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (l->sources)
		loop_remove_fd(l->sources);
	free_removed(l);
	closep(&l->timer_source.fd);
	closep(&l->signal_source.fd);
	closep(&l->epfd);
	free(l->timers.at);
	free(l->handlers);
	free(l->deferred);
	free(l);
}
