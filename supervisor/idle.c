/* idle.c: what is done when there is nothing to do.
 *
 * Starting many services touches nearly all of our program, of the compiled set and of the heap; a machine that just runs needs none of it. When
 * everything that was begun is done, memory is given back, and PID 1 and the logger are told that they may do the same. Each of the three
 * would find that out by a timer only, which is a wakeup of an idle machine. Not after every single restart: pages that are wanted again
 * cost time then. */
#include <malloc.h>
#include <sys/mman.h>
#include "supervisor/manager.h"
#include "supervisor/process/logger.h"

#define WORTH_IT 64u /* processes started since the last time */

void idle_due(struct manager *m)
{
	m->begun_since_idle = WORTH_IT;
}

/* On its way: a process that is to become ready, or to end. What waits for another service, or for time to go by, is not. */
static bool on_its_way(const struct svc *s)
{
	switch (s->r.state) {
	case ST_PRE_START:
	case ST_STARTING:
	case ST_STOP_WAIT:
	case ST_STOPPING:
	case ST_KILLING:
	case ST_POST_STOP:
		return true;
	default:
		return s->queued || s->r.aux_pid;
	}
}

/* The search begins at the one that was on its way last time, which most often still is. */
static bool anything_on_its_way(struct manager *m)
{
	for (uint32_t k = 0; k < m->e.n; k++) {
		uint32_t i = m->idle_from + k < m->e.n ? m->idle_from + k : m->idle_from + k - m->e.n;
		if (on_its_way(&m->e.s[i])) {
			m->idle_from = i;
			return true;
		}
	}
	return false;
}

void idle_check(struct manager *m)
{
	const struct boot_rec *b = &m->st.boot;
	if (m->begun_since_idle < WORTH_IT || m->run_deferred || !m->g || b->phase == BOOT_STARTING || b->power)
		return;
	m->idle_from = m->idle_from < m->e.n ? m->idle_from : 0;
	if (m->children || m->apply || timer_armed(&m->settle_timer) || m->lg_lagging || m->lg_pump_deferred || anything_on_its_way(m))
		return;
	m->begun_since_idle = 0;
	pid1_send(m, RINIT_IDLE, 0, 0, NULL);
	logger_idle(m);
	(void)malloc_trim(0);
	(void)madvise((void *)(uintptr_t)m->g, m->g->size, MADV_DONTNEED); /* a file in /run: read again when it is needed */
	loop_trim(m->loop);
}
