/* default.c: the config.json that `spec` writes: the same container as runc's. */
#include "runtime/spec/read.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "base/str.h"

/* ' stands for ". */
static const char text[] =
"{'ociVersion':'" OCI_VERSION_MAX "',"
"'process':{'terminal':true,'user':{'uid':0,'gid':0},'args':['sh'],"
	"'env':['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin','TERM=xterm'],'cwd':'/',"
	"'capabilities':{'bounding':['CAP_AUDIT_WRITE','CAP_KILL','CAP_NET_BIND_SERVICE'],"
		"'effective':['CAP_AUDIT_WRITE','CAP_KILL','CAP_NET_BIND_SERVICE'],"
		"'permitted':['CAP_AUDIT_WRITE','CAP_KILL','CAP_NET_BIND_SERVICE']},"
	"'rlimits':[{'type':'RLIMIT_NOFILE','hard':1024,'soft':1024}],'noNewPrivileges':true},"
"'root':{'path':'rootfs','readonly':true},'hostname':'rastrun',"
"'mounts':["
	"{'destination':'/proc','type':'proc','source':'proc'},"
	"{'destination':'/dev','type':'tmpfs','source':'tmpfs','options':['nosuid','strictatime','mode=755','size=65536k']},"
	"{'destination':'/dev/pts','type':'devpts','source':'devpts','options':['nosuid','noexec','newinstance','ptmxmode=0666','mode=0620','gid=5']},"
	"{'destination':'/dev/shm','type':'tmpfs','source':'shm','options':['nosuid','noexec','nodev','mode=1777','size=65536k']},"
	"{'destination':'/dev/mqueue','type':'mqueue','source':'mqueue','options':['nosuid','noexec','nodev']},"
	"{'destination':'/sys','type':'sysfs','source':'sysfs','options':['nosuid','noexec','nodev','ro']},"
	"{'destination':'/sys/fs/cgroup','type':'cgroup','source':'cgroup','options':['nosuid','noexec','nodev','relatime','ro']}],"
"'linux':{'resources':{'devices':[{'allow':false,'access':'rwm'}]},"
	"'namespaces':[{'type':'pid'},{'type':'network'},{'type':'ipc'},{'type':'uts'},{'type':'mount'},{'type':'cgroup'}],"
	"'maskedPaths':['/proc/acpi','/proc/asound','/proc/kcore','/proc/keys','/proc/latency_stats','/proc/timer_list','/proc/timer_stats',"
		"'/proc/sched_debug','/sys/firmware','/proc/scsi'],"
	"'readonlyPaths':['/proc/bus','/proc/fs','/proc/irq','/proc/sys','/proc/sysrq-trigger']}}";

static json_t *parse(const char *quoted)
{
	_cleanup_free_ char *s = strdup(quoted);

	for (char *p = s; p && *p; p++)
		*p = *p == '\'' ? '"' : *p;
	return s ? json_loads(s, 0, NULL) : NULL;
}

static bool starts_with(const json_t *s, const char *prefix)
{
	return str_starts(json_string_value(s), prefix);
}

/* What an ordinary user can't have: owners by other ids than his, a sysfs and cgroup mount of his own (his is the host's network namespace). */
static int rootless_mounts(json_t *mounts)
{
	json_t *sys = parse("{'destination':'/sys','type':'none','source':'/sys','options':['rbind','nosuid','noexec','nodev','ro']}");

	for (size_t i = 0; i < json_array_size(mounts);) {
		json_t *m = json_array_get(mounts, i), *options = json_object_get(m, "options");
		if (starts_with(json_object_get(m, "destination"), "/sys")) {
			json_array_remove(mounts, i);
			continue;
		}
		for (size_t k = 0; k < json_array_size(options);)
			if (starts_with(json_array_get(options, k), "gid=") || starts_with(json_array_get(options, k), "uid="))
				json_array_remove(options, k);
			else
				k++;
		i++;
	}
	return json_array_append_new(mounts, sys);
}

static int make_rootless(json_t *root)
{
	json_t *linux_ = json_object_get(root, "linux"), *namespaces = json_object_get(linux_, "namespaces");

	for (size_t i = 0; i < json_array_size(namespaces); i++)
		if (starts_with(json_object_get(json_array_get(namespaces, i), "type"), "network"))
			json_array_remove(namespaces, i--);
	if (json_array_append_new(namespaces, json_pack("{s:s}", "type", "user")) < 0 ||
	    json_object_set_new(linux_, "uidMappings", json_pack("[{s:i, s:I, s:i}]", "containerID", 0, "hostID", (json_int_t)geteuid(), "size", 1)) < 0 ||
	    json_object_set_new(linux_, "gidMappings", json_pack("[{s:i, s:I, s:i}]", "containerID", 0, "hostID", (json_int_t)getegid(), "size", 1)) < 0)
		return -ENOMEM;
	(void)json_object_del(linux_, "resources");
	return rootless_mounts(json_object_get(root, "mounts"));
}

int oci_spec_default(bool rootless, char **ret)
{
	json_auto_t *root = parse(text);

	if (!root || (rootless && make_rootless(root) < 0))
		return -ENOMEM;
	*ret = json_dumps(root, JSON_INDENT(4));
	return *ret ? 0 : -ENOMEM;
}
