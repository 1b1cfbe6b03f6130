/* text.c: see text.h. */
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include "base/mem.h"
#include "base/str.h"

bool text_no_color;

bool color_on(void)
{
	static int on = -1;
	if (on < 0) {
		const char *term = getenv("TERM"), *no = getenv("NO_COLOR"); /* no-color.org: any value but the empty one */
		on = !text_no_color && isatty(STDOUT_FILENO) && strempty(no) && term && !streq(term, "dumb");
	}
	return on;
}

const char *paint_on(enum paint p)
{
	static const char *const codes[] = {"", "\033[32m", "\033[1;31m", "\033[33m", "\033[2m", "\033[1m"};
	return color_on() ? codes[p] : "";
}

const char *paint_off(void)
{
	return color_on() ? "\033[0m" : "";
}

unsigned terminal_width(void)
{
	struct winsize ws;
	if (!isatty(STDOUT_FILENO))
		return 0;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 ? ws.ws_col : 80;
}

size_t text_width(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80; /* continuation bytes of UTF-8 take no column */
	return n;
}

const char *duration_text(char buf[32], uint64_t us)
{
	static const struct {
		const char *name;
		uint64_t us;
	} units[] = {{"d", 86400000000u}, {"h", 3600000000u}, {"min", 60000000u}, {"s", 1000000u}, {"ms", 1000u}, {"us", 1u}};
	size_t i = us ? 0 : 3; /* nothing is "0s" */
	while (us && i + 1 < ARRAY_SIZE(units) && us < units[i].us)
		i++;
	uint64_t whole = us / units[i].us, rest = i + 1 < ARRAY_SIZE(units) ? us % units[i].us / units[i + 1].us : 0;
	if (rest && i < 3)
		snprintf(buf, 32, "%llu%s %llu%s", (unsigned long long)whole, units[i].name, (unsigned long long)rest, units[i + 1].name);
	else if (rest && i == 3)
		snprintf(buf, 32, "%llu.%llus", (unsigned long long)whole, (unsigned long long)rest / 100);
	else
		snprintf(buf, 32, "%llu%s", (unsigned long long)whole, units[i].name);
	return buf;
}

const char *size_text(char buf[32], uint64_t bytes)
{
	static const char units[] = " KMGTPE";
	double v = (double)bytes;
	unsigned i = 0;
	for (; v >= 1024 && i + 2 < sizeof units; i++)
		v /= 1024;
	if (i == 0)
		snprintf(buf, 32, "%llu B", (unsigned long long)bytes);
	else
		snprintf(buf, 32, v < 10 ? "%.1f %ciB" : "%.0f %ciB", v, units[i]);
	return buf;
}

const char *time_text(char buf[48], uint64_t realtime_us)
{
	time_t t = (time_t)(realtime_us / 1000000);
	struct tm tm;
	if (!realtime_us || !localtime_r(&t, &tm) || !strftime(buf, 48, "%Y-%m-%d %H:%M:%S %Z", &tm))
		snprintf(buf, 48, "-");
	return buf;
}

void print_clean(FILE *f, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		bool c1 = c == 0xc2 && (unsigned char)s[1] >= 0x80 && (unsigned char)s[1] < 0xa0; /* U+0080 to U+009F steer terminals too */
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			fprintf(f, "\\x%02x", c);
		else if (c1)
			fprintf(f, "\\u%04x", (unsigned char)*++s);
		else
			fputc(c, f);
	}
}

/* --- tables --- */

int table_add(struct table *t, const char *text, enum paint paint)
{
	if (t->n_cells == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		struct table_cell *v = realloc(t->cells, cap * sizeof *v);
		if (!v)
			return -ENOMEM;
		t->cells = v;
		t->cap = cap;
	}
	char *copy = strdup(text ? text : "");
	if (!copy)
		return -ENOMEM;
	t->cells[t->n_cells++] = (struct table_cell){copy, paint};
	return 0;
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i].text);
	free(t->cells);
	*t = (struct table){0};
}

/* Bytes of s that take at most n columns. */
static size_t cut(const char *s, size_t n)
{
	size_t i = 0;
	for (size_t columns = 0; s[i]; i++)
		if (((unsigned char)s[i] & 0xc0) != 0x80 && columns++ == n)
			break;
	return i;
}

static void print_cell(const char *text, enum paint paint, size_t width, size_t room, bool last)
{
	size_t shown = text_width(text);
	bool too_long = last && room && shown > room;
	_cleanup_free_ char *copy = strndup(text, too_long ? cut(text, room > 3 ? room - 3 : room) : strlen(text));
	fputs(paint_on(paint), stdout);
	print_clean(stdout, copy ? copy : "");
	if (too_long && room > 3)
		fputs("...", stdout);
	fputs(paint == PAINT_NONE ? "" : paint_off(), stdout);
	if (!last)
		printf("%*s", (int)(width - shown + 2), "");
}

void table_print(const struct table *t)
{
	size_t width[TABLE_COLUMNS], before = 0, n = t->n_columns;
	if (n == 0)
		return;
	for (size_t c = 0; c < n; c++)
		width[c] = text_width(t->heads[c]);
	for (size_t i = 0; i < t->n_cells; i++)
		width[i % n] = MAX(width[i % n], text_width(t->cells[i].text));
	for (size_t c = 0; c + 1 < n; c++)
		before += width[c] + 2;
	size_t columns = terminal_width(), room = columns > before + 8 ? columns - before : 0;
	for (size_t c = 0; c < n; c++)
		print_cell(t->heads[c], PAINT_BOLD, width[c], room, c + 1 == n);
	putchar('\n');
	for (size_t i = 0; i < t->n_cells; i++) {
		print_cell(t->cells[i].text, t->cells[i].paint, width[i % n], room, i % n + 1 == n);
		if (i % n + 1 == n)
			putchar('\n');
	}
}
