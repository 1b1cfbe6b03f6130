/* spec.h: a container's configuration (OCI runtime-spec 1.3, config.md and config-linux.md) as C structs.
 *
 * oci_spec_load() reads config.json, oci_process_load() the process.json of `exec`, oci_resources_load() that of `update`.
 * What they return is whole and checked: every value has the right type, every name of a closed list is known, paths
 * are what they have to be, nothing is there twice. So the code behind it asks no such question again. An error names the file,
 * the JSON path and the mend: "config.json: linux.namespaces[3].type: 'netork' is no namespace; did you mean 'network'?".
 * Unknown keys are ignored, as the spec demands. A known key that can't be done is an error.
 *
 * Ownership: all memory of a spec is one arena, freed at once; the structs and strings live as long as it does and are read only.
 * Optional objects are NULL when they are missing; optional numbers have a has_ flag beside them. Arrays are pointer and n_.
 * Nothing here makes a system call but those that read the file. */
#ifndef RAST_RUNTIME_SPEC_H
#define RAST_RUNTIME_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"

#define OCI_VERSION_MIN "1.0.0"
#define OCI_VERSION_MAX "1.3.0"

struct oci_arena;

struct oci_strv {
	const char **v; /* v[n] is NULL, so that it is an argv; never NULL itself */
	size_t n;
};

struct oci_kv {
	const char *key, *value;
};

struct oci_map {
	struct oci_kv *v; /* in the order of the file */
	size_t n;
};

/* A list such as "0-3,7" as bits, for sched_setaffinity(2) and set_mempolicy(2). */
struct oci_bits {
	unsigned long *bits; /* NULL: not given */
	size_t n_bytes;      /* a multiple of sizeof(long) */
	size_t n_bits;       /* the highest one + 1 */
	const char *text;
};

struct oci_idmap {
	uint32_t container, host, size;
};

struct oci_idmaps {
	struct oci_idmap *v;
	size_t n;
};

/* process */

struct oci_caps { /* bit N is capability number N of linux/capability.h */
	uint64_t bounding, effective, inheritable, permitted, ambient;
};

struct oci_rlimit {
	int resource; /* RLIMIT_* */
	const char *name;
	uint64_t soft, hard; /* RLIM64_INFINITY is UINT64_MAX */
};

