/* state.c: see state.h. */
#include "runtime/state/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"

#define DEFAULT_ROOT "/run/rastrun"
#define STATE_MAX (4u << 20)

static const char *const status_names[] = { "creating", "created", "running", "paused", "stopped" };

const char *status_name(enum status s)
{
	return status_names[s];
}

/* --- folders --- */

static int default_root(char *buf, size_t size, struct err *e)
{
	const char *run = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0 && strempty(run)) {
		snprintf(buf, size, "%s", DEFAULT_ROOT);
		return 0;
	}
	if (geteuid() == 0) { /* an environment of a user's session says nothing about root's containers */
		snprintf(buf, size, "%s", DEFAULT_ROOT);
		return 0;
	}
	if (strempty(run))
		return err_set(e, -ENOENT, "XDG_RUNTIME_DIR is not set: say with --root where the state of containers is kept");
	snprintf(buf, size, "%s/rastrun", run);
	return 0;
}

int state_root(const char *root, bool make, int *ret, struct err *e)
{
	char buf[PATH_MAX];
	int r, fd;

	if (!root) {
		r = default_root(buf, sizeof(buf), e);
		if (r < 0)
			return r;
		root = buf;
	}
	fd = sys_openat(AT_FDCWD, root, O_RDONLY | O_DIRECTORY, 0);
	if (fd == -ENOENT && make) {
		r = mkdir_p(root, 0700);
		if (r < 0)
			return err_sys(e, r, "the state directory %s", root);
		fd = sys_openat(AT_FDCWD, root, O_RDONLY | O_DIRECTORY, 0);
	}
	if (fd < 0 && (make || fd != -ENOENT))
		return err_sys(e, fd, "the state directory %s", root);
	*ret = fd;
	return fd < 0 ? fd : 0;
}

static int check_id(const char *id, struct err *e)
{
	return oci_id_valid(id) ? 0 : err_set(e, -EINVAL, "invalid container id '%s': letters, digits and _ + - . are allowed, not '.' first", id);
}

static int lock(int dir)
{
	int r;

	do
		r = flock(dir, LOCK_EX);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int container_new(const char *root, const char *id, struct container *c, struct err *e)
{
	int r = check_id(id, e);

	if (r < 0)
		return r;
	r = state_root(root, true, &c->root, e);
	if (r < 0)
		return r;
	r = sys_mkdirat(c->root, id, 0700);
	if (r == -EEXIST)
		return err_set(e, r, "container with id exists: %s", id);
	if (r == 0)
		r = c->dir = sys_openat(c->root, id, O_RDONLY | O_DIRECTORY, 0);
	if (r >= 0)
		r = lock(c->dir);
	c->st.id = strdup(id);
	return r < 0 || !c->st.id ? err_sys(e, r < 0 ? r : -ENOMEM, "the state of container \"%s\"", id) : 0;
}

/* --- state.json --- */

static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static char *copy_of(const json_t *o, const char *key)
{
	const char *s = text_of(o, key);
	return s ? strdup(s) : NULL;
}

static int read_state(const json_t *o, struct state *st)
{
	st->oci_version = copy_of(o, "ociVersion");
	st->bundle = copy_of(o, "bundle");
	st->rootfs = copy_of(o, "rootfs");
	st->created = copy_of(o, "created");
	st->owner = copy_of(o, "owner");
	st->cgroup_path = copy_of(o, "cgroup");
	st->rdt.group = copy_of(o, "rdtGroup");
	st->rdt.monitor = copy_of(o, "rdtMonitor");
	st->rdt.made = json_is_true(json_object_get(o, "rdtMade"));
	st->systemd_cgroup = json_is_true(json_object_get(o, "systemdCgroup"));
	st->pid = (pid_t)json_integer_value(json_object_get(o, "pid"));
	st->start_time = (uint64_t)json_integer_value(json_object_get(o, "startTime"));
	return st->bundle && st->pid >= 0 && text_of(o, "id") && streq(text_of(o, "id"), st->id) ? 0 : -EBADMSG;
}

/* What a create that hasn't come to an end has noted. */
static void load_note(struct container *c)
{
	char path[PATH_MAX];
	ssize_t n = readlinkat(c->dir, "cgroup", path, sizeof(path) - 1);

	if (n <= 0)
		return;
	path[n] = 0;
	c->st.cgroup_path = strdup(path);
}

/* -ENOENT: it is being created. */
static int load(struct container *c, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	json_error_t je;
	json_t *o;
	int r = file_read(c->dir, "state.json", STATE_MAX, &text, &n);

	if (r < 0)
		return r == -ENOENT ? r : err_sys(e, r, "the state of container \"%s\"", c->st.id);
	o = json_loadb(text, n, 0, &je);
	if (!o)
		return err_set(e, -EBADMSG, "the state of container \"%s\": %s; remove its folder by hand when nothing of it runs", c->st.id, je.text);
	r = read_state(o, &c->st);
	json_decref(o);
	return r < 0 ? err_set(e, r, "the state of container \"%s\" is damaged; remove its folder by hand when nothing of it runs", c->st.id) : 0;
}

int container_open(const char *root, const char *id, bool do_lock, struct container *c, struct err *e)
{
	int r = check_id(id, e);

	if (r < 0)
		return r;
	r = state_root(root, false, &c->root, e);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0)
		r = c->dir = sys_openat(c->root, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r == -ENOENT)
		return err_set(e, r, "container \"%s\" does not exist", id);
	if (r >= 0 && do_lock)
		r = lock(c->dir);
	c->st.id = strdup(id);
	if (r < 0 || !c->st.id)
		return err_sys(e, r < 0 ? r : -ENOMEM, "the state of container \"%s\"", id);
	r = load(c, e);
	if (r != -ENOENT)
		return r;
	load_note(c);
	struct stat st; /* removed while we waited for the lock? */
	if (fstat(c->dir, &st) == 0 && st.st_nlink == 0)
		return err_set(e, -ENOENT, "container \"%s\" does not exist", id);
	return 0;
}

