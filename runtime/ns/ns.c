/* ns.c: see ns.h; namespaces(7), time_namespaces(7). */
#include "runtime/ns/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/proc/proc.h"

int ns_open(enum oci_ns_kind kind, const char *path, int *ret, struct err *e)
{
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0);
	struct stat a, b;
	char own[64];
	int type;

	*ret = -1;
	if (fd < 0)
		return err_sys(e, fd, "linux.namespaces: %s namespace %s", oci_ns_name(kind), path);
	type = ioctl(fd, NS_GET_NSTYPE);
	if (type < 0 || type != oci_ns_clone_flag(kind))
		return err_set(e, -EINVAL, "linux.namespaces: %s is no %s namespace", path, oci_ns_name(kind));
	snprintf(own, sizeof(own), "/proc/self/ns/%s", oci_ns_proc_name(kind));
	if (fstat(fd, &a) == 0 && stat(own, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev)
		return 0;
	*ret = take_fd(&fd);
	return 0;
}

/* The machine's first user namespace has a fixed inode number (include/linux/proc_ns.h). */
bool ns_in_user_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/user", &st) == 0 && st.st_ino != 0xEFFFFFFDu;
}

int ns_write_time_offsets(const struct oci_time_offset *v, size_t n, int procfd, struct err *e)
{
	char text[256];
	size_t used = 0;

	for (size_t i = 0; i < n && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%d %" PRId64 " %" PRIu32 "\n", v[i].clock, v[i].secs, v[i].nanosecs);
	if (used >= sizeof(text))
		return err_set(e, -E2BIG, "linux.timeOffsets");
	int r = procfs_write(procfd, "self/timens_offsets", text);
	return r < 0 ? err_sys(e, r, "linux.timeOffsets") : 0;
}

int ns_loopback_up(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}
