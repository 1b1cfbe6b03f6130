/* mounts.c: mounts that a container gets or loses while it runs (crun's `mounts`). A process of ours joins the container; sources of binds are opened
 * before that, where they mean the host's. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/container/container.h"
#include "runtime/mount/mount.h"
#include "runtime/path/path.h"
#include "runtime/process/process.h"

/* --- the file: an array of mounts as in config.json, or an object with one --- */

static char *as_config(const char *text, size_t n)
{
	json_t *o = json_loadb(text, n, 0, NULL);
	json_t *list = json_is_object(o) ? json_object_get(o, "mounts") : o;
	json_t *config = json_is_array(list) ? json_pack("{s:s, s:{s:s}, s:{s:[{s:s}]}, s:O}", "ociVersion", "1.0.0", "root", "path", "/",
							 "linux", "namespaces", "type", "mount", "mounts", list) : NULL;
	char *out = config ? json_dumps(config, JSON_COMPACT) : NULL;

	json_decref(config);
	json_decref(o);
	return out;
}

static int parse(const char *text, size_t n, struct oci_spec **ret, struct err *e)
{
	struct oci_load how = { .file = "mounts" };
	_cleanup_free_ char *config = as_config(text, n);
	int r;

	if (!config)
		return err_set(e, -EINVAL, "mounts: the file has to be JSON: an array of mounts as in config.json, or {\"mounts\": [...]}");
	r = oci_spec_parse(config, strlen(config), &how, ret, e);
	return r == 0 && !(*ret)->n_mounts ? err_set(e, -EINVAL, "mounts: the list is empty") : r;
}

/* Sources are the host's: they have to be open before the container is entered. */
static int open_sources(struct mnt_plan *p, struct err *e)
{
	for (size_t i = 0; i < p->n_ops; i++) {
		struct mnt_op *op = &p->ops[i];
		if (op->kind != MNT_BIND || op->tree >= 0)
			continue;
		op->tree = mnt_clone(AT_FDCWD, op->source, (op->m->flags & OCI_MOUNT_REC ? AT_RECURSIVE : 0) | (op->m->flags & OCI_MOUNT_SRC_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0));
		if (op->tree < 0)
			return err_sys(e, op->tree, "mount '%s': the source %s", op->m->destination, op->source);
	}
	return 0;
}

/* --- in the container --- */

static int unmount(int root, const char *path, struct err *e)
{
	size_t n = strlen(path);
	_cleanup_free_ char *dir = strdup(path);
	char *slash;

	if (!dir)
		return err_sys(e, -ENOMEM, "unmount '%s'", path);
	while (n > 1 && dir[n - 1] == '/')
		dir[--n] = 0;
	slash = strrchr(dir, '/');
	if (!slash || !slash[1] || streq(slash + 1, ".") || streq(slash + 1, ".."))
		return err_set(e, -EINVAL, "unmount '%s': not of this path", path);
	*slash = 0;
	_cleanup_close_ int parent = path_open(root, *dir ? dir : "/", O_PATH | O_DIRECTORY);
	/* The last component by name, in a folder that stays what it is, and no link followed. */
	if (parent < 0 || fchdir(parent) < 0)
		return err_sys(e, parent < 0 ? parent : -errno, "unmount '%s'", path);
	return umount2(slash + 1, UMOUNT_NOFOLLOW | MNT_DETACH) < 0 ? err_sys(e, -errno, "unmount '%s'", path) : 0;
}

static int change(const struct mnt_plan *p, bool remove, struct err *e)
{
	struct mnt_child m = MNT_CHILD_INIT(p);
	int r = 0;

	m.rootfd = sys_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
	if (m.rootfd < 0)
		return err_sys(e, m.rootfd, "the container's root");
	if (!remove)
		r = mnt_all(&m, e);
	for (size_t i = 0; remove && r == 0 && i < p->n_ops; i++)
		r = unmount(m.rootfd, p->ops[i].m->destination, e);
	return r == 0 && !remove ? mnt_seal(&m, e) : r;
}

static int listed(const struct oci_spec *s)
{
	int flags = 0;

	for (int k = 0; k < OCI_NS_N; k++)
		if (s->ns[k].listed && k != OCI_NS_TIME)
			flags |= oci_ns_clone_flag(k);
	return flags;
}

/* A PID namespace is entered by children only, and a new procfs is that of who mounts it: so there is one child more. */
static _Noreturn void enter(const struct container *c, const struct mnt_plan *p, bool remove, int pidfd, int chan)
{
	_cleanup_err_ struct err e = { 0 };
	struct clone_args a = { .exit_signal = SIGCHLD };
	siginfo_t si;
	int r, pid;

	prctl(PR_SET_DUMPABLE, 0);
	r = setns(pidfd, listed(c->spec)) < 0 ? err_sys(&e, -errno, "joining the container") : 0;
	pid = r == 0 ? sys_clone3(&a, sizeof(a)) : 0;
	if (pid > 0) {
		sys_waitid(P_PID, (id_t)pid, &si, WEXITED);
		_exit(0);
	}
	if (r == 0)
		r = pid < 0 ? err_sys(&e, pid, "clone3") : change(p, remove, &e);
	sync_send(chan, r < 0 ? SYNC_ERROR : SYNC_READY, r, r < 0 ? err_text(&e) : NULL);
	_exit(r < 0);
}

static int in_container(const struct container *c, const struct mnt_plan *p, bool remove, struct err *e)
{
	_cleanup_close_ int pidfd = container_pidfd(c, e);
	struct clone_args a = { .exit_signal = SIGCHLD };
	struct sync_msg m;
	siginfo_t si;
	int chan[2], r, pid;

	if (pidfd < 0)
		return pidfd;
	r = sys_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, chan);
	if (r < 0)
		return err_sys(e, r, "socketpair");
	pid = sys_clone3(&a, sizeof(a));
	if (pid == 0) {
		close(chan[0]);
		enter(c, p, remove, pidfd, chan[1]);
	}
	close(chan[1]);
	r = pid < 0 ? err_sys(e, pid, "clone3") : sync_expect(chan[0], SYNC_READY, &m, NULL, e);
	close(chan[0]);
	if (pid > 0)
		sys_waitid(P_PID, (id_t)pid, &si, WEXITED);
	return r;
}

int container_mounts(struct container *c, bool remove, const char *text, size_t n, struct err *e)
{
	_cleanup_oci_spec_ struct oci_spec *extra = NULL;
	struct rt_request rq = RT_REQUEST_INIT;
	struct mnt_plan plan = { 0 };
	int r = parse(text, n, &extra, e);

	if (r == 0)
		r = container_spec(c, e);
	if (r < 0)
		return r;
	rq.spec = extra;
	r = mnt_plan_make(&rq, c->spec->ns[OCI_NS_USER].listed, &plan, e);
	plan.own_cgroup_ns = c->spec->ns[OCI_NS_CGROUP].listed;
	if (r == 0 && !remove)
		r = open_sources(&plan, e);
	if (r == 0)
		r = in_container(c, &plan, remove, e);
	mnt_plan_free(&plan);
	return r;
}
