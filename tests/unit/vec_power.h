/* vec_power.h: what a power cut leaves: all writes of this process into one folder are recorded, and any state a disk may be in is made of them.
 *
 * A write counts as durable when its file was synced after it (or the file was opened with O_DSYNC); names when the folder was synced. Of
 * what is not durable any subset may be there, each write torn at 512 bytes; changes of names come in their order, up to any one. */
#ifndef RAST_TESTS_VEC_POWER_H
#define RAST_TESTS_VEC_POWER_H

#include <stdbool.h>
#include <stddef.h>

void power_record(const char *dir);            /* from now on; the folder is empty */
void power_stop(void);
void power_mark(void);                         /* something was acknowledged to a user */
size_t power_points(void);                     /* writes, syncs, ... that were recorded */
/* Make the folder `to` (empty) as a cut before point `at` may have left it; seed chooses which of the possible ones. Returns how many marks came before. */
unsigned power_make(size_t at, unsigned seed, const char *to);

#endif
