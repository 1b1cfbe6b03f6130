/* inflate.c: see inflate.h. gzip: RFC 1952, members one after the other; zstd: RFC 8878, frames one after the other, skippable ones too. */
#include "runtime/image/inflate.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#define ZSTD_WINDOW_LOG 27 /* 128 MiB, zstd's own default limit: more would be a bomb for memory */

struct inflater {
	enum compression kind;
	z_stream gzip;
	ZSTD_DCtx *zstd;
	bool between; /* members or frames; also after the last one */
	bool any;     /* a member or frame has ended */
};

enum compression compression_of(const void *begin, size_t n)
{
	const unsigned char *b = begin;

	if (n >= 3 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8)
		return COMPRESSION_GZIP;
	if (n >= 4 && b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd)
		return COMPRESSION_ZSTD;
	if (n >= 4 && (b[0] & 0xf0) == 0x50 && b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18) /* a skippable frame in front */
		return COMPRESSION_ZSTD;
	return COMPRESSION_NONE;
}

int inflater_new(enum compression c, struct inflater **ret)
{
	struct inflater *z = calloc(1, sizeof(*z));

	if (!z)
		return -ENOMEM;
	z->kind = c;
	z->between = true;
	if (c == COMPRESSION_ZSTD) {
		z->zstd = ZSTD_createDCtx();
		if (!z->zstd || ZSTD_isError(ZSTD_DCtx_setParameter(z->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG))) {
			inflater_free(z);
			return -ENOMEM;
		}
	} else if (inflateInit2(&z->gzip, MAX_WBITS + 16) != Z_OK) { /* + 16: gzip's header, nothing else */
		free(z);
		return -ENOMEM;
	}
	*ret = z;
	return 0;
}

void inflater_free(struct inflater *z)
{
	if (!z)
		return;
	if (z->kind == COMPRESSION_ZSTD)
		ZSTD_freeDCtx(z->zstd);
	else
		inflateEnd(&z->gzip);
	free(z);
}

static long run_gzip(struct inflater *z, const unsigned char **in, size_t *n_in, unsigned char *out, size_t n_out)
{
	z_stream *g = &z->gzip;

	g->next_in = (unsigned char *)*in;
	g->avail_in = (unsigned)(*n_in < UINT_MAX ? *n_in : UINT_MAX);
	g->next_out = out;
	g->avail_out = (unsigned)n_out;
	while (g->avail_out > 0 && (g->avail_in > 0 || !z->between)) {
		if (z->between && z->any && inflateReset(g) != Z_OK)
			return -EBADMSG;
		z->between = false;
		int r = inflate(g, Z_NO_FLUSH);
		if (r == Z_BUF_ERROR) /* wants more input */
			break;
		if (r == Z_STREAM_END)
			z->between = z->any = true;
		else if (r != Z_OK)
			return r == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
	}
	*n_in -= (size_t)(g->next_in - *in);
	*in = g->next_in;
	return (long)(n_out - g->avail_out);
}

static long run_zstd(struct inflater *z, const unsigned char **in, size_t *n_in, unsigned char *out, size_t n_out)
{
	ZSTD_inBuffer i = {*in, *n_in, 0};
	ZSTD_outBuffer o = {out, n_out, 0};

	while (o.pos < o.size && (i.pos < i.size || !z->between)) {
		size_t before_in = i.pos, before_out = o.pos;
		size_t r = ZSTD_decompressStream(z->zstd, &o, &i);
		if (ZSTD_isError(r))
			return ZSTD_getErrorCode(r) == ZSTD_error_frameParameter_windowTooLarge ? -ENOMEM : -EBADMSG;
		z->between = r == 0;
		z->any |= r == 0;
		if (i.pos == before_in && o.pos == before_out) /* wants more input */
			break;
	}
	*in += i.pos;
	*n_in -= i.pos;
	return (long)o.pos;
}

long inflater_run(struct inflater *z, const unsigned char **in, size_t *n_in, unsigned char *out, size_t n_out)
{
	return z->kind == COMPRESSION_ZSTD ? run_zstd(z, in, n_in, out, n_out) : run_gzip(z, in, n_in, out, n_out);
}

bool inflater_at_end(const struct inflater *z)
{
	return z->between && z->any;
}
