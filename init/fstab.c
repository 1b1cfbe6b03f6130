/* fstab.c: see fstab.h */
#include "init/fstab.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/str.h"
#include "base/sys.h"
#include "init/blkid.h"
#include "init/console.h"
#include "init/fstab.h"
#include "init/mountinfo.h"

#define DEVICE_TIMEOUT_S 10
#define MOUNT_TIMEOUT_US 20000000ull
#define POLL_NS (50 * 1000 * 1000)

enum { SET, CLEAR, NOAUTO, NOFAIL, NETWORK, IGNORED };

static const struct {
	const char *name;
	int what;
	unsigned long flag;
} known[] = {
	{"defaults", IGNORED, 0},	{"auto", IGNORED, 0},	   {"user", IGNORED, 0},	{"users", IGNORED, 0},	 {"nouser", IGNORED, 0},
	{"owner", IGNORED, 0},		{"group", IGNORED, 0},	   {"_netdev", NETWORK, 0},	{"noauto", NOAUTO, 0},	 {"nofail", NOFAIL, 0},
	{"ro", SET, MS_RDONLY},		{"rw", CLEAR, MS_RDONLY},  {"nosuid", SET, MS_NOSUID},	{"suid", CLEAR, MS_NOSUID}, {"nodev", SET, MS_NODEV},
	{"dev", CLEAR, MS_NODEV},	{"noexec", SET, MS_NOEXEC}, {"exec", CLEAR, MS_NOEXEC}, {"sync", SET, MS_SYNCHRONOUS}, {"async", CLEAR, MS_SYNCHRONOUS},
	{"dirsync", SET, MS_DIRSYNC},	{"noatime", SET, MS_NOATIME}, {"atime", CLEAR, MS_NOATIME}, {"nodiratime", SET, MS_NODIRATIME},
	{"relatime", SET, MS_RELATIME}, {"strictatime", SET, MS_STRICTATIME}, {"lazytime", SET, MS_LAZYTIME}, {"bind", SET, MS_BIND},
	{"rbind", SET, MS_BIND | MS_REC}, {"remount", SET, MS_REMOUNT}, {"mand", IGNORED, 0}, {"nomand", IGNORED, 0}, {"sw", IGNORED, 0},
};

/* False when the word is none of mount(8)'s own. */
static bool known_option(const char *word, struct fstab_options *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!streq(word, known[i].name))
			continue;
		if (known[i].what == SET)
			o->flags |= known[i].flag;
		else if (known[i].what == CLEAR)
			o->flags &= ~known[i].flag;
		o->noauto = o->noauto || known[i].what == NOAUTO;
		o->nofail = o->nofail || known[i].what == NOFAIL;
		o->network = o->network || known[i].what == NETWORK;
		return true;
	}
	return false;
}

/* x-systemd.device-timeout= and pri= have a meaning here; other x-... are for other programs. */
static bool special_option(const char *word, struct fstab_options *o)
{
	uint64_t us, priority;

	if (str_starts(word, "x-systemd.device-timeout=") && parse_duration(word + 25, &us) == 0)
		o->timeout_s = (unsigned)MIN(us / 1000000, (uint64_t)3600);
	if (str_starts(word, "pri=") && parse_u64(word + 4, &priority) == 0 && priority <= SWAP_FLAG_PRIO_MASK) {
		o->priority = (int)priority;
		return true;
	}
	return str_starts(word, "x-") || str_starts(word, "X-") || str_starts(word, "comment=");
}

int fstab_options_parse(const char *text, struct fstab_options *o)
{
	size_t len = 0;

	*o = (struct fstab_options){.timeout_s = DEVICE_TIMEOUT_S, .priority = -1};
	while (*text) {
		size_t n = strcspn(text, ",");
		char word[512];
		if (n >= sizeof(word))
			return -E2BIG;
		memcpy(word, text, n);
		word[n] = '\0';
		text += n + (text[n] == ',');
		if (n == 0 || known_option(word, o) || special_option(word, o))
			continue;
		if (len + n + 2 > sizeof(o->data))
			return -E2BIG;
		len += (size_t)snprintf(o->data + len, sizeof(o->data) - len, "%s%s", len ? "," : "", word);
	}
	o->bind = o->flags & MS_BIND;
	return 0;
}