struct oci_scheduler { /* what sched_setattr(2) takes */
	uint32_t policy;
	uint64_t flags; /* SCHED_FLAG_* */
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

struct oci_user {
	uint32_t uid, gid;
	bool has_umask;
	mode_t umask;
	gid_t *gids; /* additionalGids */
	size_t n_gids;
};

struct oci_process {
	bool terminal;
	bool has_console_size;
	uint16_t console_height, console_width;
	struct oci_user user;
	struct oci_strv args, env;
	const char *cwd;
	bool has_caps; /* without: all five sets are empty, as runc has it */
	struct oci_caps caps;
	struct oci_rlimit *rlimits;
	size_t n_rlimits;
	bool no_new_privileges;
	const char *apparmor_profile, *selinux_label; /* NULL: none */
	bool has_oom_score_adj;
	int oom_score_adj;
	struct oci_scheduler *scheduler;
	bool has_io_priority;
	int io_priority; /* class and level as ioprio_set(2) takes them */
	struct oci_bits exec_affinity_initial, exec_affinity_final;
	struct oci_arena *arena; /* of a process that was loaded alone, else NULL */
};

/* mounts */

enum oci_mount_flag {
	OCI_MOUNT_BIND = 1,
	OCI_MOUNT_REC = 2,           /* rbind */
	OCI_MOUNT_REMOUNT = 4,
	OCI_MOUNT_TMPCOPYUP = 8,
	OCI_MOUNT_IDMAP = 16,        /* an id mapping is to be applied, to this mount alone */
	OCI_MOUNT_RIDMAP = 32,       /* and recursively */
	OCI_MOUNT_SRC_NOFOLLOW = 64, /* crun: the source itself, if it is a symbolic link */
	OCI_MOUNT_DEST_NOFOLLOW = 128,
	OCI_MOUNT_COPY_SYMLINK = 256, /* crun: a source that is a symbolic link is copied as one */
};

struct oci_mount {
	const char *destination; /* always begins with '/' */
	const char *type;        /* "" when not given */
	const char *source;      /* "" when not given; may be relative to the bundle for a bind */
	struct oci_strv options; /* as written */
	unsigned flags;          /* OCI_MOUNT_* */
	/* mount_setattr(2): MOUNT_ATTR_*. attr_clr holds MOUNT_ATTR__ATIME whenever an atime mode is set, so that both can be passed as they are. */
	uint64_t attr_set, attr_clr;
	uint64_t rattr_set, rattr_clr; /* of the recursive ones (rro, rnosuid, ...): AT_RECURSIVE */
	unsigned long propagation;     /* MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, with MS_REC for the r... ones; 0: not given */
	unsigned long sb_flags;        /* MS_SYNCHRONOUS, MS_DIRSYNC, MS_MANDLOCK, MS_LAZYTIME, MS_I_VERSION, MS_SILENT, MS_RDONLY: of the file system */
	struct oci_strv sb_options;    /* the same for fsconfig(2) FSCONFIG_SET_FLAG: "sync", "dirsync", "mand", "lazytime", "iversion", "ro" */
	struct oci_strv fs_options;    /* for the file system: "size=64k", "gid=5": FSCONFIG_SET_STRING, without '=': FSCONFIG_SET_FLAG */
	struct oci_idmaps uid_maps, gid_maps;
};

/* hooks */

enum oci_hook_kind {
	OCI_HOOK_PRESTART, OCI_HOOK_CREATE_RUNTIME, OCI_HOOK_CREATE_CONTAINER, OCI_HOOK_START_CONTAINER, OCI_HOOK_POSTSTART, OCI_HOOK_POSTSTOP,
	OCI_HOOK_N
};

struct oci_hook {
	const char *path;     /* absolute */
	struct oci_strv args; /* n 0: only the path, as argv[0] */
	struct oci_strv env; 
	uint32_t timeout;     /* seconds, 0: none */
};

struct oci_hooks {
	struct oci_hook *v;
	size_t n;
};

/* linux */

enum oci_ns_kind { OCI_NS_USER, OCI_NS_PID, OCI_NS_MOUNT, OCI_NS_NETWORK, OCI_NS_IPC, OCI_NS_UTS, OCI_NS_CGROUP, OCI_NS_TIME, OCI_NS_N };

struct oci_ns {
	bool listed;      /* false: the container shares the runtime's */
	const char *path; /* NULL: a new one; else absolute, to be joined */
};

struct oci_device {
	const char *path;  /* absolute, in the container */
	mode_t type;       /* S_IFCHR, S_IFBLK or S_IFIFO */
	uint32_t major, minor;
	bool has_mode;
	mode_t mode;       /* permission bits; 0666 when not given */
	uint32_t uid, gid; /* 0 when not given */
};

struct oci_netdev {
	const char *host, *name; /* name is host when not given; may end in %d */
};

struct oci_time_offset {
	int clock; /* CLOCK_MONOTONIC or CLOCK_BOOTTIME */
	const char *clock_name;
	int64_t secs;
	uint32_t nanosecs;
};

struct oci_device_rule {
	bool allow;
	char type;             /* 'a', 'b' or 'c' */
	int64_t major, minor;  /* -1: all */
	unsigned access;       /* bits of OCI_ACCESS_* */
};
#define OCI_ACCESS_MKNOD 1 /* the same numbers as BPF_DEVCG_ACC_* of linux/bpf.h */
#define OCI_ACCESS_READ 2
#define OCI_ACCESS_WRITE 4

struct oci_i64 {
	bool set;
	int64_t v;
};

struct oci_u64 {
	bool set;
	uint64_t v;
};

struct oci_io_device {
	uint32_t major, minor;
	uint64_t value; /* weight or rate */
};

struct oci_io_devices {
	struct oci_io_device *v;
	size_t n;
};

struct oci_hugepage {
	const char *page_size; /* "2MB" */
	uint64_t limit;
};

struct oci_rdma {
	const char *device;
	struct oci_u64 handles, objects;
};

struct oci_resources { /* linux.resources, and the file of `update`: what is not set stays as it is */
	struct oci_device_rule *devices;
	size_t n_devices;
	struct oci_i64 memory_limit, memory_reservation, memory_swap; /* bytes, -1: unlimited; swap is memory + swap, as in v1 */
	bool memory_check_before_update;
	struct oci_u64 cpu_shares, cpu_burst, cpu_period;
	struct oci_i64 cpu_quota, cpu_idle; /* quota: microseconds, -1: none */
	const char *cpuset_cpus, *cpuset_mems; /* NULL: not given */
	struct oci_i64 pids_limit;          /* 0 and -1: none */
	struct oci_u64 io_weight;           /* blkio's 10 to 1000 */
	struct oci_io_devices io_weight_device, io_rbps, io_wbps, io_riops, io_wiops;
	struct oci_hugepage *hugepages;
	size_t n_hugepages;
	struct oci_rdma *rdma;
	size_t n_rdma;
	struct oci_map unified;
	struct oci_arena *arena; /* of resources that were loaded alone, else NULL */
};

struct oci_seccomp_arg {
	unsigned index;
	uint64_t value, value_two;
	int op; /* enum scmp_compare of seccomp.h */
};

struct oci_seccomp_rule {
	struct oci_strv names;
	uint32_t action; /* SCMP_ACT_* with its errno */
	struct oci_seccomp_arg *args;
	size_t n_args;
};

struct oci_seccomp {
	uint32_t default_action; /* SCMP_ACT_* of seccomp.h, with the errno in it for ERRNO and TRACE */
	uint32_t *archs;         /* SCMP_ARCH_*; none: the native one */
	size_t n_archs;
	uint32_t flags;          /* SECCOMP_FILTER_FLAG_* of linux/seccomp.h */
	const char *listener_path, *listener_metadata; /* NULL: none */
	bool notifies;           /* some action is SCMP_ACT_NOTIFY */
	struct oci_seccomp_rule *rules;
	size_t n_rules;
	const void *canonical;   /* all of the above as bytes: what a compiled filter's name in the cache is made from */
	size_t canonical_len;
};

struct oci_intel_rdt {
	const char *clos_id; /* NULL: the container's id; "/": the default group */
	const char *l3_cache_schema, *mem_bw_schema;
	struct oci_strv schemata;
	bool monitoring;
};

struct oci_memory_policy {
	int mode; /* MPOL_* with its flags MPOL_F_*, as set_mempolicy(2) takes them */
	struct oci_bits nodes;
};

/* Our own, from annotations io.rastos.landlock.*: what the process may do, within what it may do anyway. NULL: no Landlock. */
struct oci_landlock {
	struct oci_strv read, execute, write; /* absolute paths in the container: reading; reading and running; all */
	uint16_t *bind_ports, *connect_ports; /* TCP */
	size_t n_bind_ports, n_connect_ports;
	bool has_bind, has_connect;           /* given, even if empty: no port at all */
	unsigned scope;                       /* LANDLOCK_SCOPE_*: 1 abstract UNIX sockets, 2 signals */
};

struct oci_spec {
	const char *oci_version;
	struct oci_process *process; /* NULL: not given; `start` needs it */
	const char *root_path;       /* absolute or relative to the bundle */
	bool root_readonly;
	const char *hostname, *domainname; /* NULL: not given */
	struct oci_mount *mounts;
	size_t n_mounts;
	struct oci_hooks hooks[OCI_HOOK_N];
	struct oci_map annotations;

