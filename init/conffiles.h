/* conffiles.h: the .conf files in NAME.d of several folders, as sysctl.d(5) and modules-load.d(5) describe: for each file name the first folder that has it counts; a
 * link to /dev/null takes it away; order is by file name. */
#ifndef RAST_INIT_CONFFILES_H
#define RAST_INIT_CONFFILES_H

/* subfolder: "sysctl.d". cb gets each file's text (may be changed in place; not kept). */
void conffiles_each(const char *subfolder, void (*cb)(const char *path, char *text, void *data), void *data);

#endif
