/* cgroup.h: a container's cgroup, version 2 only (Documentation/admin-guide/cgroup-v2.rst).
 *
 * cg_open() works out where it is (cgroupsPath in cgroupfs or systemd form, or our default rastos.container/ID); cg_create() makes it with
 * the controllers enabled all the way down; cg_apply() writes the resources, the v1 values converted; device rules become a BPF program
 * that is replaced atomically on update. What a container of an ordinary user can't have is an error only if it was asked for.
 * base/proc.h has the plain operations on cgroup folders; this adds what OCI asks for. */
#ifndef RAST_RUNTIME_CGROUP_H
#define RAST_RUNTIME_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "base/err.h"
#include "runtime/spec/spec.h"

struct cgroup {
	int root;    /* the hierarchy's top folder, owned */
	char *mount; /* where that is mounted: "/sys/fs/cgroup" */
	char *path;  /* of the container's, below it, without '/' at the ends: "rastos.container/web" */
	int fd;      /* the container's folder, for CLONE_INTO_CGROUP; -1 until cg_create() or cg_open_existing() */
	bool fresh;  /* cg_create() has just made it: nothing is attached to it */
	bool none;   /* an ordinary user may not make one and asked for no limits: the container stays in the caller's */
};
#define CGROUP_NONE { .root = -1, .fd = -1 }

/* Find the hierarchy and the container's place in it; makes nothing. cgroups_path may be NULL. rootless: below the caller's own (delegated) cgroup. */
int cg_open(const char *cgroups_path, const char *id, bool systemd, bool rootless, struct cgroup *ret, struct err *e);
/* The same from a path that an earlier cg_open() gave (state.json). -ENOENT: it is gone (fd stays -1, the rest is filled). */
int cg_open_existing(const char *path, struct cgroup *ret, struct err *e);
void cg_close(struct cgroup *cg);
#define _cleanup_cgroup_ _cleanup_(cg_close)

/* Make the folders with the controllers enabled down the path and open fd. An existing one must be empty and thawed (-EBUSY).
 * On failure what was made is removed again. */
int cg_create(struct cgroup *cg, const struct oci_resources *res, struct err *e);
/* Write the limits; res NULL: nothing. Errors name the JSON path below prefix ("linux.resources", or "" for update's file). */
int cg_apply(const struct cgroup *cg, const struct oci_resources *res, const char *prefix, struct err *e);
/* Attach the device program: the rules in their order, behind them what every container may use (null, zero, full, random, urandom, tty, ptmx,
 * pts; mknod of anything). res NULL: only these. Replaces the one that is there atomically. */
int cg_devices(struct cgroup *cg, const struct oci_resources *res, struct err *e);
/* Give the folder and the files of /sys/kernel/cgroup/delegate to a user (a container with its own cgroup namespace and a writable cgroup mount). */
int cg_delegate(const struct cgroup *cg, uid_t uid, struct err *e);

int cg_freeze(const struct cgroup *cg, bool freeze, struct err *e); /* waits until it is so, at most 10 s (-ETIMEDOUT: thawed again) */
int cg_frozen(const struct cgroup *cg);                             /* 1, 0 or negative errno */
int cg_kill(const struct cgroup *cg);
int cg_pids(const struct cgroup *cg, pid_t **ret, size_t *ret_n);   /* heap memory; those of the cgroups below it too */
int cg_add(const struct cgroup *cg, pid_t pid);                     /* 0: this process */
/* Remove it with what is below it, killing what still runs; waits at most 10 s. -ENOENT is success. */
int cg_remove(const struct cgroup *cg, struct err *e);

/* What `events --stats` prints in "data" (runc's form; fields that v2 hasn't are left out); heap memory. */
int cg_stats(const struct cgroup *cg, char **ret_json, struct err *e);
/* The kernel's count of processes killed for want of memory (memory.events oom_kill); 0 without the controller. */
int cg_oom_kills(const struct cgroup *cg, uint64_t *ret);

/* Conversions, for tests and docs */
uint64_t cg_weight_from_shares(uint64_t shares); /* 0 stays 0 */
uint64_t cg_io_weight_from_blkio(uint64_t weight);
/* "slice:prefix:name" to a path as systemd lays them out; heap memory. -EINVAL: no such form. */
int cg_path_from_systemd(const char *s, bool rootless, char **ret);

#endif
