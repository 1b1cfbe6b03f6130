/* lines.h: what export and import share. */
#ifndef RAST_VECSTORE_LINES_H
#define RAST_VECSTORE_LINES_H

#include "vecstore/meta-json.h"
#include "vecstore/private.h"

#define LINE_FORMAT 1
/* Document that says how far the changes of a store have been imported: this, then its uuid; u64 version. Not exported. */
#define IMPORT_MARK "\001import/"
#define IMPORT_MARK_LEN 8u

/* CRC-32C of an object, compact, keys sorted; what is "crc" in it is left out. -ENOMEM. */
int line_crc(json_t *o, char crc[9]);
void uuid_text(const uint8_t uuid[16], char text[33]);

#endif
