/* Service files: any text compiles to a graph that verifies, or to errors that have a place, a text that JSON can carry, and a reason for the refusal.
 * A line "=== NAME" begins the next file of the set. */
#include "base/log.h"
#include "supervisor/graph/compile.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/graph_walk.h"

struct told {
	unsigned errors;
	int lines;
};

static void on_problem(int level, const char *file, int line, const char *text, void *data)
{
	struct told *t = data;

	MUST(level == LOG_ERR || level == LOG_WARNING);
	MUST(*file && *text && line >= 0 && line <= t->lines);
	MUST(utf8_span(text, strlen(text)) == strlen(text) && utf8_span(file, strlen(file)) == strlen(file));
	MUST(!strchr(text, '\n'));
	t->errors += level == LOG_ERR;
}

/* The text up to the next "=== NAME", which is cut into name; *p moves to the text behind that line. */
static size_t next_file(const char **p, const char *end, char name[80])
{
	const char *start = *p, *mark = memmem(start, (size_t)(end - start), "\n=== ", 5), *nl;

	if (!mark) {
		*p = end;
		return (size_t)(end - start);
	}
	nl = memchr(mark + 1, '\n', (size_t)(end - mark - 1));
	nl = nl ? nl : end;
	snprintf(name, 80, "%.*s", (int)MIN(nl - mark - 5, 70), mark + 5);
	*p = MIN(nl + 1, end);
	return (size_t)(mark + 1 - start);
}

static void load(struct compiler *c, const char *p, const char *end)
{
	char name[80] = "a", next[80], file[96];

	while (p < end) {
		const char *text = p;
		snprintf(next, sizeof(next), "b");
		size_t n = next_file(&p, end, next);
		snprintf(file, sizeof(file), "/s/%s.ini", name);
		if (!unit_find(c, name)) /* the folder can't hold one name twice */
			MUST(load_text(c, name, file, text, n) == 0);
		snprintf(name, sizeof(name), "%s", next);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct told told = { .lines = 2 };
	_cleanup_(compiler_free) struct compiler c = { .cb = on_problem, .cb_data = &told };
	_cleanup_free_ void *blob = NULL;
	size_t n;
	int r;

	for (size_t i = 0; i < size; i++)
		told.lines += data[i] == '\n';
	load(&c, (const char *)data, (const char *)data + size);
	r = compile_rest(&c, 1, &blob, &n);
	MUST(r == (told.errors ? -EINVAL : 0));
	MUST(r < 0 || (graph_verify(blob, n) == 0 && walk_graph(blob)));
	return 0;
}
