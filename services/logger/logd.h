/* logd.h: the logger, rastlogd.
 *
 * It holds no data of its own. For each service there is a pipe (kept by PID 1) and a few dozen bytes here: no buffers. A round is: see
 * what is in the pipe without taking it (tee(2) into a scratch pipe), format whole lines into one shared buffer, and send them to the file
 * as one batch (batch.c), journalled (journal.h) so that SIGKILL at any instruction neither loses nor doubles a line. Files are opened when
 * there is something to write, and at most STORE_OPEN_MAX of them stay open (store.c). What a disk refuses goes to /run, bounded, and is
 * moved back later (spare.c). main.c waits (edge-triggered epoll, SIGIO for unfinished lines, no timer unless something is to be moved
 * back), control.c speaks with rastd. */
#ifndef RAST_LOGGER_LOGD_H
#define RAST_LOGGER_LOGD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"
#include "services/logger/format.h"
#include "services/logger/journal.h"

#define STORE_OPEN_MAX 64
#define LOGD_IN_MAX (64u << 10)  /* what is looked at in one round: the default capacity of a pipe */
#define LOGD_OUT_MAX (64u << 10) /* what is written at once; holds a line of FORMAT_LINE_MAX plain bytes */
#define SPARE_FILE_MAX (256u << 10)
#define SPARE_TOTAL_MAX (8u << 20) /* of /run, all services together */

enum place { PLACE_LOG, PLACE_SPARE };

struct service {
	int pipe;
	int16_t slot;      /* in logd.open, -1: its file is not open */
	uint8_t max_files; /* rotated files kept */
	bool spare : 1;    /* in trouble: its lines go to the spare folder, or are lost, until move_back succeeds */
	bool async : 1;    /* an unfinished line is in its pipe: SIGIO tells of what comes, batch.c */
	uint32_t max_size; /* bytes of NAME.log */
	uint32_t lost;     /* lines that could be kept nowhere, not yet told */
	char name[];
};

struct open_file {
	struct service *owner; /* NULL: free */
	int fd;
	uint32_t used; /* logd.clock when it was last written: the smallest is closed first */
	bool dirty;    /* written since the last fdatasync */
};

struct logd {
	const char *log_dir, *spare_dir; /* spare_dir NULL: none */
	int log_fd, spare_fd;            /* -1: could not be opened (yet) */
	int epoll, control;              /* control -1: stand-alone, or rastd's end is gone */
	int stage[2], scratch[2], null;
	unsigned scratch_size; /* bytes */
	struct journal journal;
	struct service **services; /* sorted by name */
	size_t n_services, cap_services;
	struct open_file open[STORE_OPEN_MAX];
	uint32_t clock;
	bool dirty_closed;           /* a file was closed dirty: SYNC_DISK needs syncfs */
	bool spare_any;              /* a service is in trouble, or the spare folder holds something */
	int spare_file;              /* the one file of the spare folder that is open, -1 */
	uint64_t spare_bytes;        /* in all of the spare folder */
	uint64_t retry_at, retry_in; /* CLOCK_MONOTONIC us: when moving back is tried next, and how long to wait after that */
	bool in_touched;
	bool trim; /* before the next sleep */
	bool quit;
	int fatal;      /* negative errno: the stage pipe is in an unknown state, end and be started again */
	char *in, *out; /* LOGD_IN_MAX, LOGD_OUT_MAX; their pages are given back when idle */
};

/* --- service.c: the table --- */
struct service *service_find(struct logd *d, const char *name);
/* Add or update. pipe is owned by the service from here on, on failure too. -EINVAL: not the read end of a pipe. */
int service_add(struct logd *d, const char *name, int pipe, uint64_t max_size, uint32_t max_files);
/* Take it out of the table, close its pipe and file. The caller has drained it. */
void service_remove(struct logd *d, struct service *s);

/* --- batch.c: from pipe to file --- */
/* Write the whole lines that are in the pipe; with TAIL_END an unfinished one too. Returns 1 when the pipe's writers are all gone and it is
 * empty, 0, or a negative errno, which is in d->fatal too. */
int service_drain(struct logd *d, struct service *s, enum format_tail tail);
/* Bring what a killed predecessor left in the stage pipe to its end. */
int batch_recover(struct logd *d, struct err *e);

/* --- store.c: files --- */
struct target {
	int fd; /* borrowed */
	enum place place;
	uint64_t offset, inode;
};
void store_open_dirs(struct logd *d);
/* Where the next n bytes of s go: its file in the log folder, opened, rotated if they would not fit. Or in the spare folder. */
int store_target(struct logd *d, struct service *s, size_t n, struct target *t);
/* Write all of it at t->offset, or cut the file back to that offset and return a negative errno. */
int store_write(const struct target *t, const char *data, size_t n);
/* Remove the oldest rotated file of a service. -ENOENT: there is none. */
int store_drop_oldest(int dirfd, const char *name, unsigned max_files);
/* Shift NAME.log to NAME.log.1 and so on; keep at most max_files of them. An interrupted rotation is continued by the next. */
int store_rotate(int dirfd, const char *name, unsigned max_files);
/* Open NAME.log in a folder for appending at t->offset. The caller owns t->fd. */
int store_open(int dirfd, const char *name, struct target *t);
void store_close(struct logd *d, struct service *s);
void store_close_all(struct logd *d);
int store_fdatasync(struct logd *d);
/* "NAME.log" or "NAME.log.N" (n > 0). */
#define STORE_NAME_MAX (64 + 16)
const char *store_name(char buf[STORE_NAME_MAX], const char *name, unsigned n);

/* --- spare.c: when the disk can't be written --- */
bool spare_has(struct logd *d, const char *name);
void spare_scan(struct logd *d); /* at the start: what is there already */
/* From here on lines of s go to the spare folder. */
void spare_enter(struct logd *d, struct service *s, int error);
/* As store_target, in the spare folder. -ENOSPC when the bound is reached. */
int spare_target(struct logd *d, struct service *s, size_t n, struct target *t);
/* The lines in out could be kept nowhere: count them. */
void spare_lost(struct logd *d, struct service *s, const char *out, size_t n);
/* Append what is in the spare folder to the files in the log folder. The second: every name that is there. */
int spare_move_back(struct logd *d, const char *name);
void spare_retry(struct logd *d);
/* A predecessor was killed while it moved a file back. */
int spare_recover(struct logd *d, const struct journal_record *r);

/* --- control.c: what rastd says --- */
void control_read(struct logd *d); /* every packet that is there */
void control_event(struct logd *d, uint16_t type, const char *name, int error, uint64_t token, uint64_t lost);
void control_drain_all(struct logd *d, enum format_tail tail);

uint64_t realtime_us(void);

#endif
