/* create.c: make the container's cgroup, with the controllers enabled down the path; and remove it. */
#include "runtime/cgroup/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "base/file.h"
#include "base/proc.h"
#include "base/sys.h"

#define RETRIES 16       /* of a folder above ours that another container's end removes at the same time */
#define WAIT_MS 10000
#define KEY_MAX (1U << 20)

int cg_read(const struct cgroup *cg, const char *key, char **ret)
{
	return file_read(cg->fd, key, KEY_MAX, ret, NULL);
}

/* The controllers in a short file; with as few system calls as there can be, for each container reads some. */
static int read_controllers(const struct cgroup *cg, const char *path, unsigned *ret)
{
	_cleanup_close_ int fd = sys_openat(cg->root, path, O_RDONLY, 0);
	char text[512];
	ssize_t n = fd < 0 ? fd : sys_read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return (int)n;
	text[n] = 0;
	*ret = controllers_in(text);
	return 0;
}

/* All at once; if the kernel refuses that, one by one: what can't be enabled is missed later, by who needs it. */
static void enable_in(const struct cgroup *cg, const char *folder, unsigned want)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_buf_ struct buf all = { 0 };
	unsigned have = 0;

	if (asprintf(&path, "%s%scgroup.subtree_control", folder, *folder ? "/" : "") < 0) {
		path = NULL;
		return;
	}
	if (read_controllers(cg, path, &have) >= 0)
		want &= ~have;
	for (unsigned i = 0; i < CONTROLLERS; i++)
		if (want & 1U << i)
			(void)buf_addf(&all, "%s+%s", all.len > 0 ? " " : "", controllers[i]);
	if (all.len == 0 || all.failed || file_write_str(cg->root, path, all.data) >= 0)
		return;
	for (unsigned i = 0; i < CONTROLLERS; i++) {
		char one[32];
		if (!(want & 1U << i))
			continue;
		(void)snprintf(one, sizeof(one), "+%s", controllers[i]);
		(void)file_write_str(cg->root, path, one);
	}
}

/* In every folder above ours, from the top. */
static void enable_down(const struct cgroup *cg, unsigned want)
{
	char *folder = strdup(cg->path);

	if (!folder)
		return;
	enable_in(cg, "", want);
	for (char *p = strchr(folder, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		enable_in(cg, folder, want);
		*p = '/';
	}
	free(folder);
}

static int controllers_of(const struct cgroup *cg, const char *folder, unsigned *ret)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s%scgroup.controllers", folder, *folder ? "/" : "") < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return read_controllers(cg, path, ret);
}

static int enable(const struct cgroup *cg, const struct oci_resources *res, struct err *e)
{
	unsigned all = 0, have = 0, need = controllers_needed(res);
	int r = controllers_of(cg, "", &all);

	if (r >= 0)
		r = controllers_of(cg, cg->path, &have);
	if (r >= 0 && (have & all) != all) {
		enable_down(cg, all);
		r = controllers_of(cg, cg->path, &have);
	}
	if (r < 0)
		return err_sys(e, r, "read %s/%s/cgroup.controllers", cg->mount, cg->path);
	for (unsigned i = 0; i < CONTROLLERS; i++)
		if (need & ~have & 1U << i)
			return err_set(e, -ENOTSUP, "linux.resources.%s: needs the cgroup controller '%s', which %s; leave it out, or %s", controller_key(res, i),
				controllers[i], all & 1U << i ? "can't be enabled for this cgroup" : "this hierarchy hasn't",
				all & 1U << i ? "move the processes out of the cgroups above" : "enable it in the kernel");
	return 0;
}

/* The path, folder by folder. *made: where the first new one ends in cg->path, so that it and those below can be removed again. */
static int make_folders(const struct cgroup *cg, size_t *made)
{
	char *path = strdup(cg->path), *p = path;
	int r = path ? 0 : -ENOMEM;

	while (r >= 0 && p) {
		p = strchr(p + 1, '/');
		if (p)
			*p = 0;
		r = sys_mkdirat(cg->root, path, 0755);
		if (r >= 0 && *made == 0)
			*made = strlen(path);
		if (r == -EEXIST)
			r = 0;
		if (p)
			*p = '/';
	}
	free(path);
	return r;
}

static void remove_made(const struct cgroup *cg, size_t made)
{
	char *path = strdup(cg->path);

	for (char *p = path; made > 0 && p && strlen(path) >= made;) {
		if (sys_unlinkat(cg->root, path, AT_REMOVEDIR) < 0)
			break;
		p = strrchr(path, '/');
		if (p)
			*p = 0;
	}
	free(path);
}