	struct oci_ns ns[OCI_NS_N];
	struct oci_idmaps uid_maps, gid_maps;
	struct oci_time_offset *time_offsets;
	size_t n_time_offsets;
	struct oci_device *devices;
	size_t n_devices;
	struct oci_netdev *net_devices;
	size_t n_net_devices;
	const char *cgroups_path; /* NULL: not given */
	struct oci_resources *resources; /* NULL: not given */
	unsigned long rootfs_propagation; /* MS_SHARED | MS_REC ...; 0: not given */
	struct oci_seccomp *seccomp;
	struct oci_map sysctl;       /* keys are paths below /proc/sys: "net/ipv4/ip_forward"; all belong to a namespace that the container has */
	struct oci_strv masked_paths, readonly_paths; /* absolute */
	const char *mount_label;
	struct oci_intel_rdt *intel_rdt;
	struct oci_memory_policy *memory_policy;
	bool has_personality;
	unsigned long personality;   /* PER_* of sys/personality.h */
	struct oci_landlock *landlock;
	struct oci_arena *arena;
};

/* file is the name that errors begin with; dirfd/path is opened and read. -EBADMSG: not JSON; -EINVAL: JSON, but no good configuration.
 * `systemd_cgroup` says how cgroupsPath is to be read (runc's --systemd-cgroup). */
struct oci_load {
	const char *file;    /* for messages: "config.json" */
	bool systemd_cgroup; /* linux.cgroupsPath is "slice:prefix:name" */
};

int oci_spec_load(int dirfd, const char *path, const struct oci_load *how, struct oci_spec **ret, struct err *e);
int oci_process_load(int dirfd, const char *path, const struct oci_load *how, struct oci_process **ret, struct err *e);
int oci_resources_load(int dirfd, const char *path, const struct oci_load *how, struct oci_resources **ret, struct err *e);
/* The same from memory (stdin, fuzzers). text needs no NUL. */
int oci_spec_parse(const char *text, size_t n, const struct oci_load *how, struct oci_spec **ret, struct err *e);
int oci_process_parse(const char *text, size_t n, const struct oci_load *how, struct oci_process **ret, struct err *e);
int oci_resources_parse(const char *text, size_t n, const struct oci_load *how, struct oci_resources **ret, struct err *e);
void oci_spec_free(struct oci_spec *spec);
void oci_process_free(struct oci_process *process);     /* only of one that was loaded alone */
void oci_resources_free(struct oci_resources *resources);
void oci_spec_freep(struct oci_spec **spec);
void oci_process_freep(struct oci_process **process);
void oci_resources_freep(struct oci_resources **resources);
#define _cleanup_oci_spec_ _cleanup_(oci_spec_freep)

const char *oci_annotation(const struct oci_spec *spec, const char *key); /* NULL: not there */
/* Memory that lives as long as the spec (for what is worked out from it). NULL: none left. */
void *oci_alloc(struct oci_arena *arena, size_t n);
char *oci_strdup(struct oci_arena *arena, const char *s);

/* [a-zA-Z0-9_+-][a-zA-Z0-9_+.-]*, at most 1024 bytes */
bool oci_id_valid(const char *id);
const char *oci_ns_name(enum oci_ns_kind kind);    /* "network" */
const char *oci_ns_proc_name(enum oci_ns_kind kind); /* "net", of /proc/PID/ns */
int oci_ns_clone_flag(enum oci_ns_kind kind);      /* CLONE_NEWNET */
int oci_ns_parse(const char *name);                /* enum oci_ns_kind, or -EINVAL */
const char *oci_hook_name(enum oci_hook_kind kind); /* "createRuntime" */
int oci_cap_parse(const char *name);               /* "CAP_CHOWN" is 0; -EINVAL */
const char *oci_cap_name(unsigned cap);            /* NULL above the last known one */
int oci_rlimit_parse(const char *name);            /* "RLIMIT_NOFILE" to RLIMIT_NOFILE; -EINVAL */
/* Options in the form of config.json's mounts[].options, for `mounts add` and for services; m->options is what they come from. path is for the message. */
int oci_mount_parse_options(struct oci_arena *arena, struct oci_mount *m, const char *path, struct err *e);
/* "0-3,7"; path is for the message */
int oci_bits_parse(struct oci_arena *arena, const char *text, struct oci_bits *ret);

/* The default config.json of `spec` (runc's), and the JSON of `features`; heap memory. */
int oci_spec_default(bool rootless, char **ret);
int oci_features(char **ret);

#endif
