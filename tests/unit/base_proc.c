/* Processes and cgroup folders: base/proc.h. Cgroups are tried on a real hierarchy where the test may make one. */
#include "base/proc.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "base/file.h"
#include "base/str.h"
#include "tests/unit/unit.h"

START_TEST(the_start_time_of_a_process_stays_and_a_dead_one_has_none)
{
	uint64_t a = 0, b = 1;
	pid_t pid;

	ck_assert_int_eq(proc_start_time(getpid(), &a), 0);
	ck_assert_int_eq(proc_start_time(getpid(), &b), 0);
	ck_assert_uint_eq(a, b);
	ck_assert_uint_gt(a, 0);
	pid = fork();
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	ck_assert_int_eq(proc_start_time(pid, &a), -ESRCH);
}
END_TEST

START_TEST(a_command_name_full_of_brackets_confuses_nobody)
{
	char comm[64];
	pid_t parent = 0;

	prctl(PR_SET_NAME, ") 1 (x) S 7");
	ck_assert_int_eq(proc_parent(getpid(), &parent), 0);
	ck_assert_int_eq(parent, getppid());
	ck_assert_int_eq(proc_comm(getpid(), comm), 0);
	ck_assert_str_eq(comm, ") 1 (x) S 7");
}
END_TEST

START_TEST(a_unit_test_is_not_the_machines_init)
{
	ck_assert(!proc_is_machine_init());
}
END_TEST

START_TEST(the_cgroup_of_a_process_is_an_absolute_path)
{
	char path[4096], tiny[1];
	int r = proc_cgroup(getpid(), path, sizeof(path));

	if (r == -ENODATA) /* no v2 hierarchy here */
		return;
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(path[0], '/');
	ck_assert_int_eq(proc_cgroup(getpid(), tiny, sizeof(tiny)), -ENAMETOOLONG);
}
END_TEST

START_TEST(a_cgroup_folder_is_made_with_its_parents_and_removed_with_its_children)
{
	int root = make_test_dir(), fd;
	struct stat st;

	fd = cgroup_make(root, "rastos.service/web/worker");
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	close(fd);
	fd = cgroup_make(root, "rastos.service/web");
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(cgroup_remove(root, "rastos.service/web"), 0);
	ck_assert_int_ne(faccessat(root, "rastos.service/web", F_OK, 0), 0);
	ck_assert_int_eq(cgroup_remove(root, "rastos.service/web"), 0);
	close(root);
	rm_rf(AT_FDCWD, test_dir_path);
}
END_TEST

START_TEST(a_cgroup_stays_below_its_root)
{
	int root = make_test_dir();

	ck_assert_int_eq(cgroup_make(root, "../x"), -EINVAL);
	ck_assert_int_eq(cgroup_make(root, "/x"), -EINVAL);
	ck_assert_int_eq(cgroup_make(root, ""), -EINVAL);
	close(root);
	rm_rf(AT_FDCWD, test_dir_path);
}
END_TEST

static void put(int dir, const char *name, const char *text)
{
	ck_assert_int_eq(file_replace(dir, name, text, strlen(text), 0600), 0);
}

START_TEST(pids_are_those_of_the_whole_tree)
{
	int root = make_test_dir();
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;

	close(cgroup_make(root, "g/child"));
	put(root, "g/cgroup.procs", "10\n11\n0\n");
	put(root, "g/child/cgroup.procs", "12\n");
	put(root, "g/cgroup.events", "populated 1\nfrozen 0\n");
	ck_assert_int_eq(cgroup_pids(root, "g", &pids, &n), 0);
	ck_assert_uint_eq(n, 3);
	ck_assert_int_eq(pids[0] + pids[1] + pids[2], 33);
	ck_assert_int_eq(cgroup_populated(root, "g"), 1);
	put(root, "g/cgroup.events", "populated 0\nfrozen 0\n");
	ck_assert_int_eq(cgroup_populated(root, "g"), 0);
	ck_assert_int_eq(cgroup_populated(root, "none"), -ENOENT);
	ck_assert_int_eq(cgroup_pids(root, "none", &pids, &n), -ENOENT);
	put(root, "g/memory.max", "");
	ck_assert_int_eq(cgroup_set(root, "g", "memory.max", "64M"), 0);
	ck_assert_int_eq(cgroup_set(root, "g", "no.such", "1"), -ENOENT);
	close(root);
	rm_rf(AT_FDCWD, test_dir_path);
}
END_TEST

/* Our own group in a real v2 hierarchy, or -1. */
static int real_root(char *name, size_t size)
{
	int root = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;

	if (root < 0 || faccessat(root, "cgroup.procs", F_OK, 0) != 0)
		return -1;
	snprintf(name, size, "rast-unit-%d", getpid());
	fd = cgroup_make(root, name);
	if (fd < 0) {
		close(root);
		return -1;
	}
	close(fd);
	return root;
}

static pid_t start_in(int root, const char *name)
{
	char pid_text[16];
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	snprintf(pid_text, sizeof(pid_text), "%d", pid);
	ck_assert_int_eq(cgroup_set(root, name, "cgroup.procs", pid_text), 0);
	return pid;
}

START_TEST(a_cgroup_is_killed_whole)
{
	char name[64], child[80];
	int root = real_root(name, sizeof(name)), status;
	pid_t a, b;

	if (root < 0)
		return; /* no right to make one here */
	snprintf(child, sizeof(child), "%s/child", name);
	close(cgroup_make(root, child));
	a = start_in(root, name);
	b = start_in(root, child);
	ck_assert_int_eq(cgroup_populated(root, name), 1);
	ck_assert_int_eq(cgroup_remove(root, name), -EBUSY);
	ck_assert_int_eq(cgroup_kill(root, name), 0);
	ck_assert_int_eq(waitpid(a, &status, 0), a);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(waitpid(b, &status, 0), b);
	ck_assert_int_eq(cgroup_populated(root, name), 0);
	ck_assert_int_eq(cgroup_remove(root, name), 0);
	close(root);
}
END_TEST

PROMISES("base: processes", the_start_time_of_a_process_stays_and_a_dead_one_has_none, a_command_name_full_of_brackets_confuses_nobody,
	a_unit_test_is_not_the_machines_init, the_cgroup_of_a_process_is_an_absolute_path,
	a_cgroup_folder_is_made_with_its_parents_and_removed_with_its_children, a_cgroup_stays_below_its_root,
	pids_are_those_of_the_whole_tree, a_cgroup_is_killed_whole)
