/* log.h: one line format, wherever the line goes.
 *
 *   2026-11-22T10:11:12.123456Z NAME LEVEL: text      (stderr, files)
 *   <6>NAME: text                                      (/dev/kmsg, which adds its own time)
 *
 * LEVEL is emerg, alert, crit, err, warning, notice, info or debug (syslog(3)).
 * A log line is formatted in a buffer on the stack and written with one write:
 * nothing is allocated, so PID 1 and crash handlers can log. */
#ifndef RAST_BASE_LOG_H
#define RAST_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <syslog.h>
#include "base/err.h"

#define LOG_LINE_MAX 2048 /* bytes; a longer line is cut and ends in "..." */

enum log_target { LOG_TO_STDERR, LOG_TO_KMSG, LOG_TO_FD, LOG_TO_LOGGER /* a pipe that rastlogd reads: "LEVEL: text", it adds time and name */ };

void log_init(const char *name, enum log_target target, int fd); /* name and fd are borrowed; fd used for LOG_TO_FD, LOG_TO_LOGGER and, when >= 0, LOG_TO_KMSG */
void log_set_max_level(int level);       /* LOG_INFO at first */
int  log_level_from_name(const char *s); /* -EINVAL when unknown; "7" and "debug" both work */
enum log_target log_target(void);        /* where lines go now: what log_init() was given, or stderr in its place */
void log_msg(int level, const char *fmt, ...) _printf_(2, 3);
void log_msgv(int level, const char *fmt, va_list ap) _printf_(2, 0);
/* While it is on lines wait in memory, as many as there is room for; they are written when it is off. For moments in which nothing may take
 * time, and where a line that is lost because the program is killed does not matter. */
void log_hold(bool on);
/* Format "TIME NAME LEVEL: text\n" without printing it; wall time is UTC. Returns the length. */
size_t log_format(char *buf, size_t size, const char *name, int level, const char *text);

#define log_err(...)     log_msg(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_msg(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)  log_msg(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)    log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_msg(LOG_DEBUG, __VA_ARGS__)

#endif
