/* control.c: the interface io.rastos.Supervisor: the table of its methods, those that are about waiting and about the machine as a whole, and the socket. */
#include "supervisor/control/control.h"

#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "config.h"
#include "supervisor/control/interface.h"

/* --- waiting --- */

static int wait_for(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	_cleanup_ids_ struct ids ids = {0};
	json_t *names = json_object_get(p, "names"), *timeout = json_object_get(p, "timeout_us");
	const char *state = json_string_value(json_object_get(p, "state"));
	struct job_spec spec = {
		.kind = JOB_UP, .timeout_us = json_is_integer(timeout) ? (uint64_t)MAX(json_integer_value(timeout), 0) : NEVER};
	int r = arg_names(m, c, names, false, &ids);
	if (r)
		return MIN(r, 0);
	if (!ids.n) {
		ids.v[0] = graph_find(m->g, m->st.boot.target);
		ids.n = ids.v[0] != NONE;
	}
	if (state && streq(state, "settled")) {
		spec.kind = JOB_SETTLED;
	} else if (json_is_array(names) || state) {
		int st = svc_state_parse(state ? state : "up");
		if (st < 0)
			return answer_bad(c, "state", "there is no such state; up, down, failed and settled are those most asked for");
		spec.kind = JOB_STATE;
		spec.state = (unsigned)st;
	}
	if (!json_is_array(names) && spec.kind == JOB_UP)
		spec.kind = JOB_TARGET;
	spec.ids = ids.v;
	spec.n = ids.n;
	return job_add(m, c, &spec);
}

static int subscribe(struct varlink_call *c, json_t *p, void *data)
{
	return events_subscribe(data, c, arg_flag(p, "initial", false));
}

/* --- the whole --- */

static int apply(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	if (m->st.boot.power)
		return answer_busy(c, "the machine is going down");
	if (m->apply)
		return answer_busy(c, "another apply");
	return apply_begin(m, c, arg_flag(p, "dry_run", false), arg_flag(p, "restart", false));
}

static int on_reexec(void *data)
{
	return manager_reexec(data);
}

static int reexec(struct varlink_call *c, json_t *p, void *data)
{
	struct manager *m = data;
	if (m->apply)
		return answer_busy(c, "an apply is under way");
	if (m->p1_fd < 0) /* nobody would hold the sockets and the pipes of what services say meanwhile */
		return varlink_error_errno(c, -EOPNOTSUPP, "this rastd runs without PID 1 (--standalone), which would keep its descriptors: it can't be replaced in place; stop it and start the new one");
	m->reexec = true;
	varlink_reply(c, json_object());
	return loop_defer(m->loop, on_reexec, m);
}

static int power(struct varlink_call *c, json_t *p, void *data)
{
	static const struct {
		const char *name;
		enum rinit_power kind;
	} kinds[] = {{"poweroff", RINIT_POWEROFF}, {"reboot", RINIT_REBOOT}, {"halt", RINIT_HALT}, {"kexec", RINIT_KEXEC},
		{"exit", RINIT_SOFT_EXIT}};
	struct manager *m = data;
	const char *kind = json_string_value(json_object_get(p, "kind"));
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		if (kind && streq(kind, kinds[k].name)) {
			power_begin(m, kinds[k].kind, arg_flag(p, "force", false), json_string_value(json_object_get(p, "message")));
			return varlink_reply(c, json_object());
		}
	return answer_bad(c, "kind", "is none of poweroff, reboot, halt, kexec, exit");
}

static void on_logs_synced(struct manager *m, int error, void *data)
{
	struct varlink_call *c = data;
	if (error)
		varlink_error_errno(c, error, NULL);
	else
		varlink_reply(c, json_object());
	varlink_call_unref(c);
}

static int sync_logs(struct varlink_call *c, json_t *p, void *data)
{
	int r = output_sync(data, false, on_logs_synced, varlink_call_ref(c));
	if (r < 0)
		varlink_call_unref(c);
	return r == -ENOTCONN ? varlink_reply(c, json_object()) : r;
}

static const struct varlink_method_entry methods[] = {
	{"Ping", method_ping, false},
	{"List", method_list, false},
	{"Status", method_status, false},
	{"Start", method_start, true},
	{"Stop", method_stop, true},
	{"Restart", method_restart, true},
	{"Isolate", method_isolate, true},
	{"Reload", method_reload, true},
	{"Apply", apply, true},
	{"Wait", wait_for, false},
	{"Tree", method_tree, false},
	{"Signal", method_send_signal, true},
	{"Reset", method_reset, true},
	{"Subscribe", subscribe, false},
	{"Reexec", reexec, true},
	{"Power", power, true},
	{"SyncLogs", sync_logs, false},
};

static int make_socket(struct manager *m)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/" IFACE, m->opt.run_dir);
	unlink(a.sun_path);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 128) < 0 || chmod(a.sun_path, 0666) < 0)
		return -errno;
	struct pid1_entry e = {.name = "varlink", .fd = {fd}, .n = 1};
	pid1_store(m, &e, 1);
	return take_fd(&fd);
}

int control_init(struct manager *m)
{
	static const struct varlink_interface iface = {
		.name = IFACE, .description = supervisor_interface, .methods = methods, .n_methods = ARRAY_SIZE(methods)};
	if (m->listen_fd < 0)
		m->listen_fd = make_socket(m);
	if (m->listen_fd < 0)
		return m->listen_fd;
	return varlink_server_new(m->loop, m->listen_fd, &iface, 1, "rastOS", RAST_VERSION, m, &m->server);
}
