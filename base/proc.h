/* proc.h: facts about processes, from /proc and the kernel; and cgroup v2 folders. */
#ifndef RAST_BASE_PROC_H
#define RAST_BASE_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"

int  proc_start_time(pid_t pid, uint64_t *ret_ticks);       /* field 22 of /proc/PID/stat, proc(5) */
int  proc_parent(pid_t pid, pid_t *ret);
int  proc_comm(pid_t pid, char buf[64]);
int  proc_cgroup(pid_t pid, char *buf, size_t size);         /* path in the v2 hierarchy, the "0::" line of /proc/PID/cgroup */
/* True only when this process is PID 1 in the kernel's initial PID, user and cgroup namespaces: the inode numbers of
 * /proc/self/ns are fixed there (include/uapi/linux/nsfs.h, PROC_*_INIT_INO of include/linux/proc_ns.h). Anything doubtful is false. */
bool proc_is_machine_init(void);

/* cgroup v2 folders, relative to a descriptor of the hierarchy's (or the delegated subtree's) root. */
int  cgroup_make(int rootfd, const char *name);              /* mkdir, parents too, then open O_DIRECTORY: descriptor, caller owns */
int  cgroup_kill(int rootfd, const char *name);              /* cgroup.kill (Linux 5.14); falls back to SIGKILL of each member until empty */
int  cgroup_populated(int rootfd, const char *name);         /* 1, 0, or negative errno (cgroup.events) */
int  cgroup_remove(int rootfd, const char *name);            /* rmdir, children first; -EBUSY while populated; -ENOENT is success */
int  cgroup_set(int rootfd, const char *name, const char *key, const char *value); /* e.g. "memory.max", "64M" */
/* Pids in the cgroup and those below it. *ret is heap memory. */
int  cgroup_pids(int rootfd, const char *name, pid_t **ret, size_t *ret_n);

#endif
