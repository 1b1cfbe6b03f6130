/* decision.c: what one decision costs: a store with 1,000 deployments and 20,000 outcomes (they are counted in their deployments' evidence), opened and asked
 * as stage 1 does. usage: bench-decision make DIR | bench-decision run DIR */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/mem.h"
#include "base/str.h"
#include "vecstore/decide/problem.h"

enum { DEPLOYMENTS = 1000, OUTCOMES = 20000, SNAPSHOTS = 20, PACKAGES = 400, CHANGES = 4 };

static int facts_of(unsigned version, struct facts *fs)
{
	char name[64], text[64];
	int r = 0;

	for (unsigned p = 0; r == 0 && p < PACKAGES; p++) {
		snprintf(name, sizeof(name), "package/lib%u", p);
		snprintf(text, sizeof(text), "1.%u.0-1", (version * CHANGES + PACKAGES - p) / PACKAGES); /* each deployment upgrades CHANGES of them */
		r = facts_add(fs, name, "version", text);
	}
	facts_sort(fs);
	return r;
}

struct putting { struct buf b; uint32_t n; float ok, bad; };

static int put(const struct change *c, void *data)
{
	struct putting *p = data;
	_cleanup_tokens_ struct tokens ts = {0};
	struct ev_tokens t;

	if (tokens_of_change(&ts, c->before, c->n_before, c->after, c->n_after) < 0 || tokens_seal(&ts) < 0)
		return -1;
	ev_from_tokens(&ts, &t);
	p->n++;
	return ev_encode(&p->b, subject_hash(change_subject(c)), facts_hash(c->after, c->n_after), p->ok, p->bad, false, &t);
}

static int make_version(struct vs_txn *t, unsigned v, struct err *e)
{
	_cleanup_facts_ struct facts before = {0}, after = {0};
	_cleanup_state_ struct state s = {0};
	_cleanup_buf_ struct buf state = {0};
	struct putting p = {.ok = v % 9 ? (float)OUTCOMES / DEPLOYMENTS : 0, .bad = v % 9 ? 0 : 0.25f};
	char key[32];

	buf_add(&p.b, &p.n, sizeof(p.n));
	if (facts_of(v - 1, &before) < 0 || facts_of(v, &after) < 0 || changes_between(&before, &after, put, &p) < 0 || state_from_facts(&after, v, &s) < 0 || state_encode(&s, &state) < 0)
		return -1;
	memcpy(p.b.data, &p.n, sizeof(p.n));
	int len = snprintf(key, sizeof(key), "ev/%010u", v), r = vs_doc_put(t, key, (size_t)len, p.b.data, p.b.len, e);
	buf_free(&p.b);
	len = snprintf(key, sizeof(key), "state/%010u", v);
	return r == 0 && v > DEPLOYMENTS - SNAPSHOTS ? vs_doc_put(t, key, (size_t)len, state.data, state.len, e) : r;
}

static int make(const char *dir, struct err *e)
{
	_cleanup_vs_ struct vs *s = NULL;
	_cleanup_vs_txn_ struct vs_txn *t = NULL;
	int r = vs_open(&s, dir, VS_CREATE, e);

	if (r == 0)
		r = vs_begin(s, VS_WRITE, &t, e);
	for (unsigned v = 1; r == 0 && v <= DEPLOYMENTS; v++)
		r = make_version(t, v, e);
	return r == 0 ? vs_commit(&t, NULL, e) : r;
}

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int decide_once(const char *dir, struct buf *json, struct err *e)
{
	_cleanup_vs_ struct vs *s = NULL;
	_cleanup_vs_txn_ struct vs_txn *t = NULL;
	uint32_t candidates[SNAPSHOTS];
	struct ledger l;
	int r = vs_open(&s, dir, VS_RDONLY | VS_NOLOCK, e);

	ledger_empty(&l);
	ledger_deploy(&l, DEPLOYMENTS - 8);
	ledger_attempt(&l, DEPLOYMENTS - 8);
	ledger_good(&l, DEPLOYMENTS - 8);
	ledger_deploy(&l, DEPLOYMENTS);
	for (unsigned i = 0; i < LEDGER_TRIES; i++)
		ledger_attempt(&l, DEPLOYMENTS);
	ledger_settle(&l);
	for (unsigned i = 0; i < SNAPSHOTS; i++)
		candidates[i] = DEPLOYMENTS - i;
	if (r == 0)
		r = vs_begin(s, VS_READ, &t, e);
	return r < 0 ? r : problem_decide(t, &l, candidates, SNAPSHOTS, DEPLOYMENTS, DEPLOYMENTS - 8, &decide_params_default, json, e);
}

int main(int argc, char **argv)
{
	_cleanup_err_ struct err e = {0};
	_cleanup_buf_ struct buf json = {0};
	struct rusage usage;

	if (argc != 3 || (!streq(argv[1], "make") && !streq(argv[1], "run"))) {
		fprintf(stderr, "usage: bench-decision make|run DIR\n");
		return 2;
	}
	if (streq(argv[1], "make")) {
		if (make(argv[2], &e) < 0)
			fprintf(stderr, "bench-decision: %s\n", err_text(&e));
		return e.code != 0;
	}
	double began = cpu_ms();
	int r = decide_once(argv[2], &json, &e);
	double took = cpu_ms() - began;
	if (r < 0 && r != -ENODATA) {
		fprintf(stderr, "bench-decision: %s\n", err_text(&e));
		return 1;
	}
	getrusage(RUSAGE_SELF, &usage);
	printf("%d deployments, %d outcomes, %d candidates: %.2f ms of CPU, store opening included; %ld KB resident at most; %s\n", DEPLOYMENTS, OUTCOMES, SNAPSHOTS, took, usage.ru_maxrss,
		r < 0 ? "last known good" : "a candidate was chosen");
	return 0;
}
