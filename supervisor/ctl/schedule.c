/* schedule.c: a shutdown later: a process in the background waits for it. What it waits for is in RUN/shutdown, so that it can be shown and
 * cancelled:
 *
 *   PID START-TIME-OF-PID KIND MICROSECONDS-SINCE-1970 */
#include "supervisor/ctl/power.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <time.h>

#define MINUTE_US 60000000u

int schedule_parse(const char *text, uint64_t now, uint64_t *ret)
{
	unsigned hour, minute;
	uint64_t minutes;
	char end;
	if (streq(text, "now")) {
		*ret = now;
		return 0;
	}
	if (sscanf(text, "%2u:%2u%c", &hour, &minute, &end) == 2 && hour < 24 && minute < 60 && text[0] != '+') {
		time_t t = (time_t)(now / 1000000);
		struct tm tm;
		localtime_r(&t, &tm);
		tm.tm_hour = (int)hour;
		tm.tm_min = (int)minute;
		tm.tm_sec = 0;
		tm.tm_isdst = -1;
		time_t at = mktime(&tm);
		if (at <= t) {
			tm.tm_mday++;
			tm.tm_isdst = -1;
			at = mktime(&tm);
		}
		*ret = (uint64_t)at * 1000000;
		return 0;
	}
	if (parse_u64(text + (*text == '+'), &minutes) < 0 || minutes > 60u * 24 * 365)
		return -EINVAL;
	*ret = now + minutes * MINUTE_US;
	return 0;
}

static void file_path(char buf[4096])
{
	snprintf(buf, 4096, "%s/shutdown", set.run_dir);
}

static uint64_t wall_clock_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* --- what is scheduled --- */

struct scheduled {
	pid_t pid;
	char kind[16];
	uint64_t when_us;
};

/* -ENOENT when nothing is: the file may be that of a process which has died. */
static int scheduled_read(struct scheduled *s)
{
	char path[4096];
	_cleanup_free_ char *text = NULL;
	unsigned long long start, when;
	uint64_t real;
	file_path(path);
	int r = file_read(AT_FDCWD, path, 4096, &text, NULL);
	if (r < 0)
		return r;
	if (sscanf(text, "%d %llu %15s %llu", &s->pid, &start, s->kind, &when) != 4)
		return -ENOENT;
	s->when_us = when;
	return s->pid > 1 && proc_start_time(s->pid, &real) == 0 && real == start ? 0 : -ENOENT;
}

static int scheduled_write(enum power_kind kind, uint64_t when_us)
{
	char path[4096], text[128];
	uint64_t start;
	int r = proc_start_time(getpid(), &start);
	if (r < 0)
		return r;
	int n = snprintf(text, sizeof text, "%d %llu %s %llu\n", (int)getpid(), (unsigned long long)start, power_word(kind),
		(unsigned long long)when_us);
	file_path(path);
	return file_replace(AT_FDCWD, path, text, (size_t)n, 0644);
}

int schedule_show(void)
{
	struct scheduled s;
	char when[48];
	int r = scheduled_read(&s);
	if (r == -EACCES)
		return ctl_error(CTL_DENIED, "%s/shutdown: %s", set.run_dir, strerror(-r));
	if (r < 0)
		return ctl_error(CTL_FAILED, "no shutdown is scheduled");
	printf("%s at %s\n", s.kind, time_text(when, s.when_us));
	return CTL_OK;
}

int schedule_cancel(const char *message, bool quiet)
{
	struct scheduled s;
	char path[4096];
	if (geteuid() != 0)
		return ctl_error(CTL_DENIED, "only root may cancel a shutdown; try it with sudo or su");
	if (scheduled_read(&s) < 0)
		return ctl_error(CTL_FAILED, "no shutdown is scheduled");
	_cleanup_close_ int pidfd = sys_pidfd_open(s.pid, 0);
	int r = pidfd < 0 ? pidfd : sys_pidfd_send_signal(pidfd, SIGTERM, NULL, 0);
	if (r < 0 && r != -ESRCH)
		return ctl_error(CTL_FAILED, "stop the waiting process %d: %s", (int)s.pid, strerror(-r));
	file_path(path);
	unlink(path);
	if (!quiet)
		wall(strempty(message) ? "The shutdown has been cancelled." : message);
	return CTL_OK;
}

/* --- waiting --- */

static void warn(enum power_kind kind, uint64_t when_us, const char *message)
{
	char text[2048], left[32], when[48];
	uint64_t now = wall_clock_us();
	bool soon = when_us <= now + 1000000;
	snprintf(text, sizeof text, "%s%sThis machine is going to %s %s%s (%s).", strempty(message) ? "" : message,
		strempty(message) ? "" : "\r\n", power_word(kind), soon ? "now" : "in ",
		soon ? "" : duration_text(left, (when_us - now + 999999) / 1000000 * 1000000), time_text(when, when_us));
	wall(text);
}

