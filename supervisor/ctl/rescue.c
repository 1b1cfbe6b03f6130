/* rescue.c: isolate: one bundle and what it needs, and nothing else. rescue, emergency and default are names of such bundles. */
#include "supervisor/ctl/ctl.h"

static void print_isolated(const char *name, const json_t *changed)
{
	size_t i;
	json_t *s;
	printf("would go over to %s; what would start or stop:", name);
	json_array_foreach (changed, i, s)
		printf(" %s", json_string_value(s));
	puts(json_array_size(changed) ? "" : " nothing");
}

static int isolate(const char *name)
{
	_cleanup_json_ json_t *reply = NULL;
	json_t *p = json_pack("{s:s}", "name", name);
	if (set.force)
		json_object_set_new(p, "force", json_true());
	if (set.dry_run)
		json_object_set_new(p, "dry_run", json_true());
	if (set.no_wait)
		json_object_set_new(p, "wait", json_false());
	int r = ctl_call("Isolate", p, &reply);
	if (r)
		return r;
	if (set.json)
		return print_json(TAKE_PTR(reply));
	if (set.dry_run)
		print_isolated(name, json_object_get(reply, "changed"));
	return CTL_OK;
}

VERB(isolate)
{
	if (argc != 2)
		return ctl_error(CTL_USAGE, "isolate: which bundle? Exactly one, for example: rastctl isolate default");
	return isolate(argv[1]);
}

static int named(int argc, char **argv)
{
	return argc > 1 ? ctl_error(CTL_USAGE, "%s takes no operand", argv[0]) : isolate(argv[0]);
}

VERB(rescue)
{
	return named(argc, argv);
}

VERB(emergency)
{
	return named(argc, argv);
}

VERB(default)
{
	return named(argc, argv);
}
