/* Layers, applied to a tree that has links in it: whatever the archive says, nothing beside the tree changes. */
#include "runtime/image/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/mem.h"
#include "tests/fuzz/fuzz.h"

static char folder[] = "/tmp/rast-fuzz-XXXXXX";
static int top = -1;

static void remove_folder(void)
{
	if (top >= 0)
		rm_rf(AT_FDCWD, folder);
}

/* As nobody: what a fault of ours could reach then is this folder, and not the machine. */
static void set_up(void)
{
	static const char *const folders[] = {"out", "out/dir"};

	MUST(mkdtemp(folder));
	if (getuid() == 0) {
		MUST(chown(folder, 65534, 65534) == 0);
		MUST(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	}
	top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(top >= 0 && atexit(remove_folder) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		MUST(mkdirat(top, folders[i], 0755) == 0);
	MUST(file_replace(top, "out/secret", "secret", 6, 0644) == 0 && file_replace(top, "out/dir/more", "more", 4, 0644) == 0);
}

static void check_outside(void)
{
	_cleanup_free_ char *a = NULL, *b = NULL;
	struct stat st;

	MUST(file_read(top, "out/secret", 100, &a, NULL) == 0 && strcmp(a, "secret") == 0);
	MUST(file_read(top, "out/dir/more", 100, &b, NULL) == 0 && strcmp(b, "more") == 0);
	MUST(fstatat(top, "out/secret", &st, 0) == 0 && st.st_nlink == 1 && (st.st_mode & 07777) == 0644);
	MUST(fstatat(top, "out", &st, 0) == 0 && st.st_nlink == 3 && (st.st_mode & 07777) == 0755);
	_cleanup_closedir_ DIR *d = opendir(folder);
	int n = 0;
	MUST(d);
	while (readdir(d))
		n++;
	MUST(n == 4); /* ".", "..", "in" and "out" */
}

struct input {
	const uint8_t *data;
	size_t n;
};

static ssize_t next_piece(void *data, const void **piece)
{
	struct input *in = data;
	size_t n = MIN(in->n, 777u);

	*piece = in->data;
	in->data += n;
	in->n -= n;
	return (ssize_t)n;
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *f)
{
	return type == FTW_D || type == FTW_DNR ? chmod(path, 0700) : 0;
}

/* We are not root: a folder's mode may keep us out, and what is in it shows only when it doesn't any more. */
static void remove_tree(void)
{
	char in[64];
	int r;

	snprintf(in, sizeof(in), "%s/in", folder);
	for (int i = 0; (r = rm_rf(top, "in")) == -EACCES && i < 100; i++)
		nftw(in, open_up, 20, FTW_PHYS);
	MUST(r == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct apply_limits limits = {.entries = 200, .file_size = 1 << 20};
	_cleanup_err_ struct err e = {0};
	struct input in = {data, size};
	struct apply_counts counts;

	if (top < 0)
		set_up();
	MUST(mkdirat(top, "in", 0755) == 0 && mkdirat(top, "in/d", 0755) == 0 && symlinkat("../out", top, "in/up") == 0 && symlinkat("/d", top, "in/d/abs") == 0);
	MUST(file_replace(top, "in/d/file", "x", 1, 0644) == 0);
	_cleanup_close_ int root = openat(top, "in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(root >= 0);
	int r = layer_apply(root, next_piece, &in, &limits, &counts, &e);
	MUST(r <= 0 && (r == 0 || e.code < 0));
	check_outside();
	fchmod(root, 0755);
	remove_tree();
	return 0;
}
