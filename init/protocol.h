/* protocol.h: what PID 1 (rastinit) and the supervisor (rastd) say to each other.
 *
 * A SOCK_SEQPACKET socket pair, both ends of which PID 1 keeps for ever: what one side has sent stays queued in the kernel
 * while rastd dies and comes back. rastd finds its end as descriptor RINIT_FD. One packet is one struct rinit_msg header, followed by
 * `len` bytes of payload. Both sides ignore a packet of another version after saying so in the log.
 *
 * Exit statuses. PID 1 reaps what is orphaned to it, and reports (pid, status, time of the reap) with a growing sequence number. It keeps each in a
 * fixed ring until rastd acknowledges it, *after* rastd has written the consequence to its state file. A new rastd says HELLO and gets
 * all that is not acknowledged again. When the ring is full PID 1 leaves zombies unreaped: the kernel keeps them and nothing is lost.
 * rastd matches reports only against processes that it adopted (its own children it waits for itself), and ignores
 * a report whose time lies before the process's recorded start (pid reuse).
 *
 * Descriptors. FD_STORE adds or replaces an entry of up to RINIT_FDS_PER_ENTRY descriptors under a name; it takes effect for a later rastd even if this
 * one dies right after sendmsg returned. FD_DROP forgets one. After HELLO PID 1 sends FD_ENTRY packets for each entry, then the unacknowledged EXITs, then READY. */
#ifndef RAST_INIT_PROTOCOL_H
#define RAST_INIT_PROTOCOL_H

#include <stdint.h>

#define RINIT_FD 3
#define RINIT_VERSION 1
#define RINIT_NAME_MAX 79         /* bytes of an fd store entry's name, without the NUL */
#define RINIT_FDS_PER_ENTRY 2
#define RINIT_BATCH_MAX 64        /* entries in one FD_STORE packet */
#define RINIT_PAYLOAD_MAX 8192

enum rinit_type {
	/* rastd -> PID 1 */
	RINIT_HELLO = 1,   /* payload: none. A new instance is there: send everything again */
	RINIT_ACK,         /* seq: every exit report up to this one is done with */
	RINIT_FD_STORE,    /* payload: struct rinit_fd_entry[]; SCM_RIGHTS: their descriptors in order */
	RINIT_FD_DROP,     /* payload: NUL-terminated names, one after the other */
	RINIT_STATUS,      /* payload: text (<= 255 bytes): what is being waited for, e.g. "stopping: web (SIGTERM sent 12 s ago)"; printed when PID 1 runs out of patience, and by its crash handler */
	RINIT_SHUTDOWN,    /* arg: enum rinit_power; every service is stopped: finish the machine. payload for kexec/reboot: optional reboot(2) argument string */
	RINIT_SHUTDOWN_BEGIN, /* arg: enum rinit_power; arg2: seconds until PID 1 goes on without rastd (0: its default); rastd has begun to stop services */
	RINIT_BOOTED,      /* arg: 1 the boot target is up (healthy), 0 it failed: for the watchdog's boot stage and the log */
	RINIT_ALIVE,       /* arg: usec until the next one is due: supervision of rastd itself; 0 switches it off */
	RINIT_IDLE,        /* everything is done that was begun: the moment for what can wait (memory that only the boot took, rare mounts) */
	/* PID 1 -> rastd */
	RINIT_FD_ENTRY = 64, /* payload: struct rinit_fd_entry[]; SCM_RIGHTS */
	RINIT_EXIT,        /* payload: struct rinit_exit[]; seq is that of the last of them */
	RINIT_READY,       /* all entries and exits from before HELLO have been sent; arg: how many times rastd was started in this boot (1: first) */
	RINIT_POWER,       /* arg: enum rinit_power: somebody (signal, ctrl-alt-del) asks: begin an orderly shutdown */
	RINIT_SIGNAL,      /* arg: signal number forwarded, e.g. SIGHUP: reload configuration, SIGWINCH: keyboard request */
};

enum rinit_power { RINIT_POWEROFF = 1, RINIT_REBOOT, RINIT_HALT, RINIT_KEXEC, RINIT_SOFT_EXIT /* PID 1 of a container: exit */ };

struct rinit_msg {
	uint16_t version, type;
	uint32_t len;      /* of the payload */
	uint64_t seq;
	uint64_t arg, arg2;
};

struct rinit_fd_entry {
	char name[RINIT_NAME_MAX + 1];
	uint32_t n_fds;    /* 1 .. RINIT_FDS_PER_ENTRY */
};

struct rinit_exit {
	uint64_t seq;
	uint64_t time_us;  /* CLOCK_MONOTONIC when it was reaped */
	int32_t pid;
	int32_t code;      /* si_code: CLD_EXITED, CLD_KILLED, CLD_DUMPED */
	int32_t status;    /* si_status */
	uint32_t pad;
};

#endif
