/* users.h: an image's user ("", "www", "33", "www:adm", "33:4") by the image's own /etc/passwd and /etc/group. */
#ifndef RAST_IMAGE_USERS_H
#define RAST_IMAGE_USERS_H

#include <sys/types.h>
#include "base/err.h"

struct image_user {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* further ones; only when the image names no group */
	size_t n_groups;
	char *home;    /* NULL: unknown */
};
/* The files are opened inside of rootfd, whatever links the image has there, and only if they are files of at most 1 MiB. A name that is not
 * there is -ENOENT; a number needs no entry. */
int image_user_find(int rootfd, const char *user, struct image_user *ret, struct err *e);
void image_user_clear(struct image_user *u);
#define _cleanup_image_user_ _cleanup_(image_user_clear)

#endif
