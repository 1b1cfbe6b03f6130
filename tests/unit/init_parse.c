/* What rastinit reads: the kernel command line, depmod's indexes, sysctl, fstab, mountinfo, superblocks, machine ids. */
#include <errno.h>
#include <sys/mount.h>
#include "base/mem.h"
#include "base/str.h"
#include "init/blkid.h"
#include "init/cmdline.h"
#include "init/fstab.h"
#include "init/machineid.h"
#include "init/modules.h"
#include "init/mountinfo.h"
#include "init/sysctl.h"
#include "tests/unit/unit.h"

static void ck_get(const char *line, const char *key, const char *want)
{
	char buf[64] = "untouched";

	ck_assert_msg(cmdline_get(line, key, buf, sizeof(buf)) == (want != NULL), "%s in <%s>", key, line);
	ck_assert_str_eq(buf, want ? want : "untouched");
}

START_TEST(quotes_on_the_kernel_command_line_mean_what_they_mean_to_the_kernel)
{
	ck_get("a=1 b=2", "b", "2");
	ck_get("  a=1\tb=2\n", "b", "2");
	ck_get("a=\"x y\" b=2", "a", "x y");
	ck_get("\"a=x y\" b=2", "a", "x y");
	ck_get("a=x\" y\"z", "a", "x\" y\"z"); /* quotes in the middle protect spaces, and stay */
	ck_get("a=\"\"", "a", "");
	ck_get("a=", "a", "");
	ck_get("a", "a", NULL);
	ck_get("a=b=c", "a", "b=c");
	ck_get("a=\"open", "a", "open");
	ck_get("\"", "a", NULL);
}
END_TEST

START_TEST(the_last_value_counts_and_dash_and_underscore_are_one_in_names)
{
	ck_get("rast.root=/dev/a rast.root=/dev/b", "rast.root", "/dev/b");
	ck_get("rast.root_timeout=5", "rast.root-timeout", "5");
	ck_get("rast.root-timeout=5", "rast.root_timeout", "5");
	ck_get("rast.rootx=5 rast.roo=6", "rast.root", NULL);
}
END_TEST

START_TEST(words_behind_a_double_dash_are_not_ours)
{
	ck_get("a=1 -- a=2", "a", "1");
	ck_assert(!cmdline_has("quiet -- single", "single"));
	ck_assert(cmdline_has("quiet single -- x", "single"));
	ck_assert(!cmdline_has("single=1", "single"));
}
END_TEST

static void collect(const char *text, void *data)
{
	char *all = data;

	ck_assert(strlen(all) + strlen(text) + 2 < 4096);
	strcat(strcat(all, text), "\n");
}

static void ck_check(const char *line, const char *want)
{
	char all[4096] = "";

	cmdline_check(line, collect, all);
	if (want ? !strstr(all, want) : *all)
		ck_abort_msg("<%s> is said of <%s>, not <%s>", all, line, want ? want : "");
}

START_TEST(arguments_of_ours_that_mean_nothing_are_named)
{
	ck_check("quiet rast.root=/dev/vda rast.snapshot=auto rast.root_timeout=5 rast.show=no rast.fail-delay=10min rast.crash=reboot rastx.y=1 rast rast.", NULL);
	ck_check("rast.rot=/dev/vda", "rast.rot on the kernel command line is not known, did you mean rast.root?");
	ck_check("rast.completely-different", "rast.completely-different on the kernel command line is not known\n");
	ck_check("rast.root-timeout=-5", "rast.root-timeout=-5 on the kernel command line is passed over: it should be a number of seconds");
	ck_check("rast.snapshot=4294967295", "a snapshot's number");
	ck_check("rast.show=maybe", "yes or no");
	ck_check("rast.root", "it should be something");
	ck_check("a -- rast.nonsense=1", NULL);
	ck_assert_uint_eq(cmdline_seconds("t=18446744073709551615", "t", 1), CMDLINE_SECONDS_MAX);
	ck_assert_uint_eq(cmdline_seconds("t=99999999999999999999", "t", 7), 7);
}
END_TEST

