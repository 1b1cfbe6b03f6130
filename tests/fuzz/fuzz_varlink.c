/* Varlink: bytes from a client, in pieces; descriptions, and JSON checked against them.
 *
 * The first byte chooses: 'd' is followed by a description, NUL, and JSON for the method F; any other is the length of
 * the pieces in which the rest is sent to a server. */
#include "base/varlink.h"

#include <errno.h>
#include <sys/socket.h>
#include "base/file.h"
#include "base/str.h"
#include "base/varlink-idl.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 32768

static struct loop *l;
static struct varlink_server *server;
static struct varlink_call *kept;

static int echo(struct varlink_call *c, json_t *params, void *data)
{
	MUST(json_is_string(json_object_get(params, "text")));
	return varlink_reply(c, json_incref(params));
}

static int count_to(struct varlink_call *c, json_t *params, void *data)
{
	for (json_int_t i = 0; i < 3; i++) {
		int r = varlink_reply_continues(c, json_pack("{s:I}", "i", i));
		if (r < 0)
			return r;
	}
	return varlink_reply(c, NULL);
}

static void forget(struct varlink_call *c, void *data)
{
	MUST(c == kept);
	kept = NULL;
	varlink_call_unref(c);
}

static int keep(struct varlink_call *c, json_t *params, void *data)
{
	struct varlink_call *old = kept;

	kept = varlink_call_ref(c);
	varlink_call_on_close(c, forget, NULL);
	MUST(!old);
	return 0;
}

static const struct varlink_method_entry methods[] = { { "E", echo, false }, { "C", count_to, false }, { "K", keep, false }, { "P", echo, true } };
static const struct varlink_interface iface = { "a.b",
	"interface a.b\ntype T (n: ?int, c: []T)\nmethod E(text: string, t: ?T, d: ?[string]float) -> (text: string)\n"
	"method C() -> (i: int)\nmethod K() -> ()\nmethod P(text: string) -> ()\nmethod N() -> ()\n",
	methods, ARRAY_SIZE(methods) };

static void run(void)
{
	int n;

	do {
		n = loop_step(l, 0);
		MUST(n >= 0);
	} while (n > 0);
}

static void hear(int fd)
{
	char buf[65536];

	do
		run();
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0);
}

static void answer_kept(void)
{
	struct varlink_call *c = TAKE_PTR(kept);

	varlink_reply(c, NULL);
	varlink_call_unref(c);
}

static void talk(const uint8_t *data, size_t size, size_t piece)
{
	int sv[2];

	if (!server) {
		MUST(loop_new(&l) == 0);
		MUST(varlink_server_new(l, -1, &iface, 1, "fuzz", "0", NULL, &server) == 0);
	}
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
	MUST(varlink_server_add_connection(server, sv[0]) == 0);
	while (size > 0) {
		ssize_t n = send(sv[1], data, MIN(piece, size), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			break;
		if (n < 0 && kept) /* it reads no further while a call is open */
			answer_kept();
		data += MAX(n, 0);
		size -= (size_t)MAX(n, 0);
		hear(sv[1]);
	}
	if (kept && piece % 2) {
		answer_kept();
		hear(sv[1]);
	}
	close(sv[1]);
	run();
	MUST(varlink_server_connections(server) == 0 && !kept);
}

static void check(const char *text, size_t size)
{
	_cleanup_(idl_freep) struct idl *idl = NULL;
	_cleanup_err_ struct err e = { 0 };
	const struct idl_member *m;
	size_t n = strlen(text) + 1;
	char path[IDL_PATH_MAX];
	json_t *params;

	if (idl_parse(text, &idl, &e) < 0) {
		MUST(str_starts(err_text(&e), "line "));
		return;
	}
	MUST(strchr(idl_name(idl), '.'));
	m = idl_find(idl, IDL_METHOD, "F");
	params = n < size ? json_loadb(text + n, size - n, 0, NULL) : NULL;
	if (m && params)
		MUST(idl_check(m->in, params, path) == 0 || strlen(path) < IDL_PATH_MAX);
	json_decref(params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = NULL;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	if (data[0] != 'd') {
		talk(data + 1, size - 1, data[0] < 128 ? MAX(data[0], (size_t)1) : 4096);
		return 0;
	}
	text = malloc(size);
	MUST(text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	check(text, size);
	return 0;
}
