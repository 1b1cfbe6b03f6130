/* protocol.h: what rastd and the logger (rastlogd) say to each other.
 *
 * A SOCK_SEQPACKET socket pair, both ends of which PID 1's fd store keeps: what rastd has sent stays queued while the logger dies
 * and comes back, and the other way round. One packet is one struct of this file, nothing follows it; both sides ignore a packet
 * of another version or length after saying so in the log.
 *
 * A logger is started with three descriptors, all from the fd store (two entries: the socket pair, the stage pipe):
 *   LOGD_CONTROL_FD        its end of the socket pair
 *   LOGD_STAGE_READ_FD     read end and
 *   LOGD_STAGE_WRITE_FD    write end of the stage pipe: an ordinary pipe2(O_CLOEXEC) made once per boot. Lines on their way from a
 *                          service's pipe to its file are in here, and nowhere else, so that SIGKILL of the logger loses none and
 *                          doubles none. Nobody but the logger reads or writes it. Its capacity should be the default (64 KiB).
 *
 * A conversation: the logger sends READY as soon as it has brought a predecessor's unfinished batch to its end. rastd then sends ADD for
 * every service that has a pipe. ADD of a name that is known already is welcome: with the same pipe it only changes the settings, with
 * another one the old pipe is emptied first. Hence a new rastd may send all ADDs without knowing how long the logger has lived.
 * Send without blocking (MSG_DONTWAIT) and wait for EPOLLOUT on EAGAIN: the queue holds some 250 packets.
 * ETOOMANYREFS (more descriptors in flight than RLIMIT_NOFILE) is treated like EAGAIN, with a timer. */
#ifndef RAST_SERVICES_LOGGER_PROTOCOL_H
#define RAST_SERVICES_LOGGER_PROTOCOL_H

#include <stdint.h>

#define LOGD_VERSION 1
#define LOGD_CONTROL_FD 3
#define LOGD_STAGE_READ_FD 4
#define LOGD_STAGE_WRITE_FD 5
#define LOGD_NAME_MAX 63             /* NAME_LEN_MAX of base/str.h */
#define LOGD_DEFAULT_SIZE (1u << 20) /* bytes of NAME.log before it is rotated */
#define LOGD_DEFAULT_FILES 8         /* rotated files kept beside NAME.log: NAME.log.1 is the newest */

enum logd_type {
	/* rastd -> logger: struct logd_request */
	LOGD_ADD = 1, /* name, max_size, max_files; SCM_RIGHTS: the read end of the service's pipe (one descriptor) */
	LOGD_FLUSH,   /* name: the service has ended: write what is in its pipe, an unfinished last line included */
	LOGD_DROP,    /* name: FLUSH, then forget the service and close its pipe */
	LOGD_SYNC, /* token, flags: answered by SYNCED when every byte that was in a pipe at the time this was read has been written (whole
		    * lines; with LOGD_SYNC_PARTIAL unfinished ones too). name: only this service's pipe; empty: all */
	LOGD_REOPEN, /* close every open file: somebody has moved them (SIGHUP does the same) */
	LOGD_IDLE, /* nothing is on its way any more: give back memory before the next sleep */

	/* logger -> rastd: struct logd_event */
	LOGD_READY = 64, /* pid: a new logger is there: send every ADD */
	LOGD_SYNCED,     /* token; error: 0, or the negative errno of the fdatasync that was asked for */
	LOGD_TROUBLE,    /* name, error: NAME.log can't be written (negative errno): lines go to /run/rastos/log from here on; error 0: they
			    have been moved back. lost: lines that could be kept nowhere */
	LOGD_REFUSED, /* name, error, token = type of the request: it could not be done (-EINVAL name or descriptor, -ENOENT unknown name,
			 -EMFILE) */
};

enum logd_sync_flags {
	LOGD_SYNC_PARTIAL = 1, /* write unfinished lines too: at shutdown */
	LOGD_SYNC_DISK = 2,    /* fdatasync every file written since the last one. Without it nothing is: the logger leaves that to the
				  kernel's write-back */
};

struct logd_request {
	uint16_t version, type;
	uint32_t flags;
	uint64_t token;     /* SYNC: given back in SYNCED */
	uint64_t max_size;  /* ADD: bytes, 0: LOGD_DEFAULT_SIZE */
	uint32_t max_files; /* ADD: 0: LOGD_DEFAULT_FILES; UINT32_MAX: none is kept */
	uint32_t pad;
	char name[LOGD_NAME_MAX + 1]; /* NUL-terminated */
};

struct logd_event {
	uint16_t version, type;
	int32_t pid, error;
	uint32_t pad;
	uint64_t token;
	uint64_t lost;
	char name[LOGD_NAME_MAX + 1];
};

_Static_assert(sizeof(struct logd_request) == 96, "packets have no holes");
_Static_assert(sizeof(struct logd_event) == 96, "packets have no holes");

#endif
