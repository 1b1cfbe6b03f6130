/* tar.c: see tar.h. */
#include "runtime/image/tar-priv.h"

#include <errno.h>
#include <string.h>
#include "base/str.h"

#define BLOCK 512

/* The header block: POSIX's ustar; GNU has its own use for what lies behind `minor`. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[8], user[32], group[32], major[8], minor[8];
	union {
		char prefix[155];
		struct {
			char atime[12], ctime[12], offset[12], longnames[4], unused;
			struct sparse {
				char offset[12], size[12];
			} sparse[4];
			char extended, real_size[12];
		} gnu;
	};
	char pad[12];
};
struct sparse_block { /* goes on where header.gnu.sparse ends */
	struct sparse sparse[21];
	char extended, pad[7];
};
_Static_assert(sizeof(struct header) == BLOCK && sizeof(struct sparse_block) == BLOCK, "tar headers are blocks");

enum format { FORMAT_V7, FORMAT_USTAR, FORMAT_GNU };

struct tar {
	tar_source source;
	tar_skip skip;
	void *data;
	const char *piece; /* what the source gave and we have not taken */
	size_t n;
	uint64_t position, left; /* left: bytes of the entry's content in the archive, without padding */
	unsigned padding;
	bool ended, failed; /* failed: the source has the reason */
	struct pax local, global;
	struct tar_entry entry;
	struct tar_piece *pieces; /* of the entry; cap for pieces_add() */
	size_t cap_pieces;
	char path[TAR_NAME_MAX + 1], link[TAR_NAME_MAX + 1];
	char *long_path, *long_link; /* GNU 'L', 'K' */
	char block[BLOCK];
};

int tar_new(tar_source source, void *data, struct tar **ret)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	(*ret)->source = source;
	(*ret)->data = data;
	return 0;
}

void tar_set_skip(struct tar *t, tar_skip skip)
{
	t->skip = skip;
}

void tar_free(struct tar *t)
{
	if (!t)
		return;
	pax_clear(&t->local);
	pax_clear(&t->global);
	free(t->pieces);
	free(t->long_path);
	free(t->long_link);
	free(t);
}

void tar_freep(struct tar **t)
{
	tar_free(*t);
}

uint64_t tar_position(const struct tar *t)
{
	return t->position;
}

static int damaged(const struct tar *t, struct err *e, const char *what)
{
	return err_set(e, -EBADMSG, "the archive is damaged before byte %llu: %s", (unsigned long long)t->position, what);
}

/* 1: there are bytes in t->piece; 0: the source has ended. */
static int fill(struct tar *t)
{
	while (t->n == 0) {
		const void *p = NULL;
		ssize_t n = t->source(t->data, &p);
		if (n <= 0)
			return (int)n;
		t->piece = p;
		t->n = (size_t)n;
	}
	return 1;
}

static void take(struct tar *t, size_t n)
{
	t->piece += n;
	t->n -= n;
	t->position += n;
}

/* Copy n bytes to buf (NULL: skip them). 1: all; 0: the archive ended before the first one; -ENODATA: within them. */
static int read_bytes(struct tar *t, char *buf, uint64_t n)
{
	bool any = false;

	while (n > 0) {
		int r = fill(t);
		if (r <= 0)
			return r < 0 ? r : any ? -ENODATA : 0;
		size_t some = n < t->n ? (size_t)n : t->n;
		if (buf) {
			memcpy(buf, t->piece, some);
			buf += some;
		}
		take(t, some);
		n -= some;
		any = true;
	}
	return 1;
}

static int read_error(const struct tar *t, int r, struct err *e)
{
	return r == 0 || r == -ENODATA ? damaged(t, e, "it ends in the middle of an entry") : r;
}

/* --- numbers --- */

