/* secret.c: see secret.h. What is doubtful is taken for a secret: a hash in the history costs a little, a password in it costs a lot. */
#include "vecstore/history/secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/file.h"
#include "base/mem.h"

#define RANDOM_MIN 40u /* a run of letters and digits this long, of all sorts, is nobody's word */

int salt_get(int dirfd, const char *path, struct salt *ret, struct err *e)
{
	_cleanup_free_ char *data = NULL;
	size_t n;
	int r = file_read(dirfd, path, 4096, &data, &n);

	if (r == 0 && n == sizeof(ret->bytes)) {
		memcpy(ret->bytes, data, n);
		return 0;
	}
	if (r < 0 && r != -ENOENT)
		return err_sys(e, r, "read the machine's salt %s", path);
	if (getrandom(ret->bytes, sizeof(ret->bytes), 0) != (ssize_t)sizeof(ret->bytes))
		return err_sys(e, -errno, "make a salt for the history");
	r = file_replace(dirfd, path, ret->bytes, sizeof(ret->bytes), 0600);
	return r < 0 ? err_sys(e, r, "write the machine's salt %s", path) : 0;
}

/* --- what is one --- */

static bool word_is(const char *w, size_t n, const char *const *list, size_t n_list)
{
	for (size_t i = 0; i < n_list; i++)
		if (strlen(list[i]) == n && strncasecmp(w, list[i], n) == 0)
			return true;
	return false;
}

static bool ends_with(const char *w, size_t n, const char *end)
{
	size_t m = strlen(end);

	return n >= m && strncasecmp(w + n - m, end, m) == 0;
}

bool secret_key(const char *key, size_t n)
{
	static const char *const words[] = {"password", "passwords", "passwd", "passphrase", "pass", "pw", "pwd", "secret", "secrets", "token", "tokens", "psk", "pin", "credential", "credentials",
		"apikey", "authorization", "auth", "cookie", "salt", "sae"};
	static const char *const before_key[] = {"api", "private", "secret", "access", "auth", "encryption", "signing", "account", "shared", "master", "session", "preshared", "wep"};
	static const char *const ends[] = {"password", "passwd", "passphrase", "secret", "token", "apikey", "privatekey", "psk"};
	const char *last = NULL;
	size_t last_n = 0;

	for (size_t i = 0; i < n;) {
		size_t k = i;
		while (k < n && isalnum((unsigned char)key[k]) && !(k > i && isupper((unsigned char)key[k]) && islower((unsigned char)key[k - 1])))
			k++;
		size_t len = k - i;
		if (word_is(key + i, len, words, ARRAY_SIZE(words)))
			return true;
		if (last && len == 3 && strncasecmp(key + i, "key", 3) == 0 && word_is(last, last_n, before_key, ARRAY_SIZE(before_key)))
			return true;
		if (len) {
			last = key + i;
			last_n = len;
		}
		i = len ? k : k + 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (ends_with(key, n, ends[i]))
			return true;
	return false;
}

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* A run of base64 or the like that is too long and too mixed for a name. A UUID's dashes and a path's slashes end it. */
static size_t random_run(const char *s, size_t n)
{
	size_t len = 0;
	bool lower = false, upper = false, digit = false;

	while (len < n && (isalnum((unsigned char)s[len]) || s[len] == '+' || s[len] == '_')) {
		lower |= islower((unsigned char)s[len]) != 0;
		upper |= isupper((unsigned char)s[len]) != 0;
		digit |= isdigit((unsigned char)s[len]) != 0;
		len++;
	}
	return len >= RANDOM_MIN && lower && upper && digit ? len : 0;
}

/* --- replacing --- */

struct redaction {
	const struct salt *salt;
	struct buf *out;
	unsigned n;
};

static bool is_mark(const char *s, size_t n)
{
	size_t m = strlen(SECRET_MARK);

	if (n != m + SECRET_HEX || strncmp(s, SECRET_MARK, m) != 0)
		return false;
	for (size_t i = m; i < n; i++)
		if (!isxdigit((unsigned char)s[i]))
			return false;
	return true;
}

static void mark_of(const struct salt *salt, const char *s, size_t n, char mark[32])
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	size_t at = strlen(SECRET_MARK);

	if (!HMAC(EVP_sha256(), salt->bytes, (int)sizeof(salt->bytes), (const unsigned char *)s, n, mac, &len))
		memset(mac, 0, sizeof(mac)); /* no memory: nothing can be told from it at all */
	memcpy(mark, SECRET_MARK, at + 1);
	for (unsigned i = 0; i < SECRET_HEX / 2; i++)
		snprintf(mark + at + (size_t)i * 2, 3, "%02x", mac[i]);
}

