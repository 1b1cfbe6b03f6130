/* kernels-x86.c: SSE2, AVX2 with FMA and F16C, AVX-512, AVX-512 VNNI.
 *
 * The arithmetic of whole int8 numbers is exact: all of them give the reference's very number. Sums of floats come in another order. */
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include "vecstore/kernels.h"

static const uint8_t *u8(const void *p) { return p; }

static float tail_dot(const void *a, const float *q, size_t from, size_t n)
{
	return from < n ? kernel_reference.dot_f32(u8(a) + 4 * from, q + from, n - from) : 0;
}

static float tail_l2(const void *a, const float *q, size_t from, size_t n)
{
	return from < n ? kernel_reference.l2_f32(u8(a) + 4 * from, q + from, n - from) : 0;
}

static int32_t tail_i8(const void *a, const void *b, size_t from, size_t n)
{
	return from < n ? kernel_reference.dot_i8(u8(a) + from, u8(b) + from, n - from) : 0;
}

/* --- SSE2: every x86-64 --- */

static bool runs_sse2(void) { return true; }

static float sum_ps(__m128 v)
{
	v = _mm_add_ps(v, _mm_movehl_ps(v, v));
	return _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps(v, v, 1)));
}

static int32_t sum_epi32(__m128i v)
{
	v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4e));
	v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0xb1));
	return _mm_cvtsi128_si32(v);
}

static float sse2_dot_f32(const void *a, const float *q, size_t n)
{
	__m128 s0 = _mm_setzero_ps(), s1 = s0;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		s0 = _mm_add_ps(s0, _mm_mul_ps(_mm_loadu_ps((const float *)(u8(a) + 4 * i)), _mm_loadu_ps(q + i)));
		s1 = _mm_add_ps(s1, _mm_mul_ps(_mm_loadu_ps((const float *)(u8(a) + 4 * i + 16)), _mm_loadu_ps(q + i + 4)));
	}
	return sum_ps(_mm_add_ps(s0, s1)) + tail_dot(a, q, i, n);
}

static float sse2_l2_f32(const void *a, const float *q, size_t n)
{
	__m128 s = _mm_setzero_ps();
	size_t i = 0;

	for (; i + 4 <= n; i += 4) {
		__m128 d = _mm_sub_ps(_mm_loadu_ps((const float *)(u8(a) + 4 * i)), _mm_loadu_ps(q + i));
		s = _mm_add_ps(s, _mm_mul_ps(d, d));
	}
	return sum_ps(s) + tail_l2(a, q, i, n);
}

static int32_t sse2_dot_i8(const void *a, const void *b, size_t n)
{
	__m128i s = _mm_setzero_si128(), zero = s;
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(u8(a) + i)), y = _mm_loadu_si128((const __m128i *)(u8(b) + i));
		__m128i sx = _mm_cmpgt_epi8(zero, x), sy = _mm_cmpgt_epi8(zero, y);
		s = _mm_add_epi32(s, _mm_madd_epi16(_mm_unpacklo_epi8(x, sx), _mm_unpacklo_epi8(y, sy)));
		s = _mm_add_epi32(s, _mm_madd_epi16(_mm_unpackhi_epi8(x, sx), _mm_unpackhi_epi8(y, sy)));
	}
	return sum_epi32(s) + tail_i8(a, b, i, n);
}

static void sse2_dots_i8(const void *codes, size_t stride, size_t count, const void *q, size_t n, int32_t *out)
{
	for (size_t i = 0; i < count; i++)
		out[i] = sse2_dot_i8(u8(codes) + i * stride, q, n);
}

static float sse2_dot_f16(const void *a, const float *q, size_t n) { return kernel_reference.dot_f16(a, q, n); }

static void sse2_dots_at(const void *const *codes, size_t count, const void *q, size_t n, int32_t *out)
{
	for (size_t i = 0; i < count; i++)
		out[i] = sse2_dot_i8(codes[i], q, n);
}

const struct kernel kernel_sse2 = { "sse2", runs_sse2, sse2_dot_f32, sse2_l2_f32, sse2_dot_f16, sse2_dot_i8, sse2_dots_i8, sse2_dots_at };

/* --- AVX2, FMA, F16C --- */
#define AVX2 __attribute__((target("avx2,fma,f16c")))

/* F16C: CPUID.1:ECX bit 29 (Intel SDM volume 2, CPUID); clang 14's __builtin_cpu_supports doesn't know it. */
static bool has_f16c(void)
{
	unsigned a, b, c = 0, d;
	return __get_cpuid(1, &a, &b, &c, &d) && c & 1u << 29;
}

