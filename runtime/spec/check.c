/* check.c: what holds between the parts of a config.json. */
#include "runtime/spec/read.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include "base/str.h"

static int fail(const struct at *o, const char *key, const char *text)
{
	struct at v = at_member(o, key);

	return at_fail(&v, "%s", text);
}

static bool has_new(const struct oci_spec *s, enum oci_ns_kind kind)
{
	return s->ns[kind].listed && !s->ns[kind].path;
}

/* Parameters that belong to a namespace; what ends in '/' is a folder. */
static const struct {
	const char *path;
	enum oci_ns_kind ns;
} sysctls[] = {
	{ "kernel/msgmax", OCI_NS_IPC }, { "kernel/msgmnb", OCI_NS_IPC }, { "kernel/msgmni", OCI_NS_IPC }, { "kernel/sem", OCI_NS_IPC },
	{ "kernel/shmall", OCI_NS_IPC }, { "kernel/shmmax", OCI_NS_IPC }, { "kernel/shmmni", OCI_NS_IPC },
	{ "kernel/shm_rmid_forced", OCI_NS_IPC }, { "kernel/auto_msgmni", OCI_NS_IPC }, { "kernel/msg_next_id", OCI_NS_IPC },
	{ "kernel/sem_next_id", OCI_NS_IPC }, { "kernel/shm_next_id", OCI_NS_IPC }, { "fs/mqueue/", OCI_NS_IPC },
	{ "net/", OCI_NS_NETWORK }, { "kernel/domainname", OCI_NS_UTS },
	{ "user/", OCI_NS_USER }, { "kernel/ns_last_pid", OCI_NS_PID },
};

/* Key number i as it stands in the document: the map has paths. */
static struct at sysctl_at(const struct at *sysctl, size_t i)
{
	void *iter = json_object_iter(sysctl->j);

	while (i-- > 0)
		iter = json_object_iter_next(sysctl->j, iter);
	return at_member(sysctl, json_object_iter_key(iter));
}

static int check_sysctl(const struct at *sysctl, const struct oci_spec *s, size_t n)
{
	const struct oci_kv *kv = &s->sysctl.v[n];
	struct at v = sysctl_at(sysctl, n);
	size_t i;

	if (streq(kv->key, "kernel/hostname"))
		return at_fail(&v, "is set by `hostname`; use that");
	for (i = 0; i < ARRAY_SIZE(sysctls); i++)
		if (str_ends(sysctls[i].path, "/") ? str_starts(kv->key, sysctls[i].path) : streq(kv->key, sysctls[i].path))
			break;
	if (i == ARRAY_SIZE(sysctls))
		return at_fail(&v, "belongs to the whole machine, not to a namespace; set it on the host");
	if (!s->ns[sysctls[i].ns].listed)
		return at_fail(&v, "would change the host: the container has no %s namespace of its own; list one in linux.namespaces",
			oci_ns_name(sysctls[i].ns));
	return 0;
}

static int check_user_namespace(const struct at *linux_, const struct oci_spec *s)
{
	const struct oci_ns *user = &s->ns[OCI_NS_USER];

	if (!user->listed && (s->uid_maps.n > 0 || s->gid_maps.n > 0))
		return fail(linux_, s->uid_maps.n > 0 ? "uidMappings" : "gidMappings", "needs a user namespace; list one in linux.namespaces");
	if (has_new(s, OCI_NS_USER) && s->uid_maps.n == 0)
		return fail(linux_, "uidMappings", "is missing: a new user namespace needs at least one mapping");
	if (has_new(s, OCI_NS_USER) && s->gid_maps.n == 0)
		return fail(linux_, "gidMappings", "is missing: a new user namespace needs at least one mapping");
	return 0;
}

