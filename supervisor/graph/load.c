/* load.c: find the service files, their drop-ins, templates and the links in enabled/, and feed them to the parser.
 *
 * A name is looked for in each folder in turn, and the first file NAME.ini counts; one that is a link to /dev/null masks the name. Drop-ins NAME.d/FILE.ini
 * of all folders are applied in the order of their file names; of several with one name the first folder's counts. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "base/file.h"
#include "base/ini.h"
#include "base/log.h"
#include "base/sys.h"
#include "supervisor/graph/compile.h"
#include "supervisor/graph/keys.h"

#define FILE_MAX (1 << 20)

static int by_name_and_dir(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	if (r == 0)
		r = x->drop_in - y->drop_in;
	return r ? r : (x->dir > y->dir) - (x->dir < y->dir);
}

static bool is_dev_null(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3); /* Documentation/admin-guide/devices.txt */
}

/* The rest of the set is looked at all the same: it is refused anyway. */
void check_safe(struct compiler *c, const char *path, const struct stat *st)
{
	struct place at = { path, 0 };

	if (st->st_mode & S_IWOTH && !(S_ISDIR(st->st_mode) && st->st_mode & S_ISVTX))
		problem(c, LOG_ERR, at, "everybody may write to it, and so run commands as root; chmod o-w %s", path);
	else if (st->st_uid != 0 && st->st_uid != geteuid())
		problem(c, LOG_ERR, at, "it belongs to user %u, who could run commands as root by it; chown root %s", st->st_uid, path);
}

/* One read for the file and, since its size is known, none for its end. */
static int read_text(struct compiler *c, int fd, size_t size, struct text *t)
{
	char *data = arena_alloc(&c->arena, size + 1);
	size_t n = 0;

	if (!data)
		return compiler_oom(c);
	while (n < size + 1) {
		ssize_t r = sys_read(fd, data + n, size + 1 - n);
		if (r < 0)
			return (int)r;
		n += (size_t)r;
		if (r == 0 || n == size)
			break;
	}
	t->data = data;
	t->n = MIN(n, size);
	return 0;
}

enum opened { OPENED_TEXT, OPENED_NULL, OPENED_BAD };

/* Open, check and read a file. Problems are reported, and the file then counts as OPENED_BAD. */
static enum opened open_text(struct compiler *c, int dirfd, const char *name, const char *path, struct text *t)
{
	_cleanup_close_ int fd = sys_openat(dirfd, name, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
	struct place at = { path, 0 };
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = fd < 0 ? fd : -errno;
		problem(c, LOG_ERR, at, r == -ENOENT ? "the link leads to nothing (%s); remove it, or put back what it names" : "can't be opened: %s", strerror(-r));
		return OPENED_BAD;
	}
	if (is_dev_null(&st))
		return OPENED_NULL;
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		problem(c, LOG_ERR, at, S_ISREG(st.st_mode) ? "bigger than 1 MiB; that is no service file" : "neither a file nor a link to one; move it away");
		return OPENED_BAD;
	}
	check_safe(c, path, &st);
	t->file = path;
	r = read_text(c, fd, (size_t)st.st_size, t);
	if (r < 0)
		problem(c, LOG_ERR, at, "can't be read: %s", strerror(-r));
	return r < 0 ? OPENED_BAD : OPENED_TEXT;
}

static bool is_backup(const char *name)
{
	return *name == '.' || str_ends(name, "~") || str_starts(name, "README");
}

static int push_found(struct compiler *c, struct founds *list, const char *dir, const char *entry, size_t suffix, unsigned i, bool drop_in)
{
	struct found *f = ARENA_PUSH(&c->arena, list);

	if (!f)
		return compiler_oom(c);
	f->name = arena_strn(&c->arena, entry, strlen(entry) - suffix);
	f->path = arena_printf(&c->arena, "%s/%s", dir, entry);
	f->dir = i;
	f->drop_in = drop_in;
	return f->name && f->path ? 0 : compiler_oom(c);
}

/* One entry of a folder of services. */
static int take_entry(struct compiler *c, struct founds *list, const char *dir, const char *entry, unsigned i, bool in_drop_in)
{
	size_t suffix = str_ends(entry, ".ini") ? 4 : str_ends(entry, ".d") && !in_drop_in ? 2 : 0;

	if (is_backup(entry))
		return 0;
	if (suffix > 0)
		return push_found(c, list, dir, entry, suffix, i, suffix == 2);
	problem(c, LOG_WARNING, (struct place){ arena_printf(&c->arena, "%s/%s", dir, entry), 0 }, "not used, since its name does not end in .ini%s; rename it or move it away", in_drop_in ? "" : " (or .d for drop-ins)");
	return 0;
}

/* All entries of a folder. Returns its descriptor, which the caller owns; -ENOENT for one that is missing, which is as good as an empty one, or
 * that can't be read, which has been reported. */
