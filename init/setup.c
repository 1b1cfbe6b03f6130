/* setup.c: the child that prepares the machine before the supervisor starts. It may allocate and take its time: PID 1 waits for it with a deadline. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "config.h"
#include "init/conffiles.h"
#include "init/fstab.h"
#include "init/machineid.h"
#include "init/modules.h"
#include "init/pid1.h"
#include "init/seed.h"
#include "init/sysctl.h"

/* A clock that says less than what is on the disk already lost its battery: forward to that, never backwards. */
static void fix_clock(const struct pid1 *p)
{
	static const char *const witnesses[] = {SEED_PATH, RAST_LIBDIR "/rastinit", "/etc/machine-id"};
	struct timespec latest = {0}, now;
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(witnesses); i++)
		if (stat(witnesses[i], &st) == 0 && st.st_mtim.tv_sec > latest.tv_sec)
			latest = st.st_mtim;
	if (clock_gettime(CLOCK_REALTIME, &now) < 0 || now.tv_sec >= latest.tv_sec)
		return;
	if (clock_settime(CLOCK_REALTIME, &latest) == 0)
		log_notice("the clock was %lld s behind what is on the disk: set forward", (long long)(latest.tv_sec - now.tv_sec));
}

static void set_hostname(const struct pid1 *p)
{
	_cleanup_free_ char *text = NULL;
	char name[65] = "localhost", now[65] = "";
	char *rest, *line;

	if (file_read(AT_FDCWD, "/etc/hostname", 4096, &text, NULL) < 0) {
		if (gethostname(now, sizeof(now)) == 0 && *now && !streq(now, "(none)"))
			return; /* ip=::::NAME of the kernel command line, or a container's runtime */
	}
	for (rest = text; rest && (line = strsep(&rest, "\n"));) {
		line = str_strip(line);
		if (*line && *line != '#') {
			strncpy(name, line, sizeof(name) - 1);
			break;
		}
	}
	if (sethostname(name, strlen(name)) < 0)
		log_warning("set the host name to '%s': %s", name, strerror(errno));
}

static void loopback_up(const struct pid1 *p)
{
	struct ifreq ifr = {.ifr_name = "lo"};

	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &ifr) < 0 || (ifr.ifr_flags & IFF_UP))
		return;
	ifr.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		log_warning("set the loopback interface up: %s", strerror(errno));
}

static bool names_modules(const char *text)
{
	for (; *text; text = *text == '\n' ? text + 1 : text) {
		text += strspn(text, " \t\r");
		if (*text && !strchr("#;\n", *text))
			return true;
		text = strchrnul(text, '\n');
	}
	return false;
}

/* The system's modprobe knows modprobe.d(5): options, blacklists, install commands. busybox's does not, and neither do we. */
static bool modprobe_all(char *text)
{
	static char name[] = "modprobe", all[] = "-ab", end[] = "--";
	char *argv[256] = {name, all, end}, target[256] = "", *line;
	int n = 3, status;
	pid_t pid;

	if (access("/sbin/modprobe", X_OK) < 0 || (readlink("/sbin/modprobe", target, sizeof(target) - 1) > 0 && strstr(target, "busybox")))
		return false;
	while ((line = strsep(&text, "\n")) && n < 255) {
		line = str_strip(line);
		if (*line && *line != '#' && *line != ';')
			argv[n++] = line;
	}
	pid = fork();
	if (pid == 0) {
		execv("/sbin/modprobe", argv);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) != 127;
}

struct lists {
	struct modules m; /* opened when the first list needs it */
	const char *cmdline;
};

static void load_one_list(const char *path, char *text, void *data)
{
	_cleanup_free_ char *copy = strdup(text);
	_cleanup_err_ struct err e = {0};
	struct lists *l = data;

	if (!names_modules(text)) /* comments only: no index need be read */
		return;
	if (copy && modprobe_all(copy))
		return;
	if (!l->m.dir && modules_open(&l->m, "", NULL, &e) < 0) {
		log_warning("%s: %s", path, err_text(&e));
		return;
	}
	l->m.cmdline = l->cmdline;
	modules_load_list(&l->m, text, path);
}

static void load_modules(const struct pid1 *p)
{
	struct lists l = {.cmdline = p->cmdline};

	conffiles_each("modules-load.d", load_one_list, &l);
	modules_close(&l.m);
}

static void apply_sysctl(const struct pid1 *p)
{
	sysctl_apply();
}

static void mount_fstab(const struct pid1 *p)
{
	fstab_mount();
}

static void make_machine_id(const struct pid1 *p)
{
	machineid_setup();
}

/* Writing to the disk durably takes longer than all the rest, and nobody waits for it. PID 1 adopts the child. */
static void load_seed(const struct pid1 *p)
{
	if (fork() == 0) {
		seed_load();
		_exit(0);
	}
}

enum where { MACHINE = 1, CONTAINER = 2 };

static const struct {
	void (*run)(const struct pid1 *p);
	int where;
} steps[] = {
	{fix_clock, MACHINE},	 {set_hostname, MACHINE},  {loopback_up, MACHINE | CONTAINER}, {load_modules, MACHINE},
	{apply_sysctl, MACHINE}, {mount_fstab, MACHINE},   {make_machine_id, MACHINE | CONTAINER}, {load_seed, MACHINE},
};

int setup_run(const struct pid1 *p)
{
	int here = p->machine ? MACHINE : p->container ? CONTAINER : 0;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (steps[i].where & here)
			steps[i].run(p);
	return 0;
}
