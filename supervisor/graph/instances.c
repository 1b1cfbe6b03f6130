/* instances.c: instances of templates, and the links in enabled/. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "base/log.h"
#include "supervisor/graph/compile.h"

static struct template *find_template(struct compiler *c, const char *name, size_t n)
{
	for (unsigned i = 0; i < c->templates.n; i++)
		if (strlen(c->templates.v[i].name) == n && strncmp(c->templates.v[i].name, name, n) == 0)
			return &c->templates.v[i];
	return NULL;
}

/* Parse the template once by itself, so that its errors are reported, once, whether it has instances or not. */
static int check_template(struct compiler *c, struct template *t)
{
	struct unit *u = ARENA_NEW(&c->arena, struct unit);

	if (!u || !(u->name = arena_printf(&c->arena, "%sinstance", t->name)))
		return compiler_oom(c);
	u->instance = "instance";
	u->at = t->at;
	unit_defaults(u);
	t->checked = true;
	if (parse_texts(c, u, &t->texts) < 0)
		return c->failed;
	check_unit(c, u);
	t->broken = u->broken;
	return 0;
}

/* Add the drop-ins that are for this instance alone. */
static int instance_texts(struct compiler *c, const struct template *t, const char *name, struct texts *texts)
{
	unsigned first = 0, n = 0;

	for (unsigned i = 0; i < t->texts.n; i++) {
		struct text *to = ARENA_PUSH(&c->arena, texts);
		if (!to)
			return compiler_oom(c);
		*to = t->texts.v[i];
	}
	for (unsigned i = 0; i < c->loose.n; i++)
		if (streq(c->loose.v[i].name, name)) {
			c->loose.v[i].used = true;
			first = n++ == 0 ? i : first;
		}
	return n > 0 ? read_drop_ins(c, &c->loose.v[first], n, texts) : 0;
}

static struct unit *make_instance(struct compiler *c, struct template *t, const char *name)
{
	struct texts texts = { 0 };
	struct unit *u;

	if ((!t->checked && check_template(c, t) < 0) || instance_texts(c, t, name, &texts) < 0)
		return NULL;
	u = unit_add(c, name, t->at);
	if (!u)
		return NULL;
	u->instance = strchr(u->name, '@') + 1;
	c->quiet = t->broken; /* reported already */
	(void)parse_texts(c, u, &texts);
	c->quiet = false;
	u->broken |= t->broken;
	return u;
}

/* The service of this name, made from its template if need be; NULL: there is none. */
static struct unit *need_unit(struct compiler *c, const char *name)
{
	struct unit *u = unit_find(c, name);
	const char *at = u ? NULL : strchr(name, '@');
	struct template *t = at && at[1] ? find_template(c, name, (size_t)(at + 1 - name)) : NULL;

	return t ? make_instance(c, t, name) : u;
}

int load_on_demand(struct compiler *c, const char *const *names, unsigned n)
{
	for (unsigned i = 0; i < n && !c->failed; i++) {
		struct unit *u = unit_find(c, names[i]) ? NULL : need_unit(c, names[i]);
		if (u)
			u->on_demand = true;
	}
	return c->failed;
}

static int check_templates(struct compiler *c)
{
	for (unsigned i = 0; i < c->templates.n; i++)
		if (!c->templates.v[i].checked && check_template(c, &c->templates.v[i]) < 0)
			return c->failed;
	return 0;
}

static void disable_all(struct compiler *c);

int load_instances(struct compiler *c)
{
	for (unsigned i = 0; i < c->units.n && !c->failed; i++) /* grows while it is walked */
		for (unsigned j = 0; j < c->units.v[i]->refs.n && !c->failed; j++)
			if (strchr(c->units.v[i]->refs.v[j].name, '@')) {
				struct unit *u = need_unit(c, c->units.v[i]->refs.v[j].name);
				if (u)
					u->on_demand = false;
			}
	if (check_templates(c) < 0)
		return c->failed;
	disable_all(c);
	for (unsigned i = 0; i < c->loose.n; i++)
		if (!c->loose.v[i].used)
			problem(c, LOG_WARNING, (struct place){ c->loose.v[i].path, 0 }, "not used, since there is no service '%s'%s; rename or remove it", c->loose.v[i].name, near_unit(c, c->loose.v[i].name));
	return c->failed;
}

/* --- enabled/ --- */

/* A link's target has to be a file of the service: NAME.ini, or its template's. */
static bool target_fits(const char *name, const char *target)
{
	const char *slash = strrchr(target, '/'), *base = slash ? slash + 1 : target, *at = strchr(name, '@');
	size_t n = strlen(name), m = at ? (size_t)(at + 1 - name) : n;

	return (strncmp(base, name, n) == 0 && streq(base + n, ".ini")) || (strncmp(base, name, m) == 0 && streq(base + m, ".ini"));
}

