/* parse.c: whole-string parsers of numbers, sizes and durations; see str.h. */
#include "base/str.h"

#include <errno.h>
#include <strings.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The digits at *s, which is moved behind them. At least one. */
static int take_digits(const char **s, uint64_t *ret)
{
	uint64_t v = 0;

	if (!is_digit(**s))
		return -EINVAL;
	for (; is_digit(**s); (*s)++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(**s - '0'), &v))
			return -ERANGE;
	*ret = v;
	return 0;
}

int parse_u64(const char *s, uint64_t *ret)
{
	uint64_t v;
	int r = s ? take_digits(&s, &v) : -EINVAL;

	if (r < 0)
		return r;
	if (*s)
		return -EINVAL;
	*ret = v;
	return 0;
}

int parse_i64(const char *s, int64_t *ret)
{
	bool negative;
	uint64_t v;
	int r;

	if (!s)
		return -EINVAL;
	negative = *s == '-';
	r = parse_u64(s + (*s == '-' || *s == '+'), &v);
	if (r < 0)
		return r;
	if (v > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	*ret = negative ? (int64_t)-v : (int64_t)v;
	return 0;
}

int parse_bool(const char *s, bool *ret)
{
	static const char *const names[2][4] = { { "no", "false", "off", "0" }, { "yes", "true", "on", "1" } };

	for (int value = 0; s && value < 2; value++)
		for (size_t i = 0; i < ARRAY_SIZE(names[0]); i++)
			if (strcasecmp(s, names[value][i]) == 0) {
				*ret = value;
				return 0;
			}
	return -EINVAL;
}

int parse_mode(const char *s, mode_t *ret)
{
	mode_t mode = 0;

	if (strempty(s))
		return -EINVAL;
	for (; *s >= '0' && *s <= '7'; s++) {
		mode = mode << 3 | (mode_t)(*s - '0');
		if (mode > 07777)
			return -ERANGE;
	}
	if (*s)
		return -EINVAL;
	*ret = mode;
	return 0;
}

/* "K", "KiB": the power of 1024, or -EINVAL. "KB" is refused: some mean 1000 by it. */
static int size_unit(const char *s)
{
	static const char letters[] = "KMGTPE";
	const char *p;

	if (!*s || streq(s, "B"))
		return 0;
	p = strchr(letters, *s == 'k' ? 'K' : *s);
	if (!p || (s[1] && !streq(s + 1, "iB")))
		return -EINVAL;
	return (int)(p - letters) + 1;
}

int parse_size(const char *s, uint64_t *ret)
{
	uint64_t v;
	int r = s ? take_digits(&s, &v) : -EINVAL, unit;

	if (r < 0)
		return r;
	while (*s == ' ')
		s++;
	unit = size_unit(s);
	if (unit < 0)
		return unit;
	if (unit > 0 && v > UINT64_MAX >> (10 * unit))
		return -ERANGE;
	*ret = v << (10 * unit);
	return 0;
}

static const struct {
	const char *name;
	uint64_t us;
} time_units[] = {
	{ "us", 1 }, { "ms", 1000 },
	{ "s", 1000000 }, { "sec", 1000000 }, { "m", 60000000 }, { "min", 60000000 },
	{ "h", 3600000000 }, { "hr", 3600000000 }, { "d", 86400000000 }, { "day", 86400000000 }, { "days", 86400000000 },
	{ "w", 604800000000 }, { "week", 604800000000 }, { "weeks", 604800000000 },
};

/* The unit at *s, which is moved behind it: its length in microseconds, or 0 when there is none or it is unknown. */
static uint64_t take_unit(const char **s)
{
	size_t n = strspn(*s, "abcdefghijklmnopqrstuvwxyz");

	for (size_t i = 0; i < ARRAY_SIZE(time_units); i++)
		if (strlen(time_units[i].name) == n && strncmp(*s, time_units[i].name, n) == 0) {
			*s += n;
			return time_units[i].us;
		}
	return 0;
}

/* ".25" at *s as a part of unit; digits below a microsecond are dropped. */
static int take_fraction(const char **s, uint64_t *ret_millionths)
{
	uint64_t v = 0, weight = 100000;

	*ret_millionths = 0;
	if (**s != '.')
		return 0;
	if (!is_digit(*++*s))
		return -EINVAL;
	for (; is_digit(**s); (*s)++, weight /= 10)
		v += weight * (uint64_t)(**s - '0');
	*ret_millionths = v;
	return 0;
}

static const char *skip_spaces(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

/* One "2min" at *s. bare is set when there is no unit. */
static int take_span(const char **s, uint64_t *ret_us, bool *bare)
{
	uint64_t v, millionths, unit;
	int r = take_digits(s, &v);

	if (r >= 0)
		r = take_fraction(s, &millionths);
	if (r < 0)
		return r;
	*s = skip_spaces(*s);
	*bare = !**s;
	unit = *bare ? 1000000 : take_unit(s);
	if (unit == 0)
		return -EINVAL;
	millionths = unit / 1000000 * millionths + unit % 1000000 * millionths / 1000000; /* of the unit, now microseconds */
	if (__builtin_mul_overflow(v, unit, &v) || __builtin_add_overflow(v, millionths, &v))
		return -ERANGE;
	*ret_us = v;
	*s = skip_spaces(*s);
	return 0;
}

int parse_duration(const char *s, uint64_t *ret_us)
{
	uint64_t total = 0;
	int spans = 0;

	if (strempty(s))
		return -EINVAL;
	s = skip_spaces(s);
	if (streq(s, "infinity")) {
		*ret_us = UINT64_MAX;
		return 0;
	}
	do {
		uint64_t us;
		bool bare;
		int r = take_span(&s, &us, &bare);
		if (r < 0)
			return r;
		if (bare && spans > 0) /* "2min 30" */
			return -EINVAL;
		spans++;
		if (__builtin_add_overflow(total, us, &total) || total == UINT64_MAX)
			return -ERANGE;
	} while (*s);
	*ret_us = total;
	return 0;
}
