/* meta-json.h: metadata as JSON, as vecstore.h says it under "exchange". */
#ifndef RAST_VECSTORE_META_JSON_H
#define RAST_VECSTORE_META_JSON_H

#include <jansson.h>
#include "vecstore/vecstore.h"

static inline void json_dropp(json_t **o) { json_decref(*o); }
#define _cleanup_json_ _cleanup_(json_dropp)

json_t *meta_to_json(struct vs_view v);
int meta_from_json(json_t *o, struct vs_meta *m); /* -EINVAL: it is something else */

#endif
