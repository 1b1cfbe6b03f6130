/* sysctl.h: sysctl.d(5) and sysctl.conf(5). */
#ifndef RAST_INIT_SYSCTL_H
#define RAST_INIT_SYSCTL_H

#include <stdbool.h>
#include <stddef.h>

struct sysctl_line {
	char *key;       /* as a path below /proc/sys: "net/ipv4/ip_forward"; may hold wildcards */
	char *value;     /* NULL: the line takes key out of what an earlier wildcard covers */
	bool may_fail;   /* "-" in front */
};
/* Parse one line in place. 1: *ret is set, 0: empty or a comment, -EINVAL. */
int sysctl_parse(char *line, struct sysctl_line *ret);

/* Apply all files of the machine. Errors are logged. */
void sysctl_apply(void);

#endif
