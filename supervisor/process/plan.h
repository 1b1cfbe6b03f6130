/* plan.h: memory and lists for making a plan (spawn.h). Everything lives until the next scratch_reset(). */
#ifndef RAST_SUPERVISOR_PLAN_H
#define RAST_SUPERVISOR_PLAN_H

#include "supervisor/manager.h"
#include "supervisor/process/spawn.h"

void *scratch_alloc(size_t n);          /* zeroed; NULL: no memory */
char *scratch_printf(const char *fmt, ...) _printf_(1, 2);
void scratch_reset(void);

/* Fill in the plan for a process of s, in memory of the scratch. 0, or a negative errno with *step saying what could not be prepared. */
int plan_make(struct manager *m, struct svc *s, enum proc_kind kind, struct plan *p, enum spawn_step *step);
void plan_done(struct plan *p); /* close what it owns, in either case */
bool plan_notifies(const struct engine *e, const struct svc *s); /* it gets a NOTIFY_SOCKET */
struct gstrv plan_argv(const struct engine *e, const struct svc *s, enum proc_kind kind);

#endif
