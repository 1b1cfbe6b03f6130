/* protect.c: nobody in a container writes the host's rastrun (CVE-2019-5736).
 *
 * A container can make us execute ourselves (an entry point of "#!/proc/self/exe") and then open /proc/PID/exe for writing when we have ended. The
 * descriptor that it gets refers to the mount that we were executed from: so we execute ourselves from a detached, read-only clone of
 * that mount, which nobody can make writable again. It costs one execve and no copy. Where that isn't allowed (an ordinary user) and the file could
 * be written by who we are, a sealed copy in memory does. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/cli/cli.h"
#include "runtime/mount/mount.h"

extern char **environ;

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static bool on_read_only_mount(void)
{
	struct statfs fs;

	return statfs("/proc/self/exe", &fs) == 0 && fs.f_flags & ST_RDONLY;
}

static bool is_sealed(int exe)
{
	int seals = fcntl(exe, F_GET_SEALS);

	return seals >= 0 && (seals & SEALS) == SEALS;
}

/* An ordinary user's container has no rights over a file of root's that others may not write. */
static bool is_out_of_reach(int exe)
{
	struct stat st;

	return fstat(exe, &st) == 0 && st.st_uid == 0 && !(st.st_mode & 022);
}

static int read_only_clone(void)
{
	_cleanup_close_ int tree = mnt_clone(AT_FDCWD, "/proc/self/exe", 0);
	int r = tree < 0 ? tree : mnt_set(tree, MOUNT_ATTR_RDONLY, 0, 0, -1, false);

	return r < 0 ? r : take_fd(&tree);
}

static int sealed_copy(int exe)
{
	_cleanup_close_ int copy = memfd_create("rastrun", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct stat st;

	if (copy < 0 || fstat(exe, &st) < 0)
		return -errno;
	for (off_t done = 0; done < st.st_size;) {
		ssize_t n = sendfile(copy, exe, NULL, (size_t)(st.st_size - done));
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += n;
	}
	return fcntl(copy, F_ADD_SEALS, SEALS) < 0 ? -errno : take_fd(&copy);
}

static int copy_of_ordinary_user(void)
{
	_cleanup_close_ int exe = sys_openat(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0);

	if (exe < 0)
		return exe;
	return is_sealed(exe) || is_out_of_reach(exe) ? 0 : sealed_copy(exe);
}

int protect_self(char **argv, struct err *e)
{
	int fd;

	if (on_read_only_mount())
		return 0;
	fd = read_only_clone();
	if (fd < 0)
		fd = copy_of_ordinary_user();
	if (fd <= 0)
		return fd == 0 ? 0 : err_sys(e, fd, "protecting the runtime's own file");
	execveat(fd, "", argv, environ, AT_EMPTY_PATH);
	return err_sys(e, -errno, "executing the runtime from its protected copy");
}
