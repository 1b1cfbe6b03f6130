/* vector.h: vectors as they are stored, and the arithmetic on them.
 *
 * Kernels are chosen once per process by what the CPU can do; kernel_reference is plain C and the meaning of all others. Codes are
 * int8 in -127..127. Pointers need no alignment; a code's stride in an index is a multiple of 64 bytes, filled with zeros. */
#ifndef RAST_VECSTORE_VECTOR_H
#define RAST_VECSTORE_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include "vecstore/vecstore.h"

struct kernel {
	const char *name;
	bool (*runs)(void);                                                    /* on this CPU */
	float (*dot_f32)(const void *a, const float *q, size_t n);
	float (*l2_f32)(const void *a, const float *q, size_t n);             /* squared distance */
	float (*dot_f16)(const void *a, const float *q, size_t n);
	int32_t (*dot_i8)(const void *a, const void *b, size_t n);
	/* n multiple of 64. out[i] = code i * q, for `count` codes that lie `stride` bytes apart. */
	void (*dots_i8)(const void *codes, size_t stride, size_t count, const void *q, size_t n, int32_t *out);
	/* The same for codes that lie anywhere. */
	void (*dots_at)(const void *const *codes, size_t count, const void *q, size_t n, int32_t *out);
};
extern const struct kernel kernel_reference;
const struct kernel *kernel_best(void);
const struct kernel *const *kernel_all(size_t *n); /* those that were compiled in, whatever this CPU can do */

static inline size_t element_bytes(enum vs_element t, size_t dim) { return dim * (t == VS_F32 ? 4 : t == VS_F16 ? 2 : 1); }
void vector_encode(enum vs_element t, const float *v, size_t dim, void *to, float *scale);
void vector_decode(enum vs_element t, const void *v, size_t dim, float scale, float *to);
/* 1 / length of a stored vector, 0 for the null vector. */
float vector_inv_norm(enum vs_element t, const void *v, size_t dim, float scale);
/* int8 with a scale of its own: v[i] ~ to[i] * scale. */
void vector_code(const float *v, size_t dim, int8_t *to, float *scale);
uint16_t f16_from(float f); /* IEEE 754 binary16, nearest even */
float f16_to(uint16_t h);

#endif
