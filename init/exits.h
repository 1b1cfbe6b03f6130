/* exits.h: exit reports that rastd has not acknowledged yet: a ring of fixed size. */
#ifndef RAST_INIT_EXITS_H
#define RAST_INIT_EXITS_H

#include <stdbool.h>
#include "init/protocol.h"

#define EXITS_MAX 8192

bool exits_full(void);                                /* leave further zombies to the kernel until this is false */
void exits_push(int pid, int code, int status, uint64_t time_us);
bool exits_ack(uint64_t seq);                         /* forget all up to seq; true when that made room in a full ring */
/* Copy up to max reports with seq > after, in order; returns how many. */
unsigned exits_after(uint64_t after, struct rinit_exit *ret, unsigned max);
uint64_t exits_last(void);                            /* sequence number of the newest report ever; 0: none */
/* For state.c: put a report back with its own number, in order. last: the number to go on from. */
void exits_restore(const struct rinit_exit *e);
void exits_restore_last(uint64_t last);

#endif
