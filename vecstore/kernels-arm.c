/* kernels-arm.c: NEON, and its dot product instructions (Armv8.2 FEAT_DotProd). Whole int8 numbers are exact, as on x86. */
#if defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#include "vecstore/kernels.h"

#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP (1 << 20) /* asm/hwcap.h */
#endif

static const uint8_t *u8(const void *p) { return p; }
static bool runs_neon(void) { return true; } /* part of AArch64 */
static bool runs_dot(void) { return getauxval(AT_HWCAP) & HWCAP_ASIMDDP; }
static float32x4_t load(const void *p) { return vreinterpretq_f32_u8(vld1q_u8(p)); }

static float neon_dot_f32(const void *a, const float *q, size_t n)
{
	float32x4_t s0 = vdupq_n_f32(0), s1 = s0;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		s0 = vfmaq_f32(s0, load(u8(a) + 4 * i), load(q + i));
		s1 = vfmaq_f32(s1, load(u8(a) + 4 * i + 16), load(q + i + 4));
	}
	return vaddvq_f32(vaddq_f32(s0, s1)) + (i < n ? kernel_reference.dot_f32(u8(a) + 4 * i, q + i, n - i) : 0);
}

static float neon_l2_f32(const void *a, const float *q, size_t n)
{
	float32x4_t s = vdupq_n_f32(0);
	size_t i = 0;

	for (; i + 4 <= n; i += 4) {
		float32x4_t d = vsubq_f32(load(u8(a) + 4 * i), load(q + i));
		s = vfmaq_f32(s, d, d);
	}
	return vaddvq_f32(s) + (i < n ? kernel_reference.l2_f32(u8(a) + 4 * i, q + i, n - i) : 0);
}

static float neon_dot_f16(const void *a, const float *q, size_t n)
{
	float32x4_t s = vdupq_n_f32(0);
	size_t i = 0;

	for (; i + 4 <= n; i += 4)
		s = vfmaq_f32(s, vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(u8(a) + 2 * i))), load(q + i));
	return vaddvq_f32(s) + (i < n ? kernel_reference.dot_f16(u8(a) + 2 * i, q + i, n - i) : 0);
}

static int32_t neon_dot_i8(const void *a, const void *b, size_t n)
{
	int32x4_t s = vdupq_n_s32(0);
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		int8x16_t x = vld1q_s8((const int8_t *)a + i), y = vld1q_s8((const int8_t *)b + i);
		s = vpadalq_s16(s, vmull_s8(vget_low_s8(x), vget_low_s8(y)));
		s = vpadalq_s16(s, vmull_high_s8(x, y));
	}
	return vaddvq_s32(s) + (i < n ? kernel_reference.dot_i8(u8(a) + i, u8(b) + i, n - i) : 0);
}

static void neon_dots_i8(const void *codes, size_t stride, size_t count, const void *q, size_t n, int32_t *out)
{
	for (size_t i = 0; i < count; i++)
		out[i] = neon_dot_i8(u8(codes) + i * stride, q, n);
}

__attribute__((target("arch=armv8.2-a+dotprod"))) static int32_t dot_dot_i8(const void *a, const void *b, size_t n)
{
	int32x4_t s0 = vdupq_n_s32(0), s1 = s0;
	size_t i = 0;

	for (; i + 32 <= n; i += 32) {
		s0 = vdotq_s32(s0, vld1q_s8((const int8_t *)a + i), vld1q_s8((const int8_t *)b + i));
		s1 = vdotq_s32(s1, vld1q_s8((const int8_t *)a + i + 16), vld1q_s8((const int8_t *)b + i + 16));
	}
	return vaddvq_s32(vaddq_s32(s0, s1)) + (i < n ? kernel_reference.dot_i8(u8(a) + i, u8(b) + i, n - i) : 0);
}

static void dot_dots_i8(const void *codes, size_t stride, size_t count, const void *q, size_t n, int32_t *out)
{
	for (size_t i = 0; i < count; i++)
		out[i] = dot_dot_i8(u8(codes) + i * stride, q, n);
}

static void neon_dots_at(const void *const *codes, size_t count, const void *q, size_t n, int32_t *out)
{
	for (size_t i = 0; i < count; i++)
		out[i] = neon_dot_i8(codes[i], q, n);
}

const struct kernel kernel_neon = { "neon", runs_neon, neon_dot_f32, neon_l2_f32, neon_dot_f16, neon_dot_i8, neon_dots_i8, neon_dots_at };
static void dot_dots_at(const void *const *codes, size_t count, const void *q, size_t n, int32_t *out)
{
	for (size_t i = 0; i < count; i++)
		out[i] = dot_dot_i8(codes[i], q, n);
}

const struct kernel kernel_neon_dot = { "neon-dotprod", runs_dot, neon_dot_f32, neon_l2_f32, neon_dot_f16, dot_dot_i8, dot_dots_i8, dot_dots_at };
#endif
