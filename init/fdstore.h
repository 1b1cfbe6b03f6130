/* fdstore.h: descriptors kept for rastd, under names. Fixed tables; entries keep their place, so that a walk is not disturbed by changes. */
#ifndef RAST_INIT_FDSTORE_H
#define RAST_INIT_FDSTORE_H

#include <stdbool.h>
#include "init/protocol.h"

#define FDSTORE_MAX 4096

/* Add or replace. Takes ownership of the descriptors, also on failure (they are closed then): -ENOSPC when full, -EINVAL. */
int fdstore_put(const char *name, const int *fds, unsigned n);
bool fdstore_drop(const char *name);
/* The next entry at or after *pos, which is moved behind it; descriptors stay the store's. False at the end. */
bool fdstore_next(unsigned *pos, struct rinit_fd_entry *e, int fds[RINIT_FDS_PER_ENTRY]);
unsigned fdstore_count(void);
void fdstore_clear(void); /* closes all */

#endif
