/* warn.c: before an apply: does it resemble changes that failed? The history says so (rast risk --staged --warn), in a program of its own
 * that is waited for no longer than it takes to be of use; without it, or without a history, nothing is said. */
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "config.h"
#include "supervisor/ctl/ctl.h"

#define PROGRAM RAST_BINDIR "/rast"
#define STORE "/var/lib/rastos/store/data.mdb"
#define PATIENCE_MS 5000

extern char **environ;

void warn_of_risk(void)
{
	char *const argv[] = {(char *)PROGRAM, (char *)"risk", (char *)"--staged", (char *)"--warn", NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid;

	if (set.quiet || set.json || geteuid() != 0 || strcmp(set.etc_dir, RAST_ETCDIR) != 0 || access(STORE, R_OK) < 0 || access(PROGRAM, X_OK) < 0)
		return;
	if (posix_spawn_file_actions_init(&actions) != 0)
		return;
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	int r = posix_spawn(&pid, PROGRAM, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	for (unsigned ms = 0; r == 0 && waitpid(pid, NULL, WNOHANG) == 0; ms += 5) {
		if (ms >= PATIENCE_MS) {
			kill(pid, SIGKILL);
			break;
		}
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
}
