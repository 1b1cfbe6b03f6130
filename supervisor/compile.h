/* compile.h: compile service files in a child process, so that bad input, a slow disk or a crash there is nothing to the supervisor. */
#ifndef RAST_SUPERVISOR_COMPILE_CHILD_H
#define RAST_SUPERVISOR_COMPILE_CHILD_H

#include <jansson.h>
#include "supervisor/manager.h"

#define COMPILE_LIMIT_MS 60000u /* more is a disk that does not answer */

struct compile {
	pid_t pid;
	int fd;               /* what the child says: a JSON array of Problem */
	struct buf text;
	uint64_t generation;
};

/* Start the child: it writes run/graph/GENERATION. last_dirs: that many of the last configured folders only (0: all). instances: names of instances that are to
 * be there even if nobody names them; NULL-terminated, NULL: none. */
int compile_start(struct manager *m, struct compile *c, uint64_t generation, unsigned last_dirs, char *const *instances, struct err *e);
/* Read what there is. 1: all of it has come, the child is about to end; 0: more follows. */
int compile_read(struct compile *c);
/* After that: the problems (new reference, an array, perhaps empty). */
json_t *compile_problems(struct compile *c);
void compile_done(struct compile *c);
/* All of it, waiting: at boot. Maps the result. -EINVAL: errors, which are in *problems. */
int compile_wait(struct manager *m, uint64_t generation, unsigned last_dirs, const struct graph **ret, json_t **problems, struct err *e);
void compile_remove(struct manager *m, uint64_t generation);
void compile_point_to(struct manager *m, uint64_t generation); /* the link graph/current, for people and tools */
void compile_tidy(struct manager *m, uint64_t generation); /* remove all but this one: what a rastd that died has left */

#endif
