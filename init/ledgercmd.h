/* ledgercmd.h: the ledger from the command line: rastinit --mark, --deploy, --ledger. For rastd, administrators and tests. */
#ifndef RAST_INIT_LEDGERCMD_H
#define RAST_INIT_LEDGERCMD_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

/* result: "good", "failed" or "left". Durable on return. Nothing is written when nothing would change. */
int ledger_mark(const char *path, const char *result, uint32_t snapshot, struct err *e);
int ledger_make_default(const char *path, uint32_t snapshot, bool once, struct err *e);
int ledger_show(const char *path, bool json, struct err *e);

#endif
