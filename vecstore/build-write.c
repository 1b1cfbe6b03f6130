/* build-write.c: an index becomes a file, and when it pays to build one. */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/file.h>
#include "base/file.h"
#include "base/sys.h"
#include "vecstore/build.h"

#define GRAPH_FROM 50000u
#define INDEX_FROM 1000u /* rows: below that a scan of the true vectors is as quick */
#define MANY_DEAD 4u     /* an index with a quarter of its rows dead is built from nothing */

static size_t section_of(const struct build *b, enum section s, const void **data)
{
	size_t n = b->n;

	switch (s) {
	case S_ROWS: *data = b->row; return 8 * n;
	case S_SCALE: *data = b->scale; return 4 * n;
	case S_BIAS: *data = b->bias; return b->bias ? 4 * n : 0;
	case S_CODES: *data = b->codes; return n * b->stride;
	case S_FACT_AT: *data = b->fact_at; return 8 * (n + 1);
	case S_FACTS: *data = b->facts.data; return b->facts.len;
	default: break;
	}
	*data = s == S_LEVEL ? (void *)b->level : s == S_LINKS ? (void *)b->links : s == S_UPPER_AT ? (void *)b->upper_at : (void *)b->upper;
	if (!b->with_graph)
		return 0;
	return s == S_LEVEL ? n : s == S_LINKS ? n * 8 * b->m : s == S_UPPER_AT ? 4 * n : 4ul * b->upper_lists * b->m;
}

static void head_of(const struct build *b, struct index_head *h)
{
	uint64_t at = INDEX_HEAD;

	*h = (struct index_head){ .magic = INDEX_MAGIC, .format = INDEX_FORMAT, .coll = b->c->d.number, .dim = b->dim, .stride = b->stride, .metric = b->c->d.metric, .version = b->t->head.version,
				  .chain = b->t->head.chain, .txnid = mdb_txn_id(b->t->mdb), .n = b->n, .graph = b->with_graph };
	memcpy(h->uuid, b->t->head.uuid, sizeof(h->uuid));
	if (b->with_graph) {
		h->m = b->m;
		h->ef = b->ef;
		h->entry = b->entry;
		h->top = b->top;
		h->upper_lists = b->upper_lists;
	}
	for (unsigned s = 0; s < SECTIONS; s++) {
		const void *data;
		h->section[s].at = at;
		h->section[s].len = section_of(b, s, &data);
		h->section[s].crc = crc32c(0, data, h->section[s].len);
		at = (at + h->section[s].len + 63) / 64 * 64;
	}
}

static int write_sections(const struct build *b, int fd)
{
	static const uint8_t zero[64];
	union { struct index_head h; uint8_t page[INDEX_HEAD]; } head;
	int r;

	memset(&head, 0, sizeof(head));
	head_of(b, &head.h);
	head.h.crc = crc32c(0, &head, sizeof(head));
	r = write_all(fd, &head, sizeof(head));
	for (unsigned s = 0; s < SECTIONS && r == 0; s++) {
		const void *data;
		size_t n = section_of(b, s, &data);
		r = n ? write_all(fd, data, n) : 0;
		if (r == 0 && n % 64)
			r = write_all(fd, zero, 64 - n % 64);
	}
	return r;
}

/* The temporary file is also the lock: whoever builds the same index meanwhile is told so. */
static int open_tmp(int dirfd, const char *tmp, struct err *e)
{
	_cleanup_close_ int fd = sys_openat(dirfd, tmp, O_RDWR | O_CREAT, 0600);
	struct stat a, b;

	if (fd < 0)
		return err_sys(e, fd, "make %s", tmp);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &a) < 0 || fstatat(dirfd, tmp, &b, 0) < 0 || a.st_ino != b.st_ino)
		return err_set(e, -EBUSY, "%s is being written by another process", tmp);
	if (sys_ftruncate(fd, 0) < 0)
		return err_set(e, -EIO, "%s can't be emptied", tmp);
	return take_fd(&fd);
}

int build_write(const struct build *b, int dirfd, const char *file, struct err *e)
{
	char tmp[VS_NAME_MAX + 16];
	_cleanup_close_ int fd = -1;
	int r;

	snprintf(tmp, sizeof(tmp), "%s.tmp", file);
	fd = open_tmp(dirfd, tmp, e);
	if (fd < 0)
		return fd;
	r = write_sections(b, fd);
	if (r == 0)
		r = sys_fsync(fd);
	if (r == 0)
		r = sys_renameat(dirfd, tmp, dirfd, file);
	if (r < 0) {
		(void)unlinkat(dirfd, tmp, 0);
		return err_sys(e, r, "write %s", file);
	}
	r = sys_fsync(dirfd);
	return r < 0 ? err_sys(e, r, "sync the folder of %s", file) : 0;
}

/* --- building --- */

