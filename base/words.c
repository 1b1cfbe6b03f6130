/* words.c: split a line into words as a shell would, without expansion (POSIX, Shell Command Language, 2.2 Quoting). */
#include "base/str.h"

#include <errno.h>

static bool is_separator(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Each of these appends one quoted piece at *s to w and moves *s behind it. */
static int take_escaped(const char **s, struct buf *w)
{
	if (!(*s)[1])
		return -EINVAL;
	*s += 2;
	return buf_add(w, *s - 1, 1);
}

static int take_single(const char **s, struct buf *w)
{
	const char *end = strchr(*s + 1, '\'');
	int r;

	if (!end)
		return -EINVAL;
	r = buf_add(w, *s + 1, (size_t)(end - *s - 1));
	*s = end + 1;
	return r;
}

static int take_double(const char **s, struct buf *w)
{
	const char *p = *s + 1;

	for (; *p != '"'; p++) {
		if (*p == '\\' && p[1] && strchr("\"\\$`", p[1])) /* before anything else a backslash stands for itself */
			p++;
		if (!*p)
			return -EINVAL;
		int r = buf_add(w, p, 1);
		if (r < 0)
			return r;
	}
	*s = p + 1;
	return 0;
}

static int take_word(const char **s, struct buf *w)
{
	int r = 0;

	while (r >= 0 && **s && !is_separator(**s)) {
		if (**s == '\\')
			r = take_escaped(s, w);
		else if (**s == '\'')
			r = take_single(s, w);
		else if (**s == '"')
			r = take_double(s, w);
		else
			r = buf_add(w, (*s)++, 1);
	}
	return r;
}

/* An empty vector is an array too, so that a caller can always hand it to execve(2). */
static int empty_vector(char ***ret)
{
	*ret = calloc(2, sizeof(char *));
	return *ret ? 0 : -ENOMEM;
}

int str_split_words(const char *s, char ***ret)
{
	_cleanup_strv_ char **v = NULL;
	_cleanup_buf_ struct buf word = { 0 };
	int r = empty_vector(&v);

	while (r >= 0) {
		while (is_separator(*s))
			s++;
		if (!*s)
			break;
		word.len = 0;
		r = buf_add(&word, "", 0);
		if (r >= 0)
			r = take_word(&s, &word);
		if (r >= 0)
			r = strv_push(&v, word.data);
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(v);
	return 0;
}
