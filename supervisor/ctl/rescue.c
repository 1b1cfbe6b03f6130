/* rescue.c: down to the rescue bundle on a running machine. */
#include "supervisor/ctl/ctl.h"

/* First up, then down: the session we were typed in may be among what is stopped. */
VERB(rescue)
{
	_cleanup_json_ json_t *ping = NULL;
	int r = ctl_call("Ping", NULL, &ping);
	if (r)
		return r;
	const char *target = js(json_object_get(ping, "boot"), "target");
	if (set.dry_run) {
		printf("would start rescue, then stop %s\n", target);
		return CTL_OK;
	}
	r = ctl_call("Start", json_pack("{s:[s], s:b}", "names", "rescue", "force", 1), NULL);
	if (r || streq(target, "rescue") || !*target)
		return r;
	return ctl_call("Stop", json_pack("{s:[s], s:b, s:b}", "names", target, "force", 1, "wait", 0), NULL);
}
