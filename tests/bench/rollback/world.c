/* world.c: see world.h */
#include "tests/bench/rollback/world.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

const char *const fault_names[FAULTS] = {[FAULT_NONE] = "nothing wrong", [FAULT_VALUE] = "bad value", [FAULT_PACKAGE] = "bad package", [FAULT_FLAKY] = "flaky", [FAULT_TRANSIENT] = "transient",
	[FAULT_AGAIN] = "proposed again", [FAULT_PAIR] = "pair", [FAULT_DRIFT] = "drift", [FAULT_LATER] = "kernel argument"};

uint64_t draw(uint64_t seed, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15u + a * 0xbf58476d1ce4e5b9u + b * 0x94d049bb133111ebu + c * 0xd6e8feb86659fd93u;

	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9u;
	return x ^ x >> 32;
}

static const char *const keys[KEYS] = {"service.exec", "restart.delay", "cgroup.memory.max", "limits.nofile", "service.user", "readiness.start-timeout", "dependencies.depends", "service.environment", "cgroup.pids.max", "service.working-directory"};
static const char *const good_values[KEYS][6] = {
	{"/usr/bin/app", "/usr/bin/app -v", "/usr/bin/app --fast", "/usr/sbin/app -D", "/usr/bin/app -c /etc/app.conf", "/usr/bin/app -q"}, {"100ms", "1s", "2s", "5s", "10s", "500ms"},
	{"64M", "128M", "256M", "512M", "1G", "96M"}, {"1024", "4096", "65536", "2048", "8192", "16384"}, {"app", "nobody", "web", "data", "daemon", "svc"}, {"30s", "60s", "90s", "2min", "45s", "5min"},
	{"network", "network dbus", "dbus", "network syslog", "syslog", "network time"}, {"MODE=fast", "MODE=safe", "LANG=C", "THREADS=4", "THREADS=8", "DEBUG=0"}, {"64", "128", "256", "512", "1024", "2048"},
	{"/var/lib/app", "/srv/app", "/tmp", "/", "/var/lib/app2", "/srv/app2"}};
static const char *const bad_values[KEYS][4] = {
	{"/usr/bin/ap", "/opt/missing/run", "app --bogus-option", "/etc/app.conf"}, {"0", "-1s", "100000000s", "soon"}, {"1K", "0", "64", "-1M"}, {"0", "1", "3", "many"}, {"root2", "nosuch", "65536000", ""},
	{"0", "1ms", "-1", "never"}, {"netwrok", "missing", "self", "dbsu"}, {"MODE=", "THREADS=-1", "LD_PRELOAD=/missing.so", "MODE=turbo"}, {"0", "1", "2", "-5"}, {"/nonexistent", "var/lib/app", "/root/x", "/proc/1/x"}};

enum { GOOD = 6, BAD = 4 };

/* The facts that a value of a subject is. */
static int facts_of(unsigned subject, unsigned value, struct facts *fs)
{
	char name[64], text[64];

	if (subject < SERVICES * KEYS) {
		unsigned key = subject % KEYS;
		snprintf(name, sizeof(name), "service/app%u", subject / KEYS);
		return facts_add(fs, name, keys[key], value < GOOD ? good_values[key][value] : bad_values[key][(value - GOOD) % BAD]);
	}
	if (subject < SERVICES * KEYS + PACKAGES) {
		snprintf(name, sizeof(name), "package/lib%u", subject - SERVICES * KEYS);
		snprintf(text, sizeof(text), "%u.%u.%u-1", 1 + value / 12, value / 3 % 4, value % 3);
		return facts_add(fs, name, "version", text);
	}
	snprintf(name, sizeof(name), "sysctl/net.core.key%u", subject - SERVICES * KEYS - PACKAGES);
	snprintf(text, sizeof(text), "%u", value < 100 ? 128u << value % 6 : 0);
	return facts_add(fs, name, "value", text);
}

static void embed(struct step_change *c)
{
	_cleanup_facts_ struct facts before = {0}, after = {0};
	_cleanup_tokens_ struct tokens ts = {0};

	facts_of(c->subject, c->from, &before);
	facts_of(c->subject, c->to, &after);
	tokens_of_change(&ts, before.f, before.n, after.f, after.n);
	tokens_seal(&ts);
	ev_from_tokens(&ts, &c->tokens);
}

/* A version that does harm, on every machine, until the next one mends it. */
static bool bad_version(const struct world *w, unsigned package, unsigned version)
{
	return uniform(draw(w->seed, 77, package, version)) < 0.08;
}

void world_machine(const struct world *w, unsigned machine, struct machine *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned s = 0; s < SUBJECTS; s++)
		ret->value[s] = (uint16_t)(draw(w->seed, 1000 + machine, s, 1) % (s < SERVICES * KEYS ? GOOD : s < SERVICES * KEYS + PACKAGES ? 2 : 6));
	for (unsigned p = 0; p < PACKAGES; p++)
		while (bad_version(w, p, ret->value[SERVICES * KEYS + p]))
			ret->value[SERVICES * KEYS + p]++;
}

static bool used(const struct step *s, unsigned subject)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->c[i].subject == subject)
			return true;
	return false;
}

static void add_change(struct step *s, unsigned subject, unsigned from, unsigned to)
{
	s->c[s->n] = (struct step_change){.subject = (uint16_t)subject, .from = (uint16_t)from, .to = (uint16_t)to};
	embed(&s->c[s->n++]);
}

