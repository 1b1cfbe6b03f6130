/* varlink_peer.h: a Varlink server in this process with methods that do what a test needs, and raw sockets to speak with it. For base_varlink*.c. */
#ifndef RAST_TESTS_VARLINK_PEER_H
#define RAST_TESTS_VARLINK_PEER_H

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

static inline int echo(struct varlink_call *c, json_t *params, void *data)
{
	n_echo++;
	return varlink_reply(c, json_pack("{s:O}", "text", json_object_get(params, "text")));
}

static inline int root_only(struct varlink_call *c, json_t *params, void *data)
{
	return varlink_reply(c, NULL);
}

static inline int reply_later(struct timer *t, void *data)
{
	struct varlink_call *c = TAKE_PTR(kept);

	if (!c)
		return 0;
	varlink_reply(c, NULL);
	varlink_call_unref(c);
	return 0;
}

static inline void closed(struct varlink_call *c, void *data)
{
	n_closed++;
	if (kept == c) {
		kept = NULL;
		varlink_call_unref(c);
	}
}

static inline int call_later(struct varlink_call *c, json_t *params, void *data)
{
	kept = varlink_call_ref(c);
	varlink_call_on_close(c, closed, NULL);
	timer_init(&later, reply_later, NULL);
	return timer_arm_in(l, &later, 10000);
}

static inline int count_to(struct varlink_call *c, json_t *params, void *data)
{
	json_int_t to = json_integer_value(json_object_get(params, "to"));

	for (json_int_t i = 1; i < to; i++) {
		int r = varlink_reply_continues(c, json_pack("{s:I}", "i", i));
		if (r < 0)
			return r;
	}
	return varlink_reply(c, json_pack("{s:I}", "i", to));
}

static inline void drained(struct varlink_call *c, void *data)
{
	n_drained++;
}

static inline int watch(struct varlink_call *c, json_t *params, void *data)
{
	kept = varlink_call_ref(c);
	varlink_call_on_close(c, closed, NULL);
	varlink_call_on_drain(c, drained, NULL);
	return 0;
}

static inline int fail_with(struct varlink_call *c, json_t *params, void *data)
{
	return -(int)json_integer_value(json_object_get(params, "err"));
}

static inline int silent(struct varlink_call *c, json_t *params, void *data)
{
	return 0;
}

static inline int drop(void *data)
{
	varlink_call_unref(data);
	return 0;
}

static inline int forget(struct varlink_call *c, json_t *params, void *data)
{
	return loop_defer(l, drop, varlink_call_ref(c));
}

static inline int free_server(struct varlink_call *c, json_t *params, void *data)
{
	varlink_server_free(server);
	server = NULL;
	loop_quit(l, 0);
	return 0;
}

/* Writes through the descriptor that came along, and sends one back. */
static inline int pass_fd(struct varlink_call *c, json_t *params, void *data)
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

static inline void begin(int listen_fd)
{
	kept = NULL;
	n_echo = n_closed = n_drained = 0;
	ck_assert_int_eq(loop_new(&l), 0);
	ck_assert_int_eq(varlink_server_new(l, listen_fd, &iface, 1, "unit test", "1", NULL, &server), 0);
}

static inline void end(void)
{
	varlink_server_free(server);
	server = NULL;
	loop_free(l);
}

/* A raw peer of the server. */
static inline int peer(void)
{
	int sv[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	ck_assert_int_eq(varlink_server_add_connection(server, sv[0]), 0);
	return sv[1];
}

static inline void steps(void)
{
	int n;

	do {
		n = loop_step(l, 20);
		ck_assert_int_ge(n, 0);
	} while (n > 0);
}

static inline void say(int fd, const char *json)
{
	ck_assert_int_eq(write_all(fd, json, strlen(json) + 1), 0);
}

/* What has been answered so far, with the NULs as newlines. "" at end of file too. */
static inline const char *heard(int fd)
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

static inline bool at_end(int fd)
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

static inline int listen_at(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(listen(fd, 512), 0);
	return fd;
}

static inline int connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, path);
	return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -1 : fd;
}

/* Run as another uid in a child, with the server in the parent. Returns the child's exit status. */
static inline int with_child(int (*run)(const char *path), uid_t uid)
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

#endif
