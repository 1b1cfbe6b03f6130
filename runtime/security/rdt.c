/* rdt.c: linux.intelRdt (config-linux.md, "IntelRdt"; Documentation/arch/x86/resctrl.rst). */
#include "runtime/security/security.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"

#define RESCTRL "/sys/fs/resctrl"
#ifndef RDTGROUP_SUPER_MAGIC
#define RDTGROUP_SUPER_MAGIC 0x7655821
#endif

static bool has_schema(const struct oci_intel_rdt *r)
{
	return r->l3_cache_schema || r->mem_bw_schema || r->schemata.n > 0;
}

/* Line by line: the kernel says which one it doesn't like, in info/last_cmd_status. */
static int write_schema(const char *group, const char *line, struct err *e)
{
	_cleanup_free_ char *path = NULL, *text = NULL, *status = NULL;
	int r;

	if (asprintf(&path, "%s/schemata", group) < 0 || asprintf(&text, "%s\n", line) < 0)
		return err_set(e, -ENOMEM, "not enough memory");
	r = file_write_str(AT_FDCWD, path, text);
	if (r >= 0)
		return 0;
	(void)file_read(AT_FDCWD, RESCTRL "/info/last_cmd_status", 4096, &status, NULL);
	return err_sys(e, r, "linux.intelRdt: '%s' is not taken by %s (%s)", line, path, status ? str_strip(status) : "the kernel says no more");
}

static int write_all_schemas(const char *group, const struct oci_intel_rdt *rdt, struct err *e)
{
	int r = rdt->l3_cache_schema ? write_schema(group, rdt->l3_cache_schema, e) : 0;

	if (r >= 0 && rdt->mem_bw_schema)
		r = write_schema(group, rdt->mem_bw_schema, e);
	for (size_t i = 0; r >= 0 && i < rdt->schemata.n; i++)
		r = write_schema(group, rdt->schemata.v[i], e);
	return r;
}

/* Is line, of the configuration, one of the group's? Blanks are the kernel's padding. */
static bool has_line(const char *text, const char *line)
{
	size_t n = strlen(line);

	for (const char *p = text; p && *p; p = strchr(p, '\n')) {
		p += strspn(p, " \n");
		if (strncmp(p, line, n) == 0 && (p[n] == '\n' || !p[n]))
			return true;
	}
	return false;
}

/* The group was there before: it must already be what is asked for. */
static int compare(const char *group, const struct oci_intel_rdt *rdt, struct err *e)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	const char *lines[] = { rdt->l3_cache_schema, rdt->mem_bw_schema };
	int r;

	if (asprintf(&path, "%s/schemata", group) < 0)
		return err_set(e, -ENOMEM, "not enough memory");
	r = file_read(AT_FDCWD, path, 65536, &text, NULL);
	if (r < 0)
		return err_sys(e, r, "linux.intelRdt: read %s", path);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if (lines[i] && !has_line(text, lines[i]))
			return err_set(e, -EEXIST, "linux.intelRdt.closID: the group %s exists and has other schemata than '%s'; use another closID", group, lines[i]);
	for (size_t i = 0; r >= 0 && i < rdt->schemata.n; i++)
		r = write_schema(group, rdt->schemata.v[i], e);
	return r;
}

static int add_pid(const char *group, pid_t pid, struct err *e)
{
	_cleanup_free_ char *path = NULL;
	char text[16];
	int r;

	if (asprintf(&path, "%s/tasks", group) < 0)
		return err_set(e, -ENOMEM, "not enough memory");
	(void)snprintf(text, sizeof(text), "%d", (int)pid);
	r = file_write_str(AT_FDCWD, path, text);
	return r < 0 ? err_sys(e, r, "linux.intelRdt: write %s", path) : 0;
}

static int make_group(const struct oci_intel_rdt *rdt, struct rdt *ret, struct err *e)
{
	int r = sys_mkdirat(AT_FDCWD, ret->group, 0755);

	if (r == -EEXIST && rdt->clos_id)
		return has_schema(rdt) ? compare(ret->group, rdt, e) : 0;
	if (r < 0)
		return err_sys(e, r, "linux.intelRdt: make the group %s", ret->group);
	ret->made = !rdt->clos_id; /* one with a name stays when the container goes */
	r = write_all_schemas(ret->group, rdt, e);
	if (r < 0 && rdt->clos_id)
		(void)sys_unlinkat(AT_FDCWD, ret->group, AT_REMOVEDIR);
	return r;
}