static unsigned cpus(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static int fill(struct build *b, struct index *x, bool rebuild)
{
	uint64_t from = 0;
	int r = build_rooms(b, (uint32_t)MIN(b->c->d.rows, INDEX_ROWS_MAX));

	if (r == 0 && x && !rebuild && x->n_dead <= x->h.n / MANY_DEAD && (!b->with_graph || (x->h.graph && x->h.m == b->m))) {
		r = build_from_index(b, x);
		from = ((const uint64_t *)index_section(x, S_ROWS))[x->h.n - 1] + 1;
	}
	if (r == 0)
		r = build_from_rows(b, from);
	if (r == 0 && b->with_graph)
		r = build_graph(b);
	return r;
}

static int build_in(struct vs_txn *t, const char *coll, const struct vs_build *how, struct err *e)
{
	struct build b = { .t = t, .e = e, .m = how->m ? how->m : 16, .ef = how->ef ? how->ef : 200, .threads = how->threads ? MIN(how->threads, 64) : cpus() };
	struct coll_state *c;
	char file[VS_NAME_MAX + 8];
	int r = txn_coll(t, coll, &c, e);

	if (r < 0)
		return r;
	if (b.m < 2 || b.m > 128 || b.ef < 8 || b.ef > 10000)
		return err_set(e, -EINVAL, "index: m is 2 to 128, ef 8 to 10000");
	if (c->d.dim == 0 || c->d.rows == 0)
		return err_set(e, -EINVAL, "collection '%s' has %s to build an index of", coll, c->d.dim ? "no rows" : "no vectors");
	b.c = c;
	b.dim = c->d.dim;
	b.stride = (c->d.dim + 63) / 64 * 64;
	b.with_graph = c->d.rows >= (how->graph_from ? how->graph_from : GRAPH_FROM);
	snprintf(file, sizeof(file), "%s.idx", coll);
	r = fill(&b, index_for(t, c), how->rebuild);
	if (r == 0)
		r = build_write(&b, t->s->dirfd, file, e);
	build_free(&b);
	if (r < 0 && e) {
		if (!e->code)
			err_sys(e, r, "%u rows", b.n);
		err_prefix(e, "store %s: build the index of '%s'", t->s->dir, coll);
	}
	return r;
}

int vs_index_build(struct vs *s, const char *coll, const struct vs_build *how, struct err *e)
{
	static const struct vs_build usual;
	struct vs_txn *t;
	int r;

	if (s->flags & VS_RDONLY)
		return err_set(e, -EROFS, "store %s was opened read-only", s->dir);
	r = vs_begin(s, VS_READ, &t, e);
	if (r < 0)
		return r;
	r = build_in(t, coll, how ? how : &usual, e);
	vs_abort(&t);
	return r;
}

/* --- maintenance --- */

struct due { struct vs_txn *t; uint32_t graph_from; char (*name)[VS_NAME_MAX + 1]; size_t n; };

static bool pays(const struct due *d, struct index *x, const struct vs_coll *c)
{
	uint64_t alive, lacking;

	if (c->dim == 0 || c->rows < INDEX_FROM)
		return false;
	if (!x || (!x->h.graph && c->rows >= d->graph_from))
		return true;
	alive = x->h.n - x->n_dead;
	lacking = (c->rows > alive ? c->rows - alive : 0) + x->n_dead;
	return lacking > MAX(INDEX_FROM, x->h.n / 20);
}

static int is_due(const struct vs_coll *c, void *data)
{
	struct due *d = data;
	struct coll_state *state;
	int r = txn_coll(d->t, c->name, &state, NULL);

	if (r < 0 || !pays(d, index_for(d->t, state), c))
		return r;
	void *grown = realloc(d->name, (d->n + 1) * sizeof(*d->name));
	if (!grown)
		return -ENOMEM;
	d->name = grown;
	memcpy(d->name[d->n++], c->name, sizeof(c->name));
	return 0;
}

/* Files of collections that are no more, and what a build that was cut short left. */
static void sweep(struct vs *s, struct vs_txn *t)
{
	_cleanup_closedir_ DIR *d = NULL;

	if (dir_open(s->dirfd, ".", &d) < 0)
		return;
	for (struct dirent *de; (de = readdir(d));) {
		char name[VS_NAME_MAX + 1] = "";
		size_t n = strlen(de->d_name);
		struct coll_state *c;

		if (str_ends(de->d_name, ".idx") && n - 4 <= VS_NAME_MAX) {
			memcpy(name, de->d_name, n - 4);
			if (txn_coll(t, name, &c, NULL) == -ENOENT)
				(void)sys_unlinkat(s->dirfd, de->d_name, 0);
		} else if (str_ends(de->d_name, ".idx.tmp")) {
			_cleanup_close_ int tmp = open_tmp(s->dirfd, de->d_name, NULL);
			if (tmp >= 0)
				(void)sys_unlinkat(s->dirfd, de->d_name, 0);
		}
	}
}

int vs_maintain(struct vs *s, const struct vs_build *how, unsigned *built, struct err *e)
{
	struct due d = { .graph_from = how && how->graph_from ? how->graph_from : GRAPH_FROM };
	int r = s->flags & VS_RDONLY ? err_set(e, -EROFS, "store %s was opened read-only", s->dir) : vs_begin(s, VS_READ, &d.t, e);

	if (r < 0)
		return r;
	r = vs_coll_each(d.t, is_due, &d, e);
	sweep(s, d.t);
	vs_abort(&d.t);
	for (size_t i = 0; i < d.n && r == 0; i++)
		r = vs_index_build(s, d.name[i], how, e);
	if (built)
		*built = r == 0 ? (unsigned)d.n : 0;
	free(d.name);
	return r;
}
