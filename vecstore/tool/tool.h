/* tool.h: rastvec, which looks into a vector store, asks it, checks it, and carries it elsewhere.
 *
 * Everything it can do is in the tables of main.c; help, man page and completion are made of them. A verb returns the exit status. */
#ifndef RAST_VECSTORE_TOOL_H
#define RAST_VECSTORE_TOOL_H

#include <jansson.h>
#include "base/base.h"
#include "base/opt.h"
#include "base/text.h"
#include "vecstore/vecstore.h"

enum status { ST_OK, ST_FAILED, ST_USAGE, ST_NOT_THERE = 4 /* or permission denied */ };

struct settings {
	const char *store, *metric, *element, *vector, *like, *filter, *plan, *mode, *ids, *thresholds, *exec;
	bool json, newest, rebuild, replace, prometheus, follow, vectors;
	long dim, k, ef, limit, version, before, threads, graph_from, m, build_ef, since, samples;
	uint64_t interval_us;
};
extern struct settings set;

int fail(int status, const char *fmt, ...) _printf_(2, 3); /* print "rastvec: text"; returns status */
int fail_err(const struct err *e);                         /* the same with what e says; its code chooses the status */
/* What a verb works with: open the store and begin; end() commits when the verb went well, and closes. */
struct session { struct vs *s; struct vs_txn *t; struct err e; };
int session_begin(struct session *x, unsigned flags, int mode);
int session_end(struct session *x, int status);
/* --version, --filter and --vector/--like of the options; 0 or a status, with the error printed. */
int use_version(struct session *x);
int use_filter(struct vs_filter **f);
int use_vector(struct session *x, const char *coll, uint32_t dim, float **ret);
json_t *record_json(const struct vs_record *r);
void print_record(const struct vs_record *r);
int print_json(json_t *o); /* one line; steals o */
void print_figure(const struct vs_figure *f);
int numbers_parse(const char *s, float **ret, size_t *n);

#define VERB(name) int verb_##name(int argc, char **argv, void *data)
VERB(create); VERB(drop); VERB(list); VERB(put); VERB(get); VERB(delete); VERB(history); VERB(each); VERB(search); VERB(tag); VERB(untag); VERB(tags); VERB(purge);
VERB(index); VERB(check); VERB(repair); VERB(backup); VERB(restore); VERB(export); VERB(import); VERB(import_npy); VERB(export_npy); VERB(stats); VERB(watch);

#endif
