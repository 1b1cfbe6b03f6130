/* str.c: strings and string vectors; see str.h. */
#include "base/str.h"

#include <errno.h>

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && streq(s + n - m, suffix);
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

char *str_strip(char *s)
{
	size_t n;

	while (is_space(*s))
		s++;
	n = strlen(s);
	while (n > 0 && is_space(s[n - 1]))
		n--;
	s[n] = 0;
	return s;
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("_.@:-", c));
}

bool name_valid(const char *s)
{
	size_t n = 0;

	if (strempty(s) || *s == '.' || *s == '-')
		return false;
	while (name_char(s[n]))
		if (++n > NAME_LEN_MAX)
			return false;
	return s[n] == 0;
}

#define NEAREST_MAX 64 /* longer words are no typing errors */

/* Optimal string alignment: insert, delete, replace, swap of neighbours each cost 1. */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned char rows[3][NEAREST_MAX + 1];
	unsigned char *before = rows[0], *last = rows[1], *now = rows[2];
	size_t n = strlen(a), m = strlen(b);

	for (size_t j = 0; j <= m; j++)
		last[j] = (unsigned char)j;
	for (size_t i = 1; i <= n; i++) {
		now[0] = (unsigned char)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
			best = MIN(best, MIN(last[j], now[j - 1]) + 1U);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, before[j - 2] + 1U);
			now[j] = (unsigned char)best;
		}
		unsigned char *free_row = before;
		before = last;
		last = now;
		now = free_row;
	}
	return last[m];
}

const char *str_nearest(const char *s, const char *const *candidates, size_t n)
{
	const char *best = NULL;
	unsigned best_distance = 3;

	if (strlen(s) > NEAREST_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (strlen(candidates[i]) > NEAREST_MAX)
			continue;
		unsigned d = edit_distance(s, candidates[i]);
		if (d < best_distance && d < strlen(candidates[i])) { /* else everything is near a two-letter word */
			best = candidates[i];
			best_distance = d;
		}
	}
	return best;
}

void strv_free(char **v)
{
	for (char **p = v; p && *p; p++)
		free(*p);
	free(v);
}

void strv_freep(char ***v)
{
	strv_free(*v);
}

size_t strv_len(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

int strv_push(char ***v, const char *s)
{
	size_t n = strv_len(*v);
	_cleanup_free_ char *copy = strdup(s);

	if (!copy)
		return -ENOMEM;
	if ((n & (n + 1)) == 0) { /* full at 1, 3, 7, ...: room for 2, 4, 8, ... and the end */
		char **p = reallocarray(*v, 2 * (n + 1), sizeof(char *));
		if (!p)
			return -ENOMEM;
		*v = p;
	}
	(*v)[n] = TAKE_PTR(copy);
	(*v)[n + 1] = NULL;
	return 0;
}

/* Length of the UTF-8 character at s, 0 when it is none: overlong forms, surrogates and what is above U+10FFFF (RFC 3629, 4). */
static size_t utf8_char(const unsigned char *s, size_t n)
{
	size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return len;
}

size_t utf8_span(const char *s, size_t n)
{
	size_t i = 0, len;

	while (i < n && (len = utf8_char((const unsigned char *)s + i, n - i)) > 0)
		i += len;
	return i;
}
