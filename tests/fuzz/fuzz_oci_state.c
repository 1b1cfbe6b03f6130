/* state.json of a container: any bytes give a state of this id, or an error; and what is asked of it doesn't fail in other ways. */
#include "runtime/state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/str.h"
#include "tests/fuzz/fuzz.h"

static char root[64] = "/tmp/rast-fuzz-XXXXXX";

static void clean_up(void)
{
	(void)rm_rf(AT_FDCWD, root);
}

static int folder(void)
{
	char path[128];

	MUST(mkdtemp(root));
	(void)atexit(clean_up);
	(void)snprintf(path, sizeof(path), "%s/c", root);
	MUST(mkdir(path, 0700) == 0);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void ask(struct container *c)
{
	_cleanup_err_ struct err e = { 0 };
	enum status s = container_status(c);

	MUST(streq(c->st.id, "c") && c->st.pid >= 0);
	MUST((s == STATUS_CREATING) == (c->st.pid == 0));
	_cleanup_free_ char *json = container_state_json(c, &e);
	MUST(json && strstr(json, "\"status\": \""));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int dir = -1;
	_cleanup_container_ struct container c = CONTAINER_INIT;
	_cleanup_err_ struct err e = { 0 };
	int r;

	if (dir < 0)
		dir = folder();
	_cleanup_close_ int fd = openat(dir, "state.json", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	MUST(fd >= 0 && write_all(fd, data, size) == 0);
	r = container_open(root, "c", false, &c, &e);
	if (r < 0)
		MUST(strstr(err_text(&e), "container \"c\""));
	else
		ask(&c);
	return 0;
}