static int monitor(const char *id, struct rdt *ret, struct err *e)
{
	char *path;
	int r;

	if (asprintf(&path, "%s/mon_groups/%s", ret->group, id) < 0)
		return err_set(e, -ENOMEM, "not enough memory");
	r = sys_mkdirat(AT_FDCWD, path, 0755);
	if (r < 0) {
		r = err_sys(e, r, "linux.intelRdt.enableMonitoring: make %s", path);
		free(path);
		return r;
	}
	ret->monitor = path;
	return 0;
}

static int apply(const struct oci_intel_rdt *rdt, const char *id, pid_t pid, struct rdt *ret, struct err *e)
{
	bool default_group = rdt->clos_id && streq(rdt->clos_id, "/");
	int r;

	if (default_group)
		ret->group = strdup(RESCTRL);
	else if (asprintf(&ret->group, RESCTRL "/%s", rdt->clos_id ? rdt->clos_id : id) < 0)
		ret->group = NULL;
	if (!ret->group)
		return err_set(e, -ENOMEM, "not enough memory");
	if (default_group)
		r = write_all_schemas(ret->group, rdt, e);
	else if (rdt->clos_id && !has_schema(rdt) && access(ret->group, F_OK) < 0)
		r = err_sys(e, -errno, "linux.intelRdt.closID: without a schema the group %s has to exist", ret->group);
	else
		r = make_group(rdt, ret, e);
	if (r >= 0)
		r = add_pid(ret->group, pid, e);
	if (r >= 0 && rdt->monitoring)
		r = monitor(id, ret, e);
	if (r >= 0 && ret->monitor)
		r = add_pid(ret->monitor, pid, e);
	return r;
}

int rdt_apply(const struct oci_intel_rdt *rdt, const char *id, pid_t pid, struct rdt *ret, struct err *e)
{
	int r = apply(rdt, id, pid, ret, e);

	if (r < 0) {
		(void)rdt_remove(ret);
		rdt_free(ret);
	}
	return r;
}

int rdt_remove(const struct rdt *rdt)
{
	int r = rdt->monitor ? sys_unlinkat(AT_FDCWD, rdt->monitor, AT_REMOVEDIR) : 0;

	if (r == -ENOENT)
		r = 0;
	if (rdt->made && rdt->group) {
		int r2 = sys_unlinkat(AT_FDCWD, rdt->group, AT_REMOVEDIR);
		if (r2 < 0 && r2 != -ENOENT)
			r = r2;
	}
	return r;
}

void rdt_free(struct rdt *rdt)
{
	free(rdt->group);
	free(rdt->monitor);
	*rdt = (struct rdt){ 0 };
}

static int check_rdt(struct err *e)
{
	struct statfs fs;

	if (statfs(RESCTRL, &fs) < 0 || fs.f_type != RDTGROUP_SUPER_MAGIC)
		return err_set(e, -EOPNOTSUPP, "linux.intelRdt: resctrl is not mounted at " RESCTRL "; mount it (mount -t resctrl resctrl " RESCTRL "), or leave intelRdt out");
	return 0;
}

int sec_check(const struct oci_spec *spec, const struct oci_process *process, struct err *e)
{
	if (process && process->apparmor_profile && !streq(process->apparmor_profile, "unconfined") && !lsm_apparmor_enabled())
		return err_set(e, -EOPNOTSUPP, "process.apparmorProfile: this kernel has no AppArmor, or it is off; leave the profile out");
	if (process && process->selinux_label && !lsm_selinux_enabled())
		return err_set(e, -EOPNOTSUPP, "process.selinuxLabel: this kernel has no SELinux, or it is off; leave the label out");
	if (spec && spec->mount_label && !lsm_selinux_enabled())
		return err_set(e, -EOPNOTSUPP, "linux.mountLabel: this kernel has no SELinux, or it is off; leave the label out");
	if (spec && spec->landlock && landlock_check(spec->landlock, e) < 0)
		return -EOPNOTSUPP;
	return spec && spec->intel_rdt ? check_rdt(e) : 0;
}
