/* btrfs.c: see btrfs.h */
#include "storage/btrfs.h"

#include <btrfsutil.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"

enum { SUPER_FSID = 0x20, SUPER_MAGIC = 0x40, SUPER_NUM_DEVICES = 0x88, SUPER_LABEL = 0x12b, SUPER_LABEL_SIZE = 256 };

int btrfs_identify(const void *super, struct btrfs_identity *id)
{
	const unsigned char *s = super, *u = s + SUPER_FSID;

	if (memcmp(s + SUPER_MAGIC, "_BHRfS_M", 8) != 0)
		return -EBADMSG;
	snprintf(id->uuid, sizeof(id->uuid), "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4],
		u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
	memcpy(id->label, s + SUPER_LABEL, SUPER_LABEL_SIZE);
	id->label[SUPER_LABEL_SIZE] = '\0';
	memcpy(&id->n_devices, s + SUPER_NUM_DEVICES, sizeof(id->n_devices));
	return 0;
}

int btrfs_identify_device(const char *path, struct btrfs_identity *id)
{
	unsigned char super[BTRFS_SUPER_SIZE];
	ssize_t n;

	_cleanup_close_ int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	n = sys_pread(fd, super, sizeof(super), BTRFS_SUPER_OFFSET);
	if (n < 0)
		return (int)n;
	return n == sizeof(super) ? btrfs_identify(super, id) : -EBADMSG;
}

/* "snapshot-12" -> 12; anything else, "snapshot-012" and numbers beyond 32 bits included, is not a snapshot of ours. */
static bool snapshot_number(const char *name, uint32_t *ret)
{
	static const char prefix[] = "snapshot-";
	const char *digits = name + sizeof(prefix) - 1;
	uint64_t v;

	if (!str_starts(name, prefix) || *digits < '0' || *digits > '9' || (*digits == '0' && digits[1]))
		return false;
	if (parse_u64(digits, &v) < 0 || v >= UINT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

/* Insert in ascending order; when full, the lowest goes: the newest snapshots are the ones worth booting. */
static unsigned keep_sorted(uint32_t *v, unsigned n, unsigned max, uint32_t x)
{
	unsigned i;

	if (n == max) {
		if (max == 0 || x < v[0])
			return n;
		memmove(v, v + 1, (n - 1) * sizeof(v[0]));
		n--;
	}
	for (i = n; i > 0 && v[i - 1] > x; i--)
		v[i] = v[i - 1];
	v[i] = x;
	return n + 1;
}

int btrfs_list_snapshots(int topfd, uint32_t *ret, unsigned max, struct err *e)
{
	unsigned n = 0;
	uint32_t number;

	int fd = sys_openat(topfd, BTRFS_SNAPSHOTS, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return err_sys(e, fd, "open " BTRFS_SNAPSHOTS " on the root device");
	_cleanup_closedir_ DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return err_sys(e, -ENOMEM, "read " BTRFS_SNAPSHOTS);
	}
	for (struct dirent *de; (de = readdir(d));)
		if (snapshot_number(de->d_name, &number))
			n = keep_sorted(ret, n, max, number);
	return (int)n;
}

bool btrfs_is_subvolume(int topfd, const char *path)
{
	_cleanup_close_ int fd = sys_openat(topfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	return fd >= 0 && btrfs_util_is_subvolume_fd(fd) == BTRFS_UTIL_OK;
}
