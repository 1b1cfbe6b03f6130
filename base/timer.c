/* timer.c: a binary heap of timers that live in their owners' structs. The heap knows each timer's place and each timer
 * its own (heap_index), so that re-arming and disarming cost O(log n) and no search. */
#include "base/timer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

static void place(struct timer_heap *h, uint32_t i, struct timer *t)
{
	h->at[i] = t;
	t->heap_index = i;
}

static void sift_up(struct timer_heap *h, uint32_t i, struct timer *t)
{
	for (; i > 0 && h->at[(i - 1) / 2]->when_us > t->when_us; i = (i - 1) / 2)
		place(h, i, h->at[(i - 1) / 2]);
	place(h, i, t);
}

static void sift_down(struct timer_heap *h, uint32_t i, struct timer *t)
{
	for (;;) {
		uint32_t child = 2 * i + 1;
		if (child + 1 < h->n && h->at[child + 1]->when_us < h->at[child]->when_us)
			child++;
		if (child >= h->n || h->at[child]->when_us >= t->when_us)
			break;
		place(h, i, h->at[child]);
		i = child;
	}
	place(h, i, t);
}

/* Put t, whose time has changed, where it belongs from place i on. */
static void settle(struct timer_heap *h, uint32_t i, struct timer *t)
{
	if (i > 0 && h->at[(i - 1) / 2]->when_us > t->when_us)
		sift_up(h, i, t);
	else
		sift_down(h, i, t);
}

static int resize(struct timer_heap *h, uint32_t cap)
{
	struct timer **p = reallocarray(h->at, cap, sizeof(*p));

	if (!p)
		return -ENOMEM;
	h->at = p;
	h->cap = cap;
	return 0;
}

int timer_heap_put(struct timer_heap *h, struct timer *t, uint64_t when_us)
{
	if (timer_armed(t)) {
		t->when_us = when_us;
		settle(h, t->heap_index, t);
		return 0;
	}
	if (h->n == h->cap) {
		int r = resize(h, h->cap ? h->cap * 2 : 8);
		if (r < 0)
			return r;
	}
	t->when_us = when_us;
	h->n++;
	sift_up(h, h->n - 1, t);
	return 0;
}

void timer_heap_remove(struct timer_heap *h, struct timer *t)
{
	struct timer *last;
	uint32_t i = t->heap_index;

	if (!timer_armed(t))
		return;
	t->when_us = 0;
	last = h->at[--h->n];
	if (last != t)
		settle(h, i, last);
	if (h->cap > 64 && h->n < h->cap / 4)
		(void)resize(h, h->cap / 2);
}
