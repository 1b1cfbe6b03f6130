/* blkid.c: see blkid.h. Offsets: ext4: Documentation/filesystems/ext4/super.rst; swap: union swap_header of include/linux/swap.h; xfs: xfs_format.h
 * (struct xfs_dsb); vfat: fs/fat (include/uapi/linux/msdos_fs.h, struct fat_boot_sector). */
#include "init/blkid.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "base/sys.h"
#include "init/partition.h"
#include "storage/btrfs.h"

static void uuid_text(const unsigned char *u, char text[37])
{
	static const char form[] = "xx-x-x-x-xxx"; /* x: two bytes */
	char *to = text;

	for (const char *f = form; *f; f++)
		if (*f == '-')
			*to++ = '-';
		else {
			to += sprintf(to, "%02x%02x", u[0], u[1]);
			u += 2;
		}
}

static void label_text(const unsigned char *from, size_t n, char label[257])
{
	memcpy(label, from, n);
	label[n] = '\0';
	for (size_t i = n; i > 0 && (label[i - 1] == ' ' || label[i - 1] == '\0'); i--)
		label[i - 1] = '\0';
}

static const struct {
	const char *type;
	size_t magic_at;
	const char *magic;
	size_t magic_len, uuid_at, label_at, label_len;
} kinds[] = {
	{"swap", 4086, "SWAPSPACE2", 10, 1036, 1052, 16},
	{"xfs", 0, "XFSB", 4, 32, 108, 12},
	{"ext4", 1024 + 0x38, "\x53\xef", 2, 1024 + 0x68, 1024 + 0x78, 16},
};

static bool probe_btrfs(const unsigned char *data, size_t n, struct blkid *id)
{
	struct btrfs_identity b;

	if (n < BTRFS_SUPER_OFFSET + BTRFS_SUPER_SIZE || btrfs_identify(data + BTRFS_SUPER_OFFSET, &b) < 0)
		return false;
	id->type = "btrfs";
	memcpy(id->uuid, b.uuid, sizeof(id->uuid));
	memcpy(id->label, b.label, sizeof(id->label));
	return true;
}

/* FAT32 has "FAT32   " at 82 and its serial number at 67, the others "FAT" at 54 and 39. */
static bool probe_vfat(const unsigned char *d, size_t n, struct blkid *id)
{
	size_t serial;

	if (n < 512 || d[510] != 0x55 || d[511] != 0xaa)
		return false;
	if (memcmp(d + 82, "FAT32   ", 8) == 0)
		serial = 67;
	else if (memcmp(d + 54, "FAT", 3) == 0)
		serial = 39;
	else
		return false;
	id->type = "vfat";
	snprintf(id->uuid, sizeof(id->uuid), "%02X%02X-%02X%02X", d[serial + 3], d[serial + 2], d[serial + 1], d[serial]);
	label_text(d + serial + 4, 11, id->label);
	return true;
}

int blkid_probe(const unsigned char *data, size_t n, struct blkid *id)
{
	memset(id, 0, sizeof(*id));
	if (probe_btrfs(data, n, id))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (n < 4096 || memcmp(data + kinds[i].magic_at, kinds[i].magic, kinds[i].magic_len) != 0)
			continue;
		id->type = kinds[i].type;
		uuid_text(data + kinds[i].uuid_at, id->uuid);
		label_text(data + kinds[i].label_at, kinds[i].label_len, id->label);
		return 0;
	}
	return probe_vfat(data, n, id) ? 0 : -ENOENT;
}

static int probe_device(const char *path, struct blkid *id)
{
	static unsigned char data[BLKID_BYTES];
	size_t len = 0;
	ssize_t n;

	_cleanup_close_ int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	while (len < sizeof(data) && (n = sys_pread(fd, data + len, sizeof(data) - len, (off_t)len)) > 0)
		len += (size_t)n;
	return blkid_probe(data, len, id);
}

static bool search(bool by_uuid, const char *value, char *path, size_t size, const char **type)
{
	_cleanup_closedir_ DIR *d = opendir("/sys/class/block");

	for (struct dirent *de; d && (de = readdir(d));) {
		struct blkid id;
		snprintf(path, size, "/dev/%s", de->d_name);
		if (de->d_name[0] == '.' || probe_device(path, &id) < 0)
			continue;
		if (by_uuid ? strcasecmp(id.uuid, value) == 0 : streq(id.label, value)) {
			if (type)
				*type = id.type;
			return true;
		}
	}
	return false;
}

bool blkid_resolve(const char *source, char *path, size_t size, const char **type)
{
	struct blkid id;

	if (str_starts(source, "UUID="))
		return search(true, source + 5, path, size, type);
	if (str_starts(source, "LABEL="))
		return search(false, source + 6, path, size, type);
	bool by_uuid = str_starts(source, "PARTUUID=");
	if (!by_uuid && !str_starts(source, "PARTLABEL="))
		snprintf(path, size, "%s", source);
	else if (!partition_find(by_uuid, strchr(source, '=') + 1, path, size))
		return false;
	if (access(path, F_OK) < 0)
		return false;
	if (type)
		*type = probe_device(path, &id) == 0 ? id.type : NULL;
	return true;
}