/* Octal with white space and NULs around it, or GNU's base 256: the first bit set, then a big-endian number in two's complement. */
static int number(const char *s, size_t n, int64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if ((unsigned char)s[0] & 0x80) {
		bool negative = s[0] & 0x40;
		v = negative ? UINT64_MAX : 0;
		for (; i < n; i++) {
			unsigned char c = (unsigned char)s[i];
			if (i == 0)
				c = negative ? c : c & 0x7f;
			if (v >> 55 != (negative ? 0x1ff : 0)) /* the sign would be lost */
				return -EBADMSG;
			v = v << 8 | c;
		}
		*ret = (int64_t)v;
		return 0;
	}
	while (i < n && s[i] == ' ')
		i++;
	for (; i < n && s[i] >= '0' && s[i] <= '7'; i++) {
		if (v >> 60)
			return -EBADMSG;
		v = v << 3 | (uint64_t)(s[i] - '0');
	}
	for (; i < n; i++)
		if (s[i] != ' ' && s[i] != '\0')
			return -EBADMSG;
	*ret = (int64_t)v;
	return *ret < 0 ? -EBADMSG : 0;
}

static int unsigned_number(const char *s, size_t n, uint64_t *ret)
{
	int64_t v = 0;

	if (number(s, n, &v) < 0 || v < 0)
		return -EBADMSG;
	*ret = (uint64_t)v;
	return 0;
}

/* Old tars took the sum of signed chars. */
static bool sum_is_right(const struct header *h)
{
	const unsigned char *b = (const unsigned char *)h;
	int64_t want, got = 0, got_signed = 0;

	if (number(h->sum, sizeof(h->sum), &want) < 0)
		return false;
	for (size_t i = 0; i < BLOCK; i++) {
		bool in_sum = i >= offsetof(struct header, sum) && i < offsetof(struct header, type);
		got += in_sum ? ' ' : b[i];
		got_signed += in_sum ? ' ' : (signed char)b[i];
	}
	return want == got || want == got_signed;
}

static enum format format_of(const struct header *h)
{
	if (memcmp(h->magic, "ustar\0", 6) == 0)
		return FORMAT_USTAR;
	return memcmp(h->magic, "ustar  \0", 8) == 0 ? FORMAT_GNU : FORMAT_V7;
}

/* --- sparse files --- */

/* One pair of the old GNU format; an empty one ends the list. 1: added, 0: the end. */
static int add_old_sparse(struct tar *t, const struct sparse *s)
{
	uint64_t offset, n;

	if (s->offset[0] == '\0' && s->size[0] == '\0')
		return 0;
	if (unsigned_number(s->offset, sizeof(s->offset), &offset) < 0 || unsigned_number(s->size, sizeof(s->size), &n) < 0)
		return -EBADMSG;
	int r = pieces_add(&t->pieces, &t->entry.n_pieces, &t->cap_pieces, offset, n);
	return r < 0 ? r : 1;
}

static int read_old_sparse(struct tar *t, const struct header *h)
{
	bool more = h->gnu.extended;
	int r = 1;

	for (size_t i = 0; i < ARRAY_SIZE(h->gnu.sparse) && r > 0; i++)
		r = add_old_sparse(t, &h->gnu.sparse[i]);
	while (more && r >= 0) {
		struct sparse_block b;
		r = read_bytes(t, (char *)&b, BLOCK);
		if (r <= 0)
			return r < 0 ? r : -ENODATA;
		more = b.extended;
		for (size_t i = 0; i < ARRAY_SIZE(b.sparse) && r > 0; i++)
			r = add_old_sparse(t, &b.sparse[i]);
	}
	if (r < 0)
		return r;
	return unsigned_number(h->gnu.real_size, sizeof(h->gnu.real_size), &t->entry.size);
}

/* Version 1.0: the content begins with lines of decimal numbers, in whole blocks: how many pairs, then the pairs. */
struct lines {
	char block[BLOCK];
	size_t at;
};