START_TEST(a_value_that_does_not_fit_is_as_good_as_none)
{
	char buf[4] = "old";

	ck_assert(!cmdline_get("a=1234", "a", buf, sizeof(buf)));
	ck_assert_str_eq(buf, "old");
	ck_assert(cmdline_get("a=12 a=1234", "a", buf, sizeof(buf)));
	ck_assert_str_eq(buf, "12");
	ck_assert_uint_eq(cmdline_seconds("t=5", "t", 9), 5);
	ck_assert_uint_eq(cmdline_seconds("t=x", "t", 9), 9);
	ck_assert(!cmdline_bool("b=no", "b", true));
}
END_TEST

static const char dep[] = "kernel/fs/btrfs/btrfs.ko: kernel/lib/raid6/raid6_pq.ko kernel/crypto/xor.ko.xz\n"
			  "kernel/lib/raid6/raid6_pq.ko:\n"
			  "extra/virtio-blk.ko.zst: kernel/drivers/virtio/virtio.ko\n"
			  "no colon here\n";

static bool span_is(struct span s, const char *want) { return s.n == strlen(want) && memcmp(s.s, want, s.n) == 0; }

START_TEST(a_module_comes_with_its_dependencies_last_one_first)
{
	struct span p[4];

	ck_assert_int_eq(modules_dep_find(dep, "btrfs", p, 4), 3);
	ck_assert(span_is(p[0], "kernel/fs/btrfs/btrfs.ko") && span_is(p[2], "kernel/crypto/xor.ko.xz"));
	ck_assert_int_eq(modules_dep_find(dep, "raid6_pq", p, 4), 1);
	ck_assert_int_eq(modules_dep_find(dep, "virtio_blk", p, 4), 2); /* '-' in a file name is '_' in a module's */
	ck_assert_int_eq(modules_dep_find(dep, "btr", p, 4), 0);
	ck_assert_int_eq(modules_dep_find(dep, "no colon here", p, 4), 0);
	ck_assert_int_eq(modules_dep_find(dep, "btrfs", p, 2), -E2BIG);
	ck_assert_int_eq(modules_dep_find("", "btrfs", p, 4), 0);
	ck_assert(modules_builtin_has("kernel/fs/ext4/ext4.ko\nkernel/a/crc32c-x.ko\n", "crc32c_x"));
	ck_assert(!modules_builtin_has("kernel/fs/ext4/ext4.ko\n", "ext"));
}
END_TEST

static void ck_aliases(const char *text, const char *modalias, const char *want)
{
	char name[MODULE_NAME_MAX], all[256] = "";

	for (const char *pos = text; modules_alias_next(&pos, modalias, name);) {
		strcat(all, name);
		strcat(all, " ");
	}
	ck_assert_str_eq(all, want);
}

START_TEST(a_device_finds_every_module_whose_pattern_fits)
{
	static const char alias[] = "# Aliases\nalias virtio:d00000002v* virtio_blk\nalias virtio:d*v* virtio-any\nalias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci\n"
				    "alias crc32c-intel crc32c_x86\nalias fs-btrfs btrfs\nalias broken\nother virtio:d* no\n";

	ck_aliases(alias, "virtio:d00000002v00001AF4", "virtio_blk virtio_any ");
	ck_aliases(alias, "pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00", "virtio_pci ");
	ck_aliases(alias, "pci:v00008086d00001001", "");
	ck_aliases(alias, "crc32c_intel", "crc32c_x86 ");
	ck_aliases(alias, "crc32c", "");
	ck_aliases(alias, "fs-btrfs", "btrfs ");
	ck_aliases(alias, "fs-btrfsx", "");
}
END_TEST

