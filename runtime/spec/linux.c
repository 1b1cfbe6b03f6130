/* linux.c: the linux object (config-linux.md). */
#include "runtime/spec/read.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "base/str.h"

#define S(member) offsetof(struct oci_spec, member)
#define TABLE(name, check_fn) const struct table name##_table = { name##_fields, ARRAY_SIZE(name##_fields), check_fn }

struct namespace {
	int kind;
	const char *path;
};

static const struct field namespace_fields[] = {
	{ "type", K_NAME, REQUIRED, offsetof(struct namespace, kind), .names = &ns_names, .help = "clone3(2), or setns(2) with `path`; twice is an error" },
	{ "path", K_STR, ABSOLUTE, offsetof(struct namespace, path), .help = "verified to be a namespace of this type" },
};
static TABLE(namespace, NULL);

static int read_namespaces(const struct at *v, void *to)
{
	struct oci_spec *s = to;
	size_t n;
	int r = at_array_len(v, &n);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_element(v, i);
		struct namespace ns = { 0 };
		r = at_object(&item, &namespace_table, &ns);
		if (r < 0)
			return r;
		if (s->ns[ns.kind].listed)
			return at_fail(&item, "the namespace '%s' is there twice; leave one out", oci_ns_name(ns.kind));
		s->ns[ns.kind] = (struct oci_ns){ true, ns.path };
	}
	return r;
}

#define T(member) offsetof(struct oci_time_offset, member)

static const struct field offset_fields[] = {
	{ "secs", K_I64, 0, T(secs), .help = "/proc/PID/timens_offsets" },
	{ "nanosecs", K_U32, 0, T(nanosecs), .min = 0, .max = 999999999, .help = "" },
};
static TABLE(offset, NULL);

static int read_time_offsets(const struct at *v, void *to)
{
	struct oci_spec *s = to;
	const char *key;
	json_t *j;

	if (!json_is_object(v->j))
		return at_fail(v, "must be an object: the clocks' names and their offsets");
	s->time_offsets = oci_alloc(v->rd->arena, MAX(json_object_size(v->j), (size_t)1) * sizeof(*s->time_offsets));
	if (!s->time_offsets)
		return at_no_memory(v);
	json_object_foreach(v->j, key, j) {
		struct oci_time_offset *t = &s->time_offsets[s->n_time_offsets++];
		struct at item = at_member(v, key);
		const struct name *clock = names_find(&clock_names, key);
		if (!clock)
			return at_fail(v, "'%s' is no clock with an offset; there are: monotonic, boottime", key);
		int r = at_object(&item, &offset_table, t);
		if (r < 0)
			return r;
		t->clock = (int)clock->value;
		t->clock_name = key;
	}
	return 0;
}

#define D(member) offsetof(struct oci_device, member)

static int read_type(const struct at *v, void *to)
{
	const char *s;
	int r = at_str(v, NONEMPTY, &s);

	if (r < 0)
		return r;
	if (s[1] || !strchr("cubp", *s))
		return at_fail(v, "'%s' is no type of device; there are: c or u (character), b (block), p (FIFO)", s);
	*(mode_t *)to = *s == 'b' ? S_IFBLK : *s == 'p' ? S_IFIFO : S_IFCHR;
	return 0;
}

static int check_device(const struct at *o, void *to)
{
	struct oci_device *d = to;
	struct at path = at_member(o, "path");

	for (int i = 0; i < 2 && d->type != S_IFIFO; i++) {
		struct at number = at_member(o, i ? "minor" : "major");
		if (!number.j)
			return at_fail(&number, "is missing");
	}
	if (!d->has_mode)
		d->mode = 0666;
	d->mode &= 07777; /* Go's os.FileMode puts the type there */
	return at_no_dotdot(&path, d->path);
}

static const struct field device_fields[] = {
	{ "type", K_READ, REQUIRED, D(type), .read = read_type, .help = "mknod(2), or a bind mount of the host's node in a user namespace" },
	{ "path", K_STR, REQUIRED | ABSOLUTE, D(path), .help = "resolved inside of the root; a component '..' is an error" },
	{ "major", K_U32, 0, D(major), .help = "not needed with type p" },
	{ "minor", K_U32, 0, D(minor), .help = "not needed with type p" },
	{ "fileMode", K_U32, 0, D(mode), D(has_mode), .help = "its permission bits; 0666 when missing" },
	{ "uid", K_U32, 0, D(uid), .max = UINT32_MAX - 1, .help = "chown(2); 0 when missing" },
	{ "gid", K_U32, 0, D(gid), .max = UINT32_MAX - 1, .help = "chown(2); 0 when missing" },
};
static TABLE(device, check_device);

