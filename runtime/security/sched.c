/* sched.c: how the process is scheduled, its limits, and what else is one system call. */
#include "runtime/security/security.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "runtime/security/priv.h"

int sec_rlimits(const struct oci_rlimit *v, size_t n, const char **what)
{
	for (size_t i = 0; i < n; i++) {
		struct rlimit64 limit = { .rlim_cur = v[i].soft, .rlim_max = v[i].hard };
		if (syscall(SYS_prlimit64, 0, v[i].resource, &limit, NULL) < 0)
			return sec_fail(what, v[i].name);
	}
	return 0;
}

struct sched_attr_v0 { /* SCHED_ATTR_SIZE_VER0 of linux/sched/types.h, which sched.h of some libcs clashes with */
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};
_Static_assert(sizeof(struct sched_attr_v0) == 48, "the kernel's structure");

int sec_scheduler(const struct oci_scheduler *s, const char **what)
{
	struct sched_attr_v0 attr = { .size = sizeof(attr) };

	if (!s)
		return 0;
	attr.policy = s->policy;
	attr.flags = s->flags;
	attr.nice = s->nice;
	attr.priority = s->priority;
	attr.runtime = s->runtime;
	attr.deadline = s->deadline;
	attr.period = s->period;
	return syscall(SYS_sched_setattr, 0, &attr, 0) < 0 ? sec_fail(what, "set the scheduler") : 0;
}

#define IOPRIO_WHO_PROCESS_ 1 /* an enumerator in linux/ioprio.h of newer headers, nothing in older ones */

/* Of this process alone; its children have it by inheritance. The process group that the spec speaks of may still be the runtime's. */
int sec_ioprio(const struct oci_process *p, const char **what)
{
	if (!p->has_io_priority)
		return 0;
	return syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS_, 0, p->io_priority) < 0 ? sec_fail(what, "set the I/O priority") : 0;
}

int sec_affinity(const struct oci_bits *cpus, const char **what)
{
	if (!cpus->bits)
		return 0;
	return syscall(SYS_sched_setaffinity, 0, cpus->n_bytes, cpus->bits) < 0 ? sec_fail(what, "set the CPU affinity") : 0;
}

int sec_mempolicy(const struct oci_memory_policy *m, const char **what)
{
	if (!m)
		return 0;
	/* The kernel takes one bit less than it is told (get_nodes() of mm/mempolicy.c). */
	return syscall(SYS_set_mempolicy, m->mode, m->nodes.bits, m->nodes.bits ? m->nodes.n_bits + 1 : 0) < 0 ? sec_fail(what, "set the memory policy") : 0;
}

int sec_personality(unsigned long value, const char **what)
{
	return syscall(SYS_personality, value) < 0 ? sec_fail(what, "set the personality") : 0;
}

/* Possessor all but setattr, user view, read, link and search: as session keyrings have it, and searchable for other sessions of the user. */
#define KEYRING_PERMISSIONS 0x3f1b0000

int sec_keyring(const char *name, const char **what)
{
	long id = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name);

	if (id < 0 && errno == ENOSYS)
		return 0;
	if (id < 0)
		return sec_fail(what, "make a session keyring");
	return syscall(SYS_keyctl, KEYCTL_SETPERM, id, KEYRING_PERMISSIONS) < 0 ? sec_fail(what, "set the session keyring's permissions") : 0;
}
