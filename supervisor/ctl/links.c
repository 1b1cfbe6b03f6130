/* links.c: enable and disable: links in /etc/rastos/enabled, changed atomically, then applied.
 *
 * NAME -> the service's file: enabled. NAME -> /dev/null: disabled although the distribution's file says [install] enabled = yes. */
#include "supervisor/ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>

static int open_folder(void)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/enabled", set.etc_dir);
	int r = set.dry_run ? 0 : mkdir_p(path, 0755);
	int fd = r < 0 ? r : sys_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd == -EACCES || fd == -EPERM)
		return -ctl_error(CTL_DENIED, "%s can't be changed by user %u; try it with sudo or su", path, (unsigned)getuid());
	if (fd == -EROFS)
		return -ctl_error(CTL_FAILED, "%s is on a read-only file system", path);
	if (fd < 0)
		return -ctl_error(CTL_FAILED, "open %s: %s", path, strerror(-fd));
	return fd;
}

/* A link may also be called NAME.ini: there has to be one answer. */
static void remove_other_link(int dirfd, const char *name)
{
	char other[NAME_LEN_MAX + 8];
	snprintf(other, sizeof other, "%.63s.ini", name);
	unlinkat(dirfd, other, 0);
}

/* Like file_replace() for links: a temporary one, renamed over, and the folder flushed, so that a power cut leaves the old or the new one.
 */
static int replace_link(int dirfd, const char *name, const char *target)
{
	char temporary[NAME_LEN_MAX + 16];
	snprintf(temporary, sizeof temporary, ".%.63s.new", name);
	unlinkat(dirfd, temporary, 0);
	if (symlinkat(target, dirfd, temporary) < 0)
		return -errno;
	int r = sys_renameat(dirfd, temporary, dirfd, name);
	if (r >= 0) {
		remove_other_link(dirfd, name);
		r = sys_fsync(dirfd);
	}
	if (r < 0)
		unlinkat(dirfd, temporary, 0);
	return r;
}

/* web@8080 is made from web@8080.ini if there is one, else from the template web@.ini. */
static bool find_file(const char *name, char *path, size_t size)
{
	const char *dirs[] = {set.etc_dir, set.lib_dir};
	const char *at = strchr(name, '@');
	size_t lengths[] = {strlen(name), at ? (size_t)(at - name + 1) : 0};
	for (size_t k = 0; k < ARRAY_SIZE(lengths) && lengths[k]; k++)
		for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
			snprintf(path, size, "%s/services/%.*s.ini", dirs[i], (int)lengths[k], name);
			if (access(path, F_OK) == 0)
				return true;
		}
	return false;
}

static json_t *changed; /* with --json: who */

static int report(const char *name, int r, const char *what)
{
	if (r == -EACCES || r == -EPERM)
		return ctl_error(
			CTL_DENIED, "only root may %s services, and you are user %u; try it with sudo or su", what, (unsigned)getuid());
	if (r < 0)
		return ctl_error(CTL_FAILED, "%s '%s': %s", what, name, strerror(-r));
	if (set.json)
		json_array_append_new(changed, json_string(name));
	else if (!set.quiet)
		printf("%s%sd: %s\n", set.dry_run ? "would be " : "", what, name);
	return CTL_OK;
}

static int enable_one(int dirfd, const char *name)
{
	char path[4096];
	if (!name_valid(name) || !find_file(name, path, sizeof path))
		return ctl_error(
			CTL_DENIED, "there is no service file for '%s' in %s/services or %s/services", name, set.etc_dir, set.lib_dir);
	return report(name, set.dry_run ? 0 : replace_link(dirfd, name, path), "enable");
}

/* A link to /dev/null rather than none: the service's own file may say that it is enabled. An instance is only there since somebody names it: without its
 * link it is gone, as a rule, and nothing is left to be listed. */
static int remove_link(int dirfd, const char *name)
{
	int r = sys_unlinkat(dirfd, name, 0);
	remove_other_link(dirfd, name);
	return r < 0 && r != -ENOENT ? r : check_machine_enabled(name) ? replace_link(dirfd, name, "/dev/null") : sys_fsync(dirfd);
}

static int disable_one(int dirfd, const char *name)
{
	char path[4096];
	if (!name_valid(name))
		return ctl_error(CTL_USAGE, "'%s' is not a name of a service", name);
	bool there = find_file(name, path, sizeof path);
	struct stat st;
	bool linked = fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!there && !linked)
		return ctl_error(
			CTL_DENIED, "there is no service file for '%s' in %s/services or %s/services", name, set.etc_dir, set.lib_dir);
	bool own = there && str_ends(path, ".ini") && !str_ends(path, "@.ini");
	int r = set.dry_run ? 0 : own ? replace_link(dirfd, name, "/dev/null") : remove_link(dirfd, name);
	return report(name, r, "disable");
}

/* What a link was, so that it can be put back. */
struct old_link {
	bool was;
	char target[4096];
};

static void note_link(int dirfd, const char *name, struct old_link *old)
{
	char other[NAME_LEN_MAX + 8];
	snprintf(other, sizeof other, "%.63s.ini", name);
	ssize_t n = readlinkat(dirfd, name, old->target, sizeof old->target - 1);
	if (n < 0)
		n = readlinkat(dirfd, other, old->target, sizeof old->target - 1);
	old->was = n > 0;
	old->target[MAX(n, 0)] = '\0';
}

