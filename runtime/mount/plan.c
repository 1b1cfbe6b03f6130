/* plan.c: what is worked out before there is a child. */
#include "runtime/mount/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "base/str.h"
#include "runtime/ns/ns.h"
#include "runtime/security/security.h"

char *mnt_bundle_path(const char *bundle, const char *path)
{
	char *joined;

	if (path[0] == '/' || !bundle)
		return strdup(path);
	return asprintf(&joined, "%s/%s", bundle, path) < 0 ? NULL : joined;
}

/* A tree that the child could not make: ids can only be mapped by who owns the file system, and below a folder of root's
 * with mode 0700 the container's root finds nothing. */
static int make_tree(const struct mnt_plan *p, struct mnt_op *op, struct err *e)
{
	const struct oci_mount *m = op->m;
	bool mapped = m->flags & (OCI_MOUNT_IDMAP | OCI_MOUNT_RIDMAP), recursive = m->flags & OCI_MOUNT_REC;
	const struct oci_idmaps *uids = m->uid_maps.n ? &m->uid_maps : &p->spec->uid_maps;
	const struct oci_idmaps *gids = m->gid_maps.n ? &m->gid_maps : &p->spec->gid_maps;
	int r;

	op->tree = mnt_clone(AT_FDCWD, op->source, (recursive ? AT_RECURSIVE : 0) | (m->flags & OCI_MOUNT_SRC_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0));
	if (op->tree < 0)
		return mapped ? err_sys(e, op->tree, "mount '%s': %s", m->destination, op->source) : 0; /* the child tries, and says why */
	if (!mapped)
		return 0;
	_cleanup_close_ int userns = ns_make_user(uids, gids, e);
	if (userns < 0)
		return err_prefix(e, "mount '%s': the mapping of ids", m->destination);
	r = mnt_set(op->tree, MOUNT_ATTR_IDMAP, 0, 0, userns, m->flags & OCI_MOUNT_RIDMAP);
	return r < 0 ? err_sys(e, r, "mount '%s': the ids of files on %s can't be mapped", m->destination, op->source) : 0;
}

static int plan_one(struct mnt_plan *p, const struct rt_request *rq, bool userns, const struct oci_mount *m, struct mnt_op *op, struct err *e)
{
	*op = (struct mnt_op){ .m = m, .tree = -1, .kind = MNT_FS };
	if (m->flags & OCI_MOUNT_REMOUNT || (m->propagation && !*m->type && !(m->flags & OCI_MOUNT_BIND) && !*m->source))
		op->kind = MNT_CHANGE;
	else if (m->flags & OCI_MOUNT_BIND || streq(m->type, "bind") || streq(m->type, "rbind"))
		op->kind = MNT_BIND;
	else if (streq(m->type, "cgroup") || streq(m->type, "cgroup2"))
		op->kind = MNT_CGROUP;
	if (op->kind != MNT_BIND)
		return m->flags & (OCI_MOUNT_IDMAP | OCI_MOUNT_RIDMAP) ? err_set(e, -EINVAL, "mount '%s': idmap is for bind mounts", m->destination) : 0;
	op->source = mnt_bundle_path(rq->bundle, m->source);
	if (!op->source)
		return err_sys(e, -ENOMEM, "mount '%s'", m->destination);
	if (m->flags & OCI_MOUNT_COPY_SYMLINK)
		return 0;
	if (m->flags & (OCI_MOUNT_IDMAP | OCI_MOUNT_RIDMAP) || (userns && geteuid() == 0))
		return make_tree(p, op, e);
	return 0;
}

/* Is there anything of the host's at /dev? Then it's left alone, as runc does. */
static bool dev_is_ours(const struct oci_spec *spec, bool has_root)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const char *d = spec->mounts[i].destination;
		if (streq(d, "/dev") || streq(d, "/dev/"))
			return !(spec->mounts[i].flags & OCI_MOUNT_BIND) && !streq(spec->mounts[i].type, "bind");
	}
	return has_root;
}

int mnt_plan_make(const struct rt_request *rq, bool userns, struct mnt_plan *ret, struct err *e)
{
	const struct oci_spec *spec = rq->spec;
	const struct oci_process *process = rq->process ? rq->process : spec->process;
	struct stat st;

	*ret = (struct mnt_plan){ .spec = spec, .cgroup_path = rq->cgroup_path, .own_cgroup_ns = spec->ns[OCI_NS_CGROUP].listed,
		.bind_devices = userns, .no_pivot = rq->no_pivot, .console = process && process->terminal };
	if (spec->root_path) {
		ret->root = mnt_bundle_path(rq->bundle, spec->root_path);
		if (!ret->root)
			return err_sys(e, -ENOMEM, "root.path");
		if (stat(ret->root, &st) < 0)
			return err_sys(e, -errno, "root.path: %s", ret->root);
		if (!S_ISDIR(st.st_mode))
			return err_sys(e, -ENOTDIR, "root.path: %s", ret->root);
	}
	ret->make_dev = dev_is_ours(spec, ret->root != NULL);
	ret->label = spec->mount_label && lsm_selinux_enabled();
	ret->ops = calloc(spec->n_mounts + 1, sizeof(*ret->ops));
	if (!ret->ops)
		return err_sys(e, -ENOMEM, "mounts");
	for (size_t i = 0; i < spec->n_mounts; i++) {
		int r = plan_one(ret, rq, userns, &spec->mounts[i], &ret->ops[i], e);
		ret->n_ops = i + 1;
		if (r < 0)
			return r;
	}
	return 0;
}

void mnt_plan_free(struct mnt_plan *p)
{
	for (size_t i = 0; i < p->n_ops; i++) {
		free((char *)p->ops[i].source);
		closep(&p->ops[i].tree);
	}
	free(p->ops);
	free(p->root);
	*p = (struct mnt_plan){ 0 };
}
