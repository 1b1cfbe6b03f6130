/* A service's sandbox: an oci_spec without root that the caller fills in, entered by a child of the caller's own making (runtime/runtime.h). */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "base/str.h"
#include "base/sys.h"
#include "runtime/runtime.h"

static const char *args[] = { "/bin/sh", "-c", NULL, NULL };
static const char *env[] = { "PATH=/usr/bin:/bin", "HOME=/", NULL };
static const char *read_only[] = { "/etc", NULL }, *hidden[] = { "/proc/keys", NULL };
static const char *tmp_options[] = { "mode=1777", NULL };

/* Exit status of a shell in the sandbox: by rt_spawn() in a PID namespace, or by rt_enter() in a child that we fork. */
static int sandboxed(const char *script, struct oci_spec *spec, bool own_pid)
{
	struct oci_process process = { .args = { args, 3 }, .env = { env, 2 }, .cwd = "/", .no_new_privileges = true };
	struct rt_request rq = RT_REQUEST_INIT;
	_cleanup_err_ struct err e = { 0 };
	struct rt_plan *plan = NULL;
	struct rt_child c = RT_CHILD_INIT;
	siginfo_t si = { 0 };
	pid_t pid;
	int status;

	args[2] = script;
	spec->oci_version = "1.3.0";
	spec->process = &process;
	process.caps.bounding = process.caps.effective = process.caps.permitted = 1ULL << 1; /* CAP_DAC_OVERRIDE */
	rq.spec = spec;
	ck_assert_msg(rt_plan_make(&rq, &plan, &e) == 0, "%s", err_text(&e));
	if (own_pid) {
		ck_assert_msg(rt_spawn(plan, &c, &e) == 0 && rt_start(plan, &c, &e) == 0, "%s", err_text(&e));
		ck_assert_int_eq(sys_waitid(P_PID, (id_t)c.pid, &si, WEXITED), 0);
		rt_child_close(&c);
		rt_plan_free(plan);
		return si.si_code == CLD_EXITED ? si.si_status : -1;
	}
	pid = fork();
	if (pid == 0) {
		rt_enter(plan, &e);
		fprintf(stderr, "# %s\n", err_text(&e));
		_exit(99);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	rt_plan_free(plan);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char script[] = "touch /tmp/rast-sandbox-only && test ! -e /tmp/rast-unit-marker || exit 1; "
			     "(touch /etc/rast-sandbox) 2>/dev/null && exit 2; test -z \"$(cat /proc/keys)\" || exit 3; test $(ls /proc/self/fd | wc -l) = 4 || exit 4; "
			     "grep -q '^NoNewPrivs:.1' /proc/self/status || exit 5; grep -q '^CapEff:.0000000000000002' /proc/self/status || exit 6; exit 42";

static void in_sandbox(bool own_pid)
{
	struct oci_mount tmp = { .destination = "/tmp", .type = "tmpfs", .source = "tmpfs", .options = { tmp_options, 1 }, .fs_options = { tmp_options, 1 } };
	struct oci_spec spec = { .mounts = &tmp, .n_mounts = 1, .readonly_paths = { read_only, 1 }, .masked_paths = { hidden, 1 } };
	int marker;

	if (geteuid() != 0)
		return;
	marker = open("/tmp/rast-unit-marker", O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(marker, 0);
	spec.ns[OCI_NS_MOUNT].listed = true;
	spec.ns[OCI_NS_PID].listed = own_pid;
	int status = sandboxed(script, &spec, own_pid);
	close(marker);
	unlink("/tmp/rast-unit-marker");
	ck_assert_int_eq(status, 42);
	ck_assert(access("/tmp/rast-sandbox-only", F_OK) < 0);
}

START_TEST(a_child_of_the_callers_own_enters_a_sandbox_without_a_root)
{
	in_sandbox(false);
}
END_TEST

START_TEST(the_same_plan_makes_a_process_in_a_pid_namespace)
{
	in_sandbox(true);
}
END_TEST

START_TEST(what_can_not_be_entered_is_refused_and_said)
{
	struct oci_spec spec = { 0 };

	if (geteuid() != 0)
		return;
	spec.ns[OCI_NS_PID].listed = true; /* its first process has to be cloned */
	ck_assert_int_eq(sandboxed("exit 0", &spec, false), 99);
}
END_TEST

PROMISES("runtime: entering", a_child_of_the_callers_own_enters_a_sandbox_without_a_root, the_same_plan_makes_a_process_in_a_pid_namespace,
	what_can_not_be_entered_is_refused_and_said)
