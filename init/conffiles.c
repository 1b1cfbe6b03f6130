/* conffiles.c: see conffiles.h */
#include "init/conffiles.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

#define TEXT_MAX (1u << 20)

static const char *const folders[] = {"/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"}; /* first one wins */

static const char *base_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(base_name(*(char *const *)a), base_name(*(char *const *)b));
}

static bool has_name(char *const *paths, const char *name)
{
	for (size_t i = 0; paths && paths[i]; i++)
		if (streq(base_name(paths[i]), name))
			return true;
	return false;
}

static void collect(const char *folder, const char *subfolder, char ***paths)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", folder, subfolder);
	_cleanup_closedir_ DIR *d = opendir(path);
	for (struct dirent *de; d && (de = readdir(d));) {
		if (de->d_name[0] == '.' || !str_ends(de->d_name, ".conf") || has_name(*paths, de->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", folder, subfolder, de->d_name);
		(void)strv_push(paths, path);
	}
}

void conffiles_each(const char *subfolder, void (*cb)(const char *path, char *text, void *data), void *data)
{
	_cleanup_strv_ char **paths = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		collect(folders[i], subfolder, &paths);
	if (!paths)
		return;
	qsort(paths, strv_len(paths), sizeof(paths[0]), by_name);
	for (char **p = paths; *p; p++) {
		_cleanup_free_ char *text = NULL;
		int r = file_read(AT_FDCWD, *p, TEXT_MAX, &text, NULL);
		if (r == 0)
			cb(*p, text, data);
		else
			log_warning("read %s: %s", *p, strerror(-r));
	}
}
