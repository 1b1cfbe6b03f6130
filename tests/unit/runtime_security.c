/* What a process gives up is given up: each is done in a child, which then looks at itself. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include "base/file.h"
#include "base/str.h"
#include "runtime/security/security.h"

/* Run the body in a child; an assertion in it is a condition that makes its exit status the line. */
#define IN_CHILD(...)                                                                \
	do {                                                                         \
		int status_;                                                         \
		pid_t pid_ = fork();                                                 \
		ck_assert_int_ge(pid_, 0);                                           \
		if (pid_ == 0) {                                                     \
			__VA_ARGS__;                                                 \
			_exit(0);                                                    \
		}                                                                    \
		ck_assert_int_eq(waitpid(pid_, &status_, 0), pid_);                  \
		ck_assert_msg(WIFEXITED(status_) && WEXITSTATUS(status_) == 0, "child: %s", WIFEXITED(status_) ? "see stderr" : strsignal(WTERMSIG(status_))); \
	} while (0)
#define MUST(x)                                                                      \
	do {                                                                         \
		if (!(x)) {                                                          \
			fprintf(stderr, "# line %d: not so: %s (errno %d)\n", __LINE__, #x, errno); \
			_exit(1);                                                    \
		}                                                                    \
	} while (0)

static bool status_has(const char *line)
{
	_cleanup_free_ char *text = NULL;

	return file_read(AT_FDCWD, "/proc/thread-self/status", 65536, &text, NULL) >= 0 && strstr(text, line);
}

#define KILL (1ULL << 5)
#define CHOWN (1ULL << 0)

START_TEST(five_sets_of_capabilities_are_what_was_asked_for)
{
	const struct oci_caps caps = { .bounding = KILL | CHOWN, .permitted = KILL, .effective = 0, .inheritable = KILL, .ambient = KILL };
	const struct oci_user user = { .uid = 1000, .gid = 1001, .n_gids = 2, .gids = (gid_t[]){ 5, 6 }, .has_umask = true, .umask = 027 };

	if (geteuid() != 0)
		return;
	IN_CHILD({
		const char *what = NULL;
		MUST(sec_bounding(&caps, &what) == 0);
		MUST(sec_user(&user, false, &what) == 0);
		MUST(sec_caps(&caps, &what) == 0);
		MUST(sec_no_new_privs(&what) == 0);
		MUST(status_has("CapInh:\t0000000000000020"));
		MUST(status_has("CapPrm:\t0000000000000020"));
		MUST(status_has("CapEff:\t0000000000000000"));
		MUST(status_has("CapBnd:\t0000000000000021"));
		MUST(status_has("CapAmb:\t0000000000000020"));
		MUST(status_has("NoNewPrivs:\t1"));
		MUST(status_has("Uid:\t1000\t1000\t1000\t1000"));
		MUST(status_has("Gid:\t1001\t1001\t1001\t1001"));
		MUST(status_has("Groups:\t5 6 "));
		MUST(umask(0) == 027);
		MUST(setuid(0) < 0);
	});
}
END_TEST

START_TEST(capabilities_that_we_have_not_are_an_error)
{
	if (geteuid() != 0)
		return;
	IN_CHILD({
		const char *what = "";
		const struct oci_caps none = { 0 };
		const struct oci_caps all = { .permitted = CHOWN };
		MUST(sec_caps(&none, &what) == 0);
		MUST(sec_caps(&all, &what) == -EPERM);
		MUST(streq(what, "set capabilities that the runtime itself doesn't have"));
		MUST(sec_bounding(&none, &what) == -EPERM); /* without CAP_SETPCAP */
	});
}
END_TEST

START_TEST(limits_and_scheduling_are_set)
{
	IN_CHILD({
		const struct oci_rlimit limits[] = { { RLIMIT_NOFILE, "RLIMIT_NOFILE", 50, 60 }, { RLIMIT_CORE, "RLIMIT_CORE", 0, 0 } };
		const struct oci_scheduler sched = { .policy = SCHED_BATCH, .nice = 5 };
		const struct oci_process p = { .has_io_priority = true, .io_priority = 3 << 13 | 0 };
		unsigned long bits[1] = { 1 };
		const struct oci_bits cpus = { .bits = bits, .n_bytes = sizeof(bits), .n_bits = 1 };
		struct rlimit now;
		cpu_set_t set;
		const char *what = NULL;
		MUST(sec_rlimits(limits, 2, &what) == 0);
		MUST(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == 50 && now.rlim_max == 60);
		MUST(getrlimit(RLIMIT_CORE, &now) == 0 && now.rlim_max == 0);
		MUST(sec_scheduler(&sched, &what) == 0 && sched_getscheduler(0) == SCHED_BATCH && getpriority(PRIO_PROCESS, 0) == 5);
		MUST(sec_ioprio(&p, &what) == 0 && syscall(SYS_ioprio_get, 1, 0) == (3 << 13));
		if (sec_affinity(&cpus, &what) == 0)
			MUST(sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set));
	});
}
END_TEST

START_TEST(a_limit_that_is_refused_is_named)
{
	IN_CHILD({
		const struct oci_rlimit down = { RLIMIT_NPROC, "RLIMIT_NPROC", 5, 5 };
		const struct oci_rlimit up = { RLIMIT_NPROC, "RLIMIT_NPROC", 6, 6 };
		const struct oci_caps none = { 0 };
		const char *what = NULL;
		MUST(geteuid() != 0 || sec_caps(&none, &what) == 0);
		MUST(sec_rlimits(&down, 1, &what) == 0);
		MUST(sec_rlimits(&up, 1, &what) == -EPERM && streq(what, "RLIMIT_NPROC"));
	});
}
END_TEST

