/* Tar archives and compressed data: any bytes give entries that keep their promises, or an error. */
#include "runtime/image/tar.h"

#include <errno.h>
#include <string.h>
#include "base/mem.h"
#include "runtime/image/inflate.h"
#include "tests/fuzz/fuzz.h"

struct input {
	const uint8_t *data;
	size_t n, step;
	struct inflater *z;
	size_t given;
	unsigned char out[4096];
};

static ssize_t next_plain(void *data, const void **piece)
{
	struct input *in = data;
	size_t n = MIN(in->step, in->n);

	*piece = in->data;
	in->data += n;
	in->n -= n;
	return (ssize_t)n;
}

static ssize_t next_inflated(void *data, const void **piece)
{
	struct input *in = data;
	const unsigned char *p = in->data;
	size_t left = in->n;

	if (in->given > 1u << 20) /* enough of a bomb */
		return -EFBIG;
	long n = inflater_run(in->z, &p, &left, in->out, sizeof(in->out));
	MUST(left <= in->n && (n < 0 || (size_t)n <= sizeof(in->out)));
	MUST(n < 0 || (size_t)n == sizeof(in->out) || left == 0);
	in->data = p;
	in->n = left;
	in->given += n > 0 ? (size_t)n : 0;
	*piece = in->out;
	return n;
}

static void check_entry(const struct tar_entry *t)
{
	uint64_t end = 0;

	MUST(strlen(t->path) <= TAR_NAME_MAX && strlen(t->link) <= TAR_NAME_MAX);
	MUST(t->type >= '0' && t->type <= '6' && (t->mode & ~07777u) == 0 && t->mtime.tv_nsec >= 0 && t->mtime.tv_nsec < 1000000000);
	MUST(t->size <= INT64_MAX && (t->type == '0' || t->size == 0) && t->uid != (uid_t)-1 && t->gid != (gid_t)-1);
	for (size_t i = 0; i < t->n_pieces && t->pieces; i++) {
		MUST(t->pieces[i].offset >= end && t->pieces[i].offset + t->pieces[i].n <= t->size);
		end = t->pieces[i].offset + t->pieces[i].n;
	}
	for (size_t i = 0; i < t->n_xattrs; i++)
		MUST(*t->xattrs[i].name && strlen(t->xattrs[i].name) < 256 && t->xattrs[i].value);
}

static void read_archive(tar_source source, struct input *in)
{
	_cleanup_tar_ struct tar *tar = NULL;
	const struct tar_entry *t;
	uint64_t before = 0;
	int r;

	MUST(tar_new(source, in, &tar) == 0);
	for (;;) {
		_cleanup_err_ struct err e = {0};
		r = tar_next(tar, &t, &e);
		MUST(r != -EBADMSG || e.code == -EBADMSG || in->z); /* a source that fails says nothing here */
		if (r <= 0)
			return;
		MUST(tar_position(tar) > before);
		before = tar_position(tar);
		check_entry(t);
		uint64_t want = t->pieces ? 0 : t->size, got = 0;
		for (size_t i = 0; t->pieces && i < t->n_pieces; i++)
			want += t->pieces[i].n;
		const void *piece;
		ssize_t n = 0;
		if (before % 3) /* or it is skipped */
			while ((n = tar_data(tar, &piece, &e)) > 0)
				got += (size_t)n;
		MUST(n < 0 || before % 3 == 0 || got == want);
		if (n < 0)
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {.data = data, .n = size, .step = size % 7 ? 512 : 1000};
	enum compression c = compression_of(data, size);

	read_archive(next_plain, &in);
	if (c == COMPRESSION_NONE)
		return 0;
	struct input z = {.data = data, .n = size};
	MUST(inflater_new(c, &z.z) == 0);
	read_archive(next_inflated, &z);
	inflater_free(z.z);
	return 0;
}
