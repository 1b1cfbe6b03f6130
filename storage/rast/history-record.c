/* history-record.c: rast history record, restore and forget: what writes. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "base/loop.h"
#include "storage/btrfs.h"
#include "storage/rast/history.h"

/* --- where a snapshot's configuration is --- */

/* Mount the top level in a mount namespace of our own: nobody else sees it, and it goes with us. */
static int mount_top(char path[64], struct err *e)
{
	char device[256];

	if (!boot_file_value("root", device, sizeof(device)))
		return err_set(e, -ENOENT, "%s doesn't say where the snapshots are: mount their file system's top level and name it with --top=DIR", hist.boot_file);
	snprintf(path, 64, "/run/rastos/top-XXXXXX");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(e, -errno, "make a mount namespace to look at the snapshots in");
	if (!mkdtemp(path))
		return err_sys(e, -errno, "make a folder in /run/rastos");
	int r = mount(device, path, "btrfs", MS_NOATIME | MS_NOSUID | MS_NODEV, "subvolid=5") < 0 ? -errno : 0;
	if (r < 0) {
		rmdir(path);
		return err_sys(e, r, "mount the top level of %s", device);
	}
	return 0;
}

/* The folder stays empty on the machine's own /run: remove it there, where nothing is mounted. */
static void unmount_top(const char *path)
{
	umount2(path, MNT_DETACH);
	rmdir(path);
}

int collect_snapshot(uint32_t snapshot, const struct salt *salt, struct documents *ret, struct err *e)
{
	char root[4096], etc[sizeof(root) + 8], top[64] = "";

	if (snapshot == LEDGER_NONE || snapshot == running_snapshot() || hist.root) {
		snprintf(root, sizeof(root), "%s", hist.root ? hist.root : "/");
		snprintf(etc, sizeof(etc), "%s%s", hist.etc ? hist.etc : root, hist.etc ? "" : "/etc");
		return documents_collect(root, etc, !hist.root, salt, ret, e);
	}
	int r = hist.top ? 0 : mount_top(top, e);
	if (r < 0)
		return r;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the formats are storage/btrfs.h's */
	size_t n = (size_t)snprintf(root, sizeof(root), "%.*s/", 2000, hist.top ? hist.top : top);
	memcpy(etc, root, n + 1);
	snprintf(root + n, sizeof(root) - n, BTRFS_SNAPSHOT_FMT, snapshot);
	snprintf(etc + n, sizeof(etc) - n, BTRFS_ETC_FMT, snapshot);
#pragma GCC diagnostic pop
	r = documents_collect(root, etc, true, salt, ret, e);
	if (*top)
		unmount_top(top);
	return r;
}

/* --- record --- */

/* "boot=..." lines that rastd hands on its standard input would be one more protocol: /run/rastos/boot has what stage 1 knows. */
static int this_boot(struct outcome *o, struct err *e)
{
	char buf[64];
	uint64_t n;

	*o = (struct outcome){.snapshot = running_snapshot()};
	if (o->snapshot == LEDGER_NONE || !boot_file_value("attempt", buf, sizeof(buf)) || parse_u64(buf, &n) < 0 || n == 0)
		return err_set(e, -ENOENT, "%s doesn't say which boot this is: its outcome can't be remembered", hist.boot_file);
	o->attempt = n;
	boot_file_value("reason", o->reason, sizeof(o->reason));
	if (streq(hist.result, "good"))
		o->result = LEDGER_RESULT_GOOD;
	else if (streq(hist.result, "failed"))
		o->result = LEDGER_RESULT_FAILED;
	else
		return err_set(e, -EINVAL, "a boot's result is 'good' or 'failed', not '%s'", hist.result);
	snprintf(o->why, sizeof(o->why), "%s", hist.why ? hist.why : "");
	return 0;
}

static void measure(struct outcome *o)
{
	_cleanup_free_ char *uptime = NULL;
	double s;

	health_measure(&o->health);
	if (file_read(AT_FDCWD, "/proc/uptime", 256, &uptime, NULL) == 0 && sscanf(uptime, "%lf", &s) == 1)
		o->health.settled_s = s;
	o->has_health = true;
}

static int import_ledger(struct history *h, struct err *e)
{
	_cleanup_err_ struct err quiet = {0};
	struct ledger l;
	bool damaged;
	char path[4096];

	snprintf(path, sizeof(path), "%s/ledger", hist.dir);
	return ledger_load(AT_FDCWD, path, &l, &damaged, &quiet) < 0 ? 0 : history_import(h, &l, e);
}