static bool runs_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c(); }

AVX2 static inline float sum256(__m256 v) { return sum_ps(_mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1))); }
AVX2 static inline int32_t sum256i(__m256i v) { return sum_epi32(_mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1))); }

AVX2 static float avx2_dot_f32(const void *a, const float *q, size_t n)
{
	__m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
	size_t i = 0;

	for (; i + 32 <= n; i += 32) {
		const float *x = (const float *)(u8(a) + 4 * i);
		s0 = _mm256_fmadd_ps(_mm256_loadu_ps(x), _mm256_loadu_ps(q + i), s0);
		s1 = _mm256_fmadd_ps(_mm256_loadu_ps(x + 8), _mm256_loadu_ps(q + i + 8), s1);
		s2 = _mm256_fmadd_ps(_mm256_loadu_ps(x + 16), _mm256_loadu_ps(q + i + 16), s2);
		s3 = _mm256_fmadd_ps(_mm256_loadu_ps(x + 24), _mm256_loadu_ps(q + i + 24), s3);
	}
	for (; i + 8 <= n; i += 8)
		s0 = _mm256_fmadd_ps(_mm256_loadu_ps((const float *)(u8(a) + 4 * i)), _mm256_loadu_ps(q + i), s0);
	return sum256(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3))) + tail_dot(a, q, i, n);
}

AVX2 static float avx2_l2_f32(const void *a, const float *q, size_t n)
{
	__m256 s0 = _mm256_setzero_ps(), s1 = s0;
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		const float *x = (const float *)(u8(a) + 4 * i);
		__m256 d0 = _mm256_sub_ps(_mm256_loadu_ps(x), _mm256_loadu_ps(q + i)), d1 = _mm256_sub_ps(_mm256_loadu_ps(x + 8), _mm256_loadu_ps(q + i + 8));
		s0 = _mm256_fmadd_ps(d0, d0, s0);
		s1 = _mm256_fmadd_ps(d1, d1, s1);
	}
	return sum256(_mm256_add_ps(s0, s1)) + tail_l2(a, q, i, n);
}

AVX2 static float avx2_dot_f16(const void *a, const float *q, size_t n)
{
	__m256 s0 = _mm256_setzero_ps(), s1 = s0;
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		s0 = _mm256_fmadd_ps(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(u8(a) + 2 * i))), _mm256_loadu_ps(q + i), s0);
		s1 = _mm256_fmadd_ps(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(u8(a) + 2 * i + 16))), _mm256_loadu_ps(q + i + 8), s1);
	}
	return sum256(_mm256_add_ps(s0, s1)) + (i < n ? kernel_reference.dot_f16(u8(a) + 2 * i, q + i, n - i) : 0);
}

/* |a| as unsigned times b with a's sign: pairs stay below 2^15, as codes are never -128. */
AVX2 static inline __m256i mul_add(__m256i s, __m256i x, __m256i y)
{
	__m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(y, x));
	return _mm256_add_epi32(s, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

AVX2 static int32_t avx2_dot_i8(const void *a, const void *b, size_t n)
{
	__m256i s0 = _mm256_setzero_si256(), s1 = s0;
	size_t i = 0;

	for (; i + 64 <= n; i += 64) {
		s0 = mul_add(s0, _mm256_loadu_si256((const __m256i *)(u8(a) + i)), _mm256_loadu_si256((const __m256i *)(u8(b) + i)));
		s1 = mul_add(s1, _mm256_loadu_si256((const __m256i *)(u8(a) + i + 32)), _mm256_loadu_si256((const __m256i *)(u8(b) + i + 32)));
	}
	return sum256i(_mm256_add_epi32(s0, s1)) + tail_i8(a, b, i, n);
}

AVX2 static void avx2_dots_i8(const void *codes, size_t stride, size_t count, const void *q, size_t n, int32_t *out)
{
	for (size_t i = 0; i < count; i++)
		out[i] = avx2_dot_i8(u8(codes) + i * stride, q, n);
}

AVX2 static void avx2_dots_at(const void *const *codes, size_t count, const void *q, size_t n, int32_t *out)
{
	for (size_t i = 0; i < count; i++)
		out[i] = avx2_dot_i8(codes[i], q, n);
}

const struct kernel kernel_avx2 = { "avx2", runs_avx2, avx2_dot_f32, avx2_l2_f32, avx2_dot_f16, avx2_dot_i8, avx2_dots_i8, avx2_dots_at };

/* --- AVX-512 --- */
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")))

static bool runs_avx512(void)
{
	return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

AVX512 static float avx512_dot_f32(const void *a, const float *q, size_t n)
{
	__m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
	size_t i = 0;

	for (; i + 64 <= n; i += 64) {
		const float *x = (const float *)(u8(a) + 4 * i);
		s0 = _mm512_fmadd_ps(_mm512_loadu_ps(x), _mm512_loadu_ps(q + i), s0);
		s1 = _mm512_fmadd_ps(_mm512_loadu_ps(x + 16), _mm512_loadu_ps(q + i + 16), s1);
		s2 = _mm512_fmadd_ps(_mm512_loadu_ps(x + 32), _mm512_loadu_ps(q + i + 32), s2);
		s3 = _mm512_fmadd_ps(_mm512_loadu_ps(x + 48), _mm512_loadu_ps(q + i + 48), s3);
	}
	for (; i < n; i += 16) {
		__mmask16 m = n - i >= 16 ? 0xffff : (__mmask16)((1u << (n - i)) - 1);
		s0 = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, u8(a) + 4 * i), _mm512_maskz_loadu_ps(m, q + i), s0);
	}
	return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));
}

