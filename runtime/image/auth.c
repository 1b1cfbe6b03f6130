/* auth.c: see auth.h. */
#include "runtime/image/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include "runtime/image/priv.h"

#define TOKEN_MAX (64u << 10)

void credentials_clear(struct credentials *c)
{
	free(c->basic);
	free(c->identity);
	*c = (struct credentials){0};
}

/* --- the file --- */

static int default_file(char **ret)
{
	const char *said = getenv("REGISTRY_AUTH_FILE"), *run = getenv("XDG_RUNTIME_DIR"), *home = getenv("HOME");
	char *paths[4] = {NULL};
	int r = 0;

	*ret = NULL;
	if (!strempty(said)) {
		*ret = strdup(said);
		return *ret ? 0 : -ENOMEM;
	}
	if (asprintf(&paths[0], "%s/containers/auth.json", strempty(run) ? "/nonexistent" : run) < 0 ||
		asprintf(&paths[1], "/run/containers/%u/auth.json", (unsigned)getuid()) < 0 ||
		asprintf(&paths[2], "%s/.config/containers/auth.json", strempty(home) ? "/nonexistent" : home) < 0 ||
		asprintf(&paths[3], "%s/.docker/config.json", strempty(home) ? "/nonexistent" : home) < 0)
		r = -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (r == 0 && !*ret && access(paths[i], F_OK) == 0)
			*ret = TAKE_PTR(paths[i]);
		free(paths[i]);
	}
	return r;
}

static const json_t *longest_match(const json_t *auths, const char *host, const char *path)
{
	char key[512];
	const json_t *found;

	snprintf(key, sizeof(key), "%s/%s", host, path);
	for (char *slash; !(found = json_object_get(auths, key)) && (slash = strrchr(key, '/'));)
		*slash = '\0';
	return found;
}

static int copy(const json_t *o, const char *key, char **ret)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_.~";
	const char *s = json_text(o, key);

	if (strempty(s))
		return 0;
	if (strspn(s, letters) != strlen(s)) /* it goes into a header */
		return -EINVAL;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

int credentials_find(const char *file, const char *host, const char *path, struct credentials *ret, struct err *e)
{
	_cleanup_free_ char *found = NULL;
	_cleanup_json_ json_t *o = NULL;
	int r = file ? 0 : default_file(&found);

	if (r < 0 || (!file && !found))
		return r < 0 ? err_set(e, r, "out of memory") : 0;
	r = record_read(AT_FDCWD, file ? file : found, &o, e);
	if (r < 0)
		return r;
	const json_t *entry = longest_match(json_object_get(o, "auths"), host, path);
	r = copy(entry, "auth", &ret->basic);
	r = r < 0 ? r : copy(entry, "identitytoken", &ret->identity);
	return r < 0 ? err_set(e, r, "%s: the entry for %s is damaged", file ? file : found, host) : 0;
}

/* --- challenges: SCHEME name="value",name="value" (RFC 9110, 11.6.1) --- */

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t,");
}

static int take_value(const char **s, char *to, size_t size)
{
	size_t n = 0;
	bool quoted = **s == '"';

	for (*s += quoted; **s && (quoted ? **s != '"' : !strchr(", \t", **s)); (*s)++) {
		if (quoted && **s == '\\' && (*s)[1])
			(*s)++;
		if (n + 1 >= size || (unsigned char)**s < ' ')
			return -EINVAL;
		to[n++] = **s;
	}
	to[n] = '\0';
	if (quoted && *(*s)++ != '"')
		return -EINVAL;
	return 0;
}

