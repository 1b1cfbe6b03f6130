/* mounts.c: mounts[] and id mappings (config.md, "Mounts"; config-linux.md, "User namespace mappings"). */
#include "runtime/spec/read.h"

#include <errno.h>
#include <string.h>
#include "base/str.h"

#define M(member) offsetof(struct oci_mount, member)
#define TABLE(name, check_fn) const struct table name##_table = { name##_fields, ARRAY_SIZE(name##_fields), check_fn }
#define IDMAPS_MAX 340 /* UID_GID_MAP_MAX_EXTENTS of the kernel */

#define I(member) offsetof(struct oci_idmap, member)

static const struct field idmap_fields[] = {
	{ "containerID", K_U32, REQUIRED, I(container), .help = "" },
	{ "hostID", K_U32, REQUIRED, I(host), .help = "" },
	{ "size", K_U32, REQUIRED, I(size), .min = 1, .max = UINT32_MAX, .help = "" },
};
static TABLE(idmap, NULL);

static bool overlap(uint32_t a, uint32_t b, uint32_t a_size, uint32_t b_size)
{
	return (uint64_t)a < (uint64_t)b + b_size && (uint64_t)b < (uint64_t)a + a_size;
}

static int check_id_maps(const struct at *v, const struct oci_idmaps *maps)
{
	for (size_t i = 0; i < maps->n; i++) {
		const struct oci_idmap *m = &maps->v[i];
		struct at item = at_element(v, i);
		if ((uint64_t)m->container + m->size > UINT32_MAX || (uint64_t)m->host + m->size > UINT32_MAX)
			return at_fail(&item, "goes beyond the highest id, 4294967294; make size smaller");
		for (size_t k = 0; k < i; k++) {
			if (overlap(m->container, maps->v[k].container, m->size, maps->v[k].size))
				return at_fail(&item, "ids of the container are mapped twice, here and in number %zu", k);
			if (overlap(m->host, maps->v[k].host, m->size, maps->v[k].size))
				return at_fail(&item, "ids of the host are mapped twice, here and in number %zu", k);
		}
	}
	return maps->n <= IDMAPS_MAX ? 0 : at_fail(v, "the kernel takes at most %d mappings", IDMAPS_MAX);
}

int read_id_maps(const struct at *v, void *to)
{
	static const struct field list = { "", K_LIST, 0, offsetof(struct oci_idmaps, v), offsetof(struct oci_idmaps, n), sizeof(struct oci_idmap), &idmap_table };
	struct oci_idmaps *maps = to;
	size_t n;
	int r = at_array_len(v, &n);

	if (r < 0)
		return r;
	maps->v = oci_alloc(v->rd->arena, (n + 1) * sizeof(*maps->v));
	if (!maps->v)
		return at_no_memory(v);
	for (maps->n = 0; maps->n < n; maps->n++) {
		struct at item = at_element(v, maps->n);
		r = at_object(&item, list.sub, &maps->v[maps->n]);
		if (r < 0)
			return r;
	}
	return check_id_maps(v, maps);
}

/* Options that mount(8) reads and doesn't pass on. */
static bool for_mount8(const char *s)
{
	static const char *const names[] = { "auto", "noauto", "nofail", "_netdev" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(s, names[i]))
			return true;
	return str_starts(s, "x-") || str_starts(s, "X-");
}

static void drop_mount8(struct oci_strv *options)
{
	size_t n = 0;

	for (size_t i = 0; i < options->n; i++)
		if (!for_mount8(options->v[i]))
			options->v[n++] = options->v[i];
	options->n = n;
	options->v[n] = NULL;
}

static int check_bind(const struct at *o, const struct oci_mount *m)
{
	struct at source = at_member(o, "source"), options = at_member(o, "options");

	if (!*m->source && !(m->flags & OCI_MOUNT_REMOUNT))
		return at_fail(&source, "is missing: a bind mount needs the path that is to be seen");
	if (m->fs_options.n > 0 && !(m->flags & OCI_MOUNT_REMOUNT))
		return at_fail(&options, "'%s' is no option that a bind mount can have; leave it out", m->fs_options.v[0]);
	return 0;
}

static int check_mount_maps(const struct at *o, struct oci_mount *m)
{
	struct at uid = at_member(o, "uidMappings"), gid = at_member(o, "gidMappings");

	if (m->uid_maps.n > 0 && m->gid_maps.n == 0)
		return at_fail(&gid, "is missing: a mount with uidMappings needs gidMappings too");
	if (m->gid_maps.n > 0 && m->uid_maps.n == 0)
		return at_fail(&uid, "is missing: a mount with gidMappings needs uidMappings too");
	if (m->uid_maps.n > 0)
		m->flags |= OCI_MOUNT_IDMAP;
	return 0;
}

static int check_mount(const struct at *o, void *to)
{
	struct oci_mount *m = to;
	struct at destination = at_member(o, "destination");
	int r;

	m->type = m->type ? m->type : "";
	m->source = m->source ? m->source : "";
	if (*m->destination != '/') { /* deprecated: relative to "/" */
		size_t n = strlen(m->destination) + 1;
		char *p = oci_alloc(o->rd->arena, n + 1);
		if (!p)
			return at_no_memory(o);
		*p = '/';
		memcpy(p + 1, m->destination, n);
		m->destination = p;
	}
	r = at_no_dotdot(&destination, m->destination);
	if (r >= 0 && !m->options.v)
		r = (m->options.v = oci_alloc(o->rd->arena, sizeof(char *))) ? 0 : at_no_memory(o);
	if (r >= 0)
		r = oci_mount_parse_options(o->rd->arena, m, o->rd->file, o->rd->e);
	if (r < 0)
		return r;
	drop_mount8(&m->fs_options);
	r = m->flags & OCI_MOUNT_BIND ? check_bind(o, m) : 0;
	return r < 0 ? r : check_mount_maps(o, m);
}

static const struct field mount_fields[] = {
	{ "destination", K_STR, REQUIRED, M(destination), .help = "resolved inside of the root (openat2 RESOLVE_IN_ROOT), made when missing; a component '..' is an error" },
	{ "type", K_STR, 0, M(type), .help = "fsopen(2); cgroup is cgroup2; nothing for a bind mount" },
	{ "source", K_STR, 0, M(source), .help = "of a bind mount: open_tree(2), relative to the bundle" },
	{ "options", K_STRV, 0, M(options), .help = "see below; an unknown one goes to the file system, with a bind mount it is an error" },
	{ "uidMappings", K_READ, 0, M(uid_maps), .sub = &idmap_table, .read = read_id_maps, .help = "mount_setattr(2) MOUNT_ATTR_IDMAP; overlaps are errors; both or none" },
	{ "gidMappings", K_READ, 0, M(gid_maps), .sub = &idmap_table, .read = read_id_maps, .help = "the same" },
};
TABLE(mount, check_mount);
