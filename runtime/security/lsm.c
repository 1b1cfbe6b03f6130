/* lsm.c: labels of AppArmor and SELinux, and the other files of /proc/self (proc(5), Documentation/admin-guide/LSM). */
#include "runtime/security/security.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/str.h"
#include "runtime/security/priv.h"

#define LABEL_MAX 4096 /* the attribute files take a page */

/* One write to a file below procfd: nothing that is mounted over it, no magic link. */
static int write_proc(int procfd, const char *path, const char *text)
{
	struct open_how how = { .flags = O_WRONLY | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS };
	_cleanup_close_ int fd = (int)syscall(SYS_openat2, procfd, path, &how, sizeof(how));
	size_t n = strlen(text);

	if (fd < 0)
		return -errno;
	ssize_t done = write(fd, text, n);
	return done < 0 ? -errno : (size_t)done == n ? 0 : -EIO;
}

int sec_oom_score(int procfd, int score, const char **what)
{
	char text[16];
	int r;

	(void)snprintf(text, sizeof(text), "%d", score);
	r = write_proc(procfd, "thread-self/oom_score_adj", text);
	if (r == -ENOENT) /* not in the thread's folder: the process's */
		r = write_proc(procfd, "self/oom_score_adj", text);
	return r < 0 ? sec_error(what, r, "set oom_score_adj") : 0;
}

int sec_apparmor_exec(int procfd, const char *profile, const char **what)
{
	char text[LABEL_MAX];
	int r;

	if (!profile)
		return 0;
	if ((size_t)snprintf(text, sizeof(text), "exec %s", profile) >= sizeof(text))
		return sec_error(what, -ENAMETOOLONG, "set the AppArmor profile");
	r = write_proc(procfd, "thread-self/attr/apparmor/exec", text);
	if (r == -ENOENT) /* Linux before 5.8 */
		r = write_proc(procfd, "thread-self/attr/exec", text);
	if (streq(profile, "unconfined") && (r == -ENOENT || r == -EINVAL)) /* without AppArmor everything is */
		return 0;
	return r < 0 ? sec_error(what, r, r == -ENOENT ? "find the AppArmor profile" : "set the AppArmor profile") : 0;
}

int sec_selinux_exec(int procfd, const char *label, const char **what)
{
	int r = label ? write_proc(procfd, "thread-self/attr/exec", label) : 0;

	return r < 0 ? sec_error(what, r, "set the SELinux label") : 0;
}

bool lsm_apparmor_enabled(void)
{
	_cleanup_close_ int fd = open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);
	char c;

	return fd >= 0 && read(fd, &c, 1) == 1 && c == 'Y';
}

bool lsm_selinux_enabled(void)
{
	struct statfs fs;

	return statfs("/sys/fs/selinux", &fs) == 0 && fs.f_type == SELINUX_MAGIC;
}