int challenge_parse(const char *header, struct challenge *ret)
{
	size_t scheme = strcspn(header, " \t");
	char name[32], other[1024];

	*ret = (struct challenge){0};
	if (scheme == 5 && strncasecmp(header, "basic", 5) == 0)
		return 0;
	if (scheme != 6 || strncasecmp(header, "bearer", 6) != 0)
		return -EINVAL;
	ret->bearer = true;
	for (const char *s = skip_blanks(header + scheme); *s; s = skip_blanks(s)) {
		size_t n = strcspn(s, "=, \t");
		if (n == 0 || n >= sizeof(name) || s[n] != '=')
			return -EINVAL;
		snprintf(name, sizeof(name), "%.*s", (int)n, s);
		s += n + 1;
		const struct {
			const char *name;
			char *to;
			size_t size;
		} fields[] = {{"realm", ret->realm, sizeof(ret->realm)}, {"service", ret->service, sizeof(ret->service)}, {"scope", ret->scope, sizeof(ret->scope)},
			{name, other, sizeof(other)}};
		for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
			if (strcasecmp(name, fields[i].name) == 0) {
				if (take_value(&s, fields[i].to, fields[i].size) < 0)
					return -EINVAL;
				break;
			}
	}
	return str_starts(ret->realm, "https://") ? 0 : -EINVAL; /* a password is not sent in the clear */
}

/* --- tokens --- */

static int token_request(struct http *h, const struct challenge *ch, const struct credentials *c, const char *scope, char **url, char **form)
{
	_cleanup_free_ char *s = http_escape(h, scope), *service = http_escape(h, ch->service), *identity = c->identity ? http_escape(h, c->identity) : NULL;

	*url = *form = NULL;
	if (!s || !service || (c->identity && !identity))
		return -ENOMEM;
	if (identity) {
		*url = strdup(ch->realm);
		if (asprintf(form, "grant_type=refresh_token&service=%s&scope=%s&client_id=rast&refresh_token=%s", service, s, identity) < 0)
			*form = NULL;
		return *url && *form ? 0 : -ENOMEM;
	}
	return asprintf(url, "%s%sservice=%s&scope=%s", ch->realm, strchr(ch->realm, '?') ? "&" : "?", service, s) < 0 ? -ENOMEM : 0;
}

static int take_token(const struct http_reply *reply, const char *realm, char **ret, struct err *e)
{
	_cleanup_json_ json_t *o = reply->body ? json_loadb(reply->body, reply->n, 0, NULL) : NULL;
	char *token = NULL;

	if (reply->status == 401 || reply->status == 403)
		return err_set(e, -EACCES, "%s: the user or password is wrong (%ld)", realm, reply->status);
	if (reply->status != 200)
		return err_set(e, -EIO, "%s: no token: the answer is %ld", realm, reply->status);
	int r = copy(o, "token", &token);
	if (r == 0 && !token)
		r = copy(o, "access_token", &token);
	if (r < 0 || !token)
		return err_set(e, r < 0 ? r : -EBADMSG, "%s: the answer has no token in it", realm);
	r = asprintf(ret, "Bearer %s", token) < 0 ? -ENOMEM : 0;
	free(token);
	return r < 0 ? err_set(e, r, "out of memory") : 0;
}

static int get_token(struct http *h, const struct challenge *ch, const struct credentials *c, const char *scope, char **ret, struct err *e)
{
	_cleanup_free_ char *url = NULL, *form = NULL, *basic = NULL;
	_cleanup_reply_ struct http_reply reply = {0};
	int r = token_request(h, ch, c, *ch->scope ? ch->scope : scope, &url, &form);

	if (r == 0 && c->basic && !form && asprintf(&basic, "Basic %s", c->basic) < 0)
		r = -ENOMEM;
	if (r < 0)
		return err_set(e, r, "out of memory");
	r = http_do(h, &(struct http_request){.url = url, .form = form, .authorization = basic, .max = TOKEN_MAX}, &reply, e);
	return r < 0 ? r : take_token(&reply, ch->realm, ret, e);
}

int auth_answer(struct http *h, const char *challenge, const struct credentials *c, const char *scope, char **ret, struct err *e)
{
	struct challenge ch;

	*ret = NULL;
	if (!challenge || challenge_parse(challenge, &ch) < 0)
		return err_set(e, -EACCES, "it wants to know who asks, in a way that we don't know: %.200s", challenge ? challenge : "nothing said");
	if (ch.bearer)
		return get_token(h, &ch, c, scope, ret, e);
	if (!c->basic)
		return err_set(e, -EACCES, "it wants a user and password, and there is none for it in the auth file");
	return asprintf(ret, "Basic %s", c->basic) < 0 ? err_set(e, -ENOMEM, "out of memory") : 0;
}
