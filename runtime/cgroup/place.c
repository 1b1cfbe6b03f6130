/* place.c: where the cgroup hierarchy is, and the container's place in it. */
#include "runtime/cgroup/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"

#define PATH_BYTES 4096
#define NAME_BYTES 255 /* NAME_MAX, of one folder */

static bool is_cgroup2(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* The mount point of the first cgroup2 in mountinfo (proc(5)): field 5, the type behind " - ". */
static char *from_mountinfo(void)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL;

	if (file_read(AT_FDCWD, "/proc/self/mountinfo", 4U << 20, &text, NULL) < 0)
		return NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *type = strstr(line, " - cgroup2 "), *path = line;
		for (int i = 0; path && type && i < 4; i++)
			path = strchr(path + 1, ' ');
		if (!path || !type)
			continue;
		path++;
		path[strcspn(path, " ")] = 0;
		if (is_cgroup2(path))
			return strdup(path);
	}
	return NULL;
}

static int find_root(struct cgroup *cg, struct err *e)
{
	static const char *const usual[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

	for (size_t i = 0; i < ARRAY_SIZE(usual) && !cg->mount; i++)
		if (is_cgroup2(usual[i]))
			cg->mount = strdup(usual[i]);
	if (!cg->mount)
		cg->mount = from_mountinfo();
	if (!cg->mount)
		return err_set(e, -ENOTSUP, "no cgroup version 2 is mounted; mount it (mount -t cgroup2 none /sys/fs/cgroup)");
	cg->root = sys_openat(AT_FDCWD, cg->mount, O_RDONLY | O_DIRECTORY, 0);
	return cg->root < 0 ? err_sys(e, cg->root, "open %s", cg->mount) : 0;
}

/* Add `more` component by component: no empty ones, no '.', no '..'. */
static int add_path(struct buf *b, const char *more)
{
	for (const char *p = more; *p;) {
		size_t n = strcspn(p, "/");
		if (n > NAME_BYTES || (n == 2 && p[0] == '.' && p[1] == '.'))
			return -EINVAL;
		if (n > 0 && !(n == 1 && *p == '.')) {
			if (b->len > 0)
				(void)buf_add(b, "/", 1);
			(void)buf_add(b, p, n);
		}
		p += n + (p[n] == '/');
	}
	return b->failed ? -ENOMEM : b->len < PATH_BYTES ? 0 : -ENAMETOOLONG;
}

/* systemd.slice(5): a dash is a level. "-.slice" is the top. */
static int add_slice(struct buf *b, const char *slice, size_t n)
{
	static const char suffix[] = ".slice";
	size_t stem = n - strlen(suffix);

	if (n <= strlen(suffix) || strncmp(slice + stem, suffix, strlen(suffix)) != 0 || memchr(slice, '/', n))
		return -EINVAL;
	if (stem == 1 && *slice == '-')
		return 0;
	for (size_t i = 1; i <= stem; i++) {
		if (i < stem && slice[i] != '-')
			continue;
		if (slice[i - 1] == '-' || *slice == '-')
			return -EINVAL;
		if (buf_addf(b, "%s%.*s%s", b->len > 0 ? "/" : "", (int)i, slice, suffix) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_unit(struct buf *b, const char *prefix, size_t n, const char *name)
{
	const char *slash = b->len > 0 ? "/" : "";

	if (!*name || strchr(name, '/') || strchr(name, ':') || memchr(prefix, '/', n) || streq(name, "..") || streq(name, "."))
		return -EINVAL;
	if (str_ends(name, ".slice"))
		return buf_addf(b, "%s%s", slash, name);
	return buf_addf(b, "%s%.*s%s%s.scope", slash, (int)n, prefix, n > 0 ? "-" : "", name);
}

int cg_path_from_systemd(const char *s, bool rootless, char **ret)
{
	_cleanup_buf_ struct buf b = { 0 };
	const char *prefix = strchr(s, ':'), *name = prefix ? strchr(prefix + 1, ':') : NULL;
	const char *slice = prefix == s ? (rootless ? "user.slice" : "system.slice") : s;
	int r;

	if (!name)
		return -EINVAL;
	r = add_slice(&b, slice, prefix == s ? strlen(slice) : (size_t)(prefix - s));
	if (r >= 0)
		r = add_unit(&b, prefix + 1, (size_t)(name - prefix - 1), name + 1);
	if (r < 0 || b.failed)
		return b.failed ? -ENOMEM : r;
	*ret = strdup(b.data);
	return *ret ? 0 : -ENOMEM;
}

/* What an ordinary user was given: systemd's user@UID.service; else the folder above his own when he may write there (his own has him in it, so that
 * no controllers can be enabled below it); else his own. */
static int delegated(const struct cgroup *cg, struct buf *b, struct err *e)
{
	char own[PATH_BYTES], *user, *last;
	int r = proc_cgroup(getpid(), own, sizeof(own));

	if (r < 0)
		return err_sys(e, r, "find my own cgroup");
	user = strstr(own, "/user@");
	if (user && strstr(user, ".service"))
		strstr(user, ".service")[strlen(".service")] = 0;
	else if ((last = strrchr(own, '/')) && last > own) {
		*last = 0;
		if (faccessat(cg->root, own + 1, W_OK, AT_EACCESS) < 0)
			*last = '/';
	}
	r = add_path(b, own);
	return r < 0 ? err_sys(e, r, "my own cgroup %s", own) : 0;
}

static int find_path(struct cgroup *cg, const char *cgroups_path, const char *id, bool systemd, bool rootless, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	_cleanup_free_ char *unit = NULL;
	bool absolute = cgroups_path && *cgroups_path == '/';
	int r = rootless && !absolute ? delegated(cg, &b, e) : 0;

	if (r < 0)
		return r;
	if (!strempty(cgroups_path) && systemd) {
		r = cg_path_from_systemd(cgroups_path, rootless, &unit);
		if (r >= 0)
			r = add_path(&b, unit);
	} else {
		r = absolute ? 0 : add_path(&b, OURS);
		if (r >= 0)
			r = add_path(&b, strempty(cgroups_path) ? id : cgroups_path);
	}
	if (r == -EINVAL)
		return err_set(e, r, "linux.cgroupsPath: '%s' is no path of a cgroup; write it like %s", cgroups_path,
			systemd ? "system.slice:prefix:name" : "/group/name");
	if (r < 0)
		return err_sys(e, r, "linux.cgroupsPath: %s", cgroups_path ? cgroups_path : id);
	if (!b.data)
		return err_set(e, -EINVAL, "linux.cgroupsPath: '%s' is the top of the hierarchy, where no container can be; name a cgroup", cgroups_path);
	cg->path = strdup(b.data);
	return cg->path ? 0 : err_set(e, -ENOMEM, "not enough memory");
}

int cg_open(const char *cgroups_path, const char *id, bool systemd, bool rootless, struct cgroup *ret, struct err *e)
{
	int r;

	*ret = (struct cgroup)CGROUP_NONE;
	r = find_root(ret, e);
	if (r >= 0)
		r = find_path(ret, cgroups_path, id, systemd, rootless, e);
	if (r < 0)
		cg_close(ret);
	return r;
}

int cg_open_existing(const char *path, struct cgroup *ret, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	int r;

	*ret = (struct cgroup)CGROUP_NONE;
	r = find_root(ret, e);
	if (r >= 0 && (add_path(&b, path) < 0 || !b.data))
		r = err_set(e, -EINVAL, "'%s' is no path of a cgroup", path);
	if (r >= 0 && b.data && !(ret->path = strdup(b.data)))
		r = err_set(e, -ENOMEM, "not enough memory");
	if (r < 0) {
		cg_close(ret);
		return r;
	}
	ret->fd = sys_openat(ret->root, ret->path, O_RDONLY | O_DIRECTORY, 0);
	r = ret->fd < 0 ? ret->fd : 0;
	ret->fd = MAX(ret->fd, -1);
	return r < 0 ? err_sys(e, r, "open the cgroup %s/%s", ret->mount, ret->path) : 0;
}

void cg_close(struct cgroup *cg)
{
	closep(&cg->root);
	closep(&cg->fd);
	free(cg->mount);
	free(cg->path);
	*cg = (struct cgroup)CGROUP_NONE;
}
