/* Filters do what profiles say: each is loaded in a child, which then makes the calls. The cache gives back what was put in and trusts nobody. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <jansson.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include "base/file.h"
#include "base/str.h"
#include "runtime/seccomp/seccomp.h"

static struct oci_spec *profile(const char *json)
{
	const struct oci_load how = { .file = "config.json" };
	_cleanup_err_ struct err e = { 0 };
	_cleanup_free_ char *text = NULL;
	struct oci_spec *spec = NULL;

	ck_assert(asprintf(&text, "{'ociVersion':'1.2.0','root':{'path':'r'},'linux':{'seccomp':{%s}}}", json) > 0);
	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	if (oci_spec_parse(text, strlen(text), &how, &spec, &e) < 0)
		ck_abort_msg("%s", err_text(&e));
	return spec;
}

/* What a child says after it has loaded the filter: the errno of the call (0: it went well), or -signal that killed it. */
static int try_call(const struct filter *f, long nr, long a, long b, long c)
{
	int pipes[2], status, result = -1000;
	pid_t pid;

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int code = filter_install(f);
		if (code >= 0)
			code = syscall(nr, a, b, c) < 0 ? errno : 0;
		(void)!write(pipes[1], &code, sizeof(code));
		_exit(0);
	}
	close(pipes[1]);
	(void)!read(pipes[0], &result, sizeof(result));
	close(pipes[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : result;
}

static int try_profile(const char *json, long nr, long a, long b, long c)
{
	_cleanup_oci_spec_ struct oci_spec *s = profile(json);
	_cleanup_err_ struct err e = { 0 };
	_cleanup_filter_ struct filter f = { 0 };

	if (filter_get(s->seccomp, NULL, &f, &e) < 0)
		ck_abort_msg("%s", err_text(&e));
	if (geteuid() != 0)
		(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return try_call(&f, nr, a, b, c);
}

#define ALLOW "'defaultAction':'SCMP_ACT_ALLOW','syscalls':"
#define ONE(action) ALLOW "[{'names':['no_such_call','getppid'],'action':'" action "'}]"
#define PERSONALITY(args) ALLOW "[{'names':['getpriority'],'action':'SCMP_ACT_ERRNO','errnoRet':77,'args':[" args "]}]"

START_TEST(each_action_does_what_it_says)
{
	ck_assert_int_eq(try_profile(ONE("SCMP_ACT_ALLOW"), SYS_getppid, 0, 0, 0), 0);
	ck_assert_int_eq(try_profile(ONE("SCMP_ACT_ERRNO"), SYS_getppid, 0, 0, 0), EPERM);
	ck_assert_int_eq(try_profile(ALLOW "[{'names':['getppid'],'action':'SCMP_ACT_ERRNO','errnoRet':95}]", SYS_getppid, 0, 0, 0), 95);
	ck_assert_int_eq(try_profile(ONE("SCMP_ACT_KILL"), SYS_getppid, 0, 0, 0), -SIGSYS);
	ck_assert_int_eq(try_profile(ONE("SCMP_ACT_KILL_PROCESS"), SYS_getppid, 0, 0, 0), -SIGSYS);
	ck_assert_int_eq(try_profile(ONE("SCMP_ACT_KILL_THREAD"), SYS_getppid, 0, 0, 0), -SIGSYS);
	ck_assert_int_eq(try_profile(ONE("SCMP_ACT_TRAP"), SYS_getppid, 0, 0, 0), -SIGSYS);
	ck_assert_int_eq(try_profile(ONE("SCMP_ACT_LOG"), SYS_getppid, 0, 0, 0), 0);
	ck_assert_int_eq(try_profile(ONE("SCMP_ACT_TRACE"), SYS_getppid, 0, 0, 0), ENOSYS); /* nobody traces */
	ck_assert_int_eq(try_profile(ONE("SCMP_ACT_ERRNO"), SYS_getpid, 0, 0, 0), 0);
}
END_TEST

START_TEST(arguments_are_compared)
{
	const struct { const char *args; long a, b; int want; } cases[] = {
		{ "{'index':0,'value':5,'op':'SCMP_CMP_EQ'}", 5, 0, 77 }, { "{'index':0,'value':5,'op':'SCMP_CMP_EQ'}", 0, 0, 0 },
		{ "{'index':0,'value':0,'op':'SCMP_CMP_NE'}", 1, 0, 77 }, { "{'index':0,'value':0,'op':'SCMP_CMP_NE'}", 0, 0, 0 },
		{ "{'index':1,'value':9,'op':'SCMP_CMP_GT'}", 0, 10, 77 }, { "{'index':1,'value':9,'op':'SCMP_CMP_GT'}", 0, 9, 0 },
		{ "{'index':1,'value':9,'op':'SCMP_CMP_GE'}", 0, 9, 77 }, { "{'index':1,'value':9,'op':'SCMP_CMP_LT'}", 0, 9, 0 },
		{ "{'index':1,'value':9,'op':'SCMP_CMP_LT'}", 0, 8, 77 }, { "{'index':1,'value':9,'op':'SCMP_CMP_LE'}", 0, 9, 77 },
		{ "{'index':1,'value':240,'valueTwo':16,'op':'SCMP_CMP_MASKED_EQ'}", 0, 0x11f, 77 },
		{ "{'index':1,'value':240,'valueTwo':16,'op':'SCMP_CMP_MASKED_EQ'}", 0, 0x2f, 0 },
		{ "{'index':0,'value':0,'op':'SCMP_CMP_EQ'},{'index':1,'value':3,'op':'SCMP_CMP_EQ'}", 0, 3, 77 }, /* both */
		{ "{'index':0,'value':0,'op':'SCMP_CMP_EQ'},{'index':1,'value':3,'op':'SCMP_CMP_EQ'}", 0, 4, 0 },
		{ "{'index':1,'value':3,'op':'SCMP_CMP_EQ'},{'index':1,'value':4,'op':'SCMP_CMP_EQ'}", 0, 4, 77 }, /* either */
		{ "{'index':1,'value':3,'op':'SCMP_CMP_EQ'},{'index':1,'value':4,'op':'SCMP_CMP_EQ'}", 0, 5, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char json[512];
		snprintf(json, sizeof(json), PERSONALITY("%s"), cases[i].args);
		int got = try_profile(json, SYS_getpriority, cases[i].a, cases[i].b, 0);
		if (cases[i].want == 0 && cases[i].a != 0) /* getpriority itself doesn't know this `which` */
			ck_assert_int_eq(got, EINVAL);
		else
			ck_assert_msg(cases[i].want == 77 ? got == 77 : got != 77, "case %zu: %d", i, got);
	}
}
END_TEST

START_TEST(what_is_not_listed_gets_the_default)
{
	const char *json = "'defaultAction':'SCMP_ACT_ERRNO','defaultErrnoRet':38,'architectures':['SCMP_ARCH_X86_64','SCMP_ARCH_X86','SCMP_ARCH_X32'],'syscalls':"
			   "[{'names':['write','exit','exit_group','rt_sigreturn','mmap','munmap','sigaltstack'],'action':'SCMP_ACT_ALLOW'},{'names':['read'],'action':'SCMP_ACT_ERRNO','errnoRet':38}]";

	ck_assert_int_eq(try_profile(json, SYS_getppid, 0, 0, 0), 38);
	ck_assert_int_eq(try_profile(json, SYS_read, 0, 0, 0), 38);
	ck_assert_int_eq(try_profile(json, SYS_write, -1, 0, 0), EBADF);
}
END_TEST

START_TEST(of_two_entries_that_contradict_each_other_the_first_counts)
{
	ck_assert_int_eq(try_profile(ALLOW "[{'names':['getppid'],'action':'SCMP_ACT_ERRNO','errnoRet':5},{'names':['getppid'],'action':'SCMP_ACT_KILL'}]", SYS_getppid, 0, 0, 0), 5);
	ck_assert_int_eq(try_profile(ALLOW "[{'names':['getppid'],'action':'SCMP_ACT_KILL'},{'names':['getppid'],'action':'SCMP_ACT_ERRNO','errnoRet':5}]", SYS_getppid, 0, 0, 0), -SIGSYS);
}
END_TEST

static char *cache_path(void)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/cache", test_dir_path);
	return path;
}

static bool get(const struct oci_spec *s, const char *dir)
{
	_cleanup_err_ struct err e = { 0 };
	_cleanup_filter_ struct filter f = { 0 };

	ck_assert_int_eq(filter_get(s->seccomp, dir, &f, &e), 0);
	ck_assert_int_gt(f.prog.len, 3);
	ck_assert_int_eq(try_call(&f, SYS_getppid, 0, 0, 0), EPERM);
	return f.cached;
}

/* The only file of the cache. */
static void cache_file(char path[512])
{
	_cleanup_closedir_ DIR *dir = opendir(cache_path());
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	for (struct dirent *d; (d = readdir(dir));)
		if (d->d_name[0] != '.') {
			snprintf(path, 512, "%s/%s", cache_path(), d->d_name);
			n++;
		}
	ck_assert_int_eq(n, 1);
}

START_TEST(the_second_time_comes_from_the_cache)
{
	_cleanup_oci_spec_ struct oci_spec *s = profile(ONE("SCMP_ACT_ERRNO")), *t = profile(ALLOW "[{'names':['getppid'],'action':'SCMP_ACT_ERRNO'}]");
	int dir = make_test_dir();
	struct stat st;

	ck_assert(!get(s, cache_path()));
	ck_assert(get(s, cache_path()));
	ck_assert(!get(t, cache_path()));
	ck_assert(get(t, cache_path()));
	ck_assert(get(s, cache_path()));
	ck_assert(stat(cache_path(), &st) == 0 && (st.st_mode & 0777) == 0700);
	close(dir);
	rm_rf(AT_FDCWD, test_dir_path);
}
END_TEST

START_TEST(a_file_that_was_tampered_with_is_not_used)
{
	_cleanup_oci_spec_ struct oci_spec *s = profile(ONE("SCMP_ACT_ERRNO"));
	int dir = make_test_dir();
	char path[512];
	struct stat st;

	ck_assert(!get(s, cache_path()));
	cache_file(path);
	ck_assert_int_eq(stat(path, &st), 0);
	for (off_t at = 0; at < st.st_size; at += 7) { /* each byte counts */
		char byte;
		int fd = open(path, O_RDWR);
		ck_assert(fd >= 0 && pread(fd, &byte, 1, at) == 1);
		byte ^= 0x40;
		ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		_cleanup_err_ struct err e = { 0 };
		_cleanup_filter_ struct filter f = { 0 };
		ck_assert_int_eq(filter_get(s->seccomp, cache_path(), &f, &e), 0);
		ck_assert_msg(!f.cached, "byte %ld", (long)at);
		cache_file(path); /* made anew */
	}
	ck_assert_int_eq(truncate(path, st.st_size - 1), 0);
	ck_assert(!get(s, cache_path()));
	ck_assert(get(s, cache_path()));
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert(!get(s, cache_path()));
	close(dir);
	rm_rf(AT_FDCWD, test_dir_path);
}
END_TEST

START_TEST(a_folder_that_others_can_write_is_not_used)
{
	_cleanup_oci_spec_ struct oci_spec *s = profile(ONE("SCMP_ACT_ERRNO"));
	int dir = make_test_dir();
	char link_path[160];

	ck_assert(!get(s, cache_path()) && get(s, cache_path()));
	ck_assert_int_eq(chmod(cache_path(), 0770), 0);
	ck_assert(!get(s, cache_path()));
	ck_assert_int_eq(chmod(cache_path(), 0700), 0);
	snprintf(link_path, sizeof(link_path), "%s/link", test_dir_path);
	ck_assert_int_eq(symlink("cache", link_path), 0);
	ck_assert(!get(s, link_path));
	ck_assert(!get(s, "/proc/nonexistent/cache"));
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(cache_path(), 1, 1), 0);
		ck_assert(!get(s, cache_path()));
	}
	close(dir);
	rm_rf(AT_FDCWD, test_dir_path);
}
END_TEST

