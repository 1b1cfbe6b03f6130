/* shape.c: what sort of value it is. A bad value is more often of the wrong sort, or far from what was there, than one seen before. */
#include <arpa/inet.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "vecstore/embed/embed.h"

static bool is_address(const char *v)
{
	char host[64];
	unsigned char bytes[16];
	size_t n = strcspn(v, "/");

	if (n == 0 || n >= sizeof(host))
		return false;
	memcpy(host, v, n);
	host[n] = '\0';
	if (inet_pton(AF_INET6, host, bytes) == 1 || inet_pton(AF_INET, host, bytes) == 1)
		return true;
	char *colon = strchr(host, ':'); /* with a port */
	if (!colon)
		return false;
	*colon = '\0';
	return inet_pton(AF_INET, host, bytes) == 1;
}

static bool is_number(const char *v, struct value_shape *s)
{
	char *end;
	double x = strtod(v, &end);

	if (end == v || !(isdigit((unsigned char)*v) || strchr("+-.", *v)) || !isfinite(x))
		return false;
	s->number = true;
	s->x = x;
	if (!*end) {
		s->type = strpbrk(v, ".eE") && !str_starts(v, "0x") ? VALUE_REAL : VALUE_INT;
		return true;
	}
	if (streq(end, "%")) {
		s->type = VALUE_PERCENT;
		return true;
	}
	return false;
}

static bool is_quantity(const char *v, struct value_shape *s)
{
	uint64_t x;

	if (!isdigit((unsigned char)*v))
		return false;
	s->number = true;
	if (parse_size(v, &x) == 0) {
		s->type = VALUE_SIZE;
		s->x = (double)x;
		return true;
	}
	if (parse_duration(v, &x) == 0) {
		s->type = VALUE_DURATION;
		s->x = (double)x / 1e6;
		return true;
	}
	s->number = false;
	return false;
}

static bool is_version(const char *v)
{
	unsigned dots = 0;

	if (!isdigit((unsigned char)*v))
		return false;
	for (; *v; v++) {
		dots += *v == '.';
		if (!isalnum((unsigned char)*v) && !strchr(".-+:~_", *v))
			return false;
	}
	return dots > 0;
}

static enum value_type type_of_words(const char *v)
{
	if (strstr(v, "://"))
		return VALUE_URL;
	if (strpbrk(v, ",;") || (strchr(v, ':') && *v == '/'))
		return VALUE_LIST;
	if (*v == '/' || str_starts(v, "./") || str_starts(v, "~/"))
		return strpbrk(v, " \t") ? VALUE_TEXT : VALUE_PATH;
	if (is_version(v))
		return VALUE_VERSION;
	return strpbrk(v, " \t") ? VALUE_TEXT : VALUE_WORD;
}

void value_shape(const char *v, struct value_shape *s)
{
	bool yes;

	memset(s, 0, sizeof(*s));
	if (!*v) {
		s->type = VALUE_EMPTY;
		return;
	}
	if (is_number(v, s) || is_quantity(v, s))
		return;
	s->number = false;
	if (parse_bool(v, &yes) == 0)
		s->type = VALUE_BOOL;
	else if (is_address(v))
		s->type = VALUE_ADDRESS;
	else
		s->type = type_of_words(v);
}

const char *value_type_name(enum value_type t)
{
	static const char *const names[VALUE_TYPES] = {"empty", "bool", "int", "real", "size", "duration", "percent", "path", "url", "address", "version", "list", "word", "text"};

	return (unsigned)t < VALUE_TYPES ? names[t] : "unknown";
}
