/* cmdline-check.c: what on the kernel command line is meant for us and says nothing: a misspelt name, or a value that its reader would pass over. A boot goes
 * on with the default; without a word, nobody would know why. The names are those of docs/design.md, section 10. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "init/cmdline.h"

#define OURS "rast."

enum kind { TEXT, SECONDS, DURATION, YES_NO, LEVEL, SNAPSHOT, CRASH };

static const struct {
	const char *name;
	enum kind kind;
} known[] = {
	{"rast.root", TEXT},	       {"rast.rootflags", TEXT},	  {"rast.root-timeout", SECONDS}, {"rast.snapshot", SNAPSHOT},
	{"rast.target", TEXT},	       {"rast.rescue-shell", YES_NO}, {"rast.crash", CRASH},	       {"rast.shutdown-timeout", SECONDS},
	{"rast.watchdog", SECONDS},    {"rast.log", LEVEL},	       {"rast.show", YES_NO},	       {"rast.fail-delay", DURATION},
	{"rast.mask", TEXT},	       {"rast.supervisor", TEXT},    {"rast.test-gate", TEXT},
};

/* What the value should be, or NULL when it is that. */
static const char *wrong(enum kind kind, const char *value)
{
	uint64_t n;
	bool b;

	switch (kind) {
	case TEXT:
		return *value ? NULL : "something";
	case SECONDS:
		return parse_u64(value, &n) == 0 ? NULL : "a number of seconds";
	case DURATION:
		return parse_duration(value, &n) == 0 ? NULL : "a time, as 10 or 10min";
	case YES_NO:
		return parse_bool(value, &b) == 0 ? NULL : "yes or no";
	case LEVEL:
		return log_level_from_name(value) >= 0 ? NULL : "a level, as err, info or debug";
	case SNAPSHOT:
		return streq(value, "auto") || (parse_u64(value, &n) == 0 && n < UINT32_MAX) ? NULL : "a snapshot's number, or auto";
	case CRASH:
		return streq(value, "stay") || streq(value, "reboot") ? NULL : "stay or reboot";
	}
	return NULL;
}

static void say_unknown(const char *name, cmdline_say say, void *data)
{
	const char *names[ARRAY_SIZE(known)], *near;
	char text[256];

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		names[i] = known[i].name;
	near = str_nearest(name, names, ARRAY_SIZE(names));
	snprintf(text, sizeof(text), "%s on the kernel command line is not known%s%s%s", name, near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
	say(text, data);
}

static void check(const struct cmdline_arg *a, cmdline_say say, void *data)
{
	char name[64], value[128], text[320];
	unsigned i = 0;

	snprintf(name, sizeof(name), "%.*s", (int)MIN(a->key_len, sizeof(name) - 1), a->key);
	snprintf(value, sizeof(value), "%.*s", (int)MIN(a->value_len, sizeof(value) - 1), a->value ? a->value : "");
	while (i < ARRAY_SIZE(known) && !cmdline_is(a, known[i].name))
		i++;
	if (i == ARRAY_SIZE(known)) {
		say_unknown(name, say, data);
		return;
	}
	const char *want = wrong(known[i].kind, value);
	if (!want)
		return;
	snprintf(text, sizeof(text), "%s=%s on the kernel command line is passed over: it should be %s", known[i].name, value, want);
	say(text, data);
}

void cmdline_check(const char *line, cmdline_say say, void *data)
{
	struct cmdline_arg a;

	for (const char *pos = line; cmdline_next(&pos, &a);)
		if (a.key_len > strlen(OURS) && strncmp(a.key, OURS, strlen(OURS)) == 0)
			check(&a, say, data);
}
