/* The Varlink server of base/varlink.h: calls and answers, one connection at a time. */
#include "tests/unit/varlink_peer.h"

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

PROMISES("base: Varlink server", a_call_is_answered, the_service_describes_itself, a_wrong_call_is_answered_with_the_error_of_the_standard,
	the_result_of_a_handler_without_an_answer_is_the_answer, what_is_no_call_ends_the_connection, input_may_come_byte_by_byte,
	pipelined_calls_are_answered_in_order, a_call_behind_a_slow_one_waits_for_its_turn, a_oneway_call_is_run_and_not_answered,
	what_was_sent_before_the_peer_left_is_still_done, a_half_closed_peer_still_gets_its_answers,
	more_gives_several_answers_and_a_last_one, a_handler_hears_that_its_peer_is_gone_and_may_answer_still,
	an_event_to_a_peer_that_has_just_left_is_dropped, a_descriptor_belongs_to_the_call_that_it_came_with,
	descriptors_that_nobody_wants_are_closed, a_handler_may_free_the_server, a_kept_call_outlives_its_server,
	an_interface_that_does_not_fit_its_description_is_refused)
