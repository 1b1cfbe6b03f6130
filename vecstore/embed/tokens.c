/* tokens.c: facts as weighted words: which words, and what each sort of them is worth. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "vecstore/embed/arena.h"
#include "vecstore/embed/embed.h"

#define GRAMS_MAX 48u   /* of one value */
#define WORDS_MAX 12u   /* of one key */
#define TOKEN_TEXT_MAX 512u

/* The more a sort of word says about this very change, the more it weighs; a sum of many weak ones must not outweigh an exact match. */
const struct token_class_info token_classes[TOKEN_CLASSES] = {
	[TOKEN_SUBJECT] = {"subject", 1.0f},     [TOKEN_KIND] = {"kind", 0.3f},           [TOKEN_KEY] = {"key", 0.8f},
	[TOKEN_SUBJECT_KEY] = {"setting", 1.2f}, [TOKEN_KEY_VALUE] = {"value", 2.0f},     [TOKEN_OLD_VALUE] = {"old value", 0.4f},
	[TOKEN_OLD_NEW] = {"old>new", 0.8f},     [TOKEN_SHAPE] = {"shape", 0.9f},         [TOKEN_TREND] = {"trend", 0.6f},
	[TOKEN_WORD] = {"word", 0.4f},           [TOKEN_GRAM] = {"3-gram", 0.2f},         [TOKEN_VERSION] = {"version", 1.4f},
	[TOKEN_VERSION_PREFIX] = {"version prefix", 0.8f}, [TOKEN_EDGE] = {"dependency", 1.0f},
};

