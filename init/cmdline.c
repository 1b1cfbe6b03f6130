/* cmdline.c: see cmdline.h */
#include "init/cmdline.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"

static bool is_end(const struct cmdline_arg *a)
{
	return !a->value && a->key_len == 2 && memcmp(a->key, "--", 2) == 0;
}

bool cmdline_next(const char **pos, struct cmdline_arg *a)
{
	const char *s = *pos, *end, *equals = NULL;
	bool in_quote = false, quoted = false;

	while (isspace((unsigned char)*s))
		s++;
	if (!*s)
		return false;
	if (*s == '"') {
		s++;
		in_quote = quoted = true;
	}
	for (end = s; *end && (in_quote || !isspace((unsigned char)*end)); end++) {
		if (*end == '=' && !equals)
			equals = end;
		if (*end == '"')
			in_quote = !in_quote;
	}
	*pos = end;
	if (quoted && end > s && end[-1] == '"')
		end--;
	*a = (struct cmdline_arg){.key = s, .key_len = (size_t)((equals ? equals : end) - s)};
	if (equals) {
		a->value = equals + 1;
		if (a->value < end && *a->value == '"') {
			a->value++;
			if (end > a->value && end[-1] == '"')
				end--;
		}
		a->value_len = a->value < end ? (size_t)(end - a->value) : 0;
	}
	return !is_end(a);
}

static char fold(char c)
{
	return c == '-' ? '_' : c;
}

bool cmdline_is(const struct cmdline_arg *a, const char *key)
{
	for (size_t i = 0; i < a->key_len; i++)
		if (!key[i] || fold(key[i]) != fold(a->key[i]))
			return false;
	return !key[a->key_len];
}

bool cmdline_get(const char *line, const char *key, char *buf, size_t size)
{
	struct cmdline_arg a;
	bool found = false;

	for (const char *pos = line; cmdline_next(&pos, &a);) {
		if (!a.value || !cmdline_is(&a, key) || a.value_len >= size)
			continue;
		memcpy(buf, a.value, a.value_len);
		buf[a.value_len] = '\0';
		found = true;
	}
	return found;
}

bool cmdline_has(const char *line, const char *word)
{
	struct cmdline_arg a;

	for (const char *pos = line; cmdline_next(&pos, &a);)
		if (!a.value && cmdline_is(&a, word))
			return true;
	return false;
}

uint64_t cmdline_seconds(const char *line, const char *key, uint64_t fallback)
{
	char text[32];
	uint64_t v;

	return cmdline_get(line, key, text, sizeof(text)) && parse_u64(text, &v) == 0 ? MIN(v, CMDLINE_SECONDS_MAX) : fallback;
}

bool cmdline_bool(const char *line, const char *key, bool fallback)
{
	char text[16];
	bool v;

	return cmdline_get(line, key, text, sizeof(text)) && parse_bool(text, &v) == 0 ? v : fallback;
}

int cmdline_read(char buf[CMDLINE_MAX])
{
	size_t len = 0;
	ssize_t n;

	buf[0] = '\0';
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, "/proc/cmdline", O_RDONLY, 0);
	if (fd < 0)
		return fd;
	while (len < CMDLINE_MAX - 1 && (n = sys_read(fd, buf + len, CMDLINE_MAX - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (buf[i] == '\n' || buf[i] == '\0')
			buf[i] = ' ';
	return 0;
}