START_TEST(the_personality_is_that_of_32_bits)
{
	IN_CHILD({
		struct utsname u;
		MUST(sec_personality(PER_LINUX32, NULL) == 0);
		MUST(uname(&u) == 0 && !streq(u.machine, "x86_64") && !streq(u.machine, "aarch64"));
	});
}
END_TEST

START_TEST(the_memory_policy_is_in_force)
{
	IN_CHILD({
		unsigned long bits[1] = { 1 };
		unsigned long nodes[16] = { 0 };
		const struct oci_memory_policy m = { .mode = 2, .nodes = { .bits = bits, .n_bytes = 8, .n_bits = 1 } };
		int mode = -1;
		int r = sec_mempolicy(&m, NULL);
		if (r == -ENOSYS) /* a kernel without NUMA */
			_exit(0);
		MUST(r == 0);
		MUST(syscall(SYS_get_mempolicy, &mode, nodes, 1024, NULL, 0) == 0 && mode == 2 && nodes[0] == 1);
	});
}
END_TEST

START_TEST(the_oom_score_is_written_through_the_given_procfs)
{
	IN_CHILD({
		_cleanup_free_ char *text = NULL;
		const char *what = NULL;
		int proc = open("/proc", O_PATH | O_DIRECTORY);
		MUST(sec_oom_score(proc, 321, &what) == 0);
		MUST(file_read(AT_FDCWD, "/proc/self/oom_score_adj", 64, &text, NULL) >= 0 && streq(text, "321\n"));
		MUST(sec_oom_score(-1, 1, &what) == -EBADF && streq(what, "set oom_score_adj"));
	});
}
END_TEST

START_TEST(the_session_keyring_is_a_new_one)
{
	IN_CHILD({
		long before = syscall(SYS_keyctl, 0, -3, 0);
		int r = sec_keyring("_ses.test", NULL);
		if (r == -EPERM || r == -EACCES) /* a sandbox that forbids keyctl */
			_exit(0);
		MUST(r == 0);
		MUST(before < 0 || syscall(SYS_keyctl, 0, -3, 0) != before);
	});
}
END_TEST

START_TEST(landlock_leaves_what_was_listed)
{
	int dir = make_test_dir();
	char ro[128];
	char rw[128];
	char other[128];

	if (landlock_abi() == 0)
		return;
	snprintf(ro, sizeof(ro), "%s/ro", test_dir_path);
	snprintf(rw, sizeof(rw), "%s/rw", test_dir_path);
	snprintf(other, sizeof(other), "%s/other", test_dir_path);
	ck_assert(mkdir(ro, 0755) == 0 && mkdir(rw, 0755) == 0 && mkdir(other, 0755) == 0);
	IN_CHILD({
		const char *read[] = { ro, NULL };
		const char *write[] = { rw, NULL };
		const struct oci_landlock l = { .read = { read, 1 }, .write = { write, 1 } };
		const char *what = NULL;
		int root = open("/", O_PATH | O_DIRECTORY);
		MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
		MUST(sec_landlock(&l, root, &what) == 0);
		MUST(open(ro, O_RDONLY) >= 0);
		MUST(chdir(rw) == 0 && open("new", O_WRONLY | O_CREAT, 0644) >= 0);
		MUST(openat(open(ro, O_PATH), "new", O_WRONLY | O_CREAT, 0644) < 0 && errno == EACCES);
		MUST(open(other, O_RDONLY) < 0 && errno == EACCES);
	});
	IN_CHILD({
		const char *read[] = { "/nonexistent", NULL };
		const struct oci_landlock l = { .read = { read, 1 } };
		const char *what = NULL;
		MUST(sec_landlock(&l, open("/", O_PATH), &what) == -ENOENT && streq(what, "/nonexistent"));
	});
	close(dir);
	ck_assert_int_eq(rm_rf(AT_FDCWD, test_dir_path), 0);
}
END_TEST

START_TEST(what_the_kernel_has_not_is_refused_by_its_json_path)
{
	const struct oci_process p = { .apparmor_profile = "x" }, q = { .selinux_label = "x" };
	const struct oci_intel_rdt rdt = { 0 };
	const struct oci_spec s = { .mount_label = "x" }, t = { .intel_rdt = (struct oci_intel_rdt *)&rdt };
	_cleanup_err_ struct err e = { 0 };

	if (!lsm_apparmor_enabled()) {
		ck_assert_int_eq(sec_check(NULL, &p, &e), -EOPNOTSUPP);
		ck_assert(str_starts(err_text(&e), "process.apparmorProfile: "));
	}
	if (!lsm_selinux_enabled()) {
		ck_assert_int_eq(sec_check(NULL, &q, &e), -EOPNOTSUPP);
		ck_assert(str_starts(err_text(&e), "process.selinuxLabel: "));
		ck_assert_int_eq(sec_check(&s, NULL, &e), -EOPNOTSUPP);
		ck_assert(str_starts(err_text(&e), "linux.mountLabel: "));
	}
	if (access("/sys/fs/resctrl/schemata", F_OK) < 0) {
		ck_assert_int_eq(sec_check(&t, NULL, &e), -EOPNOTSUPP);
		ck_assert(str_starts(err_text(&e), "linux.intelRdt: "));
	}
	ck_assert_int_eq(sec_check(NULL, NULL, &e), 0);
}
END_TEST

PROMISES("runtime: security", five_sets_of_capabilities_are_what_was_asked_for, capabilities_that_we_have_not_are_an_error,
	limits_and_scheduling_are_set, a_limit_that_is_refused_is_named, the_personality_is_that_of_32_bits, the_memory_policy_is_in_force,
	the_oom_score_is_written_through_the_given_procfs, the_session_keyring_is_a_new_one, landlock_leaves_what_was_listed,
	what_the_kernel_has_not_is_refused_by_its_json_path)
