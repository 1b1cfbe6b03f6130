/* hog.c: takes the processor away from everything else, PID 1 included: what a hung machine looks like to its watchdog.
 *
 * A real-time thread that never sleeps, with the kernel's limit for those switched off. Only for a machine that may be lost. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	struct sched_param p = {.sched_priority = 99};
	int fd = open("/proc/sys/kernel/sched_rt_runtime_us", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "-1", 2) != 2 || sched_setscheduler(0, SCHED_FIFO, &p)) {
		perror("hog");
		return 1;
	}
	for (;;)
		__asm__ volatile("");
}
