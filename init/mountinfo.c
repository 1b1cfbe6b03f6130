/* mountinfo.c: see mountinfo.h */
#include "init/mountinfo.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool octal(char c)
{
	return c >= '0' && c <= '7';
}

void mount_unescape(char *s)
{
	char *to = s;

	while (*s) {
		int c = s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && octal(s[2]) && octal(s[3]) ? (s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0') : 0;
		if (c) { /* \000 would end the string: it stays as it is written */
			*to++ = (char)c;
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

static char *next_line(char **text)
{
	char *line;

	do
		line = strsep(text, "\n");
	while (line && !*line);
	return line;
}

static char *next_field(char **line)
{
	char *field;

	do
		field = strsep(line, " \t");
	while (field && !*field);
	return field;
}

static void unescape(struct mount_line *m)
{
	mount_unescape(m->source);
	mount_unescape(m->target);
}

/* 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue */
static bool mountinfo_line(char *line, struct mount_line *m)
{
	char *field;

	for (int i = 0; i < 4; i++)
		if (!next_field(&line))
			return false;
	m->target = next_field(&line);
	m->options = next_field(&line);
	do
		field = next_field(&line);
	while (field && strcmp(field, "-") != 0);
	m->type = next_field(&line);
	m->source = next_field(&line);
	return m->target && m->options && m->type && m->source;
}

unsigned mountinfo_parse(char *text, struct mount_line *ret, unsigned max)
{
	unsigned n = 0;
	char *line;

	while (n < max && (line = next_line(&text)))
		if (mountinfo_line(line, &ret[n]))
			unescape(&ret[n++]);
	return n;
}

unsigned fstab_parse(char *text, struct mount_line *ret, unsigned max)
{
	unsigned n = 0;
	char *line;

	while (n < max && (line = next_line(&text))) {
		static char defaults[] = "defaults";
		struct mount_line *m = &ret[n];
		m->source = next_field(&line);
		if (!m->source || m->source[0] == '#')
			continue;
		m->target = next_field(&line);
		m->type = next_field(&line);
		m->options = next_field(&line);
		if (!m->options)
			m->options = defaults;
		if (!m->target || !m->type)
			continue;
		unescape(m);
		n++;
	}
	return n;
}