void container_close(struct container *c)
{
	closep(&c->root);
	closep(&c->dir);
	free(c->st.id);
	free(c->st.oci_version);
	free(c->st.bundle);
	free(c->st.rootfs);
	free(c->st.created);
	free(c->st.owner);
	free(c->st.cgroup_path);
	free(c->st.config);
	rdt_free(&c->st.rdt);
	if (c->spec)
		oci_spec_free(c->spec);
	*c = (struct container)CONTAINER_INIT;
}

void container_unlock(struct container *c)
{
	flock(c->dir, LOCK_UN);
}

int container_relock(struct container *c)
{
	struct stat st;
	int r = lock(c->dir);

	return r == 0 && fstat(c->dir, &st) == 0 && st.st_nlink == 0 ? -ENOENT : r;
}

/* A new file and a rename: a reader finds the old state or the new one. On a tmpfs, so nothing is flushed. */
static int put_file(int dir, const char *name, const char *text, size_t n)
{
	char tmp[64];

	snprintf(tmp, sizeof(tmp), ".%s.new", name);
	_cleanup_close_ int fd = sys_openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
	int r = fd < 0 ? fd : write_all(fd, text, n);
	if (r == 0)
		r = sys_renameat(dir, tmp, dir, name);
	return r;
}

static void put(json_t *o, const char *key, const char *value)
{
	if (value)
		json_object_set_new(o, key, json_string(value));
}

int container_note_cgroup(struct container *c, const char *path, struct err *e)
{
	free(c->st.cgroup_path);
	c->st.cgroup_path = path ? strdup(path) : NULL;
	if (!path) {
		sys_unlinkat(c->dir, "cgroup", 0);
		return 0;
	}
	if (!c->st.cgroup_path || symlinkat(path, c->dir, "cgroup") < 0)
		return err_sys(e, c->st.cgroup_path ? -errno : -ENOMEM, "noting the cgroup of container \"%s\"", c->st.id);
	return 0;
}

int container_save(struct container *c, struct err *e)
{
	const struct state *st = &c->st;
	json_t *o = json_object();
	_cleanup_free_ char *text = NULL;
	int r;

	put(o, "ociVersion", st->oci_version);
	put(o, "id", st->id);
	json_object_set_new(o, "pid", json_integer(st->pid));
	json_object_set_new(o, "startTime", json_integer((json_int_t)st->start_time));
	put(o, "bundle", st->bundle);
	put(o, "rootfs", st->rootfs);
	put(o, "created", st->created);
	put(o, "owner", st->owner);
	put(o, "cgroup", st->cgroup_path);
	put(o, "rdtGroup", st->rdt.group);
	put(o, "rdtMonitor", st->rdt.monitor);
	if (st->rdt.made)
		json_object_set_new(o, "rdtMade", json_true());
	if (st->systemd_cgroup)
		json_object_set_new(o, "systemdCgroup", json_true());
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	r = text ? put_file(c->dir, "state.json", text, strlen(text)) : -ENOMEM;
	return r < 0 ? err_sys(e, r, "writing the state of container \"%s\"", st->id) : 0;
}

int container_save_config(struct container *c, const char *text, size_t n, struct err *e)
{
	_cleanup_close_ int fd = sys_openat(c->dir, "config.json", O_WRONLY | O_CREAT | O_EXCL, 0600);
	int r = fd < 0 ? fd : write_all(fd, text, n);

	return r < 0 ? err_sys(e, r, "writing the configuration of container \"%s\"", c->st.id) : 0;
}

