/* landlock.c: the annotations io.rastos.landlock.* (landlock(7), Documentation/userspace-api/landlock.rst). */
#include "runtime/security/security.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/mem.h"
#include "runtime/security/priv.h"

/* Of linux/landlock.h, which on the machine that builds may be older than the kernel that runs. */
struct ruleset {
	uint64_t fs, net, scoped;
};

struct path_rule {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

struct port_rule {
	uint64_t allowed, port;
};

enum { RULE_PATH = 1, RULE_PORT = 2 };

enum {
	FS_EXECUTE = 1 << 0, FS_WRITE_FILE = 1 << 1, FS_READ_FILE = 1 << 2, FS_READ_DIR = 1 << 3, FS_REFER = 1 << 13, FS_TRUNCATE = 1 << 14,
	FS_IOCTL_DEV = 1 << 15,
	FS_FILE = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV, /* what a file can have */
	NET_BIND = 1, NET_CONNECT = 2,
};

/* What the kernel's version of the interface knows. */
static uint64_t fs_all(int abi)
{
	uint64_t all = (1 << 13) - 1;

	return all | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) | (abi >= 5 ? FS_IOCTL_DEV : 0);
}

int landlock_abi(void)
{
	long r = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);

	return r < 0 ? 0 : (int)r;
}

static bool has_paths(const struct oci_landlock *l)
{
	return l->read.n > 0 || l->execute.n > 0 || l->write.n > 0;
}

int landlock_check(const struct oci_landlock *l, struct err *e)
{
	int abi = landlock_abi();

	if (abi == 0)
		return err_set(e, -EOPNOTSUPP, "annotations: io.rastos.landlock.*: this kernel has no Landlock; add landlock to its lsm= parameter, or leave them out");
	if ((l->has_bind || l->has_connect) && abi < 4)
		return err_set(e, -EOPNOTSUPP, "annotations: io.rastos.landlock.tcp-*: Landlock knows TCP since Linux 6.7; leave them out here");
	if (l->scope && abi < 6)
		return err_set(e, -EOPNOTSUPP, "annotations: io.rastos.landlock.scope: Landlock has scopes since Linux 6.12; leave it out here");
	return 0;
}

static int add_path(int ruleset, int rootfd, const char *path, uint64_t allowed)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	_cleanup_close_ int fd = (int)syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
	struct path_rule rule = { .allowed = allowed, .fd = fd };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rule.allowed &= FS_FILE;
	return syscall(SYS_landlock_add_rule, ruleset, RULE_PATH, &rule, 0) < 0 ? -errno : 0;
}

static int add_paths(int ruleset, int rootfd, const struct oci_strv *paths, uint64_t allowed, const char **what)
{
	for (size_t i = 0; i < paths->n; i++) {
		int r = add_path(ruleset, rootfd, paths->v[i], allowed);
		if (r < 0)
			return sec_error(what, r, paths->v[i]);
	}
	return 0;
}

static int add_ports(int ruleset, const uint16_t *ports, size_t n, uint64_t allowed, const char **what)
{
	for (size_t i = 0; i < n; i++) {
		struct port_rule rule = { .allowed = allowed, .port = ports[i] };
		if (syscall(SYS_landlock_add_rule, ruleset, RULE_PORT, &rule, 0) < 0)
			return sec_fail(what, "add a Landlock rule for a port");
	}
	return 0;
}

int sec_landlock(const struct oci_landlock *l, int rootfd, const char **what)
{
	int abi = landlock_abi(), r = 0;
	struct ruleset attr = { .scoped = l->scope };

	if (has_paths(l))
		attr.fs = fs_all(abi);
	attr.net = (l->has_bind ? NET_BIND : 0) | (l->has_connect ? NET_CONNECT : 0);
	if (!attr.fs && !attr.net && !attr.scoped)
		return 0;
	/* The kernel takes a longer structure than it knows when the rest is zero (copy_struct_from_user). */
	_cleanup_close_ int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return sec_fail(what, "make a Landlock ruleset");
	if (attr.fs) {
		r = add_paths(ruleset, rootfd, &l->read, FS_READ_FILE | FS_READ_DIR, what);
		if (r >= 0)
			r = add_paths(ruleset, rootfd, &l->execute, FS_EXECUTE | FS_READ_FILE | FS_READ_DIR, what);
		if (r >= 0)
			r = add_paths(ruleset, rootfd, &l->write, attr.fs, what);
	}
	if (r >= 0)
		r = add_ports(ruleset, l->bind_ports, l->n_bind_ports, NET_BIND, what);
	if (r >= 0)
		r = add_ports(ruleset, l->connect_ports, l->n_connect_ports, NET_CONNECT, what);
	if (r >= 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = sec_fail(what, "restrict with Landlock");
	return r;
}
