/* Fuzz .npy files: whatever is taken lies within the file. */
#include "tests/fuzz/fuzz.h"
#include "vecstore/vecstore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vs_npy a;
	static float row[VS_DIM_MAX];

	if (vs_npy_parse(data, size, &a, NULL) < 0)
		return 0;
	MUST(a.dim > 0 && a.dim <= VS_DIM_MAX && a.rows >= data && a.rows + a.n * a.dim * (unsigned)a.kind == data + size);
	if (a.n) {
		vs_npy_row(&a, 0, row);
		vs_npy_row(&a, a.n - 1, row);
	}
	return 0;
}
