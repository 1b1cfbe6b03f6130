/* Configurations of every kind, as somebody may have written them: read into facts, compared, embedded, described, without their secrets. Two documents,
 * parted by a NUL; the first byte says of which kind. */
#include <math.h>
#include "tests/fuzz/fuzz.h"
#include "vecstore/decide/problem.h"
#include "vecstore/history/secret.h"

static int look(const struct change *c, void *data)
{
	_cleanup_tokens_ struct tokens ts = {0};
	struct ev_tokens cut;
	float v[EMBED_DIM], sum = 0;
	char text[100];

	MUST(strlen(change_describe(c, text, sizeof(text))) < sizeof(text));
	MUST(tokens_of_change(&ts, c->before, c->n_before, c->after, c->n_after) == 0 && tokens_seal(&ts) == 0);
	embed_vector(&ts, v);
	for (int i = 0; i < EMBED_DIM; i++)
		sum += v[i] * v[i];
	MUST(ts.n > 0 && fabsf(sum - 1) < 1e-3f);
	ev_from_tokens(&ts, &cut);
	MUST(cut.n > 0 && cut.n <= EV_TOKENS_MAX);
	++*(unsigned *)data;
	return 0;
}

static void redact(const char *text, size_t n, struct buf *out)
{
	static const struct salt salt = {.bytes = "fuzz"};
	_cleanup_buf_ struct buf twice = {0}, back = {0};

	MUST(secret_redact(&salt, text, n, out, NULL) == 0);
	MUST(secret_redact(&salt, out->data ? out->data : "", out->len, &twice, NULL) == 0);
	MUST(secret_restore(&salt, out->data ? out->data : "", out->len, text, n, &back) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_facts_ struct facts a = {0}, b = {0};
	_cleanup_buf_ struct buf clean = {0};
	const char *text = (const char *)data + 1;
	unsigned n = 0, m = 0;

	if (size < 2 || size > 20000)
		return 0;
	enum doc_kind kind = (enum doc_kind)(data[0] % DOC_KINDS);
	const char *nul = memchr(text, '\0', size - 1);
	size_t first = nul ? (size_t)(nul - text) : size - 1, second = nul ? size - 2 - first : 0;
	redact(text, first, &clean);
	MUST(facts_add_document(&a, kind, "name", clean.data ? clean.data : "", clean.len) == 0);
	MUST(facts_add_document(&b, kind, "name", nul ? nul + 1 : "", second) == 0);
	facts_sort(&a);
	facts_sort(&b);
	MUST(changes_between(&a, &a, look, &n) == 0 && n == 0);
	MUST(changes_between(&a, &b, look, &n) == 0 && changes_between(&b, &a, look, &m) == 0 && n == m);
	return 0;
}
