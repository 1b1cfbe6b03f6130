/* stream.c: see stream.h. A ring of buffers: the reader fills one ahead of the hasher and the caller, and stops when the slower of them is
 * a whole ring behind. */
#include "runtime/image/stream.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/image/inflate.h"

#define RING 8
#define OUT_SIZE (256u << 10) /* fits into a second-level cache with the hasher's and the writer's share */
#define IN_SIZE (128u << 10)

struct stream {
	int fd;
	uint64_t offset, end, max;
	struct digest want_blob, want_diff, blob, diff;
	struct hash *blob_hash, *diff_hash;
	struct inflater *inflater;
	unsigned char in[IN_SIZE];
	const unsigned char *in_at;
	size_t in_n;
	uint64_t bytes; /* that came out */

	pthread_t reader, hasher;
	bool threads;
	pthread_mutex_t lock;
	pthread_cond_t more;           /* any of what follows has changed */
	uint64_t filled, hashed, taken; /* buffers, since the beginning */
	bool ended, stop;              /* ended: no more will be filled; stop: the caller has lost interest */
	bool holding;                  /* the caller has buffer `taken` in hand */
	int error;
	struct err reason;
	size_t n[RING];
	unsigned char *buffer[RING];
};

/* --- reader --- */

static int refill(struct stream *s)
{
	size_t want = s->end - s->offset < IN_SIZE ? (size_t)(s->end - s->offset) : IN_SIZE;
	ssize_t n = want ? sys_pread(s->fd, s->in, want, (off_t)s->offset) : 0;

	if (n < 0)
		return err_sys(&s->reason, (int)n, "read the layer");
	if (n == 0 && want)
		return err_set(&s->reason, -EBADMSG, "the layer's file ends too early");
	s->offset += (uint64_t)n;
	s->in_at = s->in;
	s->in_n = (size_t)n;
	if (s->blob_hash && hash_add(s->blob_hash, s->in, (size_t)n) < 0)
		return err_set(&s->reason, -EIO, "the hash of the layer failed");
	return n > 0;
}

/* As much of the archive as fits. Returns bytes; 0: the end. */
static ssize_t fill_buffer(struct stream *s, unsigned char *out)
{
	size_t n = 0;

	while (n < OUT_SIZE) {
		if (s->in_n == 0) {
			int r = refill(s);
			if (r < 0)
				return r;
			if (r == 0 && (!s->inflater || inflater_at_end(s->inflater)))
				break;
			if (r == 0)
				return err_set(&s->reason, -EBADMSG, "the layer's compressed data end too early");
		}
		if (s->inflater) {
			long some = inflater_run(s->inflater, &s->in_at, &s->in_n, out + n, OUT_SIZE - n);
			if (some < 0)
				return err_set(&s->reason, (int)some, some == -ENOMEM ? "the layer's compression wants too much memory" : "the layer's compressed data are damaged");
			n += (size_t)some;
		} else {
			size_t some = MIN(s->in_n, OUT_SIZE - n);
			memcpy(out + n, s->in_at, some);
			s->in_at += some;
			s->in_n -= some;
			n += some;
		}
	}
	s->bytes += n;
	if (s->bytes > s->max)
		return err_set(&s->reason, -EFBIG, "the layer unpacks to more than %llu bytes; --max-size allows more", (unsigned long long)s->max);
	return (ssize_t)n;
}

/* Wait until buffer number `filled` is free. False: the caller wants no more. */
static bool wait_for_room(struct stream *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->stop && s->filled - MIN(s->hashed, s->taken) >= RING)
		pthread_cond_wait(&s->more, &s->lock);
	bool go = !s->stop;
	pthread_mutex_unlock(&s->lock);
	return go;
}

