/* stage1-device.c: wait for the root device.
 *
 * The kernel makes the node in /dev before it sends the device's uevent (drivers/base/core.c, device_add), so: look, then sleep until
 * the next uevent, look again. Without that socket we look every quarter of a second. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/str.h"
#include "base/sys.h"
#include "init/console.h"
#include "init/partition.h"
#include "init/stage1.h"
#include "storage/btrfs.h"

#define DEFAULT_TIMEOUT 30
#define UEVENT_KERNEL_GROUP 1
#define BLIND_POLL_MS 250

enum how { BY_PATH, BY_UUID, BY_LABEL, BY_PARTUUID, BY_PARTLABEL };
#define FORMS "/dev/..., UUID=..., LABEL=..., PARTUUID=... or PARTLABEL=..."

struct wanted {
	enum how how;
	char what[256]; /* as given, for messages */
	const char *value;
};

typedef bool (*device_cb)(const char *path, const struct btrfs_identity *id /* NULL: not a btrfs */, void *data);

static const struct {
	const char *prefix;
	enum how how;
} forms[] = {
	{"UUID=", BY_UUID},		   {"LABEL=", BY_LABEL},
	{"PARTUUID=", BY_PARTUUID},	   {"PARTLABEL=", BY_PARTLABEL},
	{"/dev/disk/by-uuid/", BY_UUID},	   {"/dev/disk/by-label/", BY_LABEL}, /* udev's links, without udev */
	{"/dev/disk/by-partuuid/", BY_PARTUUID}, {"/dev/disk/by-partlabel/", BY_PARTLABEL},
};

static int wanted_from(const struct stage1 *s, struct wanted *w, struct err *e)
{
	if (!cmdline_get(s->cmdline, "rast.root", w->what, sizeof(w->what)) && !cmdline_get(s->cmdline, "root", w->what, sizeof(w->what)))
		return err_set(e, -EINVAL, "the kernel command line names no root device: give rast.root=" FORMS);
	w->how = BY_PATH;
	w->value = w->what;
	for (unsigned i = 0; i < ARRAY_SIZE(forms) && w->how == BY_PATH; i++)
		if (str_starts(w->what, forms[i].prefix)) {
			w->how = forms[i].how;
			w->value += strlen(forms[i].prefix);
		}
	if ((w->how == BY_PATH && w->what[0] != '/') || !*w->value)
		return err_set(e, -EINVAL, "rast.root=%s is not understood: give " FORMS, w->what);
	return 0;
}

/* Every block device with a node in /dev; ends when cb returns true. */
static bool each_device(device_cb cb, void *data)
{
	_cleanup_closedir_ DIR *d = opendir("/sys/class/block");

	for (struct dirent *de; d && (de = readdir(d));) {
		struct btrfs_identity id;
		char path[300];
		if (de->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/dev/%s", de->d_name);
		for (char *c = path + 5; *c; c++) /* "cciss!c0d0" in sysfs is cciss/c0d0 in /dev */
			if (*c == '!')
				*c = '/';
		if (cb(path, btrfs_identify_device(path, &id) == 0 ? &id : NULL, data))
			return true;
	}
	return false;
}

/* A btrfs on several devices can only be mounted when the kernel has been told of each. */
static void announce_devices(void)
{
	_cleanup_closedir_ DIR *d = opendir("/sys/class/block");
	_cleanup_close_ int control = sys_openat(AT_FDCWD, "/dev/btrfs-control", O_RDWR, 0);

	for (struct dirent *de; control >= 0 && d && (de = readdir(d));) {
		struct btrfs_ioctl_vol_args args = {0};
		struct btrfs_identity id;
		snprintf(args.name, sizeof(args.name), "/dev/%.255s", de->d_name);
		if (de->d_name[0] != '.' && btrfs_identify_device(args.name, &id) == 0)
			(void)ioctl(control, BTRFS_IOC_SCAN_DEV, &args);
	}
}

struct search {
	const struct wanted *w;
	struct stage1 *s;
	uint64_t n_devices;
};

static bool matches(const char *path, const struct btrfs_identity *id, void *data)
{
	struct search *q = data;

	if (!id || (q->w->how == BY_UUID ? strcasecmp(id->uuid, q->w->value) != 0 : strcmp(id->label, q->w->value) != 0))
		return false;
	snprintf(q->s->device, sizeof(q->s->device), "%s", path);
	q->n_devices = id->n_devices;
	return true;
}

static bool find(struct search *q)
{
	char *device = q->s->device;
	struct btrfs_identity id;
	struct stat st;

	if (q->w->how == BY_UUID || q->w->how == BY_LABEL)
		return each_device(matches, q);
	if (q->w->how == BY_PATH)
		snprintf(device, sizeof(q->s->device), "%s", q->w->value);
	else if (!partition_find(q->w->how == BY_PARTUUID, q->w->value, device, sizeof(q->s->device)))
		return false;
	if (stat(device, &st) < 0 || !S_ISBLK(st.st_mode))
		return false;
	q->n_devices = btrfs_identify_device(device, &id) == 0 ? id.n_devices : 1;
	return true;
}

static int uevent_socket(void)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = UEVENT_KERNEL_GROUP};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void wait_for_event(int fd, uint64_t deadline)
{
	uint64_t now = now_us();
	int ms = now >= deadline ? 0 : (int)MIN((deadline - now) / 1000 + 1, (uint64_t)INT32_MAX);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[8192];

	poll(&p, fd >= 0 ? 1 : 0, fd >= 0 ? ms : MIN(ms, BLIND_POLL_MS));
	while (fd >= 0 && recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static bool describe(const char *path, const struct btrfs_identity *id, void *data)
{
	struct stage1 *s = data;

	if (str_starts(path, "/dev/ram") || str_starts(path, "/dev/loop"))
		return false;
	if (id)
		stage1_reason(s, "there is %s: btrfs, UUID=%s LABEL=%s", path, id->uuid, id->label);
	else
		stage1_reason(s, "there is %s: not a btrfs", path);
	return false;
}

int stage1_find_root(struct stage1 *s, struct err *e)
{
	struct wanted w;
	struct search q = {.w = &w, .s = s};
	uint64_t seconds = cmdline_seconds(s->cmdline, "rast.root-timeout", DEFAULT_TIMEOUT);
	uint64_t deadline = now_us() + seconds * 1000000;
	bool said = false;
	int r;

	r = wanted_from(s, &w, e);
	if (r < 0)
		return r;
	_cleanup_close_ int uevents = uevent_socket(); /* before the first look: nothing that comes in between is missed */
	while (!find(&q)) {
		if (now_us() >= deadline) {
			each_device(describe, s);
			return err_set(e, -ETIMEDOUT,
				"root device %s did not appear within %llu s; is the name right (rast.root=), and is its driver in the initramfs?", w.what,
				(unsigned long long)seconds);
		}
		if (!said)
			console_say("waiting up to %llu s for root device %s", (unsigned long long)seconds, w.what);
		said = true;
		wait_for_event(uevents, deadline);
	}
	if (q.n_devices > 1)
		announce_devices();
	return 0;
}
