/* trim.h: PID 1's own memory. A program that sleeps needs none of its code but the place where it wakes up. */
#ifndef RAST_INIT_TRIM_H
#define RAST_INIT_TRIM_H

#include <sys/epoll.h>

/* Find the parts of the program that are never written. Once, at boot. */
void trim_prepare(void);
/* epoll_wait(), with those parts dropped from our mapping right before: what is needed afterwards comes back from the page cache by itself. */
int trim_and_wait(int epoll, struct epoll_event *ev, int n, int timeout_ms);

#endif
