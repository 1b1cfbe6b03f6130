/* reason.c: why a service is not up, in words. */
#include "supervisor/engine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "base/str.h"
#include "supervisor/process/spawn.h"

static const char *const step_names[STEP_MAX] = {"none", "clone", "memory", "make cgroup", "join cgroup", "new session", "output",
	"open tty", "pass descriptors", "set limits", "set nice", "set oom-score-adj", "root-directory", "working-directory",
	"look up user", "set groups", "set group", "set user", "no-new-privileges", "environment-file", "exec"};

const char *spawn_step_name(unsigned step)
{
	return step < STEP_MAX ? step_names[step] : "?";
}

static const char *other(const struct engine *e, uint32_t i)
{
	return i < e->n ? svc_name(e, &e->s[i]) : "another service";
}

static void exit_words(const struct svc *s, char *buf, size_t n)
{
	if (s->r.exit_code == CLD_EXITED)
		snprintf(buf, n, "exited with status %d", s->r.exit_status);
	else
		snprintf(buf, n, "killed by %s%s", signal_name(s->r.exit_status), s->r.exit_code == CLD_DUMPED ? " (core dumped)" : "");
}

static void other_words(const struct engine *e, const struct svc *s, char *buf, size_t n)
{
	bool known = s->r.why_arg < e->n;
	const struct svc *d = known ? &e->s[s->r.why_arg] : s;
	if (s->r.why == WHY_MEMBER)
		snprintf(buf, n, "member %s failed", other(e, s->r.why_arg));
	else if (s->r.why == WHY_CONFLICT)
		snprintf(buf, n, "conflicts with %s", other(e, s->r.why_arg));
	else if (known && svc_has(d, F_MASKED))
		snprintf(buf, n, "dependency %s is masked (rast.mask=)", other(e, s->r.why_arg));
	else if (known && d->r.state == ST_DOWN)
		snprintf(buf, n, "dependency %s was stopped", other(e, s->r.why_arg));
	else
		snprintf(buf, n, "dependency %s failed", other(e, s->r.why_arg));
}

/* "exec /usr/bin/x: No such file or directory" */
static void step_words(const struct engine *e, const struct svc *s, char *buf, size_t n)
{
	const gref *argv = graph_at(e->g, s->r.why_kind == PROC_PRE_START ? cfg(e, s)->pre_start.off : s->def->exec.off);
	const char *program = s->r.why_step == STEP_EXEC && argv ? graph_str(e->g, *argv) : NULL;
	snprintf(buf, n, "%s%s%s: %s", spawn_step_name(s->r.why_step), program ? " " : "", program ? program : "",
		strerror((int)s->r.why_arg));
}

static void why_words(const struct engine *e, const struct svc *s, unsigned why, char *buf, size_t n);

static void limit_words(const struct engine *e, const struct svc *s, char *buf, size_t n)
{
	char last[192] = "";
	if (s->r.why_last != WHY_NONE && s->r.why_last != WHY_LIMIT)
		why_words(e, s, s->r.why_last, last, sizeof(last));
	else
		exit_words(s, last, sizeof(last));
	snprintf(buf, n, "started %u times in %.6g s (restart limit), last: %s", s->r.starts, (double)cfg(e, s)->restart_interval / 1e6,
		last);
}

static void why_words(const struct engine *e, const struct svc *s, unsigned why, char *buf, size_t n)
{
	char how[96] = "";
	exit_words(s, how, sizeof(how));
	switch (why) {
	case WHY_EXEC:
	case WHY_SPAWN:
		step_words(e, s, buf, n);
		break;
	case WHY_EXIT:
		snprintf(buf, n, "%s", how);
		break;
	case WHY_EARLY_EXIT:
		snprintf(buf, n, "ended before it was ready (%s)", how);
		break;
	case WHY_PRE_START:
		snprintf(buf, n, "pre-start failed (%s)", how);
		break;
	case WHY_START_TIMEOUT:
		snprintf(buf, n, "not ready after %.6g s (start-timeout=)", (double)cfg(e, s)->start_timeout / 1e6);
		break;
	case WHY_WATCHDOG:
		if (cfg(e, s)->watchdog == UINT64_MAX)
			snprintf(buf, n, "no sign of life, or WATCHDOG=trigger");
		else
			snprintf(buf, n, "no sign of life for %.6g s (watchdog=), or WATCHDOG=trigger", (double)cfg(e, s)->watchdog / 1e6);
		break;
	case WHY_LIMIT:
		limit_words(e, s, buf, n);
		break;
	case WHY_NO_PROVIDER:
		snprintf(buf, n, "no provider can be started");
		break;
	case WHY_UNKILLABLE:
		snprintf(buf, n, "a process survives SIGKILL");
		break;
	case WHY_LOST:
		snprintf(buf, n, "ended while nobody watched");
		break;
	case WHY_DEPENDENCY:
	case WHY_MEMBER:
	case WHY_CONFLICT:
		other_words(e, s, buf, n);
		break;
	default:
		break;
	}
}

const char *svc_reason(const struct engine *e, const struct svc *s, char *buf, size_t n)
{
	buf[0] = '\0';
	if (s->r.why != WHY_NONE && s->r.state != ST_UP)
		why_words(e, s, s->r.why, buf, n);
	else if (s->r.state == ST_WAITING && s->blocker < e->n)
		snprintf(buf, n, "waits for %s", other(e, s->blocker));
	else if (s->r.state == ST_STOP_WAIT && s->blocker < e->n)
		snprintf(buf, n, "waits for %s to stop", other(e, s->blocker));
	return buf;
}
