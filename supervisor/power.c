/* power.c: stop everything in order, then hand the machine to PID 1.
 *
 * Everything but the logger goes first; then the logger writes what is left, and goes, too. What is being waited for is told to PID 1 every
 * now and then: it prints it when it runs out of patience, and goes on without us when its limit is over. */
#include "supervisor/manager.h"

#include <string.h>

#define STATUS_EVERY 1000000u
#define SYNC_LIMIT 5000000u /* us: a logger that can't write (disk) doesn't hold the machine up */

enum { STAGE_SERVICES, STAGE_SYNC, STAGE_LOGGER, STAGE_DONE };

static const char *const kind_names[] = {"?", "power-off", "reboot", "halt", "kexec", "exit"};

static const char *kind_name(uint32_t k)
{
	return k < ARRAY_SIZE(kind_names) ? kind_names[k] : "?";
}

static bool all_down(const struct manager *m, bool logger_too)
{
	for (uint32_t i = 0; i < m->e.n; i++)
		if (svc_active(&m->e.s[i]) && (logger_too || i != m->logger))
			return false;
	return true;
}

static void finish(struct manager *m)
{
	m->power_stage = STAGE_DONE;
	timer_disarm(m->loop, &m->power_timer);
	timer_disarm(m->loop, &m->status_timer);
	log_notice("all services are stopped: %s", kind_name(m->st.boot.power));
	if (m->p1_fd < 0)
		loop_quit(m->loop, 0);
	else
		pid1_send(m, RINIT_SHUTDOWN, m->st.boot.power, 0, NULL);
}

static void stop_logger(struct manager *m)
{
	struct mark k = {0};
	if (m->power_stage != STAGE_SYNC)
		return;
	m->power_stage = STAGE_LOGGER;
	timer_disarm(m->loop, &m->power_timer);
	if (m->logger != NONE)
		mark_stop(&m->e, &m->logger, 1, MARK_FORCE, &k);
	mark_clear(&k);
	manager_schedule(m);
}

static void on_synced(struct manager *m, int error, void *data)
{
	stop_logger(m);
}

static int on_sync_limit(struct timer *t, void *data)
{
	log_warning("the logger has not written everything within %u s", SYNC_LIMIT / 1000000);
	stop_logger(data);
	return 0;
}

static void sync_logs(struct manager *m)
{
	m->power_stage = STAGE_SYNC;
	if (output_sync(m, true, on_synced, NULL) < 0) {
		stop_logger(m);
		return;
	}
	timer_init(&m->power_timer, on_sync_limit, m);
	timer_arm_in(m->loop, &m->power_timer, SYNC_LIMIT);
}

void power_check(struct manager *m)
{
	if (!m->st.boot.power)
		return;
	if (m->power_stage == STAGE_SERVICES && all_down(m, false))
		sync_logs(m);
	if (m->power_stage == STAGE_LOGGER && all_down(m, true))
		finish(m);
}

/* The one that has been at it for longest. */
static const struct svc *slowest(const struct manager *m, unsigned *n)
{
	const struct svc *worst = NULL;
	*n = 0;
	for (uint32_t i = 0; i < m->e.n; i++) {
		const struct svc *s = &m->e.s[i];
		if (s->r.state != ST_STOPPING && s->r.state != ST_KILLING && s->r.state != ST_POST_STOP)
			continue;
		++*n;
		if (!worst || s->r.since < worst->r.since)
			worst = s;
	}
	return worst;
}

static int on_status(struct timer *t, void *data)
{
	struct manager *m = data;
	char text[256], more[32] = "";
	unsigned n;
	const struct svc *s = slowest(m, &n);
	if (s) {
		const char *what = s->r.state == ST_KILLING     ? "SIGKILL"
				   : s->r.state == ST_POST_STOP ? "post-stop"
				   : s->r.aux == PROC_EXEC_STOP
					   ? "exec-stop"
					   : signal_name(cfg(&m->e, s)->stop_signal > 0 ? cfg(&m->e, s)->stop_signal : SIGTERM);
		unsigned secs = (unsigned)((now_us() - s->r.since) / 1000000);
		if (n > 1)
			snprintf(more, sizeof(more), " and %u more", n - 1);
		snprintf(text, sizeof(text), "stopping: %s (%s %u s ago)%s", nm(m, s), what, secs, more);
		pid1_send(m, RINIT_STATUS, 0, 0, text);
		if (secs >= 3)
			output_console(m, "rastd: %s", text);
	}
	return timer_arm_in(m->loop, t, STATUS_EVERY);
}

static void run(struct manager *m)
{
	timer_init(&m->status_timer, on_status, m);
	timer_arm_in(m->loop, &m->status_timer, STATUS_EVERY);
	mark_stop_all(&m->e, m->logger);
	manager_schedule(m);
}

void power_begin(struct manager *m, enum rinit_power kind, bool force, const char *message)
{
	char text[256];
	struct boot_rec *b = &m->st.boot;
	bool again = b->power != 0;
	b->power = kind;
	b->phase = BOOT_STOPPING;
	state_put_boot(&m->st);
	snprintf(text, sizeof(text), "%s%s%s", kind_name(kind), message && *message ? ": " : "", message ? message : "");
	log_notice("the machine goes down: %s", text);
	output_console(m, "The machine goes down: %s", text);
	events_power(m, text);
	if (force) {
		finish(m);
		return;
	}
	pid1_send(m, RINIT_SHUTDOWN_BEGIN, kind, 0, NULL);
	if (!again)
		run(m);
}

void power_resume(struct manager *m)
{
	if (!m->st.boot.power)
		return;
	m->e.no_restart = true;
	pid1_send(m, RINIT_SHUTDOWN_BEGIN, m->st.boot.power, 0, NULL);
	run(m);
}
