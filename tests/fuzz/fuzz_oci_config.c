/* config.json: any bytes give a configuration in which everything holds that its header promises, or an error that begins with the file. */
#include "runtime/spec/spec.h"

#include <errno.h>
#include "base/str.h"
#include "runtime/cgroup/priv.h"
#include "tests/fuzz/fuzz.h"

static void check_strv(const struct oci_strv *v)
{
	if (!v->v) {
		MUST(v->n == 0);
		return;
	}
	MUST(!v->v[v->n]);
	for (size_t i = 0; i < v->n; i++)
		MUST(v->v[i]);
}

static bool has_dotdot(const char *path)
{
	return str_starts(path, "../") || strstr(path, "/../") || str_ends(path, "/..");
}

static void check_mounts(const struct oci_spec *s)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct oci_mount *m = &s->mounts[i];
		MUST(*m->destination == '/' && !has_dotdot(m->destination) && m->type && m->source && s->ns[OCI_NS_MOUNT].listed);
		MUST(!(m->attr_set & m->attr_clr & ~(uint64_t)0x70) && !(m->rattr_set & m->rattr_clr & ~(uint64_t)0x70)); /* only the atime mask is in both */
		MUST((m->uid_maps.n > 0) == (m->gid_maps.n > 0));
		check_strv(&m->options);
		check_strv(&m->fs_options);
		check_strv(&m->sb_options);
	}
}

static void check_linux(const struct oci_spec *s)
{
	MUST(!s->cgroups_path || !has_dotdot(s->cgroups_path));
	for (size_t i = 0; i < s->masked_paths.n; i++)
		MUST(*s->masked_paths.v[i] == '/' && !has_dotdot(s->masked_paths.v[i]));
	for (size_t i = 0; i < s->n_devices; i++)
		MUST(*s->devices[i].path == '/' && !has_dotdot(s->devices[i].path));
	for (size_t i = 0; i < s->sysctl.n; i++)
		MUST(*s->sysctl.v[i].key != '/' && !has_dotdot(s->sysctl.v[i].key));
	for (int i = 0; i < OCI_NS_N; i++)
		MUST(!s->ns[i].path || *s->ns[i].path == '/');
	if (s->resources && s->resources->n_devices > 0) {
		size_t max = s->resources->n_devices * DEVICE_RULE_INSNS + 8;
		_cleanup_free_ struct bpf_insn *insns = calloc(max, sizeof(*insns));
		MUST(device_program(s->resources->devices, s->resources->n_devices, insns, max) > 0);
	}
	if (s->cgroups_path) {
		_cleanup_free_ char *path = NULL;
		MUST(cg_path_from_systemd(s->cgroups_path, false, &path) < 0 || (*path != '/' && !has_dotdot(path)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int systemd = 0; systemd < 2; systemd++) {
		const struct oci_load how = { .file = "f", .systemd_cgroup = systemd };
		_cleanup_err_ struct err e = { 0 };
		_cleanup_oci_spec_ struct oci_spec *s = NULL;
		int r = oci_spec_parse((const char *)data, size, &how, &s, &e);
		MUST(r == 0 || ((r == -EINVAL || r == -EBADMSG) && str_starts(err_text(&e), "f:") && !s));
		if (r < 0)
			continue;
		MUST(s->oci_version && s->root_path && *s->root_path);
		if (s->process) {
			MUST(s->process->args.n > 0 && *s->process->args.v[0] && *s->process->cwd == '/');
			check_strv(&s->process->args);
			check_strv(&s->process->env);
		}
		check_mounts(s);
		check_linux(s);
	}
	return 0;
}
