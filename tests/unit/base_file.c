/* Files, with system calls that fail: base/file.h, base/sys.h. */
#include "base/file.h"

#include <errno.h>
#include <sys/socket.h>
#include "base/str.h"
#include "base/sys.h"
#include "tests/unit/unit.h"

static void put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static void ck_content(int dir, const char *name, const char *want)
{
	_cleanup_free_ char *text = NULL;

	ck_assert_int_eq(file_read(dir, name, 1 << 20, &text, NULL), 0);
	ck_assert_str_eq(text, want);
}

static int entries(int dir)
{
	_cleanup_closedir_ DIR *d = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY));
	int n = 0;

	while (readdir(d))
		n++;
	return n - 2;
}

static void end(int dir)
{
	sys_fault_clear();
	close(dir);
	ck_assert_int_eq(rm_rf(AT_FDCWD, test_dir_path), 0);
	ck_assert_int_ne(access(test_dir_path, F_OK), 0);
}

START_TEST(a_file_is_replaced_with_the_mode_that_was_asked_for)
{
	int dir = make_test_dir();
	struct stat st;

	umask(077);
	put(dir, "f", "old");
	ck_assert_int_eq(file_replace(dir, "f", "new", 3, 0644), 0);
	ck_content(dir, "f", "new");
	ck_assert_int_eq(fstatat(dir, "f", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0644);
	ck_assert_int_eq(entries(dir), 1);
	ck_assert_int_eq(file_replace(dir, "g", "", 0, 0600), 0);
	ck_content(dir, "g", "");
	end(dir);
}
END_TEST

START_TEST(a_path_with_folders_is_replaced_in_its_folder)
{
	int dir = make_test_dir();
	char path[100];

	ck_assert_int_eq(mkdirat(dir, "sub", 0700), 0);
	ck_assert_int_eq(file_replace(dir, "sub/f", "x", 1, 0600), 0);
	ck_content(dir, "sub/f", "x");
	snprintf(path, sizeof(path), "%s/g", test_dir_path);
	ck_assert_int_eq(file_replace(AT_FDCWD, path, "y", 1, 0600), 0);
	ck_content(dir, "g", "y");
	ck_assert_int_eq(file_replace(dir, "nowhere/f", "x", 1, 0600), -ENOENT);
	ck_assert_int_eq(file_replace(dir, "sub/", "x", 1, 0600), -EISDIR);
	ck_assert_int_lt(file_replace(dir, "sub", "x", 1, 0600), 0);
	ck_assert_int_eq(entries(dir), 2);
	end(dir);
}
END_TEST

/* Every call that file_replace makes, as often as it makes it (the n-th counts from 1). */
static const struct {
	const char *call;
	unsigned nth;
} replace_calls[] = {
	{ "openat", 1 }, { "openat", 2 }, { "openat", 3 }, { "write", 1 }, { "fsync", 1 }, { "fsync", 2 }, { "renameat", 1 },
};

START_TEST(a_fault_in_any_call_of_file_replace_leaves_the_old_content_and_no_temporary_file)
{
	int dir = make_test_dir();

	for (size_t i = 0; i < ARRAY_SIZE(replace_calls); i++) {
		struct stat st;
		put(dir, "f", "old");
		ck_assert_int_eq(fchmodat(dir, "f", 0640, 0), 0);
		sys_fault_clear();
		sys_fault_set(replace_calls[i].call, replace_calls[i].nth, ENOSPC);
		ck_assert_msg(file_replace(dir, "f", "new!", 4, 0600) == -ENOSPC, "%s %u", replace_calls[i].call, replace_calls[i].nth);
		sys_fault_clear();
		ck_content(dir, "f", "old");
		ck_assert_int_eq(fstatat(dir, "f", &st, 0), 0);
		ck_assert_uint_eq(st.st_mode & 07777, 0640);
		ck_assert_int_eq(entries(dir), 1);
	}
	end(dir);
}
END_TEST

START_TEST(a_fault_while_a_file_is_made_leaves_none)
{
	int dir = make_test_dir();

	for (size_t i = 0; i < ARRAY_SIZE(replace_calls); i++) {
		if (streq(replace_calls[i].call, "openat") && replace_calls[i].nth == 2)
			continue; /* of the old file */
		sys_fault_clear();
		sys_fault_set(replace_calls[i].call, replace_calls[i].nth, EIO);
		ck_assert_msg(file_replace(dir, "f", "new", 3, 0600) == -EIO, "%s %u", replace_calls[i].call, replace_calls[i].nth);
		sys_fault_clear();
		ck_assert_int_eq(entries(dir), 0);
	}
	end(dir);
}
END_TEST

START_TEST(a_link_is_replaced_and_its_target_is_not)
{
	int dir = make_test_dir();
	struct stat st;

	put(dir, "target", "t");
	ck_assert_int_eq(symlinkat("target", dir, "link"), 0);
	ck_assert_int_eq(file_replace(dir, "link", "new", 3, 0600), 0);
	ck_content(dir, "target", "t");
	ck_assert_int_eq(fstatat(dir, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert(S_ISREG(st.st_mode));
	end(dir);
}
END_TEST

START_TEST(a_file_is_read_whole_whatever_its_size)
{
	int dir = make_test_dir();
	_cleanup_buf_ struct buf b = { 0 };

	for (int i = 0; i < 20000; i++)
		buf_addf(&b, "%d\n", i);
	put(dir, "big", b.data);
	ck_content(dir, "big", b.data);
	put(dir, "empty", "");
	ck_content(dir, "empty", "");
	end(dir);
}
END_TEST

START_TEST(a_proc_file_is_read_whole_though_its_size_is_0)
{
	_cleanup_free_ char *text = NULL;
	size_t n;

	ck_assert_int_eq(file_read(AT_FDCWD, "/proc/self/status", 1 << 20, &text, &n), 0);
	ck_assert(str_starts(text, "Name:"));
	ck_assert_uint_eq(strlen(text), n);
}
END_TEST

START_TEST(a_file_over_the_limit_is_refused_and_one_at_the_limit_is_not)
{
	int dir = make_test_dir();
	char *text = NULL;

	put(dir, "f", "12345");
	ck_assert_int_eq(file_read(dir, "f", 4, &text, NULL), -EFBIG);
	ck_assert_int_eq(file_read(AT_FDCWD, "/proc/self/status", 10, &text, NULL), -EFBIG);
	ck_assert_ptr_null(text);
	ck_assert_int_eq(file_read(dir, "f", 5, &text, NULL), 0);
	free(text);
	ck_assert_int_eq(file_read(dir, "f", SIZE_MAX, &text, NULL), 0);
	free(text);
	end(dir);
}
END_TEST

START_TEST(a_read_error_is_reported)
{
	char *text = NULL;

	sys_fault_set("read", 1, EIO);
	ck_assert_int_eq(file_read(AT_FDCWD, "/proc/self/status", 1 << 20, &text, NULL), -EIO);
	ck_assert_ptr_null(text);
}
END_TEST

START_TEST(a_short_string_goes_to_an_existing_file_only)
{
	int dir = make_test_dir();

	ck_assert_int_eq(file_write_str(dir, "f", "1"), -ENOENT);
	put(dir, "f", "");
	ck_assert_int_eq(file_write_str(dir, "f", "1"), 0);
	ck_content(dir, "f", "1");
	end(dir);
}
END_TEST

START_TEST(folders_are_made_with_their_parents_and_existing_ones_are_fine)
{
	int dir = make_test_dir();
	char path[200];

	snprintf(path, sizeof(path), "%s/a/b//c/", test_dir_path);
	ck_assert_int_eq(mkdir_p(path, 0755), 0);
	ck_assert_int_eq(mkdir_p(path, 0755), 0);
	put(dir, "f", "");
	snprintf(path, sizeof(path), "%s/f", test_dir_path);
	ck_assert_int_eq(mkdir_p(path, 0755), -ENOTDIR);
	snprintf(path, sizeof(path), "%s/f/g", test_dir_path);
	ck_assert_int_eq(mkdir_p(path, 0755), -ENOTDIR);
	ck_assert_int_eq(mkdir_p("/", 0755), 0);
	ck_assert_int_eq(mkdir_p("", 0755), -ENOENT);
	end(dir);
}
END_TEST

START_TEST(a_tree_is_removed_without_following_links)
{
	int dir = make_test_dir();
	char path[200];

	snprintf(path, sizeof(path), "%s/tree/a/b/c", test_dir_path);
	ck_assert_int_eq(mkdir_p(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/kept", test_dir_path);
	ck_assert_int_eq(mkdir_p(path, 0755), 0);
	put(dir, "kept/f", "x");
	put(dir, "tree/a/f", "x");
	ck_assert_int_eq(symlinkat("../kept", dir, "tree/link"), 0);
	ck_assert_int_eq(rm_rf(dir, "tree"), 0);
	ck_content(dir, "kept/f", "x");
	ck_assert_int_eq(entries(dir), 1);
	ck_assert_int_eq(rm_rf(dir, "tree"), 0);
	ck_assert_int_eq(rm_rf(dir, "kept/f"), 0);
	ck_assert_int_eq(rmdir_r(dir, "kept"), 0);
	end(dir);
}
END_TEST

START_TEST(a_tree_of_any_depth_is_removed)
{
	int dir = make_test_dir(), cur = dup(dir);

	for (int i = 0; i < 3000; i++) {
		ck_assert_int_eq(mkdirat(cur, "deep", 0700), 0);
		int next = openat(cur, "deep", O_RDONLY | O_DIRECTORY);
		close(cur);
		cur = next;
	}
	close(cur);
	ck_assert_int_eq(rm_rf(dir, "deep"), 0);
	ck_assert_int_eq(entries(dir), 0);
	end(dir);
}
END_TEST

START_TEST(folders_alone_are_removed_only_when_they_hold_no_files)
{
	int dir = make_test_dir();

	ck_assert_int_eq(mkdirat(dir, "d", 0700), 0);
	put(dir, "d/f", "");
	ck_assert_int_eq(rmdir_r(dir, "d"), -ENOTEMPTY);
	ck_assert_int_eq(rmdir_r(dir, "d/f"), -ENOTDIR);
	end(dir);
}
END_TEST

START_TEST(a_failing_removal_is_reported_and_ends)
{
	int dir = make_test_dir();

	ck_assert_int_eq(mkdirat(dir, "d", 0700), 0);
	put(dir, "d/f", "");
	sys_fault_set("unlinkat", 1, EPERM);
	ck_assert_int_eq(rm_rf(dir, "d"), -EPERM);
	ck_content(dir, "d/f", "");
	end(dir);
}
END_TEST

START_TEST(descriptors_pass_beside_a_packet_and_are_cloexec)
{
	int sv[2], p[2], got[4];
	size_t n = 4;
	char buf[8];

	ck_assert_int_eq(sys_socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(fd_send(sv[0], "hello", 5, p, 2, 0), 5);
	ck_assert_int_eq(fd_recv(sv[1], buf, sizeof(buf), got, &n, 0), 5);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(write(got[1], "x", 1), 1);
	ck_assert_int_eq(read(p[0], buf, 1), 1);
	ck_assert_int_eq(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	close(sv[0]);
	n = 4;
	ck_assert_int_eq(fd_recv(sv[1], buf, sizeof(buf), got, &n, 0), 0);
	ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(descriptors_without_room_are_closed)
{
	int sv[2], p[2], got[1];
	size_t n = 1;
	char buf[8];

	ck_assert_int_eq(sys_socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(fd_send(sv[0], "x", 1, (int[]){ p[1], p[1], p[1] }, 3, 0), 1);
	close(p[1]);
	ck_assert_int_eq(fd_recv(sv[1], buf, sizeof(buf), got, &n, 0), 1);
	ck_assert_uint_eq(n, 1);
	close(got[0]);
	ck_assert_int_eq(read(p[0], buf, 1), 0); /* nobody else holds the other end */
	ck_assert_int_eq(fd_send(sv[0], "x", 1, p, 1, 0), 1);
	ck_assert_int_eq(fd_recv(sv[1], buf, sizeof(buf), NULL, NULL, 0), 1);
	ck_assert_int_eq(fd_send(sv[0], "x", 1, p, 254, 0), -EINVAL);
}
END_TEST

START_TEST(flags_of_descriptors_are_set_and_cleared)
{
	int fd = open("/dev/null", O_RDONLY);

	ck_assert_int_eq(fd_set_cloexec(fd, true), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fd_set_cloexec(fd, false), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
	ck_assert_int_eq(fd_set_nonblock(fd, true), 0);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert_int_eq(fd_set_nonblock(-1, true), -EBADF);
}
END_TEST

START_TEST(a_fault_hits_the_call_that_it_names_once)
{
	sys_fault_set("fsync", 2, EIO);
	ck_assert_int_eq(sys_fsync(STDIN_FILENO) == -EIO, 0);
	ck_assert_int_eq(sys_fsync(STDIN_FILENO), -EIO);
	ck_assert_int_eq(sys_fsync(STDIN_FILENO) == -EIO, 0);
	sys_fault_set("mmap", 0, ENOMEM);
	ck_assert(SYS_IS_ERR(sys_mmap(NULL, 4096, 0, 0, -1, 0)));
	ck_assert_int_eq(SYS_ERR(sys_mmap(NULL, 4096, 0, 0, -1, 0)), -ENOMEM);
}
END_TEST

START_TEST(faults_are_taken_from_the_environment)
{
	setenv("RAST_FAULT", "fdatasync:1:ENOSPC,openat:0:13", 1);
	ck_assert_int_eq(sys_fdatasync(0), -ENOSPC);
	ck_assert_int_eq(sys_openat(AT_FDCWD, "/", O_RDONLY, 0), -EACCES);
	ck_assert_int_eq(sys_openat(AT_FDCWD, "/", O_RDONLY, 0), -EACCES);
}
END_TEST

PROMISES("base: files", a_file_is_replaced_with_the_mode_that_was_asked_for, a_path_with_folders_is_replaced_in_its_folder,
	a_fault_in_any_call_of_file_replace_leaves_the_old_content_and_no_temporary_file, a_fault_while_a_file_is_made_leaves_none,
	a_link_is_replaced_and_its_target_is_not, a_file_is_read_whole_whatever_its_size, a_proc_file_is_read_whole_though_its_size_is_0,
	a_file_over_the_limit_is_refused_and_one_at_the_limit_is_not, a_read_error_is_reported, a_short_string_goes_to_an_existing_file_only,
	folders_are_made_with_their_parents_and_existing_ones_are_fine, a_tree_is_removed_without_following_links,
	a_tree_of_any_depth_is_removed, folders_alone_are_removed_only_when_they_hold_no_files, a_failing_removal_is_reported_and_ends,
	descriptors_pass_beside_a_packet_and_are_cloexec, descriptors_without_room_are_closed, flags_of_descriptors_are_set_and_cleared,
	a_fault_hits_the_call_that_it_names_once, faults_are_taken_from_the_environment)
