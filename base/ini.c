/* ini.c: see ini.h.
 *
 * inih finds sections and keys. Values are kept aside while it works: the library that distributions ship cuts lines at
 * 200 bytes, takes " ;" in a value for a comment, treats an indented key as a continuation and tells no line numbers
 * (INI_MAX_LINE, INI_ALLOW_INLINE_COMMENTS, INI_ALLOW_MULTILINE, INI_HANDLER_LINENO of ini.h are fixed when it is built).
 * So it is given one short "key=" line for each logical line, whose value and place the reader knows. */
#include "base/ini.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"

#define FILE_MAX (4 << 20)
#define VALUE_MAX (64 << 10)
#define WORD_MAX 49 /* inih cuts longer section and key names (MAX_SECTION, MAX_NAME of ini.c are 50) */

struct reader {
	const char *pos, *end;
	const char *file;
	int line;      /* the last physical line read */
	int key_line;  /* where the logical line began */
	struct buf text; /* the logical line */
	const char *value;
	ini_key_cb cb;
	void *data;
	struct err *e;
	int error;
};

static _printf_(2, 3) void *syntax_error(struct reader *r, const char *fmt, ...)
{
	_cleanup_free_ char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		what = NULL;
	va_end(ap);
	r->error = err_set(r->e, -EBADMSG, "%s:%d: %s", r->file, r->key_line, what ? what : "syntax error");
	return NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* The next physical line without white space at its ends; false at the end of the file. */
static bool physical_line(struct reader *r, const char **ret, size_t *ret_len)
{
	const char *line = r->pos, *nl;
	size_t n;

	if (r->pos == r->end)
		return false;
	nl = memchr(line, '\n', (size_t)(r->end - line));
	n = (size_t)((nl ? nl : r->end) - line);
	r->pos = nl ? nl + 1 : r->end;
	r->line++;
	while (n > 0 && is_blank(line[n - 1]))
		n--;
	while (n > 0 && is_blank(*line)) {
		line++;
		n--;
	}
	*ret = line;
	*ret_len = n;
	return true;
}

/* Collect a logical line in r->text. 1: there is one; 0: end of the file. */
static int logical_line(struct reader *r)
{
	const char *line;
	size_t n;
	bool more = false;

	r->text.len = 0;
	while (physical_line(r, &line, &n)) {
		if (n == 0 && !more)
			continue;
		if (n > 0 && (*line == '#' || *line == ';'))
			continue;
		if (!more)
			r->key_line = r->line;
		else if (buf_add(&r->text, " ", 1) < 0)
			return -ENOMEM;
		more = n > 0 && line[n - 1] == '\\';
		n -= more;
		while (more && n > 0 && is_blank(line[n - 1]))
			n--;
		if (buf_add(&r->text, line, n) < 0)
			return -ENOMEM;
		if (!more)
			return 1;
	}
	return r->text.len > 0 && more;
}

static char *give_section(struct reader *r, char *str, size_t size)
{
	char *s = r->text.data;
	size_t n = strlen(s);

	if (s[n - 1] != ']')
		return syntax_error(r, "section header without ']' at its end: write it as [Name] on a line of its own");
	if (n < 3 || n - 2 > WORD_MAX || strcspn(s + 1, "];[") != n - 2)
		return syntax_error(r, "section name of %zu characters: 1 to %d are allowed, without '[', ']' and ';'", n - 2, WORD_MAX);
	snprintf(str, size, "%s\n", s);
	return str;
}

static bool key_char(char c)
{
	return c > ' ' && c < 0x7f && !strchr("=:;#[]\\\"'", c);
}

static char *give_key(struct reader *r, char *str, size_t size)
{
	char *key = r->text.data, *equals = strchr(key, '=');
	size_t n = 0;

	if (!equals)
		return syntax_error(r, "no '=' in '%.40s': write KEY = VALUE, or begin a comment with '#'", key);
	*equals = 0;
	key = str_strip(key);
	while (key_char(key[n]))
		n++;
	if (key[n])
		return syntax_error(r, "'%.40s' is no key: use letters, digits and any of _.-@/*+ before the '='", key);
	if (n == 0 || n > WORD_MAX)
		return syntax_error(r, "key of %zu characters: 1 to %d are allowed", n, WORD_MAX);
	r->value = str_strip(equals + 1);
	if (strlen(r->value) > VALUE_MAX)
		return syntax_error(r, "value of '%s' is longer than 64 KiB: shorten it, or put it in a file of its own", key);
	snprintf(str, size, "%s=\n", key);
	return str;
}

static char *read_line(char *str, int size, void *stream)
{
	struct reader *r = stream;
	int n;

	if (r->error < 0)
		return NULL;
	n = logical_line(r);
	if (n < 0)
		r->error = err_sys(r->e, n, "%s:%d", r->file, r->line);
	if (n <= 0)
		return NULL;
	return r->text.data[0] == '[' ? give_section(r, str, (size_t)size) : give_key(r, str, (size_t)size);
}

static int take_key(void *user, const char *section, const char *key, const char *value)
{
	struct reader *r = user;

	if (r->error >= 0)
		r->error = r->cb(r->file, r->key_line, section, key, r->value, r->data);
	return r->error >= 0;
}

static int line_of(const char *text, const char *at)
{
	int line = 1;

	for (; text < at; text++)
		line += *text == '\n';
	return line;
}

static int check_bytes(struct reader *r, const char *text, size_t n)
{
	const char *nul = n ? memchr(text, 0, n) : NULL;
	size_t valid = utf8_span(text, n);

	if (nul && (size_t)(nul - text) < valid) {
		r->key_line = line_of(text, nul);
		(void)syntax_error(r, "NUL byte: this is no text file; remove the byte");
	} else if (valid < n) {
		r->key_line = line_of(text, text + valid);
		(void)syntax_error(r, "not UTF-8: convert the file, for instance by iconv -f latin1 -t utf-8");
	}
	return r->error;
}

int ini_parse_mem(const char *text, size_t n, const char *name, ini_key_cb cb, void *data, struct err *e)
{
	struct reader r = { .file = name, .cb = cb, .data = data, .e = e };
	int bad;

	if (check_bytes(&r, text, n) < 0)
		return r.error;
	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* byte order mark */
		text += 3;
		n -= 3;
	}
	r.pos = text;
	r.end = text + n;
	bad = ini_parse_stream(read_line, &r, take_key, &r);
	if (bad != 0 && r.error >= 0)
		(void)syntax_error(&r, "syntax error: write KEY = VALUE or [SECTION]");
	buf_free(&r.text);
	return MIN(r.error, 0);
}

int ini_parse_fd(int fd, const char *name, ini_key_cb cb, void *data, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	int r = fd_read_all(fd, FILE_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, r, "%s", name);
	return ini_parse_mem(text, n, name, cb, data, e);
}

int ini_parse_path(const char *path, ini_key_cb cb, void *data, struct err *e)
{
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_NOCTTY, 0);

	return fd < 0 ? err_sys(e, fd, "%s", path) : ini_parse_fd(fd, path, cb, data, e);
}
