/* Varlink server and client: base/varlink.h. The server runs in this process, clients in children or on raw sockets. */
#include "base/varlink.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "tests/unit/unit.h"

static const char description[] =
	"interface org.example.test\n"
	"type Big (text: string)\n"
	"method Echo(text: string, n: ?int) -> (text: string)\n"
	"method Root() -> ()\n"
	"method Missing() -> ()\n"
	"method Later() -> ()\n"
	"method Count(to: int) -> (i: int)\n"
	"method Watch() -> (text: string)\n"
	"method Fail(err: int) -> ()\n"
	"method Silent() -> ()\n"
	"method Forget() -> ()\n"
	"method Free() -> ()\n"
	"method Fd() -> (text: string)\n"
	"error Error (errno: int, name: string, text: string)\n";

static struct loop *l;
static struct varlink_server *server;
static struct varlink_call *kept;
static int n_echo, n_closed, n_drained;
static struct timer later;

static int echo(struct varlink_call *c, json_t *params, void *data)
{
	n_echo++;
	return varlink_reply(c, json_pack("{s:O}", "text", json_object_get(params, "text")));
}

static int root_only(struct varlink_call *c, json_t *params, void *data)
{
	return varlink_reply(c, NULL);
}

static int reply_later(struct timer *t, void *data)
{
	struct varlink_call *c = TAKE_PTR(kept);

	if (!c)
		return 0;
	varlink_reply(c, NULL);
	varlink_call_unref(c);
	return 0;
}

static void closed(struct varlink_call *c, void *data)
{
	n_closed++;
	if (kept == c) {
		kept = NULL;
		varlink_call_unref(c);
	}
}

static int call_later(struct varlink_call *c, json_t *params, void *data)
{
	kept = varlink_call_ref(c);
	varlink_call_on_close(c, closed, NULL);
	timer_init(&later, reply_later, NULL);
	return timer_arm_in(l, &later, 10000);
}

static int count_to(struct varlink_call *c, json_t *params, void *data)
{
	json_int_t to = json_integer_value(json_object_get(params, "to"));

	for (json_int_t i = 1; i < to; i++) {
		int r = varlink_reply_continues(c, json_pack("{s:I}", "i", i));
		if (r < 0)
			return r;
	}
	return varlink_reply(c, json_pack("{s:I}", "i", to));
}

static void drained(struct varlink_call *c, void *data)
{
	n_drained++;
}

static int watch(struct varlink_call *c, json_t *params, void *data)
{
	kept = varlink_call_ref(c);
	varlink_call_on_close(c, closed, NULL);
	varlink_call_on_drain(c, drained, NULL);
	return 0;
}

static int fail_with(struct varlink_call *c, json_t *params, void *data)
{
	return -(int)json_integer_value(json_object_get(params, "err"));
}

static int silent(struct varlink_call *c, json_t *params, void *data)
{
	return 0;
}

static int drop(void *data)
{
	varlink_call_unref(data);
	return 0;
}

static int forget(struct varlink_call *c, json_t *params, void *data)
{
	return loop_defer(l, drop, varlink_call_ref(c));
}

static int free_server(struct varlink_call *c, json_t *params, void *data)
{
	varlink_server_free(server);
	server = NULL;
	loop_quit(l, 0);
	return 0;
}

/* Writes through the descriptor that came along, and sends one back. */
static int pass_fd(struct varlink_call *c, json_t *params, void *data)
{
	_cleanup_close_ int fd = varlink_call_take_fd(c);
	int p[2];

	if (fd < 0)
		return fd;
	if (write(fd, "to client", 9) != 9 || pipe2(p, O_CLOEXEC) < 0 || write(p[1], "hello", 5) != 5)
		return -EIO;
	close(p[1]);
	varlink_call_push_fd(c, p[0]);
	return varlink_reply(c, json_pack("{s:s}", "text", "sent"));
}

static const struct varlink_method_entry methods[] = {
	{ "Echo", echo, false }, { "Root", root_only, true }, { "Later", call_later, false }, { "Count", count_to, false },
	{ "Watch", watch, false }, { "Fail", fail_with, false }, { "Silent", silent, false }, { "Forget", forget, false },
	{ "Free", free_server, false }, { "Fd", pass_fd, false },
};
static const struct varlink_interface iface = { "org.example.test", description, methods, ARRAY_SIZE(methods) };

