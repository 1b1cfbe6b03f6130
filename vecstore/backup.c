/* backup.c: a copy of the store in one file, and back.
 *
 * LMDB copies its own file at one version while others read and write (mdb_env_copyfd). The copy gets its name after it has been
 * checked and synced: a file of that name is a whole backup. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/sys.h"
#include "vecstore/check.h"

static void first_problem(const char *text, void *data)
{
	char **first = data;
	if (!*first)
		*first = strdup(text);
}

/* Every page and cell of a file. */
static int check_file(int dirfd, const char *name, struct err *e)
{
	_cleanup_free_ char *first = NULL;
	struct pages p;
	struct walk w = { .p = &p, .problem = first_problem, .problem_data = &first };
	int r = pages_open(dirfd, name, false, &p, e);

	if (r < 0)
		return r;
	r = walk_file(&w);
	pages_close(&p);
	if (r == 0 && w.problems)
		return err_set(e, -EBADMSG, "%s is damaged in %llu places: %s", name, (unsigned long long)w.problems, first ? first : "");
	return r < 0 ? err_sys(e, r, "check %s", name) : 0;
}

/* The folder of a path, open, and the name in it. */
static int open_parent(const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash ? strndup(path, (size_t)MAX(slash - path, 1)) : strdup(".");

	*name = slash ? slash + 1 : path;
	if (!dir)
		return -ENOMEM;
	return **name ? sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0) : -EISDIR;
}

/* tmp is written: check it, and let it have its name. */
static int publish(int dirfd, const char *tmp, int fd, const char *name, struct err *e)
{
	int r = sys_fsync(fd);

	r = r < 0 ? err_sys(e, r, "sync %s", tmp) : check_file(dirfd, tmp, e);
	if (r == 0) {
		r = sys_renameat(dirfd, tmp, dirfd, name);
		if (r == 0)
			r = sys_fsync(dirfd);
		if (r < 0)
			err_sys(e, r, "rename %s to %s", tmp, name);
	}
	return r;
}

int vs_backup(struct vs *s, const char *file, struct err *e)
{
	_cleanup_close_ int dirfd = -1, fd = -1;
	const char *name;
	char tmp[300];
	int r;

	if (!s->env)
		return err_set(e, -EINVAL, "store %s: a backup needs a handle with locks", s->dir);
	dirfd = open_parent(file, &name);
	if (dirfd < 0)
		return err_sys(e, dirfd, "open the folder of %s", file);
	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.tmp", name) >= sizeof(tmp))
		return err_set(e, -ENAMETOOLONG, "%s: the name is too long", file);
	fd = sys_openat(dirfd, tmp, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return err_sys(e, fd, "make %s.tmp", file);
	r = mdb_env_copyfd(s->env, fd);
	r = r ? err_sys(e, mdb_error(r), "write %s.tmp", file) : publish(dirfd, tmp, fd, name, e);
	if (r < 0) {
		(void)unlinkat(dirfd, tmp, 0);
		err_prefix(e, "store %s: back up", s->dir);
	}
	return r;
}

static int copy_file(int from, int to)
{
	_cleanup_free_ char *chunk = malloc(1 << 20);
	ssize_t n = chunk ? 1 : -ENOMEM;

	while (n > 0) {
		n = sys_read(from, chunk, 1 << 20);
		if (n > 0) {
			int r = write_all(to, chunk, (size_t)n);
			if (r < 0)
				return r;
		}
	}
	return (int)n;
}

static int restore_into(int dirfd, const char *dir, const char *file, bool replace, struct err *e)
{
	_cleanup_close_ int from = -1, to = -1;
	const char *tmp = VS_DATA_FILE ".tmp";
	int r;

	if (!replace && faccessat(dirfd, VS_DATA_FILE, F_OK, 0) == 0)
		return err_set(e, -EEXIST, "%s holds a store already; rastvec restore --replace puts the backup in its place", dir);
	from = sys_openat(AT_FDCWD, file, O_RDONLY, 0);
	if (from < 0)
		return err_sys(e, from, "open backup %s", file);
	to = sys_openat(dirfd, tmp, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (to < 0)
		return err_sys(e, to, "make %s/%s", dir, tmp);
	r = copy_file(from, to);
	r = r < 0 ? err_sys(e, r, "copy %s to %s/%s", file, dir, tmp) : publish(dirfd, tmp, to, VS_DATA_FILE, e);
	if (r < 0)
		(void)unlinkat(dirfd, tmp, 0);
	else
		(void)unlinkat(dirfd, "lock.mdb", 0); /* of the store that was */
	return r;
}

int vs_restore(const char *file, const char *dir, bool replace, struct err *e)
{
	_cleanup_close_ int dirfd = -1, parent = -1;
	const char *name;
	int r;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_sys(e, -errno, "make folder %s", dir);
	dirfd = sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	parent = open_parent(dir, &name);
	if (dirfd < 0)
		return err_sys(e, dirfd, "open store %s", dir);
	if (flock(dirfd, LOCK_EX) < 0)
		return err_sys(e, -errno, "lock store %s", dir);
	r = restore_into(dirfd, dir, file, replace, e);
	if (r == 0 && parent >= 0)
		r = sys_fsync(parent);
	if (r < 0)
		err_prefix(e, "restore %s", file);
	return r;
}