START_TEST(soft_dependencies_that_come_before_are_found)
{
	static const char soft[] = "softdep btrfs pre: crc32c xor-blocks post: late\nsoftdep other pre: no\nsoftdep btrfs post: x pre: zlib\nsoftdep\n";
	char name[MODULE_NAME_MAX], all[256] = "";
	struct span rest = {0};

	for (const char *pos = soft; modules_softdep_next(&pos, "btrfs", &rest, name);) {
		strcat(all, name);
		strcat(all, " ");
	}
	ck_assert_str_eq(all, "crc32c xor_blocks zlib ");
}
END_TEST

static void ck_sysctl(const char *text, int want, const char *key, const char *value, bool may_fail)
{
	struct sysctl_line l;
	char line[128];

	snprintf(line, sizeof(line), "%s", text);
	ck_assert_msg(sysctl_parse(line, &l) == want, "<%s>", text);
	if (want != 1)
		return;
	ck_assert_str_eq(l.key, key);
	ck_assert_int_eq(l.may_fail, may_fail);
	if (value)
		ck_assert_str_eq(l.value, value);
	else
		ck_assert_ptr_null(l.value);
}

START_TEST(sysctl_lines_name_paths_below_proc_sys_and_nothing_else)
{
	ck_sysctl("kernel.panic = 5", 1, "kernel/panic", "5", false);
	ck_sysctl(" -net/ipv4/conf/eth0.1/rp_filter=1 ", 1, "net/ipv4/conf/eth0.1/rp_filter", "1", true);
	ck_sysctl("net.ipv4.conf.eth0/1.rp_filter=1", 1, "net/ipv4/conf/eth0.1/rp_filter", "1", false);
	ck_sysctl("-net.ipv4.conf.lo.rp_filter", 1, "net/ipv4/conf/lo/rp_filter", NULL, true);
	ck_sysctl("kernel.core_pattern=|/bin/x %p = y", 1, "kernel/core_pattern", "|/bin/x %p = y", false);
	ck_sysctl("a=", 1, "a", "", false);
	ck_sysctl("# c", 0, NULL, NULL, false);
	ck_sysctl("; c", 0, NULL, NULL, false);
	ck_sysctl("", 0, NULL, NULL, false);
	ck_sysctl("nothing", -EINVAL, NULL, NULL, false);
	ck_sysctl("= 5", -EINVAL, NULL, NULL, false);
	ck_sysctl("kernel/../../etc/passwd = x", -EINVAL, NULL, NULL, false);
	ck_sysctl("../x = 1", -EINVAL, NULL, NULL, false);
	ck_sysctl("/etc/x = 1", -EINVAL, NULL, NULL, false);
}
END_TEST

START_TEST(fstab_lines_are_read_with_their_escapes)
{
	char text[] = "# c\n\n/dev/vda1 / btrfs ro 0 1\nUUID=1-2\t/with\\040space\text4\tnoatime\n  none swap swap sw,pri=7\nhalf\nLABEL=x /y auto";
	struct mount_line m[8];

	ck_assert_uint_eq(fstab_parse(text, m, 8), 4);
	ck_assert_str_eq(m[1].target, "/with space");
	ck_assert_str_eq(m[2].options, "sw,pri=7");
	ck_assert_str_eq(m[3].options, "defaults");
}
END_TEST

START_TEST(mount_options_become_flags_and_what_is_left_is_the_file_systems)
{
	struct fstab_options o;

	ck_assert_int_eq(fstab_options_parse("defaults,ro,nosuid,subvol=@x,noauto,nofail,compress=zstd:3,x-systemd.device-timeout=3s", &o), 0);
	ck_assert_uint_eq(o.flags, MS_RDONLY | MS_NOSUID);
	ck_assert_str_eq(o.data, "subvol=@x,compress=zstd:3");
	ck_assert(o.noauto && o.nofail && !o.bind && o.timeout_s == 3);
	ck_assert_int_eq(fstab_options_parse("ro,rw,rbind", &o), 0);
	ck_assert_uint_eq(o.flags, MS_BIND | MS_REC);
	ck_assert(o.bind);
	ck_assert_int_eq(fstab_options_parse(",,_netdev,", &o), 0);
	ck_assert(o.network && o.priority == -1);
	char longer[3000];
	memset(longer, 'x', sizeof(longer));
	for (size_t i = 100; i < sizeof(longer); i += 100)
		longer[i] = ',';
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_int_eq(fstab_options_parse(longer, &o), -E2BIG);
}
END_TEST

