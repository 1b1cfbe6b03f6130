/* groups.c: the cgroups that PID 1 makes: its own, rastd's, a shell's, and the two trees that rastd fills. Controllers are switched on one by one, so
 * that one that is missing or in use elsewhere does not take the others with it. */
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

static void delegate(const char *group, const char *controllers)
{
	char list[256], on[64];
	char *rest = NULL;

	snprintf(list, sizeof(list), "%s", controllers);
	for (char *c = strtok_r(list, " \n", &rest); c; c = strtok_r(NULL, " \n", &rest)) {
		snprintf(on, sizeof(on), "+%.60s", c);
		int r = write_file(group, "cgroup.subtree_control", on);
		if (r < 0)
			log_debug("cgroup /%s: controller %s can't be used below it: %s", group, c, strerror(-r));
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
	groups_enter(GROUP_OWN); /* before the controllers: below the real root a cgroup with processes can't have any (cgroup-v2.rst, "No Internal Process") */
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, GROUP_ROOT "/cgroup.controllers", O_RDONLY, 0);
	n = fd < 0 ? fd : sys_read(fd, controllers, sizeof(controllers) - 1);
	if (n <= 0)
		return;
	controllers[n] = '\0';
	delegate("", controllers);
	delegate(GROUP_SERVICES, controllers);
	delegate(GROUP_CONTAINERS, controllers);
}

void groups_enter(const char *group)
{
	write_file(group, "cgroup.procs", "0");
}

void groups_kill(const char *group)
{
	write_file(group, "cgroup.kill", "1");
}