static void put_secret(struct redaction *r, const char *s, size_t n)
{
	char mark[32];

	if (n == 0)
		return;
	r->n++;
	if (is_mark(s, n)) { /* redacted before: stays what it is */
		buf_add(r->out, s, n);
		return;
	}
	mark_of(r->salt, s, n, mark);
	buf_add(r->out, mark, strlen(mark));
}

/* Where a value that begins at s ends: at the closing quote, or (whole: of a key that begins the line) at the end of the line, else at white space. */
static size_t value_span(const char *s, size_t n, bool whole)
{
	size_t i = 0;

	if (whole)
		for (i = n; i > 0 && isspace((unsigned char)s[i - 1]); i--)
			;
	else
		while (i < n && !isspace((unsigned char)s[i]) && !strchr("\"'&,;)}]", s[i]))
			i++;
	return i;
}

/* The word that ends before position at: "--api-key" of `--api-key=`. */
static size_t word_before(const char *line, size_t at)
{
	size_t i = at;

	while (i > 0 && word_char(line[i - 1]))
		i--;
	return i;
}

/* Behind `key =`: copy up to the value, replace that. Returns the position behind it. */
static size_t redact_value(struct redaction *r, const char *line, size_t at, size_t n, bool whole)
{
	size_t from = at;

	while (at < n && isspace((unsigned char)line[at]))
		at++;
	char quote = at < n && (line[at] == '"' || line[at] == '\'') ? line[at] : '\0';
	at += quote != '\0';
	buf_add(r->out, line + from, at - from);
	const char *end = quote ? memchr(line + at, quote, n - at) : NULL;
	size_t len = end ? (size_t)(end - (line + at)) : value_span(line + at, n - at, whole);
	put_secret(r, line + at, len);
	return at + len;
}

/* "scheme://user:password@host": the position behind the password, or at itself when it isn't one. */
static size_t redact_url(struct redaction *r, const char *line, size_t at, size_t n)
{
	size_t end = at, colon = 0;

	while (end < n && !isspace((unsigned char)line[end]) && !strchr("/?#\"'", line[end]) && line[end] != '@') {
		if (line[end] == ':' && !colon)
			colon = end;
		end++;
	}
	/* a password may hold a slash: look on for the @ */
	size_t far = end;
	while (colon && far < n && !isspace((unsigned char)line[far]) && line[far] != '@' && line[far] != '"')
		far++;
	if (far < n && line[far] == '@' && colon)
		end = far;
	if (end >= n || line[end] != '@' || !colon)
		return at;
	buf_add(r->out, line + at, colon + 1 - at);
	put_secret(r, line + colon + 1, end - colon - 1);
	return end;
}

/* A word that announces its argument behind white space: --password X, Bearer X, "password X" of many configuration files. */
static bool announces(const char *line, size_t from, size_t to)
{
	size_t n = to - from;
	const char *w = line + from;

	if (n == 6 && (strncasecmp(w, "bearer", 6) == 0))
		return true;
	return n > 2 && secret_key(w, n);
}

static void redact_line(struct redaction *r, const char *line, size_t n)
{
	size_t first = 0, i = 0;

	while (first < n && (isspace((unsigned char)line[first]) || line[first] == '-' || line[first] == '#' || line[first] == ';'))
		first++;
	while (i < n) {
		size_t run = i == 0 || !isalnum((unsigned char)line[i - 1]) ? random_run(line + i, n - i) : 0, from = word_before(line, i);
		if (run && !is_mark(line + i, run)) {
			put_secret(r, line + i, run);
			i += run;
		} else if ((line[i] == '=' || line[i] == ':') && secret_key(line + from, i - from) && !(line[i] == ':' && i + 2 < n && line[i + 1] == '/' && line[i + 2] == '/')) {
			buf_add(r->out, line + i, 1);
			i = redact_value(r, line, i + 1, n, from == first);
		} else if (line[i] == ':' && i + 2 < n && line[i + 1] == '/' && line[i + 2] == '/') {
			buf_add(r->out, line + i, 3);
			i = redact_url(r, line, i + 3, n);
		} else if (isspace((unsigned char)line[i]) && i > from && announces(line, from, i)) {
			size_t next = i;
			while (next < n && isspace((unsigned char)line[next]))
				next++;
			if (next < n && (line[next] == '=' || line[next] == ':')) { /* key = value */
				buf_add(r->out, line + i, next + 1 - i);
				i = redact_value(r, line, next + 1, n, from == first);
			} else
				i = redact_value(r, line, i, n, false);
		} else
			buf_add(r->out, line + i++, 1);
	}
}

