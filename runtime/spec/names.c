/* names.c: the closed lists of names in the OCI spec; the reader and `features` go by them. */
#include "runtime/spec/read.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <time.h>
#include "base/str.h"

#define NAMES(table, what, ...)                                                             \
	static const struct name table##_v[] = { __VA_ARGS__ };                             \
	const struct names table##_names = { what, table##_v, ARRAY_SIZE(table##_v) };
#define SAME(x) { #x, x }

NAMES(ns, "a namespace",
	{ "cgroup", OCI_NS_CGROUP }, { "ipc", OCI_NS_IPC }, { "mount", OCI_NS_MOUNT }, { "network", OCI_NS_NETWORK }, { "pid", OCI_NS_PID },
	{ "time", OCI_NS_TIME }, { "user", OCI_NS_USER }, { "uts", OCI_NS_UTS })

static const struct {
	const char *proc;
	int flag;
} ns_facts[OCI_NS_N] = {
	[OCI_NS_USER] = { "user", CLONE_NEWUSER }, [OCI_NS_PID] = { "pid", CLONE_NEWPID }, [OCI_NS_MOUNT] = { "mnt", CLONE_NEWNS },
	[OCI_NS_NETWORK] = { "net", CLONE_NEWNET }, [OCI_NS_IPC] = { "ipc", CLONE_NEWIPC }, [OCI_NS_UTS] = { "uts", CLONE_NEWUTS },
	[OCI_NS_CGROUP] = { "cgroup", CLONE_NEWCGROUP }, [OCI_NS_TIME] = { "time", CLONE_NEWTIME },
};

const char *oci_ns_name(enum oci_ns_kind kind)
{
	for (size_t i = 0; i < ns_names.n; i++)
		if (ns_names.v[i].value == kind)
			return ns_names.v[i].name;
	return "?";
}

const char *oci_ns_proc_name(enum oci_ns_kind kind)
{
	return ns_facts[kind].proc;
}

int oci_ns_clone_flag(enum oci_ns_kind kind)
{
	return ns_facts[kind].flag;
}

int oci_ns_parse(const char *name)
{
	const struct name *n = names_find(&ns_names, name);

	return n ? (int)n->value : -EINVAL;
}

NAMES(cap, "a capability",
	SAME(CAP_CHOWN), SAME(CAP_DAC_OVERRIDE), SAME(CAP_DAC_READ_SEARCH), SAME(CAP_FOWNER), SAME(CAP_FSETID), SAME(CAP_KILL), SAME(CAP_SETGID),
	SAME(CAP_SETUID), SAME(CAP_SETPCAP), SAME(CAP_LINUX_IMMUTABLE), SAME(CAP_NET_BIND_SERVICE), SAME(CAP_NET_BROADCAST), SAME(CAP_NET_ADMIN),
	SAME(CAP_NET_RAW), SAME(CAP_IPC_LOCK), SAME(CAP_IPC_OWNER), SAME(CAP_SYS_MODULE), SAME(CAP_SYS_RAWIO), SAME(CAP_SYS_CHROOT),
	SAME(CAP_SYS_PTRACE), SAME(CAP_SYS_PACCT), SAME(CAP_SYS_ADMIN), SAME(CAP_SYS_BOOT), SAME(CAP_SYS_NICE), SAME(CAP_SYS_RESOURCE),
	SAME(CAP_SYS_TIME), SAME(CAP_SYS_TTY_CONFIG), SAME(CAP_MKNOD), SAME(CAP_LEASE), SAME(CAP_AUDIT_WRITE), SAME(CAP_AUDIT_CONTROL),
	SAME(CAP_SETFCAP), SAME(CAP_MAC_OVERRIDE), SAME(CAP_MAC_ADMIN), SAME(CAP_SYSLOG), SAME(CAP_WAKE_ALARM), SAME(CAP_BLOCK_SUSPEND),
	SAME(CAP_AUDIT_READ), SAME(CAP_PERFMON), SAME(CAP_BPF), SAME(CAP_CHECKPOINT_RESTORE))

int oci_cap_parse(const char *name)
{
	const struct name *n = names_find(&cap_names, name);

	return n ? (int)n->value : -EINVAL;
}

const char *oci_cap_name(unsigned cap) /* the table is in the order of the numbers */
{
	return cap < cap_names.n ? cap_v[cap].name : NULL;
}

NAMES(rlimit, "a resource limit",
	SAME(RLIMIT_AS), SAME(RLIMIT_CORE), SAME(RLIMIT_CPU), SAME(RLIMIT_DATA), SAME(RLIMIT_FSIZE), SAME(RLIMIT_LOCKS), SAME(RLIMIT_MEMLOCK),
	SAME(RLIMIT_MSGQUEUE), SAME(RLIMIT_NICE), SAME(RLIMIT_NOFILE), SAME(RLIMIT_NPROC), SAME(RLIMIT_RSS), SAME(RLIMIT_RTPRIO),
	SAME(RLIMIT_RTTIME), SAME(RLIMIT_SIGPENDING), SAME(RLIMIT_STACK))

int oci_rlimit_parse(const char *name)
{
	const struct name *n = names_find(&rlimit_names, name);

	return n ? (int)n->value : -EINVAL;
}

#define SCHED_ISO 4 /* reserved in include/uapi/linux/sched.h, never made */

