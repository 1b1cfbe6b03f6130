/* client.c: calls to rastd, and what its errors mean for the one who typed the command. */
#include "supervisor/ctl/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include "base/varlink.h"

const char *ctl_name = "rastctl";
static struct varlink_client *client;

/* With --json there is one document on stdout, or a line per item of a stream, whatever happens. */
static bool json_printed, json_streams;
static json_t *json_texts, *json_error;

/* What was typed is in it: a name can't steer the terminal. */
static void print_text(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	for (char *rest = copy, *line; (line = strsep(&rest, "\n"));) {
		print_clean(stderr, line);
		fputc('\n', stderr);
	}
}

int ctl_error(int status, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	fflush(stdout);
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	fprintf(stderr, "%s: ", ctl_name);
	print_text(text ? text : fmt);
	if (!json_texts)
		json_texts = json_array();
	json_array_append_new(json_texts, json_string(text));
	return status;
}

void ctl_json_lines(void)
{
	json_streams = true;
}

int ctl_finish(int status)
{
	static const char *const names[] = {"Failed", "Failed", "Usage", "NotRunning", "Denied", "Unreachable"};
	if (!set.json || json_printed || (status == CTL_OK && json_streams))
		return status;
	if (status == CTL_OK)
		return print_json(json_object());
	if (json_error)
		return print_json(TAKE_PTR(json_error)), status;
	print_json(json_pack("{s:o, s:{s:O?}}", "error", json_sprintf("io.rastos.ctl.%s", names[MIN((size_t)status, ARRAY_SIZE(names) - 1)]), "parameters", "texts", json_texts));
	return status;
}

