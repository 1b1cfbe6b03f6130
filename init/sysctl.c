/* sysctl.c: see sysctl.h */
#include "init/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "init/conffiles.h"

#define ROOT "/proc/sys/"

/* "net.ipv4.conf.eth0/1.rp_filter" -> net/ipv4/conf/eth0.1/rp_filter: whichever of '.' and '/' comes first is the separator, the other one is
 * part of a name (sysctl.d(5)). */
static void to_path(char *key)
{
	char *first = strpbrk(key, "./");

	if (!first || *first == '/')
		return;
	for (char *c = key; *c; c++)
		*c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
}

static bool climbs_out(const char *key)
{
	return *key == '/' || strstr(key, "/../") || str_starts(key, "../") || str_ends(key, "/..") || streq(key, "..");
}

int sysctl_parse(char *line, struct sysctl_line *ret)
{
	char *equals;

	line = str_strip(line);
	if (!*line || *line == '#' || *line == ';')
		return 0;
	*ret = (struct sysctl_line){.may_fail = *line == '-'};
	line += ret->may_fail;
	equals = strchr(line, '=');
	if (equals) {
		*equals = '\0';
		ret->value = str_strip(equals + 1);
	} else if (!ret->may_fail) {
		return -EINVAL;
	}
	ret->key = str_strip(line);
	to_path(ret->key);
	return *ret->key && !climbs_out(ret->key) ? 1 : -EINVAL;
}

static void write_one(const char *file, const char *path, const struct sysctl_line *l)
{
	int r = file_write_str(AT_FDCWD, path, l->value);

	if (r < 0 && !l->may_fail && r != -ENOENT)
		log_warning("%s: set %s to '%s': %s", file, path + sizeof(ROOT) - 1, l->value, strerror(-r));
	else if (r == -ENOENT && !l->may_fail)
		log_notice("%s: this kernel has no %s", file, path + sizeof(ROOT) - 1);
}

static void write_matching(const char *file, const char *pattern, const struct sysctl_line *l, char *const *except)
{
	glob_t g;

	if (glob(pattern, GLOB_NOSORT, NULL, &g) != 0)
		return;
	for (size_t i = 0; i < g.gl_pathc; i++) {
		bool excepted = false;
		for (size_t k = 0; except && except[k]; k++)
			excepted = excepted || fnmatch(except[k], g.gl_pathv[i] + sizeof(ROOT) - 1, FNM_PATHNAME) == 0;
		if (!excepted)
			write_one(file, g.gl_pathv[i], l);
	}
	globfree(&g);
}

struct state {
	char **except;   /* keys that wildcards leave alone */
	bool collecting; /* first pass: only those */
};

static void one_line(const char *file, int number, char *line, struct state *s)
{
	struct sysctl_line l;
	char path[512];
	int r = sysctl_parse(line, &l);

	if (r < 0 && s->collecting)
		log_warning("%s:%d: not understood; lines are KEY = VALUE", file, number);
	if (r <= 0 || (l.value == NULL) != s->collecting)
		return;
	if (s->collecting) {
		(void)strv_push(&s->except, l.key);
		return;
	}
	if ((size_t)snprintf(path, sizeof(path), ROOT "%s", l.key) >= sizeof(path))
		return;
	if (strpbrk(l.key, "*?["))
		write_matching(file, path, &l, s->except);
	else
		write_one(file, path, &l);
}

static void one_file(const char *path, char *text, void *data)
{
	char *line;

	for (int number = 1; (line = strsep(&text, "\n")); number++)
		one_line(path, number, line, data);
}

static void pass(struct state *s)
{
	_cleanup_free_ char *text = NULL;

	conffiles_each("sysctl.d", one_file, s);
	if (access("/etc/sysctl.d/99-sysctl.conf", F_OK) < 0 && file_read(AT_FDCWD, "/etc/sysctl.conf", 1u << 20, &text, NULL) == 0)
		one_file("/etc/sysctl.conf", text, s); /* last, as sysctl --system does; Debian links it into sysctl.d */
}

void sysctl_apply(void)
{
	struct state s = {.collecting = true};

	pass(&s);
	s.collecting = false;
	pass(&s);
	strv_free(s.except);
}
