/* What PID 1 and stage 1 read: kernel command line, depmod's indexes, sysctl and fstab lines, mountinfo, superblocks. First byte: which. */
#include <sys/mman.h>
#include <unistd.h>
#include "base/str.h"
#include "init/blkid.h"
#include "init/cmdline.h"
#include "init/fstab.h"
#include "init/machineid.h"
#include "init/modules.h"
#include "init/mountinfo.h"
#include "init/partition.h"
#include "init/sysctl.h"
#include "tests/fuzz/fuzz.h"

static void ignore(const char *text, void *unused)
{
	MUST(strncmp(text, "rast.", 5) == 0);
}

static void cmdline(char *text)
{
	const char *end = text + strlen(text), *pos = text;
	struct cmdline_arg a;
	char buf[16];

	while (cmdline_next(&pos, &a)) {
		MUST(pos > text && pos <= end && a.key >= text && a.key + a.key_len <= end);
		MUST(!a.value || (a.value >= a.key && a.value + a.value_len <= end));
	}
	if (cmdline_get(text, "rast.root", buf, sizeof(buf)))
		MUST(strlen(buf) < sizeof(buf));
	(void)cmdline_has(text, "single");
	(void)cmdline_seconds(text, "a", 3);
	cmdline_check(text, ignore, NULL);
}

static void modules(char *text)
{
	char name[MODULE_NAME_MAX];
	struct span paths[8], rest = {0};
	int n = modules_dep_find(text, "btrfs", paths, 8);

	for (int i = 0; i < n; i++)
		MUST(paths[i].s >= text && paths[i].s + paths[i].n <= text + strlen(text) && paths[i].n > 0);
	for (const char *pos = text; modules_alias_next(&pos, "virtio:d00000002v00001AF4", name);)
		MUST(strlen(name) > 0 && !strchr(name, '-'));
	for (const char *pos = text; modules_softdep_next(&pos, "btrfs", &rest, name);)
		MUST(strlen(name) > 0);
	(void)modules_builtin_has(text, "btrfs");
}

static void sysctl(char *text)
{
	struct sysctl_line l;

	if (sysctl_parse(text, &l) == 1)
		MUST(*l.key && *l.key != '/' && strncmp(l.key, "../", 3) != 0 && !strstr(l.key, "/../"));
}

static void mounts(char *text)
{
	struct mount_line m[4];
	_cleanup_free_ char *copy = strdup(text);
	unsigned n = fstab_parse(text, m, 4);

	MUST(n <= 4);
	for (unsigned i = 0; i < n; i++)
		MUST(*m[i].source && *m[i].target && *m[i].type && *m[i].options);
	n = copy ? mountinfo_parse(copy, m, 4) : 0;
	for (unsigned i = 0; i < n; i++)
		MUST(strlen(m[i].target) + strlen(m[i].type) + strlen(m[i].source) > 0);
}

static void options(char *text)
{
	struct fstab_options o;

	if (fstab_options_parse(text, &o) == 0)
		MUST(strlen(o.data) < sizeof(o.data) && o.priority >= -1);
}

/* The number of an entry, where it should begin, then the disk. */
static void partition(const uint8_t *data, size_t size)
{
	static int disk = -1;
	struct partition p;

	if (disk < 0)
		disk = memfd_create("disk", MFD_CLOEXEC);
	if (size < 2 || disk < 0 || ftruncate(disk, 0) < 0 || pwrite(disk, data + 2, size - 2, 0) != (ssize_t)size - 2)
		return;
	for (unsigned block = 512; block <= 4096; block *= 8)
		if (partition_read(disk, block, data[0], data[1], &p) == 0)
			MUST(strlen(p.uuid) < sizeof(p.uuid) && *p.uuid && strlen(p.label) < sizeof(p.label));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(char *) = {cmdline, modules, sysctl, mounts, options};
	_cleanup_free_ char *text = NULL;
	struct blkid id;

	if (size == 0)
		return 0;
	if (data[0] >= 0xf0) {
		partition(data + 1, size - 1);
		return 0;
	}
	if (data[0] % 6 == 5) {
		if (blkid_probe(data + 1, size - 1, &id) == 0)
			MUST(id.type && strlen(id.uuid) < sizeof(id.uuid));
		(void)machineid_valid((const char *)data + 1, size - 1);
		return 0;
	}
	text = strndup((const char *)data + 1, size - 1);
	if (text)
		parsers[data[0] % 6](text);
	return 0;
}
