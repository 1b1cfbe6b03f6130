/* keep.c: the verbs that check a store and carry it elsewhere. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "base/sys.h"
#include "vecstore/tool/tool.h"

static void say(const char *text, void *data)
{
	(void)data;
	if (set.json)
		(void)print_json(json_pack("{s:s}", "problem", text));
	else
		puts(text);
}

VERB(check)
{
	_cleanup_err_ struct err e = { 0 };
	struct vs_checked c;

	(void)argc, (void)argv, (void)data;
	if (vs_check(set.store, &c, say, NULL, &e) < 0)
		return fail_err(&e);
	if (set.json)
		(void)print_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:i, s:I}", "pages", (json_int_t)c.pages, "entries", (json_int_t)c.cells, "bytes", (json_int_t)c.bytes, "version",
					   (json_int_t)c.version, "problems", (json_int_t)c.problems, "indexes", (int)c.indexes, "index_problems", (json_int_t)c.index_problems));
	else
		printf("%llu pages, %llu entries, %u indexes: %llu problems\n", (unsigned long long)c.pages, (unsigned long long)c.cells, c.indexes, (unsigned long long)c.problems + c.index_problems);
	return c.problems || c.index_problems ? ST_FAILED : ST_OK;
}

VERB(repair)
{
	_cleanup_err_ struct err e = { 0 };
	struct vs_repaired r;

	(void)argc, (void)argv, (void)data;
	if (vs_repair(set.store, &r, say, NULL, &e) < 0)
		return fail_err(&e);
	if (set.json)
		return print_json(json_pack("{s:I, s:I, s:I, s:I}", "kept", (json_int_t)r.kept, "found", (json_int_t)r.found, "dropped", (json_int_t)r.lost, "version", (json_int_t)r.version));
	printf("%llu entries kept (%llu of them found outside of any table), %llu dropped that no longer fit\n", (unsigned long long)r.kept, (unsigned long long)r.found, (unsigned long long)r.lost);
	return ST_OK;
}

VERB(backup)
{
	_cleanup_vs_ struct vs *s = NULL;
	_cleanup_err_ struct err e = { 0 };

	(void)data;
	if (argc != 2)
		return fail(ST_USAGE, "usage: rastvec backup FILE");
	return vs_open(&s, set.store, VS_RDONLY, &e) < 0 || vs_backup(s, argv[1], &e) < 0 ? fail_err(&e) : ST_OK;
}

VERB(restore)
{
	_cleanup_err_ struct err e = { 0 };

	(void)data;
	if (argc != 2)
		return fail(ST_USAGE, "usage: rastvec restore FILE");
	return vs_restore(argv[1], set.store, set.replace, &e) < 0 ? fail_err(&e) : ST_OK;
}

static int print_line(const char *line, size_t n, void *data)
{
	(void)data;
	return fwrite(line, 1, n, stdout) == n && putchar('\n') != EOF ? 0 : -EIO;
}

VERB(export)
{
	struct session x = { 0 };
	int status = argc != 1 || set.since < 0 ? fail(ST_USAGE, "usage: rastvec export [--since VERSION]") : session_begin(&x, VS_RDONLY, VS_READ);

	(void)argv, (void)data;
	if (status)
		return status;
	return session_end(&x, vs_export(x.t, (uint64_t)set.since, print_line, NULL, &x.e) < 0 ? fail_err(&x.e) : ST_OK);
}

static int import_file(struct vs_import *im, const char *name, FILE *f, struct err *e)
{
	_cleanup_free_ char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = getline(&line, &room, f)) > 0) {
		n -= line[n - 1] == '\n';
		if (n > 0)
			r = vs_import_line(im, line, (size_t)n, e);
	}
	if (r == 0 && ferror(f))
		r = err_set(e, -EIO, "reading failed");
	if (r < 0)
		err_prefix(e, "%s", name);
	return r;
}

VERB(import)
{
	_cleanup_vs_ struct vs *s = NULL;
	_cleanup_err_ struct err e = { 0 };
	struct vs_import *im = NULL;
	struct vs_imported sum = { 0 };
	int r = vs_open(&s, set.store, VS_CREATE, &e);

	(void)data;
	if (r == 0)
		r = vs_import_begin(s, &im, &e);
	if (r == 0 && argc == 1)
		r = import_file(im, "standard input", stdin, &e);
	for (int i = 1; i < argc && r == 0; i++) {
		_cleanup_fclose_ FILE *f = fopen(argv[i], "re");
		r = f ? import_file(im, argv[i], f, &e) : err_sys(&e, -errno, "open %s", argv[i]);
	}
	if (im) {
		int end = vs_import_end(&im, &sum, r == 0 ? &e : NULL);
		r = r == 0 ? end : r;
	}
	if (r < 0)
		return fail_err(&e);
	if (set.json)
		return print_json(json_pack("{s:I, s:I, s:I, s:I}", "lines", (json_int_t)sum.lines, "applied", (json_int_t)sum.applied, "skipped", (json_int_t)sum.skipped, "versions", (json_int_t)sum.versions));
	printf("%llu lines: %llu applied in %llu versions, %llu were there already\n", (unsigned long long)sum.lines, (unsigned long long)sum.applied, (unsigned long long)sum.versions,
	       (unsigned long long)sum.skipped);
	return ST_OK;
}

/* --- .npy --- */