int tokens_add(struct tokens *ts, enum token_class class, const char *fmt, ...)
{
	char text[TOKEN_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	if (ts->n == ts->cap) {
		size_t cap = ts->cap ? ts->cap * 2 : 64;
		struct token *t = reallocarray(ts->t, cap, sizeof(*t));
		if (!t)
			goto no_memory;
		ts->t = t;
		ts->cap = cap;
	}
	size_t len = strlen(text);
	const char *kept = embed_string(&ts->strings, text, len);
	if (!kept)
		goto no_memory;
	ts->t[ts->n++] = (struct token){.hash = fnv1a64(text, len), .class = (uint8_t)class, .count = 1, .text = kept};
	return 0;
no_memory:
	ts->failed = true;
	return -ENOMEM;
}

static int by_hash(const void *a, const void *b)
{
	const struct token *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return (int)x->class - (int)y->class;
}

int tokens_seal(struct tokens *ts)
{
	size_t n = 0;

	if (ts->failed)
		return -ENOMEM;
	if (ts->n)
		qsort(ts->t, ts->n, sizeof(ts->t[0]), by_hash);
	for (size_t i = 0; i < ts->n; i++) {
		if (n && ts->t[n - 1].hash == ts->t[i].hash)
			ts->t[n - 1].count += ts->t[i].count;
		else
			ts->t[n++] = ts->t[i];
	}
	ts->n = n;
	for (size_t i = 0; i < n; i++)
		ts->t[i].weight = token_classes[ts->t[i].class].weight * (1.0f + logf((float)ts->t[i].count));
	return 0;
}

void tokens_free(struct tokens *ts)
{
	free(ts->t);
	embed_strings_free(&ts->strings);
	memset(ts, 0, sizeof(*ts));
}

void embed_vector(const struct tokens *ts, float v[EMBED_DIM])
{
	double sum = 0;

	memset(v, 0, EMBED_DIM * sizeof(v[0]));
	for (size_t i = 0; i < ts->n; i++) {
		uint64_t h = ts->t[i].hash * 0x9e3779b97f4a7c15u; /* FNV's low bits alone are not even enough */
		v[(h >> 32) % EMBED_DIM] += h & 1u ? ts->t[i].weight : -ts->t[i].weight;
	}
	for (size_t i = 0; i < EMBED_DIM; i++)
		sum += (double)v[i] * (double)v[i];
	for (size_t i = 0; sum > 0 && i < EMBED_DIM; i++)
		v[i] = (float)(v[i] / sqrt(sum));
}

/* --- words of keys and values --- */

/* "group.cache-secs" and "groupCacheSecs" are three words each; lower case, at least two letters. */
static int each_word(const char *s, int (*cb)(const char *word, void *data), void *data)
{
	char word[64];
	size_t n = 0;
	unsigned words = 0;

	for (const char *p = s;; p++) {
		bool letter = isalnum((unsigned char)*p) || (unsigned char)*p >= 0x80;
		bool hump = letter && isupper((unsigned char)*p) && p > s && islower((unsigned char)p[-1]);
		if (n && (!letter || hump || n == sizeof(word) - 1)) {
			word[n] = '\0';
			int r = n > 1 && words++ < WORDS_MAX ? cb(word, data) : 0;
			if (r)
				return r;
			n = 0;
		}
		if (!*p)
			return 0;
		if (letter)
			word[n++] = (char)tolower((unsigned char)*p);
	}
}

struct word_use {
	struct tokens *ts;
	const char *shape; /* of the value that the key has, or NULL */
};

static int key_word(const char *word, void *data)
{
	struct word_use *u = data;
	int r = tokens_add(u->ts, TOKEN_WORD, "word:%s", word);

	return r == 0 && u->shape ? tokens_add(u->ts, TOKEN_SHAPE, "%s~%s", word, u->shape) : r;
}

static int grams(struct tokens *ts, const char *value)
{
	size_t n = strlen(value);

	for (size_t i = 0; i + 3 <= n && i < GRAMS_MAX; i++) {
		int r = tokens_add(ts, TOKEN_GRAM, "3:%.3s", value + i);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- one setting --- */

/* Are the words of the value names of other things? */
static bool is_dependency(const char *key)
{
	static const char *const keys[] = {"depends", "requires", "requires-one", "wants", "after", "before", "conflicts", "provides", "contents", "providers"};
	const char *dot = strrchr(key, '.');

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (streq(dot ? dot + 1 : key, keys[i]))
			return true;
	return false;
}

static int edges(struct tokens *ts, const char *name, const struct fact *f, const char *sign)
{
	_cleanup_strv_ char **words = NULL;
	const char *dot = strrchr(f->key, '.');
	int r = str_split_words(f->value, &words);

	for (char **w = words; r == 0 && w && *w; w++)
		r = tokens_add(ts, TOKEN_EDGE, "%s%s %s %s", sign, name, dot ? dot + 1 : f->key, *w);
	return r == -EINVAL ? 0 : r;
}

/* "nginx@1.24.0-2": itself and what it begins with at each part of the version. */
static int package_version(struct tokens *ts, const char *name, const char *version)
{
	int r = tokens_add(ts, TOKEN_VERSION, "%s@%s", name, version);

	for (const char *p = version; r == 0 && *p; p++)
		if (p > version && strchr(".-+~", *p))
			r = tokens_add(ts, TOKEN_VERSION_PREFIX, "%s@%.*s", name, (int)(p - version), version);
	return r;
}

static const char *shape_word(const struct value_shape *s)
{
	if (s->number && s->x < 0)
		return "negative";
	if (s->number && s->x == 0.0)
		return "zero";
	if (s->number && fabs(s->x) >= 2147483648.0)
		return "huge";
	return value_type_name(s->type);
}

/* The parts of "service/sshd": kind and name. */
struct names {
	char kind[32];
	const char *name;
};

static struct names split_subject(const char *subject)
{
	struct names n = {.name = strchr(subject, '/')};
	size_t len = n.name ? (size_t)(n.name - subject) : strlen(subject);

	snprintf(n.kind, sizeof(n.kind), "%.*s", (int)MIN(len, sizeof(n.kind) - 1), subject);
	n.name = n.name ? n.name + 1 : "";
	return n;
}

/* What the new value is, for a state as for a change. A key of one's own for what has the same key in many places. */
static int setting(struct tokens *ts, const struct names *s, const struct fact *f)
{
	bool own = streq(f->key, "value") || streq(f->key, "line") || streq(f->key, "version"); /* the subject is the key */
	const char *key = own ? s->name : f->key;
	struct value_shape shape;
	int r;

	value_shape(f->value, &shape);
	if (streq(s->kind, "package"))
		return package_version(ts, s->name, f->value);
	r = tokens_add(ts, TOKEN_KEY, "%s.%s", s->kind, key);
	if (r == 0 && !own)
		r = tokens_add(ts, TOKEN_SUBJECT_KEY, "%s/%s:%s", s->kind, s->name, f->key);
	if (r == 0)
		r = tokens_add(ts, TOKEN_KEY_VALUE, "%s=%s", key, f->value);
	if (r == 0 && is_dependency(f->key))
		r = edges(ts, s->name, f, "");
	return r;
}

static int setting_details(struct tokens *ts, const struct names *s, const struct fact *f)
{
	bool own = streq(f->key, "value") || streq(f->key, "line");
	struct value_shape shape;

	value_shape(f->value, &shape);
	struct word_use u = {.ts = ts, .shape = shape_word(&shape)};
	int r = tokens_add(ts, TOKEN_SHAPE, "%s:%s", own ? s->name : f->key, u.shape);
	if (r == 0)
		r = tokens_add(ts, TOKEN_TREND, "is %s", u.shape);
	if (r == 0)
		r = each_word(own ? s->name : f->key, key_word, &u);
	return r == 0 ? grams(ts, f->value) : r;
}

int tokens_of_state(struct tokens *ts, const struct facts *fs)
{
	for (size_t i = 0, n; i < fs->n; i += n) {
		struct names s = split_subject(fs->f[i].subject);
		n = facts_run(fs, i);
		int r = tokens_add(ts, TOKEN_SUBJECT, "%s/%s", s.kind, s.name);
		for (size_t k = i; r == 0 && k < i + n; k++)
			r = setting(ts, &s, &fs->f[k]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- changes --- */

static int compare_versions(const char *a, const char *b, const char **what)
{
	static const char *const parts[] = {"major", "minor", "patch"};
	unsigned part = 0;

	*what = "revision";
	for (;;) { /* numbers as numbers, anything else as it is */
		char *ea, *eb;
		if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
			unsigned long long x = strtoull(a, &ea, 10), y = strtoull(b, &eb, 10);
			if (x != y) {
				*what = part < ARRAY_SIZE(parts) ? parts[part] : "revision";
				return x < y ? -1 : 1;
			}
			a = ea;
			b = eb;
			continue;
		}
		if (*a != *b || !*a)
			return (unsigned char)*a - (unsigned char)*b;
		if (*a == '.')
			part++;
		else if (*a == '-')
			part = ARRAY_SIZE(parts);
		a++;
		b++;
	}
}

static int version_trend(struct tokens *ts, const struct names *s, const char *before, const char *after)
{
	const char *what;
	int order = compare_versions(before, after, &what);
	int r = tokens_add(ts, TOKEN_TREND, "%s %s of a package", what, order < 0 ? "upgrade" : "downgrade");

	if (r == 0)
		r = tokens_add(ts, TOKEN_SHAPE, "%s: %s %s", s->name, what, order < 0 ? "upgrade" : "downgrade");
	return r == 0 ? tokens_add(ts, TOKEN_OLD_NEW, "%s: %s > %s", s->name, before, after) : r;
}

static int value_trend(struct tokens *ts, const struct names *s, const struct fact *b, const struct fact *a)
{
	const char *key = streq(a->key, "value") ? s->name : a->key;
	struct value_shape x, y;
	int r;

	value_shape(b->value, &x);
	value_shape(a->value, &y);
	r = tokens_add(ts, TOKEN_SHAPE, "%s: %s > %s", key, shape_word(&x), shape_word(&y));
	if (r == 0)
		r = tokens_add(ts, TOKEN_TREND, "%s > %s", shape_word(&x), shape_word(&y));
	if (r == 0)
		r = tokens_add(ts, TOKEN_OLD_NEW, "%s: %s > %s", key, b->value, a->value);
	if (r < 0 || !x.number || !y.number || x.x == 0.0)
		return r;
	double ratio = fabs(y.x / x.x);
	const char *size = ratio >= 100 ? "a hundredfold" : ratio >= 8 ? "tenfold" : ratio > 1 ? "up" : ratio <= 0.01 ? "to a hundredth" : ratio <= 0.125 ? "to a tenth" : "down";
	r = tokens_add(ts, TOKEN_TREND, "number %s", size);
	return r == 0 ? tokens_add(ts, TOKEN_SHAPE, "%s: %s", key, size) : r;
}

static int changed_setting(struct tokens *ts, const struct names *s, const struct fact *b, const struct fact *a)
{
	int r = 0;

	if (a)
		r = setting(ts, s, a);
	if (r == 0 && a && !streq(s->kind, "package"))
		r = setting_details(ts, s, a);
	if (r == 0 && b && a)
		r = streq(s->kind, "package") ? version_trend(ts, s, b->value, a->value) : value_trend(ts, s, b, a);
	if (r == 0 && b && !a) {
		r = tokens_add(ts, TOKEN_SUBJECT_KEY, "without %s/%s:%s", s->kind, s->name, b->key);
		if (r == 0)
			r = tokens_add(ts, TOKEN_KEY, "without %s.%s", s->kind, b->key);
	}
	if (r == 0 && b)
		r = tokens_add(ts, TOKEN_OLD_VALUE, "not %s=%s", b->key, b->value);
	if (r == 0 && b && is_dependency(b->key))
		r = edges(ts, s->name, b, "not ");
	return r;
}

int tokens_of_change(struct tokens *ts, const struct fact *before, size_t n_before, const struct fact *after, size_t n_after)
{
	struct names s = split_subject((n_after ? after : before)->subject);
	size_t i = 0, k = 0;
	int r = tokens_add(ts, TOKEN_SUBJECT, "%s/%s", s.kind, s.name);

	if (r == 0)
		r = tokens_add(ts, TOKEN_KIND, "%s %s", s.kind, !n_before ? "added" : !n_after ? "removed" : "changed");
	while (r == 0 && (i < n_before || k < n_after)) {
		const struct fact *b = i < n_before ? &before[i] : NULL, *a = k < n_after ? &after[k] : NULL;
		int order = !b ? 1 : !a ? -1 : strcmp(b->key, a->key);
		i += order <= 0;
		k += order >= 0;
		if (order == 0 && streq(b->value, a->value))
			continue;
		r = changed_setting(ts, &s, order <= 0 ? b : NULL, order >= 0 ? a : NULL);
	}
	return r;
}

/* --- what a person searches for --- */

static int search_word(const char *word, void *data)
{
	struct tokens *ts = data;
	static const char *const kinds[] = {"service", "package", "kernel", "sysctl", "environment"};
	int r = tokens_add(ts, TOKEN_WORD, "word:%s", word);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++)
		r = tokens_add(ts, TOKEN_SUBJECT, "%s/%s", kinds[i], word);
	return r;
}

int tokens_of_text(struct tokens *ts, const char *words)
{
	int r = each_word(words, search_word, ts);
	_cleanup_strv_ char **exact = NULL;

	if (r == 0 && str_split_words(words, &exact) == 0)
		for (char **w = exact; r == 0 && w && *w; w++)
			if (strpbrk(*w, "=@/:"))
				r = tokens_add(ts, TOKEN_KEY_VALUE, "%s", *w);
	return r == 0 ? grams(ts, words) : r;
}
