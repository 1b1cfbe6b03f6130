/* stage1-gate.c: the boot gate, a hook for VM snapshots.
 *
 * With rast.test-gate=NAME stage 1 stops after loading modules and before it touches the root device: it opens the virtio-serial port
 * NAME, writes "gate\n" and waits for a line, which is appended to the kernel command line (later values win over earlier ones). A VM
 * that is saved while it waits can be restored many times, each time with other rast.* arguments and another disk of the same size.
 * The longer line is bound over /proc/cmdline, so that everything that runs later in this boot sees the same arguments. The random numbers are
 * seeded anew: machines that were restored from one state would draw the same ones. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <time.h>

#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"
#include "init/console.h"
#include "init/stage1.h"

#define GATE_WAIT_MS 10000 /* for the port to appear; what comes through it may take for ever */

/* /dev/virtio-ports/NAME is udev's link; without udev the name stands in sysfs. */
static bool port_named(const char *port, const char *name)
{
	_cleanup_free_ char *text = NULL;
	char path[300];

	snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", port);
	return file_read(AT_FDCWD, path, 256, &text, NULL) == 0 && streq(str_strip(text), name);
}

static int open_port(const char *name)
{
	char path[300];
	int fd = -ENOENT;

	snprintf(path, sizeof(path), "/dev/virtio-ports/%s", name);
	fd = sys_openat(AT_FDCWD, path, O_RDWR, 0);
	_cleanup_closedir_ DIR *d = fd < 0 ? opendir("/sys/class/virtio-ports") : NULL;
	for (struct dirent *de; fd < 0 && d && (de = readdir(d));) {
		if (de->d_name[0] == '.' || !port_named(de->d_name, name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", de->d_name);
		fd = sys_openat(AT_FDCWD, path, O_RDWR, 0);
	}
	return fd;
}

/* While the host's side is not connected the port reads as end of file. */
static bool read_line(int fd, char *line, size_t size)
{
	size_t n = 0;

	while (n + 1 < size) {
		ssize_t r = sys_read(fd, line + n, 1);
		if (r == 0) {
			struct pollfd p = {.fd = fd, .events = POLLIN};
			poll(&p, 1, 20);
			nanosleep(&(struct timespec){.tv_nsec = 5 * 1000 * 1000}, NULL);
			continue;
		}
		if (r < 0)
			return false;
		if (line[n] == '\n')
			break;
		n++;
	}
	line[n] = '\0';
	return true;
}

static void publish(const char *cmdline)
{
	char text[CMDLINE_MAX + 1];
	int n = snprintf(text, sizeof(text), "%s\n", cmdline);

	mkdir("/run/rastos", 0755);
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, "/run/rastos/cmdline", O_WRONLY | O_CREAT | O_TRUNC, 0444);
	if (fd < 0 || write_all(fd, text, (size_t)n) < 0 || mount("/run/rastos/cmdline", "/proc/cmdline", NULL, MS_BIND, NULL) < 0)
		console_say("the arguments from the boot gate can't be put into /proc/cmdline: %s", strerror(errno));
}

/* The kernel mixes in what the processor's generator and virtio-rng give (drivers/char/random.c, crng_reseed); no entropy is claimed for the line. */
static void reseed(const char *line)
{
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, "/dev/urandom", O_WRONLY, 0);

	if (fd < 0 || write_all(fd, line, strlen(line)) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
		console_say("the random numbers can't be seeded anew: %s", strerror(errno));
}

void stage1_gate(struct stage1 *s)
{
	char name[128], line[CMDLINE_MAX];
	size_t len = strlen(s->cmdline);
	int fd;

	if (!cmdline_get(s->cmdline, "rast.test-gate", name, sizeof(name)))
		return;
	for (unsigned waited = 0; (fd = open_port(name)) < 0 && waited < GATE_WAIT_MS; waited += 20)
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
	if (fd < 0) {
		console_say("rast.test-gate=%s: no virtio-serial port of that name: going on without", name);
		return;
	}
	if (write_all(fd, "gate\n", 5) == 0 && read_line(fd, line, sizeof(line)))
		snprintf(s->cmdline + len, sizeof(s->cmdline) - len, " %s", line);
	reseed(s->cmdline);
	publish(s->cmdline);
	close(fd);
}
