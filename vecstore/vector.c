/* vector.c: encoding, decoding, and the kernels in plain C. */
#include <math.h>
#include <string.h>
#include "vecstore/vector.h"

/* binary16, rounding to nearest even (IEEE 754-2019, 3.6). Too big becomes the largest finite one: what is stored stays comparable. */
uint16_t f16_from(float f)
{
	uint32_t x, sign, mant;
	int exp;

	memcpy(&x, &f, 4);
	sign = x >> 16 & 0x8000;
	exp = (int)(x >> 23 & 0xff) - 127;
	mant = x & 0x7fffff;
	if (exp > 15 || (exp == 15 && mant >= 0x7ff000))
		return (uint16_t)(sign | 0x7bff);
	if (exp >= -14) {
		uint32_t h = (uint32_t)(exp + 15) << 10 | mant >> 13, rest = mant & 0x1fff;
		return (uint16_t)(sign | (h + (rest > 0x1000 || (rest == 0x1000 && h & 1))));
	}
	if (exp < -25)
		return (uint16_t)sign;
	mant |= 0x800000;
	{
		unsigned shift = (unsigned)(-14 - exp) + 13;
		uint32_t h = mant >> shift, rest = mant & ((1u << shift) - 1), half = 1u << (shift - 1);
		return (uint16_t)(sign | (h + (rest > half || (rest == half && h & 1))));
	}
}

float f16_to(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, mant = h & 0x3ff, x;
	float f;

	if (exp == 0) {
		f = ldexpf((float)mant, -24);
		return sign ? -f : f;
	}
	x = sign | (exp == 31 ? 0x7f800000u : (exp + 112) << 23) | mant << 13;
	memcpy(&f, &x, 4);
	return f;
}

void vector_code(const float *v, size_t dim, int8_t *to, float *scale)
{
	float max = 0, factor;

	for (size_t i = 0; i < dim; i++)
		max = fmaxf(max, fabsf(v[i]));
	*scale = max / 127;
	factor = max > 0 && isfinite(127 / max) ? 127 / max : 0;
	for (size_t i = 0; i < dim; i++) {
		float x = v[i] * factor;
		to[i] = (int8_t)(x >= 0 ? x + 0.5f : x - 0.5f);
	}
}

void vector_encode(enum vs_element t, const float *v, size_t dim, void *to, float *scale)
{
	if (t == VS_I8) {
		vector_code(v, dim, to, scale);
	} else if (t == VS_F16) {
		for (size_t i = 0; i < dim; i++) {
			uint16_t h = f16_from(v[i]);
			memcpy((uint8_t *)to + 2 * i, &h, 2);
		}
	} else {
		memcpy(to, v, 4 * dim);
	}
}

void vector_decode(enum vs_element t, const void *v, size_t dim, float scale, float *to)
{
	for (size_t i = 0; i < dim; i++) {
		uint16_t h;
		if (t == VS_F32) {
			memcpy(to, v, 4 * dim);
			return;
		}
		if (t == VS_F16) {
			memcpy(&h, (const uint8_t *)v + 2 * i, 2);
			to[i] = f16_to(h);
		} else {
			to[i] = scale * (float)((const int8_t *)v)[i];
		}
	}
}

float vector_inv_norm(enum vs_element t, const void *v, size_t dim, float scale)
{
	double sum = 0;

	for (size_t i = 0; i < dim; i++) {
		float x;
		vector_decode(t, (const uint8_t *)v + i * element_bytes(t, 1), 1, scale, &x);
		sum += (double)x * x;
	}
	return sum > 0 ? (float)(1 / sqrt(sum)) : 0;
}

/* --- the reference --- */

static float at(const void *a, size_t i)
{
	float x;
	memcpy(&x, (const uint8_t *)a + 4 * i, 4);
	return x;
}

static float ref_dot_f32(const void *a, const float *q, size_t n)
{
	float sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += at(a, i) * q[i];
	return sum;
}

static float ref_l2_f32(const void *a, const float *q, size_t n)
{
	float sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (at(a, i) - q[i]) * (at(a, i) - q[i]);
	return sum;
}

static float ref_dot_f16(const void *a, const float *q, size_t n)
{
	float sum = 0;

	for (size_t i = 0; i < n; i++) {
		uint16_t h;
		memcpy(&h, (const uint8_t *)a + 2 * i, 2);
		sum += f16_to(h) * q[i];
	}
	return sum;
}

static int32_t ref_dot_i8(const void *a, const void *b, size_t n)
{
	const int8_t *x = a, *y = b;
	int32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += x[i] * y[i];
	return sum;
}

static void ref_dots_i8(const void *codes, size_t stride, size_t count, const void *q, size_t n, int32_t *out)
{
	for (size_t i = 0; i < count; i++)
		out[i] = ref_dot_i8((const uint8_t *)codes + i * stride, q, n);
}

static void ref_dots_at(const void *const *codes, size_t count, const void *q, size_t n, int32_t *out)
{
	for (size_t i = 0; i < count; i++)
		out[i] = ref_dot_i8(codes[i], q, n);
}

static bool always(void) { return true; }

const struct kernel kernel_reference = { "plain", always, ref_dot_f32, ref_l2_f32, ref_dot_f16, ref_dot_i8, ref_dots_i8, ref_dots_at };