AVX512 static float avx512_l2_f32(const void *a, const float *q, size_t n)
{
	__m512 s = _mm512_setzero_ps();

	for (size_t i = 0; i < n; i += 16) {
		__mmask16 m = n - i >= 16 ? 0xffff : (__mmask16)((1u << (n - i)) - 1);
		__m512 d = _mm512_sub_ps(_mm512_maskz_loadu_ps(m, u8(a) + 4 * i), _mm512_maskz_loadu_ps(m, q + i));
		s = _mm512_fmadd_ps(d, d, s);
	}
	return _mm512_reduce_add_ps(s);
}

AVX512 static float avx512_dot_f16(const void *a, const float *q, size_t n)
{
	__m512 s = _mm512_setzero_ps();
	size_t i = 0;

	for (; i + 16 <= n; i += 16)
		s = _mm512_fmadd_ps(_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(u8(a) + 2 * i))), _mm512_loadu_ps(q + i), s);
	return _mm512_reduce_add_ps(s) + (i < n ? kernel_reference.dot_f16(u8(a) + 2 * i, q + i, n - i) : 0);
}

AVX512 static int32_t avx512_dot_i8(const void *a, const void *b, size_t n)
{
	__m512i s0 = _mm512_setzero_si512(), s1 = s0;
	size_t i = 0;

	for (; i + 64 <= n; i += 64) {
		__m512i x0 = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(u8(a) + i))), y0 = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(u8(b) + i)));
		__m512i x1 = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(u8(a) + i + 32))), y1 = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(u8(b) + i + 32)));
		s0 = _mm512_add_epi32(s0, _mm512_madd_epi16(x0, y0));
		s1 = _mm512_add_epi32(s1, _mm512_madd_epi16(x1, y1));
	}
	return _mm512_reduce_add_epi32(_mm512_add_epi32(s0, s1)) + tail_i8(a, b, i, n);
}

AVX512 static void avx512_dots_i8(const void *codes, size_t stride, size_t count, const void *q, size_t n, int32_t *out)
{
	for (size_t i = 0; i < count; i++)
		out[i] = avx512_dot_i8(u8(codes) + i * stride, q, n);
}

AVX512 static void avx512_dots_at(const void *const *codes, size_t count, const void *q, size_t n, int32_t *out)
{
	for (size_t i = 0; i < count; i++)
		out[i] = avx512_dot_i8(codes[i], q, n);
}

const struct kernel kernel_avx512 = { "avx512", runs_avx512, avx512_dot_f32, avx512_l2_f32, avx512_dot_f16, avx512_dot_i8, avx512_dots_i8, avx512_dots_at };

/* --- AVX-512 VNNI --- */
#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")))

static bool runs_vnni(void) { return runs_avx512() && __builtin_cpu_supports("avx512vnni"); }

