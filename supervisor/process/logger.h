/* logger.h: rastd's side of services/logger/protocol.h. */
#ifndef RAST_SUPERVISOR_LOGGER_H
#define RAST_SUPERVISOR_LOGGER_H

#include "supervisor/manager.h"

void logger_init(struct manager *m);                              /* sockets and stage pipe, if there is a logger and they are not there yet */
int  logger_adopt(struct manager *m, const char *name, const int *fds, size_t n);
void logger_add(struct manager *m, struct svc *s, int read_fd);   /* borrowed */
void logger_flush(struct manager *m, const char *name);
void logger_idle(struct manager *m);                    /* everything that was begun is done */
void logger_drop(struct manager *m, const char *name);

#endif