static void begin(int listen_fd)
{
	kept = NULL;
	n_echo = n_closed = n_drained = 0;
	ck_assert_int_eq(loop_new(&l), 0);
	ck_assert_int_eq(varlink_server_new(l, listen_fd, &iface, 1, "unit test", "1", NULL, &server), 0);
}

static void end(void)
{
	varlink_server_free(server);
	server = NULL;
	loop_free(l);
}

/* A raw peer of the server. */
static int peer(void)
{
	int sv[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	ck_assert_int_eq(varlink_server_add_connection(server, sv[0]), 0);
	return sv[1];
}

static void steps(void)
{
	int n;

	do {
		n = loop_step(l, 20);
		ck_assert_int_ge(n, 0);
	} while (n > 0);
}

static void say(int fd, const char *json)
{
	ck_assert_int_eq(write_all(fd, json, strlen(json) + 1), 0);
}

/* What has been answered so far, with the NULs as newlines. "" at end of file too. */
static const char *heard(int fd)
{
	static char buf[1 << 20];
	size_t len = 0;
	ssize_t n;

	do { /* a read ends at descriptors, and what is read makes room for more */
		steps();
		n = recv(fd, buf + len, sizeof(buf) - 1 - len, MSG_DONTWAIT);
		len += (size_t)MAX(n, 0);
	} while (n > 0);
	for (size_t i = 0; i < len; i++)
		if (!buf[i])
			buf[i] = '\n';
	buf[len] = 0;
	return buf;
}

static bool at_end(int fd)
{
	char c;

	steps();
	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

#define ck_answer(fd, call, want)                     \
	do {                                          \
		say(fd, call);                        \
		ck_assert_str_eq(heard(fd), want "\n"); \
	} while (0)

START_TEST(a_call_is_answered)
{
	int fd;

	begin(-1);
	fd = peer();
	ck_answer(fd, "{\"method\":\"org.example.test.Echo\",\"parameters\":{\"text\":\"hi\"}}", "{\"parameters\":{\"text\":\"hi\"}}");
	ck_answer(fd, " {\"method\":\"org.example.test.Root\"} ", "{\"parameters\":{}}");
	close(fd);
	steps();
	ck_assert_uint_eq(varlink_server_connections(server), 0);
	end();
}
END_TEST

START_TEST(the_service_describes_itself)
{
	_cleanup_buf_ struct buf want = { 0 };
	int fd;

	begin(-1);
	fd = peer();
	ck_answer(fd, "{\"method\":\"org.varlink.service.GetInfo\"}",
		"{\"parameters\":{\"vendor\":\"rastOS\",\"product\":\"unit test\",\"version\":\"1\",\"url\":\"https://varlink.org/\","
		"\"interfaces\":[\"org.varlink.service\",\"org.example.test\"]}}");
	say(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"org.example.test\"}}");
	ck_assert_ptr_nonnull(strstr(heard(fd), "{\"parameters\":{\"description\":\"interface org.example.test\\n"));
	say(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"org.varlink.service\"}}");
	ck_assert_ptr_nonnull(strstr(heard(fd), "error ExpectedMore ()"));
	ck_answer(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"x.y\"}}",
		"{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"x.y\"}}");
	close(fd);
	end();
}
END_TEST

START_TEST(a_wrong_call_is_answered_with_the_error_of_the_standard)
{
	int fd;

	begin(-1);
	fd = peer();
#define SERVICE_ERROR(name, params) "{\"error\":\"org.varlink.service." name "\",\"parameters\":{" params "}}"
	ck_answer(fd, "{\"method\":\"org.example.none.Echo\"}", SERVICE_ERROR("InterfaceNotFound", "\"interface\":\"org.example.none\""));
	ck_answer(fd, "{\"method\":\"Echo\"}", SERVICE_ERROR("InterfaceNotFound", "\"interface\":\"Echo\""));
	ck_answer(fd, "{\"method\":\"\"}", SERVICE_ERROR("InterfaceNotFound", "\"interface\":\"\""));
	ck_answer(fd, "{\"method\":\"org.example.test.No\"}", SERVICE_ERROR("MethodNotFound", "\"method\":\"org.example.test.No\""));
	ck_answer(fd, "{\"method\":\"org.example.test.Big\"}", SERVICE_ERROR("MethodNotFound", "\"method\":\"org.example.test.Big\""));
	ck_answer(fd, "{\"method\":\"org.example.test.Missing\"}", SERVICE_ERROR("MethodNotImplemented", "\"method\":\"org.example.test.Missing\""));
	ck_answer(fd, "{\"method\":\"org.example.test.Echo\"}", SERVICE_ERROR("InvalidParameter", "\"parameter\":\"text\""));
	ck_answer(fd, "{\"method\":\"org.example.test.Echo\",\"parameters\":{\"text\":\"x\",\"y\":1}}", SERVICE_ERROR("InvalidParameter", "\"parameter\":\"y\""));
	ck_answer(fd, "{\"method\":\"org.example.test.Echo\",\"parameters\":[]}", SERVICE_ERROR("InvalidParameter", "\"parameter\":\"parameters\""));
	ck_answer(fd, "{\"method\":\"org.example.test.Count\",\"parameters\":{\"to\":2}}", SERVICE_ERROR("ExpectedMore", ""));
	close(fd);
	end();
}
END_TEST

START_TEST(the_result_of_a_handler_without_an_answer_is_the_answer)
{
	int fd;

	begin(-1);
	fd = peer();
	ck_answer(fd, "{\"method\":\"org.example.test.Fail\",\"parameters\":{\"err\":2}}",
		"{\"error\":\"org.example.test.Error\",\"parameters\":{\"errno\":2,\"name\":\"ENOENT\",\"text\":\"No such file or directory\"}}");
	say(fd, "{\"method\":\"org.example.test.Silent\"}");
	ck_assert_ptr_nonnull(strstr(heard(fd), "org.example.test.Error"));
	say(fd, "{\"method\":\"org.example.test.Forget\"}");
	ck_assert_ptr_nonnull(strstr(heard(fd), "org.example.test.Error"));
	close(fd);
	end();
}
END_TEST

START_TEST(what_is_no_call_ends_the_connection)
{
	static const char *const wrong[] = { "", "x", "[]", "null", "{}", "{\"method\":1}", "{\"method\":\"a.B\",\"more\":1}",
		"{\"method\":\"a.B\",\"oneway\":\"x\"}", "{\"method\":\"a.B\"}}", "{\"method\":\"\xff.B\"}", "{\"method\":\"a.B\",\"upgrade\":true}",
		"{\"method\":\"a.B\",\"method\":\"a.B\"}" };

	begin(-1);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		int fd = peer();
		say(fd, wrong[i]);
		ck_assert_msg(at_end(fd), "%s", wrong[i]);
		close(fd);
		ck_assert_uint_eq(varlink_server_connections(server), 0);
	}
	end();
}
END_TEST

START_TEST(input_may_come_byte_by_byte)
{
	static const char call[] = "{\"method\":\"org.example.test.Echo\",\"parameters\":{\"text\":\"hi\"}}";
	int fd;

	begin(-1);
	fd = peer();
	for (size_t i = 0; i < sizeof(call); i++) {
		ck_assert_int_eq(write(fd, call + i, 1), 1);
		loop_step(l, 20);
	}
	ck_assert_str_eq(heard(fd), "{\"parameters\":{\"text\":\"hi\"}}\n");
	close(fd);
	end();
}
END_TEST

START_TEST(pipelined_calls_are_answered_in_order)
{
	_cleanup_buf_ struct buf calls = { 0 };
	_cleanup_buf_ struct buf want = { 0 };
	int fd;

	begin(-1);
	fd = peer();
	for (int i = 0; i < 300; i++) {
		buf_addf(&calls, "{\"method\":\"org.example.test.Echo\",\"parameters\":{\"text\":\"%d\"}}", i);
		buf_add(&calls, "", 1);
		buf_addf(&want, "{\"parameters\":{\"text\":\"%d\"}}\n", i);
	}
	ck_assert_int_eq(write_all(fd, calls.data, calls.len), 0);
	ck_assert_str_eq(heard(fd), want.data);
	close(fd);
	end();
}
END_TEST

START_TEST(a_call_behind_a_slow_one_waits_for_its_turn)
{
	int fd;

	begin(-1);
	fd = peer();
	say(fd, "{\"method\":\"org.example.test.Later\"}");
	say(fd, "{\"method\":\"org.example.test.Echo\",\"parameters\":{\"text\":\"second\"}}");
	loop_step(l, 5);
	ck_assert_int_eq(n_echo, 0);
	ck_assert_str_eq(heard(fd), "{\"parameters\":{}}\n{\"parameters\":{\"text\":\"second\"}}\n");
	ck_assert_int_eq(n_closed, 0);
	close(fd);
	end();
}
END_TEST

START_TEST(a_oneway_call_is_run_and_not_answered)
{
	int fd;

	begin(-1);
	fd = peer();
	say(fd, "{\"method\":\"org.example.test.Echo\",\"parameters\":{\"text\":\"x\"},\"oneway\":true}");
	say(fd, "{\"method\":\"org.example.test.None\",\"oneway\":true}");
	say(fd, "{\"method\":\"org.example.test.Silent\",\"oneway\":true}");
	ck_answer(fd, "{\"method\":\"org.example.test.Root\"}", "{\"parameters\":{}}");
	ck_assert_int_eq(n_echo, 1);
	close(fd);
	end();
}
END_TEST

START_TEST(what_was_sent_before_the_peer_left_is_still_done)
{
	int fd;

	begin(-1);
	fd = peer();
	for (int i = 0; i < 100; i++)
		say(fd, i % 2 ? "{\"method\":\"org.example.test.Echo\",\"parameters\":{\"text\":\"x\"},\"oneway\":true}" :
				"{\"method\":\"org.example.test.Echo\",\"parameters\":{\"text\":\"x\"}}");
	close(fd);
	steps();
	ck_assert_int_eq(n_echo, 100);
	ck_assert_uint_eq(varlink_server_connections(server), 0);
	end();
}
END_TEST

START_TEST(a_half_closed_peer_still_gets_its_answers)
{
	int fd;

	begin(-1);
	fd = peer();
	say(fd, "{\"method\":\"org.example.test.Later\"}");
	shutdown(fd, SHUT_WR);
	ck_assert_str_eq(heard(fd), "{\"parameters\":{}}\n");
	ck_assert(at_end(fd));
	close(fd);
	end();
}
END_TEST

START_TEST(more_gives_several_answers_and_a_last_one)
{
	int fd;

	begin(-1);
	fd = peer();
	ck_answer(fd, "{\"method\":\"org.example.test.Count\",\"parameters\":{\"to\":3},\"more\":true}",
		"{\"continues\":true,\"parameters\":{\"i\":1}}\n{\"continues\":true,\"parameters\":{\"i\":2}}\n{\"parameters\":{\"i\":3}}");
	close(fd);
	end();
}
END_TEST

START_TEST(a_handler_hears_that_its_peer_is_gone_and_may_answer_still)
{
	struct varlink_call *call;
	int fd;

	begin(-1);
	fd = peer();
	say(fd, "{\"method\":\"org.example.test.Watch\",\"more\":true}");
	steps();
	ck_assert_ptr_nonnull(kept);
	call = varlink_call_ref(kept);
	close(fd);
	steps();
	ck_assert_int_eq(n_closed, 1);
	ck_assert_int_eq(varlink_reply_continues(call, json_object()), 0);
	ck_assert_int_eq(varlink_reply(call, NULL), 0);
	varlink_call_unref(call);
	ck_assert_uint_eq(varlink_server_connections(server), 0);
	end();
}
END_TEST

START_TEST(an_event_to_a_peer_that_has_just_left_is_dropped)
{
	int fd;

	begin(-1);
	fd = peer();
	say(fd, "{\"method\":\"org.example.test.Watch\",\"more\":true}");
	steps();
	close(fd);
	ck_assert_int_eq(varlink_reply_continues(kept, json_object()), 0); /* EPIPE; nobody has told us yet */
	steps();
	ck_assert_int_eq(n_closed, 1);
	ck_assert_uint_eq(varlink_server_connections(server), 0);
	end();
}
END_TEST

START_TEST(a_reader_that_is_too_slow_is_waited_for_not_buffered_for)
{
	char text[4096];
	int fd, r, sent = 0, got = 0;

	begin(-1);
	fd = peer();
	say(fd, "{\"method\":\"org.example.test.Watch\",\"more\":true}");
	steps();
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	do {
		r = varlink_reply_continues(kept, json_pack("{s:s}", "text", text));
		sent += r == 0;
		ck_assert_int_lt(sent, 1000);
	} while (r == 0);
	ck_assert_int_eq(r, -EAGAIN);
	ck_assert_int_eq(n_drained, 0);
	for (int i = 0; i < 1000 && got < sent; i++)
		for (const char *p = heard(fd); (p = strchr(p, '\n')); p++)
			got++;
	ck_assert_int_eq(got, sent);
	ck_assert_int_eq(n_drained, 1);
	ck_assert_int_eq(varlink_reply_continues(kept, json_pack("{s:s}", "text", text)), 0);
	close(fd);
	steps();
	end();
}
END_TEST

START_TEST(a_peer_that_never_reads_does_not_hold_up_another)
{
	_cleanup_buf_ struct buf call = { 0 };
	int flooder, fd;

	begin(-1);
	flooder = peer();
	fd_set_nonblock(flooder, true);
	buf_addf(&call, "{\"method\":\"org.example.test.Echo\",\"parameters\":{\"text\":\"%0*d\"}}", 8000, 0);
	buf_add(&call, "", 1);
	for (int i = 0; i < 2000; i++) {
		if (write(flooder, call.data, call.len) < (ssize_t)call.len)
			break; /* the server reads no more: the socket is full */
		loop_step(l, 0);
	}
	ck_assert_int_lt(n_echo, 300);
	fd = peer();
	ck_answer(fd, "{\"method\":\"org.example.test.Root\"}", "{\"parameters\":{}}");
	close(fd);
	close(flooder);
	steps();
	ck_assert_uint_eq(varlink_server_connections(server), 0);
	end();
}
END_TEST

START_TEST(a_message_over_1_MiB_ends_the_connection_and_one_below_does_not)
{
	_cleanup_buf_ struct buf b = { 0 };
	int fd, status;
	pid_t pid;

	begin(-1);
	signal(SIGPIPE, SIG_IGN);
	for (int len = 1 << 19; len <= 1 << 21; len *= 4) {
		b.len = 0;
		buf_addf(&b, "{\"method\":\"org.example.test.Echo\",\"parameters\":{\"text\":\"%0*d\"}}", len, 0);
		buf_add(&b, "", 1);
		fd = peer();
		pid = fork();
		if (pid == 0) {
			char c;
			for (int i = 3; i < 64; i++) /* the server's end, too */
				if (i != fd)
					close(i);
			if (write_all(fd, b.data, b.len) < 0)
				_exit(1);
			_exit(read(fd, &c, 1) == 1 && c == '{' ? 0 : 1);
		}
		close(fd);
		while (waitpid(pid, &status, WNOHANG) == 0)
			ck_assert_int_ge(loop_step(l, 10), 0);
		steps();
		ck_assert_int_eq(WEXITSTATUS(status), len > 1 << 20);
		ck_assert_uint_eq(varlink_server_connections(server), 0);
	}
	end();
}
END_TEST

static int listen_at(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(listen(fd, 512), 0);
	return fd;
}

static int connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, path);
	return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -1 : fd;
}

