/* options.c: mounts[].options (config.md, "Linux mount options"; mount(8); mount_setattr(2)). */
#include "runtime/spec/read.h"

#include <errno.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/mount.h>
#include "base/str.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif
#define MS_LAZYTIME_ (1 << 25)

enum what {
	O_NOTHING,   /* "defaults" */
	O_SET,       /* mount attribute */
	O_CLEAR,
	O_ATIME,     /* one of the modes in MOUNT_ATTR__ATIME */
	O_RSET, O_RCLEAR, O_RATIME, /* the same recursively */
	O_SB, O_SB_CLEAR,           /* of the file system: MS_ flag */
	O_RO, O_RW,                 /* of both */
	O_PROPAGATION,
	O_FLAG,                     /* OCI_MOUNT_* */
};

static const struct option {
	const char *name;
	enum what what;
	uint64_t value;
} options[] = {
	{ "async", O_SB_CLEAR, MS_SYNCHRONOUS },
	{ "atime", O_ATIME, 0 },
	{ "bind", O_FLAG, OCI_MOUNT_BIND },
	{ "copy-symlink", O_FLAG, OCI_MOUNT_COPY_SYMLINK },
	{ "defaults", O_NOTHING, 0 },
	{ "dest-nofollow", O_FLAG, OCI_MOUNT_DEST_NOFOLLOW },
	{ "dev", O_CLEAR, MOUNT_ATTR_NODEV },
	{ "diratime", O_CLEAR, MOUNT_ATTR_NODIRATIME },
	{ "dirsync", O_SB, MS_DIRSYNC },
	{ "exec", O_CLEAR, MOUNT_ATTR_NOEXEC },
	{ "idmap", O_FLAG, OCI_MOUNT_IDMAP },
	{ "iversion", O_SB, MS_I_VERSION },
	{ "lazytime", O_SB, MS_LAZYTIME_ },
	{ "loud", O_SB_CLEAR, MS_SILENT },
	{ "mand", O_SB, MS_MANDLOCK },
	{ "noatime", O_ATIME, MOUNT_ATTR_NOATIME },
	{ "nodev", O_SET, MOUNT_ATTR_NODEV },
	{ "nodiratime", O_SET, MOUNT_ATTR_NODIRATIME },
	{ "noexec", O_SET, MOUNT_ATTR_NOEXEC },
	{ "noiversion", O_SB_CLEAR, MS_I_VERSION },
	{ "nolazytime", O_SB_CLEAR, MS_LAZYTIME_ },
	{ "nomand", O_SB_CLEAR, MS_MANDLOCK },
	{ "norelatime", O_ATIME, MOUNT_ATTR_STRICTATIME },
	{ "nostrictatime", O_ATIME, MOUNT_ATTR_RELATIME },
	{ "nosuid", O_SET, MOUNT_ATTR_NOSUID },
	{ "nosymfollow", O_SET, MOUNT_ATTR_NOSYMFOLLOW },
	{ "private", O_PROPAGATION, MS_PRIVATE },
	{ "ratime", O_RATIME, MOUNT_ATTR_RELATIME },
	{ "rbind", O_FLAG, OCI_MOUNT_BIND | OCI_MOUNT_REC },
	{ "rdev", O_RCLEAR, MOUNT_ATTR_NODEV },
	{ "rdiratime", O_RCLEAR, MOUNT_ATTR_NODIRATIME },
	{ "relatime", O_ATIME, MOUNT_ATTR_RELATIME },
	{ "remount", O_FLAG, OCI_MOUNT_REMOUNT },
	{ "rexec", O_RCLEAR, MOUNT_ATTR_NOEXEC },
	{ "ridmap", O_FLAG, OCI_MOUNT_IDMAP | OCI_MOUNT_RIDMAP },
	{ "rnoatime", O_RATIME, MOUNT_ATTR_NOATIME },
	{ "rnodev", O_RSET, MOUNT_ATTR_NODEV },
	{ "rnodiratime", O_RSET, MOUNT_ATTR_NODIRATIME },
	{ "rnoexec", O_RSET, MOUNT_ATTR_NOEXEC },
	{ "rnorelatime", O_RATIME, MOUNT_ATTR_STRICTATIME },
	{ "rnostrictatime", O_RATIME, MOUNT_ATTR_RELATIME },
	{ "rnosuid", O_RSET, MOUNT_ATTR_NOSUID },
	{ "rnosymfollow", O_RSET, MOUNT_ATTR_NOSYMFOLLOW },
	{ "ro", O_RO, MOUNT_ATTR_RDONLY },
	{ "rprivate", O_PROPAGATION, MS_PRIVATE | MS_REC },
	{ "rrelatime", O_RATIME, MOUNT_ATTR_RELATIME },
	{ "rro", O_RSET, MOUNT_ATTR_RDONLY },
	{ "rrw", O_RCLEAR, MOUNT_ATTR_RDONLY },
	{ "rshared", O_PROPAGATION, MS_SHARED | MS_REC },
	{ "rslave", O_PROPAGATION, MS_SLAVE | MS_REC },
	{ "rstrictatime", O_RATIME, MOUNT_ATTR_STRICTATIME },
	{ "rsuid", O_RCLEAR, MOUNT_ATTR_NOSUID },
	{ "rsymfollow", O_RCLEAR, MOUNT_ATTR_NOSYMFOLLOW },
	{ "runbindable", O_PROPAGATION, MS_UNBINDABLE | MS_REC },
	{ "rw", O_RW, MOUNT_ATTR_RDONLY },
	{ "shared", O_PROPAGATION, MS_SHARED },
	{ "silent", O_SB, MS_SILENT },
	{ "slave", O_PROPAGATION, MS_SLAVE },
	{ "src-nofollow", O_FLAG, OCI_MOUNT_SRC_NOFOLLOW },
	{ "strictatime", O_ATIME, MOUNT_ATTR_STRICTATIME },
	{ "suid", O_CLEAR, MOUNT_ATTR_NOSUID },
	{ "symfollow", O_CLEAR, MOUNT_ATTR_NOSYMFOLLOW },
	{ "sync", O_SB, MS_SYNCHRONOUS },
	{ "tmpcopyup", O_FLAG, OCI_MOUNT_TMPCOPYUP },
	{ "unbindable", O_PROPAGATION, MS_UNBINDABLE },
};

