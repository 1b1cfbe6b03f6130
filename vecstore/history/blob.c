/* blob.c: texts under the hash of their content, compressed. With a dictionary once there are enough: small files have little in
 * themselves that repeats, and much that is in other files, too.
 *
 * A blob: u8 how (0 as it is, 1 zstd, 2 zstd with dictionary), u8[3] 0, u32 dictionary's number, u32 length; then the bytes. */
#include <openssl/evp.h>
#define ZDICT_STATIC_LINKING_ONLY
#include <zdict.h>
#include <zstd.h>

#include "vecstore/history/private.h"

#define LEVEL 9
#define BLOB_MAX (16u << 20)
#define TRAIN_FROM 48u          /* blobs */
#define DICTIONARY_SIZE 16384u
#define SAMPLES_MAX (4u << 20)

enum how { HOW_RAW, HOW_ZSTD, HOW_DICTIONARY };

struct blob_head {
	uint8_t how, pad[3];
	uint32_t dictionary, length;
};

struct dictionary {
	uint32_t number;
	ZSTD_CDict *c;
	ZSTD_DDict *d;
};

void dictionary_free(struct dictionary *d)
{
	if (!d)
		return;
	ZSTD_freeCDict(d->c);
	ZSTD_freeDDict(d->d);
	free(d);
}

/* Load one by number (0: the newest). -ENOENT: there is none. */
static int dictionary_get(struct history *h, uint32_t number, struct err *e)
{
	_cleanup_err_ struct err quiet = {0};
	const void *data;
	char key[32];
	size_t n;

	if (h->dict && (number == 0 || h->dict->number == number))
		return 0;
	if (number == 0) {
		int r = vs_doc_get(h->txn, "dict", 4, &data, &n, &quiet);
		if (r < 0 || n != sizeof(number))
			return r < 0 ? r : -EBADMSG;
		memcpy(&number, data, sizeof(number));
	}
	int len = snprintf(key, sizeof(key), "dict/%u", number);
	int r = vs_doc_get(h->txn, key, (size_t)len, &data, &n, e);
	if (r < 0)
		return r;
	struct dictionary *d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	*d = (struct dictionary){number, ZSTD_createCDict(data, n, LEVEL), ZSTD_createDDict(data, n)};
	if (!d->c || !d->d) {
		dictionary_free(d);
		return -ENOMEM;
	}
	dictionary_free(h->dict);
	h->dict = d;
	return 0;
}

