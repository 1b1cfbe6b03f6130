/* notify.h: messages of sd_notify(3), from the socket (notify.c) through their lines (news.c) to the descriptors that they bring (fdstore.c) and what is
 * to be remembered of them (said.c). */
#ifndef RAST_SUPERVISOR_NOTIFY_H
#define RAST_SUPERVISOR_NOTIFY_H

#include "supervisor/manager.h"

/* One message. */
struct news {
	uint32_t i;                /* whose it is */
	pid_t pid;                 /* who has sent it */
	bool is_main;
	int *fds;                  /* what came with it; one that is taken becomes -1 */
	size_t n_fds;
	const char *fdname;        /* FDNAME=, NULL */
	bool no_poll;              /* FDPOLL=0 */
	bool pidfd_checked;        /* MAINPIDFDID= is right, or was not said */
	uint64_t when;             /* MONOTONIC_USEC=, 0 */
};

/* news.c */
void news_take(struct manager *m, char *text, struct news *n); /* takes text apart */

/* fdstore.c */
void fdstore_add(struct manager *m, struct svc *s, struct news *n);
void fdstore_remove(struct manager *m, struct svc *s, const char *name);

/* said.c: beside the state file, for which texts are too long */
void said_status(struct manager *m, struct svc *s, const char *text);
void said_error(struct manager *m, struct svc *s, const char *text);
void said_watchdog(struct manager *m, struct svc *s, uint64_t us); /* WATCHDOG_USEC= */

#endif