/* The next time to say something: now, then at 3 h, 1 h, 30, 10, 5 and 1 minutes before; and the time itself. */
static uint64_t next_stop(uint64_t now, uint64_t when_us)
{
	static const unsigned minutes[] = {180, 60, 30, 10, 5, 1};
	for (size_t i = 0; i < ARRAY_SIZE(minutes); i++) {
		uint64_t at = when_us - minutes[i] * (uint64_t)MINUTE_US;
		if (when_us > minutes[i] * (uint64_t)MINUTE_US && at > now + 1000000)
			return at;
	}
	return when_us;
}

/* The clock may be set meanwhile: TFD_TIMER_CANCEL_ON_SET wakes us then. */
static void sleep_until(int timer, uint64_t at_us)
{
	struct itimerspec t = {.it_value = {(time_t)(at_us / 1000000), (long)(at_us % 1000000 * 1000)}};
	uint64_t n;
	while (wall_clock_us() < at_us) {
		if (timerfd_settime(timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &t, NULL) < 0 && errno != ECANCELED) {
			sleep(1);
			continue;
		}
		if (read(timer, &n, sizeof n) < 0 && errno != ECANCELED && errno != EINTR)
			sleep(1);
	}
}

/* nologin(5): from five minutes before, only root logs in. */
static void close_doors(const char *message)
{
	_cleanup_fclose_ FILE *f = fopen("/run/nologin", "we");
	if (f)
		fprintf(f, "%s\n", strempty(message) ? "This machine is going down; only root may log in." : message);
}

static int wait_and_ask(enum power_kind kind, uint64_t when_us, const char *message, bool quiet)
{
	_cleanup_close_ int timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC);
	bool closed = false;
	char path[4096];
	for (uint64_t now; (now = wall_clock_us()) < when_us;) {
		if (!quiet)
			warn(kind, when_us, message);
		if (!closed && when_us - now <= 5 * (uint64_t)MINUTE_US + 1000000) {
			close_doors(message);
			closed = true;
		}
		sleep_until(timer, next_stop(now, when_us));
	}
	if (!quiet)
		warn(kind, when_us, message);
	file_path(path);
	unlink(path);
	return power_request(kind, message);
}

/* Out of the session's cgroup: the service we were called from may be stopped before it is time. */
static void leave_cgroup(void)
{
	char pid[24];
	struct statfs fs;
	if (statfs("/sys/fs/cgroup", &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		return;
	_cleanup_close_ int root = sys_openat(AT_FDCWD, "/sys/fs/cgroup", O_RDONLY | O_DIRECTORY, 0);
	_cleanup_close_ int own = root < 0 ? root : cgroup_make(root, "rastos.shutdown");
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	if (own >= 0)
		file_write_str(own, "cgroup.procs", pid);
}

static void into_background(void)
{
	setsid();
	signal(SIGHUP, SIG_IGN);
	leave_cgroup();
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (chdir("/") < 0)
		log_debug("chdir /: %s", strerror(errno));
}

int schedule(enum power_kind kind, uint64_t when_us, const char *message, bool quiet)
{
	struct scheduled old;
	char when[48];
	int ready[2];
	if (geteuid() != 0)
		return ctl_error(CTL_DENIED, "only root may shut this machine down, and you are user %u; try it with sudo or su",
			(unsigned)getuid());
	if (scheduled_read(&old) == 0)
		schedule_cancel(NULL, true); /* the new one counts */
	int r = sys_pipe2(ready, O_CLOEXEC);
	pid_t pid = r < 0 ? -1 : fork();
	if (pid < 0)
		return ctl_error(CTL_FAILED, "start the waiting process: %s", strerror(r < 0 ? -r : errno));
	if (pid == 0) {
		close(ready[0]);
		into_background();
		int error = scheduled_write(kind, when_us);
		if (write_all(ready[1], &error, sizeof error) < 0 || error < 0)
			_exit(CTL_FAILED);
		close(ready[1]);
		_exit(wait_and_ask(kind, when_us, message, quiet));
	}
	close(ready[1]);
	int error = -EIO;
	_cleanup_close_ int from = ready[0];
	if (read(from, &error, sizeof error) != (ssize_t)sizeof error || error < 0)
		return ctl_error(CTL_FAILED, "write %s/shutdown: %s", set.run_dir, strerror(-error));
	printf("%s at %s; 'shutdown -c' cancels it\n", power_word(kind), time_text(when, when_us));
	return CTL_OK;
}