static void set_link(struct compiler *c, struct unit *u, struct place at, int link)
{
	if (!u)
		return;
	if (u->link)
		problem(c, LOG_ERR, at, "there is a second link for '%s', %s; remove one of them", u->name, u->enabled_at.file);
	u->link = link;
	u->enabled_at = at;
}

static void enable(struct compiler *c, struct place at, const char *name, const char *target, bool dangling)
{
	struct unit *u = need_unit(c, name);

	if (!u && dangling)
		problem(c, LOG_WARNING, at, "leads to %s, which does not exist, and there is no service '%s'%s; remove the link (rastctl disable %s), or install the service", target, name, near_unit(c, name), name);
	else if (!u)
		problem(c, LOG_ERR, at, "there is no service '%s'%s: %s lies in none of the folders of service files; move the file there, or remove the link (rastctl disable %s)", name, near_unit(c, name), target, name);
	else if (!target_fits(name, target))
		problem(c, LOG_ERR, at, "leads to %s, which is no file of service '%s'; a link in enabled/ has its service's name", target, name);
	else if (dangling)
		problem(c, LOG_WARNING, at, "leads to %s, which does not exist; '%s' is enabled all the same, by the name of the link; rastctl enable %s mends it", target, name, name);
	set_link(c, u, at, 1);
}

static void disable(struct compiler *c, struct place at, const char *name)
{
	struct ref *ref = ARENA_PUSH(&c->arena, &c->off);

	if (ref)
		*ref = (struct ref){ .name = name, .at = at };
	else
		(void)compiler_oom(c);
}

/* Not before all instances are there: a link that disables one is no reason for it to be. */
static void disable_one(struct compiler *c, const char *name, struct place at)
{
	struct unit *u = unit_find(c, name);
	const char *instance = strchr(name, '@');

	set_link(c, u, at, -1);
	if (!u && !(instance && find_template(c, name, (size_t)(instance + 1 - name))))
		problem(c, LOG_WARNING, at, "disables '%s'%s, which does not exist; remove the link when it is not needed any more", name, near_unit(c, name));
}

static void disable_all(struct compiler *c)
{
	for (unsigned i = 0; i < c->off.n; i++)
		disable_one(c, c->off.v[i].name, c->off.v[i].at);
}

static void take_link(struct compiler *c, int dirfd, const char *dir, const char *entry)
{
	struct place at = { arena_printf(&c->arena, "%s/%s", dir, entry), 0 };
	size_t n = strlen(entry) - (str_ends(entry, ".ini") ? 4 : 0);
	char *name = arena_strn(&c->arena, entry, n), target[PATH_MAX];
	ssize_t len = readlinkat(dirfd, entry, target, sizeof(target) - 1);
	struct stat st;

	if (!at.file || !name) {
		(void)compiler_oom(c);
		return;
	}
	if (len < 0 || !name_valid(name) || str_ends(name, "@")) {
		problem(c, LOG_ERR, at, "%s; rastctl enable NAME makes the right link", len < 0 ? "not a link to a service file" : str_ends(name, "@") ? "names a template, not an instance of it" : "not named as a service");
		return;
	}
	target[len] = 0;
	if (streq(target, "/dev/null") || (fstatat(dirfd, entry, &st, 0) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)))
		disable(c, at, name);
	else
		enable(c, at, name, target, fstatat(dirfd, entry, &st, 0) < 0);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int read_names(struct compiler *c, DIR *d, struct words *names)
{
	struct dirent *de;

	while ((errno = 0, de = readdir(d))) {
		const char **w = *de->d_name == '.' ? NULL : ARENA_PUSH(&c->arena, names);
		if (*de->d_name != '.' && (!w || !(*w = arena_str(&c->arena, de->d_name))))
			return compiler_oom(c);
	}
	if (errno != 0)
		return compiler_fail(c, -errno);
	if (names->n > 1)
		qsort(names->v, names->n, sizeof(*names->v), by_text);
	return 0;
}

int load_enabled(struct compiler *c, const char *dir)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	struct words names = { 0 };
	struct stat st;
	int r;

	if (!d && errno == ENOENT)
		return 0;
	if (!d || fstat(dirfd(d), &st) < 0) {
		problem(c, LOG_ERR, (struct place){ dir, 0 }, "the folder can't be read: %m; mend its mode or remove it");
		return 0;
	}
	check_safe(c, dir, &st);
	r = read_names(c, d, &names);
	for (unsigned i = 0; r >= 0 && i < names.n; i++)
		take_link(c, dirfd(d), dir, names.v[i]);
	return r < 0 ? r : c->failed;
}
