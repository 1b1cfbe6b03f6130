/* Compiled graphs: whatever passes graph_verify() can be read without leaving the blob. Header and checksum are put right, or nothing would get that far. */
#include "base/str.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/graph_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *blob = malloc(size ? size : 1);
	struct graph g;

	if (!blob)
		return 0;
	memcpy(blob, data, size);
	MUST(size >= sizeof(g) || graph_verify(blob, size) < 0);
	if (size < sizeof(g))
		return 0;
	memcpy(&g, blob, sizeof(g));
	g.magic = GRAPH_MAGIC;
	g.version = GRAPH_VERSION;
	g.size = (uint32_t)size;
	blob[size - 1] = 0;
	memcpy(blob, &g, sizeof(g));
	g.crc = crc32c(0, blob + 16, size - 16);
	memcpy(blob, &g, sizeof(g));
	if (graph_verify(blob, size) == 0)
		MUST(walk_graph((const struct graph *)blob));
	return 0;
}
