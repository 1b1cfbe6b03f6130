/* Fuzz import: whatever lines come, the store stays sound. The checksums of lines are made right, so that what is behind them is reached. */
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include "base/file.h"
#include "tests/fuzz/fuzz.h"
#include "vecstore/lines.h"

static char dir[] = "/dev/shm/rast-fuzz-XXXXXX";

static void clean(void) { (void)rm_rf(AT_FDCWD, dir); }

static struct vs *open_store(void)
{
	static struct vs *s;
	static unsigned runs;
	char path[64];

	if (!s && runs == 0) {
		MUST(mkdtemp(dir));
		atexit(clean);
	}
	snprintf(path, sizeof(path), "%s/s", dir);
	if (runs++ % 500 == 0) { /* a new one now and then; it is checked before it goes */
		struct vs_checked c;
		vs_close(s);
		if (s) {
			MUST(vs_check(path, &c, NULL, NULL, NULL) == 0 && c.problems == 0);
			MUST(rm_rf(AT_FDCWD, path) == 0);
		}
		MUST(vs_open(&s, path, VS_CREATE, NULL) == 0);
	}
	return s;
}

static void feed(struct vs_import *im, const char *line, size_t n)
{
	json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
	_cleanup_free_ char *text = NULL;
	char crc[9];

	if (!json_is_object(o) || line_crc(o, crc) < 0) {
		(void)vs_import_line(im, line, n, NULL);
		json_decref(o);
		return;
	}
	json_object_set_new(o, "crc", json_string(crc));
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	(void)vs_import_line(im, text, strlen(text), NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *end = p + size;
	struct vs_import *im;

	if (vs_import_begin(open_store(), &im, NULL) < 0)
		return 0;
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		feed(im, p, (size_t)((nl ? nl : end) - p));
		p = nl ? nl + 1 : end;
	}
	(void)vs_import_end(&im, NULL, NULL);
	return 0;
}
