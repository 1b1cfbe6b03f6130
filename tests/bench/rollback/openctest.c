/* openctest.c: how well risk tells bad changes from good ones: area under the ROC curve, each project judged by the others. Rows on standard input:
 * project, set ("injected" or "real"), parameter, old value, new value, label (1: bad), separated by tabs. See openctest.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "vecstore/decide/evidence.h"

struct row { char project[64]; bool real, bad; struct ev_tokens tokens; float p; };
struct rows { struct row *r; size_t n; };

static void embed(struct row *r, const char *key, const char *old, const char *new)
{
	_cleanup_facts_ struct facts before = {0}, after = {0};
	_cleanup_tokens_ struct tokens ts = {0};
	char subject[96];

	snprintf(subject, sizeof(subject), "service/%s", r->project);
	facts_add(&before, subject, key, old);
	facts_add(&after, subject, key, new);
	tokens_of_change(&ts, before.f, 1, after.f, 1);
	tokens_seal(&ts);
	ev_from_tokens(&ts, &r->tokens);
}

static int read_rows(struct rows *rows)
{
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;

	while (getline(&line, &cap, stdin) > 0) {
		char *f[6], *rest = line;
		unsigned n = 0;
		line[strcspn(line, "\n")] = '\0';
		while (n < 6 && rest)
			f[n++] = strsep(&rest, "\t");
		struct row *more = reallocarray(rows->r, rows->n + 1, sizeof(*more));
		if (n != 6 || !more)
			return -1;
		rows->r = more;
		struct row *r = &rows->r[rows->n++];
		memset(r, 0, sizeof(*r));
		snprintf(r->project, sizeof(r->project), "%s", f[0]);
		r->real = streq(f[1], "real");
		r->bad = streq(f[5], "1");
		embed(r, f[2], f[3], f[4]);
	}
	return 0;
}

static void judge(struct rows *rows, const char *project)
{
	_cleanup_evidence_ struct evidence ev = {0};

	for (size_t i = 0; i < rows->n; i++)
		if (!streq(rows->r[i].project, project))
			evidence_add(&ev, rows->r[i].tokens.t, rows->r[i].tokens.n, !rows->r[i].bad, rows->r[i].bad, false, i);
	for (size_t i = 0; i < rows->n; i++) {
		struct risk risk;
		if (!streq(rows->r[i].project, project))
			continue;
		evidence_risks(&ev, &decide_params_default, &rows->r[i].tokens, 1, &risk);
		rows->r[i].p = risk.p;
	}
}

/* The chance that a bad one is given a higher risk than a good one of the same project. */
static void area(const struct rows *rows, const char *project, bool real, double *wins, double *pairs)
{
	for (size_t i = 0; i < rows->n; i++)
		for (size_t k = 0; rows->r[i].bad && rows->r[i].real == real && streq(rows->r[i].project, project) && k < rows->n; k++) {
			const struct row *a = &rows->r[i], *b = &rows->r[k];
			if (b->bad || b->real != real || !streq(b->project, project))
				continue;
			*pairs += 1;
			*wins += a->p > b->p ? 1 : a->p == b->p ? 0.5 : 0;
		}
}

int main(void)
{
	static const char *const projects[] = {"hadoop-common", "hadoop-hdfs", "hbase-server", "zookeeper-server", "alluxio-core"};
	double all[2] = {0}, all_pairs[2] = {0};
	struct rows rows = {0};

	if (read_rows(&rows) < 0) {
		fprintf(stderr, "bench-openctest: a row has too few columns\n");
		return 1;
	}
	printf("%zu changes\n\n| project left out | AUC, injected | AUC, real misconfigurations |\n|---|---|---|\n", rows.n);
	for (size_t i = 0; i < ARRAY_SIZE(projects); i++) {
		double wins[2] = {0}, pairs[2] = {0};
		judge(&rows, projects[i]);
		for (int real = 0; real < 2; real++) {
			area(&rows, projects[i], real, &wins[real], &pairs[real]);
			all[real] += wins[real];
			all_pairs[real] += pairs[real];
		}
		printf("| %s | %.3f | %.3f (%.0f pairs) |\n", projects[i], wins[0] / MAX(pairs[0], 1), wins[1] / MAX(pairs[1], 1), pairs[1]);
	}
	printf("| all | %.3f | %.3f |\n", all[0] / MAX(all_pairs[0], 1), all[1] / MAX(all_pairs[1], 1));
	free(rows.r);
	return 0;
}
