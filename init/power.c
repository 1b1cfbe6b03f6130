/* power.c: who may end the machine, and how long that may take. Signals as systemd, sysvinit and busybox init define them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/str.h"
#include "base/sys.h"
#include "init/console.h"
#include "init/pid1.h"

#define IMPATIENT_US (2 * SECOND_US) /* seven ctrl-alt-dels within this: now */

static const char *const power_names[] = {
	[0] = "nothing", [RINIT_POWEROFF] = "power-off", [RINIT_REBOOT] = "reboot", [RINIT_HALT] = "halt", [RINIT_KEXEC] = "kexec", [RINIT_SOFT_EXIT] = "exit",
};

static const char *power_name(enum rinit_power kind)
{
	return (unsigned)kind < ARRAY_SIZE(power_names) ? power_names[kind] : "power-off";
}

/* PID 1 of a container can't end the machine: all of it is an exit. */
static enum rinit_power possible(const struct pid1 *p, enum rinit_power kind)
{
	return p->machine ? kind : RINIT_SOFT_EXIT;
}

void power_accept(const struct pid1 *p)
{
	if (!p->machine)
		return;
	(void)reboot(RB_DISABLE_CAD); /* ctrl-alt-del sends SIGINT in place of a reset */
	_cleanup_close_ int tty = sys_openat(AT_FDCWD, "/dev/tty0", O_RDONLY | O_NOCTTY, 0);
	if (tty >= 0)
		(void)ioctl(tty, KDSIGACCEPT, SIGWINCH); /* alt-up, "kbrequest" */
}

void power_request(struct pid1 *p, enum rinit_power kind)
{
	kind = possible(p, kind);
	if (p->phase >= PHASE_STOPPING) {
		log_notice("%s is asked for while the machine is going down already", power_name(kind));
		return;
	}
	console_say("%s is asked for", power_name(kind));
	p->power = kind;
	if (p->phase < PHASE_RUN || p->due[DUE_RASTD_START]) { /* no services yet, or a supervisor that can't stop them */
		p->phase = PHASE_END;
		return;
	}
	p->phase = PHASE_STOPPING;
	p->power_limit = p->shutdown_limit;
	pid1_arm(p, DUE_POWER, p->power_limit);
	link_send(p, RINIT_POWER, kind); /* before HELLO: goes right after READY, link.c */
}

void power_begun(struct pid1 *p, enum rinit_power kind, uint64_t limit_s)
{
	bool first = !p->power_told;

	p->power = possible(p, kind);
	p->power_told = true;
	if (p->phase < PHASE_STOPPING)
		p->phase = PHASE_STOPPING;
	if (!first) /* a supervisor that begins again and again does not put it off for ever */
		return;
	p->power_limit = limit_s ? limit_s * SECOND_US : p->shutdown_limit;
	pid1_arm(p, DUE_POWER, p->power_limit);
}

void power_finish(struct pid1 *p, enum rinit_power kind, const char *argument)
{
	p->power = possible(p, kind);
	p->power_orderly = true;
	snprintf(p->power_argument, sizeof(p->power_argument), "%s", argument);
	p->phase = PHASE_END;
}

void power_overdue(struct pid1 *p)
{
	console_say("services are not stopped after %llu s: %s goes on without waiting. The supervisor says: %s",
		(unsigned long long)(p->power_limit / SECOND_US), power_name(p->power), *p->status ? p->status : "nothing");
	p->phase = PHASE_END;
}

static void at_once(struct pid1 *p, enum rinit_power kind)
{
	console_say("%s at once", power_name(kind));
	p->power = possible(p, kind);
	p->phase = PHASE_END;
}

static void ctrl_alt_del(struct pid1 *p)
{
	uint64_t now = now_us();

	memmove(p->cad + 1, p->cad, sizeof(p->cad) - sizeof(p->cad[0]));
	p->cad[0] = now;
	if (p->cad[ARRAY_SIZE(p->cad) - 1] && now - p->cad[ARRAY_SIZE(p->cad) - 1] < IMPATIENT_US)
		at_once(p, RINIT_REBOOT);
	else if (p->phase < PHASE_STOPPING)
		power_request(p, RINIT_REBOOT);
}

/* /run/powerstatus (sysvinit's powerd interface) begins with F(ailing), L(ow) or O(k). */
static void power_failing(struct pid1 *p)
{
	char status = 'F';

	_cleanup_close_ int fd = sys_openat(AT_FDCWD, "/run/powerstatus", O_RDONLY, 0);
	if (fd >= 0)
		(void)sys_read(fd, &status, 1);
	if (status == 'O' || status == 'o')
		link_send(p, RINIT_SIGNAL, SIGPWR);
	else
		power_request(p, RINIT_POWEROFF);
}

static void reexec(struct pid1 *p)
{
	log_notice("PID 1 executes itself anew");
	state_exec(p, "--reexec");
}

enum what { ASK, AT_ONCE, FORWARD };

/* Offsets from SIGRTMIN: systemd(1), "Signals". */
static const struct {
	int sig;
	bool rt;
	enum what what;
	enum rinit_power kind;
} signals[] = {
	{3, true, ASK, RINIT_HALT},
	{4, true, ASK, RINIT_POWEROFF},
	{5, true, ASK, RINIT_REBOOT},
	{6, true, ASK, RINIT_KEXEC},
	{13, true, AT_ONCE, RINIT_HALT},
	{14, true, AT_ONCE, RINIT_POWEROFF},
	{15, true, AT_ONCE, RINIT_REBOOT},
	{16, true, AT_ONCE, RINIT_KEXEC},
	{SIGUSR1, false, ASK, RINIT_HALT}, /* these three: busybox init */
	{SIGUSR2, false, ASK, RINIT_POWEROFF},
	{SIGTERM, false, ASK, RINIT_REBOOT},
	{SIGHUP, false, FORWARD, 0},
	{SIGWINCH, false, FORWARD, 0},
};

void power_signal(struct pid1 *p, int sig)
{
	if (sig == SIGINT && p->machine)
		ctrl_alt_del(p);
	else if (sig == SIGINT)
		power_request(p, RINIT_REBOOT);
	else if (sig == SIGPWR)
		power_failing(p);
	else if (sig == SIGRTMIN + 25)
		reexec(p);
	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++) {
		if (sig != signals[i].sig + (signals[i].rt ? SIGRTMIN : 0))
			continue;
		if (signals[i].what == ASK)
			power_request(p, signals[i].kind);
		else if (signals[i].what == AT_ONCE)
			at_once(p, signals[i].kind);
		else
			link_send(p, RINIT_SIGNAL, (uint64_t)sig);
		return;
	}
}
