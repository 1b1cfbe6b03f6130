/* log.c: see log.h. Only the stack is used: gmtime_r() would read the time zone files and allocate, hence civil_time(). */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

/* /dev/kmsg refuses records longer than this with EINVAL (kernel/printk/printk.c, devkmsg_write: LOG_LINE_MAX, 1024 less the prefix) */
#define KMSG_MAX 960

static const char *const level_names[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" };

static struct {
	const char *name;
	enum log_target target;
	int fd;
	int own_kmsg; /* opened here, when the caller has none; kept between log_init() calls */
	int max_level;
} logger = { "rastos", LOG_TO_STDERR, -1, -1, LOG_INFO };

#define HELD_MAX 4096

static struct {
	bool on;
	size_t n;
	char text[HELD_MAX]; /* whole lines, as they are to be written */
} held;

static int kmsg_fd(void)
{
	if (logger.own_kmsg < 0)
		logger.own_kmsg = open("/dev/kmsg", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	return logger.own_kmsg;
}

/* One line is one write: a pipe doesn't tear it, and for /dev/kmsg it is one record. */
static void write_line(const char *line, size_t n)
{
	ssize_t r;

	do
		r = write(logger.fd < 0 ? STDERR_FILENO : logger.fd, line, n);
	while (r < 0 && errno == EINTR);
}

static void write_held(void)
{
	size_t done = 0;

	while (done < held.n) {
		const char *line = held.text + done;
		size_t n = (size_t)((char *)memchr(line, '\n', held.n - done) + 1 - line);
		write_line(line, n);
		done += n;
	}
	held.n = 0;
}

void log_hold(bool on)
{
	int saved_errno = errno;

	write_held();
	held.on = on;
	errno = saved_errno;
}

void log_init(const char *name, enum log_target target, int fd)
{
	write_held();
	logger.name = name;
	logger.target = target;
	logger.fd = fd;
	if (target == LOG_TO_STDERR || (target == LOG_TO_KMSG && fd < 0))
		logger.fd = target == LOG_TO_KMSG ? kmsg_fd() : STDERR_FILENO;
	if (logger.fd < 0) { /* no /dev yet: the console is better than silence */
		logger.target = LOG_TO_STDERR;
		logger.fd = STDERR_FILENO;
	}
}

enum log_target log_target(void)
{
	return logger.target;
}

void log_set_max_level(int level)
{
	logger.max_level = level;
}

int log_level_from_name(const char *s)
{
	for (int i = 0; s && i < (int)ARRAY_SIZE(level_names); i++)
		if (strcmp(s, level_names[i]) == 0 || (s[0] == '0' + i && !s[1]))
			return i;
	return -EINVAL;
}

struct civil {
	int year, month, day;
};

/* Days since 1970-01-01 to a date of the Gregorian calendar, counted in years that begin in March
 * (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days). */
static struct civil civil_date(int64_t days)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int doe = (int)(days - era * 146097);
	int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int mp = (5 * doy + 2) / 153;
	int month = mp < 10 ? mp + 3 : mp - 9;

	return (struct civil){ (int)(yoe + era * 400) + (month <= 2), month, doy - (153 * mp + 2) / 5 + 1 };
}

static int format_time(char *buf, size_t size)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	int64_t days = ts.tv_sec / 86400;
	int sec = (int)(ts.tv_sec % 86400);

	if (sec < 0) {
		sec += 86400;
		days--;
	}
	struct civil c = civil_date(days);
	return snprintf(buf, size, "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ", c.year, c.month, c.day, sec / 3600, sec / 60 % 60, sec % 60,
			ts.tv_nsec / 1000);
}

/* Append text so that the line stays one line and can't steer a terminal. Returns the new length. */
static size_t add_text(char *buf, size_t len, size_t room, const char *text)
{
	bool cut = false;
	size_t n = strlen(text);

	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n > room) {
		n = room > 3 ? room - 3 : 0;
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) /* not in the middle of a UTF-8 character */
			n--;
		cut = true;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];
		buf[len++] = (char)(c == '\n' ? ' ' : (c < 0x20 && c != '\t') || c == 0x7f ? '?' : c);
	}
	for (int i = 0; cut && room >= 3 && i < 3; i++)
		buf[len++] = '.';
	return len;
}

static size_t finish_line(char *buf, size_t size, int head, const char *text)
{
	size_t len = head < 0 ? 0 : MIN((size_t)head, size - 2);

	len = add_text(buf, len, size - 2 - len, text);
	buf[len++] = '\n';
	buf[len] = 0;
	return len;
}

size_t log_format(char *buf, size_t size, const char *name, int level, const char *text)
{
	char when[64];

	if (size < 2)
		return 0;
	format_time(when, sizeof(when));
	return finish_line(buf, size, snprintf(buf, size, "%s %s %s: ", when, name, level_names[level & LOG_PRIMASK]), text);
}

static size_t kmsg_format(char *buf, size_t size, int level, const char *text)
{
	return finish_line(buf, size, snprintf(buf, size, "<%d>%s: ", level & LOG_PRIMASK, logger.name), text);
}

void log_msgv(int level, const char *fmt, va_list ap)
{
	char text[LOG_LINE_MAX], line[LOG_LINE_MAX + 1];
	int saved_errno = errno;
	size_t n;

	if ((level & LOG_PRIMASK) > logger.max_level)
		return;
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		return;
	if (logger.target == LOG_TO_KMSG)
		n = kmsg_format(line, KMSG_MAX, level, text);
	else if (logger.target == LOG_TO_LOGGER)
		n = finish_line(line, sizeof(line), snprintf(line, sizeof(line), "%s: ", level_names[level & LOG_PRIMASK]), text);
	else
		n = log_format(line, sizeof(line), logger.name, level, text);
	if (held.on && n <= sizeof(held.text) - held.n) {
		memcpy(held.text + held.n, line, n);
		held.n += n;
	} else {
		write_held();
		write_line(line, n);
	}
	errno = saved_errno;
}

void log_msg(int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_msgv(level, fmt, ap);
	va_end(ap);
}
