/* stage1-ledger.c: what the ledger says, and writing into it before the root is switched. A ledger that is missing, damaged or on a disk that can't be
 * written never keeps a machine from booting: it costs what we remember, and is said on the console. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "init/console.h"
#include "init/stage1.h"

#define LOCK_WAIT_MS 2000 /* nobody else is there: a lock that is held is a kernel's or a rescue shell's leftover */

/* Nothing is remembered: the default is the newest snapshot there is, which decide() finds when there is no default. */
static void start_anew(struct stage1 *s, const char *damaged, const char *text)
{
	ledger_empty(&s->ledger);
	s->ledger_damaged = damaged;
	console_say("%s; starting a new one: the newest snapshot becomes the default, and no snapshot is known to be good", text);
}

void stage1_ledger_load(struct stage1 *s)
{
	_cleanup_err_ struct err e = {0};
	bool damaged = false;
	int r = ledger_load(s->topfd, STAGE1_LEDGER, &s->ledger, &damaged, &e);

	_cleanup_close_ int folder = ledger_lock(s->topfd, STAGE1_LEDGER, 0, NULL);
	s->ledger_there = folder >= 0 && !s->read_only;
	s->ledger_damaged = damaged ? "one" : "no";
	if (folder == -ENOENT)
		console_say("there is no subvolume @rastos on %s: nothing is remembered about earlier boots, and this one will not be", s->device);
	if (r == -ENOENT)
		s->ledger_damaged = "missing";
	else if (r == -EBADMSG)
		start_anew(s, "both", err_text(&e));
	else if (r < 0)
		start_anew(s, "unreadable", err_text(&e));
	else if (damaged)
		console_say("%s", err_text(&e));
	ledger_settle(&s->ledger);
}

static void save(struct stage1 *s, const char *what)
{
	_cleanup_err_ struct err e = {0};

	if (!s->ledger_there)
		return;
	_cleanup_close_ int lock = ledger_lock(s->topfd, STAGE1_LEDGER, LOCK_WAIT_MS, &e);
	if (lock < 0)
		console_say("%s; going on without the lock", err_text(&e));
	err_clear(&e);
	e = (struct err){0};
	if (ledger_save(s->topfd, STAGE1_LEDGER, &s->ledger, &e) == 0)
		return;
	console_say("%s could not be recorded: %s; booting anyway, this boot is not counted", what, err_text(&e));
	s->attempt = 0;
}

void stage1_record_attempt(struct stage1 *s)
{
	uint32_t snapshot = s->decision.snapshot;

	if (s->ledger.def == LEDGER_NONE) /* first boot, or a new ledger */
		s->ledger.def = s->decision.reason == DECIDE_NEWEST_LEFT ? snapshot : LEDGER_NONE;
	(s->decision.explores ? ledger_explore : ledger_attempt)(&s->ledger, snapshot);
	ledger_reason(&s->ledger, (uint8_t)s->decision.reason);
	s->attempt = s->ledger_there ? s->ledger.boot : 0;
	s->proven = ledger_find(&s->ledger, snapshot)->proven;
	save(s, "the attempt to boot");
}

void stage1_record_unmountable(struct stage1 *s, uint32_t snapshot)
{
	ledger_failed(&s->ledger, snapshot, LEDGER_RESULT_UNMOUNTABLE);
	save(s, "that the snapshot can't be mounted");
}