static void *read_all(void *data)
{
	struct stream *s = data;
	ssize_t n = 0;

	while (wait_for_room(s)) {
		n = fill_buffer(s, s->buffer[s->filled % RING]);
		if (n <= 0)
			break;
		pthread_mutex_lock(&s->lock);
		s->n[s->filled % RING] = (size_t)n;
		s->filled++;
		pthread_cond_broadcast(&s->more);
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_lock(&s->lock);
	s->ended = true;
	s->error = n < 0 ? (int)n : s->error;
	pthread_cond_broadcast(&s->more);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* --- hasher --- */

static void *hash_all(void *data)
{
	struct stream *s = data;

	for (;;) {
		pthread_mutex_lock(&s->lock);
		while (!s->stop && !s->ended && s->hashed == s->filled)
			pthread_cond_wait(&s->more, &s->lock);
		bool go = !s->stop && s->hashed < s->filled;
		pthread_mutex_unlock(&s->lock);
		if (!go)
			return NULL;
		int r = hash_add(s->diff_hash, s->buffer[s->hashed % RING], s->n[s->hashed % RING]);
		pthread_mutex_lock(&s->lock);
		s->hashed++;
		if (r < 0) /* the digest will not be right: that is what the caller is told */
			s->error = r;
		pthread_cond_broadcast(&s->more);
		pthread_mutex_unlock(&s->lock);
	}
}

/* --- the caller's side --- */

ssize_t stream_next(void *stream, const void **piece)
{
	struct stream *s = stream;
	ssize_t r;

	pthread_mutex_lock(&s->lock);
	if (s->holding) {
		s->holding = false;
		s->taken++;
		pthread_cond_broadcast(&s->more);
	}
	while (!s->ended && s->taken == s->filled)
		pthread_cond_wait(&s->more, &s->lock);
	if (s->taken < s->filled) {
		s->holding = true;
		*piece = s->buffer[s->taken % RING];
		r = (ssize_t)s->n[s->taken % RING];
	} else {
		r = s->error;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

static void join(struct stream *s)
{
	if (!s->threads)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop |= !s->ended || s->error;
	pthread_cond_broadcast(&s->more);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->reader, NULL);
	pthread_join(s->hasher, NULL);
	s->threads = false;
}

static int check(const struct digest *want, const struct digest *got, const char *what, struct err *e)
{
	if (!digest_is_set(want) || digest_equal(want, got))
		return 0;
	return err_set(e, -EBADMSG, "%s is %s, but the manifest or configuration says %s: the image is damaged or was tampered with", what, got->text, want->text);
}

int stream_finish(struct stream *s, struct digest *diff, uint64_t *bytes, struct err *e)
{
	const void *piece;
	ssize_t n;
	int r = 0;

	while ((n = stream_next(s, &piece)) > 0)
		;
	join(s);
	if (n < 0 || s->error)
		return err_set(e, n < 0 ? (int)n : s->error, "%s", s->reason.code ? err_text(&s->reason) : "the hash of the layer failed");
	r = hash_end(s->diff_hash, &s->diff);
	if (r == 0 && s->blob_hash)
		r = hash_end(s->blob_hash, &s->blob);
	if (r < 0)
		return err_set(e, r, "the hash of the layer failed");
	if (!s->inflater && !s->blob_hash)
		s->blob = s->diff;
	r = check(&s->want_blob, &s->blob, "the layer's digest", e);
	if (r == 0)
		r = check(&s->want_diff, &s->diff, "the layer's diff id", e);
	if (diff)
		*diff = s->diff;
	if (bytes)
		*bytes = s->bytes;
	return r;
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	join(s);
	for (int i = 0; i < RING; i++)
		free(s->buffer[i]);
	hash_free(s->blob_hash);
	hash_free(s->diff_hash);
	inflater_free(s->inflater);
	err_clear(&s->reason);
	pthread_cond_destroy(&s->more);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void stream_closep(struct stream **s)
{
	stream_close(*s);
}

/* --- setting up --- */

static bool same_algorithm(const struct digest *a, const struct digest *b)
{
	return strncmp(a->text, b->text, 7) == 0;
}

/* The first bytes say how it is compressed, and so which hashes are needed. */
static int set_up(struct stream *s, const struct stream_input *in, struct err *e)
{
	static const struct digest sha256 = {"sha256:"};
	unsigned char magic[4] = {0};
	ssize_t n = sys_pread(s->fd, magic, MIN(in->size, sizeof(magic)), (off_t)in->offset);

	if (n < 0)
		return err_sys(e, (int)n, "read the layer");
	enum compression c = compression_of(magic, (size_t)n);
	int r = c == COMPRESSION_NONE ? 0 : inflater_new(c, &s->inflater);
	if (in->blob)
		s->want_blob = *in->blob;
	s->diff = sha256;
	if (in->diff && digest_is_set(in->diff))
		s->want_diff = s->diff = *in->diff;
	if (r == 0)
		r = hash_new(&s->diff, &s->diff_hash);
	if (r == 0 && digest_is_set(&s->want_blob) && (s->inflater || !same_algorithm(&s->want_blob, &s->diff)))
		r = hash_new(&s->want_blob, &s->blob_hash);
	for (int i = 0; i < RING && r == 0; i++) {
		s->buffer[i] = malloc(OUT_SIZE);
		r = s->buffer[i] ? 0 : -ENOMEM;
	}
	return r < 0 ? err_set(e, r, "out of memory") : 0;
}

/* Signals are the main thread's. */
static int start(struct stream *s, struct err *e)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = pthread_create(&s->reader, NULL, read_all, s);
	if (r == 0) {
		r = pthread_create(&s->hasher, NULL, hash_all, s);
		if (r != 0) {
			pthread_mutex_lock(&s->lock);
			s->stop = true;
			pthread_cond_broadcast(&s->more);
			pthread_mutex_unlock(&s->lock);
			pthread_join(s->reader, NULL);
		}
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	s->threads = r == 0;
	return r ? err_sys(e, -r, "start a thread") : 0;
}

int stream_open(const struct stream_input *in, struct stream **ret, struct err *e)
{
	_cleanup_stream_ struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->more, NULL);
	s->fd = in->fd;
	s->offset = in->offset;
	s->end = in->offset + in->size;
	s->max = in->max;
	int r = set_up(s, in, e);
	if (r == 0)
		r = start(s, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}
