/* stream.h: one service's log as a sequence of lines, oldest first, over its rotated files, its log, and what waits in /run for the disk.
 */
#ifndef RAST_CTL_STREAM_H
#define RAST_CTL_STREAM_H

#include "base/base.h"
#include "supervisor/ctl/logfile.h"

#define SEGMENTS_MAX 102 /* NAME.log.99 ... NAME.log, two spare files */

struct segment {
	int fd;
	off_t pos;
	uint64_t inode;
};

struct stream {
	char name[64];
	struct segment segment[SEGMENTS_MAX]; /* oldest first */
	unsigned n, at;                       /* at: being read */
	char *buf;
	size_t start, end, cap;
	char key[LOG_KEY_LEN + 1]; /* of the line last read; lines without a time of their own take that of the one before */
};

/* Open what there is. spare_dir: NULL for following, since what waits there comes into the log later. lines: start so that about this many
 * come, ULONG_MAX: all. -ENOENT: there is no log of that name. */
int stream_open(struct stream **ret, const char *log_dir, const char *spare_dir, const char *name, unsigned long lines);
void stream_free(struct stream *s);
/* The next line, without its newline, valid until the next call. 1, 0: the end, or a negative errno. An unfinished last line comes when
 * `unfinished`. */
int stream_next(struct stream *s, bool unfinished, const char **line, size_t *len);
/* Following: NAME.log grew, was rotated or cut. Afterwards stream_next() gives what is new. */
int stream_refresh(struct stream *s, const char *log_dir);

#endif
