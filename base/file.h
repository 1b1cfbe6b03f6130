/* file.h: whole-file reading and atomic, durable replacement. */
#ifndef RAST_BASE_FILE_H
#define RAST_BASE_FILE_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"

/* Read all of a file (proc and sysfs files included). *ret is NUL-terminated heap memory, *ret_len may be NULL. -EFBIG above max bytes. */
int file_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len);
int fd_read_all(int fd, size_t max, char **ret, size_t *ret_len); /* the same from an open descriptor, from where it stands */
/* Write a short string to an existing file with one write (sysfs, cgroupfs, procfs). */
int file_write_str(int dirfd, const char *path, const char *s);
/* Replace path by data: temporary file in the same folder, write, fsync, rename, fsync of the folder.
 * When it returns 0 the new content survives a power cut; on any failure the old content is untouched and no temporary file stays. */
int file_replace(int dirfd, const char *path, const void *data, size_t n, mode_t mode);
int write_all(int fd, const void *data, size_t n);
/* Open a folder below dirfd ("." for itself) for readdir(3), from its beginning whatever dirfd was read before; a link is not followed. *ret is the caller's (_cleanup_closedir_). */
int dir_open(int dirfd, const char *name, DIR **ret);
int mkdir_p(const char *path, mode_t mode);         /* parents too; an existing folder is success */
int rm_rf(int dirfd, const char *path);             /* never follows links, never leaves the file system (-EXDEV); -ENOENT is success */
int rmdir_r(int dirfd, const char *path);           /* the same for folders only: files are left to the kernel (cgroupfs) */
int fd_set_cloexec(int fd, bool on);
int fd_set_nonblock(int fd, bool on);

/* Send and receive descriptors beside a packet (SCM_RIGHTS; at most 253, SCM_MAX_FD of net/scm.h). fds are borrowed when sent;
 * received ones are owned by the caller, CLOEXEC. fd_recv: *n_fds is the room in and the number out; returns bytes, 0 at end of file. */
ssize_t fd_send(int sock, const void *data, size_t n, const int *fds, size_t n_fds, int flags);
ssize_t fd_recv(int sock, void *data, size_t n, int *fds, size_t *n_fds, int flags);

#endif