#define IFNAMSIZ 16 /* net/if.h and linux/if.h don't go together */

/* dev_valid_name() of the kernel, and '%' for templates only. */
static bool netdev_name(const char *s, bool template)
{
	size_t n = strlen(s);

	if (n == 0 || n >= IFNAMSIZ || streq(s, ".") || streq(s, ".."))
		return false;
	if (template && str_ends(s, "%d"))
		n -= 2;
	for (size_t i = 0; i < n; i++)
		if (s[i] == '/' || s[i] == ':' || s[i] == '%' || (unsigned char)s[i] <= ' ' || s[i] == 0x7f)
			return false;
	return true;
}

static const struct field netdev_fields[] = {
	{ "name", K_STR, 0, offsetof(struct oci_netdev, name), .help = "its name in the container; the host's when missing; may end in %d" },
};
static TABLE(netdev, NULL);

static int read_netdevs(const struct at *v, void *to)
{
	struct oci_spec *s = to;
	const char *key;
	json_t *j;

	if (!json_is_object(v->j))
		return at_fail(v, "must be an object: the devices' names and what they are called in the container");
	s->net_devices = oci_alloc(v->rd->arena, MAX(json_object_size(v->j), (size_t)1) * sizeof(*s->net_devices));
	if (!s->net_devices)
		return at_no_memory(v);
	json_object_foreach(v->j, key, j) {
		struct oci_netdev *dev = &s->net_devices[s->n_net_devices];
		struct at item = at_member(v, key), name = at_member(&item, "name");
		int r = item.j ? at_object(&item, &netdev_table, dev) : 0;
		if (r < 0)
			return r;
		dev->host = key;
		if (!netdev_name(key, false))
			return at_fail(v, "'%s' is no name of a network device", key);
		dev->name = dev->name ? dev->name : key;
		if (!netdev_name(dev->name, true))
			return at_fail(&name, "'%s' is no name of a network device", dev->name);
		for (size_t i = 0; i < s->n_net_devices; i++)
			if (streq(s->net_devices[i].name, dev->name) && !str_ends(dev->name, "%d"))
				return at_fail(&item, "two devices would be called '%s'; give one another `name`", dev->name);
		s->n_net_devices++;
	}
	return 0;
}

static int read_cgroups_path(const struct at *v, void *to)
{
	const char *s, *p;
	int colons = 0;
	int r = at_str(v, NO_NEWLINE, &s);

	if (r < 0 || !*s)
		return r;
	for (p = s; *p; p++)
		colons += *p == ':';
	if (v->rd->systemd_cgroup && colons != 2)
		return at_fail(v, "'%s' is not of the form slice:prefix:name that --systemd-cgroup asks for", s);
	*(const char **)to = s;
	return at_no_dotdot(v, s);
}

static int read_absolute_list(const struct at *v, void *to)
{
	struct oci_strv *list = to;
	int r = at_strv(v, NONEMPTY | ABSOLUTE, list);

	for (size_t i = 0; r >= 0 && i < list->n; i++) {
		struct at item = at_element(v, i);
		r = at_no_dotdot(&item, list->v[i]);
	}
	return r;
}

static int read_propagation(const struct at *v, void *to)
{
	const char *s;
	int64_t flags;
	int r = at_str(v, 0, &s);

	if (r >= 0 && *s)
		r = at_name(v, &propagation_names, &flags);
	if (r >= 0 && *s)
		*(unsigned long *)to = (unsigned long)flags;
	return r;
}

