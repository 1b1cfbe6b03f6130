/* bits.c: "0-3,7" as bits. */
#include "runtime/spec/spec.h"

#include <errno.h>
#include <string.h>
#include "base/mem.h"
#include "base/str.h"

#define BITS_MAX 8192 /* CONFIG_NR_CPUS_RANGE_END; nodes are fewer */
#define WORD (8 * sizeof(unsigned long))

/* Digits at *s, which is moved behind them. */
static int take(const char **s, unsigned *ret)
{
	unsigned v = 0;

	if (**s < '0' || **s > '9')
		return -EINVAL;
	for (; **s >= '0' && **s <= '9'; (*s)++) {
		v = v * 10 + (unsigned)(**s - '0');
		if (v >= BITS_MAX)
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

int oci_bits_parse(struct oci_arena *arena, const char *text, struct oci_bits *ret)
{
	unsigned long bits[BITS_MAX / WORD] = { 0 };
	unsigned from, to, top = 0;
	const char *s = text;
	int r;

	do {
		r = take(&s, &from);
		if (r < 0)
			return r;
		to = from;
		if (*s == '-') {
			s++;
			r = take(&s, &to);
			if (r < 0 || to < from)
				return -EINVAL;
		}
		for (unsigned i = from; i <= to; i++)
			bits[i / WORD] |= 1UL << i % WORD;
		top = MAX(top, to);
	} while (*s == ',' && *++s);
	if (*s || s[-1] == ',')
		return -EINVAL;
	ret->n_bits = top + 1;
	ret->n_bytes = (top / WORD + 1) * sizeof(long);
	ret->text = text;
	ret->bits = oci_alloc(arena, ret->n_bytes);
	if (!ret->bits)
		return -ENOMEM;
	memcpy(ret->bits, bits, ret->n_bytes);
	return 0;
}
