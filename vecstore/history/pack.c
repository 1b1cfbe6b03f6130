/* pack.c: see pack.h */
#include "vecstore/history/pack.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/file.h"
#include "vecstore/history/private.h"

#define MAGIC "rastPACK"
#define FORMAT 1u
#define SIGNATURE 64u

struct pack_head {
	char magic[8];
	uint32_t format, embed;
	uint64_t time_s;
	uint32_t length;
} __attribute__((packed));

/* --- making one --- */

struct gathering { struct buf *rows; uint32_t n; };

static int gather_row(const struct ev_decoded *row, uint32_t index, void *arg)
{
	struct gathering *g = arg;

	if (row->ok + row->bad <= 0 || g->n == PACK_ROWS_MAX)
		return 0;
	g->n++;
	return ev_encode(g->rows, 0, 0, MIN(row->ok, PACK_MASS_MAX), MIN(row->bad, PACK_MASS_MAX), row->data, &row->tokens);
}

static int gather(const void *key, size_t key_len, const void *data, size_t n, void *arg)
{
	return ev_each(data, n, gather_row, arg);
}

int pack_rows(struct history *h, struct buf *rows, uint32_t *n, struct err *e)
{
	struct gathering g = {.rows = rows};
	uint32_t zero = 0;

	buf_add(rows, &zero, sizeof(zero));
	int r = vs_doc_each(h->txn, "ev/", 3, gather, &g, e);
	if (r < 0)
		return e && e->code ? r : err_sys(e, r, "read the evidence");
	memcpy(rows->data, &g.n, sizeof(g.n));
	*n = g.n;
	return 0;
}

static int sign_with(EVP_PKEY *key, struct buf *out)
{
	unsigned char signature[SIGNATURE];
	size_t n = sizeof(signature);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool fine = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 && EVP_DigestSign(ctx, signature, &n, (const unsigned char *)out->data, out->len) == 1 && n == SIGNATURE;

	EVP_MD_CTX_free(ctx);
	return fine ? buf_add(out, signature, n) : -EIO;
}

int pack_sign(const struct buf *rows, uint64_t time_s, const char *key_file, struct buf *out, struct err *e)
{
	struct pack_head head = {.magic = MAGIC, .format = FORMAT, .embed = EMBED_VERSION, .time_s = time_s, .length = (uint32_t)rows->len};
	_cleanup_fclose_ FILE *f = fopen(key_file, "re");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	if (!f)
		return err_sys(e, -errno, "open the key %s", key_file);
	if (!key || EVP_PKEY_base_id(key) != EVP_PKEY_ED25519) {
		EVP_PKEY_free(key);
		return err_set(e, -EINVAL, "%s is not an Ed25519 private key in PEM; make one: openssl genpkey -algorithm ed25519 -out %s", key_file, key_file);
	}
	buf_add(out, &head, sizeof(head));
	buf_add(out, rows->data, rows->len);
	int r = out->failed ? -ENOMEM : sign_with(key, out);
	EVP_PKEY_free(key);
	return r < 0 ? err_sys(e, r, "sign the pack") : 0;
}

/* --- reading one --- */

static int check_row(const struct ev_decoded *row, uint32_t index, void *arg)
{
	++*(uint32_t *)arg;
	return index >= PACK_ROWS_MAX || row->ok > PACK_MASS_MAX || row->bad > PACK_MASS_MAX ? -ERANGE : 0;
}

int pack_parse(const void *data, size_t n, const void **rows, size_t *n_rows, uint32_t *count, struct err *e)
{
	struct pack_head head;

	*count = 0;
	if (n < sizeof(head) + SIGNATURE || n > PACK_BYTES_MAX)
		return err_set(e, -EBADMSG, "a pack of %zu bytes can't be one", n);
	memcpy(&head, data, sizeof(head));
	if (memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0)
		return err_set(e, -EBADMSG, "it doesn't begin as a pack does");
	if (head.format != FORMAT || head.embed != EMBED_VERSION)
		return err_set(e, -EPROTONOSUPPORT, "it is of format %u, embedding %u; this program knows format %u, embedding %u", head.format, head.embed, FORMAT, EMBED_VERSION);
	if (head.length != n - sizeof(head) - SIGNATURE)
		return err_set(e, -EBADMSG, "its length is wrong");
	*rows = (const char *)data + sizeof(head);
	*n_rows = head.length;
	int r = ev_each(*rows, *n_rows, check_row, count);
	return r < 0 ? err_set(e, r, r == -ERANGE ? "a row of it is out of bounds" : "a row of it is damaged") : 0;
}

static bool signed_by(const void *data, size_t n, const char *file)
{
	_cleanup_fclose_ FILE *f = fopen(file, "re");
	EVP_PKEY *key = f ? PEM_read_PUBKEY(f, NULL, NULL, NULL) : NULL;
	EVP_MD_CTX *ctx = key && EVP_PKEY_base_id(key) == EVP_PKEY_ED25519 ? EVP_MD_CTX_new() : NULL;
	const unsigned char *p = data;
	bool fine = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 && EVP_DigestVerify(ctx, p + n - SIGNATURE, SIGNATURE, p, n - SIGNATURE) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return fine;
}

int pack_verify(const void *data, size_t n, const char *keys_dir, const void **rows, size_t *n_rows, char signer[256], struct err *e)
{
	_cleanup_closedir_ DIR *d = opendir(keys_dir);
	uint32_t count;
	int r = pack_parse(data, n, rows, n_rows, &count, e);

	if (r < 0)
		return r;
	if (!d)
		return err_sys(e, -errno, "open %s, where the keys are that packs are believed from", keys_dir);
	for (struct dirent *de; (de = readdir(d));) {
		char path[4096];
		snprintf(path, sizeof(path), "%s/%s", keys_dir, de->d_name);
		if (str_ends(de->d_name, ".pem") && signed_by(data, n, path)) {
			snprintf(signer, 256, "%.255s", de->d_name);
			return 0;
		}
	}
	return err_set(e, -EKEYREJECTED, "its signature is by none of the keys in %s", keys_dir);
}

int pack_put(struct history *h, const char *name, const void *rows, size_t n, struct err *e)
{
	char key[80];
	int len = snprintf(key, sizeof(key), "fleet/%s", name);

	if (!name_valid(name))
		return err_set(e, -EINVAL, "'%s' is no name for a pack", name);
	return vs_doc_put(h->txn, key, (size_t)len, rows, n, e);
}
