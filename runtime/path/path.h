/* path.h: the one door to paths in a container's root.
 *
 * Whatever an image says (symbolic links, "..", a race of another process in it), openat2(2) with RESOLVE_IN_ROOT keeps the walk inside of the
 * root, RESOLVE_NO_MAGICLINKS out of /proc's links. What comes out is a descriptor, mostly O_PATH; nobody uses the path again after that
 * (CVE-2024-45310, CVE-2025-31133, CVE-2025-52565). All return a descriptor that the caller owns, CLOEXEC, or a negative errno. */
#ifndef RAST_RUNTIME_PATH_H
#define RAST_RUNTIME_PATH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

int path_open(int rootfd, const char *path, int flags);     /* flags of open(2); O_PATH for most. With O_NOFOLLOW the last component may be a link: then itself */
/* The same, -ELOOP when any part of the path is a symbolic link: then the path as written is where the descriptor is. */
int path_open_plain(int rootfd, const char *path, int flags);
/* O_PATH descriptor of a folder, made with its parents when missing, also where a dangling link of the image points to. */
int path_make_dir(int rootfd, const char *path, mode_t mode);
int path_make_dir_plain(int rootfd, const char *path, mode_t mode); /* -ELOOP when there is a link on the way, as path_open_plain() */
/* O_PATH descriptor of whatever is there that isn't a folder; an empty file is made when nothing is. -EISDIR */
int path_make_file(int rootfd, const char *path, mode_t mode);
/* Descriptor of the folder that path is in (made when missing), and its last component (a pointer into path). -EINVAL: there is none. */
int path_make_parent(int rootfd, const char *path, const char **ret_name);
bool path_is_inside(const char *path, const char *dir); /* as text: path is dir or below; both without "." and ".." */

#endif
