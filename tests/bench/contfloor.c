/* contfloor.c: the least that a container can cost: the same namespaces, mounts, devices and masks as `rastrun spec` asks for, in a cgroup of its own,
 * with nothing read, checked or written down. bench-contfloor ROOTFS CGROUP-FOLDER PROGRAM. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(long r, const char *what)
{
	if (r >= 0)
		return;
	perror(what);
	_exit(1);
}

static void mounts(void)
{
	must(mount("proc", "proc", "proc", 0, NULL), "proc");
	must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"), "dev");
	must(mkdir("dev/pts", 0755), "dev/pts");
	must(mkdir("dev/shm", 0755), "dev/shm");
	must(mkdir("dev/mqueue", 0755), "dev/mqueue");
	must(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"), "devpts");
	must(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k"), "shm");
	must(mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL), "mqueue");
	must(mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, NULL), "sysfs");
	must(mount("cgroup", "sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, NULL), "cgroup");
}

static void devices(void)
{
	static const struct { const char *path; unsigned major, minor; } nodes[] = {
		{ "dev/null", 1, 3 }, { "dev/zero", 1, 5 }, { "dev/full", 1, 7 }, { "dev/tty", 5, 0 }, { "dev/random", 1, 8 }, { "dev/urandom", 1, 9 } };
	static const char *const links[][2] = { { "/proc/self/fd", "dev/fd" }, { "/proc/self/fd/0", "dev/stdin" }, { "/proc/self/fd/1", "dev/stdout" },
		{ "/proc/self/fd/2", "dev/stderr" }, { "pts/ptmx", "dev/ptmx" } };

	umask(0);
	for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++)
		must(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)), nodes[i].path);
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
		must(symlink(links[i][0], links[i][1]), links[i][1]);
}

/* What isn't there on this machine isn't masked. */
static void masks(void)
{
	static const char *const files[] = { "proc/kcore", "proc/keys", "proc/latency_stats", "proc/timer_list", "proc/timer_stats", "proc/sched_debug" };
	static const char *const folders[] = { "proc/acpi", "proc/asound", "sys/firmware", "proc/scsi" };
	static const char *const read_only[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger" };

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		(void)!mount("/dev/null", files[i], NULL, MS_BIND, NULL);
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		(void)!mount("tmpfs", folders[i], "tmpfs", MS_RDONLY, NULL);
	for (size_t i = 0; i < sizeof(read_only) / sizeof(*read_only); i++)
		if (mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL) == 0)
			must(mount(NULL, read_only[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), read_only[i]);
}

static _Noreturn void child(const char *root, char *program)
{
	char *argv[] = { program, NULL }, *env[] = { NULL };

	must(sethostname("floor", 5), "sethostname");
	must(mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL), "propagation");
	must(mount(root, root, NULL, MS_BIND | MS_REC, NULL), root);
	must(chdir(root), root);
	mounts();
	devices();
	masks();
	must(mount(NULL, ".", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), "read-only root");
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "old root");
	execve(program, argv, env);
	must(-1, program);
	_exit(1);
}

int main(int argc, char **argv)
{
	int cgroup, status;

	if (argc != 4) {
		fprintf(stderr, "usage: bench-contfloor ROOTFS CGROUP-FOLDER PROGRAM\n");
		return 2;
	}
	must(mkdir(argv[2], 0755), argv[2]);
	cgroup = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(cgroup, argv[2]);
	struct clone_args a = { .flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup };
	long pid = syscall(SYS_clone3, &a, sizeof(a));
	must(pid, "clone3");
	if (pid == 0)
		child(argv[1], argv[3]);
	must(waitpid((pid_t)pid, &status, 0), "waitpid");
	must(rmdir(argv[2]), argv[2]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