START_TEST(a_flood_of_connections_is_cut_off_and_the_server_stays_usable)
{
	char path[100];
	int fds[300], dir = make_test_dir();

	snprintf(path, sizeof(path), "%s/s", test_dir_path);
	begin(listen_at(path));
	for (int i = 0; i < 300; i++) {
		fds[i] = connect_to(path);
		ck_assert_int_ge(fds[i], 0);
	}
	steps();
	ck_assert_uint_eq(varlink_server_connections(server), getuid() == 0 ? 256 : 64);
	ck_assert(at_end(fds[299]));
	ck_answer(fds[0], "{\"method\":\"org.example.test.Root\"}", "{\"parameters\":{}}");
	for (int i = 0; i < 300; i++)
		close(fds[i]);
	steps();
	ck_assert_uint_eq(varlink_server_connections(server), 0);
	end();
	close(dir);
	rm_rf(AT_FDCWD, test_dir_path);
}
END_TEST

/* Run as another uid in a child, with the server in the parent. Returns the child's exit status. */
static int with_child(int (*run)(const char *path), uid_t uid)
{
	char path[100];
	int dir = make_test_dir(), status;
	pid_t pid;

	ck_assert_int_eq(fchmod(dir, 0755), 0);
	snprintf(path, sizeof(path), "%s/s", test_dir_path);
	begin(listen_at(path));
	pid = fork();
	if (pid == 0)
		_exit((uid && setuid(uid) < 0) ? 99 : run(path));
	while (waitpid(pid, &status, WNOHANG) == 0)
		ck_assert_int_ge(loop_step(l, 10), 0);
	steps();
	close(dir);
	rm_rf(AT_FDCWD, test_dir_path);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int flood(const char *path)
{
	static const char call[] = "{\"method\":\"org.example.test.Root\"}";
	char buf[200];

	for (int i = 0; i < 70; i++) {
		int fd = connect_to(path);
		(void)send(fd, call, sizeof(call), MSG_NOSIGNAL); /* it may be closed already */
		ssize_t n = read(fd, buf, sizeof(buf) - 1);
		if (i < 64 ? n <= 0 || !memmem(buf, (size_t)n, "PermissionDenied", 16) : n > 0)
			return 1 + i;
	}
	return 0;
}

START_TEST(a_user_gets_64_connections_and_no_privileged_method)
{
	if (getuid() != 0)
		return;
	ck_assert_int_eq(with_child(flood, 65534), 0);
	ck_assert_uint_eq(varlink_server_connections(server), 0);
	end();
}
END_TEST

#define EXPECT(x) do { if (!(x)) { fprintf(stderr, "# line %d: %s\n", __LINE__, #x); return 1; } } while (0)

static int client_calls(const char *path)
{
	_cleanup_(varlink_client_freep) struct varlink_client *c = NULL;
	_cleanup_free_ char *error = NULL;
	json_t *reply = NULL;
	bool more = true;

	EXPECT(varlink_connect(path, &c, NULL) == 0);
	EXPECT(varlink_call_sync(c, "org.example.test.Echo", json_pack("{s:s}", "text", "hi"), UINT64_MAX, &reply, &error) == 0);
	EXPECT(!error && streq(json_string_value(json_object_get(reply, "text")), "hi"));
	json_decref(reply);
	EXPECT(varlink_call_sync(c, "org.example.test.Fail", json_pack("{s:i}", "err", 1), 5000000, &reply, &error) == -EREMOTEIO);
	EXPECT(streq(error, "org.example.test.Error") && json_integer_value(json_object_get(reply, "errno")) == 1);
	json_decref(reply);
	EXPECT(varlink_call_sync(c, "org.example.test.Nope", NULL, UINT64_MAX, NULL, NULL) == -EREMOTEIO);
	EXPECT(varlink_call_oneway(c, "org.example.test.Echo", json_pack("{s:s}", "text", "hi")) == 0);
	EXPECT(varlink_call_more(c, "org.example.test.Count", json_pack("{s:i}", "to", 2000)) == 0);
	for (int i = 1; more; i++) {
		EXPECT(varlink_next(c, UINT64_MAX, &reply, NULL, &more) == 0);
		EXPECT(json_integer_value(json_object_get(reply, "i")) == i);
		EXPECT(more == (i < 2000));
		json_decref(reply);
	}
	return 0;
}

START_TEST(the_client_calls_and_takes_answers)
{
	ck_assert_int_eq(with_child(client_calls, 0), 0);
	ck_assert_int_eq(n_echo, 2);
	end();
}
END_TEST

static int client_times_out(const char *path)
{
	_cleanup_(varlink_client_freep) struct varlink_client *c = NULL;
	json_t *reply = NULL;

	EXPECT(varlink_connect(path, &c, NULL) == 0);
	EXPECT(varlink_call_more(c, "org.example.test.Watch", NULL) == 0);
	EXPECT(varlink_next(c, 20000, &reply, NULL, NULL) == -ETIMEDOUT);
	EXPECT(varlink_next(c, 0, &reply, NULL, NULL) == -ETIMEDOUT);
	varlink_client_freep(&c);
	EXPECT(varlink_connect(path, &c, NULL) == 0);
	EXPECT(varlink_call_sync(c, "org.example.test.Later", NULL, 1000, &reply, NULL) == -ETIMEDOUT);
	EXPECT(!reply);
	EXPECT(varlink_call_sync(c, "org.example.test.Root", NULL, UINT64_MAX, &reply, NULL) == -ENOTCONN);
	return 0;
}

START_TEST(the_client_waits_no_longer_than_it_was_told)
{
	ck_assert_int_eq(with_child(client_times_out, 0), 0);
	end();
}
END_TEST

static int client_passes_fds(const char *path)
{
	_cleanup_(varlink_client_freep) struct varlink_client *c = NULL;
	json_t *reply = NULL;
	char buf[16];
	int p[2], fd;

	EXPECT(varlink_connect(path, &c, NULL) == 0);
	EXPECT(varlink_call_sync(c, "org.example.test.Fd", NULL, UINT64_MAX, NULL, NULL) == -EREMOTEIO);
	EXPECT(pipe(p) == 0);
	EXPECT(varlink_client_push_fd(c, p[1]) == 0);
	EXPECT(varlink_call_sync(c, "org.example.test.Fd", NULL, UINT64_MAX, &reply, NULL) == 0);
	json_decref(reply);
	EXPECT(read(p[0], buf, sizeof(buf)) == 9);
	EXPECT(read(p[0], buf, sizeof(buf)) == 0); /* closed at both ends */
	fd = varlink_client_take_fd(c);
	EXPECT(fd >= 0 && read(fd, buf, sizeof(buf)) == 5);
	EXPECT(varlink_client_take_fd(c) == -ENOENT);
	return 0;
}

START_TEST(descriptors_pass_in_both_directions)
{
	ck_assert_int_eq(with_child(client_passes_fds, 0), 0);
	end();
}
END_TEST

START_TEST(a_descriptor_belongs_to_the_call_that_it_came_with)
{
	static const char first[] = "{\"method\":\"org.example.test.Root\"}", second[] = "{\"method\":\"org.example.test.Fd\"}";
	int fd, p[2];
	char buf[16];

	begin(-1);
	fd = peer();
	ck_assert_int_eq(pipe(p), 0);
	say(fd, first);
	ck_assert_int_eq(fd_send(fd, second, sizeof(second), &p[1], 1, 0), sizeof(second));
	say(fd, first);
	ck_assert_str_eq(heard(fd), "{\"parameters\":{}}\n{\"parameters\":{\"text\":\"sent\"}}\n{\"parameters\":{}}\n");
	ck_assert_int_eq(read(p[0], buf, sizeof(buf)), 9);
	close(fd);
	end();
}
END_TEST

START_TEST(descriptors_that_nobody_wants_are_closed)
{
	static const char call[] = "{\"method\":\"org.example.test.Root\"}";
	int fd, p[2];
	char c;

	begin(-1);
	fd = peer();
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(fd_send(fd, call, sizeof(call), &p[1], 1, 0), sizeof(call));
	close(p[1]);
	ck_assert_str_eq(heard(fd), "{\"parameters\":{}}\n");
	ck_assert_int_eq(read(p[0], &c, 1), 0);
	close(fd);
	end();
}
END_TEST

START_TEST(a_client_says_what_it_could_not_reach)
{
	_cleanup_err_ struct err e = { 0 };
	struct varlink_client *c = NULL;
	char path[200];

	ck_assert_int_eq(varlink_connect("/tmp/no/such", &c, &e), -ENOENT);
	ck_assert_str_eq(err_text(&e), "connect to /tmp/no/such: No such file or directory (is the service that listens there running?)");
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	ck_assert_int_eq(varlink_connect(path, &c, &e), -ENAMETOOLONG);
}
END_TEST

START_TEST(an_answer_that_is_none_is_an_error_of_the_client)
{
	static const char *const wrong[] = { "x", "[]", "{\"error\":1}", "{\"parameters\":[]}", "{\"continues\":true}", NULL };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_(varlink_client_freep) struct varlink_client *c = NULL;
		json_t *reply = NULL;
		int sv[2];
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
		ck_assert_int_eq(varlink_client_from_fd(sv[0], &c), 0);
		if (wrong[i])
			say(sv[1], wrong[i]);
		shutdown(sv[1], SHUT_WR);
		int r = varlink_call_sync(c, "a.b.C", NULL, UINT64_MAX, &reply, NULL);
		ck_assert_int_eq(r, !wrong[i] ? -ECONNRESET : i == 4 ? -EPROTO : -EBADMSG);
		ck_assert_ptr_null(reply);
		close(sv[1]);
	}
}
END_TEST

