/* tar-pax.c: extended headers (POSIX.1-2017, pax(1), "pax Extended Header"), and GNU's and star's keywords in them. */
#include "runtime/image/tar-priv.h"

#include <errno.h>
#include <string.h>
#include "base/str.h"

int tar_decimal(const char *s, size_t n, uint64_t *ret)
{
	uint64_t v = 0;

	if (n == 0)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v))
			return -EBADMSG;
	*ret = v;
	return 0;
}

int pieces_add(struct tar_piece **v, size_t *n, size_t *cap, uint64_t offset, uint64_t len)
{
	if (*n == *cap) {
		size_t more = *cap ? *cap * 2 : 16;
		if (more > TAR_SPARSE_MAX)
			return -EBADMSG;
		struct tar_piece *p = realloc(*v, more * sizeof(*p));
		if (!p)
			return -ENOMEM;
		*v = p;
		*cap = more;
	}
	(*v)[(*n)++] = (struct tar_piece){offset, len};
	return 0;
}

static int set_text(char **to, const char *value, size_t n)
{
	if (n == 0 || n >= TAR_NAME_MAX || memchr(value, '\0', n))
		return -EBADMSG;
	free(*to);
	*to = strndup(value, n);
	return *to ? 0 : -ENOMEM;
}

/* "[-]SECONDS[.FRACTION]" */
static int parse_time(const char *s, size_t n, struct timespec *ret)
{
	bool negative = n > 0 && s[0] == '-';
	uint64_t seconds = 0;
	long ns = 0, unit = 100000000;

	s += negative;
	n -= negative;
	const char *dot = memchr(s, '.', n);
	size_t whole = dot ? (size_t)(dot - s) : n;
	if (tar_decimal(s, whole, &seconds) < 0 || seconds > INT64_MAX / 2)
		return -EBADMSG;
	for (size_t i = whole + 1; i < n; i++, unit /= 10) {
		if (s[i] < '0' || s[i] > '9')
			return -EBADMSG;
		ns += (s[i] - '0') * unit;
	}
	*ret = (struct timespec){negative ? -(time_t)seconds : (time_t)seconds, ns};
	if (negative && ns) {
		ret->tv_sec--;
		ret->tv_nsec = 1000000000 - ns;
	}
	return 0;
}

static int add_xattr(struct pax *p, const char *name, size_t name_len, const char *value, size_t n)
{
	size_t i = 0;

	if (name_len == 0 || name_len > 255)
		return -EBADMSG;
	while (i < p->n_xattrs && (strlen(p->xattrs[i].name) != name_len || memcmp(p->xattrs[i].name, name, name_len) != 0))
		i++;
	if (i == p->n_xattrs) {
		if (i == TAR_XATTRS_MAX)
			return -EBADMSG;
		struct tar_xattr *v = realloc(p->xattrs, (i + 1) * sizeof(*v));
		if (!v)
			return -ENOMEM;
		p->xattrs = v;
		v[i] = (struct tar_xattr){strndup(name, name_len), NULL, 0};
		if (!v[i].name)
			return -ENOMEM;
		p->n_xattrs++;
	}
	char *copy = malloc(n + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, value, n);
	copy[n] = '\0';
	free(p->xattrs[i].value);
	p->xattrs[i].value = copy;
	p->xattrs[i].n = n;
	return 0;
}

/* GNU.sparse.map of version 0.1: "OFFSET,LENGTH,OFFSET,LENGTH..." */
static int parse_map(struct pax *p, const char *s, size_t n)
{
	uint64_t pair[2];
	unsigned k = 0;

	p->n_pieces = 0;
	for (size_t i = 0; i <= n;) {
		const char *comma = memchr(s + i, ',', n - i);
		size_t len = comma ? (size_t)(comma - s) - i : n - i;
		if (tar_decimal(s + i, len, &pair[k]) < 0)
			return -EBADMSG;
		i += len + 1;
		k ^= 1;
		int r = k == 0 ? pieces_add(&p->pieces, &p->n_pieces, &p->cap_pieces, pair[0], pair[1]) : 0;
		if (r < 0)
			return r;
	}
	return k == 0 ? 0 : -EBADMSG;
}

