/* modules.c: loading modules. See modules.h. */
#include "init/modules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/module.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "init/cmdline.h"

#define FILE_MAX (16u << 20)
#define SOFTDEP_DEPTH 4 /* a pre: of a pre: of ...: deeper ones don't exist, and cycles must end */

#ifndef MODULE_INIT_COMPRESSED_FILE
#define MODULE_INIT_COMPRESSED_FILE 4 /* include/uapi/linux/module.h since 5.17 */
#endif

static char *read_or_empty(int dirfd, const char *name)
{
	char *text;

	return file_read(dirfd, name, FILE_MAX, &text, NULL) == 0 ? text : strdup("");
}

int modules_open(struct modules *m, const char *root, const char *release, struct err *e)
{
	struct utsname u;

	memset(m, 0, sizeof(*m));
	if (!release) {
		if (uname(&u) < 0)
			return err_sys(e, -errno, "uname");
		release = u.release;
	}
	if (asprintf(&m->dir, "%s/lib/modules/%s", root, release) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, m->dir, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0) {
		err_sys(e, fd, "open %s", m->dir);
		modules_close(m);
		return fd;
	}
	m->dep = read_or_empty(fd, "modules.dep");
	m->alias = read_or_empty(fd, "modules.alias");
	m->softdep = read_or_empty(fd, "modules.softdep");
	m->builtin = read_or_empty(fd, "modules.builtin");
	if (!m->dep || !m->alias || !m->softdep || !m->builtin) {
		modules_close(m);
		return err_set(e, -ENOMEM, "out of memory");
	}
	return 0;
}

void modules_close(struct modules *m)
{
	free(m->dir);
	free(m->dep);
	free(m->alias);
	free(m->softdep);
	free(m->builtin);
	memset(m, 0, sizeof(*m));
}

static bool is_loaded(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/%s/initstate", name); /* only modules that are not built in have one */
	return access(path, F_OK) == 0;
}

/* "virtio_blk.queue_depth=8" on the kernel command line -> "queue_depth=8 ". */
static void parameters(const char *cmdline, const char *name, char *buf, size_t size)
{
	size_t name_len = strlen(name), len = 0;
	struct cmdline_arg a;

	buf[0] = '\0';
	for (const char *pos = cmdline; pos && cmdline_next(&pos, &a);) {
		struct cmdline_arg prefix = {.key = a.key, .key_len = name_len};
		int n;
		if (a.key_len <= name_len + 1 || a.key[name_len] != '.' || !cmdline_is(&prefix, name))
			continue;
		n = snprintf(buf + len, size - len, "%.*s%s%.*s ", (int)(a.key_len - name_len - 1), a.key + name_len + 1, a.value ? "=" : "",
			(int)a.value_len, a.value ? a.value : "");
		if (n < 0 || (size_t)n >= size - len) {
			buf[len] = '\0';
			return;
		}
		len += (size_t)n;
	}
}

static int load_file(struct modules *m, struct span path, struct err *e)
{
	char name[MODULE_NAME_MAX], full[4096], options[1024];
	int flags, r;

	if (!module_name_of(path, name))
		return err_set(e, -ENAMETOOLONG, "module %.*s: its name is too long", (int)path.n, path.s);
	if (is_loaded(name))
		return 0;
	if (path.s[0] == '/')
		snprintf(full, sizeof(full), "%.*s", (int)path.n, path.s);
	else
		snprintf(full, sizeof(full), "%s/%.*s", m->dir, (int)path.n, path.s);
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, full, O_RDONLY, 0);
	if (fd < 0)
		return err_sys(e, fd, "open module %s", full);
	parameters(m->cmdline, name, options, sizeof(options));
	flags = str_ends(full, ".ko") ? 0 : MODULE_INIT_COMPRESSED_FILE;
	r = syscall(SYS_finit_module, fd, options, flags) < 0 ? -errno : 0;
	if (r == 0)
		m->loaded++;
	if (r == -EEXIST || r == 0)
		return 0;
	if (r == -EOPNOTSUPP || (r == -EINVAL && flags))
		return err_set(e, r, "load %s: this kernel can't unpack it; install modules that are not compressed", full);
	return err_sys(e, r, "load %s", full);
}

