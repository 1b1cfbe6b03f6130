/* features.c: the JSON of `features` (features.md, features-linux.md), from the tables that the reader goes by. */
#include "runtime/spec/read.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "config.h"

static json_t *all_names(const struct names *names)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < names->n; i++)
		(void)json_array_append_new(list, json_string(names->v[i].name));
	return list;
}

static json_t *mount_options(void)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < mount_option_n(); i++)
		(void)json_array_append_new(list, json_string(mount_option_name(i)));
	return list;
}

/* The kernel looks at the flags before it looks at the filter: EFAULT is a flag that it knows. */
static bool kernel_has_flag(int64_t flag)
{
	unsigned long flags = (unsigned long)flag;

	if (flag == 1 << 5) /* WAIT_KILLABLE_RECV goes with a listener only */
		flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL) < 0 && errno == EFAULT;
}

static json_t *supported_flags(void)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < seccomp_flag_names.n; i++)
		if (kernel_has_flag(seccomp_flag_names.v[i].value))
			(void)json_array_append_new(list, json_string(seccomp_flag_names.v[i].name));
	return list;
}

static json_t *seccomp(void)
{
	return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o}", "enabled", 1, "actions", all_names(&seccomp_action_names), "operators", all_names(&seccomp_op_names),
		"archs", all_names(&seccomp_arch_names), "knownFlags", all_names(&seccomp_flag_names), "supportedFlags", supported_flags());
}

/* systemd: false, because no systemd is spoken to; its form of cgroupsPath is understood all the same. */
static json_t *cgroup(void)
{
	return json_pack("{s:b, s:b, s:b, s:b, s:b}", "v1", 0, "v2", 1, "systemd", 0, "systemdUser", 0, "rdma", 1);
}

static json_t *linux_features(void)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:{s:b}, s:{s:b}, s:{s:b, s:b, s:b}, s:{s:o, s:o}, s:{s:{s:b}}, s:{s:b}}",
		"namespaces", all_names(&ns_names), "capabilities", all_names(&cap_names), "cgroup", cgroup(), "seccomp", seccomp(),
		"apparmor", "enabled", 1, "selinux", "enabled", 1, "intelRdt", "enabled", 1, "schemata", 1, "monitoring", 1,
		"memoryPolicy", "modes", all_names(&mempolicy_names), "flags", all_names(&mempolicy_flag_names),
		"mountExtensions", "idmap", "enabled", 1, "netDevices", "enabled", 1);
}

int oci_features(char **ret)
{
	const struct scmp_version *v = seccomp_version();
	json_auto_t *root = NULL;
	char version[32];

	(void)snprintf(version, sizeof(version), "%u.%u.%u", v->major, v->minor, v->micro);
	root = json_pack("{s:s, s:s, s:o, s:o, s:o, s:{s:s, s:s}, s:[s]}", "ociVersionMin", OCI_VERSION_MIN, "ociVersionMax", OCI_VERSION_MAX,
		"hooks", all_names(&hook_names), "mountOptions", mount_options(), "linux", linux_features(),
		"annotations", "io.github.seccomp.libseccomp.version", version, "io.rastos.rastrun.version", RAST_VERSION,
		"potentiallyUnsafeConfigAnnotations", "io.rastos.landlock.");
	*ret = root ? json_dumps(root, JSON_INDENT(4)) : NULL;
	return *ret ? 0 : -ENOMEM;
}
