/* timer.h: the heap of timers under the loop; nothing for others than loop.c. */
#ifndef RAST_BASE_TIMER_H
#define RAST_BASE_TIMER_H

#include "base/loop.h"

struct timer_heap {
	struct timer **at;
	uint32_t n, cap;
};

int timer_heap_put(struct timer_heap *h, struct timer *t, uint64_t when_us); /* moves it when it is in; -ENOMEM */
void timer_heap_remove(struct timer_heap *h, struct timer *t);

#endif
