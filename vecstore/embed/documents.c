/* documents.c: one parser per kind of document. They never fail on content: what isn't understood is text. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ini.h"
#include "base/str.h"
#include "vecstore/embed/embed.h"

#define SUBJECT_MAX 512

struct reading {
	struct facts *fs;
	const char *subject; /* of the whole document, where it has one */
};

static int add(struct facts *fs, const char *kind, const char *name, const char *key, const char *value)
{
	char subject[SUBJECT_MAX];

	snprintf(subject, sizeof(subject), "%s/%s", kind, name);
	return facts_add(fs, subject, key, value);
}

/* Calls line() for each line that isn't empty or a comment. The text is the callee's to cut up. */
static int each_line(const char *text, size_t n, int (*line)(struct reading *r, char *s), struct reading *r)
{
	char *copy = strndup(text, n);
	int ret = copy ? 0 : -ENOMEM;

	for (char *rest = copy, *s; ret == 0 && (s = strsep(&rest, "\n"));) {
		s = str_strip(s);
		if (*s && *s != '#' && *s != ';')
			ret = line(r, s);
	}
	free(copy);
	return ret;
}

static int text_line(struct reading *r, char *s)
{
	return facts_add(r->fs, r->subject, "line", s);
}

static int ini_key(const char *file, int line, const char *section, const char *key, const char *value, void *data)
{
	struct reading *r = data;
	char name[256];

	snprintf(name, sizeof(name), "%s%s%s", section, *section ? "." : "", key);
	return facts_add(r->fs, r->subject, name, value);
}

/* A file with sections; with a syntax error: its lines. */
static int read_ini(struct reading *r, const char *text, size_t n)
{
	size_t before = r->fs->n;
	int ret = ini_parse_mem(text, n, r->subject, ini_key, r, NULL);

	if (ret == 0 || ret == -ENOMEM)
		return ret;
	r->fs->n = before;
	ret = facts_add(r->fs, r->subject, "syntax", "broken");
	return ret < 0 ? ret : each_line(text, n, text_line, r);
}

static int package_line(struct reading *r, char *s)
{
	char *version = strpbrk(s, " \t");

	if (version)
		*version++ = '\0';
	return add(r->fs, "package", s, "version", version ? str_strip(version) : "");
}

static int kernel_line(struct reading *r, char *s)
{
	if (!r->subject) { /* the first one */
		r->subject = "kernel/release";
		return facts_add(r->fs, r->subject, "release", s);
	}
	for (char *rest = s, *word; (word = strsep(&rest, " \t"));) {
		char *value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		int ret = *word ? add(r->fs, "kernel", word, "value", value ? value : "") : 0;
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int mount_line(struct reading *r, char *s)
{
	char *fields[6] = {0}, *rest = s;
	int ret;

	for (unsigned i = 0; i < ARRAY_SIZE(fields) && rest; i++) {
		fields[i] = strsep(&rest, " \t");
		while (rest && isspace((unsigned char)*rest))
			rest++;
	}
	if (!fields[1])
		return add(r->fs, "mount", "?", "line", s);
	ret = add(r->fs, "mount", fields[1], "device", fields[0]);
	if (ret == 0 && fields[2])
		ret = add(r->fs, "mount", fields[1], "type", fields[2]);
	for (char *options = fields[3], *o; ret == 0 && (o = strsep(&options, ","));) {
		char *value = strchr(o, '=');
		char key[128];
		if (value)
			*value++ = '\0';
		snprintf(key, sizeof(key), "option.%s", o);
		ret = add(r->fs, "mount", fields[1], key, value ? value : "");
	}
	return ret;
}

static int setting_line(struct reading *r, char *s)
{
	char *value = strchr(s, '=');

	if (value)
		*value++ = '\0';
	return add(r->fs, r->subject, str_strip(s), "value", value ? str_strip(value) : "");
}

/* Slashes and dots mean the same in a sysctl's name: sysctl.d(5). */
static int sysctl_line(struct reading *r, char *s)
{
	if (*s == '-')
		s++;
	for (char *p = s; *p && *p != '='; p++)
		if (*p == '/')
			*p = '.';
	return setting_line(r, s);
}

static int export_line(struct reading *r, char *s)
{
	return setting_line(r, str_starts(s, "export ") ? s + 7 : s);
}

static const struct {
	const char *name, *subject;                   /* subject "%": that and the document's name */
	int (*line)(struct reading *r, char *s);      /* NULL: sections */
} kinds[DOC_KINDS] = {
	[DOC_SERVICE] = {"service", "service/%", NULL},
	[DOC_PACKAGES] = {"packages", NULL, package_line},
	[DOC_KERNEL] = {"kernel", NULL, kernel_line},
	[DOC_MOUNTS] = {"mounts", NULL, mount_line},
	[DOC_NETWORK] = {"network", "network/%", NULL},
	[DOC_SYSCTL] = {"sysctl", "sysctl", sysctl_line},
	[DOC_ENVIRONMENT] = {"environment", "environment", export_line},
	[DOC_TEXT] = {"text", "file/%", text_line},
};

int facts_add_document(struct facts *fs, enum doc_kind kind, const char *name, const char *text, size_t n)
{
	char subject[SUBJECT_MAX];
	struct reading r = {.fs = fs, .subject = kinds[kind].subject};

	if (memchr(text, '\0', n)) { /* not text at all: known by its hash */
		char hash[24];
		snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)fnv1a64(text, n));
		return add(fs, "file", name, "binary", hash);
	}
	if (r.subject && str_ends(r.subject, "%")) {
		snprintf(subject, sizeof(subject), "%.*s%s", (int)strlen(r.subject) - 1, r.subject, name);
		r.subject = subject;
		if (n == 0)
			return facts_add(fs, subject, "empty", "");
	}
	return kinds[kind].line ? each_line(text, n, kinds[kind].line, &r) : read_ini(&r, text, n);
}

const char *doc_kind_name(enum doc_kind kind)
{
	return (unsigned)kind < DOC_KINDS ? kinds[kind].name : "unknown";
}

int doc_kind_from_name(const char *name)
{
	for (unsigned k = 0; k < DOC_KINDS; k++)
		if (streq(kinds[k].name, name))
			return (int)k;
	return -EINVAL;
}
