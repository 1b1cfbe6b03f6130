/* console.h: what a person in front of the machine sees of us. */
#ifndef RAST_INIT_CONSOLE_H
#define RAST_INIT_CONSOLE_H

#include <stdbool.h>
#include <sys/types.h>
#include "base/mem.h"

/* Open /dev/console as 0, 1 and 2 (or /dev/null when there is no console). */
void console_stdio(void);
/* Say something on the console, whatever the kernel's log level is, and in the kernel's log. Nothing is allocated. */
void console_say(const char *fmt, ...) _printf_(1, 2);
/* The same without the kernel's log, for prompts and menus. */
void console_print(const char *fmt, ...) _printf_(1, 2);

/* Start a root shell that owns the console: sulogin if there is one and `login` is set, else $SHELL of the system. Returns its pid or a negative errno.
 * cgroup: "" or the cgroup.procs file that it is to write itself into. */
pid_t console_shell(bool login, const char *cgroup);

#endif