static int read_folder(struct compiler *c, const char *dir, unsigned i, bool in_drop_in, struct founds *list)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	struct dirent *de;
	struct stat st;
	int r = 0;

	if (!d && errno == ENOENT)
		return -ENOENT;
	if (!d || fstat(dirfd(d), &st) < 0) {
		problem(c, LOG_ERR, (struct place){ dir, 0 }, "the folder can't be read: %m; mend its mode or remove it");
		return -ENOENT;
	}
	check_safe(c, dir, &st);
	while (r >= 0 && (errno = 0, de = readdir(d)))
		r = take_entry(c, list, dir, de->d_name, i, in_drop_in);
	if (r < 0)
		return r;
	r = errno == 0 ? fcntl(dirfd(d), F_DUPFD_CLOEXEC, 3) : -1;
	return r < 0 ? compiler_fail(c, -errno) : r;
}

/* Drop-ins of one service, from the folders v[0..n-1], in the order of their file names. */
int read_drop_ins(struct compiler *c, const struct found *v, unsigned n, struct texts *texts)
{
	struct founds files = { 0 };
	const char *last = "";

	for (unsigned i = 0; i < n; i++) {
		_cleanup_close_ int fd = read_folder(c, v[i].path, v[i].dir, true, &files);
		if (c->failed < 0)
			return c->failed;
	}
	if (files.n > 1)
		qsort(files.v, files.n, sizeof(*files.v), by_name_and_dir);
	for (unsigned i = 0; i < files.n; last = files.v[i++].name) {
		struct text t;
		if (streq(files.v[i].name, last) || open_text(c, AT_FDCWD, files.v[i].path, files.v[i].path, &t) != OPENED_TEXT)
			continue;
		struct text *to = ARENA_PUSH(&c->arena, texts);
		if (!to)
			return compiler_oom(c);
		*to = t;
	}
	return 0;
}

struct parsing { struct compiler *c; struct unit *u; const char *file; };

static int parse_line(const char *file, int line, const char *section, const char *key, const char *value, void *data)
{
	const struct parsing *to = data;

	(void)take_key(to->c, to->u, (struct place){ to->file, line }, section, key, value);
	return to->c->failed;
}

/* "FILE:LINE: text" of base/ini.h, taken apart for problem(). */
static void report_syntax(struct compiler *c, const char *file, const char *text)
{
	size_t n = strlen(file);
	char *end;
	long line = 0;

	if (strncmp(text, file, n) == 0 && text[n] == ':') {
		line = strtol(text + n + 1, &end, 10);
		text = *end == ':' ? end + 1 + (end[1] == ' ') : text;
	}
	problem(c, LOG_ERR, (struct place){ file, (int)line }, "%s", text);
}

/* The line without white space at its ends; moves *p to the next one. */
static size_t next_line(const char **p, const char *end, const char **ret)
{
	const char *nl = memchr(*p, '\n', (size_t)(end - *p)), *stop = nl ? nl : end, *s = *p;

	*p = nl ? nl + 1 : end;
	while (s < stop && strchr(" \t\r\f\v", *s) && *s)
		s++;
	while (stop > s && strchr(" \t\r\f\v", stop[-1]) && stop[-1])
		stop--;
	*ret = s;
	return (size_t)(stop - s);
}

void unknown_section(struct compiler *c, struct unit *u, struct place at, const char *name)
{
	const char *known[32];

	problem(c, LOG_ERR, at, "unknown section [%s]%s; rast.service(5) has the sections and their keys", name, near_word(c, name, known, key_names(NULL, known, ARRAY_SIZE(known))));
	u->broken = u->bad_section = true;
}

/* inih's callback does not see a section that has no keys, but its name can be wrong all the same; and one message for a wrong section is enough. */
static void check_sections(struct compiler *c, struct unit *u, const struct text *t)
{
	const char *p = t->data, *end = p + t->n, *s;
	bool continued = false;
	char name[64];

	if (t->n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) /* byte order mark */
		p += 3;
	for (int line = 1; p < end; line++) {
		size_t n = next_line(&p, end, &s);
		if (!continued && n > 2 && n < sizeof(name) && *s == '[' && s[n - 1] == ']') {
			snprintf(name, sizeof(name), "%.*s", (int)n - 2, s + 1);
			if (!section_known(name))
				unknown_section(c, u, (struct place){ t->file, line }, name);
		}
		if (!(n > 0 && (*s == '#' || *s == ';')))
			continued = n > 0 && s[n - 1] == '\\';
	}
}

static int parse_text(struct compiler *c, struct unit *u, const struct text *t)
{
	struct parsing to = { c, u, t->file };
	_cleanup_err_ struct err e = { 0 };
	int r;

	check_sections(c, u, t);
	u->text_hash = (u->text_hash ^ fnv1a64(t->data, t->n)) * 0x100000001b3u; /* the order counts */
	r = ini_parse_mem(t->data, t->n, t->file, parse_line, &to, &e);
	if (c->failed < 0)
		return c->failed;
	if (r < 0) {
		report_syntax(c, t->file, err_text(&e));
		u->broken = true;
	}
	return 0;
}

