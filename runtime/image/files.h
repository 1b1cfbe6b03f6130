/* files.h: named files of a folder or of a tar archive (OCI layouts and docker save's archives come as either). */
#ifndef RAST_IMAGE_FILES_H
#define RAST_IMAGE_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct files;

struct file_part { /* of an open file */
	int fd;        /* owned by the caller */
	uint64_t offset, size;
};

/* path: a folder, or a tar archive, also a compressed one: that is unpacked to a nameless file in the folder scratch, at most max bytes. */
int files_open(const char *path, int scratch, uint64_t max, struct files **ret, struct err *e);
void files_close(struct files *f);
void files_closep(struct files **f);
#define _cleanup_files_ _cleanup_(files_closep)

/* -ENOENT without a word in e. Never leaves the folder; links in an archive are followed inside of it. */
int files_get(const struct files *f, const char *name, struct file_part *ret, struct err *e);
int files_read(const struct files *f, const char *name, size_t max, char **ret, size_t *ret_n, struct err *e);
bool files_have(const struct files *f, const char *name);

#endif
