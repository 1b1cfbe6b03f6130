/* proc.h: the one door to /proc.
 *
 * A container may mount what it likes over its /proc and win races doing so (CVE-2019-16884, CVE-2019-19921, CVE-2025-52881): a security label
 * written to a forged file is a label that isn't set. So what is read or written in /proc goes through a descriptor that was opened
 * before the first path of the container was touched, that is proved to be the top of a procfs, and below which no link and no mount is
 * followed. Where /proc itself is not that (nothing there, or partly covered), a procfs of our own is made that is mounted nowhere. */
#ifndef RAST_RUNTIME_PROC_H
#define RAST_RUNTIME_PROC_H

#include <stddef.h>
#include <sys/types.h>
#include "base/err.h"

int procfs_open(struct err *e);                            /* the top: the machine's when it is good, else a private one; owned */
int procfs_private(struct err *e);                         /* fsopen(2), fsmount(2): mounted nowhere; needs CAP_SYS_ADMIN in the PID namespace's user namespace */
int procfs_file(int procfd, const char *path, int flags);  /* openat2: BENEATH, NO_XDEV, NO_MAGICLINKS; the result is checked to be of procfs. "self/attr/exec" */
int procfs_write(int procfd, const char *path, const char *value);
int procfs_read(int procfd, const char *path, char *buf, size_t size); /* NUL-terminated; its length */

#endif
