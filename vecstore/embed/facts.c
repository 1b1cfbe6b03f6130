/* facts.c: documents as sorted facts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "vecstore/embed/arena.h"
#include "vecstore/embed/embed.h"

int facts_add(struct facts *fs, const char *subject, const char *key, const char *value)
{
	char hashed[32];
	size_t n = strlen(value);

	if (n > EMBED_VALUE_MAX) {
		n = (size_t)snprintf(hashed, sizeof(hashed), "long:%016llx", (unsigned long long)fnv1a64(value, n));
		value = hashed;
	}
	if (fs->n == fs->cap) {
		size_t cap = fs->cap ? fs->cap * 2 : 64;
		struct fact *f = reallocarray(fs->f, cap, sizeof(*f));
		if (!f)
			goto no_memory;
		fs->f = f;
		fs->cap = cap;
	}
	struct fact f = {
		/* facts of one subject mostly come one after the other */
		.subject = fs->n && streq(fs->f[fs->n - 1].subject, subject) ? fs->f[fs->n - 1].subject : embed_string(&fs->strings, subject, strlen(subject)),
		.key = embed_string(&fs->strings, key, strlen(key)),
		.value = embed_string(&fs->strings, value, n),
	};
	if (!f.subject || !f.key || !f.value)
		goto no_memory;
	fs->f[fs->n++] = f;
	return 0;
no_memory:
	fs->failed = true;
	return -ENOMEM;
}

static int by_text(const void *a, const void *b)
{
	const struct fact *x = a, *y = b;
	int c = x->subject == y->subject ? 0 : strcmp(x->subject, y->subject);

	if (c == 0)
		c = strcmp(x->key, y->key);
	return c ? c : strcmp(x->value, y->value);
}

void facts_sort(struct facts *fs)
{
	size_t n = 0;

	if (fs->n)
		qsort(fs->f, fs->n, sizeof(fs->f[0]), by_text);
	for (size_t i = 0; i < fs->n; i++)
		if (i == 0 || by_text(&fs->f[i], &fs->f[n - 1]) != 0)
			fs->f[n++] = fs->f[i];
	fs->n = n;
}

void facts_free(struct facts *fs)
{
	free(fs->f);
	embed_strings_free(&fs->strings);
	memset(fs, 0, sizeof(*fs));
}

size_t facts_run(const struct facts *fs, size_t i)
{
	size_t n = 0;

	while (i + n < fs->n && streq(fs->f[i + n].subject, fs->f[i].subject))
		n++;
	return n;
}

uint64_t facts_hash(const struct fact *f, size_t n)
{
	uint64_t h = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t parts[3] = {h, fnv1a64(f[i].key, strlen(f[i].key)), fnv1a64(f[i].value, strlen(f[i].value))};
		h = fnv1a64(parts, sizeof(parts));
	}
	return h;
}

int changes_between(const struct facts *from, const struct facts *to, int (*cb)(const struct change *c, void *data), void *data)
{
	size_t i = 0, k = 0;

	while (i < from->n || k < to->n) {
		int order = i == from->n ? 1 : k == to->n ? -1 : strcmp(from->f[i].subject, to->f[k].subject);
		struct change c = {0};
		if (order <= 0)
			c = (struct change){.before = from->f + i, .n_before = facts_run(from, i)};
		if (order >= 0) {
			c.after = to->f + k;
			c.n_after = facts_run(to, k);
		}
		i += c.n_before;
		k += c.n_after;
		if (order == 0 && c.n_before == c.n_after && facts_hash(c.before, c.n_before) == facts_hash(c.after, c.n_after))
			continue;
		int r = cb(&c, data);
		if (r)
			return r;
	}
	return 0;
}

const char *change_subject(const struct change *c)
{
	return c->n_after ? c->after[0].subject : c->before[0].subject;
}

char *change_describe(const struct change *c, char *buf, size_t size)
{
	size_t at = (size_t)snprintf(buf, size, "%s", change_subject(c)), i = 0, k = 0;
	const char *between = ": ";

	if (!c->n_before || !c->n_after)
		snprintf(buf + MIN(at, size - 1), size - MIN(at, size - 1), c->n_after ? " added" : " removed");
	while (c->n_before && c->n_after && (i < c->n_before || k < c->n_after) && at + 1 < size) {
		const struct fact *b = i < c->n_before ? &c->before[i] : NULL, *a = k < c->n_after ? &c->after[k] : NULL;
		int order = !b ? 1 : !a ? -1 : strcmp(b->key, a->key), n = 0;
		i += order <= 0;
		k += order >= 0;
		if (order == 0 && streq(b->value, a->value))
			continue;
		const struct fact *one = order < 0 ? b : a;
		if (!one)
			break;
		if (order == 0)
			n = snprintf(buf + at, size - at, "%s%s %.80s -> %.80s", between, b->key, b->value, a->value);
		else
			n = snprintf(buf + at, size - at, "%s%s%s %.80s", between, order < 0 ? "without " : "", one->key, one->value);
		at += (size_t)n;
		between = ", ";
	}
	return buf;
}

static bool mentions_data(const struct fact *f, size_t n)
{
	static const char *const where[] = {"/var/", "/srv/", "/home/"};

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(where); k++)
			if (strstr(f[i].value, where[k]) || (str_starts(f[i].subject, "mount//") && str_starts(f[i].subject + 6, where[k])))
				return true;
	return false;
}

bool change_touches_data(const struct change *c)
{
	return mentions_data(c->before, c->n_before) || mentions_data(c->after, c->n_after);
}
