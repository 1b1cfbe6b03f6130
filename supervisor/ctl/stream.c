#include "supervisor/ctl/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

static int open_segment(const char *dir, const char *name, unsigned number, struct segment *g)
{
	char path[4200];
	struct stat st;
	if (number)
		snprintf(path, sizeof path, "%s/%.63s.log.%u", dir, name, number);
	else
		snprintf(path, sizeof path, "%s/%.63s.log", dir, name);
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADF;
	*g = (struct segment){.fd = take_fd(&fd), .inode = st.st_ino};
	return 0;
}

struct opening {
	struct segment found[SEGMENTS_MAX]; /* newest first */
	unsigned n;
	unsigned long left;
};

/* One more, older than those before. A rotation meanwhile shows us the same file under its next name. */
static int add(struct opening *o, const char *dir, const char *name, unsigned number)
{
	struct segment g = {.fd = -1};
	struct stat st;
	int r = open_segment(dir, name, number, &g);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < o->n; i++)
		if (o->found[i].inode == g.inode) {
			close(g.fd);
			return 0;
		}
	if (o->left != ULONG_MAX && fstat(g.fd, &st) == 0)
		g.pos = log_tail_offset(g.fd, st.st_size, &o->left);
	o->found[o->n++] = g;
	return 0;
}

static int open_all(struct opening *o, const char *log_dir, const char *spare_dir, const char *name)
{
	int r = 0;
	for (unsigned i = 0; i < 2 && spare_dir && o->left; i++)
		if ((r = add(o, spare_dir, name, i)) < 0 && r != -ENOENT)
			return r;
	r = add(o, log_dir, name, 0); /* even when no line of it is wanted: it is what is followed */
	if (r < 0 && r != -ENOENT)
		return r;
	/* A gap of one is where a rotation is going on, or was interrupted. */
	for (unsigned i = 1, gaps = 0; i <= 99 && gaps < 2 && o->left; i++) {
		r = add(o, log_dir, name, i);
		if (r < 0 && r != -ENOENT)
			return r;
		gaps = r < 0 ? gaps + 1 : 0;
	}
	return o->n ? 0 : -ENOENT;
}

int stream_open(struct stream **ret, const char *log_dir, const char *spare_dir, const char *name, unsigned long lines)
{
	struct opening o = {.left = lines};
	int r = open_all(&o, log_dir, spare_dir, name);
	struct stream *s = r < 0 ? NULL : calloc(1, sizeof *s);
	if (!s) {
		for (unsigned i = 0; i < o.n; i++)
			close(o.found[i].fd);
		return r < 0 ? r : -ENOMEM;
	}
	snprintf(s->name, sizeof s->name, "%.63s", name);
	s->n = o.n;
	for (unsigned i = 0; i < o.n; i++)
		s->segment[o.n - 1 - i] = o.found[i];
	*ret = s;
	return 0;
}

void stream_free(struct stream *s)
{
	for (unsigned i = 0; s && i < s->n; i++)
		closep(&s->segment[i].fd);
	if (s)
		free(s->buf);
	free(s);
}

/* More bytes of the segment at hand. Returns how many came. */
static ssize_t fill(struct stream *s)
{
	struct segment *g = &s->segment[s->at];
	if (s->start) {
		memmove(s->buf, s->buf + s->start, s->end - s->start);
		s->end -= s->start;
		s->start = 0;
	}
	if (s->end == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 8192;
		char *b = cap > (64u << 20) ? NULL : realloc(s->buf, cap);
		if (!b)
			return -ENOMEM;
		s->buf = b;
		s->cap = cap;
	}
	ssize_t n = sys_pread(g->fd, s->buf + s->end, s->cap - s->end, g->pos);
	if (n > 0) {
		g->pos += n;
		s->end += (size_t)n;
	}
	return n;
}

static int give(struct stream *s, size_t len, size_t skip, const char **line, size_t *ret_len)
{
	struct log_line l;
	*line = s->buf + s->start;
	*ret_len = len;
	s->start += len + skip;
	if (log_line_parse(*line, len, &l))
		memcpy(s->key, *line, LOG_KEY_LEN);
	return 1;
}

int stream_next(struct stream *s, bool unfinished, const char **line, size_t *len)
{
	size_t searched = 0;
	while (s->at < s->n) {
		char *from = s->buf + s->start;
		char *nl = s->end > s->start + searched ? memchr(from + searched, '\n', s->end - s->start - searched) : NULL;
		if (nl)
			return give(s, (size_t)(nl - from), 1, line, len);
		searched = s->end - s->start;
		ssize_t n = fill(s);
		if (n < 0)
			return (int)n;
		if (n > 0)
			continue;
		bool last = s->at + 1 == s->n;
		if (searched && (!last || unfinished))
			return give(s, searched, 0, line, len);
		if (last)
			return 0;
		closep(&s->segment[s->at].fd);
		s->segment[s->at].fd = -1;
		s->at++;
	}
	return 0;
}

/* --- following --- */

static int append(struct stream *s, const struct segment *g)
{
	if (s->n == SEGMENTS_MAX) {
		unsigned done = s->at;
		memmove(s->segment, s->segment + done, (s->n - done) * sizeof *s->segment);
		s->n -= done;
		s->at = 0;
		if (s->n == SEGMENTS_MAX)
			return -ENOSPC;
	}
	s->segment[s->n++] = *g;
	return 0;
}

/* Files newer than the one we know, oldest first: the old one is NAME.log.K by now, K-1 ... 1 and NAME.log are new. */
static int append_newer(struct stream *s, const char *log_dir, uint64_t known)
{
	struct segment newer[SEGMENTS_MAX];
	unsigned n = 0;
	for (unsigned i = 0; i <= 99; i++) {
		struct segment g = {.fd = -1};
		int r = open_segment(log_dir, s->name, i, &g);
		if (r < 0 && i > 0)
			break;
		if (r < 0)
			continue;
		if (g.inode == known) {
			close(g.fd);
			break;
		}
		newer[n++] = g;
	}
	for (unsigned i = n; i-- > 0;) {
		int r = append(s, &newer[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int stream_refresh(struct stream *s, const char *log_dir)
{
	struct stat st;
	struct segment *g = s->n ? &s->segment[s->n - 1] : NULL;
	if (g && fstat(g->fd, &st) == 0 && st.st_size < g->pos) {
		/* Cut: to nothing by an administrator, or back to its last whole line by the logger. */
		g->pos = st.st_size ? st.st_size : 0;
		s->start = s->end = 0;
	}
	return append_newer(s, log_dir, g ? g->inode : 0);
}
