/* partition.c: see partition.h. GPT: UEFI specification 2.10, section 5.3; MBR: the same, 5.2.1; PARTUUID of an MBR: block/partitions/msdos.c. */
#include "init/partition.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"

#define SECTOR 512
#define NAME_UNITS 36
#define ENTRY_MIN 128
#define ENTRY_MAX 4096
#define MBR_ENTRIES 4

struct gpt_header {
	char magic[8];
	uint32_t revision, size, crc, reserved;
	uint64_t self, backup, first, last;
	unsigned char disk[16];
	uint64_t entries_at;
	uint32_t n_entries, entry_size, entries_crc;
} __attribute__((packed));

struct gpt_entry {
	unsigned char type[16], guid[16];
	uint64_t first, last, attributes;
	uint16_t name[NAME_UNITS]; /* UTF-16, little endian */
} __attribute__((packed));

struct mbr {
	unsigned char code[440];
	uint32_t signature;
	uint16_t reserved;
	struct {
		unsigned char status, first_chs[3], type, last_chs[3];
		uint32_t first, count;
	} __attribute__((packed)) entry[MBR_ENTRIES];
	unsigned char magic[2];
} __attribute__((packed));

static int read_at(int fd, void *to, size_t n, uint64_t at)
{
	ssize_t r = sys_pread(fd, to, n, (off_t)at);

	return r < 0 ? (int)r : (size_t)r == n ? 0 : -ENOENT;
}

/* The first three fields of a GUID are little-endian numbers. */
static void guid_text(const unsigned char *g, char text[37])
{
	sprintf(text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6],
		g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

/* Without surrogates: they don't fit into a name that anyone types on a command line, and become '?'. */
static void name_text(const struct gpt_entry *e, char *to)
{
	for (unsigned i = 0; i < NAME_UNITS; i++) {
		uint16_t raw;
		memcpy(&raw, (const char *)e + offsetof(struct gpt_entry, name) + i * sizeof(raw), sizeof(raw));
		unsigned c = le16toh(raw);
		if (c == 0)
			break;
		if (c >= 0xd800 && c < 0xe000)
			c = '?';
		if (c >= 0x800)
			*to++ = (char)(0xe0 | c >> 12);
		if (c >= 0x80)
			*to++ = (char)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3f) : 0xc0 | c >> 6);
		*to++ = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
	}
	*to = '\0';
}

static int read_gpt(int fd, unsigned block, unsigned number, uint64_t start, struct partition *p)
{
	struct gpt_header h;
	struct gpt_entry e;
	int r = read_at(fd, &h, sizeof(h), block);

	if (r < 0)
		return r;
	uint32_t size = le32toh(h.entry_size);
	uint64_t at = le64toh(h.entries_at);
	if (memcmp(h.magic, "EFI PART", 8) != 0 || number > le32toh(h.n_entries) || size < ENTRY_MIN || size > ENTRY_MAX || at > INT64_MAX / block / 2)
		return -ENOENT;
	r = read_at(fd, &e, sizeof(e), at * block + (uint64_t)(number - 1) * size);
	if (r < 0)
		return r;
	if (le64toh(e.first) > UINT64_MAX / block || le64toh(e.first) * block != start * SECTOR)
		return -ENOENT;
	guid_text(e.guid, p->uuid);
	name_text(&e, p->label);
	return 0;
}

static int read_mbr(int fd, unsigned block, unsigned number, uint64_t start, struct partition *p)
{
	struct mbr m;
	int r = read_at(fd, &m, sizeof(m), 0);

	if (r < 0)
		return r;
	if (m.magic[0] != 0x55 || m.magic[1] != 0xaa)
		return -ENOENT;
	/* Logical partitions (from 5 on) are in a chain of tables of their own: the number and the signature are all that their name needs */
	if (number <= MBR_ENTRIES && (uint64_t)le32toh(m.entry[number - 1].first) * block != start * SECTOR)
		return -ENOENT;
	snprintf(p->uuid, sizeof(p->uuid), "%08x-%02x", le32toh(m.signature), number);
	p->label[0] = '\0';
	return 0;
}

int partition_read(int fd, unsigned block, unsigned number, uint64_t start, struct partition *p)
{
	int r;

	memset(p, 0, sizeof(*p));
	if (number < 1 || block < SECTOR)
		return -ENOENT;
	r = read_gpt(fd, block, number, start, p);
	return r == -ENOENT ? read_mbr(fd, block, number, start, p) : r;
}

static bool read_number(const char *path, uint64_t *n)
{
	_cleanup_free_ char *text = NULL;

	return file_read(AT_FDCWD, path, 64, &text, NULL) == 0 && parse_u64(str_strip(text), n) == 0;
}

/* /sys/class/block/vda1 is a link to .../block/vda/vda1. */
static bool disk_of(const char *name, char *disk, size_t size)
{
	char link[4096], path[300], *end;

	snprintf(path, sizeof(path), "/sys/class/block/%s", name);
	ssize_t n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = '\0';
	if (!(end = strrchr(link, '/')))
		return false;
	*end = '\0';
	if (!(end = strrchr(link, '/')))
		return false;
	snprintf(disk, size, "%s", end + 1);
	return true;
}

static void node_of(const char *name, char *path, size_t size)
{
	snprintf(path, size, "/dev/%s", name);
	for (char *c = path + 5; *c; c++) /* "cciss!c0d0p1" in sysfs is cciss/c0d0p1 in /dev */
		if (*c == '!')
			*c = '/';
}

static bool identify(const char *name, struct partition *p)
{
	char path[400], disk[256];
	uint64_t number, start, block = SECTOR;

	snprintf(path, sizeof(path), "/sys/class/block/%s/partition", name);
	if (!read_number(path, &number))
		return false;
	snprintf(path, sizeof(path), "/sys/class/block/%s/start", name);
	if (!read_number(path, &start) || !disk_of(name, disk, sizeof(disk)))
		return false;
	snprintf(path, sizeof(path), "/sys/class/block/%s/queue/logical_block_size", disk);
	(void)read_number(path, &block);
	node_of(disk, path, sizeof(path));
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0);
	return fd >= 0 && partition_read(fd, (unsigned)block, (unsigned)number, start, p) == 0;
}

bool partition_find(bool by_uuid, const char *value, char *path, size_t size)
{
	_cleanup_closedir_ DIR *d = opendir("/sys/class/block");

	for (struct dirent *de; d && (de = readdir(d));) {
		struct partition p;
		if (de->d_name[0] == '.' || !identify(de->d_name, &p))
			continue;
		if (by_uuid ? strcasecmp(p.uuid, value) == 0 : *value && streq(p.label, value)) {
			node_of(de->d_name, path, size);
			return true;
		}
	}
	return false;
}
