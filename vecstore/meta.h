/* meta.h: metadata, for the files of vecstore/. */
#ifndef RAST_VECSTORE_META_H
#define RAST_VECSTORE_META_H

#include "vecstore/vecstore.h"

bool field_valid(const char *s);
bool meta_valid(struct vs_view v); /* well-formed, sorted, finite: what a writer must have made */
void meta_set_string(struct vs_meta *m, const char *field, const char *value, size_t n);

#endif
