/* proc.c: facts about processes from proc(5). */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include "base/str.h"
#include "base/sys.h"

/* A short file of /proc/PID in buf, NUL-terminated. -ESRCH when there is no such process. */
static int read_proc(pid_t pid, const char *file, char *buf, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (fd < 0)
		return fd == -ENOENT ? -ESRCH : fd;
	n = sys_read(fd, buf, size - 1);
	if (n < 0)
		return (int)n;
	buf[n] = 0;
	return 0;
}

/* Field number `field` (from 3 on) of /proc/PID/stat. The second, the command, may hold anything, ") 1 (" too: count from the last ')'. */
static int stat_field(pid_t pid, int field, uint64_t *ret)
{
	char buf[1024], *p;
	int r = read_proc(pid, "stat", buf, sizeof(buf));

	if (r < 0)
		return r;
	p = strrchr(buf, ')');
	for (int i = 2; p && i < field; i++) {
		p = strchr(p, ' ');
		if (p)
			p++;
	}
	if (!p)
		return -EBADMSG;
	p[strcspn(p, " \n")] = 0;
	return parse_u64(p, ret);
}

int proc_start_time(pid_t pid, uint64_t *ret_ticks)
{
	return stat_field(pid, 22, ret_ticks);
}

int proc_parent(pid_t pid, pid_t *ret)
{
	uint64_t parent;
	int r = stat_field(pid, 4, &parent);

	if (r >= 0)
		*ret = (pid_t)parent;
	return r;
}

int proc_comm(pid_t pid, char buf[64])
{
	int r = read_proc(pid, "comm", buf, 64);

	if (r >= 0)
		buf[strcspn(buf, "\n")] = 0;
	return r;
}

int proc_cgroup(pid_t pid, char *buf, size_t size)
{
	char text[8192], *save = NULL;
	int r = read_proc(pid, "cgroup", text, sizeof(text));

	if (r < 0)
		return r;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!str_starts(line, "0::"))
			continue;
		size_t n = strlen(line + 3);
		if (n >= size)
			return -ENAMETOOLONG;
		memcpy(buf, line + 3, n + 1);
		return 0;
	}
	return -ENODATA;
}

/* Is /proc/self/ns/NAME the namespace with this inode number, and really one (not a file that somebody put there)? */
static bool is_namespace(const char *path, ino_t inode)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct statfs fs;
	struct stat st;

	return fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC && fstat(fd, &st) == 0 && st.st_ino == inode;
}

bool proc_is_machine_init(void)
{
	return getpid() == 1 && is_namespace("/proc/self/ns/pid", 0xEFFFFFFC) && is_namespace("/proc/self/ns/user", 0xEFFFFFFD) &&
	       is_namespace("/proc/self/ns/cgroup", 0xEFFFFFFB);
}
