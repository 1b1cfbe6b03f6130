/* spec.c: config.json, process.json and the file of `update`. */
#include "runtime/spec/read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"

#define S(member) offsetof(struct oci_spec, member)
#define TABLE(name, check_fn) const struct table name##_table = { name##_fields, ARRAY_SIZE(name##_fields), check_fn }
#define FILE_MAX (16U << 20)
#define ID_MAX 1024

static int read_version(const struct at *v, void *to)
{
	const char *s, *p;
	int r = at_str(v, NONEMPTY, &s);

	if (r < 0)
		return r;
	p = s;
	for (int i = 0; i < 3; i++) {
		size_t digits = strspn(p, "0123456789");
		if (digits == 0 || digits > 9 || (i < 2 && p[digits] != '.') || (i == 2 && p[digits] && !strchr("-+", p[digits])))
			return at_fail(v, "'%s' is no version; write it like \"%s\"", s, OCI_VERSION_MAX);
		p += digits + (i < 2);
	}
	if (!str_starts(s, "1."))
		return at_fail(v, "version %s of the spec is not known here; this runtime knows 1.0.0 to %s", s, OCI_VERSION_MAX);
	*(const char **)to = s;
	return 0;
}

static const struct field root_fields[] = {
	{ "path", K_STR, REQUIRED, S(root_path), .help = "absolute or relative to the bundle" },
	{ "readonly", K_BOOL, 0, S(root_readonly), .help = "mount_setattr(2) MOUNT_ATTR_RDONLY, when all mounts are there" },
};
static TABLE(root, NULL);

#define H(member) offsetof(struct oci_hook, member)

static const struct field hook_fields[] = {
	{ "path", K_STR, REQUIRED | ABSOLUTE, H(path), .help = "execve(2) with the state on standard input" },
	{ "args", K_STRV, 0, H(args), .help = "argv; `path` alone when missing" },
	{ "env", K_STRV, 0, H(env), .help = "the whole environment" },
	{ "timeout", K_U32, 0, H(timeout), .min = 1, .max = UINT32_MAX, .help = "seconds, then it is killed and has failed" },
};

static int check_hook(const struct at *o, void *to)
{
	struct oci_hook *h = to;
	struct oci_strv *lists[] = { &h->args, &h->env };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (!lists[i]->v && !(lists[i]->v = oci_alloc(o->rd->arena, sizeof(char *))))
			return at_no_memory(o);
	return 0;
}
static TABLE(hook, check_hook);

#define HOOK(key, kind, help_) \
	{ key, K_LIST, 0, S(hooks[kind].v), S(hooks[kind].n), sizeof(struct oci_hook), &hook_table, .help = help_ }

static const struct field hooks_fields[] = {
	HOOK("prestart", OCI_HOOK_PRESTART, "in `create`, in the runtime's namespaces, when the container's exist"),
	HOOK("createRuntime", OCI_HOOK_CREATE_RUNTIME, "after prestart, likewise"),
	HOOK("createContainer", OCI_HOOK_CREATE_CONTAINER, "in the container's namespaces, before pivot_root"),
	HOOK("startContainer", OCI_HOOK_START_CONTAINER, "in the container, just before its program is executed"),
	HOOK("poststart", OCI_HOOK_POSTSTART, "in `start`; one that fails makes it fail and ends the container"),
	HOOK("poststop", OCI_HOOK_POSTSTOP, "in `delete`; a failure is only logged"),
};
static TABLE(hooks, NULL);

static const struct field spec_fields[] = {
	{ "ociVersion", K_READ, REQUIRED, S(oci_version), .read = read_version, .help = "1.x; another major version is an error" },
	{ "root", K_OBJECT, REQUIRED, 0, .sub = &root_table, .help = "" },
	{ "process", K_NEW, 0, S(process), .size = sizeof(struct oci_process), .sub = &process_table, .help = "`start`, `run` and `create` need it" },
	{ "hostname", K_STR, NO_NEWLINE, S(hostname), .help = "sethostname(2); needs a UTS namespace" },
	{ "domainname", K_STR, NO_NEWLINE, S(domainname), .help = "setdomainname(2); needs a UTS namespace" },
	{ "mounts", K_LIST, 0, S(mounts), S(n_mounts), sizeof(struct oci_mount), &mount_table, .help = "in their order" },
	{ "hooks", K_OBJECT, 0, 0, .sub = &hooks_table, .help = "in their order" },
	{ "annotations", K_MAP, 0, S(annotations), .help = "in the state; io.rastos.* are orders to this runtime, an unknown one is an error" },
	{ "linux", K_OBJECT, 0, 0, .sub = &linux_table, .help = "" },
	{ "solaris", K_NEVER, .help = "is for another system; this is a Linux runtime: leave it out" },
	{ "windows", K_NEVER, .help = "is for another system; this is a Linux runtime: leave it out" },
	{ "vm", K_NEVER, .help = "is for runtimes that start a virtual machine; leave it out" },
	{ "zos", K_NEVER, .help = "is for another system; this is a Linux runtime: leave it out" },
	{ "freebsd", K_NEVER, .help = "is for another system; this is a Linux runtime: leave it out" },
};

