/* The boot ledger: whatever is on the disk, reading it, changing it and deciding by it stays within bounds, and a decision is always one of the snapshots
 * that are there. The checksum is put right for half of the inputs, or nothing would get past it. */
#include "storage/decide.h"
#include "base/str.h"
#include "tests/fuzz/fuzz.h"

enum { CRC_AT = 12 };

static void put_checksum_right(unsigned char slot[LEDGER_SLOT_SIZE])
{
	uint32_t crc;

	memcpy(slot, "rastBOOT\1\0\0\0\0\0\0\0", 16);
	crc = crc32c(0, slot, LEDGER_SLOT_SIZE);
	memcpy(slot + CRC_AT, &crc, sizeof(crc));
}

static void live_with(struct ledger *l, const uint8_t *steps, size_t n)
{
	uint32_t available[3] = {l->n ? l->e[0].snapshot : 4, 5, 6};
	struct decision d;

	for (size_t i = 0; i + 1 < n && i < 64; i += 2) {
		uint32_t s = steps[i + 1] % 2 ? available[steps[i + 1] % 3] : steps[i + 1];
		switch (steps[i] % 7) {
		case 0: ledger_deploy(l, s); break;
		case 1: ledger_settle(l); ledger_attempt(l, s); break;
		case 2: ledger_good(l, s); break;
		case 3: ledger_failed(l, s, LEDGER_RESULT_FAILED); break;
		case 4: ledger_left(l, s); break;
		case 5: l->once = s; break;
		case 6: ledger_settle(l); ledger_explore(l, s); ledger_reason(l, steps[i]); break;
		}
		MUST(l->n <= LEDGER_MAX);
	}
	decide(l, available, 3, LEDGER_NONE, NULL, NULL, &d);
	MUST(d.reason != DECIDE_NOTHING && (d.snapshot == available[0] || d.snapshot == 5 || d.snapshot == 6));
	MUST(strlen(d.text) < sizeof(d.text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char slot[LEDGER_SLOT_SIZE] = {0}, again[LEDGER_SLOT_SIZE];
	struct ledger l, back;
	const char *why;

	if (size < 2)
		return 0;
	memcpy(slot, data + 1, MIN(size - 1, sizeof(slot)));
	if (data[0] % 2)
		put_checksum_right(slot);
	if (ledger_decode(slot, &l, &why) < 0) {
		MUST(why && *why);
		return 0;
	}
	ledger_encode(&l, again);
	MUST(ledger_decode(again, &back, &why) == 0 && memcmp(&l, &back, sizeof(l)) == 0);
	live_with(&l, data + size - MIN(size, (size_t)128), MIN(size, (size_t)128));
	return 0;
}
