/* mem.h: memory and descriptors that clean up after themselves. */
#ifndef RAST_BASE_MEM_H
#define RAST_BASE_MEM_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f)   __attribute__((cleanup(f), unused)) /* clang counts one that only holds on to something as unused */
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define ARRAY_SIZE(a)  (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)      ((a) < (b) ? (a) : (b))
#define MAX(a, b)      ((a) > (b) ? (a) : (b))

static inline void freep(void *p) { free(*(void **)p); }
static inline void closep(int *fd) { if (*fd >= 0) close(*fd); }
static inline void fclosep(FILE **f) { if (*f) fclose(*f); }
static inline void closedirp(DIR **d) { if (*d) closedir(*d); }
#define _cleanup_free_  _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)
#define _cleanup_closedir_ _cleanup_(closedirp)

/* Hand ownership over: the variable no longer owns. */
static inline int take_fd(int *fd) { int r = *fd; *fd = -1; return r; }
#define TAKE_PTR(p) ({ __typeof__(p) *pp_ = &(p); __typeof__(p) r_ = *pp_; *pp_ = NULL; r_; })

#endif
