/* Packs of evidence from other machines: nothing in one that is not signed rightly is believed, and what can't be one is refused before that. */
#include "tests/fuzz/fuzz.h"
#include "vecstore/decide/problem.h"
#include "vecstore/history/pack.h"

static int add(const struct ev_decoded *row, uint32_t index, void *arg)
{
	return evidence_add(arg, row->tokens.t, row->tokens.n, row->ok, row->bad, true, index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_evidence_ struct evidence ev = {0};
	_cleanup_err_ struct err e = {0};
	const void *rows;
	uint32_t count;
	size_t n;

	if (pack_parse(data, size, &rows, &n, &count, &e) < 0) {
		MUST(e.code < 0 && *err_text(&e));
		return 0;
	}
	MUST((const uint8_t *)rows >= data && (const uint8_t *)rows + n <= data + size && count <= PACK_ROWS_MAX);
	MUST(ev_each(rows, n, add, &ev) == 0 && ev.n == count);
	if (ev.n) { /* whatever it says, a risk is a probability */
		struct ev_tokens q = {.n = ev.c[0].n};
		struct risk r;
		memcpy(q.t, ev.tokens + ev.c[0].first, q.n * sizeof(q.t[0]));
		MUST(evidence_risks(&ev, &decide_params_default, &q, 1, &r) == 0 && r.p >= 0 && r.p <= 1);
	}
	return 0;
}
