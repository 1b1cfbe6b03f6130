/* exits.c: see exits.h. Report seq stands at seq % EXITS_MAX: position and number are one. While few are outstanding only few pages of
 * the ring are in use at a time; those of a burst are given back once everything is acknowledged. */
#include "init/exits.h"

#include <stddef.h>
#include <sys/mman.h>

#include "base/mem.h"

#define KEEP 128 /* reports that may have been written since the pages were given back last, before it is worth a system call */

static struct rinit_exit ring[EXITS_MAX] __attribute__((aligned(4096)));
static uint64_t last, acked; /* outstanding: acked + 1 ... last */
static uint64_t written;     /* since the ring's pages were given back */

bool exits_full(void)
{
	return last - acked == EXITS_MAX;
}

void exits_push(int pid, int code, int status, uint64_t time_us)
{
	last++;
	written++;
	ring[last % EXITS_MAX] = (struct rinit_exit){.seq = last, .time_us = time_us, .pid = pid, .code = code, .status = status};
}

bool exits_ack(uint64_t seq)
{
	bool full = exits_full();

	if (seq <= acked)
		return false;
	acked = MIN(seq, last);
	if (acked == last && written >= KEEP) {
		(void)madvise(ring, sizeof(ring), MADV_DONTNEED);
		written = 0;
	}
	return full;
}

unsigned exits_after(uint64_t after, struct rinit_exit *ret, unsigned max)
{
	unsigned n = 0;

	for (uint64_t seq = MAX(after, acked) + 1; seq <= last && n < max; seq++)
		ret[n++] = ring[seq % EXITS_MAX];
	return n;
}

uint64_t exits_last(void)
{
	return last;
}

void exits_restore(const struct rinit_exit *e)
{
	if (last == acked)
		acked = e->seq - 1;
	last = e->seq;
	ring[last % EXITS_MAX] = *e;
	written++;
}

void exits_restore_last(uint64_t seq)
{
	if (last == acked)
		acked = seq;
	last = MAX(last, seq);
}
