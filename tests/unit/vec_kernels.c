/* Every kernel that this CPU runs computes what plain C computes: whole numbers exactly, floats to rounding. */
#include "tests/unit/unit.h"

#include <math.h>
#include "base/mem.h"
#include "vecstore/vector.h"

#define MOST 1100u
static uint32_t state = 1;
static uint32_t draw(void) { return state = state * 1664525 + 1013904223; }
static float draw_float(void) { return (float)(int32_t)draw() / 2147483648.0f; }

static float f_a[MOST], f_b[MOST];
static uint16_t h_a[MOST];
static int8_t i_a[16 * MOST], i_b[MOST];

static void draw_all(void)
{
	for (unsigned i = 0; i < MOST; i++) {
		f_a[i] = draw_float();
		f_b[i] = draw_float();
		h_a[i] = f16_from(f_a[i]);
		i_b[i] = (int8_t)((int)(draw() >> 8) % 255 - 127);
	}
	for (unsigned i = 0; i < 16 * MOST; i++)
		i_a[i] = (int8_t)((draw() >> 8) % 255) - 127;
}

static void near(float a, float b, size_t n, const char *kernel, const char *what)
{
	ck_assert_msg(fabsf(a - b) <= 1e-5f * (float)(n + 1), "%s, %s of %zu: %g instead of %g", kernel, what, n, (double)a, (double)b);
}

static void same_as_reference(const struct kernel *k)
{
	static const size_t lengths[] = { 0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 192, 200, 255, 256, 300, 383, 384, 385, 512, 768, 1000, 1024 };
	const struct kernel *ref = &kernel_reference;

	for (size_t l = 0; l < ARRAY_SIZE(lengths); l++)
		for (size_t off = 0; off < 3; off++) { /* pointers that are aligned to nothing */
			size_t n = lengths[l];
			const uint8_t *odd = (const uint8_t *)f_a + 4 * off;
			draw_all();
			near(k->dot_f32(odd, f_b, n), ref->dot_f32(odd, f_b, n), n, k->name, "dot_f32");
			near(k->l2_f32(odd, f_b, n), ref->l2_f32(odd, f_b, n), n, k->name, "l2_f32");
			near(k->dot_f16(h_a + off, f_b, n), ref->dot_f16(h_a + off, f_b, n), n, k->name, "dot_f16");
			ck_assert_msg(k->dot_i8(i_a + off, i_b, n) == ref->dot_i8(i_a + off, i_b, n), "%s, dot_i8 of %zu", k->name, n);
		}
}

static void extremes(const struct kernel *k)
{
	static int8_t low[1024], high[1024];

	memset(low, -127, sizeof(low));
	memset(high, 127, sizeof(high));
	ck_assert_int_eq(k->dot_i8(low, high, 1024), -127 * 127 * 1024);
	ck_assert_int_eq(k->dot_i8(low, low, 1024), 127 * 127 * 1024);
	ck_assert_int_eq(k->dot_i8(high, low, 1000), -127 * 127 * 1000);
}

static void many(const struct kernel *k)
{
	static int8_t codes[13 * 384] __attribute__((aligned(64))), q[384] __attribute__((aligned(64)));
	const void *at[13];
	int32_t got[13], want[13];

	for (size_t stride = 64; stride <= 384; stride += 64)
		for (size_t count = 0; count <= 13; count++) {
			draw_all();
			memcpy(codes, i_a, sizeof(codes));
			memcpy(q, i_b, sizeof(q));
			for (size_t i = 0; i < count; i++)
				at[i] = codes + (12 - i) * stride;
			kernel_reference.dots_i8(codes, stride, count, q, stride, want);
			k->dots_i8(codes, stride, count, q, stride, got);
			ck_assert_msg(memcmp(got, want, count * 4) == 0, "%s, dots_i8 of %zu codes of %zu", k->name, count, stride);
			kernel_reference.dots_at(at, count, q, stride, want);
			k->dots_at(at, count, q, stride, got);
			ck_assert_msg(memcmp(got, want, count * 4) == 0, "%s, dots_at of %zu codes of %zu", k->name, count, stride);
		}
}

START_TEST(each_kernel_computes_what_plain_c_computes)
{
	size_t n;
	const struct kernel *const *all = kernel_all(&n);

	ck_assert_uint_ge(n, 2);
	for (size_t i = 0; i < n; i++) {
		if (!all[i]->runs()) {
			printf("# not tested, this CPU has no %s\n", all[i]->name);
			continue;
		}
		same_as_reference(all[i]);
		extremes(all[i]);
		many(all[i]);
	}
}
END_TEST

START_TEST(the_best_kernel_is_one_that_runs)
{
	ck_assert(kernel_best()->runs());
}
END_TEST

START_TEST(every_half_float_survives_there_and_back)
{
	for (uint32_t h = 0; h < 0x10000; h++)
		if ((h & 0x7c00) != 0x7c00)
			ck_assert_uint_eq(f16_from(f16_to((uint16_t)h)), h);
	ck_assert_uint_eq(f16_from(1e9f), 0x7bff); /* the largest */
	ck_assert_uint_eq(f16_from(-65520), 0xfbff);
	ck_assert_uint_eq(f16_from(1 + 0x1p-11f), 0x3c00); /* half-way: to the even one */
	ck_assert_uint_eq(f16_from(1 + 3 * 0x1p-11f), 0x3c02);
	ck_assert_uint_eq(f16_from(0x1p-26f), 0);
}
END_TEST

START_TEST(a_code_is_within_half_a_step_of_the_number)
{
	int8_t code[MOST];
	float scale;

	draw_all();
	vector_code(f_a, MOST, code, &scale);
	for (unsigned i = 0; i < MOST; i++)
		ck_assert(fabsf(f_a[i] - scale * code[i]) <= scale * 0.5001f && code[i] >= -127);
	vector_code((float[3]){ 0, 0, 0 }, 3, code, &scale);
	ck_assert(code[0] == 0 && code[1] == 0 && code[2] == 0 && scale == 0.0f);
}
END_TEST

PROMISES("vecstore: kernels", each_kernel_computes_what_plain_c_computes, the_best_kernel_is_one_that_runs, every_half_float_survives_there_and_back, a_code_is_within_half_a_step_of_the_number)
