/* ns.h: namespaces and the mapping of ids. */
#ifndef RAST_RUNTIME_NS_H
#define RAST_RUNTIME_NS_H

#include "runtime/runtime.h"

/* Write the maps of a child that waits for them. With CAP_SETUID over the parent namespace directly; as an ordinary user one line for
 * his own id directly (setgroups is denied then), everything else by newuidmap(1) and newgidmap(1). Idem for groups. */
int ns_write_maps(pid_t pid, const struct oci_idmaps *uids, const struct oci_idmaps *gids, struct err *e);
/* A descriptor of a user namespace with these maps, held by nobody else (for idmapped mounts); owned. */
int ns_make_user(const struct oci_idmaps *uids, const struct oci_idmaps *gids, struct err *e);
/* Open a namespace's file and see that it is of that kind. *ret is -1 when it is the caller's own already. */
int ns_open(enum oci_ns_kind kind, const char *path, int *ret, struct err *e);
int ns_write_time_offsets(const struct oci_time_offset *v, size_t n, int procfd, struct err *e);
bool ns_in_user_namespace(void);      /* the caller is in one that isn't the machine's first */
int ns_loopback_up(void);             /* lo of this network namespace */

#endif
