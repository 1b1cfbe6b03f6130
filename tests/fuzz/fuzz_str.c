/* Parsers of short strings: no input crashes them, and what they accept makes sense. */
#include "base/str.h"

#include <errno.h>
#include <signal.h>
#include "base/log.h"
#include "tests/fuzz/fuzz.h"

static void numbers(const char *s)
{
	uint64_t u = 0, again = 1;
	int64_t i;
	mode_t mode;
	bool b;
	char text[32];

	if (parse_u64(s, &u) == 0) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)u);
		MUST(parse_u64(text, &again) == 0 && again == u);
		MUST(parse_size(s, &again) == 0 && again == u);
	}
	if (parse_i64(s, &i) == 0) {
		snprintf(text, sizeof(text), "%lld", (long long)i);
		MUST(parse_i64(text, &i) == 0);
	}
	MUST(parse_mode(s, &mode) < 0 || mode <= 07777);
	(void)parse_bool(s, &b);
	(void)parse_size(s, &u);
	MUST(log_level_from_name(s) <= LOG_DEBUG);
	if (parse_duration(s, &u) == 0)
		MUST(u != UINT64_MAX || strstr(s, "infinity"));
}

static void words(const char *s)
{
	_cleanup_strv_ char **v = NULL;

	if (str_split_words(s, &v) < 0)
		return;
	MUST(strv_len(v) <= strlen(s));
	for (char **p = v; *p; p++)
		MUST(strlen(*p) <= strlen(s));
}

static void names(const char *s, size_t n)
{
	const char *const candidates[] = { "start", "stop", s };
	char line[100];
	int sig = parse_signal(s);
	size_t len;

	MUST(sig == -EINVAL || (sig > 0 && parse_signal(signal_name(sig)) == sig));
	MUST(!name_valid(s) || strlen(s) <= NAME_LEN_MAX);
	(void)str_nearest(s, candidates, ARRAY_SIZE(candidates));
	MUST(utf8_span(s, n) <= n);
	len = log_format(line, sizeof(line), "n", LOG_INFO, s);
	MUST(len < sizeof(line) && line[len - 1] == '\n' && !memchr(line, '\n', len - 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *s = malloc(size + 1);

	MUST(s);
	memcpy(s, data, size);
	s[size] = 0;
	numbers(s);
	words(s);
	names(s, size);
	(void)str_strip(s);
	return 0;
}
