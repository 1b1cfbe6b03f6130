/* nsrun: run a program as PID 1 of a machine of its own, as far as a supervisor can tell.
 *
 *   nsrun CGROUP BENCH_DIR LAYERS LOG PROGRAM [ARG...]
 *
 * LOG is as seen inside: what PID 1 prints goes there. New pid, mount, uts, ipc, net and cgroup namespaces. The root is a tmpfs; its /usr (read-only) is
 * that of LAYERS (colon-separated, first on top; "" for none) over the host's. BENCH_DIR is /bench, BENCH_DIR/etc is /etc; /run, /tmp, /var, /dev are private tmpfs;
 * CGROUP (a cgroup2 folder that the caller made) is the root of /sys/fs/cgroup, the rest of /sys and /proc/sys are read-only.
 *
 * An init run in a test container has set the machine's clock and sysctls before now: CAP_SYS_TIME, CAP_SYS_BOOT, CAP_SYS_MODULE, CAP_SYSLOG, CAP_MKNOD,
 * CAP_SYS_RAWIO are dropped from the bounding set, device nodes are private, and the console is a null device.
 *
 * Stays in the foreground as PID 1's parent; SIGTERM, SIGINT or its own death end everything inside. Exit status: PID 1's (128 + signal). */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include "page.h"

static const char *g_bench, *g_cgroup, *g_layers, *g_log;

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...) {
	int e = errno;
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "nsrun: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, ": %s\n", strerror(e));
	va_end(ap);
	_exit(125);
}

static void write_file(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die("write %s", path);
	close(fd);
}

static void xmount(const char *src, const char *dst, const char *type, unsigned long flags, const char *data) {
	mkdir(dst, 0755);
	if (mount(src, dst, type, flags, data) < 0)
		die("mount %s on %s", type ? type : src, dst);
}

static const struct { const char *path; mode_t mode; unsigned major, minor; } nodes[] = {
	{ "dev/null", 0666, 1, 3 }, { "dev/zero", 0666, 1, 5 }, { "dev/full", 0666, 1, 7 }, { "dev/random", 0666, 1, 8 }, { "dev/urandom", 0666, 1, 9 },
	{ "dev/console", 0600, 1, 3 }, { "dev/kmsg", 0600, 1, 3 }, /* stand-ins: the host's own must not be written to */
};

static void make_dev(void) {
	xmount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755");
	umask(0);
	for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++)
		if (mknod(nodes[i].path, S_IFCHR | nodes[i].mode, makedev(nodes[i].major, nodes[i].minor)) < 0)
			die("mknod %s", nodes[i].path);
	umask(022);
	mkdir("dev/pts", 0755);
	mkdir("dev/shm", 01777);
	if (symlink("/proc/self/fd", "dev/fd") < 0 || symlink("fd/0", "dev/stdin") < 0 || symlink("fd/1", "dev/stdout") < 0 || symlink("fd/2", "dev/stderr") < 0)
		die("links in /dev");
}

