/* security.h: what a process gives up, and how it is scheduled, before it becomes the container's.
 *
 * All functions named sec_* work on the calling process, allocate nothing and take no lock, so that a child may call them after clone, even one
 * that shares memory. They return 0 or a negative errno; `what` (may be NULL) is then set to what was tried, a static string or one of the
 * spec's. Those that need preparation have a plan that the parent makes (landlock_plan(), rdt_apply()).
 *
 * The order in which a container's process calls them: sec_keyring, sec_rlimits, sec_scheduler, sec_ioprio, sec_mempolicy, sec_personality, sec_oom_score
 * (while /proc is the host's), ... mounts, pivot ..., sec_selinux_exec, sec_apparmor_exec, sec_landlock, no_new_privs, (filter_install when there is
 * no no_new_privs), sec_bounding, sec_user, sec_caps, (filter_install otherwise), execve. */
#ifndef RAST_RUNTIME_SECURITY_H
#define RAST_RUNTIME_SECURITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"
#include "runtime/spec/spec.h"

/* Capabilities (capabilities(7)); their names are oci_cap_name() and oci_cap_parse(). */
int sec_bounding(const struct oci_caps *caps, const char **what); /* drop from the bounding set what isn't in caps; needs CAP_SETPCAP if that is something */
/* setgroups (not when groups are denied by the user namespace: pass keep_groups), setresgid, setresuid; permitted capabilities stay until sec_caps(). umask too. */
int sec_user(const struct oci_user *user, bool keep_groups, const char **what);
int sec_caps(const struct oci_caps *caps, const char **what);     /* effective, permitted, inheritable by capset(2), then ambient */
int sec_no_new_privs(const char **what);
int sec_rlimits(const struct oci_rlimit *v, size_t n, const char **what);
int sec_scheduler(const struct oci_scheduler *s, const char **what); /* NULL: nothing */
int sec_ioprio(const struct oci_process *p, const char **what);
int sec_affinity(const struct oci_bits *cpus, const char **what);    /* not given: nothing */
int sec_mempolicy(const struct oci_memory_policy *m, const char **what);
int sec_personality(unsigned long personality, const char **what);
int sec_keyring(const char *name, const char **what); /* a new session keyring; kernels without keyrings: success */
/* procfd: the top of a procfs that nobody could have tampered with. */
int sec_oom_score(int procfd, int score, const char **what);
int sec_apparmor_exec(int procfd, const char *profile, const char **what); /* takes effect at execve */
int sec_selinux_exec(int procfd, const char *label, const char **what);

/* Is there such a module at all? For errors before anything is made. */
bool lsm_apparmor_enabled(void);
bool lsm_selinux_enabled(void);

/* Landlock (landlock(7), kernel 5.13): the ruleset is made where the paths are the container's, that is after pivot_root. rootfd: the container's '/'. */
int sec_landlock(const struct oci_landlock *l, int rootfd, const char **what);
int landlock_abi(void);                                           /* 0: none */
int landlock_check(const struct oci_landlock *l, struct err *e);  /* can this kernel do what is asked for? */
/* The same for all of a process's and container's settings that need a kernel, module or mount that may be missing (AppArmor, SELinux, resctrl,
 * Landlock). Errors name the JSON path. */
int sec_check(const struct oci_spec *spec, const struct oci_process *process, struct err *e);

/* Intel RDT (Documentation/arch/x86/resctrl.rst): make or check the group and put pid into it. id: the container's. */
struct rdt {
	char *group;    /* folder below the resctrl mount, NULL: none */
	bool made;      /* by us: rdt_remove() removes it */
	char *monitor;  /* mon_groups/ID, or NULL */
};
int rdt_apply(const struct oci_intel_rdt *rdt, const char *id, pid_t pid, struct rdt *ret, struct err *e);
int rdt_remove(const struct rdt *rdt); /* what was made; -ENOENT is success */
void rdt_free(struct rdt *rdt);

#endif
