/* seccomp.h: a container's system call filter.
 *
 * filter_get() turns linux.seccomp into a BPF program with libseccomp, or takes it from the cache on disk, where it lies under the hash of its
 * content, libseccomp's version and the kernel's. filter_install() loads it with one seccomp(2) and may be called in the child after clone.
 * A filter with SCMP_ACT_NOTIFY has a listener, which filter_notify() sends to the agent (config-linux.md, "The Container Process State"). */
#ifndef RAST_RUNTIME_SECCOMP_H
#define RAST_RUNTIME_SECCOMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/filter.h>
#include "base/err.h"
#include "runtime/spec/spec.h"

struct filter {
	struct sock_fprog prog; /* len 0: none */
	uint32_t flags;         /* SECCOMP_FILTER_FLAG_*, NEW_LISTENER among them when it notifies */
	void *map;              /* the cache's file, or NULL: prog.filter is heap memory */
	size_t map_len;
	bool cached;            /* came from the cache */
};

/* cache_dir: made when it is missing (0700, ours) and not trusted when it or a file in it belongs to somebody else; NULL: no cache.
 * A cache that can't be used or written is no error. */
int filter_get(const struct oci_seccomp *s, const char *cache_dir, struct filter *ret, struct err *e);
void filter_free(struct filter *f);
#define _cleanup_filter_ _cleanup_(filter_free)
/* Load it for this thread: no_new_privs or CAP_SYS_ADMIN is needed. Returns the listener (owned) or 0, or a negative errno. Allocates nothing. */
int filter_install(const struct filter *f);
/* A descriptor of another process (pidfd_getfd(2)): the listener of the container's, which can't send it itself under its filter. */
int filter_steal(int pidfd, int their_fd);
/* Send the state and the listener to the agent's socket. state_json is the container's state as `state` prints it. */
int filter_notify(const struct oci_seccomp *s, const char *oci_version, pid_t pid, const char *state_json, int listener, struct err *e);

#endif