static int next_line(struct tar *t, struct lines *l, uint64_t *ret)
{
	char digits[24];
	size_t n = 0;

	for (;;) {
		if (l->at == BLOCK) {
			if (t->left < BLOCK)
				return -EBADMSG;
			int r = read_bytes(t, l->block, BLOCK);
			if (r <= 0)
				return r < 0 ? r : -ENODATA;
			t->left -= BLOCK;
			l->at = 0;
		}
		char c = l->block[l->at++];
		if (c == '\n')
			return tar_decimal(digits, n, ret);
		if (n == sizeof(digits))
			return -EBADMSG;
		digits[n++] = c;
	}
}

static int read_sparse_1_0(struct tar *t)
{
	struct lines l = {.at = BLOCK};
	uint64_t n = 0, offset = 0, len = 0;
	int r = next_line(t, &l, &n);

	if (r == 0 && n > TAR_SPARSE_MAX)
		r = -EBADMSG;
	for (uint64_t i = 0; i < n && r == 0; i++) {
		r = next_line(t, &l, &offset);
		r = r < 0 ? r : next_line(t, &l, &len);
		r = r < 0 ? r : pieces_add(&t->pieces, &t->entry.n_pieces, &t->cap_pieces, offset, len);
	}
	return r;
}

/* Ascending, inside of the file, and together as long as what the archive has. */
static int check_pieces(const struct tar *t)
{
	uint64_t end = 0, sum = 0;

	for (size_t i = 0; i < t->entry.n_pieces; i++) {
		const struct tar_piece *p = &t->entry.pieces[i];
		uint64_t after;
		if (p->offset < end || __builtin_add_overflow(p->offset, p->n, &after) || after > t->entry.size)
			return -EBADMSG;
		end = after;
		sum += p->n;
	}
	return sum == t->left && t->entry.size <= INT64_MAX ? 0 : -EBADMSG;
}

static int read_sparse(struct tar *t, const struct header *h)
{
	const struct pax *p = &t->local;
	bool map_in_front = p->has_major && p->sparse_major == 1 && p->sparse_minor == 0;
	int r = 0;

	t->entry.n_pieces = 0;
	if (h->type == 'S' && format_of(h) == FORMAT_GNU) {
		r = read_old_sparse(t, h);
	} else if (map_in_front || p->n_pieces > 0) {
		if (!p->has_real_size || (p->has_major && p->sparse_major > 1))
			return -EBADMSG;
		t->entry.size = p->real_size;
		if (map_in_front)
			r = read_sparse_1_0(t);
		for (size_t i = 0; i < p->n_pieces && r == 0 && !map_in_front; i++)
			r = pieces_add(&t->pieces, &t->entry.n_pieces, &t->cap_pieces, p->pieces[i].offset, p->pieces[i].n);
	} else {
		return p->has_real_size ? -EBADMSG : 0;
	}
	if (r < 0)
		return r;
	if (!t->pieces && pieces_add(&t->pieces, &t->entry.n_pieces, &t->cap_pieces, 0, 0) < 0)
		return -ENOMEM;
	t->entry.pieces = t->pieces;
	return check_pieces(t);
}

/* --- entries --- */

/* Content of an extended header or long name: n bytes, with its padding. Owned by the caller. */
static int read_extra(struct tar *t, uint64_t n, char **ret)
{
	if (n > TAR_HEADERS_MAX)
		return -EBADMSG;
	_cleanup_free_ char *text = malloc(n + 1);
	if (!text)
		return -ENOMEM;
	int r = read_bytes(t, text, n);
	if (r > 0 || n == 0)
		r = read_bytes(t, NULL, -n % BLOCK) < 0 ? -ENODATA : 1;
	if (r <= 0)
		return r < 0 ? r : -ENODATA;
	text[n] = '\0';
	*ret = TAKE_PTR(text);
	return 0;
}