int container_spec(struct container *c, struct err *e)
{
	struct oci_load how = { .file = "config.json", .systemd_cgroup = c->st.systemd_cgroup };

	return c->spec ? 0 : oci_spec_load(c->dir, "config.json", &how, &c->spec, e);
}

int container_forget(struct container *c, struct err *e)
{
	static const char *const files[] = { "state.json", "config.json", "start", "cgroup", ".state.json.new" };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		sys_unlinkat(c->dir, files[i], 0);
	r = sys_unlinkat(c->root, c->st.id, AT_REMOVEDIR);
	if (r == -ENOTEMPTY)
		r = rm_rf(c->root, c->st.id);
	return r < 0 && r != -ENOENT ? err_sys(e, r, "removing the state of container \"%s\"", c->st.id) : 0;
}

/* --- the process --- */

/* Field 3 of /proc/PID/stat and the start time; a zombie has ended. */
bool container_alive(const struct container *c)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *p;
	uint64_t start;

	if (c->st.pid <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)c->st.pid);
	if (file_read(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return false;
	p = strrchr(text, ')');
	if (!p || !p[1] || strchr("ZXx", p[2]))
		return false;
	for (int field = 2; p && field < 22; field++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	if (!p)
		return false;
	p[strcspn(p, " \n")] = 0;
	return parse_u64(p, &start) == 0 && start == c->st.start_time;
}

static bool waits(const struct container *c)
{
	return faccessat(c->dir, "start", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_frozen(const struct container *c)
{
	_cleanup_cgroup_ struct cgroup cg = CGROUP_NONE;

	return c->st.cgroup_path && cg_open_existing(c->st.cgroup_path, &cg, NULL) == 0 && cg_frozen(&cg) > 0;
}

enum status container_status(const struct container *c)
{
	if (c->st.pid == 0)
		return STATUS_CREATING;
	if (!container_alive(c))
		return STATUS_STOPPED;
	if (is_frozen(c))
		return STATUS_PAUSED;
	return waits(c) ? STATUS_CREATED : STATUS_RUNNING;
}

int container_pidfd(const struct container *c, struct err *e)
{
	_cleanup_close_ int fd = c->st.pid > 0 ? sys_pidfd_open(c->st.pid, 0) : -ESRCH;

	/* Whoever has that pid now is held by fd: if it is ours, it stays ours. */
	if (fd < 0 || !container_alive(c))
		return err_set(e, -ESRCH, "container not running");
	return take_fd(&fd);
}

int container_listen(struct container *c, struct err *e)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/start", c->dir);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
		return err_sys(e, -errno, "the socket to start container \"%s\" by", c->st.id);
	return take_fd(&fd);
}

void container_started(struct container *c)
{
	sys_unlinkat(c->dir, "start", 0);
}

char *container_state_json(struct container *c, struct err *e)
{
	enum status s = container_status(c);
	json_t *o, *a = json_object();
	char *text;

	if (container_spec(c, NULL) == 0)
		for (size_t i = 0; i < c->spec->annotations.n; i++)
			json_object_set_new(a, c->spec->annotations.v[i].key, json_string(c->spec->annotations.v[i].value));
	o = json_object();
	put(o, "ociVersion", c->st.oci_version ? c->st.oci_version : OCI_VERSION_MAX);
	put(o, "id", c->st.id);
	json_object_set_new(o, "pid", json_integer(s == STATUS_STOPPED ? 0 : c->st.pid));
	put(o, "status", status_name(s));
	put(o, "bundle", c->st.bundle ? c->st.bundle : "");
	put(o, "rootfs", c->st.rootfs ? c->st.rootfs : "");
	put(o, "created", c->st.created ? c->st.created : "");
	put(o, "owner", c->st.owner ? c->st.owner : "");
	json_object_set_new(o, "annotations", a);
	text = json_dumps(o, JSON_INDENT(2));
	json_decref(o);
	if (!text)
		err_sys(e, -ENOMEM, "state");
	return text;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int state_list(const char *root, char ***ret, struct err *e)
{
	int fd = -1, r = state_root(root, false, &fd, e);
	char **v = NULL;

	*ret = NULL;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	_cleanup_closedir_ DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return err_sys(e, -ENOMEM, "the state directory");
	}
	for (struct dirent *ent; (ent = readdir(d));)
		if (oci_id_valid(ent->d_name) && strv_push(&v, ent->d_name) < 0) {
			strv_free(v);
			return err_sys(e, -ENOMEM, "the state directory");
		}
	if (v)
		qsort(v, strv_len(v), sizeof(*v), by_name);
	*ret = v;
	return 0;
}
