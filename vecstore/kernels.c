/* kernels.c: which kernels there are, and which are used. */
#include <stdatomic.h>
#include <stdlib.h>
#include "base/str.h"
#include "base/mem.h"
#include "vecstore/kernels.h"

/* The best ones last. */
static const struct kernel *const all[] = {
	&kernel_reference,
#if defined(__x86_64__)
	&kernel_sse2, &kernel_avx2, &kernel_avx512, &kernel_vnni,
#elif defined(__aarch64__)
	&kernel_neon, &kernel_neon_dot,
#endif
};

const struct kernel *const *kernel_all(size_t *n)
{
	*n = ARRAY_SIZE(all);
	return all;
}

const struct kernel *kernel_best(void)
{
	static _Atomic(const struct kernel *) chosen;
	const struct kernel *best = atomic_load_explicit(&chosen, memory_order_acquire);

	for (size_t i = ARRAY_SIZE(all); !best && i > 0; i--)
		if (all[i - 1]->runs())
			best = all[i - 1];
	atomic_store_explicit(&chosen, best, memory_order_release);
	return best;
}
