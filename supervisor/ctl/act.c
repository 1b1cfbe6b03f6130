/* act.c: verbs that change something. */
#include "supervisor/ctl/ctl.h"

#include <errno.h>
#include <signal.h>

static void put_flag(json_t *o, const char *key, bool value)
{
	if (value)
		json_object_set_new(o, key, json_true());
}

static void print_names(const char *intro, const json_t *names)
{
	size_t i;
	json_t *s;
	if (json_array_size(names) == 0)
		return;
	printf("%s", intro);
	json_array_foreach (names, i, s)
		printf(" %s", json_string_value(s));
	putchar('\n');
}

static int act(const char *method, const char *would, int argc, char **argv)
{
	_cleanup_json_ json_t *reply = NULL;
	if (argc < 2)
		return ctl_error(CTL_USAGE, "%s: which service? 'rastctl list' shows them all", argv[0]);
	json_t *p = json_pack("{s:o}", "names", ctl_names(argc - 1, argv + 1));
	put_flag(p, "force", set.force);
	put_flag(p, "dry_run", set.dry_run);
	if (set.no_wait)
		json_object_set_new(p, "wait", json_false());
	int r = ctl_call(method, p, &reply);
	if (r)
		return r;
	if (set.json)
		return print_json(TAKE_PTR(reply));
	if (set.dry_run) {
		if (json_array_size(json_object_get(reply, "changed")) == 0)
			puts("nothing would change");
		print_names(would, json_object_get(reply, "changed"));
	}
	return CTL_OK;
}

VERB(start)
{
	return act("Start", "would start:", argc, argv);
}

VERB(stop)
{
	return act("Stop", "would stop:", argc, argv);
}

VERB(restart)
{
	return act("Restart", "would restart:", argc, argv);
}

VERB(reload)
{
	return act("Reload", "would reload:", argc, argv);
}

VERB(signal)
{
	const char *signal = set.signal ? set.signal : "TERM";
	if (argc < 2)
		return ctl_error(CTL_USAGE, "signal: which service? For example: rastctl signal --signal=HUP web");
	if (parse_signal(signal) < 0)
		return ctl_error(CTL_USAGE, "signal: '%s' is not a signal; for example TERM, HUP, 15 or RTMIN+4", signal);
	for (int i = 1; i < argc; i++) {
		json_t *p = json_pack("{s:s, s:s}", "name", argv[i], "signal", signal);
		put_flag(p, "all", set.all);
		int r = ctl_call("Signal", p, NULL);
		if (r)
			return r;
	}
	return CTL_OK;
}

VERB(reset)
{
	_cleanup_json_ json_t *reply = NULL;
	int r = ctl_call("Reset", argc > 1 ? json_pack("{s:o}", "names", ctl_names(argc - 1, argv + 1)) : NULL, &reply);
	if (r)
		return r;
	if (set.json)
		return print_json(TAKE_PTR(reply));
	if (!set.quiet)
		print_names("failure forgotten:", json_object_get(reply, "changed"));
	return CTL_OK;
}

/* rastd times out by itself, and says then which service it was; our own patience ends a little later. */
VERB(wait)
{
	_cleanup_json_ json_t *reply = NULL;
	uint64_t timeout = set.timeout_us;
	json_t *p = json_object();
	if (argc > 1)
		json_object_set_new(p, "names", ctl_names(argc - 1, argv + 1));
	if (set.state)
		json_object_set_new(p, "state", json_string(set.state));
	if (timeout && timeout < INT64_MAX) {
		json_object_set_new(p, "timeout_us", json_integer((json_int_t)timeout));
		set.timeout_us = timeout + 5000000;
	}
	int r = ctl_call("Wait", p, &reply);
	return r ? r : set.json ? print_json(json_incref(json_object_get(reply, "services"))) : CTL_OK;
}

static void print_problems(const json_t *problems)
{
	size_t i;
	json_t *q;
	json_array_foreach (problems, i, q) {
		print_place(js(q, "file"), ji(q, "line"));
		fprintf(stderr, "%s: %s\n", js(q, "level"), js(q, "text"));
	}
}

static void print_applied(const json_t *r)
{
	const char *would = set.dry_run ? "would be " : "";
	static const char *const keys[] = {"added", "removed", "changed", "restarted"};
	bool any = false;
	print_problems(json_object_get(r, "problems"));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const json_t *names = json_object_get(r, keys[i]);
		char intro[64];
		any |= json_array_size(names) > 0;
		snprintf(intro, sizeof intro, "%s%s:", would, keys[i]);
		print_names(intro, names);
	}
	if (!any)
		puts(set.dry_run ? "nothing would change" : "nothing has changed");
}

VERB(apply)
{
	_cleanup_json_ json_t *reply = NULL;
	json_t *p = json_object();
	put_flag(p, "dry_run", set.dry_run);
	put_flag(p, "restart", set.restart);
	warn_of_risk();
	int r = ctl_call("Apply", p, &reply);
	if (r)
		return r;
	if (set.json)
		return print_json(TAKE_PTR(reply));
	if (!set.quiet)
		print_applied(reply);
	return CTL_OK;
}

int verb_apply_now(void)
{
	_cleanup_json_ json_t *reply = NULL;
	int r = ctl_try("Ping", NULL, 2000000, NULL);
	if (r == CTL_UNREACHABLE) {
		char path[4096];
		snprintf(path, sizeof path, "%s/%s", set.run_dir, INTERFACE);
		if (access(path, F_OK) == 0)
			return ctl_error(CTL_UNREACHABLE, "rastd does not answer: the change counts from its next start, or from 'rastctl apply'");
		if (!set.quiet)
			ctl_error(CTL_OK, "rastd is not running here: the change counts from its next start");
		return CTL_OK;
	}
	r = ctl_call("Apply", NULL, &reply);
	if (r == CTL_OK)
		print_problems(json_object_get(reply, "problems"));
	return r;
}

VERB(reexec)
{
	_cleanup_json_ json_t *before = NULL, *after = NULL;
	int r = ctl_call("Ping", NULL, &before);
	if (r == CTL_OK)
		r = ctl_call("Reexec", NULL, NULL);
	if (r || set.no_wait)
		return r;
	/* A new instance answers on the same socket; until it listens, connections wait in the socket's queue. */
	for (unsigned i = 0; i < 100; i++) {
		json_decref(after);
		after = NULL;
		if (ctl_try("Ping", NULL, 1000000, &after) == CTL_OK && ji(after, "instance") != ji(before, "instance")) {
			if (set.json)
				return print_json(TAKE_PTR(after));
			if (!set.quiet)
				printf("rastd %s (process %lld) goes on; before: %s\n", js(after, "version"), (long long)ji(after, "pid"),
					js(before, "version"));
			return CTL_OK;
		}
		usleep(50000);
	}
	return ctl_error(CTL_FAILED, "rastd has not come back with another instance within 5 seconds; see 'rastctl logs rastd'");
}