static int add_half_piece(struct pax *p, bool is_length, uint64_t v)
{
	if (p->half_piece != is_length)
		return -EBADMSG;
	p->half_piece = !is_length;
	if (is_length) {
		p->pieces[p->n_pieces - 1].n = v;
		return 0;
	}
	return pieces_add(&p->pieces, &p->n_pieces, &p->cap_pieces, v, 0);
}

static int parse_sparse(struct pax *p, const char *key, const char *value, size_t n)
{
	uint64_t v = 0;

	if (streq(key, "name"))
		return set_text(&p->sparse_name, value, n);
	if (streq(key, "map"))
		return parse_map(p, value, n);
	if (tar_decimal(value, n, &v) < 0)
		return -EBADMSG;
	if (streq(key, "size") || streq(key, "realsize")) {
		p->has_real_size = true;
		p->real_size = v;
	} else if (streq(key, "offset")) {
		return add_half_piece(p, false, v);
	} else if (streq(key, "numbytes")) {
		return add_half_piece(p, true, v);
	} else if (streq(key, "major")) {
		p->has_major = true;
		p->sparse_major = v > 9 ? 9 : (unsigned)v;
	} else if (streq(key, "minor")) {
		p->sparse_minor = v > 9 ? 9 : (unsigned)v;
	}
	return 0; /* numblocks says what the map says again */
}

static int parse_id(const char *value, size_t n, bool *has, uint64_t *ret)
{
	*has = true;
	return tar_decimal(value, n, ret);
}

static int parse_record(struct pax *p, const char *key, size_t key_len, const char *value, size_t n)
{
	static const char xattr[] = "SCHILY.xattr.", sparse[] = "GNU.sparse.";
	char word[32];

	if (key_len > strlen(xattr) && memcmp(key, xattr, strlen(xattr)) == 0)
		return add_xattr(p, key + strlen(xattr), key_len - strlen(xattr), value, n);
	if (key_len >= sizeof(word))
		return 0; /* a keyword that we don't know */
	snprintf(word, sizeof(word), "%.*s", (int)key_len, key);
	if (str_starts(word, sparse))
		return parse_sparse(p, word + strlen(sparse), value, n);
	if (streq(word, "path"))
		return set_text(&p->path, value, n);
	if (streq(word, "linkpath"))
		return set_text(&p->link, value, n);
	if (streq(word, "size"))
		return parse_id(value, n, &p->has_size, &p->size);
	if (streq(word, "uid"))
		return parse_id(value, n, &p->has_uid, &p->uid);
	if (streq(word, "gid"))
		return parse_id(value, n, &p->has_gid, &p->gid);
	if (streq(word, "mtime")) {
		p->has_mtime = true;
		return parse_time(value, n, &p->mtime);
	}
	return 0;
}

int pax_parse(struct pax *p, const char *text, size_t n)
{
	while (n > 0) {
		const char *space = memchr(text, ' ', n < 21 ? n : 21);
		uint64_t len;
		if (!space || tar_decimal(text, (size_t)(space - text), &len) < 0 || len > n || len < (uint64_t)(space - text) + 3 || text[len - 1] != '\n')
			return -EBADMSG;
		const char *key = space + 1, *end = text + len - 1;
		const char *equals = memchr(key, '=', (size_t)(end - key));
		if (!equals || equals == key)
			return -EBADMSG;
		int r = parse_record(p, key, (size_t)(equals - key), equals + 1, (size_t)(end - equals - 1));
		if (r < 0)
			return r;
		text += len;
		n -= len;
	}
	return p->half_piece ? -EBADMSG : 0;
}

void pax_clear(struct pax *p)
{
	free(p->path);
	free(p->link);
	free(p->sparse_name);
	free(p->pieces);
	for (size_t i = 0; i < p->n_xattrs; i++) {
		free(p->xattrs[i].name);
		free(p->xattrs[i].value);
	}
	free(p->xattrs);
	*p = (struct pax){0};
}
