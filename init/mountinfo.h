/* mountinfo.h: /proc/PID/mountinfo and fstab lines, parsed in place (proc(5), fstab(5)). */
#ifndef RAST_INIT_MOUNTINFO_H
#define RAST_INIT_MOUNTINFO_H

#define MOUNTS_MAX 2048

struct mount_line {
	char *source, *target, *type, *options; /* pointers into the text, escapes undone */
};

/* "\040" and the like, in place. */
void mount_unescape(char *s);
/* text is cut up. Lines that are not understood are left out; returns how many are in ret. */
unsigned mountinfo_parse(char *text, struct mount_line *ret, unsigned max);
unsigned fstab_parse(char *text, struct mount_line *ret, unsigned max);

#endif
