/* ledger.c: the boot ledger's file: two slots, written in turn.
 *
 * What is durable when. A change goes into the slot that does not hold the current state, in one pwrite of 4096 bytes followed by
 * fdatasync: until that has returned the old slot counts, afterwards the new one does, and a write torn anywhere in between fails its
 * checksum. Sequence number N lives in slot N % 2, so that no reader has to remember which one is current.
 *
 * The file is made with FS_NOCOW_FL where the file system knows it: on btrfs the two slots are then overwritten in place, which works on
 * a disk that is full, and costs no new extent per boot. Torn writes, which copy-on-write would have prevented, are what the slots are for. */
#include "storage/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"

#define LEDGER_MAGIC "rastBOOT"
#define LEDGER_VERSION 1u

/* On disk; little-endian, as every machine that we run on. */
struct slot {
	char magic[8];
	uint32_t version;
	uint32_t crc; /* crc32c of the whole slot with this field 0 */
	uint64_t seq, boot;
	uint32_t def, last_good, in_progress, once, n, explored;
	struct ledger_entry e[LEDGER_MAX];
	struct ledger_attempt attempts[LEDGER_ATTEMPTS];
};
_Static_assert(sizeof(struct ledger_entry) == 32, "the entry's layout is on disk");
_Static_assert(sizeof(struct ledger_attempt) == 8, "the attempt's layout is on disk");
_Static_assert(sizeof(struct slot) <= LEDGER_SLOT_SIZE, "a slot is one page");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layout is little-endian");

union page {
	struct slot s;
	unsigned char bytes[LEDGER_SLOT_SIZE];
};

void ledger_empty(struct ledger *l)
{
	memset(l, 0, sizeof(*l));
	l->def = l->last_good = l->in_progress = l->once = LEDGER_NONE;
}

void ledger_encode(const struct ledger *l, void *out)
{
	union page p;

	memset(&p, 0, sizeof(p));
	memcpy(p.s.magic, LEDGER_MAGIC, sizeof(p.s.magic));
	p.s.version = LEDGER_VERSION;
	p.s.seq = l->seq;
	p.s.boot = l->boot;
	p.s.def = l->def;
	p.s.last_good = l->last_good;
	p.s.in_progress = l->in_progress;
	p.s.once = l->once;
	p.s.n = l->n;
	p.s.explored = l->explored;
	memcpy(p.s.e, l->e, l->n * sizeof(l->e[0]));
	memcpy(p.s.attempts, l->attempts, sizeof(p.s.attempts));
	p.s.crc = crc32c(0, &p, sizeof(p));
	memcpy(out, &p, sizeof(p));
}

/* A slot whose checksum is right may still have been written by a broken program: nothing in it is believed unchecked. */
static const char *implausible(const struct slot *s)
{
	if (s->n > LEDGER_MAX)
		return "it claims more entries than fit";
	for (uint32_t i = 0; i < s->n; i++) {
		if (s->e[i].snapshot == LEDGER_NONE)
			return "an entry without a snapshot number";
		if (s->e[i].last_result > LEDGER_RESULT_SHUTDOWN || s->e[i].proven > 1 || s->e[i].spent > 1)
			return "an entry with an impossible state";
		for (uint32_t k = 0; k < i; k++)
			if (s->e[k].snapshot == s->e[i].snapshot)
				return "two entries for one snapshot";
	}
	for (uint32_t i = 0; i < LEDGER_ATTEMPTS; i++)
		if (s->attempts[i].result > LEDGER_RESULT_SHUTDOWN || s->attempts[i].explores > 1)
			return "an attempt with an impossible result";
	return NULL;
}

int ledger_decode(const void *slot, struct ledger *l, const char **why)
{
	union page p;
	uint32_t crc;

	memcpy(&p, slot, sizeof(p));
	*why = NULL;
	if (memcmp(p.s.magic, LEDGER_MAGIC, sizeof(p.s.magic)) != 0) {
		*why = "no magic number (never written, or overwritten)";
		return -EBADMSG;
	}
	if (p.s.version != LEDGER_VERSION) {
		*why = "written by another version";
		return -EBADMSG;
	}
	crc = p.s.crc;
	p.s.crc = 0;
	if (crc32c(0, &p, sizeof(p)) != crc)
		*why = "its checksum is wrong (a torn write, or a damaged disk)";
	else
		*why = implausible(&p.s);
	if (*why)
		return -EBADMSG;
	ledger_empty(l);
	l->seq = p.s.seq;
	l->boot = p.s.boot;
	l->def = p.s.def;
	l->last_good = p.s.last_good;
	l->in_progress = p.s.in_progress;
	l->once = p.s.once;
	l->n = p.s.n;
	l->explored = p.s.explored;
	memcpy(l->e, p.s.e, l->n * sizeof(l->e[0]));
	memcpy(l->attempts, p.s.attempts, sizeof(l->attempts));
	return 0;
}

/* Read what there is of both slots; a file cut short reads as zeros, which is a damaged slot. */
static int read_slots(int fd, unsigned char slots[2][LEDGER_SLOT_SIZE])
{
	memset(slots, 0, LEDGER_FILE_SIZE);
	for (unsigned i = 0; i < 2; i++) {
		size_t have = 0;
		while (have < LEDGER_SLOT_SIZE) {
			ssize_t n = sys_pread(fd, slots[i] + have, LEDGER_SLOT_SIZE - have, (off_t)(i * LEDGER_SLOT_SIZE + have));
			if (n == 0 || n == -EIO) /* a page that can't be read is a damaged slot like any other */
				break;
			if (n < 0)
				return (int)n;
			have += (size_t)n;
		}
	}
	return 0;
}

