/* base.h: what every part of rastOS uses.
 *
 * Errors (err), logging (log), memory and descriptors that clean up (mem), strings and numbers (str), whole files and
 * atomic replacement (file), processes and cgroups (proc), the event loop (loop), the seam to the kernel (sys),
 * options as tables (opt), INI files (ini). Varlink and JSON stand apart in base/varlink.h, so that PID 1, which
 * needs neither, does not link jansson. Everything returns 0 or a negative errno. Arrows point one way: base
 * includes nothing of the other folders. */
#ifndef RAST_BASE_BASE_H
#define RAST_BASE_BASE_H

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"

#endif