/* 1: h was about other entries and has been dealt with. */
static int read_meta(struct tar *t, const struct header *h, uint64_t size)
{
	_cleanup_free_ char *text = NULL;
	char **to = h->type == 'L' ? &t->long_path : h->type == 'K' ? &t->long_link : NULL;
	int r;

	if (!strchr("xXgLKV", h->type) || h->type == '\0')
		return 0;
	r = read_extra(t, size, &text);
	if (r < 0)
		return r;
	if (h->type == 'x' || h->type == 'X')
		r = pax_parse(&t->local, text, size);
	else if (h->type == 'g')
		r = pax_parse(&t->global, text, size);
	else if (to) {
		if (strlen(text) >= TAR_NAME_MAX)
			return -EBADMSG;
		free(*to);
		*to = TAKE_PTR(text);
	}
	return r < 0 ? r : 1;
}

static void set_names(struct tar *t, const struct header *h)
{
	const struct pax *l = &t->local, *g = &t->global;
	bool prefix = format_of(h) == FORMAT_USTAR && h->prefix[0];

	if (l->sparse_name || l->path || t->long_path || g->path)
		snprintf(t->path, sizeof(t->path), "%s", l->sparse_name ? l->sparse_name : l->path ? l->path : t->long_path ? t->long_path : g->path);
	else
		snprintf(t->path, sizeof(t->path), "%.*s%s%.*s", prefix ? (int)sizeof(h->prefix) : 0, h->prefix, prefix ? "/" : "", (int)sizeof(h->name), h->name);
	if (l->link || t->long_link || g->link)
		snprintf(t->link, sizeof(t->link), "%s", l->link ? l->link : t->long_link ? t->long_link : g->link);
	else
		snprintf(t->link, sizeof(t->link), "%.*s", (int)sizeof(h->link), h->link);
	t->entry.path = t->path;
	t->entry.link = t->link;
}

static int set_owner(struct tar *t, const struct header *h)
{
	const struct pax *l = &t->local, *g = &t->global;
	uint64_t uid, gid;

	if (unsigned_number(h->uid, sizeof(h->uid), &uid) < 0 || unsigned_number(h->gid, sizeof(h->gid), &gid) < 0)
		return -EBADMSG;
	uid = l->has_uid ? l->uid : g->has_uid ? g->uid : uid;
	gid = l->has_gid ? l->gid : g->has_gid ? g->gid : gid;
	if (uid >= UINT32_MAX || gid >= UINT32_MAX) /* (uid_t)-1 would leave the owner as it is */
		return -EBADMSG;
	t->entry.uid = (uid_t)uid;
	t->entry.gid = (gid_t)gid;
	return 0;
}

static int set_mode_and_time(struct tar *t, const struct header *h)
{
	int64_t mode, mtime;

	if (number(h->mode, sizeof(h->mode), &mode) < 0 || number(h->mtime, sizeof(h->mtime), &mtime) < 0)
		return -EBADMSG;
	t->entry.mode = (mode_t)mode & 07777;
	t->entry.mtime = (struct timespec){mtime, 0};
	if (t->local.has_mtime || t->global.has_mtime)
		t->entry.mtime = t->local.has_mtime ? t->local.mtime : t->global.mtime;
	return 0;
}

static int set_device(struct tar *t, const struct header *h)
{
	uint64_t major = 0, minor = 0;

	if (t->entry.type == '3' || t->entry.type == '4')
		if (unsigned_number(h->major, sizeof(h->major), &major) < 0 || unsigned_number(h->minor, sizeof(h->minor), &minor) < 0)
			return -EBADMSG;
	if (major > UINT32_MAX || minor > UINT32_MAX)
		return -EBADMSG;
	t->entry.major = (uint32_t)major;
	t->entry.minor = (uint32_t)minor;
	return 0;
}

static int set_type(struct tar *t, const struct header *h)
{
	size_t n = strlen(t->path);

	switch (h->type) {
	case '\0':
	case '0':
	case '7':
	case 'S':
		t->entry.type = n > 0 && t->path[n - 1] == '/' && h->type != 'S' ? '5' : '0'; /* v7 had no type for folders */
		return 0;
	case '1' ... '6':
		t->entry.type = h->type;
		return 0;
	default:
		return -EBADMSG;
	}
}

