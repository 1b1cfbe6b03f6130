/* power.h: the end of the machine's day. */
#ifndef RAST_CTL_POWER_H
#define RAST_CTL_POWER_H

#include "supervisor/ctl/ctl.h"

enum power_kind { POWER_POWEROFF, POWER_REBOOT, POWER_HALT, POWER_KEXEC };

extern int force_count; /* how often -f was given: 1: services are not stopped, 2: reboot(2) at once */

const char *power_word(enum power_kind kind); /* "poweroff", as in Power(kind) */
/* Ask rastd; without it PID 1, by a signal. Returns the exit status. */
int power_request(enum power_kind kind, const char *message);
/* Tell everybody on a terminal. */
void wall(const char *text);
/* Later: a process of its own waits until when_us (CLOCK_REALTIME), warns, and asks then. */
int schedule(enum power_kind kind, uint64_t when_us, const char *message, bool quiet);
int schedule_cancel(const char *message, bool quiet);
int schedule_show(void);
/* "now", "+5", "5", "23:30" -> CLOCK_REALTIME us. -EINVAL. */
int schedule_parse(const char *text, uint64_t now_us, uint64_t *ret);

#endif
