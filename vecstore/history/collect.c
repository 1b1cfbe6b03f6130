/* collect.c: what a system's configuration consists of: the table below. Secrets are replaced here, before a text goes anywhere else. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "vecstore/history/private.h"

#define FILE_MAX (256u << 10)
#define STATUS_MAX (64u << 20) /* dpkg's */
#define DEPTH_MAX 4u

struct collecting {
	const struct salt *salt;
	struct documents *ds;
	struct err *e;
};

/* Where configurations lie. In etc: below the system's /etc; else below its root. */
static const struct source_row {
	bool etc;
	const char *path;   /* a file, or a folder with all below it */
	enum doc_kind kind;
	const char *suffix; /* in a folder: only these */
} sources[] = {
	{false, "usr/lib/rastos/services", DOC_SERVICE, ".ini"},
	{true, "rastos/services", DOC_SERVICE, ".ini"},
	{true, "rastos/network", DOC_NETWORK, NULL},
	{true, "rastos/net", DOC_NETWORK, NULL},
	{true, "rastos/containers", DOC_TEXT, NULL},
	{true, "fstab", DOC_MOUNTS, NULL},
	{true, "sysctl.conf", DOC_SYSCTL, NULL},
	{true, "sysctl.d", DOC_SYSCTL, ".conf"},
	{true, "environment", DOC_ENVIRONMENT, NULL},
	{true, "modules-load.d", DOC_TEXT, ".conf"},
	{true, "modprobe.d", DOC_TEXT, ".conf"},
	{true, "hostname", DOC_TEXT, NULL},
	{true, "resolv.conf", DOC_TEXT, NULL},
	{true, "ssh/sshd_config", DOC_TEXT, NULL},
	{true, "ssh/sshd_config.d", DOC_TEXT, ".conf"},
};

static int add_text(struct collecting *c, enum doc_kind kind, const char *name, const char *text, size_t n)
{
	_cleanup_buf_ struct buf clean = {0};
	int r = secret_redact(c->salt, text, n, &clean, NULL);

	if (r == 0)
		r = documents_add(c->ds, kind, name, clean.data ? clean.data : "", clean.len);
	return r < 0 ? err_sys(c->e, r, "read %s", name) : 0;
}