/* LAYERS' /usr over the host's. */
static void make_usr(void) {
	char lower[4096] = "", layers[2048];
	size_t used = 0;

	snprintf(layers, sizeof layers, "%s", g_layers);
	for (char *save, *one = strtok_r(layers, ":", &save); one; one = strtok_r(NULL, ":", &save))
		used += (size_t)snprintf(lower + used, sizeof lower - used, "%s%s/usr", used ? ":" : "lowerdir=", one);
	if (used) {
		snprintf(lower + used, sizeof lower - used, ":/usr");
		xmount("bench", "usr", "overlay", MS_RDONLY, lower);
		return;
	}
	xmount("/usr", "usr", NULL, MS_BIND, NULL);
	if (mount(NULL, "usr", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		die("read-only /usr");
}

/* The new root, assembled under /mnt of the host's view and left as the working directory. */
static void make_root(void) {
	static const char *const links[] = { "bin", "sbin", "lib", "lib64" };
	char data[4096];

	xmount("tmpfs", "/mnt", "tmpfs", 0, "mode=755");
	if (chdir("/mnt") < 0)
		die("chdir");
	for (unsigned i = 0; i < sizeof links / sizeof *links; i++) {
		snprintf(data, sizeof data, "usr/%s", links[i]);
		if (symlink(data, links[i]) < 0)
			die("/%s", links[i]);
	}
	mkdir("root", 0700);
	make_usr();
	xmount(g_bench, "bench", NULL, MS_BIND, NULL);
	snprintf(data, sizeof data, "%s/etc", g_bench);
	xmount(data, "etc", NULL, MS_BIND, NULL);
	xmount("tmpfs", "run", "tmpfs", 0, "mode=755");
	xmount("tmpfs", "tmp", "tmpfs", 0, "mode=1777");
	xmount("tmpfs", "var", "tmpfs", 0, "mode=755");
	mkdir("var/log", 0755);
	mkdir("var/lib", 0755);
	mkdir("var/tmp", 01777);
	if (symlink("/run", "var/run") < 0)
		die("/var/run");
	make_dev();
	xmount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	xmount("proc/sys", "proc/sys", NULL, MS_BIND, NULL);
	if (mount(NULL, "proc/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		die("read-only /proc/sys");
	xmount("sysfs", "sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	if (mount("cgroup2", "sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		die("mount cgroup2 on /sys/fs/cgroup");
}

static void enter_root(void) {
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		die("pivot_root");
}

static void drop_capabilities(void) {
	static const int caps[] = { CAP_SYS_TIME, CAP_SYS_BOOT, CAP_SYS_MODULE, CAP_SYSLOG, CAP_MKNOD, CAP_SYS_RAWIO };
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) < 0)
		die("capget");
	for (unsigned i = 0; i < sizeof caps / sizeof *caps; i++) {
		if (prctl(PR_CAPBSET_DROP, caps[i], 0, 0, 0) < 0)
			die("drop capability %d", caps[i]);
		d[caps[i] / 32].effective &= ~(1u << caps[i] % 32);
		d[caps[i] / 32].permitted &= ~(1u << caps[i] % 32);
		d[caps[i] / 32].inheritable &= ~(1u << caps[i] % 32);
	}
	if (syscall(SYS_capset, &h, d) < 0)
		die("capset");
}

static uint64_t cgroup_cpu_us(void) {
	char line[128];
	unsigned long long us = 0;
	FILE *f = fopen("/sys/fs/cgroup/cpu.stat", "re");

	if (!f)
		die("/sys/fs/cgroup/cpu.stat");
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "usage_usec %llu", &us) == 1)
			break;
	fclose(f);
	return us;
}

static void note_begin(void) {
	int fd = open(BENCH_PAGE_PATH, O_RDWR | O_CLOEXEC);
	struct bench_page *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die(BENCH_PAGE_PATH);
	p->begin_cpu_us = cgroup_cpu_us();
	p->begin_ns = bench_now();
}

static void redirect(void) {
	int in = open("/dev/null", O_RDONLY), out = open(g_log, O_WRONLY | O_CREAT | O_APPEND, 0644);

	if (in < 0 || out < 0)
		die("%s", g_log);
	dup2(in, 0);
	dup2(out, 1);
	dup2(out, 2);
	if (in > 2)
		close(in);
	if (out > 2)
		close(out);
}

static void __attribute__((noreturn)) child(char **argv, int go) {
	static char *env[] = { (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", (char *)"TERM=dumb", (char *)"container=rastbench", NULL };
	char path[4096], c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(go, &c, 1) != 1)
		_exit(125);
	close(go);
	snprintf(path, sizeof path, "%s/cgroup.procs", g_cgroup);
	write_file(path, "0");
	if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP) < 0)
		die("unshare");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		die("private mounts");
	make_root();
	enter_root();
	if (sethostname("bench", 5) < 0)
		die("sethostname");
	drop_capabilities();
	setsid();
	redirect();
	note_begin();
	execve(argv[0], argv, env);
	die("exec %s", argv[0]);
}

static pid_t g_child;

static void on_signal(int sig) {
	kill(g_child, SIGKILL);
}

int main(int argc, char **argv) {
	int status, go[2];

	if (argc < 6) {
		fprintf(stderr, "usage: nsrun CGROUP BENCH_DIR LAYERS LOG PROGRAM [ARG...]\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	g_cgroup = argv[1], g_bench = argv[2], g_layers = argv[3], g_log = argv[4];
	if (unshare(CLONE_NEWPID) < 0)
		die("unshare: are you root?");
	if (pipe2(go, O_CLOEXEC) < 0)
		die("pipe");
	g_child = fork();
	if (g_child < 0)
		die("fork");
	if (g_child == 0)
		child(argv + 5, go[0]);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	printf("%d\n", (int)g_child);
	fflush(stdout);
	if (write(go[1], "", 1) != 1)
		die("start");
	while (waitpid(g_child, &status, 0) < 0)
		if (errno != EINTR)
			die("wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
