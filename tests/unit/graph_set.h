/* graph_set.h: a set of service files in a folder of its own, compiled; what was said about it as text. For the graph_*.c tests. */
#ifndef RAST_TESTS_GRAPH_SET_H
#define RAST_TESTS_GRAPH_SET_H

#include <errno.h>
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "supervisor/graph.h"
#include "tests/unit/unit.h"

struct set_file { const char *path, *text; }; /* path below the set's folder: "s/a.ini"; text "-> X": a link to X; NULL path: the end */

/* "error FILE:LINE: text\n" with paths below the folder. */
static void note_problem(int level, const char *file, int line, const char *text, void *data)
{
	const char *p, *dir = test_dir_path;
	size_t n = strlen(dir);

	buf_addf(data, "%s ", level <= LOG_ERR ? "error" : "warning");
	if (line > 0)
		buf_addf(data, "%s:%d: ", str_starts(file, dir) ? file + n + 1 : file, line);
	else
		buf_addf(data, "%s: ", str_starts(file, dir) ? file + n + 1 : file);
	for (; (p = strstr(text, dir)); text = p + n + 1)
		buf_add(data, text, (size_t)(p - text));
	buf_addf(data, "%s\n", text);
}

static void put_set_file(const char *path, const char *text)
{
	char full[512], *slash;

	snprintf(full, sizeof(full), "%s/%s", test_dir_path, path);
	slash = strrchr(full, '/');
	*slash = 0;
	ck_assert_int_eq(mkdir_p(full, 0755), 0);
	*slash = '/';
	(void)unlink(full);
	if (str_starts(text, "-> ")) {
		ck_assert_int_eq(symlink(text + 3, full), 0);
		return;
	}
	FILE *f = fopen(full, "we");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

/* Services are looked for in s/, then in t/; links in enabled/. Returns graph_compile()'s result; *said is what was reported. */
static int compile_set(struct buf *said, void **blob, size_t *size)
{
	char s[80], t[80], enabled[80];
	const char *dirs[] = { s, t };
	struct graph_source src = { dirs, 2, enabled };

	snprintf(s, sizeof(s), "%s/s", test_dir_path);
	snprintf(t, sizeof(t), "%s/t", test_dir_path);
	snprintf(enabled, sizeof(enabled), "%s/enabled", test_dir_path);
	said->len = 0;
	buf_add(said, "", 0);
	*blob = NULL;
	return graph_compile(&src, 7, note_problem, said, blob, size);
}

/* Make the folder, put the files there, compile, and take the folder away again. */
static inline int compile_files(const struct set_file *files, struct buf *said, void **blob, size_t *size)
{
	int fd = make_test_dir(), r;

	for (; files->path; files++)
		put_set_file(files->path, files->text);
	r = compile_set(said, blob, size);
	close(fd);
	rm_rf(AT_FDCWD, test_dir_path);
	return r;
}

#define LONGRUN "[service]\ntype = longrun\nexec = /bin/x\n"
#define ONESHOT "[service]\ntype = oneshot\nexec = /bin/x\n"
#define BUNDLE(...) "[service]\ntype = bundle\n[dependencies]\ncontents = " __VA_ARGS__ "\n"
#define VIRTUAL "[service]\ntype = virtual\n"
#define DEPS "[dependencies]\n"

#endif
