/* remember.c: tell the history what was applied and how a boot went: `rast history record`, a child that rastd neither waits for nor depends on.
 * Only on a machine that stage 1 has booted: nowhere else is there a snapshot that it would be about. */
#include <string.h>
#include <sys/wait.h>
#include "config.h"
#include "supervisor/manager.h"

#define PROGRAM RAST_BINDIR "/rast"
#define PATIENCE 8000000u /* us that a reboot waits for what explains it */

static unsigned running;
static uint64_t began;

static void on_end(struct manager *m, int code, int status, void *data)
{
	running--;
	idle_due(m);
	manager_schedule(m); /* this was what kept memory from being given back */
	if (code == CLD_EXITED && status == 0)
		log_debug("the history remembers: %s", (const char *)data);
	else
		log_warning("the history could not remember this (%s): rast history record ended with %s %d", (const char *)data, code == CLD_EXITED ? "status" : "signal", status);
}

static void remember(struct manager *m, const char *what, const char *option, const char *why)
{
	char snapshot[32], reason[320];
	char *const argv[] = {(char *)PROGRAM, (char *)"history", (char *)"record", (char *)"--quiet", (char *)(uintptr_t)option, why ? reason : NULL, NULL};

	if (m->opt.no_mark || m->opt.standalone || !boot_value(m, "snapshot", snapshot, sizeof(snapshot)) || streq(snapshot, "none") || access(PROGRAM, X_OK) < 0)
		return;
	if (why)
		snprintf(reason, sizeof(reason), "--why=%s", why);
	if (spawn_helper(m, argv, on_end, (void *)(uintptr_t)what) < 0)
		return;
	running++;
	began = now_us();
}

void remember_apply(struct manager *m)
{
	remember(m, "an apply", "--kind=apply", NULL);
}

void remember_boot(struct manager *m, bool good, const char *why)
{
	remember(m, good ? "a good boot" : "a failed boot", good ? "--result=good" : "--result=failed", why);
}

bool remember_busy(void)
{
	return running && now_us() - began < PATIENCE;
}