/* Only files have content; in the others' size field there may be anything. */
static int set_size(struct tar *t, uint64_t size)
{
	if (t->local.has_size || t->global.has_size)
		size = t->local.has_size ? t->local.size : t->global.size;
	if (t->entry.type != '0')
		size = 0;
	if (size > INT64_MAX)
		return -EBADMSG;
	t->entry.size = t->left = size;
	t->padding = -size % BLOCK;
	return 0;
}

static int make_entry(struct tar *t, const struct header *h, uint64_t size)
{
	int r;

	t->entry = (struct tar_entry){.xattrs = t->local.xattrs, .n_xattrs = t->local.n_xattrs};
	set_names(t, h);
	if ((r = set_type(t, h)) < 0 || (r = set_owner(t, h)) < 0 || (r = set_mode_and_time(t, h)) < 0 || (r = set_device(t, h)) < 0 ||
		(r = set_size(t, size)) < 0)
		return r;
	return t->entry.type == '0' ? read_sparse(t, h) : 0;
}

static int skip_content(struct tar *t, struct err *e)
{
	uint64_t n = t->left + t->padding;
	int r = 1;

	if (n > t->n && t->skip) {
		uint64_t beyond = n - t->n;
		take(t, t->n);
		t->position += beyond;
		r = t->skip(t->data, beyond);
		r = r < 0 ? r : 1;
	} else if (n > 0) {
		r = read_bytes(t, NULL, n);
	}
	t->left = t->padding = 0;
	return r <= 0 ? read_error(t, r, e) : 0;
}

static bool is_zero(const char *block)
{
	return block[0] == '\0' && memcmp(block, block + 1, BLOCK - 1) == 0;
}

/* 1: a header is in *h; 0: the end, which is two blocks of zeros, or where the bytes end after one or none (Go's archive/tar, GNU tar). */
static int read_header(struct tar *t, struct header *h, struct err *e)
{
	int r = read_bytes(t, (char *)h, BLOCK);

	if (r > 0 && is_zero((char *)h)) {
		r = read_bytes(t, (char *)h, BLOCK);
		if (r > 0 && !is_zero((char *)h))
			return damaged(t, e, "a block of zeros where a header should be");
		r = r > 0 ? 0 : r;
	}
	if (r <= 0)
		return r == 0 ? 0 : read_error(t, r, e);
	if (!sum_is_right(h))
		return damaged(t, e, "a header's checksum is wrong (or this is no tar archive)");
	return 1;
}

/* Forget what was said about the former entry. */
static void forget(struct tar *t)
{
	pax_clear(&t->local);
	free(t->long_path);
	free(t->long_link);
	t->long_path = t->long_link = NULL;
}

int tar_next(struct tar *t, const struct tar_entry **ret, struct err *e)
{
	struct header h = {0};
	uint64_t size = 0, extra = 0;
	int r = skip_content(t, e);

	if (r < 0 || t->ended)
		return r;
	forget(t);
	do {
		r = read_header(t, &h, e);
		if (r <= 0) {
			t->ended = true;
			return r;
		}
		if (unsigned_number(h.size, sizeof(h.size), &size) < 0)
			return damaged(t, e, "a size is no number");
		extra += BLOCK + (strchr("xXgLKV", h.type) && h.type ? size : 0);
		r = extra > TAR_HEADERS_MAX ? -EBADMSG : read_meta(t, &h, size);
	} while (r > 0);
	if (r == 0)
		r = make_entry(t, &h, size);
	if (r == -EBADMSG)
		return damaged(t, e, "a header makes no sense");
	if (r < 0)
		return r == -ENODATA ? read_error(t, r, e) : r;
	*ret = &t->entry;
	return 1;
}

ssize_t tar_data(struct tar *t, const void **piece, struct err *e)
{
	if (t->left == 0)
		return 0;
	int r = fill(t);
	if (r <= 0)
		return read_error(t, r, e);
	size_t n = t->left < t->n ? (size_t)t->left : t->n;
	*piece = t->piece;
	take(t, n);
	t->left -= n;
	return (ssize_t)n;
}
