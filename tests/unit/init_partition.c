/* The identities of partitions, as tables on disks have them. */
#include <errno.h>
#include <sys/mman.h>
#include "base/str.h"
#include "base/sys.h"
#include "init/partition.h"
#include "tests/unit/unit.h"

static int disk;

static void put(size_t at, const void *data, size_t n)
{
	ck_assert(pwrite(disk, data, n, (off_t)at) == (ssize_t)n);
}

/* Each test is a process of its own: nothing is left of it. */
static void make_disk(void)
{
	disk = memfd_create("disk", MFD_CLOEXEC);
	ck_assert(disk >= 0 && ftruncate(disk, 1 << 20) == 0);
}

/* A GPT whose second entry begins at block `first` and is called like `name` (UTF-16). */
static void put_gpt(unsigned block, uint32_t entry_size, uint64_t first, const uint16_t *name, size_t units)
{
	struct { uint64_t at; uint32_t n, size; } __attribute__((packed)) where = {2, 128, entry_size};
	static const unsigned char guid[16] = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
	size_t entry = 2 * block + entry_size;

	put(block, "EFI PART", 8);
	put(block + 72, &where, sizeof(where));
	put(entry + 16, guid, sizeof(guid));
	put(entry + 32, &first, sizeof(first));
	put(entry + 56, name, units * 2);
}

START_TEST(a_gpt_partition_is_known_by_its_guid_and_its_name)
{
	static const uint16_t name[] = {'r', 0xf6, 't', ' ', 0x20ac, 0xd83d};
	struct partition p;

	make_disk();
	put_gpt(512, 128, 2048, name, 6);
	ck_assert_int_eq(partition_read(disk, 512, 2, 2048, &p), 0);
	ck_assert_str_eq(p.uuid, "00112233-4455-6677-8899-aabbccddeeff");
	ck_assert_str_eq(p.label, "r\xc3\xb6t \xe2\x82\xac?");
	ck_assert_int_eq(partition_read(disk, 512, 1, 2048, &p), -ENOENT);
	ck_assert_int_eq(partition_read(disk, 512, 2, 2049, &p), -ENOENT); /* a table that the kernel has not taken */
	ck_assert_int_eq(partition_read(disk, 512, 129, 0, &p), -ENOENT);
}
END_TEST

START_TEST(disks_with_large_blocks_and_entries_are_read_too)
{
	uint16_t name[36];
	struct partition p;

	make_disk();
	for (unsigned i = 0; i < 36; i++)
		name[i] = 0xfffd; /* three bytes each: the longest name there can be */
	put_gpt(4096, 256, 256, name, 36);
	ck_assert_int_eq(partition_read(disk, 4096, 2, 2048, &p), 0);
	ck_assert_uint_eq(strlen(p.label), 36 * 3);
}
END_TEST

START_TEST(an_mbr_partition_is_known_by_the_disks_signature_and_its_number)
{
	uint32_t signature = 0x1234abcd, first = 64;
	struct partition p;

	make_disk();
	put(440, &signature, 4);
	put(446 + 16 + 8, &first, 4);
	ck_assert_int_eq(partition_read(disk, 512, 2, 64, &p), -ENOENT); /* no 55 aa yet */
	put(510, "\x55\xaa", 2);
	ck_assert_int_eq(partition_read(disk, 512, 2, 64, &p), 0);
	ck_assert_str_eq(p.uuid, "1234abcd-02");
	ck_assert_int_eq(partition_read(disk, 512, 3, 64, &p), -ENOENT);
	ck_assert_int_eq(partition_read(disk, 512, 5, 99, &p), 0); /* a logical one */
	ck_assert_str_eq(p.uuid, "1234abcd-05");
}
END_TEST

START_TEST(nonsense_in_a_table_is_no_partition)
{
	struct { uint64_t at; uint32_t n, size; } __attribute__((packed)) bad[] = {
		{UINT64_MAX, 128, 128}, {2, 128, 0}, {2, 128, UINT32_MAX}, {INT64_MAX / 512, 128, 128}, {2, 0, 128}, {2040, 128, 4096},
	};
	struct partition p;

	make_disk();
	put(512, "EFI PART", 8);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		put(512 + 72, &bad[i], sizeof(bad[i]));
		ck_assert_int_eq(partition_read(disk, 512, 2, 1, &p), -ENOENT);
	}
	ck_assert_int_eq(partition_read(disk, 0, 1, 0, &p), -ENOENT);
	ck_assert_int_eq(partition_read(disk, 512, 0, 0, &p), -ENOENT);
}
END_TEST

PROMISES("init: partitions", a_gpt_partition_is_known_by_its_guid_and_its_name, disks_with_large_blocks_and_entries_are_read_too,
	an_mbr_partition_is_known_by_the_disks_signature_and_its_number, nonsense_in_a_table_is_no_partition)
