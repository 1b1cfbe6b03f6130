/* store.c: opening a store, and transactions. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include "base/file.h"
#include "base/sys.h"
#include "vecstore/private.h"


#define NEW_FILE VS_DATA_FILE ".new"

uint64_t wall_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int read_head(struct vs_txn *t, struct err *e)
{
	struct slice v;
	int r = kv_get(t, T_SYS, "S", 1, &v);

	if (r < 0)
		return err_set(e, r == -ENOENT ? -EBADMSG : r, "store %s: its head is %s; rastvec repair makes a new store of what is left", t->s->dir, r == -ENOENT ? "missing" : "damaged");
	if (v.n < 4)
		return err_set(e, -EBADMSG, "store %s: its head is too short", t->s->dir);
	memcpy(&t->head, v.p, MIN(v.n, sizeof(t->head)));
	if (t->head.format != VS_FORMAT)
		return err_set(e, -EPROTONOSUPPORT, "store %s has format %u, this program knows %u: use the rastOS that wrote it", t->s->dir, t->head.format, VS_FORMAT);
	if (v.n != sizeof(t->head) || t->head.purged > t->head.version)
		return err_set(e, -EBADMSG, "store %s: its head is damaged", t->s->dir);
	return 0;
}

static int put_head(struct vs_txn *t)
{
	struct slice part = { (const uint8_t *)&t->head, sizeof(t->head) };
	return kv_put(t, T_SYS, "S", 1, &part, 1, false);
}

/* LMDB believes its file, and a mapped page behind the end of a file is SIGBUS: look before it does. */
static int sane_file(struct vs *s, struct err *e)
{
	struct pages p;
	int r = pages_open(s->dirfd, VS_DATA_FILE, false, &p, e);

	if (r < 0) {
		err_prefix(e, "store %s", s->dir);
		return r;
	}
	/* LMDB believes both of them. */
	if (p.metas < 2 || p.mapsize != MAP_SIZE)
		r = err_set(e, -EBADMSG, "store %s: one of the two first pages of %s is damaged; rastvec repair", s->dir, VS_DATA_FILE);
	else if (p.last >= p.n)
		r = err_set(e, -EBADMSG, "store %s: %s has been cut: it has %llu pages and speaks of %llu; restore a backup, or rastvec repair", s->dir, VS_DATA_FILE,
			    (unsigned long long)p.n, (unsigned long long)p.last + 1);
	pages_close(&p);
	return r;
}

static int open_tables(struct vs *s, bool create, struct err *e)
{
	MDB_txn *txn;
	int r = mdb_txn_begin(s->env, NULL, create ? 0 : MDB_RDONLY, &txn);

	if (r)
		return err_sys(e, mdb_error(r), "store %s: begin", s->dir);
	for (unsigned i = 0; i < TABLES && r == 0; i++)
		r = mdb_dbi_open(txn, table_names[i], create ? MDB_CREATE : 0, &s->dbi[i]);
	if (r) {
		mdb_txn_abort(txn);
		return err_sys(e, r == MDB_NOTFOUND ? -EBADMSG : mdb_error(r), "store %s: open its tables", s->dir);
	}
	if (create) {
		struct vs_txn t = { .s = s, .mdb = txn, .write = true, .head = { .format = VS_FORMAT, .next_coll = 1, .next_row = 1 } };
		if (getrandom(t.head.uuid, sizeof(t.head.uuid), 0) != (ssize_t)sizeof(t.head.uuid) || put_head(&t) < 0) {
			mdb_txn_abort(txn);
			return err_set(e, -EIO, "store %s: its head can't be written", s->dir);
		}
	}
	r = mdb_txn_commit(txn);
	return r ? err_sys(e, mdb_error(r), "store %s: commit", s->dir) : 0;
}

static int open_env(struct vs *s, const char *path, unsigned flags, struct err *e)
{
	int r = mdb_env_create(&s->env);

	if (r == 0)
		r = mdb_env_set_maxdbs(s->env, TABLES);
	if (r == 0 && !(s->flags & VS_RDONLY))
		r = mdb_env_set_mapsize(s->env, MAP_SIZE);
	if (r == 0)
		r = mdb_env_open(s->env, path, flags | MDB_NOTLS | (s->flags & VS_RDONLY ? MDB_RDONLY : 0), 0600);
	return r ? err_sys(e, mdb_error(r), "open store %s", s->dir) : 0;
}

