/* events.c: Subscribe. A client that does not read loses events, and is told so when it reads again. */
#include "supervisor/control/control.h"

struct subscriber {
	struct manager *m;
	struct varlink_call *call;
	uint32_t lost;
	struct subscriber *next;
};

static json_t *event(const char *kind)
{
	uint64_t now = now_us();
	return json_pack("{s:s,s:I,s:I}", "event", kind, "time_us", (json_int_t)now, "time_realtime_us", (json_int_t)realtime_of(now));
}

static void send_event(struct subscriber *s, json_t *ev)
{
	if (s->lost || varlink_reply_continues(s->call, json_pack("{s:O}", "event", ev)) == -EAGAIN)
		s->lost++;
}

static void publish(struct manager *m, json_t *ev)
{
	for (struct subscriber *s = m->subscribers; ev && s; s = s->next)
		send_event(s, ev);
	json_decref(ev);
}

static void unsubscribe(struct varlink_call *c, void *data)
{
	struct subscriber *s = data;
	for (struct subscriber **p = &s->m->subscribers; *p; p = &(*p)->next)
		if (*p == s) {
			*p = s->next;
			break;
		}
	varlink_call_unref(s->call);
	free(s);
}

static void drained(struct varlink_call *c, void *data)
{
	struct subscriber *s = data;
	if (!s->lost)
		return;
	json_t *ev = event("lost");
	char text[64];
	snprintf(text, sizeof(text), "%u events were not sent: the reader was too slow", s->lost);
	s->lost = 0;
	if (ev)
		json_object_set_new(ev, "text", json_string(text));
	send_event(s, ev);
	json_decref(ev);
}

static json_t *state_event(struct manager *m, const struct svc *s, const char *old)
{
	char why[256];
	json_t *ev = event("state");
	if (!ev)
		return NULL;
	json_object_set_new(ev, "service", json_string(nm(m, s)));
	json_object_set_new(ev, "state", json_string(svc_state_name(s->r.state)));
	if (old)
		json_object_set_new(ev, "old", json_string(old));
	if (*svc_reason(&m->e, s, why, sizeof(why)))
		json_object_set_new(ev, "reason", json_string(why));
	if (s->r.pid)
		json_object_set_new(ev, "pid", json_integer(s->r.pid));
	return ev;
}

void events_state(struct manager *m, struct svc *s, enum svc_state old)
{
	if (m->subscribers)
		publish(m, state_event(m, s, svc_state_name(old)));
}

void events_boot(struct manager *m)
{
	json_t *ev = m->subscribers ? event("boot") : NULL;
	if (ev)
		json_set_opt(ev, "boot", json_boot(m));
	publish(m, ev);
}

void events_generation(struct manager *m)
{
	json_t *ev = m->subscribers ? event("generation") : NULL;
	if (ev)
		json_object_set_new(ev, "generation", json_integer((json_int_t)m->g->generation));
	publish(m, ev);
}

void events_power(struct manager *m, const char *text)
{
	json_t *ev = m->subscribers ? event("power") : NULL;
	if (ev)
		json_object_set_new(ev, "text", json_string(text));
	publish(m, ev);
}

int events_subscribe(struct manager *m, struct varlink_call *call, bool initial)
{
	if (!varlink_call_wants_more(call))
		return -EPROTO;
	struct subscriber *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct subscriber){.m = m, .call = varlink_call_ref(call), .next = m->subscribers};
	m->subscribers = s;
	varlink_call_on_close(call, unsubscribe, s);
	varlink_call_on_drain(call, drained, s);
	for (uint32_t i = 0; initial && i < m->e.n; i++) {
		json_t *ev = state_event(m, &m->e.s[i], NULL);
		if (ev)
			send_event(s, ev);
		json_decref(ev);
	}
	return 0;
}
