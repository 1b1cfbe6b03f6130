#include "supervisor/ctl/logfile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/base.h"

static bool is_key(const char *s)
{
	static const char pattern[] = "0000-00-00T00:00:00.000000Z";
	for (size_t i = 0; i < LOG_KEY_LEN; i++)
		if (pattern[i] == '0' ? s[i] < '0' || s[i] > '9' : s[i] != pattern[i])
			return false;
	return true;
}

bool log_line_parse(const char *line, size_t n, struct log_line *ret)
{
	if (n < LOG_KEY_LEN + 1 || !is_key(line) || line[LOG_KEY_LEN] != ' ')
		return false;
	const char *name = line + LOG_KEY_LEN + 1, *end = line + n;
	const char *space = memchr(name, ' ', (size_t)(end - name));
	const char *stop = space ? space : end; /* an empty text may have lost its space to an editor */
	if (stop - name < 2 || stop[-1] != ':')
		return false;
	*ret = (struct log_line){.name = name, .name_len = (size_t)(stop - name - 1), .text = space ? space + 1 : end};
	ret->text_len = (size_t)(end - ret->text);
	return true;
}

off_t log_tail_offset(int fd, off_t size, unsigned long *lines)
{
	char block[16384];
	off_t end = size;
	bool last = true; /* the newline that ends the file begins no line */
	if (!*lines)
		return size;
	while (end > 0) {
		off_t start = end > (off_t)sizeof block ? end - (off_t)sizeof block : 0;
		ssize_t n = pread(fd, block, (size_t)(end - start), start);
		if (n != end - start)
			return end; /* cut off meanwhile, or unreadable: what is known is enough */
		for (ssize_t i = n; i-- > 0;) {
			bool skip = last;
			last = false;
			if (block[i] == '\n' && !skip && --*lines == 0)
				return start + i + 1;
		}
		end = start;
	}
	*lines -= size > 0; /* the first line of the file has no newline in front */
	return 0;
}

void log_key(uint64_t realtime_us, char key[LOG_KEY_LEN + 1])
{
	time_t t = (time_t)(realtime_us / 1000000);
	struct tm tm = {0};
	char text[64];
	gmtime_r(&t, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(key, LOG_KEY_LEN + 1, "%.19s.%06uZ", text, (unsigned)(realtime_us % 1000000));
}

static int from_ago(const char *text, uint64_t now, uint64_t *ret)
{
	char copy[64];
	uint64_t ago;
	size_t n = strlen(text);
	bool minus = *text == '-', word = n > 4 && streq(text + n - 4, " ago");
	if ((!minus && !word) || n >= sizeof copy)
		return -EINVAL;
	snprintf(copy, sizeof copy, "%.*s", (int)(n - minus - (word ? 4 : 0)), text + minus);
	if (parse_duration(copy, &ago) < 0 || ago > now)
		return -EINVAL;
	*ret = now - ago;
	return 0;
}

static int from_word(const char *text, uint64_t now, uint64_t *ret)
{
	time_t t = (time_t)(now / 1000000);
	struct tm tm;
	int64_t seconds;
	if (streq(text, "now")) {
		*ret = now;
		return 0;
	}
	if (*text == '@') {
		if (parse_i64(text + 1, &seconds) < 0 || seconds < 0 || seconds > INT64_MAX / 1000000)
			return -EINVAL;
		*ret = (uint64_t)seconds * 1000000;
		return 0;
	}
	if ((!streq(text, "today") && !streq(text, "yesterday")) || !localtime_r(&t, &tm))
		return -EINVAL;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_mday -= streq(text, "yesterday");
	tm.tm_isdst = -1;
	*ret = (uint64_t)mktime(&tm) * 1000000;
	return 0;
}

static int from_date(const char *text, uint64_t now, uint64_t *ret)
{
	static const char *const formats[] = {
		"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d", "%H:%M:%S", "%H:%M"};
	time_t t = (time_t)(now / 1000000);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tm tm;
		uint64_t us = 0;
		localtime_r(&t, &tm); /* the day, where only the hour is said */
		tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
		const char *rest = strptime(text, formats[i], &tm);
		if (!rest)
			continue;
		if (*rest == '.' && strspn(rest + 1, "0123456789") > 0) {
			uint64_t place = 100000;
			for (rest++; *rest >= '0' && *rest <= '9'; rest++, place /= 10)
				us += (uint64_t)(*rest - '0') * place;
		}
		bool utc = *rest == 'Z';
		if (rest[utc])
			continue;
		tm.tm_isdst = -1;
		time_t r = utc ? timegm(&tm) : mktime(&tm);
		if (r < 0)
			return -EINVAL;
		*ret = (uint64_t)r * 1000000 + us;
		return 0;
	}
	return -EINVAL;
}

int log_key_from_text(const char *text, uint64_t now_realtime_us, char key[LOG_KEY_LEN + 1])
{
	uint64_t us;
	if (from_word(text, now_realtime_us, &us) < 0 && from_ago(text, now_realtime_us, &us) < 0 &&
		from_date(text, now_realtime_us, &us) < 0)
		return -EINVAL;
	if (us / 1000000 > 253402300799u) /* 9999-12-31T23:59:59: a fifth digit would spoil the order of keys */
		return -EINVAL;
	log_key(us, key);
	return 0;
}
