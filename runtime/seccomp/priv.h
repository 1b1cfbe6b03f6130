/* priv.h: within runtime/seccomp/ only. */
#ifndef RAST_RUNTIME_SECCOMP_PRIV_H
#define RAST_RUNTIME_SECCOMP_PRIV_H

#include "runtime/seccomp/seccomp.h"

/* compile.c: prog.filter is heap memory. */
int filter_compile(const struct oci_seccomp *s, struct sock_fprog *ret, struct err *e);
/* cache.c: 1 found, 0 not, negative errno when the cache is not to be used. dirfd is what cache_open() gave. */
int cache_open(const char *dir);
int cache_get(int dirfd, const struct oci_seccomp *s, struct filter *ret);
int cache_put(int dirfd, const struct oci_seccomp *s, const struct sock_fprog *prog);

#endif
