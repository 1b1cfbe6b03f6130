/* logs.h: what logs.c and follow.c share. */
#ifndef RAST_CTL_LOGS_H
#define RAST_CTL_LOGS_H

#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/stream.h"

void logs_print(const struct stream *s, const char *line, size_t n);
bool logs_wanted(const struct stream *s); /* the line last read is inside of --since and --until */
/* Print what the streams have, merged by time; lines: only so many of the last ones, ULONG_MAX: all. */
int logs_merge(struct stream **streams, unsigned n, bool unfinished, unsigned long lines);
/* Go on for ever. Logs that appear are followed, too, if they are among names; NULL: any. Returns the exit status. */
int logs_follow(struct stream ***streams, unsigned *n, char *const *names);

#endif