static int hash_text(const char *text, size_t n, char hash[HASH_HEX + 1])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len;

	if (EVP_Digest(text, n, md, &len, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	for (unsigned i = 0; i < HASH_HEX / 2; i++)
		snprintf(hash + (size_t)i * 2, 3, "%02x", md[i]);
	return 0;
}

static int blob_key(const char *hash, char key[64])
{
	return snprintf(key, 64, "blob/%.*s", (int)HASH_HEX, hash);
}

static int compress_into(struct history *h, const char *text, size_t n, struct buf *out, struct err *e)
{
	_cleanup_err_ struct err quiet = {0};
	bool with = dictionary_get(h, 0, &quiet) == 0;
	size_t bound = ZSTD_compressBound(n);
	_cleanup_free_ char *room = malloc(bound);
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	struct blob_head head = {.how = with ? HOW_DICTIONARY : HOW_ZSTD, .dictionary = with ? h->dict->number : 0, .length = (uint32_t)n};

	if (!room || !ctx) {
		ZSTD_freeCCtx(ctx);
		return err_sys(e, -ENOMEM, "compress a document");
	}
	size_t got = with ? ZSTD_compress_usingCDict(ctx, room, bound, text, n, h->dict->c) : ZSTD_compressCCtx(ctx, room, bound, text, n, LEVEL);
	ZSTD_freeCCtx(ctx);
	if (ZSTD_isError(got) || got >= n) {
		head = (struct blob_head){.how = HOW_RAW, .length = (uint32_t)n};
		buf_add(out, &head, sizeof(head));
		return buf_add(out, text, n);
	}
	buf_add(out, &head, sizeof(head));
	return buf_add(out, room, got);
}

int blob_put(struct history *h, const char *text, size_t n, char hash[HASH_HEX + 1], struct err *e)
{
	_cleanup_err_ struct err quiet = {0};
	_cleanup_buf_ struct buf b = {0};
	char key[64];
	const void *data;
	size_t have;

	if (n > BLOB_MAX)
		return err_set(e, -EFBIG, "a document of %zu bytes is too big for the history (at most %u)", n, BLOB_MAX);
	int r = hash_text(text, n, hash);
	if (r < 0)
		return err_sys(e, r, "hash a document");
	int len = blob_key(hash, key);
	if (vs_doc_get(h->txn, key, (size_t)len, &data, &have, &quiet) == 0)
		return 0;
	r = compress_into(h, text, n, &b, e);
	return r < 0 ? r : vs_doc_put(h->txn, key, (size_t)len, b.data, b.len, e);
}

int blob_get(struct history *h, const char *hash, struct buf *out, struct err *e)
{
	struct blob_head head;
	const void *data;
	char key[64];
	size_t n;
	int len = blob_key(hash, key), r = vs_doc_get(h->txn, key, (size_t)len, &data, &n, e);

	if (r < 0)
		return err_prefix(e, "document %s of the history", hash);
	if (n < sizeof(head))
		return err_set(e, -EBADMSG, "document %s of the history is cut short", hash);
	memcpy(&head, data, sizeof(head));
	const char *p = (const char *)data + sizeof(head);
	n -= sizeof(head);
	if (head.how == HOW_RAW)
		return n == head.length ? buf_add(out, p, n) : err_set(e, -EBADMSG, "document %s of the history has the wrong length", hash);
	if (head.length > BLOB_MAX || head.how > HOW_DICTIONARY)
		return err_set(e, -EBADMSG, "document %s of the history is damaged", hash);
	if (head.how == HOW_DICTIONARY && (r = dictionary_get(h, head.dictionary, e)) < 0)
		return err_prefix(e, "the dictionary of document %s", hash);
	_cleanup_free_ char *room = malloc(head.length + 1);
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	size_t got = !room || !ctx ? 0 : head.how == HOW_DICTIONARY ? ZSTD_decompress_usingDDict(ctx, room, head.length, p, n, h->dict->d) : ZSTD_decompressDCtx(ctx, room, head.length, p, n);
	ZSTD_freeDCtx(ctx);
	if (!room || !ctx)
		return err_sys(e, -ENOMEM, "read document %s of the history", hash);
	if (ZSTD_isError(got) || got != head.length)
		return err_set(e, -EBADMSG, "document %s of the history can't be decompressed", hash);
	return buf_add(out, room, got);
}

int blob_delete(struct history *h, const char *hash, struct err *e)
{
	char key[64];
	int len = blob_key(hash, key);

	return vs_doc_delete(h->txn, key, (size_t)len, e);
}

/* --- the dictionary --- */

struct samples { struct history *h; struct buf text; size_t *sizes; unsigned n; struct err *e; };

static int add_sample(const void *key, size_t key_len, const void *data, size_t n, void *arg)
{
	struct samples *s = arg;
	char hash[HASH_HEX + 1];
	size_t before = s->text.len;

	if (key_len != 5 + HASH_HEX || before > SAMPLES_MAX)
		return 0;
	snprintf(hash, sizeof(hash), "%.*s", (int)HASH_HEX, (const char *)key + 5);
	size_t *sizes = reallocarray(s->sizes, s->n + 1, sizeof(*sizes));
	if (!sizes)
		return -ENOMEM;
	s->sizes = sizes;
	int r = blob_get(s->h, hash, &s->text, s->e);
	if (r == 0 && s->text.len - before > 65536) /* a list of packages teaches little */
		s->text.len = before;
	else if (r == 0)
		s->sizes[s->n++] = s->text.len - before;
	return r;
}

int dictionary_train(struct history *h, struct err *e)
{
	_cleanup_err_ struct err quiet = {0};
	struct samples s = {.h = h, .e = e};
	uint32_t number = 1;
	const void *data;
	size_t n;

	if (vs_doc_get(h->txn, "dict", 4, &data, &n, &quiet) == 0)
		return 0;
	_cleanup_free_ char *room = malloc(DICTIONARY_SIZE);
	int r = room ? vs_doc_each(h->txn, "blob/", 5, add_sample, &s, e) : -ENOMEM;
	if (r == 0 && s.n >= TRAIN_FROM) {
		size_t got = ZDICT_trainFromBuffer(room, DICTIONARY_SIZE, s.text.data, s.sizes, s.n);
		if (!ZDICT_isError(got)) { /* too little that repeats: none, then */
			r = vs_doc_put(h->txn, "dict/1", 6, room, got, e);
			if (r == 0)
				r = vs_doc_put(h->txn, "dict", 4, &number, sizeof(number), e);
		}
	}
	buf_free(&s.text);
	free(s.sizes);
	return r;
}
