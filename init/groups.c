/* groups.c: the cgroups that PID 1 makes: its own, rastd's, a shell's, and the two trees that rastd fills. A controller that is missing or in
 * use elsewhere does not take the others with it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "init/pid1.h"

#define RENEW_TRIES 500 /* of a millisecond */

static int write_file(const char *group, const char *file, const char *text)
{
	char path[256];
	ssize_t n;

	snprintf(path, sizeof(path), GROUP_ROOT "/%s/%s", group, file);
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, path, O_WRONLY, 0);
	if (fd < 0)
		return fd;
	n = sys_write(fd, text, strlen(text));
	return n < 0 ? (int)n : 0;
}

static void make(const char *group)
{
	char path[256];

	snprintf(path, sizeof(path), GROUP_ROOT "/%s", group);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		log_err("make cgroup %s: %s", path, strerror(errno));
}

/* All at once, since each write has the kernel walk the tree; when one of them can't be had none is, and they are tried alone. */
static void delegate(const char *group, const char *controllers)
{
	char list[256], on[64], all[512] = "";
	char *rest = NULL;
	size_t n = 0;

	snprintf(list, sizeof(list), "%s", controllers);
	for (char *c = strtok_r(list, " \n", &rest); c; c = strtok_r(NULL, " \n", &rest))
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s+%s", n ? " " : "", c);
	if (!n || write_file(group, "cgroup.subtree_control", all) >= 0)
		return;
	for (char *c = strtok_r(all, " ", &rest); c; c = strtok_r(NULL, " ", &rest)) {
		snprintf(on, sizeof(on), "%.60s", c);
		int r = write_file(group, "cgroup.subtree_control", on);
		if (r < 0)
			log_debug("cgroup /%s: controller %s can't be used below it: %s", group, c + 1, strerror(-r));
	}
}

void groups_make(void)
{
	static const char *const groups[] = {"rastos.init", GROUP_OWN, GROUP_RASTD, GROUP_SHELL, GROUP_SERVICES, GROUP_CONTAINERS};
	char controllers[256];
	struct statfs fs;
	ssize_t n;

	if (statfs(GROUP_ROOT, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC || access(GROUP_ROOT, W_OK) < 0) {
		log_notice("no writable cgroup2 at " GROUP_ROOT ": services will not be kept apart");
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(groups); i++)
		make(groups[i]);
	/* Below the real root a cgroup with processes can't have controllers (cgroup-v2.rst, "No Internal Process"). The real root, which alone has no
	 * cgroup.type, can: there we stay, since a move waits for a grace period of the kernel, milliseconds of each boot. */
	if (access(GROUP_ROOT "/cgroup.type", F_OK) == 0)
		groups_enter(GROUP_OWN);
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, GROUP_ROOT "/cgroup.controllers", O_RDONLY, 0);
	n = fd < 0 ? fd : sys_read(fd, controllers, sizeof(controllers) - 1);
	if (n <= 0)
		return;
	controllers[n] = '\0';
	delegate("", controllers);
	delegate(GROUP_CONTAINERS, controllers); /* of those for GROUP_SERVICES rastd takes what its services use */
}

int groups_open(const char *group)
{
	char path[256];

	snprintf(path, sizeof(path), GROUP_ROOT "/%s", group);
	return sys_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
}

void groups_enter(const char *group)
{
	write_file(group, "cgroup.procs", "0");
}

void groups_kill(const char *group)
{
	write_file(group, "cgroup.kill", "1");
}

/* Linux from 6.14 on kills what is born by CLONE_INTO_CGROUP into a cgroup that cgroup.kill was ever written to, when its parent lives in another one
 * (kernel/cgroup/cgroup.c, cgroup_css_set_fork(): kill_seq is the parent's). */
void groups_kill_and_renew(const char *group)
{
	char path[256];

	groups_kill(group);
	snprintf(path, sizeof(path), GROUP_ROOT "/%s", group);
	for (int i = 0; i < RENEW_TRIES && rmdir(path) < 0 && errno == EBUSY; i++)
		usleep(1000);
	make(group);
}