/* What fsconfig(2) calls them. "silent" and "iversion" are flags of mount(2) alone: no file system of the new interface takes the first;
 * the second is one for those that know it (vfs_parse_sb_flag of fs/fs_context.c). */
static const struct name sb_names[] = {
	{ "ro", MS_RDONLY }, { "sync", MS_SYNCHRONOUS }, { "dirsync", MS_DIRSYNC }, { "mand", MS_MANDLOCK }, { "lazytime", MS_LAZYTIME_ },
	{ "iversion", MS_I_VERSION },
};

size_t mount_option_n(void)
{
	return ARRAY_SIZE(options);
}

const char *mount_option_name(size_t i)
{
	return options[i].name;
}

static const struct option *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (streq(options[i].name, name))
			return &options[i];
	return NULL;
}

static void change(uint64_t *set, uint64_t *clr, uint64_t value, bool on)
{
	*(on ? set : clr) |= value;
	*(on ? clr : set) &= ~value;
}

static void change_atime(uint64_t *set, uint64_t *clr, uint64_t mode)
{
	*set = (*set & ~(uint64_t)MOUNT_ATTR__ATIME) | mode;
	*clr |= MOUNT_ATTR__ATIME;
}

/* "atime" undoes "noatime" and leaves a strictatime alone, as in mount(8). */
static void undo_noatime(struct oci_mount *m)
{
	if ((m->attr_set & MOUNT_ATTR__ATIME) != MOUNT_ATTR_STRICTATIME)
		change_atime(&m->attr_set, &m->attr_clr, MOUNT_ATTR_RELATIME);
}

static void apply(struct oci_mount *m, const struct option *o)
{
	switch (o->what) {
	case O_NOTHING: break;
	case O_SET: case O_CLEAR: change(&m->attr_set, &m->attr_clr, o->value, o->what == O_SET); break;
	case O_RSET: case O_RCLEAR: change(&m->rattr_set, &m->rattr_clr, o->value, o->what == O_RSET); break;
	case O_ATIME:
		if (streq(o->name, "atime"))
			undo_noatime(m);
		else
			change_atime(&m->attr_set, &m->attr_clr, o->value);
		break;
	case O_RATIME: change_atime(&m->rattr_set, &m->rattr_clr, o->value); break;
	case O_SB: m->sb_flags |= o->value; break;
	case O_SB_CLEAR: m->sb_flags &= ~o->value; break;
	case O_RO: case O_RW:
		change(&m->attr_set, &m->attr_clr, o->value, o->what == O_RO);
		m->sb_flags = o->what == O_RO ? m->sb_flags | MS_RDONLY : m->sb_flags & ~(unsigned long)MS_RDONLY;
		break;
	case O_PROPAGATION: m->propagation = o->value; break;
	case O_FLAG: m->flags |= (unsigned)o->value; break;
	}
}

static int sb_options(struct oci_arena *arena, struct oci_mount *m)
{
	m->sb_options.v = oci_alloc(arena, (ARRAY_SIZE(sb_names) + 1) * sizeof(char *));
	m->sb_options.n = 0;
	for (size_t i = 0; m->sb_options.v && i < ARRAY_SIZE(sb_names); i++)
		if (m->sb_flags & (unsigned long)sb_names[i].value)
			m->sb_options.v[m->sb_options.n++] = sb_names[i].name;
	return m->sb_options.v ? 0 : -ENOMEM;
}

int oci_mount_parse_options(struct oci_arena *arena, struct oci_mount *m, const char *path, struct err *e)
{
	m->fs_options.v = oci_alloc(arena, (m->options.n + 1) * sizeof(char *));
	if (!m->fs_options.v)
		return err_set(e, -ENOMEM, "%s: not enough memory", path);
	m->fs_options.n = 0;
	for (size_t i = 0; i < m->options.n; i++) {
		const struct option *o = find(m->options.v[i]);
		if (o)
			apply(m, o);
		else if (*m->options.v[i])
			m->fs_options.v[m->fs_options.n++] = m->options.v[i];
	}
	if (m->type && streq(m->type, "bind"))
		m->flags |= OCI_MOUNT_BIND;
	if (sb_options(arena, m) < 0)
		return err_set(e, -ENOMEM, "%s: not enough memory", path);
	return 0;
}
