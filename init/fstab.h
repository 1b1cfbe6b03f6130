/* fstab.h: local file systems and swap of /etc/fstab. */
#ifndef RAST_INIT_FSTAB_H
#define RAST_INIT_FSTAB_H

#include <stdbool.h>
#include <stddef.h>

/* What the options of a line come to. */
struct fstab_options {
	unsigned long flags;   /* MS_* */
	char data[1024];       /* what is for the file system */
	bool noauto, nofail, network;
	unsigned timeout_s;    /* for the device to appear (x-systemd.device-timeout=) */
	int priority;          /* of swap (pri=), -1: none */
	bool bind;             /* MS_BIND: other flags take a second mount(2) */
};
/* Parse "rw,noatime,..." . -E2BIG: what is left for the file system does not fit. */
int fstab_options_parse(const char *text, struct fstab_options *o);

/* Mount all that is wanted and not mounted yet, each in a child with a deadline. Errors are logged, and on the console for lines without nofail. */
void fstab_mount(void);

#endif
