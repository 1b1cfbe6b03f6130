/* registries.c: see registries.h. */
#include "runtime/image/registries.h"

#include <errno.h>
#include <unistd.h>
#include "base/ini.h"
#include "base/str.h"

struct reading {
	const char *host;
	struct registry_settings *settings;
	char **standard;
	struct err *e;
};

static int set_text(char **to, const char *value)
{
	free(*to);
	*to = strdup(value);
	return *to ? 0 : -ENOMEM;
}

static int on_key(const char *file, int line, const char *section, const char *key, const char *value, void *data)
{
	struct reading *r = data;
	struct registry_settings ignored = {0}, *s = r->settings && r->host && streq(section, r->host) ? r->settings : &ignored;
	bool verify = true;
	int result = 0;

	if (streq(section, "default") && streq(key, "registry"))
		result = r->standard ? set_text(r->standard, value) : 0;
	else if (streq(section, "default"))
		return err_set(r->e, -EBADMSG, "%s:%d: [default] has no key '%s'; registry is the one that it may have", file, line, key);
	else if (streq(key, "mirrors"))
		result = str_split_words(value, &s->mirrors);
	else if (streq(key, "ca-file"))
		result = set_text(&s->ca_file, value);
	else if (streq(key, "tls-verify") && parse_bool(value, &verify) == 0)
		s->no_verify = !verify;
	else
		return err_set(r->e, -EBADMSG, "%s:%d: '%s = %s' can't be; a registry has mirrors, ca-file and tls-verify (yes or no)", file, line, key, value);
	registry_settings_clear(&ignored);
	return result < 0 ? err_sys(r->e, result, "%s:%d", file, line) : 0;
}

static int read_registries(const char *file, bool must, struct reading *r, struct err *e)
{
	if (!must && access(file, F_OK) < 0 && errno == ENOENT)
		return 0;
	r->e = e;
	return ini_parse_path(file, on_key, r, e);
}

int registries_read(const char *file, bool must, const char *host, struct registry_settings *ret, struct err *e)
{
	struct reading r = {.host = host, .settings = ret};

	return read_registries(file, must, &r, e);
}

int registries_default(const char *file, bool must, char **ret, struct err *e)
{
	struct reading r = {.standard = ret};

	*ret = NULL;
	return read_registries(file, must, &r, e);
}

void registry_settings_clear(struct registry_settings *s)
{
	strv_free(s->mirrors);
	free(s->ca_file);
	*s = (struct registry_settings){0};
}
