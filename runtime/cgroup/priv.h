/* priv.h: within runtime/cgroup/ only. */
#ifndef RAST_RUNTIME_CGROUP_PRIV_H
#define RAST_RUNTIME_CGROUP_PRIV_H

#include <linux/bpf.h>
#include "base/str.h"
#include "runtime/cgroup/cgroup.h"

#define OURS "rastos.container"

/* Controllers that the resources need; bit i is controllers[i]. limits.c */
#define CONTROLLERS 9
extern const char *const controllers[CONTROLLERS];
unsigned controllers_needed(const struct oci_resources *res);
/* The JSON key that needs controller i, for messages. */
const char *controller_key(const struct oci_resources *res, unsigned i);
unsigned controllers_in(const char *text); /* of a file cgroup.controllers; those that controllers[] doesn't have are left out */

/* device.c: the program for these rules; insns has room for max. Returns their number, or -E2BIG. */
#define DEVICE_RULE_INSNS 9
int device_program(const struct oci_device_rule *rules, size_t n, struct bpf_insn *insns, size_t max);
extern const struct oci_device_rule device_defaults[];
extern const size_t device_defaults_n;

/* A file of the container's cgroup, whole; heap memory. */
int cg_read(const struct cgroup *cg, const char *key, char **ret);
/* Wait until cgroup.events says `key value`; 0 or -ETIMEDOUT. */
int cg_wait(const struct cgroup *cg, const char *line, int timeout_ms);

#endif