static void put_back(int dirfd, int n, char **names, const struct old_link *old)
{
	for (int i = 0; i < n; i++) {
		if (!name_valid(names[i])) /* was refused */
			continue;
		int r = old[i].was ? replace_link(dirfd, names[i], old[i].target) : sys_unlinkat(dirfd, names[i], 0);
		if (r < 0 && r != -ENOENT)
			ctl_error(CTL_FAILED, "'%s' can't be put back as it was: %s", names[i], strerror(-r));
	}
	sys_fsync(dirfd);
}

/* Links that make a good set of services a bad one would let the next boot end in the rescue shell. */
static int enable_all(int dirfd, int n, char **names)
{
	_cleanup_free_ struct old_link *old = calloc((size_t)n, sizeof *old);
	if (!old)
		return ctl_error(CTL_FAILED, "enable: %s", strerror(ENOMEM));
	bool good = check_machine_errors(false) == 0;
	int status = CTL_OK;
	for (int i = 0; i < n; i++)
		note_link(dirfd, names[i], &old[i]);
	for (int i = 0; i < n; i++) {
		int r = enable_one(dirfd, names[i]);
		status = r ? r : status;
	}
	if (set.dry_run || !good || check_machine_errors(false) == 0)
		return status;
	check_machine_errors(true);
	put_back(dirfd, n, names, old);
	return ctl_error(CTL_FAILED, "with that the service files have errors: nothing is enabled that was not before");
}

static int disable_all(int dirfd, int n, char **names)
{
	int status = CTL_OK;
	for (int i = 0; i < n; i++) {
		int r = disable_one(dirfd, names[i]);
		status = r ? r : status;
	}
	return status;
}

static int change(int argc, char **argv, int (*all)(int, int, char **), int (*now)(int, char **, void *))
{
	if (argc < 2)
		return ctl_error(CTL_USAGE, "%s: which service?", argv[0]);
	_cleanup_close_ int dirfd = open_folder();
	if (dirfd < 0)
		return -dirfd;
	changed = json_array();
	int status = all(dirfd, argc - 1, argv + 1);
	if (status == CTL_OK && !set.dry_run)
		status = verb_apply_now();
	if (status == CTL_OK && set.now && !set.dry_run)
		status = now(argc, argv, NULL); /* which prints what started or stopped */
	else if (status == CTL_OK && set.json)
		print_json(json_pack("{s:O}", "changed", changed));
	json_decref(changed);
	return status;
}

VERB(enable)
{
	return change(argc, argv, enable_all, verb_start);
}

/* Instances that nobody names any more leave the set when an apply finds them down. */
static int stop_now(int argc, char **argv, void *data)
{
	int r = verb_stop(argc, argv, data);
	bool instance = false;
	for (int i = 1; i < argc; i++)
		instance |= strchr(argv[i], '@') != NULL;
	return r || !instance ? r : verb_apply_now();
}

VERB(disable)
{
	return change(argc, argv, disable_all, stop_now);
}

/* --- cat: the files that a service is made of --- */

static json_t *files; /* with --json */

static int print_file(const char *path)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read(AT_FDCWD, path, 1 << 20, &text, NULL);
	if (r < 0)
		return r;
	if (set.json) {
		json_array_append_new(files, json_pack("{s:s, s:s}", "file", path, "text", text));
		return 0;
	}
	printf("%s# %s%s\n%s%s", paint_on(PAINT_DIM), path, paint_off(), text, *text && text[strlen(text) - 1] != '\n' ? "\n" : "");
	return 0;
}

static int is_ini(const struct dirent *e)
{
	return e->d_name[0] != '.' && str_ends(e->d_name, ".ini");
}

static void print_dropins(const char *name)
{
	const char *dirs[] = {set.etc_dir, set.lib_dir};
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		char dir[4096], path[4400];
		struct dirent **list = NULL;
		snprintf(dir, sizeof dir, "%s/services/%.63s.d", dirs[i], name);
		int n = scandir(dir, &list, is_ini, alphasort);
		for (int k = 0; k < n; k++) {
			snprintf(path, sizeof path, "%s/%s", dir, list[k]->d_name);
			if (!set.json)
				putchar('\n');
			print_file(path);
			free(list[k]);
		}
		free(list);
	}
}

VERB(cat)
{
	int status = CTL_OK;
	if (argc < 2)
		return ctl_error(CTL_USAGE, "cat: which service?");
	files = json_array();
	for (int i = 1; i < argc; i++) {
		char path[4096];
		if (!name_valid(argv[i]) || !find_file(argv[i], path, sizeof path)) {
			status = ctl_error(CTL_DENIED, "there is no service file for '%s' in %s/services or %s/services", argv[i],
				set.etc_dir, set.lib_dir);
			continue;
		}
		if (i > 1 && !set.json)
			putchar('\n');
		int r = print_file(path);
		if (r < 0)
			status = ctl_error(r == -EACCES ? CTL_DENIED : CTL_FAILED, "read %s: %s", path, strerror(-r));
		print_dropins(argv[i]);
	}
	if (set.json && status == CTL_OK)
		print_json(json_incref(files));
	json_decref(files);
	return status;
}
