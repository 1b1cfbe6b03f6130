/* control.h: what the files behind the Varlink interface share: control.c (the table and the socket), look.c and change.c (methods), args.c (their arguments), json.c (how things look), jobs.c (answers that wait), events.c. */
#ifndef RAST_SUPERVISOR_CONTROL_H
#define RAST_SUPERVISOR_CONTROL_H

#include "base/varlink.h"
#include "supervisor/manager.h"

#define IFACE "io.rastos.Supervisor"

/* args.c */
struct ids { uint32_t *v, n; };
static inline void ids_free(struct ids *i) { free(i->v); }
#define _cleanup_ids_ _cleanup_(ids_free)
bool arg_flag(json_t *p, const char *key, bool def);
/* The indexes of an array of names; without one: all services if `all`. 1: an error was answered. */
int arg_names(struct manager *m, struct varlink_call *c, json_t *a, bool all, struct ids *ret);
int arg_name(struct manager *m, struct varlink_call *c, json_t *p, uint32_t *ret); /* of the parameter `name` */
int answer_no_such(struct manager *m, struct varlink_call *c, const char *name);
int answer_bad(struct varlink_call *c, const char *which, const char *text);
int answer_busy(struct varlink_call *c, const char *what);

/* look.c, change.c: methods, for control.c's table */
#define METHOD(name) int method_##name(struct varlink_call *c, json_t *p, void *data)
METHOD(ping);
METHOD(list);
METHOD(status);
METHOD(tree);
METHOD(start);
METHOD(stop);
METHOD(restart);
METHOD(isolate);
METHOD(reload);
METHOD(reset);
METHOD(send_signal);

/* json.c: all return new references, NULL without memory */
json_t *json_service(struct manager *m, const struct svc *s);
json_t *json_exit(const struct svc *s);
json_t *json_processes(struct manager *m, const struct svc *s);
json_t *json_boot(struct manager *m);
json_t *json_names(struct manager *m, const uint32_t *ids, uint32_t n);
void json_set_opt(json_t *o, const char *key, json_t *v); /* steals v; NULL sets nothing */
int64_t realtime_of(uint64_t monotonic_us);               /* microseconds since 1970 */

/* jobs.c */
enum job_kind { JOB_UP, JOB_DOWN, JOB_WANTED /* up or down, as each is wanted */, JOB_RELOAD, JOB_STATE, JOB_SETTLED, JOB_TARGET /* up, whatever happens on the way */ };
struct job_spec { enum job_kind kind; const uint32_t *ids; uint32_t n; unsigned state; uint64_t timeout_us; const uint32_t *changed; uint32_t n_changed; };
int job_add(struct manager *m, struct varlink_call *call, const struct job_spec *spec); /* answers when it is done, perhaps at once */
int job_reply_changed(struct manager *m, struct varlink_call *call, const uint32_t *ids, uint32_t n);

/* tail.c */
typedef void (*tail_cb)(struct manager *m, json_t *lines, void *data); /* lines: an array, now the callee's; may be empty */
void tail_begin(struct manager *m, const char *name, unsigned lines, tail_cb cb, void *data); /* cb is called once, perhaps before this returns */

/* events.c */
int events_subscribe(struct manager *m, struct varlink_call *call, bool initial);

/* apply.c */
int apply_begin(struct manager *m, struct varlink_call *call, bool dry_run, bool restart); /* call NULL: nobody waits for the answer */
/* Make instances of templates that nobody names, then call `then` again with its parameters. Refused when anything else of the files has changed. */
typedef int (*apply_then)(struct varlink_call *call, json_t *params, void *data);
int apply_instances(struct manager *m, struct varlink_call *call, json_t *params, char **names, apply_then then); /* takes names */

#endif
