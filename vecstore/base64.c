/* base64.c: RFC 4648. */
#include "vecstore/base64.h"

#include <errno.h>
#include "base/mem.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_add(struct buf *b, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i += 3) {
		size_t have = MIN(n - i, 3u);
		uint32_t v = (uint32_t)p[i] << 16 | (have > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (have > 2 ? p[i + 2] : 0u);
		char four[4] = { alphabet[v >> 18], alphabet[v >> 12 & 63], have > 1 ? alphabet[v >> 6 & 63] : '=', have > 2 ? alphabet[v & 63] : '=' };
		buf_add(b, four, 4);
	}
	return b->failed ? -ENOMEM : 0;
}

static int digit(char c)
{
	const char *p = c ? strchr(alphabet, c) : NULL;
	return p ? (int)(p - alphabet) : -1;
}

int base64_decode(const char *s, size_t n, struct buf *to)
{
	if (n % 4)
		return -EINVAL;
	for (size_t i = 0; i < n; i += 4) {
		size_t pad = i + 4 == n ? (size_t)(s[n - 1] == '=') + (s[n - 1] == '=' && s[n - 2] == '=') : 0;
		uint32_t v = 0;
		char three[3];

		for (size_t k = 0; k < 4; k++) {
			int d = k >= 4 - pad ? 0 : digit(s[i + k]);
			if (d < 0)
				return -EINVAL;
			v = v << 6 | (uint32_t)d;
		}
		if (pad && v & ((1u << 8 * pad) - 1))
			return -EINVAL;
		three[0] = (char)(v >> 16);
		three[1] = (char)(v >> 8);
		three[2] = (char)v;
		buf_add(to, three, 3 - pad);
	}
	return to->failed ? -ENOMEM : 0;
}