static void close_env(struct vs *s)
{
	if (s->env)
		mdb_env_close(s->env);
	s->env = NULL;
}

/* A new store is made under another name, so that one that has its name is whole. LMDB syncs the file; its name, and the folder's, are for us to sync. */
static int create(struct vs *s, struct err *e)
{
	_cleanup_close_ int parent = sys_openat(s->dirfd, "..", O_RDONLY | O_DIRECTORY, 0);
	_cleanup_free_ char *path = NULL;
	int r;

	if (asprintf(&path, "%s/%s", s->dir, NEW_FILE) < 0)
		return err_set(e, -ENOMEM, "store %s: out of memory", s->dir);
	(void)unlinkat(s->dirfd, NEW_FILE, 0);
	(void)unlinkat(s->dirfd, NEW_FILE "-lock", 0);
	r = open_env(s, path, MDB_NOSUBDIR, e);
	if (r == 0)
		r = open_tables(s, true, e);
	close_env(s);
	(void)unlinkat(s->dirfd, NEW_FILE "-lock", 0);
	if (r < 0)
		return r;
	r = sys_renameat(s->dirfd, NEW_FILE, s->dirfd, VS_DATA_FILE);
	if (r == 0)
		r = sys_fsync(s->dirfd);
	if (r == 0 && parent >= 0)
		r = sys_fsync(parent);
	return r < 0 ? err_sys(e, r, "store %s: give it its name", s->dir) : 0;
}

static int open_existing(struct vs *s, struct err *e)
{
	int r = sane_file(s, e);

	if (r == 0)
		r = open_env(s, s->dir, 0, e);
	return r == 0 ? open_tables(s, false, e) : r;
}

static int open_or_create(struct vs *s, struct err *e)
{
	int r = 0;

	/* Two that create at once: the second one waits here and then finds a store. */
	if (flock(s->dirfd, LOCK_EX) < 0)
		return err_sys(e, -errno, "lock store %s", s->dir);
	if (faccessat(s->dirfd, VS_DATA_FILE, F_OK, 0) < 0)
		r = create(s, e);
	(void)flock(s->dirfd, LOCK_UN);
	return r == 0 ? open_existing(s, e) : r;
}

static int open_dir(struct vs *s, struct err *e)
{
	if (s->flags & VS_CREATE && mkdir(s->dir, 0700) < 0 && errno != EEXIST)
		return err_sys(e, -errno, "make folder %s", s->dir);
	s->dirfd = sys_openat(AT_FDCWD, s->dir, O_RDONLY | O_DIRECTORY, 0);
	return s->dirfd < 0 ? err_sys(e, s->dirfd, "open store %s", s->dir) : 0;
}

static int open_store(struct vs *s, struct err *e)
{
	int r = open_dir(s, e);

	if (r < 0)
		return r;
	if (s->flags & VS_NOLOCK) {
		s->pages = calloc(1, sizeof(*s->pages));
		if (!s->pages)
			return err_set(e, -ENOMEM, "store %s: out of memory", s->dir);
		r = pages_open(s->dirfd, VS_DATA_FILE, false, s->pages, e);
		if (r < 0)
			err_prefix(e, "store %s", s->dir);
		return r;
	}
	if (s->flags & VS_CREATE)
		return open_or_create(s, e);
	if (faccessat(s->dirfd, VS_DATA_FILE, F_OK, 0) < 0)
		return err_set(e, -ENOENT, "%s is no store: it has no %s", s->dir, VS_DATA_FILE);
	return open_existing(s, e);
}

int vs_open(struct vs **ret, const char *dir, unsigned flags, struct err *e)
{
	struct vs *s = calloc(1, sizeof(*s));
	int r;

	*ret = NULL;
	if (!s)
		return err_set(e, -ENOMEM, "open store %s: out of memory", dir);
	s->dirfd = -1;
	s->flags = flags & VS_NOLOCK ? flags | VS_RDONLY : flags;
	if (s->flags & VS_RDONLY)
		s->flags &= ~(unsigned)VS_CREATE;
	s->dir = strdup(dir);
	r = s->dir ? open_store(s, e) : err_set(e, -ENOMEM, "open store %s: out of memory", dir);
	if (r < 0)
		vs_close(s);
	else
		*ret = s;
	return r;
}