START_TEST(mountinfo_lines_with_and_without_optional_fields_are_read)
{
	char text[] = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw\n37 35 0:5 / /a\\040b ro - tmpfs none rw\nbad line\n38 35 0:5 / /c ro\n";
	struct mount_line m[8];

	ck_assert_uint_eq(mountinfo_parse(text, m, 8), 2);
	ck_assert_str_eq(m[0].target, "/mnt2");
	ck_assert_str_eq(m[0].type, "ext3");
	ck_assert_str_eq(m[1].target, "/a b");
	ck_assert_str_eq(m[1].source, "none");
}
END_TEST

START_TEST(superblocks_tell_type_uuid_and_label)
{
	static unsigned char d[BLKID_BYTES];
	struct blkid id;

	ck_assert_int_eq(blkid_probe(d, sizeof(d), &id), -ENOENT);
	memcpy(d + 4086, "SWAPSPACE2", 10);
	for (int i = 0; i < 16; i++)
		d[1036 + i] = (unsigned char)(0xa0 + i);
	memcpy(d + 1052, "paging", 7);
	ck_assert_int_eq(blkid_probe(d, sizeof(d), &id), 0);
	ck_assert_str_eq(id.type, "swap");
	ck_assert_str_eq(id.uuid, "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
	ck_assert_str_eq(id.label, "paging");
	ck_assert_int_eq(blkid_probe(d, 512, &id), -ENOENT);
	memset(d, 0, sizeof(d));
	memcpy(d + 65536 + 0x40, "_BHRfS_M", 8);
	strcpy((char *)d + 65536 + 0x12b, "rast");
	ck_assert_int_eq(blkid_probe(d, sizeof(d), &id), 0);
	ck_assert_str_eq(id.type, "btrfs");
	ck_assert_str_eq(id.label, "rast");
}
END_TEST

START_TEST(only_thirty_two_lower_case_digits_are_a_machine_id)
{
	ck_assert(machineid_valid("0123456789abcdef0123456789abcdef\n", 33));
	ck_assert(machineid_valid("0123456789abcdef0123456789abcdef", 32));
	ck_assert(!machineid_valid("0123456789ABCDEF0123456789abcdef", 32));
	ck_assert(!machineid_valid("uninitialized\n", 14));
	ck_assert(!machineid_valid("", 0));
	ck_assert(!machineid_valid("00000000000000000000000000000000", 32));
	ck_assert(!machineid_valid("0123456789abcdef0123456789abcdefx", 33));
}
END_TEST

PROMISES("init: what is read", quotes_on_the_kernel_command_line_mean_what_they_mean_to_the_kernel,
	the_last_value_counts_and_dash_and_underscore_are_one_in_names, words_behind_a_double_dash_are_not_ours,
	arguments_of_ours_that_mean_nothing_are_named, a_value_that_does_not_fit_is_as_good_as_none, a_module_comes_with_its_dependencies_last_one_first,
	a_device_finds_every_module_whose_pattern_fits, soft_dependencies_that_come_before_are_found,
	sysctl_lines_name_paths_below_proc_sys_and_nothing_else, fstab_lines_are_read_with_their_escapes,
	mount_options_become_flags_and_what_is_left_is_the_file_systems, mountinfo_lines_with_and_without_optional_fields_are_read,
	superblocks_tell_type_uuid_and_label, only_thirty_two_lower_case_digits_are_a_machine_id)
