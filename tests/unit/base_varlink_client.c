/* The Varlink client of base/varlink.h. The server runs in this process, clients in children. */
#include "tests/unit/varlink_peer.h"

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

PROMISES("base: Varlink client", the_client_calls_and_takes_answers, the_client_waits_no_longer_than_it_was_told,
	descriptors_pass_in_both_directions, a_client_says_what_it_could_not_reach, an_answer_that_is_none_is_an_error_of_the_client)