void vs_close(struct vs *s)
{
	if (!s)
		return;
	vs_abort(&s->txn);
	index_cache_free(s);
	scratch_free(s->scratch);
	close_env(s);
	if (s->pages)
		pages_close(s->pages);
	free(s->pages);
	closep(&s->dirfd);
	free(s->dir);
	free(s);
}

void vs_closep(struct vs **s)
{
	vs_close(*s);
}

int vs_begin(struct vs *s, int mode, struct vs_txn **ret, struct err *e)
{
	struct vs_txn *t;
	int r = 0;

	*ret = NULL;
	if (s->txn)
		return err_set(e, -EBUSY, "store %s: this handle has a transaction already", s->dir);
	if (mode == VS_WRITE && s->flags & VS_RDONLY)
		return err_set(e, -EROFS, "store %s was opened read-only", s->dir);
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(e, -ENOMEM, "store %s: out of memory", s->dir);
	t->s = s;
	t->write = mode == VS_WRITE;
	if (s->env) {
		r = mdb_txn_begin(s->env, NULL, t->write ? 0 : MDB_RDONLY, &t->mdb);
		if (r)
			r = err_sys(e, mdb_error(r), "store %s: begin a transaction", s->dir);
	}
	if (r == 0)
		r = read_head(t, e);
	if (r < 0) {
		if (t->mdb)
			mdb_txn_abort(t->mdb);
		free(t);
		return r;
	}
	t->version = t->head.version + (t->write ? 1 : 0);
	t->time_us = t->write ? wall_us() : 0;
	s->txn = *ret = t;
	return 0;
}

uint64_t vs_version(const struct vs_txn *t) { return t->version; }

int vs_as_of(struct vs_txn *t, uint64_t version, struct err *e)
{
	if (t->write)
		return err_set(e, -EINVAL, "only a read transaction looks at an older version");
	if (version > t->head.version)
		return err_set(e, -ERANGE, "version %llu has not been written: the newest is %llu", (unsigned long long)version, (unsigned long long)t->head.version);
	if (version < t->head.purged)
		return err_set(e, -ESTALE, "version %llu has been purged: the oldest that is kept is %llu", (unsigned long long)version, (unsigned long long)t->head.purged);
	t->version = version;
	t->as_of = version != t->head.version;
	return 0;
}

void vs_abort(struct vs_txn **pt)
{
	struct vs_txn *t = *pt;

	*pt = NULL;
	if (!t)
		return;
	if (t->mdb)
		mdb_txn_abort(t->mdb);
	t->s->txn = NULL;
	free(t->coll);
	buf_free(&t->log);
	free(t);
}

int txn_writable(struct vs_txn *t, struct err *e)
{
	if (!t->write)
		return err_set(e, -EROFS, "store %s: this transaction only reads", t->s->dir);
	return t->broken ? err_set(e, t->broken, "store %s: this transaction has failed before", t->s->dir) : 0;
}

static int flush_colls(struct vs_txn *t)
{
	for (size_t i = 0; i < t->n_coll; i++) {
		struct coll_state *c = &t->coll[i];
		char key[VS_NAME_MAX + 2];
		struct slice part = { (const uint8_t *)&c->d, sizeof(c->d) };
		int r;

		if (!c->dirty)
			continue;
		snprintf(key, sizeof(key), "C%s", c->name);
		r = kv_put(t, T_SYS, key, strlen(key), &part, 1, false);
		if (r < 0)
			return r;
	}
	return 0;
}

int vs_commit(struct vs_txn **pt, uint64_t *version, struct err *e)
{
	struct vs_txn *t = *pt;
	const char *dir = t->s->dir;
	int r = t->broken;

	if (t->write && t->changed && r == 0) {
		t->head.version++;
		r = log_flush(t);
		if (r == 0)
			r = flush_colls(t);
		if (r == 0)
			r = put_head(t);
		if (r == 0) {
			r = mdb_error(mdb_txn_commit(t->mdb));
			t->mdb = NULL; /* freed by LMDB in any case */
		}
	}
	if (r == 0 && version)
		*version = t->head.version;
	vs_abort(pt);
	return r < 0 ? err_sys(e, r, "store %s: commit", dir) : 0;
}
