/* lines.h: what export and import share. */
#ifndef RAST_VECSTORE_LINES_H
#define RAST_VECSTORE_LINES_H

#include <jansson.h>
#include "vecstore/private.h"

#define LINE_FORMAT 1
/* Document that says how far the changes of a store have been imported: this, then its uuid; u64 version. Not exported. */
#define IMPORT_MARK "\001import/"
#define IMPORT_MARK_LEN 8u

static inline void json_dropp(json_t **o) { json_decref(*o); }
#define _cleanup_json_ _cleanup_(json_dropp)
/* CRC-32C of an object, compact, keys sorted; what is "crc" in it is left out. -ENOMEM. */
int line_crc(json_t *o, char crc[9]);
json_t *meta_to_json(struct vs_view v);
int meta_from_json(json_t *o, struct vs_meta *m);
void uuid_text(const uint8_t uuid[16], char text[33]);

#endif
