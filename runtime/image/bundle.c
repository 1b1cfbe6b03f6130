/* bundle.c: see bundle.h. */
#include "runtime/image/bundle.h"

#include <errno.h>
#include "runtime/image/apply-priv.h"
#include "runtime/image/priv.h"
#include "runtime/image/users.h"

/* What a container gets unless its service says otherwise: what containers have had for ten years, so that images work. */
static const char *const capabilities[] = {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"};
static const char *const namespaces[] = {"pid", "network", "ipc", "uts", "mount", "cgroup"};
static const char *const masked[] = {"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
	"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"};
static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
static const struct {
	const char *destination, *type, *source, *options; /* options separated by blanks */
} mounts[] = {
	{"/proc", "proc", "proc", "nosuid noexec nodev"},
	{"/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"},
	{"/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"},
	{"/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 size=65536k"},
	{"/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"},
	{"/sys", "sysfs", "sysfs", "nosuid noexec nodev ro"},
	{"/sys/fs/cgroup", "cgroup", "cgroup", "nosuid noexec nodev relatime ro"},
};

static json_t *strings(const char *const *v, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, json_string(v[i]));
	return a;
}

static int out_of_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory");
}

/* --- process --- */

/* Append the strings of list; a thing that isn't one is an error. */
static int append(json_t *to, const json_t *list, const char *what, struct err *e)
{
	size_t i;
	json_t *one;

	if (list && !json_is_null(list) && !json_is_array(list))
		return err_set(e, -EBADMSG, "the image's %s is no list", what);
	json_array_foreach (list, i, one) {
		if (!json_is_string(one))
			return err_set(e, -EBADMSG, "the image's %s has something in it that is no text", what);
		json_array_append(to, one);
	}
	return 0;
}

static int make_args(const json_t *config, const struct image_container *o, json_t **ret, struct err *e)
{
	json_t *args = *ret = json_array();
	int r = 0;

	if (o->args)
		for (char *const *a = o->args; *a; a++)
			json_array_append_new(args, json_string(*a));
	else if ((r = append(args, json_object_get(config, "Entrypoint"), "Entrypoint", e)) == 0)
		r = append(args, json_object_get(config, "Cmd"), "Cmd", e);
	if (r == 0 && json_array_size(args) == 0)
		return err_set(e, -EINVAL, "the image has neither Entrypoint nor Cmd; say what to run");
	return r;
}

static bool has_variable(const json_t *env, const char *name)
{
	size_t i, n = strlen(name);
	json_t *one;

	json_array_foreach (env, i, one)
		if (strncmp(json_string_value(one), name, n) == 0 && json_string_value(one)[n] == '=')
			return true;
	return false;
}

/* The service's come first and win: the image's of the same name are left out. */
static int make_env(const json_t *config, const struct image_container *o, const struct image_user *u, json_t **ret, struct err *e)
{
	_cleanup_json_ json_t *image = json_array();
	json_t *env = *ret = json_array(), *one;
	char name[256];
	size_t i;
	int r = append(image, json_object_get(config, "Env"), "Env", e);

	if (r < 0)
		return r;
	for (char *const *v = o->env; v && *v; v++)
		json_array_append_new(env, json_string(*v));
	json_array_foreach (image, i, one) {
		const char *s = json_string_value(one), *equals = strchr(s, '=');
		if (!equals || equals == s || (size_t)(equals - s) >= sizeof(name))
			continue; /* no variable */
		snprintf(name, sizeof(name), "%.*s", (int)(equals - s), s);
		if (!has_variable(env, name))
			json_array_append(env, one);
	}
	if (!has_variable(env, "PATH"))
		json_array_append_new(env, json_string("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
	if (!has_variable(env, "HOME"))
		json_array_append_new(env, json_sprintf("HOME=%s", strempty(u->home) ? "/" : u->home));
	return 0;
}

static json_t *make_user(const struct image_user *u)
{
	json_t *user = json_pack("{sI sI}", "uid", (json_int_t)u->uid, "gid", (json_int_t)u->gid), *groups = json_array();

	for (size_t i = 0; i < u->n_groups; i++)
		json_array_append_new(groups, json_integer(u->groups[i]));
	if (u->n_groups)
		json_object_set(user, "additionalGids", groups);
	json_decref(groups);
	return user;
}

/* Another user than root has only what a setuid program of the image may give it, as after execve(2). */
static json_t *make_capabilities(const struct image_user *u)
{
	json_t *all = strings(capabilities, ARRAY_SIZE(capabilities)), *now = u->uid == 0 ? json_incref(all) : json_array();

	return json_pack("{so sO so}", "bounding", all, "effective", now, "permitted", now);
}

static int make_cwd(const json_t *config, const struct image_container *o, const char **ret, struct err *e)
{
	const char *cwd = o->cwd ? o->cwd : json_text(config, "WorkingDir");

	*ret = strempty(cwd) ? "/" : cwd;
	return **ret == '/' ? 0 : err_set(e, -EBADMSG, "the image's WorkingDir '%s' is not absolute", *ret);
}

static int make_process(int rootfd, const json_t *config, const struct image_container *o, json_t **ret, struct err *e)
{
	_cleanup_json_ json_t *args = NULL, *env = NULL;
	_cleanup_image_user_ struct image_user u = {0};
	const char *cwd = "/";
	int r = image_user_find(rootfd, o->user ? o->user : json_text(config, "User"), &u, e);

	r = r < 0 ? r : make_args(config, o, &args, e);
	r = r < 0 ? r : make_env(config, o, &u, &env, e);
	r = r < 0 ? r : make_cwd(config, o, &cwd, e);
	if (r < 0)
		return r;
	*ret = json_pack("{sb so sO sO ss so}", "terminal", 0, "user", make_user(&u), "args", args, "env", env, "cwd", cwd, "capabilities", make_capabilities(&u));
	return *ret ? 0 : out_of_memory(e);
}

/* --- the rest --- */

static json_t *make_mounts(void)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		_cleanup_strv_ char **options = NULL;
		if (str_split_words(mounts[i].options, &options) < 0)
			continue; /* out of memory; the size of the list tells */
		json_array_append_new(list, json_pack("{ss ss ss so}", "destination", mounts[i].destination, "type", mounts[i].type, "source", mounts[i].source,
			"options", strings((const char *const *)options, strv_len(options))));
	}
	return list;
}

