/* engine-priv.h: what the files of the engine share among themselves. */
#ifndef RAST_SUPERVISOR_ENGINE_PRIV_H
#define RAST_SUPERVISOR_ENGINE_PRIV_H

#include "supervisor/engine.h"

#define KILL_TIMEOUT 5000000u        /* us: what SIGKILL has not ended by then never ends (uninterruptible sleep) */
#define SPAWN_RETRY 1000000u         /* us: no memory or processes left: try again */
#define LIMIT_RING 32u               /* starts remembered one by one for the restart limit */

/* engine.c */
void engine_queue(struct engine *e, uint32_t i);
void engine_set_deadline(struct engine *e, struct svc *s, uint64_t when);
void svc_set(struct engine *e, struct svc *s, unsigned flag, bool on);
void svc_enter(struct engine *e, struct svc *s, enum svc_state st); /* change state, wake whom it concerns */
void svc_touch(struct svc *s);                                        /* the record has changed: commit at the end of the event */

/* order.c */
enum order { ORDER_GO, ORDER_WAIT, ORDER_FAIL /* a hard dependency has failed or is not wanted */, ORDER_CONFLICT };
enum order order_start(struct engine *e, struct svc *s, uint32_t *who); /* may it start? who: what failed, or is waited for */
enum order order_stop(struct engine *e, struct svc *s);                 /* may it stop? */
enum order order_one_of(struct engine *e, struct svc *s, struct gids list, uint32_t *who); /* one of the list has to be up */
bool order_has_one(const struct engine *e, struct gids l);                 /* is one of them up? */
void order_withdraw(struct engine *e, struct svc *s);                   /* s is no longer up: those that need it go down and come back */

/* group.c */
void group_poke(struct engine *e, struct svc *s);

/* restart.c */
bool restart_is_failure(const struct engine *e, const struct svc *s);   /* of how its main process ended */
void restart_note_start(struct engine *e, struct svc *s, uint64_t now);
void restart_forget(struct svc *s);                                     /* counters of limit and back-off */
void restart_decide(struct engine *e, struct svc *s);                   /* a run has ended and nothing of it is left: where to? */

#endif