/* One transaction: what came before, the configuration, and how this boot went. */
static int record(struct history *h, const struct documents *ds, uint32_t snapshot, uint32_t *version, bool *fresh, char *unusual, size_t size, struct err *e)
{
	struct record_request q = {.kind = hist.kind ? hist.kind : hist.result ? "boot" : "apply", .snapshot = snapshot, .documents = ds};
	struct outcome o = {0};
	int r = hist.result ? this_boot(&o, e) : 0;

	if (r == 0)
		r = history_begin(h, HISTORY_WRITE, e);
	if (r < 0)
		return r;
	r = import_ledger(h, e);
	if (r == 0 && snapshot != LEDGER_NONE && !streq(q.kind, "apply") && snapshot != running_snapshot()) { /* a deploy comes from what runs */
		_cleanup_err_ struct err quiet = {0};
		if (history_newest(h, snapshot, &q.parent, &quiet) < 0)
			history_newest(h, running_snapshot(), &q.parent, &quiet);
	}
	if (r == 0)
		r = history_record(h, &q, version, fresh, e);
	if (r == 0 && hist.result) {
		o.version = *version;
		measure(&o);
		r = health_unusual(h, &o.health, unusual, size, e);
		r = r < 0 ? r : history_outcome(h, &o, e);
	}
	if (r < 0) {
		history_abort(h);
		return r;
	}
	return history_commit(h, e);
}

int verb_history_record(int argc, char **argv, void *data)
{
	static const char *const kinds[] = {"deploy", "apply", "boot", "restore"};
	_cleanup_history_ struct history h = {0};
	_cleanup_documents_ struct documents ds = {0};
	_cleanup_err_ struct err e = {0};
	char unusual[1024] = "";
	uint32_t version = 0, snapshot = hist.snapshot >= 0 ? (uint32_t)hist.snapshot : running_snapshot();
	bool fresh = false, known = !hist.kind;

	for (size_t i = 0; hist.kind && i < ARRAY_SIZE(kinds); i++)
		known |= streq(kinds[i], hist.kind);
	if (!known)
		return rast_error(RAST_USAGE, "--kind=%s: it is deploy, apply, boot or restore", hist.kind);
	if (argc > 1)
		return rast_error(RAST_USAGE, "history record takes no operands");
	if (history_open(&h, hist.dir, HISTORY_WRITE, &e) < 0 || collect_snapshot(snapshot, &h.salt, &ds, &e) < 0 ||
		record(&h, &ds, snapshot, &version, &fresh, unusual, sizeof(unusual), &e) < 0)
		return rast_fail(&e);
	if (rast.json)
		printf("{\"version\": %u, \"fresh\": %s}\n", version, fresh ? "true" : "false");
	else if (!rast.quiet)
		printf(fresh ? "version %u\n" : "version %u, as before\n", version);
	if (*unusual && !rast.json)
		printf("this boot is unlike the last ones: %s\n", unusual);
	return RAST_OK;
}

/* --- restore --- */

static bool wanted(const struct document *d, int argc, char **argv)
{
	if (!str_starts(d->name, "/etc/"))
		return false;
	for (int i = 2; i < argc; i++)
		if (streq(argv[i], d->name))
			return true;
	return argc == 2 && str_starts(d->name, "/etc/rastos/") && d->kind != DOC_TEXT;
}

/* A document without its secrets gets them from the file that is there. */
static int with_secrets(const struct salt *salt, const struct document *d, const char *path, struct buf *out)
{
	_cleanup_free_ char *now = NULL;
	size_t n = 0;

	if (file_read(AT_FDCWD, path, 16u << 20, &now, &n) < 0)
		n = 0;
	return secret_restore(salt, d->text, d->n, now ? now : "", n, out);
}

