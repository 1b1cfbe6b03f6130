/* kernels.h: the kernels of each instruction set. */
#ifndef RAST_VECSTORE_KERNELS_H
#define RAST_VECSTORE_KERNELS_H

#include "vecstore/vector.h"

#if defined(__x86_64__)
extern const struct kernel kernel_sse2, kernel_avx2, kernel_avx512, kernel_vnni;
#elif defined(__aarch64__)
extern const struct kernel kernel_neon, kernel_neon_dot;
#endif

#endif
