/* digest.c: see digest.h. libcrypto does the work: it has the processor's SHA instructions. */
#include "runtime/image/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include "base/str.h"

static const struct algorithm {
	const char *name;
	size_t hex;
	const EVP_MD *(*md)(void);
} algorithms[] = {{"sha256", 64, EVP_sha256}, {"sha512", 128, EVP_sha512}};

struct hash {
	EVP_MD_CTX *ctx;
	const struct algorithm *algorithm;
};

static const struct algorithm *algorithm_of(const char *s, char separator)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		size_t n = strlen(algorithms[i].name);
		if (strncmp(s, algorithms[i].name, n) == 0 && s[n] == separator)
			return &algorithms[i];
	}
	return NULL;
}

static int parse(const char *s, char separator, struct digest *ret)
{
	const struct algorithm *a = algorithm_of(s, separator);

	if (!a)
		return -EINVAL;
	const char *hex = s + strlen(a->name) + 1;
	if (strlen(hex) != a->hex || strspn(hex, "0123456789abcdef") != a->hex)
		return -EINVAL;
	snprintf(ret->text, sizeof(ret->text), "%s:%s", a->name, hex);
	return 0;
}

int digest_parse(const char *s, struct digest *ret)
{
	return parse(s, ':', ret);
}

int digest_from_file(const char *name, struct digest *ret)
{
	return parse(name, '-', ret);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return digest_is_set(a) && streq(a->text, b->text);
}

const char *digest_file(const struct digest *d, char buf[DIGEST_TEXT_MAX])
{
	snprintf(buf, DIGEST_TEXT_MAX, "%s", d->text);
	char *colon = strchr(buf, ':');
	if (colon)
		*colon = '-';
	return buf;
}

int hash_new(const struct digest *like, struct hash **ret)
{
	struct hash *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->algorithm = algorithm_of(like->text, ':');
	h->ctx = h->algorithm ? EVP_MD_CTX_new() : NULL;
	if (!h->ctx || EVP_DigestInit_ex(h->ctx, h->algorithm->md(), NULL) != 1) {
		hash_free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

int hash_add(struct hash *h, const void *data, size_t n)
{
	return EVP_DigestUpdate(h->ctx, data, n) == 1 ? 0 : -EIO;
}

int hash_end(struct hash *h, struct digest *ret)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_DigestFinal_ex(h->ctx, bytes, &n) != 1 || n * 2 != h->algorithm->hex)
		return -EIO;
	int at = snprintf(ret->text, sizeof(ret->text), "%s:", h->algorithm->name);
	for (unsigned i = 0; i < n; i++)
		at += snprintf(ret->text + at, sizeof(ret->text) - (size_t)at, "%02x", bytes[i]);
	return 0;
}

void hash_free(struct hash *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

void hash_freep(struct hash **h)
{
	hash_free(*h);
}

int digest_of(const void *data, size_t n, struct digest *ret)
{
	static const struct digest sha256 = {"sha256:"};
	_cleanup_hash_ struct hash *h = NULL;
	int r = hash_new(&sha256, &h);

	if (r == 0)
		r = hash_add(h, data, n);
	return r < 0 ? r : hash_end(h, ret);
}
