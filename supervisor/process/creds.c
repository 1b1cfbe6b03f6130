/* creds.c: users and groups from /etc/passwd and /etc/group (passwd(5), group(5)), read line by line.
 * Not through NSS: its modules would be loaded into the supervisor, and may ask the network. */
#include "supervisor/process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include "base/str.h"

static bool number(const char *s, uint32_t *ret)
{
	uint64_t v;
	if (parse_u64(s, &v) < 0 || v >= UINT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

int creds_user(const char *name, uid_t *uid, gid_t *gid, char *home, size_t home_size)
{
	uint32_t id;
	bool is_number = number(name, &id);
	_cleanup_fclose_ FILE *f = fopen("/etc/passwd", "re");
	for (struct passwd *p; f && (p = fgetpwent(f));) {
		if (is_number ? p->pw_uid != id : !streq(p->pw_name, name))
			continue;
		*uid = p->pw_uid;
		*gid = p->pw_gid;
		snprintf(home, home_size, "%s", p->pw_dir);
		return 0;
	}
	if (!is_number)
		return -ENOENT;
	*uid = *gid = id;
	snprintf(home, home_size, "/");
	return 0;
}

int creds_group(const char *name, gid_t *gid)
{
	uint32_t id;
	if (number(name, &id)) {
		*gid = id;
		return 0;
	}
	_cleanup_fclose_ FILE *f = fopen("/etc/group", "re");
	for (struct group *g; f && (g = fgetgrent(f));)
		if (streq(g->gr_name, name)) {
			*gid = g->gr_gid;
			return 0;
		}
	return -ENOENT;
}

static int add_group(gid_t **v, int *n, gid_t gid)
{
	gid_t *p = realloc(*v, (size_t)(*n + 1) * sizeof(gid_t));
	if (!p)
		return -ENOMEM;
	*v = p;
	p[(*n)++] = gid;
	return 0;
}

int creds_groups_of(const char *user, gid_t gid, gid_t **ret, int *n)
{
	_cleanup_free_ gid_t *v = NULL;
	int r = 0;
	*n = 0;
	r = add_group(&v, n, gid);
	_cleanup_fclose_ FILE *f = fopen("/etc/group", "re");
	for (struct group *g; r == 0 && f && (g = fgetgrent(f));)
		for (char **m = g->gr_mem; m && *m && r == 0; m++)
			if (streq(*m, user) && g->gr_gid != gid)
				r = add_group(&v, n, g->gr_gid);
	if (r == 0)
		*ret = TAKE_PTR(v);
	return r;
}