START_TEST(a_handler_may_free_the_server)
{
	int fd;

	begin(-1);
	fd = peer();
	say(fd, "{\"method\":\"org.example.test.Free\"}");
	say(fd, "{\"method\":\"org.example.test.Root\"}");
	ck_assert_int_eq(loop_run(l), 0);
	ck_assert_ptr_null(server);
	close(fd);
	loop_free(l);
}
END_TEST

START_TEST(a_kept_call_outlives_its_server)
{
	struct varlink_call *call;
	int fd;

	begin(-1);
	fd = peer();
	say(fd, "{\"method\":\"org.example.test.Watch\",\"more\":true}");
	steps();
	call = varlink_call_ref(kept);
	varlink_server_free(server);
	server = NULL;
	ck_assert_int_eq(n_closed, 1);
	ck_assert_int_eq(varlink_error_errno(call, EIO, NULL), 0);
	varlink_call_unref(call);
	close(fd);
	end();
}
END_TEST

START_TEST(an_interface_that_does_not_fit_its_description_is_refused)
{
	static const struct varlink_method_entry extra[] = { { "Nope", echo, false } };
	const struct varlink_interface bad[] = { { "org.example.test", description, extra, 1 }, { "org.example.other", description, methods, 1 },
		{ "org.example.test", "garbage", methods, 1 } };

	ck_assert_int_eq(loop_new(&l), 0);
	log_set_max_level(LOG_CRIT);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(varlink_server_new(l, -1, &bad[i], 1, "p", "1", NULL, &server), -EINVAL);
	loop_free(l);
}
END_TEST