int parse_texts(struct compiler *c, struct unit *u, const struct texts *texts)
{
	int r = 0;

	for (unsigned i = 0; i < texts->n && r >= 0; i++)
		r = parse_text(c, u, &texts->v[i]);
	return r;
}

/* A name ends in '@': keep the texts, to be parsed once per instance. */
static int add_template(struct compiler *c, const char *name, const struct texts *texts, struct place at)
{
	struct template *t = ARENA_PUSH(&c->arena, &c->templates);

	if (!t)
		return compiler_oom(c);
	*t = (struct template){ .name = name, .texts = *texts, .at = at };
	return 0;
}

static int add_service(struct compiler *c, const char *name, const struct texts *texts, struct place at)
{
	struct unit *u;

	if (!name_valid(name)) {
		problem(c, LOG_ERR, at, "'%s' is no name of a service: up to %d of A-Z a-z 0-9 _ . @ : -, not beginning with . or -; rename the file", name, NAME_LEN_MAX);
		return 0;
	}
	if (streq(name, "rastd")) {
		problem(c, LOG_ERR, at, "'rastd' is the supervisor's own name, which its log has; rename the file");
		return 0;
	}
	if (str_ends(name, "@"))
		return add_template(c, name, texts, at);
	u = unit_add(c, name, at);
	return u ? parse_texts(c, u, texts) : c->failed;
}

int load_text(struct compiler *c, const char *name, const char *file, const char *data, size_t n)
{
	struct texts texts = { 0 };
	struct text *t = ARENA_PUSH(&c->arena, &texts);

	if (!t || !(t->file = arena_str(&c->arena, file)) || !(t->data = arena_strn(&c->arena, data, n)) || !(name = arena_str(&c->arena, name)))
		return compiler_oom(c);
	t->n = n;
	return add_service(c, name, &texts, (struct place){ t->file, 0 });
}

static int add_masked(struct compiler *c, const char *name, const char *path)
{
	struct unit *u = name_valid(name) ? unit_add(c, name, (struct place){ path, 0 }) : NULL;

	if (u)
		u->masked = path;
	return c->failed;
}

/* Drop-ins without a file of their own: of an instance of a template, perhaps. */
static int keep_loose(struct compiler *c, const struct found *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct found *f = ARENA_PUSH(&c->arena, &c->loose);
		if (!f)
			return compiler_oom(c);
		*f = v[i];
	}
	return 0;
}

/* The file of a name and its drop-ins into texts. Files come first in v, the first folder's before the others. */
static int load_file(struct compiler *c, const int *dirfds, const struct found *v, unsigned n)
{
	struct texts texts = { 0 };
	struct text *t = ARENA_PUSH(&c->arena, &texts);
	unsigned n_files = 0;
	enum opened o;
	struct unit *u;

	if (!t)
		return compiler_oom(c);
	while (n_files < n && !v[n_files].drop_in)
		n_files++;
	o = open_text(c, dirfds[v->dir], strrchr(v->path, '/') + 1, v->path, t);
	if (o == OPENED_NULL)
		return add_masked(c, v->name, v->path);
	if (o == OPENED_BAD)
		texts.n = 0;
	if (n > n_files && read_drop_ins(c, v + n_files, n - n_files, &texts) < 0)
		return c->failed;
	if (add_service(c, v->name, &texts, (struct place){ v->path, 0 }) < 0)
		return c->failed;
	u = unit_find(c, v->name);
	if (o == OPENED_BAD && u) /* it is known, so that naming it is no further error */
		u->broken = true;
	return 0;
}

static int load_sorted(struct compiler *c, const int *dirfds, const struct founds *list)
{
	int r = 0;

	for (unsigned i = 0, next; i < list->n && r >= 0; i = next) {
		const struct found *v = &list->v[i];
		for (next = i + 1; next < list->n && streq(list->v[next].name, v->name); next++)
			;
		r = v->drop_in ? keep_loose(c, v, next - i) : load_file(c, dirfds, v, next - i);
	}
	return r;
}

static int load_folders(struct compiler *c, const struct graph_source *src, int *fds)
{
	struct founds list = { 0 };

	for (unsigned i = 0; i < src->n_dirs; i++) {
		const char *dir = arena_str(&c->arena, src->dirs[i]);
		if (!dir)
			return compiler_oom(c);
		fds[i] = read_folder(c, dir, i, false, &list);
		if (c->failed < 0)
			return c->failed;
	}
	if (list.n > 1)
		qsort(list.v, list.n, sizeof(*list.v), by_name_and_dir);
	return load_sorted(c, fds, &list);
}

int load_dirs(struct compiler *c, const struct graph_source *src)
{
	_cleanup_free_ int *fds = calloc(src->n_dirs + 1, sizeof(int));
	int r;

	if (!fds)
		return compiler_oom(c);
	memset(fds, -1, src->n_dirs * sizeof(int));
	r = load_folders(c, src, fds);
	for (unsigned i = 0; i < src->n_dirs; i++)
		closep(&fds[i]);
	return r;
}
