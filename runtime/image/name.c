/* name.c: see name.h. */
#include "runtime/image/name.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "runtime/image/priv.h"

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*, which is what a component of a repository's name is. */
static bool component_valid(const char *s, size_t n)
{
	size_t i = 0;

	for (;;) {
		size_t begin = i;
		while (i < n && is_alnum(s[i]))
			i++;
		if (i == begin)
			return false;
		if (i == n)
			return true;
		begin = i;
		while (i < n && s[i] == s[begin] && strchr("._-", s[i]))
			i++;
		if (i == begin || (s[begin] == '.' && i - begin > 1) || (s[begin] == '_' && i - begin > 2))
			return false;
	}
}

static bool path_valid(const char *s)
{
	for (;;) {
		size_t n = strcspn(s, "/");
		if (!component_valid(s, n))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

/* A DNS name, an IPv4 address or [IPv6], and a port. What is in it goes into a URL, so nothing else may be. */
static bool host_valid(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
	size_t n = *s == '[' ? strspn(s + 1, "0123456789abcdefABCDEF:.") + 1 : strspn(s, letters);
	uint64_t port;

	if (*s == '[' && s[n++] != ']')
		return false;
	if (n == 0 || *s == '-' || *s == '.')
		return false;
	if (!s[n])
		return true;
	return s[n] == ':' && strspn(s + n + 1, "0123456789") == strlen(s + n + 1) && parse_u64(s + n + 1, &port) == 0 && port > 0 && port <= 65535;
}

static bool tag_valid(const char *s)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t n = strlen(s);

	return n > 0 && n <= IMAGE_TAG_MAX && strchr(first, *s) && strspn(s, rest) == n;
}

/* Cut the digest and the tag off s, which is then HOST/PATH. */
static int take_ends(char *s, struct image_name *ret, struct err *e)
{
	char *at = strchr(s, '@');

	if (at) {
		*at = '\0';
		if (digest_parse(at + 1, &ret->digest) < 0)
			return err_set(e, -EINVAL, "'%s' is not a digest: sha256: and 64 hexadecimal digits", at + 1);
	}
	char *slash = strrchr(s, '/'), *colon = strrchr(slash ? slash : s, ':');
	if (colon) {
		*colon = '\0';
		if (!tag_valid(colon + 1))
			return err_set(e, -EINVAL, "'%s' can't be a tag: at most 128 letters, digits, '_', '.' and '-'", colon + 1);
		snprintf(ret->tag, sizeof(ret->tag), "%s", colon + 1);
	} else if (!at) {
		snprintf(ret->tag, sizeof(ret->tag), "latest");
	}
	return 0;
}

int image_name_parse(const char *s, struct image_name *ret, struct err *e)
{
	char copy[IMAGE_NAME_MAX + IMAGE_TAG_MAX + DIGEST_TEXT_MAX + 3];
	int r;

	memset(ret, 0, sizeof(*ret));
	if (strlen(s) >= sizeof(copy))
		return err_set(e, -EINVAL, "the image's name is longer than %d bytes", (int)sizeof(copy) - 1);
	snprintf(copy, sizeof(copy), "%s", s);
	r = take_ends(copy, ret, e);
	if (r < 0)
		return within(r, e, "image name '%s'", s);
	char *path = copy, *slash = strchr(copy, '/');
	if (slash) {
		*slash = '\0';
		if (strpbrk(copy, ".:") || streq(copy, "localhost")) {
			if (strlen(copy) >= sizeof(ret->host) || !host_valid(copy))
				return err_set(e, -EINVAL, "image name '%s': '%s' can't be a host", s, copy);
			snprintf(ret->host, sizeof(ret->host), "%s", copy);
			path = slash + 1;
		} else {
			*slash = '/';
		}
	}
	if (strlen(path) > IMAGE_NAME_MAX || !path_valid(path))
		return err_set(e, -EINVAL, "image name '%s': '%s' can't be a name: lower case letters and digits, with '.', '_' or '-' between them, and '/'", s, path);
	snprintf(ret->path, sizeof(ret->path), "%s", path);
	return 0;
}

char *image_name_text(const struct image_name *n)
{
	char *s = NULL;
	bool by_digest = digest_is_set(&n->digest);

	if (asprintf(&s, "%s%s%s%s%s", n->host, *n->host ? "/" : "", n->path, by_digest ? "@" : ":", by_digest ? n->digest.text : n->tag) < 0)
		return NULL;
	return s;
}

int image_name_to_file(const char *name, char **ret)
{
	_cleanup_buf_ struct buf b = {0};

	for (; *name; name++)
		buf_add(&b, *name == '/' ? "%2F" : name, *name == '/' ? 3 : 1);
	buf_add(&b, ".json", 6);
	if (b.failed)
		return -ENOMEM;
	if (b.len - 1 > NAME_MAX - 16) /* a temporary name beside it is longer */
		return -ENAMETOOLONG;
	*ret = TAKE_PTR(b.data);
	return 0;
}

int image_name_from_file(const char *file, char **ret)
{
	size_t n = strlen(file);
	char *s, *to;

	if (!str_ends(file, ".json"))
		return -EINVAL;
	s = to = strndup(file, n - 5);
	if (!s)
		return -ENOMEM;
	for (const char *c = s; *c; c++) {
		bool slash = strncmp(c, "%2F", 3) == 0;
		*to++ = slash ? '/' : *c;
		c += slash ? 2 : 0;
	}
	*to = '\0';
	*ret = s;
	return 0;
}
