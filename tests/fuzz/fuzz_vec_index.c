/* Fuzz the index's loader: bytes of a small index are changed and the checksums made right again; what is taken can be searched without leaving it. */
#include <string.h>
#include "tests/fuzz/fuzz.h"
#include "vecstore/index.h"

/* The input is a whole file, or (first byte 0) a list of changes (u16 place, u8 value) to a sound one. */
#define N 40u
#define DIM 16u
#define M 2u

static size_t put(uint8_t *map, struct index_head *h, enum section s, size_t at, const void *data, size_t n)
{
	h->section[s].at = at;
	h->section[s].len = n;
	memcpy(map + at, data, n);
	return (at + n + 63) / 64 * 64;
}

static size_t sound(uint8_t *map)
{
	struct index_head h = { .magic = INDEX_MAGIC, .format = INDEX_FORMAT, .coll = 1, .dim = DIM, .stride = 64, .metric = VS_L2, .version = 1, .n = N, .m = M, .ef = 8, .graph = 1, .entry = 0, .top = 1, .upper_lists = 1 };
	uint64_t row[N], fact_at[N + 1];
	float scale[N], bias[N];
	uint8_t codes[N * 64] = { 0 }, level[N] = { 1 }, facts[N * (sizeof(struct fact) + 2)] = { 0 };
	uint32_t links[N * 2 * M], upper_at[N], upper[M] = { 1, INDEX_NONE };
	size_t at = INDEX_HEAD;

	for (uint32_t i = 0; i < N; i++) {
		struct fact f = { .version = 1, .id_len = 1 };
		row[i] = i + 1;
		scale[i] = 0.01f;
		bias[i] = 0.5f;
		for (uint32_t k = 0; k < DIM; k++)
			codes[i * 64 + k] = (uint8_t)((i * 7 + k * 3) % 100);
		for (uint32_t k = 0; k < 2 * M; k++)
			links[i * 2 * M + k] = (i + 1 + k * 5) % N;
		upper_at[i] = i ? INDEX_NONE : 0;
		fact_at[i] = i * (sizeof(f) + 2);
		memcpy(facts + fact_at[i], &f, sizeof(f));
		facts[fact_at[i] + sizeof(f)] = 'x';
	}
	fact_at[N] = sizeof(facts);
	at = put(map, &h, S_ROWS, at, row, sizeof(row));
	at = put(map, &h, S_SCALE, at, scale, sizeof(scale));
	at = put(map, &h, S_BIAS, at, bias, sizeof(bias));
	at = put(map, &h, S_CODES, at, codes, sizeof(codes));
	at = put(map, &h, S_FACT_AT, at, fact_at, sizeof(fact_at));
	at = put(map, &h, S_FACTS, at, facts, sizeof(facts));
	at = put(map, &h, S_LEVEL, at, level, sizeof(level));
	at = put(map, &h, S_LINKS, at, links, sizeof(links));
	at = put(map, &h, S_UPPER_AT, at, upper_at, sizeof(upper_at));
	at = put(map, &h, S_UPPER, at, upper, sizeof(upper));
	memcpy(map, &h, sizeof(h));
	return at;
}

/* As somebody who wants to harm would: every checksum is right. */
static void sign(uint8_t *map, size_t len)
{
	struct index_head h;

	if (len < INDEX_HEAD)
		return;
	memcpy(&h, map, sizeof(h));
	for (unsigned s = 0; s < SECTIONS; s++)
		if (h.section[s].at <= len && h.section[s].len <= len - h.section[s].at)
			h.section[s].crc = crc32c(0, map + h.section[s].at, h.section[s].len);
	h.crc = 0;
	memcpy(map, &h, sizeof(h));
	h.crc = crc32c(0, map, INDEX_HEAD);
	memcpy(map, &h, sizeof(h));
}

static void use(const uint8_t *map, size_t len)
{
	struct index x = { .map = map, .len = len };
	const char *why;
	struct beam b = { 0 };
	struct graph g;
	int8_t code[8192 + 64] __attribute__((aligned(64))) = { 1, 2, 3 };
	struct probe q = { code, 0.1f };

	if (index_check_memory(map, len, true, &x.h, &why) < 0) {
		MUST(why);
		return;
	}
	for (uint32_t i = 0; i < x.h.n; i++) {
		struct vs_record r;
		index_record(&x, i, &r);
		MUST(strlen(r.id) <= VS_ID_MAX);
	}
	if (!x.h.graph)
		return;
	graph_of(&x, &g);
	if (beam_ready(&b, x.h.n, 10) == 0)
		graph_search(&g, &q, 10, &b);
	for (uint32_t i = 0; i < b.n; i++)
		MUST(b.at[i].node < x.h.n);
	beam_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = size > 65536 ? size : 65536, len;
	uint8_t *map = aligned_alloc(64, (room + 63) / 64 * 64);

	if (!map)
		return 0;
	memset(map, 0, room);
	if (size && data[0] == 0) {
		len = sound(map);
		for (size_t i = 1; i + 3 <= size; i += 3)
			map[(data[i] | (size_t)data[i + 1] << 8) % len] = data[i + 2];
	} else {
		memcpy(map, data, size);
		len = size;
	}
	sign(map, len);
	{ /* of exactly the file's size, so that reading behind it is seen */
		uint8_t *exact = aligned_alloc(64, (len + 63) / 64 * 64 + 64);
		if (exact) {
			memcpy(exact, map, len);
			use(exact, len);
		}
		free(exact);
	}
	free(map);
	return 0;
}
