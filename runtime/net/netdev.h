/* netdev.h: network interfaces of the host that become the container's (linux.netDevices, spec 1.3). The parent notes their addresses and
 * moves them; the child, in the container's network namespace, gives the addresses back and sets them up. */
#ifndef RAST_RUNTIME_NETDEV_H
#define RAST_RUNTIME_NETDEV_H

#include <net/if.h>
#include <sys/types.h>
#include "base/err.h"
#include "runtime/spec/spec.h"

struct netdev {
	const char *host;
	char name[IFNAMSIZ]; /* in the container; may end in %d */
	unsigned index;
	char *addresses;     /* RTM_NEWADDR messages, one behind the other; owned */
	size_t len;
};

struct netdev_plan {
	struct netdev *v;
	size_t n;
};

int netdev_plan_make(const struct oci_spec *spec, struct netdev_plan *ret, struct err *e);
int netdev_move(const struct netdev_plan *p, pid_t pid, struct err *e);
int netdev_configure(const struct netdev_plan *p, struct err *e);
void netdev_plan_free(struct netdev_plan *p);

#endif
