/* caps.c: capabilities, user and groups, no_new_privs (capabilities(7), credentials(7)). */
#include "runtime/security/security.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "runtime/security/priv.h"

int sec_bounding(const struct oci_caps *caps, const char **what)
{
	for (unsigned cap = 0; cap < 64; cap++) {
		if (caps->bounding & UINT64_C(1) << cap)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL) /* above the kernel's last one */
			return 0;
		if (errno == EPERM && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 0) /* without CAP_SETPCAP, but there is nothing to drop */
			continue;
		return sec_fail(what, "drop capabilities from the bounding set");
	}
	return 0;
}

/* The system calls themselves: libc's functions change all threads by signals, which a child that shares memory must not do. */
int sec_user(const struct oci_user *user, bool keep_groups, const char **what)
{
	if (user->has_umask)
		(void)umask(user->umask);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return sec_fail(what, "keep capabilities");
	if (!keep_groups && syscall(SYS_setgroups, user->n_gids, user->gids) < 0)
		return sec_fail(what, "setgroups");
	if (syscall(SYS_setresgid, user->gid, user->gid, user->gid) < 0)
		return sec_fail(what, "setresgid");
	if (syscall(SYS_setresuid, user->uid, user->uid, user->uid) < 0)
		return sec_fail(what, "setresuid");
	return prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 ? sec_fail(what, "keep capabilities") : 0;
}

static int set_ambient(uint64_t ambient, const char **what)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return sec_fail(what, "clear ambient capabilities");
	for (unsigned cap = 0; cap < 64; cap++)
		if ((ambient & UINT64_C(1) << cap) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return sec_fail(what, "raise ambient capabilities");
	return 0;
}

int sec_caps(const struct oci_caps *caps, const char **what)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	for (int i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(caps->effective >> 32 * i);
		data[i].permitted = (uint32_t)(caps->permitted >> 32 * i);
		data[i].inheritable = (uint32_t)(caps->inheritable >> 32 * i);
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return sec_fail(what, errno == EPERM ? "set capabilities that the runtime itself doesn't have" : "set capabilities");
	return set_ambient(caps->ambient, what);
}

int sec_no_new_privs(const char **what)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? sec_fail(what, "set no_new_privs") : 0;
}