const char *js(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

int64_t ji(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

bool jb(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

int print_json(json_t *o)
{
	json_printed = true;
	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(o);
	return CTL_OK;
}

json_t *ctl_names(int n, char **names)
{
	json_t *a = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(a, json_string(names[i]));
	return a;
}

/* --- errors --- */

static void print_list(const json_t *list)
{
	size_t i;
	json_t *s;
	json_array_foreach (list, i, s)
		fprintf(stderr, "%s%s", i ? ", " : "", json_string_value(s) ? json_string_value(s) : "?");
}

static void print_log(const json_t *log)
{
	size_t i;
	json_t *s;
	json_array_foreach (log, i, s) {
		fputs("  ", stderr);
		print_clean(stderr, json_string_value(s) ? json_string_value(s) : "");
		fputc('\n', stderr);
	}
}

static int no_such_service(const json_t *p)
{
	const char *near = js(p, "near");
	return ctl_error(CTL_DENIED, "there is no service '%s'%s%s%s", js(p, "name"),
		*near ? "; did you mean '" : "; 'rastctl list' shows them all", near, *near ? "'?" : "");
}

static int has_dependents(const json_t *p)
{
	fprintf(stderr, "%s: '%s' is needed by ", ctl_name, js(p, "name"));
	print_list(json_object_get(p, "dependents"));
	fputs("; --force stops them too\n", stderr);
	return CTL_FAILED;
}

static int changes_pending(const json_t *p)
{
	fprintf(stderr, "%s: '%s' would be made from its template now, but the files of others have changed, too: ", ctl_name, js(p, "name"));
	print_list(json_object_get(p, "changed"));
	fputs("; put that into effect first ('rastctl apply')\n", stderr);
	return CTL_FAILED;
}

static int conflict(const json_t *p)
{
	return ctl_error(
		CTL_FAILED, "'%s' conflicts with '%s', which is wanted; stop that first, or use --force", js(p, "name"), js(p, "with"));
}

static int start_failed(const json_t *p)
{
	ctl_error(CTL_FAILED, "'%s' failed: %s", js(p, "name"), js(p, "reason"));
	const json_t *log = json_object_get(p, "log");
	if (json_array_size(log) > 0) {
		fprintf(stderr, "The last lines of its output ('%s logs %s' has more):\n", "rastctl", js(p, "name"));
		print_log(log);
	}
	return CTL_FAILED;
}

static int stop_failed(const json_t *p)
{
	return ctl_error(CTL_FAILED, "'%s' could not be stopped: %s", js(p, "name"), js(p, "reason"));
}

static int timed_out(const json_t *p)
{
	if (*js(p, "name"))
		return ctl_error(CTL_FAILED, "time is over: '%s' is %s", js(p, "name"), js(p, "state"));
	return ctl_error(CTL_FAILED, "time is over");
}

void print_place(const char *file, int64_t line)
{
	if (file && *file && line > 0)
		fprintf(stderr, "%s:%lld: ", file, (long long)line);
	else if (file && *file) /* the file as a whole, a folder or a link */
		fprintf(stderr, "%s: ", file);
}

static int invalid(const json_t *p)
{
	size_t i;
	json_t *q;
	bool files = false;
	json_array_foreach (json_object_get(p, "problems"), i, q) {
		files |= *js(q, "file") != '\0';
		print_place(js(q, "file"), ji(q, "line"));
		fprintf(stderr, "%s%s\n", streq(js(q, "level"), "warning") ? "warning: " : "", js(q, "text"));
	}
	return ctl_error(CTL_FAILED, files ? "the service files have errors; what runs goes on unchanged" : "nothing has been changed, and what runs goes on");
}

static int busy(const json_t *p)
{
	return ctl_error(CTL_FAILED, "rastd is busy: %s; try again when that is over", js(p, "what"));
}

static int not_permitted(const json_t *p)
{
	return ctl_error(CTL_DENIED, "only root may do that, and you are user %u; try it with sudo or su", (unsigned)getuid());
}

static int not_running(const json_t *p)
{
	return ctl_error(CTL_NOT_RUNNING, "'%s' is not running", js(p, "name"));
}

static int bad_argument(const json_t *p)
{
	return ctl_error(CTL_USAGE, "%s: %s", js(p, "parameter"), js(p, "text"));
}

static int plain_error(const json_t *p)
{
	int64_t number = ji(p, "errno");
	int status = number == EPERM || number == EACCES ? CTL_DENIED : CTL_FAILED;
	return ctl_error(status, "%s", *js(p, "text") ? js(p, "text") : strerror((int)number));
}

static int too_old(const json_t *p)
{
	return ctl_error(CTL_FAILED, "the running rastd does not know this command; 'rastctl reexec' puts the installed one in its place");
}

static const struct {
	const char *name;
	int (*say)(const json_t *parameters);
	int status; /* what say() returns, for calls whose errors are not printed */
} errors[] = {
	{INTERFACE ".NoSuchService", no_such_service, CTL_DENIED},
	{INTERFACE ".HasDependents", has_dependents, CTL_FAILED},
	{INTERFACE ".ChangesPending", changes_pending, CTL_FAILED},
	{INTERFACE ".Conflict", conflict, CTL_FAILED},
	{INTERFACE ".StartFailed", start_failed, CTL_FAILED},
	{INTERFACE ".StopFailed", stop_failed, CTL_FAILED},
	{INTERFACE ".Timeout", timed_out, CTL_FAILED},
	{INTERFACE ".Invalid", invalid, CTL_FAILED},
	{INTERFACE ".Busy", busy, CTL_FAILED},
	{INTERFACE ".NotPermitted", not_permitted, CTL_DENIED},
	{"org.varlink.service.PermissionDenied", not_permitted, CTL_DENIED},
	{INTERFACE ".NotRunning", not_running, CTL_NOT_RUNNING},
	{INTERFACE ".BadArgument", bad_argument, CTL_USAGE},
	{INTERFACE ".Error", plain_error, CTL_FAILED},
	{"org.varlink.service.MethodNotFound", too_old, CTL_FAILED},
	{"org.varlink.service.MethodNotImplemented", too_old, CTL_FAILED},
};

static int error_status(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (streq(errors[i].name, name))
			return errors[i].status;
	return CTL_FAILED;
}

static int say_error(const char *name, json_t *parameters)
{
	if (set.json && !json_error)
		json_error = json_pack("{s:s, s:O}", "error", name, "parameters", parameters ? parameters : json_null());
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (streq(errors[i].name, name))
			return errors[i].say(parameters);
	_cleanup_free_ char *text = json_dumps(parameters, JSON_COMPACT);
	return ctl_error(CTL_FAILED, "rastd answered %s %s", name, text ? text : "");
}

/* --- calls --- */

static int unreachable(int error, const char *text)
{
	if (set.json && !json_error)
		json_error = json_pack("{s:s, s:{s:s}}", "error", INTERFACE ".Unreachable", "parameters", "text", text);
	if (error == -EACCES || error == -EPERM)
		return ctl_error(CTL_DENIED, "%s; ask root for access, or try it with sudo", text);
	return ctl_error(CTL_UNREACHABLE,
		"rastd can't be reached: %s\n"
		"If this machine runs rastOS, PID 1 starts rastd again within moments: try again, and see 'rastctl logs rastd' for why it "
		"ended.",
		text);
}

static int connect_quietly(struct err *e)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", set.run_dir, INTERFACE);
	return client ? 0 : varlink_connect(path, &client, e);
}

static int lost(int r, const char *method)
{
	if (r == -ETIMEDOUT)
		return ctl_error(CTL_FAILED, "rastd has not answered %s in time; it goes on with it: see 'rastctl list'", method);
	if (r == -EPIPE || r == -ECONNRESET || r == -ENODATA || r == 0)
		return ctl_error(
			CTL_UNREACHABLE, "rastd went away while it worked on %s; what was wanted is kept: see 'rastctl list'", method);
	return ctl_error(CTL_FAILED, "%s: %s", method, strerror(-r));
}

/* varlink_call_sync() for a method of rastd's own interface; params are stolen, NULL: none. */
static int call_connected(const char *method, json_t *params, uint64_t timeout_us, json_t **reply, char **error)
{
	char full[128];
	snprintf(full, sizeof full, INTERFACE ".%s", method);
	return varlink_call_sync(client, full, params ? params : json_object(), timeout_us, reply, error);
}

int ctl_call(const char *method, json_t *params, json_t **reply)
{
	_cleanup_err_ struct err e = {0};
	_cleanup_free_ char *error = NULL;
	_cleanup_json_ json_t *got = NULL;
	int r = connect_quietly(&e);
	if (r < 0) {
		json_decref(params);
		return unreachable(r, err_text(&e));
	}
	r = call_connected(method, params, set.timeout_us ? set.timeout_us : UINT64_MAX, &got, &error);
	if (r == -EREMOTEIO)
		return say_error(error, got);
	if (r < 0)
		return lost(r, method);
	if (reply)
		*reply = TAKE_PTR(got);
	return CTL_OK;
}

int ctl_try(const char *method, json_t *params, uint64_t timeout_us, json_t **reply)
{
	_cleanup_err_ struct err e = {0};
	_cleanup_free_ char *error = NULL;
	_cleanup_json_ json_t *got = NULL;
	int r = connect_quietly(&e);
	if (r < 0) {
		json_decref(params);
		return r == -EACCES ? CTL_DENIED : CTL_UNREACHABLE;
	}
	r = call_connected(method, params, timeout_us, &got, &error);
	if (r < 0 && r != -EREMOTEIO) {
		varlink_client_free(client); /* an answer may still be on its way */
		client = NULL;
		return CTL_UNREACHABLE;
	}
	if (r == -EREMOTEIO)
		return error_status(error);
	if (reply)
		*reply = TAKE_PTR(got);
	return CTL_OK;
}

int ctl_more(const char *method, json_t *params, ctl_reply_cb cb, void *data)
{
	_cleanup_err_ struct err e = {0};
	char full[128];
	int r = connect_quietly(&e);
	if (r < 0) {
		json_decref(params);
		return unreachable(r, err_text(&e));
	}
	snprintf(full, sizeof full, INTERFACE ".%s", method);
	r = varlink_call_more(client, full, params ? params : json_object());
	if (r < 0)
		return lost(r, method);
	for (bool more = true; more;) {
		_cleanup_free_ char *error = NULL;
		_cleanup_json_ json_t *got = NULL;
		r = varlink_next(client, set.timeout_us ? set.timeout_us : UINT64_MAX, &got, &error, &more);
		if (r == -EREMOTEIO)
			return say_error(error, got);
		if (r == -ETIMEDOUT && streq(method, "Subscribe")) /* events have no end of their own: it was asked for so much time */
			return CTL_OK;
		if (r < 0)
			return lost(r, method);
		r = cb(got, data);
		if (r)
			return r;
	}
	return CTL_OK;
}