NAMES(policy, "a scheduling policy",
	SAME(SCHED_OTHER), SAME(SCHED_FIFO), SAME(SCHED_RR), SAME(SCHED_BATCH), SAME(SCHED_ISO), SAME(SCHED_IDLE), SAME(SCHED_DEADLINE))

NAMES(sched_flag, "a scheduling flag",
	{ "SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK }, { "SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM },
	{ "SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN }, { "SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY },
	{ "SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS }, { "SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN },
	{ "SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX })

NAMES(ioprio, "an I/O class", SAME(IOPRIO_CLASS_RT), SAME(IOPRIO_CLASS_BE), SAME(IOPRIO_CLASS_IDLE))

#ifndef MPOL_WEIGHTED_INTERLEAVE
enum { MPOL_WEIGHTED_INTERLEAVE = 6 }; /* Linux 6.9 */
#endif

NAMES(mempolicy, "a memory policy",
	SAME(MPOL_DEFAULT), SAME(MPOL_BIND), SAME(MPOL_INTERLEAVE), SAME(MPOL_WEIGHTED_INTERLEAVE), SAME(MPOL_PREFERRED), SAME(MPOL_PREFERRED_MANY),
	SAME(MPOL_LOCAL))

NAMES(mempolicy_flag, "a flag of a memory policy", SAME(MPOL_F_NUMA_BALANCING), SAME(MPOL_F_RELATIVE_NODES), SAME(MPOL_F_STATIC_NODES))

NAMES(seccomp_action, "a seccomp action",
	{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW }, { "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0) }, { "SCMP_ACT_KILL", SCMP_ACT_KILL },
	{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS }, { "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD }, { "SCMP_ACT_LOG", SCMP_ACT_LOG },
	{ "SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY }, { "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0) }, { "SCMP_ACT_TRAP", SCMP_ACT_TRAP })

NAMES(seccomp_op, "a seccomp operator",
	SAME(SCMP_CMP_EQ), SAME(SCMP_CMP_GE), SAME(SCMP_CMP_GT), SAME(SCMP_CMP_LE), SAME(SCMP_CMP_LT), SAME(SCMP_CMP_MASKED_EQ), SAME(SCMP_CMP_NE))

/* LOONGARCH64, M68K, SH and SHEB came with libseccomp 2.6. */
NAMES(seccomp_arch, "an architecture",
	SAME(SCMP_ARCH_AARCH64), SAME(SCMP_ARCH_ARM),
#ifdef SCMP_ARCH_LOONGARCH64
	SAME(SCMP_ARCH_LOONGARCH64),
#endif
#ifdef SCMP_ARCH_M68K
	SAME(SCMP_ARCH_M68K),
#endif
	SAME(SCMP_ARCH_MIPS), SAME(SCMP_ARCH_MIPS64), SAME(SCMP_ARCH_MIPS64N32), SAME(SCMP_ARCH_MIPSEL), SAME(SCMP_ARCH_MIPSEL64),
	SAME(SCMP_ARCH_MIPSEL64N32), SAME(SCMP_ARCH_PARISC), SAME(SCMP_ARCH_PARISC64), SAME(SCMP_ARCH_PPC), SAME(SCMP_ARCH_PPC64),
	SAME(SCMP_ARCH_PPC64LE), SAME(SCMP_ARCH_RISCV64), SAME(SCMP_ARCH_S390), SAME(SCMP_ARCH_S390X),
#ifdef SCMP_ARCH_SH
	SAME(SCMP_ARCH_SH), SAME(SCMP_ARCH_SHEB),
#endif
	SAME(SCMP_ARCH_X32), SAME(SCMP_ARCH_X86), SAME(SCMP_ARCH_X86_64))

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif

NAMES(seccomp_flag, "a seccomp flag",
	SAME(SECCOMP_FILTER_FLAG_TSYNC), SAME(SECCOMP_FILTER_FLAG_SPEC_ALLOW), SAME(SECCOMP_FILTER_FLAG_LOG),
	SAME(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV))

NAMES(personality, "an execution domain", { "LINUX", PER_LINUX }, { "LINUX32", PER_LINUX32 })

NAMES(propagation, "a mount propagation",
	{ "shared", MS_SHARED }, { "rshared", MS_SHARED | MS_REC }, { "slave", MS_SLAVE }, { "rslave", MS_SLAVE | MS_REC },
	{ "private", MS_PRIVATE }, { "rprivate", MS_PRIVATE | MS_REC }, { "unbindable", MS_UNBINDABLE }, { "runbindable", MS_UNBINDABLE | MS_REC })

NAMES(hook, "a hook",
	{ "prestart", OCI_HOOK_PRESTART }, { "createRuntime", OCI_HOOK_CREATE_RUNTIME }, { "createContainer", OCI_HOOK_CREATE_CONTAINER },
	{ "startContainer", OCI_HOOK_START_CONTAINER }, { "poststart", OCI_HOOK_POSTSTART }, { "poststop", OCI_HOOK_POSTSTOP })

const char *oci_hook_name(enum oci_hook_kind kind)
{
	return hook_v[kind].name;
}

/* time_namespaces(7): only these two can be moved. */
NAMES(clock, "a clock with an offset", { "monotonic", CLOCK_MONOTONIC }, { "boottime", CLOCK_BOOTTIME })
