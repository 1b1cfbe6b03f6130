/* journal.h: log.state, what the logger was about to do when it was killed.
 *
 * A batch (whole lines of one service) goes from the service's pipe into the stage pipe, from there to the file, and out of the stage pipe.
 * The stage pipe tells a successor whether there is an unfinished batch; the journal tells whose it is, where it belongs, and whether it
 * has been written. The file is mapped shared on tmpfs: nothing is to be flushed, a store survives the process. It holds two copies of one
 * record; the older one is filled and gets its sequence number last, so that SIGKILL at any instruction leaves one whole copy. */
#ifndef RAST_LOGGER_JOURNAL_H
#define RAST_LOGGER_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

enum journal_phase {
	J_IDLE,
	J_STAGED,  /* what is in the stage pipe is to be written at `offset`; it may be there already, in part or in whole */
	J_WRITTEN, /* it is written: what is left in the stage pipe is to be thrown away */
	J_MOVE,    /* spare file number `spare` (inode `spare_inode`) is being appended at `offset`; it is removed when that is done */
};

struct journal_record {
	uint64_t seq;
	uint32_t crc; /* crc32c of what follows */
	uint8_t phase, tail, place, spare;
	uint64_t time_us, offset, inode, length, spare_inode;
	char name[64];
	uint64_t pad[2];
};
_Static_assert(sizeof(struct journal_record) == 136, "the layout of log.state");

struct journal {
	struct journal_file *map;
	uint64_t seq;
	bool shared; /* false: private memory, so that the logger works when log.state can't be made */
};

/* Map path, making it if need be. On failure the journal works on private memory: lines may then be doubled by a SIGKILL, and e says so.
 * NULL path: private memory. */
int journal_open(struct journal *j, const char *path, struct err *e);
void journal_close(struct journal *j);
/* The newest whole record; false when there is none. */
bool journal_last(const struct journal *j, struct journal_record *r);
/* Make r the newest record; its seq and crc are filled in. */
void journal_commit(struct journal *j, struct journal_record *r);

#endif
