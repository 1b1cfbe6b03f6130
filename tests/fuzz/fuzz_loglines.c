/* From a service's bytes to log lines and back: whatever a service writes, the file has whole lines without control characters, each of
 * which rastctl takes apart again; the same bytes give the same lines (what recovery rests on); and a tail begins at a line. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "services/logger/format.h"
#include "supervisor/ctl/logfile.h"
#include "tests/fuzz/fuzz.h"

static char out[65536], again[65536];

static unsigned long check_lines(const char *text, size_t n)
{
	unsigned long lines = 0;
	MUST(n == 0 || text[n - 1] == '\n');
	for (const char *end = text + n; text < end; lines++) {
		struct log_line l;
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		MUST(log_line_parse(text, (size_t)(nl - text), &l));
		MUST(l.name_len == 3 && memcmp(l.name, "svc", 3) == 0);
		for (size_t i = 0; i < l.text_len; i++)
			MUST((unsigned char)l.text[i] >= 0x20 ? l.text[i] != 0x7f : l.text[i] == '\t');
		text = nl + 1;
	}
	return lines;
}

static void check_tail(const char *text, size_t n, unsigned long lines)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	MUST(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	for (unsigned long want = 0; want <= lines && want < 5; want++) {
		unsigned long left = want;
		off_t at = log_tail_offset(fd, (off_t)n, &left);
		MUST(left == 0 && at >= 0 && at <= (off_t)n);
		MUST(check_lines(text + at, n - (size_t)at) == want);
	}
	close(fd);
}

static void format(const char *in, size_t n, enum format_tail want, size_t cap)
{
	struct format_prefix p;
	format_prefix(&p, 1700000000000000u, "svc");
	for (size_t pos = 0; pos < n;) {
		enum format_tail tail = want;
		size_t len, len2, used = format_lines(&p, in + pos, n - pos, &tail, out, cap, &len);
		MUST(len <= cap && used <= n - pos);
		if (!used) {
			MUST(want == TAIL_KEEP && !memchr(in + pos, '\n', n - pos));
			return;
		}
		MUST(format_lines(&p, in + pos, used, &tail, again, cap, &len2) == used && len2 == len && memcmp(out, again, len) == 0);
		unsigned long lines = check_lines(out, len);
		if (pos == 0)
			check_tail(out, len, lines);
		pos += used;
	}
}

/* Two bytes choose the tail and the room, the rest is what the service wrote: as it is, and as what rastctl reads. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct log_line l;
	char key[LOG_KEY_LEN + 1], text[64] = "";
	if (size < 2)
		return 0;
	size_t cap = FORMAT_OUT_MIN + data[1] * 240u, n = size - 2;
	const char *in = (const char *)data + 2;
	format(in, n, (enum format_tail)(data[0] % 3), cap);
	(void)log_line_parse(in, n, &l);
	memcpy(text, in, n < sizeof text - 1 ? n : sizeof text - 1);
	if (log_key_from_text(text, 1700000000000000u, key) == 0)
		MUST(strlen(key) == LOG_KEY_LEN && key[LOG_KEY_LEN - 1] == 'Z');
	return 0;
}
