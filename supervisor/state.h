/* state.h: the state file, /run/rastos/state: what a new rastd must know.
 *
 * A shared mapping of a file on tmpfs: what is stored there is there for the next rastd, whatever happens to this one. Each record has two copies with a
 * sequence number and a CRC-32C; a change fills the older one, the sequence number last. SIGKILL at any instruction leaves one whole copy.
 * last_pid and spawn_err stand beside the copies since others write them: the kernel writes last_pid (CLONE_PARENT_SETTID) before the child runs,
 * the child writes spawn_err when it can't execute its program. Record i is service i of the graph of the header's generation: a new generation
 * gets a new file, renamed over the old one; that rename is the moment at which the new set of services counts. */
#ifndef RAST_SUPERVISOR_STATE_H
#define RAST_SUPERVISOR_STATE_H

#include "supervisor/engine.h"

#define STATE_MAGIC 0x54535352u /* "RSST" */
#define STATE_VERSION 1

struct state_copy { uint32_t crc, seq; struct svc_rec r; };

struct state_record {
	uint64_t key;                 /* fnv1a64 of the name: a check, no more */
	volatile int32_t last_pid;    /* of the last process begun, 0 while there is none */
	volatile uint32_t spawn_err;  /* step << 16 | errno of a start that failed */
	struct state_copy c[2];
};

enum boot_phase { BOOT_STARTING, BOOT_UP, BOOT_GOOD, BOOT_FAILED, BOOT_STOPPING };

/* Why this boot proves nothing about its deployment, whatever comes up. */
enum boot_rescue {
	RESCUE_NO,
	RESCUE_SET,    /* the service files can't be compiled: the distribution's alone are used */
	RESCUE_SHELL,  /* nor can those: a shell is all there is */
	RESCUE_PERSON, /* somebody has chosen another target before it was known whether the boot is good */
};

/* What is known about the boot as a whole. */
struct boot_rec {
	uint32_t phase, power;        /* power: enum rinit_power once the machine is to go down */
	uint32_t instance;            /* how often rastd was started in this boot */
	uint32_t rescue;              /* enum boot_rescue */
	uint64_t started, up, good;   /* us */
	uint64_t reboot_at;           /* it failed, and another deployment may be better: us, 0: stay */
	char target[64];
};

struct boot_copy { uint32_t crc, seq; struct boot_rec r; };

struct state_header {
	uint32_t magic, version, record_size, n;
	uint64_t generation;
	struct boot_copy boot[2];
};

struct state {
	struct state_header *h;
	struct state_record *rec;
	size_t size;
	struct boot_rec boot;         /* current; state_put_boot() after a change */
};

/* Make a new file of n records under `name` (temporary until state_publish). keys: names of g. */
int  state_create(int rundir, const char *name, const struct graph *g, const struct boot_rec *boot, struct state *ret, struct err *e);
int  state_publish(int rundir, const char *name, struct err *e);  /* rename to "state" */
/* Map the file that a former rastd left. -ENOENT: none; -EBADMSG: not ours. */
int  state_open(int rundir, struct state *ret, struct err *e);
void state_close(struct state *st);
void state_put(struct state *st, uint32_t i, const struct svc_rec *r);
/* The newest whole copy. False: both are damaged (never by us; then *r is zero). */
bool state_get(const struct state *st, uint32_t i, struct svc_rec *r);
void state_put_boot(struct state *st);

#endif
