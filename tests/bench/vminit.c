/* vminit: the initramfs of the boot benchmark, the same for every init.
 *
 * Loads the modules that /modules lists, mounts the subvolume that bench.system= on the kernel command line names, writable, from /dev/pmem0, notes the time
 * and executes that system's /sbin/init as PID 1. A second process waits until all services have been started, lets the machine
 * be idle for a while, says so in the kernel's log and runs the system's own command for switching off (/etc/bench/off). */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "page.h"

#define IDLE_SECONDS 5

static void __attribute__((noreturn)) die(const char *what) {
	printf("BENCH vminit: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void xmount(const char *src, const char *dst, const char *type, const char *data) {
	mkdir(dst, 0755);
	if (mount(src, dst, type, 0, data) < 0)
		die(dst);
}

static void wait_ms(long ms) {
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

/* The value of NAME=value among the kernel's arguments, in a static buffer; NULL. */
static const char *argument(const char *name) {
	static char line[4096];
	static char word[256];
	int fd = open("/proc/cmdline", O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
	char *save, *s;

	if (n < 0)
		die("/proc/cmdline");
	close(fd);
	line[n] = 0;
	for (s = strtok_r(line, " \n", &save); s; s = strtok_r(NULL, " \n", &save))
		if (strncmp(s, name, strlen(name)) == 0 && s[strlen(name)] == '=') {
			snprintf(word, sizeof word, "%s", s + strlen(name) + 1);
			return word;
		}
	return NULL;
}

static void load_modules(void) {
	char path[512];
	FILE *f = fopen("/modules", "re");

	if (!f)
		die("/modules");
	while (fgets(path, sizeof path, f)) {
		int fd;

		path[strcspn(path, "\n")] = 0;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST && errno != ENODEV))
			die(path);
		close(fd);
	}
	fclose(f);
}

static void mount_root(void) {
	const char *system = argument("bench.system");
	char data[300];

	if (!system)
		die("bench.system= is missing");
	for (int i = 0; access("/dev/pmem0", F_OK) < 0; i++) {
		if (i == 5000)
			die("/dev/pmem0 did not appear");
		wait_ms(2);
	}
	snprintf(data, sizeof data, "subvol=sys-%s", system);
	xmount("/dev/pmem0", "/root", "btrfs", data);
	xmount("devtmpfs", "/root/dev", "devtmpfs", "mode=0755");
	xmount("tmpfs", "/root/bench", "tmpfs", "mode=0755");
}

/* The page and the program that stamps it, where every service finds them. */
static struct bench_page *make_bench(void) {
	int in = open("/stamp", O_RDONLY | O_CLOEXEC), out = open("/root/bench/stamp", O_WRONLY | O_CREAT | O_CLOEXEC, 0755), fd;
	char buf[65536];
	struct bench_page *p;
	ssize_t n;

	if (in < 0 || out < 0)
		die("stamp");
	while ((n = read(in, buf, sizeof buf)) > 0)
		if (write(out, buf, (size_t)n) != n)
			die("stamp");
	close(in);
	close(out);
	fd = open("/root" BENCH_PAGE_PATH, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || fchmod(fd, 0666) < 0 || ftruncate(fd, sizeof *p) < 0)
		die("page");
	p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("page");
	close(fd);
	p->say = 1;
	p->target = (uint64_t)atoi(argument("bench.services") ?: "10");
	return p;
}

static void enter_root(void) {
	umount2("/proc", MNT_DETACH);
	umount2("/dev", MNT_DETACH);
	if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		die("switch to the root");
}

/* Not in the supervised tree: started before there is one. */
static void switch_off_later(struct bench_page *p) {
	int fd;

	setsid();
	while (!p->done_ns)
		wait_ms(100);
	wait_ms(IDLE_SECONDS * 1000);
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "<0>BENCH off\n", 13) < 0)
		die("/dev/kmsg");
	close(fd);
	execl("/bin/sh", "sh", "/etc/bench/off", NULL);
	die("/etc/bench/off");
}

int main(void) {
	static char *env[] = { (char *)"HOME=/", (char *)"TERM=linux", (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	struct bench_page *p;
	int fd;
	pid_t pid;

	setvbuf(stdout, NULL, _IONBF, 0);
	xmount("proc", "/proc", "proc", NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	load_modules();
	mount_root();
	p = make_bench();
	enter_root();
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		switch_off_later(p);
	fd = open("/dev/console", O_RDWR | O_NOCTTY);
	if (fd >= 0)
		for (int i = 0; i < 3; i++)
			dup2(fd, i);
	if (fd > 2)
		close(fd);
	p->begin_ns = bench_now();
	execve("/sbin/init", (char *[]){ (char *)"/sbin/init", NULL }, env);
	die("exec /sbin/init");
}