static int check_all(const struct at *o, void *to)
{
	struct oci_spec *s = to;
	int r = check_annotations(o, s);

	return r < 0 ? r : check_spec(o, s);
}
TABLE(spec, check_all);

/* What all three documents have in common: parse, walk the table, keep the arena in the struct. */
static int parse(const char *text, size_t n, const struct oci_load *how, const struct table *t, size_t size, void **ret, struct oci_arena **ret_arena, struct err *e)
{
	struct reader rd = { .file = how->file, .systemd_cgroup = how->systemd_cgroup, .e = e };
	struct at root;
	int r = reader_begin(&rd, text, n, &root);

	if (r < 0)
		return r;
	*ret = oci_alloc(rd.arena, size);
	r = *ret ? at_object(&root, t, *ret) : at_no_memory(&root);
	if (r < 0)
		arena_free(rd.arena);
	else
		*ret_arena = rd.arena;
	return r;
}

int oci_spec_parse(const char *text, size_t n, const struct oci_load *how, struct oci_spec **ret, struct err *e)
{
	struct oci_arena *arena;
	void *p;
	int r = parse(text, n, how, &spec_table, sizeof(struct oci_spec), &p, &arena, e);

	if (r >= 0) {
		*ret = p;
		(*ret)->arena = arena;
	}
	return r;
}

int oci_process_parse(const char *text, size_t n, const struct oci_load *how, struct oci_process **ret, struct err *e)
{
	struct oci_arena *arena;
	void *p;
	int r = parse(text, n, how, &process_table, sizeof(struct oci_process), &p, &arena, e);

	if (r >= 0) {
		*ret = p;
		(*ret)->arena = arena;
	}
	return r;
}

int oci_resources_parse(const char *text, size_t n, const struct oci_load *how, struct oci_resources **ret, struct err *e)
{
	struct oci_arena *arena;
	void *p;
	int r = parse(text, n, how, &resources_table, sizeof(struct oci_resources), &p, &arena, e);

	if (r >= 0) {
		*ret = p;
		(*ret)->arena = arena;
	}
	return r;
}

static int read_file(int dirfd, const char *path, const struct oci_load *how, char **text, size_t *n, struct err *e)
{
	int r = file_read(dirfd, path, FILE_MAX, text, n);

	if (r == -EFBIG)
		return err_set(e, r, "%s: is more than %u MiB; that is no container's configuration", how->file, FILE_MAX >> 20);
	return r < 0 ? err_sys(e, r, "open %s", how->file) : 0;
}

int oci_spec_load(int dirfd, const char *path, const struct oci_load *how, struct oci_spec **ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	int r = read_file(dirfd, path, how, &text, &n, e);

	return r < 0 ? r : oci_spec_parse(text, n, how, ret, e);
}

int oci_process_load(int dirfd, const char *path, const struct oci_load *how, struct oci_process **ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	int r = read_file(dirfd, path, how, &text, &n, e);

	return r < 0 ? r : oci_process_parse(text, n, how, ret, e);
}

int oci_resources_load(int dirfd, const char *path, const struct oci_load *how, struct oci_resources **ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	int r = read_file(dirfd, path, how, &text, &n, e);

	return r < 0 ? r : oci_resources_parse(text, n, how, ret, e);
}

void oci_spec_free(struct oci_spec *spec)
{
	if (spec)
		arena_free(spec->arena);
}

void oci_process_free(struct oci_process *process)
{
	if (process)
		arena_free(process->arena);
}

void oci_resources_free(struct oci_resources *resources)
{
	if (resources)
		arena_free(resources->arena);
}

void oci_spec_freep(struct oci_spec **spec)
{
	oci_spec_free(*spec);
}

void oci_process_freep(struct oci_process **process)
{
	oci_process_free(*process);
}

void oci_resources_freep(struct oci_resources **resources)
{
	oci_resources_free(*resources);
}

const char *oci_annotation(const struct oci_spec *spec, const char *key)
{
	for (size_t i = 0; i < spec->annotations.n; i++)
		if (streq(spec->annotations.v[i].key, key))
			return spec->annotations.v[i].value;
	return NULL;
}

bool oci_id_valid(const char *id)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-";
	size_t n = strlen(id);

	if (n == 0 || n > ID_MAX || strspn(id, chars) == 0)
		return false;
	for (const char *p = id; *p; p++)
		if (*p != '.' && !strchr(chars, *p))
			return false;
	return true;
}
