/* filter.h: a filter as a tree. */
#ifndef RAST_VECSTORE_FILTER_H
#define RAST_VECSTORE_FILTER_H

#include "vecstore/vecstore.h"

enum filter_op { F_AND, F_OR, F_NOT, F_EXISTS, F_EQ, F_NE, F_LT, F_LE, F_GT, F_GE, F_PREFIX, F_IN };
#define FILTER_DEPTH_MAX 64u
#define FILTER_TEXT_MAX 65536u

struct literal { enum vs_type type; /* string, int, float, bool */ int64_t i; double f; bool b; char *s; size_t n; };

struct vs_filter {
	enum filter_op op;
	struct vs_filter *left, *right; /* and, or; not: left */
	char *field;                    /* "@id", ... with its @ */
	struct literal *value;
	size_t n;
	char *text;                     /* of the root: as it was parsed */
};

#endif
