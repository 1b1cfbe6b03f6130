/* text.h: what programs print for people: colours, columns, sizes, times. */
#ifndef RAST_BASE_TEXT_H
#define RAST_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "base/mem.h"

extern bool text_no_color; /* the program's option; NO_COLOR, TERM=dumb and no terminal do the same */

enum paint { PAINT_NONE, PAINT_GOOD, PAINT_BAD, PAINT_BUSY, PAINT_DIM, PAINT_BOLD };
bool color_on(void);
const char *paint_on(enum paint p); /* escape sequence, or "" when colours are off */
const char *paint_off(void);
unsigned terminal_width(void);    /* 0: not a terminal, nothing is cut */
size_t text_width(const char *s); /* columns; one for each character */
/* "3d 4h", "5min 2s", "120ms": the two largest units. */
const char *duration_text(char buf[32], uint64_t us);
const char *size_text(char buf[32], uint64_t bytes);
const char *time_text(char buf[48], uint64_t realtime_us); /* local time with zone */
/* Print s without control characters: a service's name, description or output can't steer the terminal. */
void print_clean(FILE *f, const char *s);

#define TABLE_COLUMNS 8
struct table_cell {
	char *text;
	enum paint paint;
};
struct table {
	unsigned n_columns;
	const char *heads[TABLE_COLUMNS];
	struct table_cell *cells; /* rows one after the other */
	size_t n_cells, cap;
};
int table_add(struct table *t, const char *text, enum paint paint); /* copies text; rows fill from left to right */
void table_print(const struct table *t);                            /* the last column is cut at the terminal's edge */
void table_free(struct table *t);
#define _cleanup_table_ _cleanup_(table_free)

#endif
