/* shutdown-steps.c: see shutdown.h. All of this runs in a child of PID 1: it may allocate, and hang. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/swap.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/str.h"
#include "init/ledgercmd.h"
#include "init/pid1.h"
#include "init/seed.h"
#include "init/shutdown.h"
#include "storage/ledger.h"

void progress_at(struct progress *pr, const char *what)
{
	pr->since = 0;
	snprintf(pr->what, sizeof(pr->what), "%s", what);
	pr->since = now_us();
}

/* "snapshot=12" of /run/rastos/boot. */
static bool booted_snapshot(uint32_t *ret)
{
	_cleanup_free_ char *text = NULL;
	uint64_t n;

	if (file_read(AT_FDCWD, "/run/rastos/boot", 65536, &text, NULL) < 0 || !str_starts(text, "snapshot="))
		return false;
	text[strcspn(text, "\n")] = '\0';
	if (parse_u64(text + 9, &n) < 0 || n >= LEDGER_NONE)
		return false;
	*ret = (uint32_t)n;
	return true;
}

/* Shut down in order before anybody judged this boot: not a failure, its try is given back. Nothing is written when it has been judged. A
 * machine that had to be forced (services that did not stop, ctrl-alt-del during a boot that hung) does not come here: that counts. */
static void mark_left(struct progress *pr, const struct shutdown_plan *plan)
{
	_cleanup_err_ struct err e = {0};
	uint32_t snapshot;

	if (plan->mark_left && booted_snapshot(&snapshot) && access(LEDGER_DEFAULT_PATH, F_OK) == 0 &&
		ledger_mark(LEDGER_DEFAULT_PATH, "left", snapshot, &e) < 0)
		log_warning("%s", err_text(&e));
}

static void save_seed(struct progress *pr, const struct shutdown_plan *plan)
{
	seed_save();
}

static void sync_all(struct progress *pr, const struct shutdown_plan *plan)
{
	sync();
}

static void swap_off(struct progress *pr, const struct shutdown_plan *plan)
{
	_cleanup_free_ char *text = NULL;
	char *rest = NULL, *line;

	if (file_read(AT_FDCWD, "/proc/swaps", 65536, &text, NULL) < 0)
		return;
	line = strtok_r(text, "\n", &rest); /* the heading */
	while (line && (line = strtok_r(NULL, "\n", &rest))) {
		bool skip = false;
		line[strcspn(line, " \t")] = '\0';
		for (uint32_t i = 0; i < pr->n_stuck; i++)
			skip = skip || streq(pr->stuck[i], line);
		progress_at(pr, line);
		if (!skip)
			(void)swapoff(line);
	}
}

const struct shutdown_step shutdown_steps[] = {
	{"recording that this boot was ended in order", 10 * SECOND_US, false, mark_left},
	{"saving the random seed", 10 * SECOND_US, false, save_seed},
	{"writing all data to the disks", 30 * SECOND_US, true, sync_all},
	{"switching off swap", 20 * SECOND_US, false, swap_off},
	{"unmounting", 15 * SECOND_US, true, unmount_all},
};
const unsigned n_shutdown_steps = ARRAY_SIZE(shutdown_steps);