/* sysctl(8): the first of '.' and '/' is the separator; the other belongs to a name. Below /proc/sys names have '/'. */
static int sysctl_path(const struct at *v, const char *key, const char **ret)
{
	char *p = oci_strdup(v->rd->arena, key);
	size_t first = strcspn(key, "./");

	if (!p)
		return at_no_memory(v);
	for (char *c = p; *c && key[first] != '/'; c++)
		*c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
	*ret = p;
	if (*p == '/' || str_ends(p, "/") || strstr(p, "//") || path_has_dotdot(p) || !strchr(p, '/'))
		return at_fail(v, "'%s' is no name of a kernel parameter; write it like net.ipv4.ip_forward", key);
	return 0;
}

static int read_sysctl(const struct at *v, void *to)
{
	struct oci_map *map = to;
	int r = at_map(v, map);

	for (size_t i = 0; r >= 0 && i < map->n; i++) {
		const char *key = map->v[i].key;
		r = sysctl_path(v, key, &map->v[i].key);
		for (size_t k = 0; r >= 0 && k < i; k++)
			if (streq(map->v[i].key, map->v[k].key))
				r = at_fail(v, "'%s' is there twice; leave one out", key);
	}
	return r;
}

#define RDT(member) offsetof(struct oci_intel_rdt, member)

static int check_rdt(const struct at *o, void *to)
{
	const struct oci_intel_rdt *r = to;
	struct at id = at_member(o, "closID"), mb = at_member(o, "memBwSchema");

	if (r->clos_id && !streq(r->clos_id, "/") && (strchr(r->clos_id, '/') || streq(r->clos_id, ".") || streq(r->clos_id, "..")))
		return at_fail(&id, "'%s' is no name of a folder; it must not have a '/'", r->clos_id);
	if (r->clos_id && (streq(r->clos_id, "info") || streq(r->clos_id, "mon_groups") || streq(r->clos_id, "mon_data")))
		return at_fail(&id, "'%s' is a folder of resctrl itself; use another name", r->clos_id);
	if (r->mem_bw_schema && !str_starts(r->mem_bw_schema, "MB:"))
		return at_fail(&mb, "must begin with 'MB:'");
	return 0;
}

static const struct field rdt_fields[] = {
	{ "closID", K_STR, NO_NEWLINE, RDT(clos_id), .help = "the group's folder in resctrl; the container's id when missing, \"/\" the default group" },
	{ "l3CacheSchema", K_STR, NO_NEWLINE, RDT(l3_cache_schema), .help = "written to `schemata` first" },
	{ "memBwSchema", K_STR, NO_NEWLINE, RDT(mem_bw_schema), .help = "written to `schemata` second; must begin with MB:" },
	{ "schemata", K_STRV, NONEMPTY | NO_NEWLINE, RDT(schemata), .help = "written to `schemata` last" },
	{ "enableMonitoring", K_BOOL, 0, RDT(monitoring), .help = "a folder mon_groups/ID in the group" },
};
static TABLE(rdt, check_rdt);

static int read_flags(const struct at *v, const struct names *names, int *flags)
{
	size_t n;
	int r = at_array_len(v, &n);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_element(v, i);
		int64_t flag = 0;
		r = at_name(&item, names, &flag);
		*flags |= (int)flag;
	}
	return r;
}

static int check_mempolicy(const struct at *o, void *to)
{
	struct oci_memory_policy *m = to;
	struct at nodes = at_member(o, "nodes"), flags = at_member(o, "flags");
	const struct name *mode = NULL;
	int value = m->mode, r;

	for (size_t i = 0; i < mempolicy_names.n; i++)
		if (mempolicy_names.v[i].value == value)
			mode = &mempolicy_names.v[i];
	bool none = mode && (streq(mode->name, "MPOL_DEFAULT") || streq(mode->name, "MPOL_LOCAL"));
	if (none && m->nodes.bits)
		return at_fail(&nodes, "%s takes no nodes; leave them out", mode->name);
	if (mode && !none && !streq(mode->name, "MPOL_PREFERRED") && !m->nodes.bits)
		return at_fail(&nodes, "%s needs at least one node", mode->name);
	r = flags.j ? read_flags(&flags, &mempolicy_flag_names, &m->mode) : 0;
	return r;
}

static int read_nodes(const struct at *v, void *to)
{
	return at_bits(v, "memory nodes", to);
}

