/* shutdown.h: how the machine ends. shutdown.c is the order and the deadlines, shutdown-steps.c what is done by a child that can hang. */
#ifndef RAST_INIT_SHUTDOWN_H
#define RAST_INIT_SHUTDOWN_H

#include <stdbool.h>
#include <stdint.h>

#define STUCK_MAX 16

/* Shared between PID 1 and the child that does the steps: PID 1 sees where it hangs. */
struct progress {
	volatile uint32_t step;        /* index of the step that runs */
	volatile uint64_t since;       /* CLOCK_MONOTONIC, us; 0: between two */
	char what[256];                /* the mount point, swap area, ... at hand */
	uint32_t n_stuck;
	char stuck[STUCK_MAX][256];    /* mount points at which a child hung: not asked again */
	uint32_t left_rw;              /* file systems that could not be made read-only */
};

struct shutdown_plan {
	bool mark_left;                /* the boot was not judged yet and this is an orderly end */
	bool machine;
};

struct shutdown_step {
	const char *name;
	uint64_t limit_us;             /* for one thing in it: one mount point, one swap area */
	bool writes;                   /* it waits for dirty data: as long as that gets less it is not stuck */
	void (*run)(struct progress *pr, const struct shutdown_plan *plan);
};
extern const struct shutdown_step shutdown_steps[];
extern const unsigned n_shutdown_steps;

/* For the steps: about to touch `what`. */
void progress_at(struct progress *pr, const char *what);

/* unmount.c: the last step. */
void unmount_all(struct progress *pr, const struct shutdown_plan *plan);

#endif