static int add_file(struct collecting *c, enum doc_kind kind, int dirfd, const char *file, const char *name)
{
	_cleanup_free_ char *text = NULL;
	size_t n;

	if (file_read(dirfd, file, FILE_MAX, &text, &n) < 0)
		return 0; /* not there, not readable, too big for a configuration */
	return add_text(c, kind, name, text, n);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_folder(struct collecting *c, const struct source_row *row, int dirfd, const char *path, const char *name, unsigned depth)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct dirent **list = NULL;
	int r = 0, n = fd < 0 ? 0 : scandirat(fd, ".", &list, NULL, by_name);

	for (int i = 0; i < n; i++) {
		char full[4096];
		struct stat st;
		snprintf(full, sizeof(full), "%s/%s", name, list[i]->d_name);
		if (r < 0 || list[i]->d_name[0] == '.' || fstatat(fd, list[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			;
		else if (S_ISDIR(st.st_mode) && depth > 0)
			r = add_folder(c, row, fd, list[i]->d_name, full, depth - 1);
		else if (S_ISREG(st.st_mode) && (!row->suffix || str_ends(list[i]->d_name, row->suffix)))
			r = add_file(c, row->kind, fd, list[i]->d_name, full);
		free(list[i]);
	}
	free(list);
	return r;
}

/* Which services are enabled: the links' names. */
static int add_enabled(struct collecting *c, int etcfd)
{
	_cleanup_close_ int fd = openat(etcfd, "rastos/enabled", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_buf_ struct buf b = {0};
	struct dirent **list = NULL;
	int n = fd < 0 ? 0 : scandirat(fd, ".", &list, NULL, by_name);

	for (int i = 0; i < n; i++) {
		char target[256];
		ssize_t len = list[i]->d_name[0] == '.' ? -1 : readlinkat(fd, list[i]->d_name, target, sizeof(target) - 1);
		if (len >= 0) {
			target[len] = '\0';
			buf_addf(&b, "%s%s\n", list[i]->d_name, streq(target, "/dev/null") ? " off" : "");
		}
		free(list[i]);
	}
	free(list);
	return b.len ? add_text(c, DOC_TEXT, "/etc/rastos/enabled", b.data, b.len) : 0;
}

/* Package, Status and Version of each stanza of dpkg's status file: deb822(5). */
static void dpkg_packages(char *text, struct buf *out)
{
	char *name = NULL, *version = NULL;
	bool installed = false;

	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		if (str_starts(line, "Package: "))
			name = line + 9;
		else if (str_starts(line, "Version: "))
			version = line + 9;
		else if (str_starts(line, "Status: "))
			installed = str_ends(line, " installed");
		if (*line && rest)
			continue;
		if (name && version && installed)
			buf_addf(out, "%s %s\n", name, version);
		name = version = NULL;
		installed = false;
	}
}

/* pacman's local database: a folder NAME-VERSION-RELEASE per package. */
static void pacman_packages(int fd, struct buf *out)
{
	struct dirent **list = NULL;
	int n = scandirat(fd, ".", &list, NULL, by_name);

	for (int i = 0; i < n; i++) {
		char *release = strrchr(list[i]->d_name, '-'), *version = release ? memrchr(list[i]->d_name, '-', (size_t)(release - list[i]->d_name)) : NULL;
		if (version && list[i]->d_name[0] != '.')
			buf_addf(out, "%.*s %s\n", (int)(version - list[i]->d_name), list[i]->d_name, version + 1);
		free(list[i]);
	}
	free(list);
}

static int add_packages(struct collecting *c, int rootfd)
{
	static const char *const pacman[] = {"usr/share/rast/db/local", "usr/lib/pacman/local", "var/lib/pacman/local"};
	static const char *const dpkg[] = {"usr/lib/dpkg/status", "var/lib/dpkg/status"};
	_cleanup_buf_ struct buf b = {0};

	for (size_t i = 0; !b.len && i < ARRAY_SIZE(pacman); i++) {
		_cleanup_close_ int fd = openat(rootfd, pacman[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			pacman_packages(fd, &b);
	}
	for (size_t i = 0; !b.len && i < ARRAY_SIZE(dpkg); i++) {
		_cleanup_free_ char *text = NULL;
		if (file_read(rootfd, dpkg[i], STATUS_MAX, &text, NULL) == 0)
			dpkg_packages(text, &b);
	}
	return b.len ? documents_add(c->ds, DOC_PACKAGES, "packages", b.data, b.len) : 0;
}

/* What belongs to one boot and not to the configuration. */
static bool of_this_boot(const char *word)
{
	static const char *const words[] = {"rast.snapshot=", "rast.test-gate=", "initrd=", "BOOT_IMAGE=", "rast.root="};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_starts(word, words[i]))
			return true;
	return false;
}

static int add_kernel(struct collecting *c)
{
	_cleanup_free_ char *cmdline = NULL;
	_cleanup_buf_ struct buf b = {0};
	struct utsname u;

	if (uname(&u) < 0 || file_read(AT_FDCWD, "/proc/cmdline", 65536, &cmdline, NULL) < 0)
		return 0;
	buf_addf(&b, "%s\n", u.release);
	for (char *rest = str_strip(cmdline), *word; (word = strsep(&rest, " "));)
		if (*word && !of_this_boot(word))
			buf_addf(&b, "%s ", word);
	return add_text(c, DOC_KERNEL, "kernel", b.data, b.len);
}

int documents_collect(const char *root, const char *etc, bool running, const struct salt *salt, struct documents *ret, struct err *e)
{
	struct collecting c = {.salt = salt, .ds = ret, .e = e};
	_cleanup_close_ int rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), etcfd = open(etc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (rootfd < 0 || etcfd < 0)
		return err_sys(e, -errno, "open %s to read its configuration", rootfd < 0 ? root : etc);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(sources); i++) {
		const struct source_row *row = &sources[i];
		int at = row->etc ? etcfd : rootfd;
		char name[256];
		struct stat st;
		snprintf(name, sizeof(name), "%s%s", row->etc ? "/etc/" : "/", row->path);
		if (fstatat(at, row->path, &st, 0) < 0)
			continue;
		r = S_ISDIR(st.st_mode) ? add_folder(&c, row, at, row->path, name, DEPTH_MAX) : add_file(&c, row->kind, at, row->path, name);
	}
	if (r == 0)
		r = add_enabled(&c, etcfd);
	if (r == 0)
		r = add_packages(&c, rootfd);
	if (r == 0 && running)
		r = add_kernel(&c);
	return r < 0 && e && !e->code ? err_sys(e, r, "read the configuration of %s", root) : r;
}
