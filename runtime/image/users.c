/* users.c: see users.h. */
#include "runtime/image/users.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "base/file.h"
#include "base/str.h"

#define FILE_MAX (1u << 20)
#define GROUPS_MAX 1024
#define FIELDS_MAX 7

/* "" when there is no such file. */
static int read_file(int rootfd, const char *path, char **ret, struct err *e)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	_cleanup_close_ int fd = (int)syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
	struct stat st;
	int r;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
		*ret = strdup("");
		return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, -errno, "open the image's /%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EBADMSG, "the image's /%s is not a file", path);
	r = fd_read_all(fd, FILE_MAX, ret, NULL);
	return r < 0 ? err_sys(e, r, "read the image's /%s", path) : 0;
}

/* The next line of *text that has at least n fields, split at colons; false: no more. */
static bool next_line(char **text, char *fields[FIELDS_MAX], size_t n)
{
	while (*text && **text) {
		char *line = strsep(text, "\n");
		size_t i = 0;
		while (line && i < FIELDS_MAX)
			fields[i++] = strsep(&line, ":");
		if (i >= n)
			return true;
	}
	return false;
}

static bool parse_id(const char *s, uid_t *ret)
{
	uint64_t v;

	if (!*s || strspn(s, "0123456789") != strlen(s) || parse_u64(s, &v) < 0 || v >= UINT32_MAX)
		return false;
	*ret = (uid_t)v;
	return true;
}

/* In passwd by name or number. *name (borrowed from text) is what it is called there. */
static bool find_user(char *text, const char *user, struct image_user *u, const char **name)
{
	char *f[FIELDS_MAX];
	uid_t uid, want = 0;
	gid_t gid;
	bool number = parse_id(user, &want);

	while (next_line(&text, f, 6)) {
		if (!parse_id(f[2], &uid) || !parse_id(f[3], &gid) || !(streq(f[0], user) || (number && uid == want)))
			continue;
		u->uid = uid;
		u->gid = gid;
		free(u->home);
		u->home = strdup(f[5]);
		*name = f[0];
		return true;
	}
	u->uid = want;
	return number;
}

static bool find_group(char *text, const char *group, gid_t *ret)
{
	char *f[FIELDS_MAX];
	gid_t gid;

	while (next_line(&text, f, 3))
		if (streq(f[0], group) && parse_id(f[2], &gid)) {
			*ret = gid;
			return true;
		}
	return parse_id(group, ret);
}

static bool is_member(char *list, const char *name)
{
	for (char *one; (one = strsep(&list, ","));)
		if (streq(one, name))
			return true;
	return false;
}

static int further_groups(char *text, const char *name, struct image_user *u)
{
	char *f[FIELDS_MAX];
	gid_t gid;

	while (u->n_groups < GROUPS_MAX && next_line(&text, f, 4)) {
		if (!parse_id(f[2], &gid) || gid == u->gid || !is_member(f[3], name))
			continue;
		gid_t *v = realloc(u->groups, (u->n_groups + 1) * sizeof(*v));
		if (!v)
			return -ENOMEM;
		u->groups = v;
		v[u->n_groups++] = gid;
	}
	return 0;
}

int image_user_find(int rootfd, const char *user, struct image_user *ret, struct err *e)
{
	_cleanup_free_ char *passwd = NULL, *group = NULL, *copy = strdup(strempty(user) ? "0" : user);
	_cleanup_image_user_ struct image_user u = {0};
	const char *name = NULL;
	int r = copy ? read_file(rootfd, "etc/passwd", &passwd, e) : err_set(e, -ENOMEM, "out of memory");

	r = r < 0 ? r : read_file(rootfd, "etc/group", &group, e);
	if (r < 0 || !copy)
		return r;
	char *colon = strchr(copy, ':');
	if (colon)
		*colon = '\0';
	if (!find_user(passwd, *copy ? copy : "0", &u, &name))
		return err_set(e, -ENOENT, "the image's user '%s' is not in its /etc/passwd", copy);
	if (colon && colon[1]) {
		if (!find_group(group, colon + 1, &u.gid))
			return err_set(e, -ENOENT, "the image's group '%s' is not in its /etc/group", colon + 1);
	} else if (name && further_groups(group, name, &u) < 0) {
		return err_set(e, -ENOMEM, "out of memory");
	}
	*ret = u;
	u = (struct image_user){0};
	return 0;
}

void image_user_clear(struct image_user *u)
{
	free(u->groups);
	free(u->home);
	*u = (struct image_user){0};
}
