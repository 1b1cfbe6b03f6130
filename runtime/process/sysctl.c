/* sysctl.c: linux.sysctl: only what belongs to a namespace that the container has for itself; everything else would be the host's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/str.h"
#include "runtime/proc/proc.h"
#include "runtime/process/process.h"

/* Documentation/admin-guide/sysctl: what is kept per namespace. A key that ends in '.' is a beginning. */
static const struct { const char *key; enum oci_ns_kind ns; } namespaced[] = {
	{ "kernel.msgmax", OCI_NS_IPC }, { "kernel.msgmnb", OCI_NS_IPC }, { "kernel.msgmni", OCI_NS_IPC }, { "kernel.msg_next_id", OCI_NS_IPC },
	{ "kernel.sem", OCI_NS_IPC }, { "kernel.sem_next_id", OCI_NS_IPC }, { "kernel.shmall", OCI_NS_IPC }, { "kernel.shmmax", OCI_NS_IPC },
	{ "kernel.shmmni", OCI_NS_IPC }, { "kernel.shm_next_id", OCI_NS_IPC }, { "kernel.shm_rmid_forced", OCI_NS_IPC },
	{ "kernel.auto_msgmni", OCI_NS_IPC }, { "fs.mqueue.", OCI_NS_IPC },
	{ "kernel.hostname", OCI_NS_UTS }, { "kernel.domainname", OCI_NS_UTS },
	{ "net.", OCI_NS_NETWORK },
	{ "user.", OCI_NS_USER },
};

/* "net.ipv4.conf.eth0/1.rp_filter" -> "sys/net/ipv4/conf/eth0.1/rp_filter", as sysctl(8) reads keys; a key that has slashes first is a path. */
static int key_path(const char *key, char *buf, size_t size)
{
	char sep = key[strcspn(key, "./")];
	int n = snprintf(buf, size, "sys/%s", key);

	if (n < 0 || (size_t)n >= size)
		return -ENAMETOOLONG;
	for (char *p = buf + strlen("sys/"); sep == '.' && *p; p++)
		*p = (char)(*p == '.' ? '/' : *p == '/' ? '.' : *p);
	for (const char *p = buf; *p; p += strcspn(p, "/"), p += *p == '/')
		if (strcspn(p, "/") == 0 || (strncmp(p, "..", 2) == 0 && strcspn(p, "/") == 2))
			return -EINVAL;
	return 0;
}

static const char *dotted(const char *key, char *buf, size_t size)
{
	if (key[strcspn(key, "./")] != '/')
		return key;
	snprintf(buf, size, "%s", key);
	for (char *p = buf; *p; p++)
		if (*p == '/')
			*p = '.';
	return buf;
}

static bool conflicts(const char *name, const char *key, const char *value, const char *configured)
{
	return configured && streq(name, key) && !streq(value, configured);
}

static int check_one(const struct oci_spec *spec, const char *key, const char *value, struct err *e)
{
	char path[256], text[256];
	const char *name;

	if (key_path(key, path, sizeof(path)) < 0)
		return err_set(e, -EINVAL, "linux.sysctl: '%s' is no name of a sysctl", key);
	name = dotted(key, text, sizeof(text));
	if (conflicts(name, "kernel.hostname", value, spec->hostname) || conflicts(name, "kernel.domainname", value, spec->domainname))
		return err_set(e, -EINVAL, "linux.sysctl: '%s' conflicts with the configuration's %s; leave one of them out", name, name + strlen("kernel."));
	for (size_t i = 0; i < ARRAY_SIZE(namespaced); i++) {
		const char *k = namespaced[i].key;
		if (!(str_ends(k, ".") ? str_starts(name, k) : streq(name, k)))
			continue;
		if (spec->ns[namespaced[i].ns].listed)
			return 0;
		return err_set(e, -EINVAL, "linux.sysctl: '%s' would be the host's: the container has no %s namespace of its own", key, oci_ns_name(namespaced[i].ns));
	}
	return err_set(e, -EINVAL, "linux.sysctl: '%s' is not in a separate kernel namespace: it would be the host's", key);
}

int sysctl_check(const struct oci_spec *spec, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < spec->sysctl.n; i++)
		r = check_one(spec, spec->sysctl.v[i].key, spec->sysctl.v[i].value, e);
	return r;
}

int sysctl_apply(const struct oci_spec *spec, int procfd, struct err *e)
{
	for (size_t i = 0; i < spec->sysctl.n; i++) {
		char path[256];
		int r = key_path(spec->sysctl.v[i].key, path, sizeof(path));
		if (r == 0)
			r = procfs_write(procfd, path, spec->sysctl.v[i].value);
		if (r < 0)
			return err_sys(e, r, "linux.sysctl: %s = %s", spec->sysctl.v[i].key, spec->sysctl.v[i].value);
	}
	return 0;
}
