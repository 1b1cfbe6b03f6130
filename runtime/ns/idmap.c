/* idmap.c: see ns.h; user_namespaces(7). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/ns/ns.h"

static int map_text(const struct oci_idmaps *maps, struct buf *b)
{
	for (size_t i = 0; i < maps->n; i++)
		buf_addf(b, "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", maps->v[i].container, maps->v[i].host, maps->v[i].size);
	return b->failed ? -ENOMEM : 0;
}

static int write_proc(pid_t pid, const char *file, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return file_write_str(AT_FDCWD, path, text);
}

static int run_and_wait(char *const argv[], struct err *e)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return err_sys(e, -errno, "%s", argv[0]);
	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, -errno, "%s", argv[0]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(e, -ENOENT, "%s can't be run: install the package uidmap, or map only your own id", argv[0]);
	return err_set(e, -EPERM, "%s refused: the ids must be in /etc/subuid and /etc/subgid for this user", argv[0]);
}

/* newuidmap PID container host size [...] */
static int run_helper(const char *helper, pid_t pid, const struct oci_idmaps *maps, struct err *e)
{
	_cleanup_strv_ char **argv = NULL;
	char number[16];
	int r = strv_push(&argv, helper);

	snprintf(number, sizeof(number), "%d", (int)pid);
	if (r == 0)
		r = strv_push(&argv, number);
	for (size_t i = 0; r == 0 && i < maps->n; i++) {
		const uint32_t v[] = { maps->v[i].container, maps->v[i].host, maps->v[i].size };
		for (size_t k = 0; r == 0 && k < ARRAY_SIZE(v); k++) {
			snprintf(number, sizeof(number), "%" PRIu32, v[k]);
			r = strv_push(&argv, number);
		}
	}
	return r < 0 ? err_sys(e, r, "%s", helper) : run_and_wait(argv, e);
}

static bool maps_only(const struct oci_idmaps *maps, uint32_t own)
{
	return maps->n == 1 && maps->v[0].host == own && maps->v[0].size == 1;
}

static int write_map(pid_t pid, const char *file, const char *helper, const struct oci_idmaps *maps, struct err *e)
{
	_cleanup_buf_ struct buf text = { 0 };
	int r = map_text(maps, &text);

	if (r == 0)
		r = write_proc(pid, file, text.data ? text.data : "");
	if (r == -EPERM && geteuid() != 0)
		return run_helper(helper, pid, maps, e);
	return r < 0 ? err_sys(e, r, "linux.%s", streq(file, "uid_map") ? "uidMappings" : "gidMappings") : 0;
}

int ns_write_maps(pid_t pid, const struct oci_idmaps *uids, const struct oci_idmaps *gids, struct err *e)
{
	int r = 0;

	/* An unprivileged writer of gid_map has to give up setgroups(2) first; newgidmap does so by itself when it must. */
	if (geteuid() != 0 && gids->n && maps_only(gids, getegid())) {
		r = write_proc(pid, "setgroups", "deny");
		if (r < 0 && r != -ENOENT)
			return err_sys(e, r, "denying setgroups in the user namespace");
	}
	r = 0;
	if (gids->n)
		r = write_map(pid, "gid_map", "newgidmap", gids, e);
	if (r == 0 && uids->n)
		r = write_map(pid, "uid_map", "newuidmap", uids, e);
	return r;
}

int ns_make_user(const struct oci_idmaps *uids, const struct oci_idmaps *gids, struct err *e)
{
	struct clone_args a = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	char path[64];
	int pid = sys_clone3(&a, sizeof(a)), r;

	if (pid < 0)
		return err_sys(e, pid, "a user namespace for a mapping");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	r = ns_write_maps(pid, uids, gids, e);
	if (r == 0) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
		r = sys_openat(AT_FDCWD, path, O_RDONLY, 0);
		if (r < 0)
			err_sys(e, r, "%s", path);
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}
