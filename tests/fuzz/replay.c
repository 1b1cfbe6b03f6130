/* replay.c: run a fuzz target on each file of a folder, without libFuzzer. */
#include <fcntl.h>
#include <stdio.h>
#include "base/file.h"
#include "tests/fuzz/fuzz.h"

int main(int argc, char **argv)
{
	_cleanup_closedir_ DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	int n = 0;

	if (!dir) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	for (struct dirent *d; (d = readdir(dir)); n++) {
		_cleanup_free_ char *data = NULL;
		size_t len;
		if (d->d_name[0] == '.')
			continue;
		if (file_read(dirfd(dir), d->d_name, 1 << 24, &data, &len) < 0)
			return 1;
		LLVMFuzzerTestOneInput((const uint8_t *)data, len);
	}
	return n > 2 ? 0 : 1;
}