/* vpdpbusd multiplies unsigned by signed: (a + 128) * b, and 128 * sum(b) is taken off at the end. */
VNNI static int32_t vnni_dot_i8(const void *a, const void *b, size_t n)
{
	__m512i s0 = _mm512_setzero_si512(), s1 = s0, t0 = s0, t1 = s0, flip = _mm512_set1_epi8((char)0x80);
	size_t i = 0;

	for (; i + 128 <= n; i += 128) {
		__m512i y0 = _mm512_loadu_si512(u8(b) + i), y1 = _mm512_loadu_si512(u8(b) + i + 64);
		s0 = _mm512_dpbusd_epi32(s0, _mm512_xor_si512(_mm512_loadu_si512(u8(a) + i), flip), y0);
		s1 = _mm512_dpbusd_epi32(s1, _mm512_xor_si512(_mm512_loadu_si512(u8(a) + i + 64), flip), y1);
		t0 = _mm512_dpbusd_epi32(t0, flip, y0);
		t1 = _mm512_dpbusd_epi32(t1, flip, y1);
	}
	for (; i < n; i += 64) {
		__mmask64 m = n - i >= 64 ? ~0ull : (1ull << (n - i)) - 1;
		__m512i y = _mm512_maskz_loadu_epi8(m, u8(b) + i);
		s0 = _mm512_dpbusd_epi32(s0, _mm512_xor_si512(_mm512_maskz_loadu_epi8(m, u8(a) + i), flip), y);
		t0 = _mm512_dpbusd_epi32(t0, flip, y);
	}
	return _mm512_reduce_add_epi32(_mm512_sub_epi32(_mm512_add_epi32(s0, s1), _mm512_add_epi32(t0, t1)));
}

/* Sums of four accumulators at once: lane i of the result is the sum of v[i]. */
VNNI static inline __m128i sum4(__m512i a, __m512i b, __m512i c, __m512i d)
{
	__m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
	__m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
	__m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
	__m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
	return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

VNNI static inline int32_t bias_of(const void *q, size_t n)
{
	__m512i bias = _mm512_setzero_si512();

	for (size_t k = 0; k < n; k += 64)
		bias = _mm512_dpbusd_epi32(bias, _mm512_set1_epi8((char)0x80), _mm512_loadu_si512(u8(q) + k));
	return _mm512_reduce_add_epi32(bias);
}

/* Four codes at once. */
VNNI static inline __m128i dot4(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, const uint8_t *q, size_t n)
{
	const __m512i flip = _mm512_set1_epi8((char)0x80);
	__m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;

	for (size_t k = 0; k < n; k += 64) {
		__m512i y = _mm512_loadu_si512(q + k);
		s0 = _mm512_dpbusd_epi32(s0, _mm512_xor_si512(_mm512_loadu_si512(a + k), flip), y);
		s1 = _mm512_dpbusd_epi32(s1, _mm512_xor_si512(_mm512_loadu_si512(b + k), flip), y);
		s2 = _mm512_dpbusd_epi32(s2, _mm512_xor_si512(_mm512_loadu_si512(c + k), flip), y);
		s3 = _mm512_dpbusd_epi32(s3, _mm512_xor_si512(_mm512_loadu_si512(d + k), flip), y);
	}
	return sum4(s0, s1, s2, s3);
}

VNNI static void vnni_dots_i8(const void *codes, size_t stride, size_t count, const void *q, size_t n, int32_t *out)
{
	const __m128i less = _mm_set1_epi32(bias_of(q, n));
	size_t i = 0;

	for (; i + 4 <= count; i += 4) {
		const uint8_t *p = u8(codes) + i * stride;

		for (size_t k = 0; k < 4 * stride; k += 64) /* a prefetch never faults, also behind the end */
			_mm_prefetch((const char *)p + 8 * stride + k, _MM_HINT_T0);
		_mm_storeu_si128((__m128i *)(out + i), _mm_sub_epi32(dot4(p, p + stride, p + 2 * stride, p + 3 * stride, q, n), less));
	}
	for (; i < count; i++)
		out[i] = vnni_dot_i8(u8(codes) + i * stride, q, n);
}

VNNI static void vnni_dots_at(const void *const *codes, size_t count, const void *q, size_t n, int32_t *out)
{
	const __m128i less = _mm_set1_epi32(bias_of(q, n));
	size_t i = 0;

	for (; i + 4 <= count; i += 4)
		_mm_storeu_si128((__m128i *)(out + i), _mm_sub_epi32(dot4(codes[i], codes[i + 1], codes[i + 2], codes[i + 3], q, n), less));
	for (; i < count; i++)
		out[i] = vnni_dot_i8(codes[i], q, n);
}

const struct kernel kernel_vnni = { "avx512-vnni", runs_vnni, avx512_dot_f32, avx512_l2_f32, avx512_dot_f16, vnni_dot_i8, vnni_dots_i8, vnni_dots_at };
#endif
