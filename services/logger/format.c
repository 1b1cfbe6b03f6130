#include "services/logger/format.h"

#include <stdbool.h>
#include <string.h>

static char *put_digits(char *p, unsigned long v, unsigned digits)
{
	for (unsigned i = digits; i-- > 0; v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + digits;
}

/* Days since 1970-01-01 to a date of the Gregorian calendar. Not gmtime_r(3): that reads /etc/localtime at its first call, for nothing.
 * Years are counted from 1 March, so that the leap day comes last; 400 years have 146097 days. */
static char *put_date(char *q, uint64_t days)
{
	uint64_t since = days + 719468; /* from 0000-03-01 */
	uint64_t era = since / 146097, day = since % 146097;
	uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	uint64_t of_year = day - (365 * year + year / 4 - year / 100);
	uint64_t month = (5 * of_year + 2) / 153; /* 0: March; months are 30.6 days long on average from there */
	uint64_t of_month = of_year - (153 * month + 2) / 5 + 1;
	month = month < 10 ? month + 3 : month - 9;
	q = put_digits(q, year + era * 400 + (month <= 2), 4);
	*q++ = '-';
	q = put_digits(q, month, 2);
	*q++ = '-';
	return put_digits(q, of_month, 2);
}

void format_prefix(struct format_prefix *p, uint64_t time_us, const char *name)
{
	uint64_t s = time_us / 1000000;
	char *q = put_date(p->text, s / 86400);
	*q++ = 'T';
	q = put_digits(q, s / 3600 % 24, 2);
	*q++ = ':';
	q = put_digits(q, s / 60 % 60, 2);
	*q++ = ':';
	q = put_digits(q, s % 60, 2);
	*q++ = '.';
	q = put_digits(q, time_us % 1000000, 6);
	*q++ = 'Z';
	*q++ = ' ';
	size_t len = strnlen(name, 63);
	memcpy(q, name, len);
	q += len;
	*q++ = ':';
	*q++ = ' ';
	*q = '\0';
	p->len = (size_t)(q - p->text);
}

static bool needs_escape(unsigned char c)
{
	return (c < 0x20 && c != '\t') || c == 0x7f;
}

/* How many bytes at the start of s are certainly plain, eight at a time: none is below 0x20 or equal to 0x7f
 * (the "haszero" and "hasless" tricks; a tab stops it too, and is let through by the caller). */
static size_t plain_span(const char *s, size_t n)
{
	const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
	size_t i = 0;
	for (; i + 8 <= n; i += 8) {
		uint64_t w;
		memcpy(&w, s + i, 8);
		uint64_t del = w ^ (ones * 0x7f);
		if ((((w - ones * 0x20) & ~w) | ((del - ones) & ~del)) & high)
			break;
	}
	return i;
}

struct out {
	char *p, *end;
};

/* Copy s[0..n), escaping. Returns how many bytes were taken: fewer than n when the output is full. */
static size_t put_text(struct out *o, const char *s, size_t n)
{
	size_t i = 0;
	while (i < n) {
		size_t room = (size_t)(o->end - o->p);
		size_t span = plain_span(s + i, n - i < room ? n - i : room);
		memcpy(o->p, s + i, span);
		o->p += span;
		i += span;
		/* the plain bytes before the next word's dirty one, and that one */
		for (unsigned k = 0; k < 8 && i < n; k++, i++) {
			unsigned char c = (unsigned char)s[i];
			bool esc = needs_escape(c);
			if (o->end - o->p < (esc ? 4 : 1))
				return i;
			if (!esc) {
				*o->p++ = (char)c;
				continue;
			}
			static const char hex[] = "0123456789abcdef";
			*o->p++ = '\\';
			*o->p++ = 'x';
			*o->p++ = hex[c >> 4];
			*o->p++ = hex[c & 15];
		}
	}
	return i;
}

/* Don't cut a UTF-8 sequence in two: go back to its first byte, at most three. */
static size_t piece_end(const char *s, size_t len)
{
	size_t back = 0;
	while (back < 3 && back < len && ((unsigned char)s[len - back] & 0xc0) == 0x80)
		back++;
	return len - back > 0 && ((unsigned char)s[len - back] & 0xc0) == 0xc0 ? len - back : len;
}

/* One whole line s[0..n), without its newline. False when it does not fit. */
static bool put_line(struct out *o, const struct format_prefix *p, const char *s, size_t n)
{
	struct out w = {o->p, o->end - 5}; /* room for "\x5c\n" */
	if (w.end < w.p || (size_t)(w.end - w.p) < p->len)
		return false;
	memcpy(w.p, p->text, p->len);
	w.p += p->len;
	if (n && s[n - 1] == '\r')
		n--;
	bool backslash = n && s[n - 1] == '\\';
	if (put_text(&w, s, n - backslash) < n - backslash)
		return false;
	if (backslash) {
		memcpy(w.p, "\\x5c", 4);
		w.p += 4;
	}
	*w.p++ = '\n';
	o->p = w.p;
	return true;
}

/* The first piece of a line that is too long, of at most n bytes. Returns how many were taken. */
static size_t put_piece(struct out *o, const struct format_prefix *p, const char *s, size_t n, bool whole)
{
	struct out w = {o->p, o->end - 2};
	memcpy(w.p, p->text, p->len);
	w.p += p->len;
	size_t used = put_text(&w, s, n);
	if (used < n || !whole) {
		size_t good = piece_end(s, used); /* s[used] is there: a piece is never all of the line, or used < n */
		w.p -= used - good;               /* bytes of a sequence are never escaped */
		used = good;
	}
	*w.p++ = '\\';
	*w.p++ = '\n';
	o->p = w.p;
	return used;
}

size_t format_lines(const struct format_prefix *p, const char *in, size_t n, enum format_tail *tail, char *out, size_t cap, size_t *out_len)
{
	struct out o = {out, out + cap};
	size_t pos = 0;
	enum format_tail want = *tail;
	*tail = TAIL_KEEP;
	while (pos < n) {
		const char *s = in + pos;
		size_t rest = n - pos;
		const char *nl = memchr(s, '\n', rest < FORMAT_LINE_MAX + 1 ? rest : FORMAT_LINE_MAX + 1);
		size_t len = nl ? (size_t)(nl - s) : rest;
		bool too_long = !nl && rest > FORMAT_LINE_MAX;
		if (!nl && !too_long && want == TAIL_KEEP)
			break;
		bool finished = nl || (!too_long && want == TAIL_END);
		if (finished && put_line(&o, p, s, len)) {
			pos += len + (nl != NULL);
			*tail = nl ? TAIL_KEEP : TAIL_END;
			continue;
		}
		if (o.p != out) /* it goes first in the next output */
			break;
		size_t max = len < FORMAT_LINE_MAX ? len : FORMAT_LINE_MAX;
		bool whole = !nl && max == rest;
		pos += put_piece(&o, p, s, max, whole);
		*tail = TAIL_SPLIT;
		break;
	}
	*out_len = (size_t)(o.p - out);
	return pos;
}
