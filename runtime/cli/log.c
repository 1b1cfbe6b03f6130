/* log.c: errors as podman and containerd's shim read them: the last line of level error in --log is the reason. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/cli/cli.h"

/* RFC 3339, UTC */
static void now_text(char *buf, size_t size)
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* A JSON string, quotes included; bytes that are no UTF-8 as U+FFFD. */
static void add_json(struct buf *b, const char *s)
{
	buf_add(b, "\"", 1);
	while (*s) {
		unsigned char c = (unsigned char)*s;
		size_t n = utf8_span(s, strlen(s));
		if (c == '"' || c == '\\')
			buf_addf(b, "\\%c", c);
		else if (c < 0x20)
			buf_addf(b, "\\u%04x", c);
		else if (n == 0)
			buf_addf(b, "\\ufffd");
		else
			buf_add(b, s, 1);
		s++;
	}
	buf_add(b, "\"", 1);
}

static void write_line(const char *level, const char *text)
{
	_cleanup_buf_ struct buf b = { 0 };
	_cleanup_close_ int fd = -1;
	char when[32];

	if (strempty(cli.log))
		return;
	now_text(when, sizeof(when));
	if (cli.log_format && streq(cli.log_format, "json")) {
		buf_addf(&b, "{\"level\":\"%s\",\"msg\":", level);
		add_json(&b, text);
		buf_addf(&b, ",\"time\":\"%s\"}\n", when);
	} else {
		buf_addf(&b, "time=\"%s\" level=%s msg=", when, level);
		add_json(&b, text);
		buf_addf(&b, "\n");
	}
	fd = sys_openat(AT_FDCWD, cli.log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (fd >= 0 && !b.failed)
		(void)!write_all(fd, b.data, b.len);
}

int cli_fail(struct err *e)
{
	write_line("error", err_text(e));
	fprintf(stderr, "rastrun: %s\n", err_text(e));
	err_clear(e);
	return 1;
}

int cli_usage(const char *verb, const char *what)
{
	_cleanup_err_ struct err e = { 0 };

	err_set(&e, -EINVAL, "%s: %s; try 'rastrun %s --help'", verb, what, verb);
	return cli_fail(&e);
}

int log_open(void)
{
	if (cli.log_format && !streq(cli.log_format, "text") && !streq(cli.log_format, "json")) {
		fprintf(stderr, "rastrun: --log-format=%s: text and json are known\n", cli.log_format);
		return 1;
	}
	if (cli.cgroup_manager && streq(cli.cgroup_manager, "systemd"))
		cli.systemd_cgroup = true;
	log_init("rastrun", LOG_TO_STDERR, 2);
	log_set_max_level(cli.debug ? LOG_DEBUG : LOG_WARNING);
	return 0;
}