static __attribute__((unused)) long resident_kib(void)
{
	long pages = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	ck_assert_int_eq(fscanf(f, "%ld %ld", &pages, &resident), 2);
	fclose(f);
	return resident * 4;
}

START_TEST(memory_of_a_big_message_is_given_back)
{
#ifndef __SANITIZE_ADDRESS__
	_cleanup_buf_ struct buf b = { 0 };
	long before;
	int fd;

	begin(-1);
	fd = peer();
	ck_answer(fd, "{\"method\":\"org.example.test.Root\"}", "{\"parameters\":{}}");
	buf_addf(&b, "{\"method\":\"org.example.test.Echo\",\"parameters\":{\"x\":[");
	while (b.len < 1000000)
		buf_addf(&b, "0,");
	buf_addf(&b, "0]}}");
	before = resident_kib();
	for (size_t at = 0; at <= b.len;) {
		ssize_t n = send(fd, b.data + at, b.len + 1 - at, MSG_DONTWAIT);
		at += (size_t)MAX(n, 0);
		loop_step(l, 0);
	}
	ck_assert_ptr_nonnull(strstr(heard(fd), "InvalidParameter"));
	ck_assert_int_lt(resident_kib() - before, 1500);
	close(fd);
	end();
#endif
}
END_TEST