static int load_named(struct modules *m, const char *name, unsigned depth, struct err *e)
{
	struct span paths[MODULE_DEPS_MAX], rest = {0};
	char dep[MODULE_NAME_MAX], meant[MODULE_NAME_MAX];
	const char *pos = m->softdep;
	int n, r;

	if (is_loaded(name))
		return 0;
	n = modules_dep_find(m->dep, name, paths, MODULE_DEPS_MAX);
	if (n <= 0)
		return n < 0 ? err_set(e, n, "module %s: more than %d dependencies", name, MODULE_DEPS_MAX) :
			       modules_builtin_has(m->builtin, name) ? 0 : -ENOENT;
	while (depth < SOFTDEP_DEPTH && modules_softdep_next(&pos, name, &rest, dep)) {
		int s = load_named(m, dep, depth + 1, NULL);
		for (const char *a = m->alias; s == -ENOENT && modules_alias_next(&a, dep, meant);)
			load_named(m, meant, depth + 1, NULL);
	}
	for (int i = n - 1; i >= 0; i--) {
		r = load_file(m, paths[i], e);
		if (r < 0)
			return i == 0 ? r : (err_prefix(e, "module %s needs another", name), r);
	}
	return 0;
}

int modules_load(struct modules *m, const char *name, struct err *e)
{
	char plain[MODULE_NAME_MAX], module[MODULE_NAME_MAX];
	int r, found = -ENOENT;

	if (module_name_of((struct span){name, strlen(name)}, plain)) {
		r = load_named(m, plain, 0, e);
		if (r != -ENOENT || (e && e->code))
			return r;
	}
	for (const char *pos = m->alias; modules_alias_next(&pos, name, module);) {
		r = load_named(m, module, 0, e);
		if (found != 0)
			found = r;
	}
	return found == -ENOENT ? err_set(e, -ENOENT, "no kernel module or alias '%s' in %s", name, m->dir) : found;
}

static void coldplug_device(struct modules *m, int devfd, const char *device)
{
	_cleanup_free_ char *text = NULL;
	char path[300], module[MODULE_NAME_MAX];

	snprintf(path, sizeof(path), "%s/driver", device);
	if (faccessat(devfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return; /* it has what it needs: the index need not be searched */
	snprintf(path, sizeof(path), "%s/modalias", device);
	if (file_read(devfd, path, 4096, &text, NULL) < 0)
		return;
	str_strip(text);
	for (const char *pos = m->alias; *text && modules_alias_next(&pos, text, module);) {
		_cleanup_err_ struct err e = {0};
		if (load_named(m, module, 0, &e) < 0 && e.code) {
			m->failed++;
			log_warning("%s", err_text(&e));
		}
	}
}

static void coldplug_bus(struct modules *m, const char *bus)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/%s/devices", bus);
	fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return;
	_cleanup_closedir_ DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return;
	}
	for (struct dirent *de; (de = readdir(d));)
		if (de->d_name[0] != '.')
			coldplug_device(m, dirfd(d), de->d_name);
}

unsigned modules_coldplug(struct modules *m)
{
	unsigned before, first = m->loaded;

	/* A driver (virtio_pci) makes devices on another bus (virtio): until a round brings nothing new. */
	do {
		before = m->loaded;
		_cleanup_closedir_ DIR *d = opendir("/sys/bus");
		for (struct dirent *de; d && (de = readdir(d));)
			if (de->d_name[0] != '.')
				coldplug_bus(m, de->d_name);
	} while (m->loaded != before);
	return m->loaded - first;
}

unsigned modules_load_list(struct modules *m, const char *text, const char *file)
{
	unsigned failed = 0;

	while (*text) {
		const char *end = strchrnul(text, '\n');
		char name[256];
		size_t n = (size_t)(end - text);

		if (n < sizeof(name)) {
			memcpy(name, text, n);
			name[n] = '\0';
			char *word = str_strip(name);
			_cleanup_err_ struct err e = {0};
			if (*word && *word != '#' && *word != ';' && modules_load(m, word, &e) < 0) {
				failed++;
				log_warning("%s: %s", file, err_text(&e));
			}
		}
		text = *end ? end + 1 : end;
	}
	m->failed += failed;
	return failed;
}