static int restore_one(const struct salt *salt, const struct document *d, const char *etc, unsigned *written)
{
	_cleanup_buf_ struct buf text = {0};
	_cleanup_free_ char *now = NULL;
	char path[4096];
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/%s", etc, d->name + strlen("/etc/"));
	int unknown = with_secrets(salt, d, path, &text);
	if (unknown < 0)
		return rast_error(RAST_FAILED, "%s: %s", path, strerror(-unknown));
	if (unknown > 0)
		return rast_error(RAST_FAILED, "%s: %d credentials of this version are not in the file as it is now, and the history keeps only their hashes: put them in by hand (rast history show VERSION %s)",
			path, unknown, d->name);
	if (file_read(AT_FDCWD, path, 16u << 20, &now, &n) == 0 && n == text.len && memcmp(now, text.data ? text.data : "", n) == 0)
		return 0;
	char *slash = strrchr(path, '/');
	*slash = '\0';
	int r = mkdir_p(path, 0755);
	*slash = '/';
	struct stat st;
	mode_t mode = stat(path, &st) == 0 ? st.st_mode & 07777 : 0644;
	if (r == 0)
		r = file_replace(AT_FDCWD, path, text.data ? text.data : "", text.len, mode);
	if (r < 0)
		return rast_error(RAST_FAILED, "write %s: %s", path, strerror(-r));
	++*written;
	if (!rast.quiet)
		printf("%s\n", path);
	return 0;
}

int verb_history_restore(int argc, char **argv, void *data)
{
	_cleanup_history_ struct history h = {0};
	_cleanup_documents_ struct documents ds = {0};
	_cleanup_err_ struct err e = {0};
	unsigned written = 0, found = 0;
	uint32_t number = 0;

	if (argc < 2)
		return rast_error(RAST_USAGE, "history restore takes the number of a version, and documents if not all of /etc/rastos is meant");
	int status = parse_version(argv[1], &number);
	if (status)
		return status;
	if (history_open(&h, hist.dir, HISTORY_WRITE, &e) < 0 || history_begin(&h, HISTORY_READ, &e) < 0 || history_documents(&h, number, &ds, &e) < 0)
		return rast_fail(&e);
	for (size_t i = 0; status == 0 && i < ds.n; i++)
		if (wanted(&ds.d[i], argc, argv)) {
			found++;
			status = restore_one(&h.salt, &ds.d[i], hist.etc ? hist.etc : "/etc", &written);
		}
	history_abort(&h);
	if (status)
		return status;
	if (!found)
		return rast_error(RAST_NOT_THERE, "version %u has no such documents", number);
	if (!rast.quiet)
		printf("%u of %u files written; services that this version didn't have stay. To go over to it: rastctl apply\n", written, found);
	if (!written)
		return RAST_OK;
	history_close(&h);
	hist.kind = "restore";
	return verb_history_record(1, argv, data);
}

/* --- forget --- */

int existing_snapshots(uint32_t *list, size_t max, size_t *n, struct err *e)
{
	char top[64] = "";
	int r = hist.top ? 0 : mount_top(top, e);

	if (r < 0)
		return r;
	_cleanup_close_ int fd = open(hist.top ? hist.top : top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int got = fd < 0 ? -errno : btrfs_list_snapshots(fd, list, (unsigned)max, e);
	if (*top)
		unmount_top(top);
	*n = got > 0 ? (size_t)got : 0;
	return got < 0 ? got : 0;
}

int verb_history_forget(int argc, char **argv, void *data)
{
	_cleanup_history_ struct history h = {0};
	_cleanup_err_ struct err e = {0};
	struct retention q = {.max_versions = hist.max_versions > 0 ? (uint32_t)hist.max_versions : 0, .max_age_us = hist.max_age_us};
	uint32_t keep[4096], forgotten;
	size_t n = 0;

	if (hist.max_size && parse_size(hist.max_size, &q.max_bytes) < 0)
		return rast_error(RAST_USAGE, "--max-size=%s is not a size such as 64M", hist.max_size);
	if (!q.max_versions && !q.max_age_us && !q.max_bytes)
		return rast_error(RAST_USAGE, "history forget needs --max-versions, --max-age or --max-size");
	if (existing_snapshots(keep, ARRAY_SIZE(keep), &n, &e) < 0)
		return rast_fail(&e);
	if (history_open(&h, hist.dir, HISTORY_WRITE, &e) < 0 || history_begin(&h, HISTORY_WRITE, &e) < 0)
		return rast_fail(&e);
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	if (history_forget(&h, &q, keep, n, (uint64_t)t.tv_sec * 1000000u, &forgotten, &e) < 0 || history_commit(&h, &e) < 0)
		return rast_fail(&e);
	if (!rast.quiet)
		printf("%u versions have lost their documents\n", forgotten);
	return RAST_OK;
}
