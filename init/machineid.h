/* machineid.h: /etc/machine-id, machine-id(5). */
#ifndef RAST_INIT_MACHINEID_H
#define RAST_INIT_MACHINEID_H

#include <stdbool.h>
#include <stddef.h>

/* 32 lower-case hexadecimal digits, not all zero, with or without a newline. */
bool machineid_valid(const char *text, size_t n);
/* Make one if there is none. On a read-only /etc it lives in /run for this boot. */
void machineid_setup(void);

#endif
