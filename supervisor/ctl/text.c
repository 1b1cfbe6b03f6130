/* text.c: which state is good and which is not. */
#include "supervisor/ctl/ctl.h"

enum paint state_paint(const char *state)
{
	static const struct {
		const char *state;
		enum paint paint;
	} paints[] = {
		{"up", PAINT_GOOD},
		{"good", PAINT_GOOD},
		{"failed", PAINT_BAD},
		{"backoff", PAINT_BAD},
		{"killing", PAINT_BAD},
		{"down", PAINT_DIM},
	};
	for (size_t i = 0; i < ARRAY_SIZE(paints); i++)
		if (streq(paints[i].state, state))
			return paints[i].paint;
	return PAINT_BUSY;
}