static bool holds(const char *line, size_t n, const char *what)
{
	return memmem(line, n, what, strlen(what)) != NULL;
}

int secret_redact(const struct salt *salt, const char *text, size_t n, struct buf *out, unsigned *n_secrets)
{
	struct redaction r = {.salt = salt, .out = out};

	for (size_t i = 0; i < n;) {
		const char *nl = memchr(text + i, '\n', n - i);
		size_t len = nl ? (size_t)(nl - (text + i)) : n - i;
		if (holds(text + i, len, "-----BEGIN ") && holds(text + i, len, "PRIVATE KEY")) { /* all of it, to its end or the document's */
			const char *end = memmem(text + i + len, n - i - len, "-----END ", 9);
			size_t stop = end ? (size_t)(end - text) : n;
			const char *last = memchr(text + stop, '\n', n - stop);
			len = (last ? (size_t)(last - text) : n) - i;
			put_secret(&r, text + i, len);
		} else
			redact_line(&r, text + i, len);
		i += len;
		if (i < n)
			buf_add(out, text + i++, 1);
	}
	if (n_secrets)
		*n_secrets = r.n;
	return out->failed ? -ENOMEM : 0;
}

/* --- back --- */

struct known { char mark[32]; const char *s; size_t n; };
struct knowledge { struct known *k; size_t n; bool failed; };

/* Candidates for secrets in the current file: every stretch that its own redaction would replace. Found by comparing the two texts. */
static void learn(struct knowledge *k, const struct salt *salt, const char *text, const char *redacted)
{
	const char *p = text, *q = redacted;

	while (*q) {
		if (strncmp(q, SECRET_MARK, strlen(SECRET_MARK)) == 0 && is_mark(q, strnlen(q, strlen(SECRET_MARK) + SECRET_HEX)) && strncmp(p, q, strlen(SECRET_MARK)) != 0) {
			const char *rest = q + strlen(SECRET_MARK) + SECRET_HEX, *end = p;
			char mark[32];
			do { /* the shortest stretch that has this hash */
				end++;
				mark_of(salt, p, (size_t)(end - p), mark);
			} while (strncmp(mark, q, strlen(mark)) != 0 && *end);
			struct known *more = reallocarray(k->k, k->n + 1, sizeof(*more));
			if (!more || strncmp(mark, q, strlen(mark)) != 0) {
				k->k = more ? more : k->k;
				k->failed = true;
				return;
			}
			k->k = more;
			k->k[k->n] = (struct known){.s = p, .n = (size_t)(end - p)};
			memcpy(k->k[k->n++].mark, mark, sizeof(mark));
			p = end;
			q = rest;
		} else if (*p == *q) {
			p++;
			q++;
		} else
			return;
	}
}

int secret_restore(const struct salt *salt, const char *redacted, size_t n, const char *current, size_t n_current, struct buf *out)
{
	_cleanup_buf_ struct buf now = {0};
	_cleanup_free_ char *text = strndup(current, n_current);
	struct knowledge k = {0};
	int unknown = 0;

	if (!text || secret_redact(salt, text, strlen(text), &now, NULL) < 0 || buf_add(&now, "", 1) < 0)
		return -ENOMEM;
	learn(&k, salt, text, now.data);
	for (size_t i = 0; i < n;) {
		size_t m = strlen(SECRET_MARK) + SECRET_HEX, found = k.n;
		if (n - i < m || !is_mark(redacted + i, m)) {
			buf_add(out, redacted + i++, 1);
			continue;
		}
		for (found = 0; found < k.n && strncmp(k.k[found].mark, redacted + i, m) != 0; found++)
			;
		if (found < k.n)
			buf_add(out, k.k[found].s, k.k[found].n);
		else {
			unknown++;
			buf_add(out, redacted + i, m);
		}
		i += m;
	}
	free(k.k);
	return out->failed ? -ENOMEM : unknown;
}