/* Half upgrades of packages, some settings of services, some sysctls: all of them fine. */
static void add_good_change(const struct world *w, const struct machine *m, struct step *s, uint64_t h)
{
	unsigned subject, to;

	do {
		h = draw(h, 3, s->n, 5);
		double x = uniform(h);
		if (x < 0.5) {
			subject = SERVICES * KEYS + (unsigned)(h >> 20) % PACKAGES;
			to = m->value[subject] + 1u;
			while (bad_version(w, subject - SERVICES * KEYS, to))
				to++;
		} else if (x < 0.85) {
			subject = (unsigned)(h >> 20) % (SERVICES * KEYS);
			to = (m->value[subject] + 1u + (unsigned)(h >> 8) % (GOOD - 1)) % GOOD;
		} else {
			subject = SERVICES * KEYS + PACKAGES + (unsigned)(h >> 20) % SYSCTLS;
			to = (m->value[subject] + 1u) % 6;
		}
	} while (used(s, subject));
	add_change(s, subject, m->value[subject], to);
}

/* A change that fails by itself. */
static void add_bad_change(const struct world *w, const struct machine *m, struct step *s, uint64_t h)
{
	unsigned subject;

	s->culprit = (int)s->n;
	if (s->fault == FAULT_AGAIN) {
		add_change(s, m->bad.subject, m->value[m->bad.subject], m->bad.to);
		return;
	}
	if (s->fault == FAULT_PACKAGE) {
		for (unsigned i = 0; i < 400; i++) {
			h = draw(h, 9, i, 0);
			unsigned p = (unsigned)(h >> 16) % PACKAGES, v = m->value[SERVICES * KEYS + p] + 1u;
			if (bad_version(w, p, v) && !used(s, SERVICES * KEYS + p)) {
				add_change(s, SERVICES * KEYS + p, v - 1u, v);
				return;
			}
		}
	}
	do {
		h = draw(h, 11, 0, 0);
		subject = s->fault == FAULT_LATER ? SERVICES * KEYS + PACKAGES + (unsigned)(h >> 20) % SYSCTLS : (unsigned)(h >> 20) % (SERVICES * KEYS);
	} while (used(s, subject));
	add_change(s, subject, m->value[subject], s->fault == FAULT_LATER ? 100 : GOOD + (unsigned)(h >> 9) % BAD);
}

static enum fault choose_fault(const struct world *w, const struct machine *m, uint64_t h)
{
	static const struct { enum fault f; double p; } shares[] = {{FAULT_VALUE, 0.08}, {FAULT_PACKAGE, 0.06}, {FAULT_FLAKY, 0.03}, {FAULT_TRANSIENT, 0.03}, {FAULT_AGAIN, 0.05}, {FAULT_PAIR, 0.03},
		{FAULT_DRIFT, 0.02}, {FAULT_LATER, 0.02}};
	double x = uniform(h);

	for (size_t i = 0; i < ARRAY_SIZE(shares); i++) {
		if (!(w->kinds >> shares[i].f & 1))
			continue;
		if (x < shares[i].p)
			return shares[i].f == FAULT_AGAIN && !m->has_bad ? FAULT_VALUE : shares[i].f;
		x -= shares[i].p;
	}
	return FAULT_NONE;
}

void world_step(const struct world *w, struct machine *m, unsigned machine, unsigned step, struct step *s)
{
	uint64_t h = draw(w->seed, machine, step, 42);
	unsigned n = 1 + (unsigned)(draw(h, 1, 0, 0) % STAGED_MAX), at;

	memset(s, 0, sizeof(*s));
	s->culprit = s->second = -1;
	s->fault = choose_fault(w, m, draw(h, 2, 0, 0));
	if (s->fault == FAULT_PAIR && n < 2)
		n = 2;
	at = (unsigned)(draw(h, 4, 0, 0) % n);
	for (unsigned i = 0; i < n; i++) {
		bool here = i == at && (s->fault == FAULT_VALUE || s->fault == FAULT_PACKAGE || s->fault == FAULT_AGAIN || s->fault == FAULT_FLAKY || s->fault == FAULT_LATER);
		if (here)
			add_bad_change(w, m, s, draw(h, 6, i, 0));
		else
			add_good_change(w, m, s, draw(h, 7, i, 0));
	}
	if (s->fault == FAULT_PAIR) {
		s->culprit = (int)(draw(h, 8, 0, 0) % n);
		s->second = (int)(((unsigned)s->culprit + 1 + draw(h, 8, 1, 0) % (n - 1)) % n);
	}
	if (s->fault == FAULT_FLAKY)
		s->flaky = 0.4f + 0.5f * (float)uniform(draw(h, 10, 0, 0));
	if (s->fault == FAULT_TRANSIENT)
		s->passes_after = 1 + (unsigned)(draw(h, 12, 0, 0) % 2);
	if (s->fault == FAULT_DRIFT) { /* a bad change on top, over a change whose data only it can read */
		s->last_good_dead = true;
		s->culprit = (int)n - 1;
	}
}

bool world_boots(const struct world *w, const struct step *s, unsigned machine, unsigned step, unsigned mask, unsigned boot)
{
	bool has = s->culprit >= 0 && mask >> s->culprit & 1, second = s->second < 0 || (mask >> s->second & 1);

	switch (s->fault) {
	case FAULT_NONE: return true;
	case FAULT_TRANSIENT: return boot >= s->passes_after;
	case FAULT_FLAKY: return !has || uniform(draw(w->seed, machine * 1000 + step, boot, 99)) >= (double)s->flaky;
	case FAULT_PAIR: return !(has && second);
	case FAULT_DRIFT: return !has && (s->n < 2 || (mask & 1)); /* the first change converted the data */
	default: return !has;
	}
}