static bool is_network(const struct mount_line *m)
{
	static const char *const types[] = {"nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "glusterfs"};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (streq(m->type, types[i]))
			return true;
	return false;
}

static bool needs_device(const struct mount_line *m, const struct fstab_options *o)
{
	static const char *const prefixes[] = {"/dev/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL="};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (str_starts(m->source, prefixes[i]))
			return !o->bind;
	return false;
}

static bool is_mounted(const char *target)
{
	_cleanup_free_ char *text = NULL;
	static struct mount_line m[MOUNTS_MAX];
	unsigned n;

	if (file_read(AT_FDCWD, "/proc/self/mountinfo", 4u << 20, &text, NULL) < 0)
		return false;
	n = mountinfo_parse(text, m, MOUNTS_MAX);
	while (n-- > 0)
		if (streq(m[n].target, target))
			return true;
	return false;
}

/* In the child: /sbin/mount.TYPE if there is one (fuse, ntfs-3g), else mount(2). Returns its exit status: an errno. */
static int do_mount(const struct mount_line *m, const struct fstab_options *o, const char *source, const char *type)
{
	char helper[128];

	snprintf(helper, sizeof(helper), "/sbin/mount.%s", type);
	if (access(helper, X_OK) == 0) {
		execl(helper, helper, source, m->target, "-o", m->options, NULL);
		return errno;
	}
	if (mount(source, m->target, type, o->flags, *o->data ? o->data : NULL) < 0)
		return errno;
	if (o->bind && (o->flags & ~(unsigned long)(MS_BIND | MS_REC))) /* a bind mount takes its flags by a second call, mount(2) */
		return mount(NULL, m->target, NULL, o->flags | MS_REMOUNT, NULL) < 0 ? errno : 0;
	return 0;
}

static int do_swap(const char *source, const struct fstab_options *o)
{
	int flags = o->priority >= 0 ? SWAP_FLAG_PREFER | o->priority : 0;

	return swapon(source, flags) < 0 && errno != EBUSY ? errno : 0;
}

static int one_line(const struct mount_line *m, const struct fstab_options *o)
{
	uint64_t deadline = now_us() + o->timeout_s * 1000000ull;
	const char *found = NULL, *source = m->source;
	char path[300];

	while (needs_device(m, o) && !blkid_resolve(m->source, path, sizeof(path), &found)) {
		if (o->nofail || now_us() >= deadline)
			return ENODEV;
		nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
	}
	if (needs_device(m, o))
		source = path;
	if (streq(m->type, "swap"))
		return do_swap(source, o);
	(void)mkdir_p(m->target, 0755);
	return do_mount(m, o, source, streq(m->type, "auto") && found ? found : m->type);
}

/* The child's exit status, or ETIMEDOUT: then it is left behind, and reaped by PID 1 whenever the kernel lets go of it. */
static int wait_for(pid_t pid, uint64_t limit_us)
{
	struct pollfd p = {.fd = sys_pidfd_open(pid, 0), .events = POLLIN};
	int status, n = p.fd >= 0 ? poll(&p, 1, (int)(limit_us / 1000)) : 1;

	closep(&p.fd);
	if (n == 0) {
		kill(pid, SIGKILL);
		return ETIMEDOUT;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static void mount_line(const struct mount_line *m)
{
	struct fstab_options o;
	int r = fstab_options_parse(m->options, &o);
	pid_t pid;

	if (r == 0 && (o.noauto || streq(m->target, "/") || streq(m->type, "ignore")))
		return;
	if (o.network || is_network(m)) {
		log_notice("/etc/fstab: %s is on the network: mounting it is a service's job", m->target);
		return;
	}
	if (r == 0 && !streq(m->type, "swap") && is_mounted(m->target))
		return;
	if (r == 0) {
		pid = fork();
		if (pid == 0)
			_exit(one_line(m, &o));
		r = pid < 0 ? -errno : -wait_for(pid, MOUNT_TIMEOUT_US + o.timeout_s * 1000000ull);
	}
	if (r < 0 && o.nofail)
		log_notice("/etc/fstab: %s at %s: %s (nofail)", m->source, m->target, strerror(-r));
	else if (r < 0)
		console_say("/etc/fstab: %s can't be mounted at %s: %s; going on without it (nofail in its options if it may be missing)", m->source, m->target,
			strerror(-r));
}

void fstab_mount(void)
{
	_cleanup_free_ char *text = NULL;
	static struct mount_line lines[MOUNTS_MAX];
	unsigned n;

	if (file_read(AT_FDCWD, "/etc/fstab", 1u << 20, &text, NULL) < 0)
		return;
	n = fstab_parse(text, lines, MOUNTS_MAX);
	for (unsigned i = 0; i < n; i++)
		mount_line(&lines[i]);
}