/* Two devices at one place; the same one twice is harmless and happens. */
static int check_devices(const struct at *linux_, const struct oci_spec *s)
{
	struct at v = at_member(linux_, "devices");

	for (size_t i = 0; i < s->n_devices; i++)
		for (size_t k = 0; k < i; k++) {
			const struct oci_device *a = &s->devices[i], *b = &s->devices[k];
			struct at item = at_element(&v, i);
			if (streq(a->path, b->path) && (a->type != b->type || a->major != b->major || a->minor != b->minor))
				return at_fail(&item, "%s is there twice, as two devices; leave one out", a->path);
		}
	return 0;
}

static int check_linux(const struct at *o, const struct oci_spec *s)
{
	struct at linux_ = at_member(o, "linux"), sysctl = at_member(&linux_, "sysctl");
	int r = check_user_namespace(&linux_, s);

	for (size_t i = 0; r >= 0 && i < s->sysctl.n; i++)
		r = check_sysctl(&sysctl, s, i);
	if (r >= 0)
		r = check_devices(&linux_, s);
	if (r >= 0 && s->n_time_offsets > 0 && !has_new(s, OCI_NS_TIME))
		r = fail(&linux_, "timeOffsets", "needs a new time namespace; list one in linux.namespaces, without path");
	if (r >= 0 && s->n_net_devices > 0 && !s->ns[OCI_NS_NETWORK].listed)
		r = fail(&linux_, "netDevices", "needs a network namespace of the container's own; list one in linux.namespaces");
	if (r >= 0 && !s->ns[OCI_NS_MOUNT].listed && s->masked_paths.n > 0)
		r = fail(&linux_, "maskedPaths", "needs a mount namespace; list one in linux.namespaces");
	if (r >= 0 && !s->ns[OCI_NS_MOUNT].listed && s->readonly_paths.n > 0)
		r = fail(&linux_, "readonlyPaths", "needs a mount namespace; list one in linux.namespaces");
	return r;
}

/* idmap without a mapping of its own takes the container's. */
static int check_mounts(const struct at *o, const struct oci_spec *s)
{
	struct at mounts = at_member(o, "mounts");

	for (size_t i = 0; i < s->n_mounts; i++) {
		struct at item = at_element(&mounts, i);
		if ((s->mounts[i].flags & OCI_MOUNT_IDMAP) && s->mounts[i].uid_maps.n == 0 && !s->ns[OCI_NS_USER].listed)
			return fail(&item, "options", "idmap without uidMappings and gidMappings takes the container's user namespace, and it has none");
	}
	if (s->n_mounts > 0 && !s->ns[OCI_NS_MOUNT].listed)
		return at_fail(&mounts, "would mount on the host: the container has no mount namespace; list one in linux.namespaces");
	return 0;
}

static int check_ids(const struct at *o, const struct oci_spec *s)
{
	struct at process = at_member(o, "process"), user = at_member(&process, "user");
	const struct { const char *key; uint32_t id; const struct oci_idmaps *maps; } ids[] = {
		{ "uid", s->process->user.uid, &s->uid_maps }, { "gid", s->process->user.gid, &s->gid_maps },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		bool mapped = false;
		for (size_t k = 0; k < ids[i].maps->n; k++)
			mapped |= ids[i].id - ids[i].maps->v[k].container < ids[i].maps->v[k].size;
		if (!mapped && has_new(s, OCI_NS_USER)) {
			struct at v = at_member(&user, ids[i].key);
			return at_fail(&v, "%u is not mapped in linux.%sMappings; add a mapping for it", ids[i].id, ids[i].key);
		}
	}
	return 0;
}

int check_spec(const struct at *o, struct oci_spec *s)
{
	int r = check_linux(o, s);

	if (r >= 0)
		r = check_mounts(o, s);
	if (r >= 0 && s->process)
		r = check_ids(o, s);
	if (r >= 0 && s->hostname && !s->ns[OCI_NS_UTS].listed)
		r = fail(o, "hostname", "needs a UTS namespace; list one in linux.namespaces");
	if (r >= 0 && s->domainname && !s->ns[OCI_NS_UTS].listed)
		r = fail(o, "domainname", "needs a UTS namespace; list one in linux.namespaces");
	return r;
}