/* A record that is there keeps its metadata. */
static int put_vector(struct session *x, const char *coll, const char *id, const float *v)
{
	_cleanup_vs_meta_ struct vs_meta m = { 0 };
	struct vs_record rec;

	if (vs_get(x->t, coll, id, &rec, NULL) == 0 && rec.meta.n && buf_add(&m.b, rec.meta.data, rec.meta.n) < 0)
		m.failed = -ENOMEM;
	return vs_put(x->t, coll, VS_UPSERT, id, v, &m, &x->e);
}

static int put_rows(struct session *x, const char *coll, const struct vs_npy *npy, FILE *ids)
{
	_cleanup_free_ float *v = malloc(4ul * npy->dim);
	_cleanup_free_ char *line = NULL;
	size_t room = 0;

	for (uint64_t i = 0; v && i < npy->n; i++) {
		char number[24];
		snprintf(number, sizeof(number), "%llu", (unsigned long long)i);
		if (ids) {
			if (getline(&line, &room, ids) <= 0)
				return fail(ST_USAGE, "%s has fewer lines than the array has rows", set.ids);
			line[strcspn(line, "\n")] = 0;
		}
		vs_npy_row(npy, i, v);
		if (put_vector(x, coll, ids ? line : number, v) < 0)
			return fail_err(&x->e);
	}
	return v ? ST_OK : fail(ST_FAILED, "out of memory");
}

VERB(import_npy)
{
	_cleanup_close_ int fd = argc == 3 ? sys_openat(AT_FDCWD, argv[2], O_RDONLY, 0) : -1;
	_cleanup_fclose_ FILE *ids = set.ids ? fopen(set.ids, "re") : NULL;
	struct session x = { 0 };
	struct vs_npy npy;
	struct stat st = { 0 };
	void *map;
	int status;

	(void)data;
	if (argc != 3)
		return fail(ST_USAGE, "usage: rastvec import-npy COLLECTION FILE");
	if (fd < 0 || fstat(fd, &st) < 0 || (set.ids && !ids))
		return fail(ST_NOT_THERE, "open %s: %s", fd < 0 ? argv[2] : set.ids, strerror(fd < 0 ? -fd : errno));
	map = sys_mmap(NULL, (size_t)MAX(st.st_size, 1), PROT_READ, MAP_PRIVATE, fd, 0);
	if (SYS_IS_ERR(map))
		return fail(ST_FAILED, "map %s: %s", argv[2], strerror(-SYS_ERR(map)));
	status = session_begin(&x, 0, VS_WRITE);
	if (!status && vs_npy_parse(map, (size_t)st.st_size, &npy, &x.e) < 0)
		status = fail_err(&x.e);
	else if (!status) {
		struct vs_coll c;
		status = vs_coll_find(x.t, argv[1], &c, &x.e) < 0 ? fail_err(&x.e) :
			 c.dim != npy.dim ? fail(ST_USAGE, "%s has rows of %u numbers, collection %s has %u dimensions", argv[2], npy.dim, c.name, c.dim) : put_rows(&x, argv[1], &npy, ids);
	}
	if (x.s)
		status = session_end(&x, status);
	munmap(map, (size_t)MAX(st.st_size, 1));
	return status;
}

struct rows_out { FILE *to, *ids; float *v; };

static int write_row(const struct vs_record *r, void *data)
{
	struct rows_out *o = data;

	vs_record_vector(r, o->v);
	if (o->ids && (strchr(r->id, '\n') || fprintf(o->ids, "%s\n", r->id) < 0))
		return -EINVAL;
	return fwrite(o->v, 4, r->dim, o->to) == r->dim ? 0 : -EIO;
}

VERB(export_npy)
{
	struct session x = { 0 };
	struct rows_out o = { 0 };
	struct vs_coll c = { 0 };
	char head[128];
	int r, status = argc != 3 ? fail(ST_USAGE, "usage: rastvec export-npy COLLECTION FILE") : session_begin(&x, VS_RDONLY, VS_READ);

	(void)data;
	if (status)
		return status;
	if (vs_coll_find(x.t, argv[1], &c, &x.e) < 0)
		return session_end(&x, fail_err(&x.e));
	if (c.dim == 0)
		return session_end(&x, fail(ST_USAGE, "collection %s has no vectors", c.name));
	o = (struct rows_out){ fopen(argv[2], "we"), set.ids ? fopen(set.ids, "we") : NULL, malloc(4ul * c.dim) };
	r = o.to && o.v && (o.ids || !set.ids) ? 0 : -EIO;
	if (r == 0)
		r = fwrite(head, 1, vs_npy_head(head, c.rows, c.dim), o.to) == 128 ? vs_each(x.t, argv[1], NULL, false, write_row, &o, &x.e) : -EIO;
	if (o.to && fclose(o.to) != 0)
		r = -EIO;
	if (o.ids && fclose(o.ids) != 0)
		r = -EIO;
	free(o.v);
	return session_end(&x, r < 0 ? x.e.code ? fail_err(&x.e) : fail(ST_FAILED, "write %s: %s", argv[2], r == -EINVAL ? "an id has a line break" : strerror(errno)) : ST_OK);
}
