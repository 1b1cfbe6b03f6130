/* mount.h: what a container sees as its files.
 *
 * mnt_plan_make() works out beforehand, in the parent, what is to be done; mnt_*() do it in the child, in its mount namespace, and allocate
 * nothing but for an error's text. Every mount is made detached (fsopen(2), open_tree(2)), given its attributes, and moved onto a descriptor that
 * runtime/path has opened: no path of the container is used twice, and none of the image's links leads out of it.
 * Order: mnt_root, mnt_all, mnt_devices, (hooks), mnt_mask, mnt_seal, mnt_pivot. */
#ifndef RAST_RUNTIME_MOUNT_H
#define RAST_RUNTIME_MOUNT_H

#include <unistd.h>
#include "base/mem.h"
#include "runtime/runtime.h"

enum mnt_kind { MNT_FS, MNT_BIND, MNT_CGROUP, MNT_CHANGE /* remount, or a change of propagation */ };

struct mnt_op {
	const struct oci_mount *m;
	enum mnt_kind kind;
	const char *source; /* of a bind: absolute; owned */
	int tree;           /* made in the parent, as the child may not reach the source or may not map its ids; -1; owned */
};

struct mnt_plan {
	const struct oci_spec *spec;
	char *root;              /* absolute; NULL: the namespace's own root stays */
	struct mnt_op *ops;
	size_t n_ops;
	const char *cgroup_path; /* borrowed, may be NULL */
	bool own_cgroup_ns;
	bool make_dev;           /* /dev isn't the host's: the default devices and links belong there */
	bool bind_devices;       /* nodes can't be made in a user namespace */
	bool no_pivot;
	bool console;            /* a terminal is going to be bound on /dev/console */
	bool label;              /* mountLabel means something on this machine */
};

/* userns: the container gets a new user namespace, or is in one that isn't the caller's. own_cgroup_ns: new or joined. */
int mnt_plan_make(const struct rt_request *rq, bool userns, struct mnt_plan *ret, struct err *e);
void mnt_plan_free(struct mnt_plan *p);

/* A descriptor of the child that isn't needed any more. The first hundred stay until all are closed at once before the program runs (fds_arrange()):
 * a system call less for each. */
static inline void scratchp(const int *fd)
{
	if (*fd >= 100)
		close(*fd);
}
#define _scratch_ _cleanup_(scratchp)

struct mnt_child { /* fill with MNT_CHILD_INIT */
	const struct mnt_plan *plan;
	int rootfd;  /* O_PATH, the container's root in this namespace */
	int null_fd; /* O_PATH, the host's /dev/null, verified; -1: not opened yet */
	int empty;   /* detached empty read-only tmpfs, to mask folders with */
	int late[32]; /* mounts that become read-only at the end, since targets are made in them */
	size_t n_late;
};
#define MNT_CHILD_INIT(p) { .plan = (p), .rootfd = -1, .null_fd = -1, .empty = -1 }

int mnt_root(struct mnt_child *c, struct err *e);
int mnt_all(struct mnt_child *c, struct err *e);
int mnt_one(struct mnt_child *c, const struct mnt_op *op, struct err *e);
int mnt_devices(struct mnt_child *c, struct err *e);
int mnt_console(struct mnt_child *c, int slave, struct err *e); /* the terminal's slave at /dev/console */
int mnt_notify_socket(struct mnt_child *c, const char *host_path, struct err *e); /* bind the socket at /run/notify/notify */
int mnt_mask(struct mnt_child *c, struct err *e);     /* masked and read-only paths */
int mnt_seal(struct mnt_child *c, struct err *e);     /* late read-only mounts, the read-only root */
int mnt_pivot(struct mnt_child *c, struct err *e);    /* the working folder is the new '/' then */

/* parts of the above */
int mnt_target(struct mnt_child *c, const char *path, bool dir, bool nofollow, struct err *e); /* verified place for a mount: O_PATH */
int mnt_check_target(struct mnt_child *c, const char *path, int target, bool plain, bool is_proc, struct err *e);
int mnt_attach(int tree, int target); /* move_mount by descriptors */
int mnt_clone(int dirfd, const char *path, unsigned flags); /* open_tree(OPEN_TREE_CLONE) */
int mnt_set(int tree, uint64_t set, uint64_t clr, uint64_t propagation, int userns, bool recursive);
int mnt_copy_up(int from, int to, struct err *e); /* contents, modes, owners, times, xattrs; both folders */
int mnt_verified_device(const char *host_path, mode_t type, uint32_t major, uint32_t minor); /* O_PATH of the host's node; -ENODEV: it is another one */
char *mnt_bundle_path(const char *bundle, const char *path); /* heap; path as it is when absolute */

#endif