static int check_fit(const struct cgroup *cg, struct err *e)
{
	int r = cgroup_populated(cg->root, cg->path);

	if (r == 1)
		return err_set(e, -EBUSY, "linux.cgroupsPath: the cgroup %s/%s has processes already; give the container one of its own", cg->mount, cg->path);
	if (r == 0 && cg_frozen(cg) == 1)
		return err_set(e, -EBUSY, "linux.cgroupsPath: the cgroup %s/%s is frozen; thaw it (echo 0 > cgroup.freeze)", cg->mount, cg->path);
	return r < 0 ? err_sys(e, r, "read %s/%s/cgroup.events", cg->mount, cg->path) : 0;
}

static bool may_do_without(int r, const struct oci_resources *res)
{
	return (r == -EACCES || r == -EPERM || r == -EROFS) && geteuid() != 0 && controllers_needed(res) == 0;
}

int cg_create(struct cgroup *cg, const struct oci_resources *res, struct err *e)
{
	size_t made = 0;
	int r = -ENOENT;

	for (int i = 0; r == -ENOENT && i < RETRIES; i++) {
		made = 0;
		r = make_folders(cg, &made);
		if (r >= 0)
			r = cg->fd = sys_openat(cg->root, cg->path, O_RDONLY | O_DIRECTORY, 0);
	}
	cg->fd = MAX(cg->fd, -1);
	if (may_do_without(r, res)) {
		cg->none = true;
		return 0;
	}
	if ((r == -EACCES || r == -EPERM) && geteuid() != 0)
		return err_set(e, r, "linux.resources: limits need a cgroup that is user %u's: may not make %s/%s; have one delegated (rastd or systemd do that), or leave limits out",
			(unsigned)geteuid(), cg->mount, cg->path);
	if (r < 0)
		return err_sys(e, r, "make the cgroup %s/%s", cg->mount, cg->path);
	cg->fresh = made > 0;
	r = cg->fresh ? 0 : check_fit(cg, e);
	if (r >= 0)
		r = enable(cg, res, e);
	if (r < 0)
		remove_made(cg, made);
	return r;
}

/* cgroup.events is poll(2)ed: the kernel says when it has changed. */
int cg_wait(const struct cgroup *cg, const char *line, int timeout_ms)
{
	_cleanup_close_ int fd = sys_openat(cg->fd, "cgroup.events", O_RDONLY, 0);
	struct timespec start, now;
	char text[256];

	if (fd < 0)
		return fd;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		ssize_t n = sys_pread(fd, text, sizeof(text) - 1, 0);
		if (n < 0)
			return (int)n;
		text[n] = 0;
		if (strstr(text, line))
			return 0;
		clock_gettime(CLOCK_MONOTONIC, &now);
		long left = timeout_ms - (now.tv_sec - start.tv_sec) * 1000 - (now.tv_nsec - start.tv_nsec) / 1000000;
		if (left <= 0)
			return -ETIMEDOUT;
		struct pollfd p = { .fd = fd, .events = POLLPRI };
		(void)poll(&p, 1, (int)MIN(left, 100L)); /* at most that: a notification between the read and the poll is lost */
	}
}

/* Our own folder goes with the last container in it; others' are theirs. */
static void remove_above(const struct cgroup *cg)
{
	if (str_starts(cg->path, OURS "/"))
		(void)sys_unlinkat(cg->root, OURS, AT_REMOVEDIR);
}

int cg_remove(const struct cgroup *cg, struct err *e)
{
	int r = sys_unlinkat(cg->root, cg->path, AT_REMOVEDIR);

	for (int i = 0; r < 0 && r != -ENOENT && i < RETRIES; i++) {
		if (cgroup_populated(cg->root, cg->path) == 1) {
			struct cgroup open_ = *cg;
			_cleanup_close_ int fd = sys_openat(cg->root, cg->path, O_RDONLY | O_DIRECTORY, 0);
			open_.fd = fd;
			(void)cg_kill(&open_);
			r = fd < 0 ? fd : cg_wait(&open_, "populated 0", WAIT_MS);
			if (r == -ETIMEDOUT)
				break;
		}
		r = cgroup_remove(cg->root, cg->path);
	}
	if (r < 0 && r != -ENOENT)
		return err_sys(e, r, "remove the cgroup %s/%s", cg->mount, cg->path);
	remove_above(cg);
	return 0;
}

static int chown_in(const struct cgroup *cg, const char *name, uid_t uid)
{
	return fchownat(cg->fd, name, uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT ? -errno : 0;
}

int cg_delegate(const struct cgroup *cg, uid_t uid, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	char fallback[] = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads", *save = NULL;
	int r = fchown(cg->fd, uid, (gid_t)-1) < 0 ? -errno : 0;

	(void)file_read(AT_FDCWD, "/sys/kernel/cgroup/delegate", 4096, &text, NULL);
	for (char *name = strtok_r(text ? text : fallback, "\n", &save); r >= 0 && name; name = strtok_r(NULL, "\n", &save))
		if (!strchr(name, '/'))
			r = chown_in(cg, name, uid);
	return r < 0 ? err_sys(e, r, "give the cgroup %s/%s to user %u", cg->mount, cg->path, (unsigned)uid) : 0;
}