static const struct field mempolicy_fields[] = {
	{ "mode", K_NAME, REQUIRED, offsetof(struct oci_memory_policy, mode), .names = &mempolicy_names, .help = "set_mempolicy(2)" },
	{ "nodes", K_READ, 0, offsetof(struct oci_memory_policy, nodes), .read = read_nodes, .help = "as the mode asks: none, or at least one" },
	{ "flags", K_CHECKED, 0, .help = "MPOL_F_NUMA_BALANCING, _RELATIVE_NODES, _STATIC_NODES" },
};
static TABLE(mempolicy, check_mempolicy);

static int no_flags(const struct at *v, void *to)
{
	size_t n;
	int r = at_array_len(v, &n);

	if (r >= 0 && n > 0)
		r = at_fail(v, "the spec defines no flag; leave it out");
	return r;
}

static const struct field personality_fields[] = {
	{ "domain", K_NAME, REQUIRED, 0, .names = &personality_names, .help = "personality(2)" },
	{ "flags", K_CHECKED, 0, .read = no_flags, .help = "the spec defines none: any is an error" },
};
static TABLE(personality, NULL);

static int read_personality(const struct at *v, void *to)
{
	struct oci_spec *s = to;
	int domain = 0, r = at_object(v, &personality_table, &domain);

	s->has_personality = r >= 0;
	s->personality = (unsigned long)domain;
	return r;
}

static const struct field linux_fields[] = {
	{ "namespaces", K_READ, 0, 0, .sub = &namespace_table, .read = read_namespaces, .help = "those that are not listed are the runtime's" },
	{ "uidMappings", K_READ, 0, S(uid_maps), .read = read_id_maps, .help = "/proc/PID/uid_map, through newuidmap(1) for an ordinary user; overlaps are errors" },
	{ "gidMappings", K_READ, 0, S(gid_maps), .read = read_id_maps, .help = "/proc/PID/gid_map, through newgidmap(1)" },
	{ "timeOffsets", K_READ, 0, 0, .sub = &offset_table, .read = read_time_offsets, .help = "monotonic and boottime; needs a new time namespace" },
	{ "devices", K_LIST, 0, S(devices), S(n_devices), sizeof(struct oci_device), &device_table, .help = "besides the default devices of the spec, which are always there" },
	{ "netDevices", K_READ, 0, 0, .sub = &netdev_table, .read = read_netdevs, .help = "moved into the container's network namespace with their global addresses, and set up" },
	{ "cgroupsPath", K_READ, 0, S(cgroups_path), .read = read_cgroups_path, .help = "absolute: below the hierarchy's top; relative: below rastos.container; with --systemd-cgroup slice:prefix:name; rastos.container/ID when missing" },
	{ "resources", K_NEW, 0, S(resources), .size = sizeof(struct oci_resources), .sub = &resources_table, .help = "cgroup v2" },
	{ "rootfsPropagation", K_READ, 0, S(rootfs_propagation), .read = read_propagation, .help = "mount(2) of the container's '/'" },
	{ "seccomp", K_NEW, 0, S(seccomp), .size = sizeof(struct oci_seccomp), .sub = &seccomp_table, .help = "compiled with libseccomp, kept compiled on disk" },
	{ "sysctl", K_READ, 0, S(sysctl), .read = read_sysctl, .help = "written to /proc/sys; only what belongs to a namespace that the container has for itself" },
	{ "maskedPaths", K_READ, 0, S(masked_paths), .read = read_absolute_list, .help = "/dev/null over files, an empty read-only tmpfs over folders; missing ones are passed over" },
	{ "readonlyPaths", K_READ, 0, S(readonly_paths), .read = read_absolute_list, .help = "bind mount, read-only; missing ones are passed over" },
	{ "mountLabel", K_STR, NO_NEWLINE, S(mount_label), .help = "context= of the mounts that take it; an error when SELinux is off" },
	{ "intelRdt", K_NEW, 0, S(intel_rdt), .size = sizeof(struct oci_intel_rdt), .sub = &rdt_table, .help = "resctrl; an error when it isn't mounted" },
	{ "memoryPolicy", K_NEW, 0, S(memory_policy), .size = sizeof(struct oci_memory_policy), .sub = &mempolicy_table, .help = "set_mempolicy(2)" },
	{ "personality", K_READ, 0, 0, .sub = &personality_table, .read = read_personality, .help = "" },
};
TABLE(linux, NULL);
