/* modindex.c: lookups in the texts that depmod(8) writes. Formats: modules.dep(5), depmod.d(5), modprobe(8). */
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "init/modules.h"

/* The next line without its newline; false at the end. */
static bool next_line(const char **pos, struct span *line)
{
	const char *end;

	if (!**pos)
		return false;
	end = strchrnul(*pos, '\n');
	*line = (struct span){*pos, (size_t)(end - *pos)};
	*pos = *end ? end + 1 : end;
	return true;
}

/* The next word of a span, which is moved behind it. */
static bool next_word(struct span *in, struct span *word)
{
	size_t i = 0, start;

	while (i < in->n && (in->s[i] == ' ' || in->s[i] == '\t'))
		i++;
	start = i;
	while (i < in->n && in->s[i] != ' ' && in->s[i] != '\t')
		i++;
	*word = (struct span){in->s + start, i - start};
	*in = (struct span){in->s + i, in->n - i};
	return word->n > 0;
}

static bool span_is(struct span a, const char *s)
{
	return strlen(s) == a.n && memcmp(a.s, s, a.n) == 0;
}

static bool copy_name(struct span from, char name[MODULE_NAME_MAX])
{
	if (from.n == 0 || from.n >= MODULE_NAME_MAX)
		return false;
	for (size_t i = 0; i < from.n; i++)
		name[i] = from.s[i] == '-' ? '_' : from.s[i];
	name[from.n] = '\0';
	return true;
}

bool module_name_of(struct span path, char name[MODULE_NAME_MAX])
{
	const char *slash = memrchr(path.s, '/', path.n), *dot;
	struct span base = path;

	if (slash)
		base = (struct span){slash + 1, path.n - (size_t)(slash + 1 - path.s)};
	dot = memchr(base.s, '.', base.n);
	if (dot)
		base.n = (size_t)(dot - base.s);
	return copy_name(base, name);
}

int modules_dep_find(const char *dep, const char *name, struct span *paths, unsigned max)
{
	char this[MODULE_NAME_MAX];
	struct span line;

	while (next_line(&dep, &line)) {
		const char *colon = memchr(line.s, ':', line.n);
		struct span path = {line.s, colon ? (size_t)(colon - line.s) : 0}, rest, word;
		unsigned n = 0;

		if (path.n == 0 || !module_name_of(path, this) || strcmp(this, name) != 0)
			continue;
		rest = (struct span){colon + 1, line.n - path.n - 1};
		for (paths[n++] = path; next_word(&rest, &word); paths[n++] = word)
			if (n == max)
				return -E2BIG;
		return (int)n;
	}
	return 0;
}

bool modules_builtin_has(const char *builtin, const char *name)
{
	char this[MODULE_NAME_MAX];
	struct span line;

	while (next_line(&builtin, &line))
		if (line.n > 0 && module_name_of(line, this) && strcmp(this, name) == 0)
			return true;
	return false;
}

/* Most patterns differ from the modalias in their first literal characters: look at those before asking fnmatch(3). */
static bool literal_prefix_differs(struct span pattern, const char *s)
{
	for (size_t i = 0; i < pattern.n; i++) {
		char c = pattern.s[i];
		if (c == '*' || c == '?' || c == '[' || c == '\\')
			return false;
		if (c != s[i] && !(c == '-' && s[i] == '_') && !(c == '_' && s[i] == '-'))
			return true;
	}
	return s[pattern.n] != '\0';
}

static bool pattern_matches(struct span pattern, const char *modalias)
{
	char text[512];

	if (literal_prefix_differs(pattern, modalias) || pattern.n >= sizeof(text))
		return false;
	memcpy(text, pattern.s, pattern.n);
	text[pattern.n] = '\0';
	return fnmatch(text, modalias, 0) == 0 || (!strpbrk(text, "*?[\\")); /* without wildcards the prefix was all of it */
}

bool modules_alias_next(const char **pos, const char *modalias, char name[MODULE_NAME_MAX])
{
	struct span line, word, pattern, module;

	while (next_line(pos, &line))
		if (next_word(&line, &word) && span_is(word, "alias") && next_word(&line, &pattern) && next_word(&line, &module) &&
			pattern_matches(pattern, modalias) && copy_name(module, name))
			return true;
	return false;
}

/* Go to the first word behind "pre:" of the next line that is about name. */
static bool softdep_line(const char **pos, const char *name, struct span *rest)
{
	char this[MODULE_NAME_MAX];
	struct span line, word;

	while (next_line(pos, &line)) {
		if (!next_word(&line, &word) || !span_is(word, "softdep") || !next_word(&line, &word) || !copy_name(word, this) ||
			strcmp(this, name) != 0)
			continue;
		while (next_word(&line, &word))
			if (span_is(word, "pre:")) {
				*rest = line;
				return true;
			}
	}
	return false;
}

bool modules_softdep_next(const char **pos, const char *name, struct span *rest, char dep[MODULE_NAME_MAX])
{
	struct span word;

	for (;;) {
		while (rest->n > 0 && next_word(rest, &word)) {
			if (span_is(word, "post:"))
				break;
			if (copy_name(word, dep))
				return true;
		}
		if (!softdep_line(pos, name, rest)) {
			rest->n = 0;
			return false;
		}
	}
}