/* The agent: takes the listener, says 1234 to the one call. Runs in a child of its own. */
static void agent(int server)
{
	int fd = accept(server, NULL, NULL), listener = -1;
	char text[4096] = { 0 };
	size_t n_fds = 1, len = 0;
	struct seccomp_notif req = { 0 };
	ssize_t n = fd_recv(fd, text, sizeof(text) - 1, &listener, &n_fds, 0);

	while (n > 0) {
		len += (size_t)n;
		n = read(fd, text + len, sizeof(text) - 1 - len);
	}
	json_t *j = json_loads(text, 0, NULL);
	int pid = 0;
	const char *fds_name, *metadata, *id;
	if (!j || n_fds != 1 || json_unpack(j, "{s:s, s:[s], s:i, s:s, s:{s:s}}", "ociVersion", &id, "fds", &fds_name, "pid", &pid, "metadata", &metadata,
		"state", "id", &id) < 0 || !streq(fds_name, "seccompFd") || !streq(metadata, "meta") || !streq(id, "box"))
		_exit(2);
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req) < 0 || (int)req.pid != pid)
		_exit(3);
	struct seccomp_notif_resp resp = { .id = req.id, .val = 1234 };
	_exit(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp) < 0 ? 4 : 0);
}

START_TEST(a_listener_reaches_the_agent_with_the_containers_state)
{
	int dir = make_test_dir(), server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), to[2], from[2], status, number;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_err_ struct err e = { 0 };
	_cleanup_filter_ struct filter f = { 0 };
	_cleanup_close_ int pidfd = -1, listener = -1;
	char json[512];
	long answer = 0;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/agent", test_dir_path);
	ck_assert(bind(server, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(server, 1) == 0);
	snprintf(json, sizeof(json), "'defaultAction':'SCMP_ACT_ALLOW','listenerPath':'%s','listenerMetadata':'meta','syscalls':[{'names':['getppid'],'action':'SCMP_ACT_NOTIFY'}]", addr.sun_path);
	_cleanup_oci_spec_ struct oci_spec *s = profile(json);
	ck_assert_int_eq(filter_get(s->seccomp, NULL, &f, &e), 0);
	ck_assert(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
	pid_t agent_pid = fork();
	if (agent_pid == 0)
		agent(server);
	pid_t pid = fork();
	if (pid == 0) {
		int fd = filter_install(&f);
		(void)!write(from[1], &fd, sizeof(fd));
		(void)!read(to[0], &fd, 1);
		long r = syscall(SYS_getppid);
		(void)!write(from[1], &r, sizeof(r));
		_exit(0);
	}
	ck_assert_int_eq(read(from[0], &number, sizeof(number)), sizeof(number));
	ck_assert_int_gt(number, 0);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	listener = filter_steal(pidfd, number);
	ck_assert_int_ge(listener, 0);
	ck_assert_int_eq(filter_notify(s->seccomp, "1.3.0", pid, "{\"ociVersion\":\"1.3.0\",\"id\":\"box\"}", listener, &e), 0);
	ck_assert_int_eq(write(to[1], "", 1), 1);
	ck_assert_int_eq(read(from[0], &answer, sizeof(answer)), sizeof(answer));
	ck_assert_int_eq(answer, 1234);
	ck_assert_int_eq(waitpid(agent_pid, &status, 0), agent_pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	close(server);
	close(dir);
	rm_rf(AT_FDCWD, test_dir_path);
	ck_assert_int_lt(filter_notify(s->seccomp, "1.3.0", pid, "{}", listener, &e), 0);
	ck_assert(strstr(err_text(&e), "linux.seccomp.listenerPath: connect to the agent at "));
}
END_TEST

PROMISES("runtime: seccomp", each_action_does_what_it_says, arguments_are_compared, what_is_not_listed_gets_the_default,
	of_two_entries_that_contradict_each_other_the_first_counts, the_second_time_comes_from_the_cache, a_file_that_was_tampered_with_is_not_used,
	a_folder_that_others_can_write_is_not_used, a_listener_reaches_the_agent_with_the_containers_state)
