/* watchdog.c: the hardware watchdog: Documentation/watchdog/watchdog-api.rst. Fed at half its period by the main loop itself, so
 * that a loop that hangs is a machine that restarts. It stays armed through a shutdown, and is only stopped (magic close) before the machine is halted or
 * powered off: a reboot that hangs is ended by it too. */
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "init/pid1.h"

void watchdog_open(struct pid1 *p)
{
	int seconds = (int)(p->watchdog_us / SECOND_US);

	if (!p->machine || p->watchdog >= 0 || seconds <= 0)
		return;
	p->watchdog = sys_openat(AT_FDCWD, "/dev/watchdog", O_WRONLY, 0);
	if (p->watchdog < 0) {
		if (p->watchdog != -ENOENT)
			log_notice("the hardware watchdog can't be used: /dev/watchdog: %s", strerror(-p->watchdog));
		p->watchdog = -1;
		return;
	}
	if (ioctl(p->watchdog, WDIOC_SETTIMEOUT, &seconds) < 0 && ioctl(p->watchdog, WDIOC_GETTIMEOUT, &seconds) < 0)
		seconds = 10; /* it says nothing: feed it often enough for the usual shortest ones */
	p->watchdog_us = (uint64_t)(seconds > 0 ? seconds : 1) * SECOND_US;
	log_info("the hardware watchdog resets the machine when PID 1 hangs for %d s", seconds);
	watchdog_feed(p);
}

void watchdog_feed(struct pid1 *p)
{
	if (p->watchdog < 0)
		return;
	(void)ioctl(p->watchdog, WDIOC_KEEPALIVE, 0);
	pid1_arm(p, DUE_WATCHDOG, p->watchdog_us / 2);
}

void watchdog_disarm(struct pid1 *p)
{
	if (p->watchdog < 0)
		return;
	(void)sys_write(p->watchdog, "V", 1);
	close(p->watchdog);
	p->watchdog = -1;
}
