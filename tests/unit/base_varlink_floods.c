/* The Varlink server of base/varlink.h: peers that send too much, read too slowly, or come in crowds. */
#include "tests/unit/varlink_peer.h"

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

PROMISES("base: Varlink under floods", a_reader_that_is_too_slow_is_waited_for_not_buffered_for,
	a_peer_that_never_reads_does_not_hold_up_another, a_message_over_1_MiB_ends_the_connection_and_one_below_does_not,
	a_flood_of_connections_is_cut_off_and_the_server_stays_usable, a_user_gets_64_connections_and_no_privileged_method,
	memory_of_a_big_message_is_given_back)
