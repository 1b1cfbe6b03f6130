/* Fuzz the filter language: any text is a filter or an error, and a filter says yes or no to any record. */
#include <string.h>
#include "tests/fuzz/fuzz.h"
#include "vecstore/vecstore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size);
	_cleanup_vs_meta_ struct vs_meta m = { 0 };
	_cleanup_err_ struct err e = { 0 };
	struct vs_record rec = { .id = "some-id", .row = 7, .version = 3, .time_us = 1 };
	const char *list[] = { "a", "b", "" };
	struct vs_filter *f = NULL;
	int r;

	vs_meta_int(&m, "n", 5);
	vs_meta_float(&m, "f", 0.5);
	vs_meta_string(&m, "kind", "boot");
	vs_meta_strings(&m, "tags", list, 3);
	/* The same bytes as metadata: whatever they are, reading them ends within them. */
	rec.meta = (struct vs_view){ data, size };
	r = text ? vs_filter_parse(text, &f, &e) : -1;
	MUST((r == 0) == (f != NULL) && (r < 0) == (e.code < 0 || !text));
	if (!f)
		return 0;
	(void)vs_filter_match(f, &rec);
	rec.meta = (struct vs_view){ m.b.data, m.b.len };
	{
		bool yes = vs_filter_match(f, &rec);
		_cleanup_free_ char *other = NULL;
		struct vs_filter *opposite = NULL;
		MUST(asprintf(&other, "not (%s)", text) > 0);
		if (vs_filter_parse(other, &opposite, NULL) == 0) /* unless it is nested too deeply now */
			MUST(vs_filter_match(opposite, &rec) != yes);
		vs_filter_free(opposite);
	}
	vs_filter_free(f);
	return 0;
}