static json_t *make_linux(void)
{
	json_t *ns = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
		json_array_append_new(ns, json_pack("{ss}", "type", namespaces[i]));
	return json_pack("{so so so s{s[{sb ss}]}}", "namespaces", ns, "maskedPaths", strings(masked, ARRAY_SIZE(masked)), "readonlyPaths",
		strings(read_only, ARRAY_SIZE(read_only)), "resources", "devices", "allow", 0, "access", "rwm");
}

static void annotate(json_t *annotations, const char *key, const char *value)
{
	if (!strempty(value))
		json_object_set_new(annotations, key, json_string(value));
}

/* conversion.md, "Annotation Fields": what a runtime has no field for, and the image's own labels, which they can't override. */
static json_t *make_annotations(const json_t *doc, const json_t *config)
{
	json_t *a = json_object(), *value;
	const char *key;
	_cleanup_buf_ struct buf ports = {0};

	json_object_foreach (json_object_get(config, "Labels"), key, value)
		annotate(a, key, json_string_value(value));
	json_object_foreach (json_object_get(config, "ExposedPorts"), key, value)
		buf_addf(&ports, "%s%s", ports.len ? "," : "", key);
	annotate(a, "org.opencontainers.image.os", json_text(doc, "os"));
	annotate(a, "org.opencontainers.image.architecture", json_text(doc, "architecture"));
	annotate(a, "org.opencontainers.image.variant", json_text(doc, "variant"));
	annotate(a, "org.opencontainers.image.author", json_text(doc, "author"));
	annotate(a, "org.opencontainers.image.created", json_text(doc, "created"));
	annotate(a, "org.opencontainers.image.stopSignal", json_text(config, "StopSignal"));
	annotate(a, "org.opencontainers.image.exposedPorts", ports.failed ? NULL : ports.data);
	return a;
}

int bundle_config(int rootfd, const json_t *doc, const struct image_container *o, json_t **ret, struct err *e)
{
	const json_t *config = json_object_get(doc, "config");
	json_t *process = NULL, *all = NULL;
	int r = make_process(rootfd, config, o, &process, e);

	if (r < 0)
		return within(r, e, "config.json");
	all = json_pack("{ss so s{ss sb} so so so}", "ociVersion", "1.1.0", "process", process, "root", "path", "rootfs", "readonly", (int)o->read_only, "mounts",
		make_mounts(), "linux", make_linux(), "annotations", make_annotations(doc, config));
	if (all && o->hostname && json_object_set_new(all, "hostname", json_string(o->hostname)) < 0) {
		json_decref(all);
		return err_set(e, -EINVAL, "the host name is not UTF-8");
	}
	if (!all || json_array_size(json_object_get(all, "mounts")) != ARRAY_SIZE(mounts)) {
		json_decref(all);
		return out_of_memory(e);
	}
	*ret = all;
	return 0;
}

int bundle_volumes(const json_t *doc, char ***ret, struct err *e)
{
	json_t *value;
	const char *key;
	int r = 0;

	json_object_foreach (json_object_get(json_object_get(doc, "config"), "Volumes"), key, value) {
		char path[TAR_NAME_MAX + 2];
		if (r < 0)
			break;
		if (snprintf(path, sizeof(path), "%s", key) >= TAR_NAME_MAX || *key != '/' || path_clean(path) < 0 || !*path)
			r = err_set(e, -EBADMSG, "the image's volume '%s' can't be", key);
		else
			r = strv_push(ret, path);
	}
	return r;
}

int bundle_add_bind(json_t *runtime, const char *source, const char *destination)
{
	json_t *m = json_pack("{ss ss ss s[ss]}", "destination", destination, "type", "bind", "source", source, "options", "rbind", "rprivate");

	return !m || json_array_append_new(json_object_get(runtime, "mounts"), m) < 0 ? -ENOMEM : 0;
}
