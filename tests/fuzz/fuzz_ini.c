/* INI files: any bytes give keys with a place, or an error with one. */
#include "base/ini.h"

#include <errno.h>
#include "base/str.h"
#include "tests/fuzz/fuzz.h"

struct seen {
	int lines, last;
};

static int on_key(const char *file, int line, const char *section, const char *key, const char *value, void *data)
{
	struct seen *s = data;

	MUST(line > s->last && line <= s->lines);
	MUST(strlen(section) < 50 && *key && strlen(key) < 50 && strlen(value) <= 65536);
	MUST(!strchr(value, '\n') && utf8_span(value, strlen(value)) == strlen(value));
	s->last = line;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_err_ struct err e = { 0 };
	struct seen s = { .lines = 1 };
	int r;

	for (size_t i = 0; i < size; i++)
		s.lines += data[i] == '\n';
	r = ini_parse_mem((const char *)data, size, "f", on_key, &s, &e);
	MUST(r == 0 || (r == -EBADMSG && str_starts(err_text(&e), "f:")));
	return 0;
}