int ledger_load(int dirfd, const char *path, struct ledger *l, bool *damaged, struct err *e)
{
	unsigned char slots[2][LEDGER_SLOT_SIZE];
	struct ledger each[2];
	const char *why[2];
	bool ok[2];
	int r;

	ledger_empty(l);
	*damaged = false;
	_cleanup_close_ int fd = sys_openat(dirfd, path, O_RDONLY, 0);
	if (fd < 0)
		return fd == -ENOENT ? fd : err_sys(e, fd, "open boot ledger %s", path);
	r = read_slots(fd, slots);
	if (r < 0)
		return err_sys(e, r, "read boot ledger %s", path);
	for (unsigned i = 0; i < 2; i++) {
		ok[i] = ledger_decode(slots[i], &each[i], &why[i]) == 0;
		if (ok[i] && each[i].seq % 2 != i) {
			ok[i] = false;
			why[i] = "its sequence number belongs into the other slot";
		}
	}
	*damaged = !ok[0] || !ok[1];
	if (!ok[0] && !ok[1])
		return err_set(e, -EBADMSG, "boot ledger %s: both slots are damaged: first: %s; second: %s", path, why[0], why[1]);
	if (*damaged)
		err_set(e, 0, "boot ledger %s: the %s slot is damaged (%s); the other one is used", path, ok[0] ? "second" : "first",
			ok[0] ? why[1] : why[0]);
	*l = ok[1] && (!ok[0] || each[1].seq > each[0].seq) ? each[1] : each[0];
	return 0;
}

static int open_folder(int dirfd, const char *path)
{
	char dir[4096];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (n >= sizeof(dir))
		return -ENAMETOOLONG;
	if (!slash)
		memcpy(dir, ".", 2);
	else if (n == 0)
		memcpy(dir, "/", 2);
	else {
		memcpy(dir, path, n);
		dir[n] = '\0';
	}
	return sys_openat(dirfd, dir, O_RDONLY | O_DIRECTORY, 0);
}

int ledger_lock(int dirfd, const char *path, unsigned wait_ms, struct err *e)
{
	_cleanup_close_ int fd = open_folder(dirfd, path);
	if (fd < 0)
		return err_sys(e, fd, "open the folder of boot ledger %s", path);
	for (unsigned waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += 10) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_sys(e, -errno, "lock the folder of boot ledger %s", path);
		if (waited >= wait_ms)
			return err_set(e, -ETIMEDOUT, "boot ledger %s: another program has held the lock for %u ms; see fuser(1) on its folder",
				path, wait_ms);
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	}
	return take_fd(&fd);
}

/* A new file: both slots, so that a reader never meets half of one. Named into place only when it is on disk. */
static int create(int dirfd, const char *path, struct ledger *l)
{
	unsigned char bytes[LEDGER_FILE_SIZE];
	char tmp[4096];
	struct ledger older = *l;
	int r, flags;

	older.seq = l->seq - 1;
	ledger_encode(l, bytes + (l->seq % 2) * LEDGER_SLOT_SIZE);
	ledger_encode(&older, bytes + (older.seq % 2) * LEDGER_SLOT_SIZE);
	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.new", path) >= sizeof(tmp))
		return -ENAMETOOLONG;
	sys_unlinkat(dirfd, tmp, 0); /* left by a power cut */
	_cleanup_close_ int fd = sys_openat(dirfd, tmp, O_RDWR | O_CREAT | O_EXCL, 0644);
	if (fd < 0)
		return fd;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) { /* not every file system has it: then it is an ordinary file */
		flags |= FS_NOCOW_FL;
		(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
	_cleanup_close_ int folder = open_folder(dirfd, path);
	r = folder < 0 ? folder : write_all(fd, bytes, sizeof(bytes));
	if (r == 0)
		r = sys_fsync(fd);
	if (r == 0)
		r = sys_renameat(dirfd, tmp, dirfd, path);
	if (r < 0) {
		sys_unlinkat(dirfd, tmp, 0);
		return r;
	}
	return sys_fsync(folder);
}

static int write_slot(int fd, const struct ledger *l)
{
	unsigned char slot[LEDGER_SLOT_SIZE];
	off_t at = (off_t)(l->seq % 2) * LEDGER_SLOT_SIZE;

	ledger_encode(l, slot);
	for (size_t done = 0; done < sizeof(slot);) {
		ssize_t n = sys_pwrite(fd, slot + done, sizeof(slot) - done, at + (off_t)done);
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		done += (size_t)n;
	}
	return sys_fdatasync(fd);
}

/* True when the file holds l's state as its current one: only then may the other slot be overwritten. */
static bool holds(int fd, const struct ledger *l)
{
	unsigned char slots[2][LEDGER_SLOT_SIZE];
	struct ledger on_disk;
	const char *why;

	return read_slots(fd, slots) == 0 && ledger_decode(slots[l->seq % 2], &on_disk, &why) == 0 && on_disk.seq == l->seq;
}

int ledger_save(int dirfd, const char *path, struct ledger *l, struct err *e)
{
	int r;

	_cleanup_close_ int fd = sys_openat(dirfd, path, O_RDWR, 0);
	if (fd < 0 && fd != -ENOENT)
		return err_sys(e, fd, "open boot ledger %s for writing", path);
	bool in_turn = fd >= 0 && holds(fd, l);
	l->seq++;
	r = in_turn ? write_slot(fd, l) : create(dirfd, path, l);
	if (r < 0) {
		l->seq--;
		return err_sys(e, r, "write boot ledger %s", path);
	}
	return 0;
}