PROMISES("base: Varlink", a_call_is_answered, the_service_describes_itself, a_wrong_call_is_answered_with_the_error_of_the_standard,
	the_result_of_a_handler_without_an_answer_is_the_answer, what_is_no_call_ends_the_connection, input_may_come_byte_by_byte,
	pipelined_calls_are_answered_in_order, a_call_behind_a_slow_one_waits_for_its_turn, a_oneway_call_is_run_and_not_answered,
	what_was_sent_before_the_peer_left_is_still_done, a_half_closed_peer_still_gets_its_answers, more_gives_several_answers_and_a_last_one,
	a_handler_hears_that_its_peer_is_gone_and_may_answer_still, an_event_to_a_peer_that_has_just_left_is_dropped,
	a_reader_that_is_too_slow_is_waited_for_not_buffered_for, a_peer_that_never_reads_does_not_hold_up_another,
	a_message_over_1_MiB_ends_the_connection_and_one_below_does_not, a_flood_of_connections_is_cut_off_and_the_server_stays_usable,
	a_user_gets_64_connections_and_no_privileged_method, the_client_calls_and_takes_answers, the_client_waits_no_longer_than_it_was_told,
	descriptors_pass_in_both_directions, a_descriptor_belongs_to_the_call_that_it_came_with, descriptors_that_nobody_wants_are_closed,
	a_client_says_what_it_could_not_reach, an_answer_that_is_none_is_an_error_of_the_client, a_handler_may_free_the_server,
	a_kept_call_outlives_its_server, an_interface_that_does_not_fit_its_description_is_refused, memory_of_a_big_message_is_given_back)
