/* page.h: the counter that every process of a benchmark stamps.
 *
 * One file, mapped shared by the helper programs and read by the drivers (benchlib/page.py has the same layout: keep them
 * alike). Times are CLOCK_MONOTONIC in nanoseconds, which private namespaces share with the host. */
#ifndef RAST_BENCH_PAGE_H
#define RAST_BENCH_PAGE_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#define BENCH_PAGE_PATH "/bench/page"
#define BENCH_SLOTS 4096

struct bench_slot {
	_Atomic uint32_t starts;     /* how many times this service was started */
	_Atomic int32_t pid;         /* of the last start, as its own namespace counts */
	_Atomic uint64_t last_ns;    /* when that was */
};

struct bench_page {
	_Atomic uint64_t target;     /* set by the driver */
	_Atomic uint64_t count;      /* stamps so far */
	_Atomic uint64_t begin_ns;   /* right before PID 1 was executed */
	_Atomic uint64_t done_ns;    /* when count reached target */
	_Atomic uint64_t begin_cpu_us; /* what the cgroup had used right before PID 1 was executed */
	_Atomic uint64_t say;        /* in a virtual machine: the last one to start prints begin_ns and done_ns on ttyS0 */
	uint64_t spare[2];
	struct bench_slot slot[BENCH_SLOTS];
};

static inline uint64_t bench_now(void) {
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
