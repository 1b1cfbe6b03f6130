/* trim.h: memory of a program that has nothing to do. One that sleeps needs none of its code but the place where it wakes up.
 *
 * Meant for the moment when everything is done that was begun, never for each sleep: what is needed afterwards comes back from the page cache, some
 * microseconds for each 64 KiB. The moment is told, not waited for: a timer would be a wakeup of an idle machine. */
#ifndef RAST_BASE_TRIM_H
#define RAST_BASE_TRIM_H

#include <sys/epoll.h>

/* epoll_wait(2), with the parts of the program that are never written dropped from our mapping right before. Allocates nothing. */
int trim_and_wait(int epoll, struct epoll_event *ev, int n, int timeout_ms);

#endif
