/* notify.c: the listener for the agent (config-linux.md, "The Container Process State"). */
#include "runtime/seccomp/seccomp.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/file.h"
#include "base/mem.h"

static char *state_text(const struct oci_seccomp *s, const char *oci_version, pid_t pid, const char *state_json)
{
	json_auto_t *state = json_loads(state_json, 0, NULL);
	json_auto_t *j = NULL;

	if (!state)
		return NULL;
	j = json_pack("{s:s, s:[s], s:i, s:O}", "ociVersion", oci_version, "fds", "seccompFd", "pid", (int)pid, "state", state);
	if (j && s->listener_metadata && json_object_set_new(j, "metadata", json_string(s->listener_metadata)) < 0)
		return NULL;
	return j ? json_dumps(j, JSON_COMPACT) : NULL;
}

static int connect_agent(const char *path, struct err *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(e, -ENAMETOOLONG, "linux.seccomp.listenerPath: %s: a socket's path has at most %zu bytes; use a shorter one", path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, -errno, "linux.seccomp.listenerPath: make a socket");
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(e, -errno, "linux.seccomp.listenerPath: connect to the agent at %s", path);
	return take_fd(&fd);
}

int filter_notify(const struct oci_seccomp *s, const char *oci_version, pid_t pid, const char *state_json, int listener, struct err *e)
{
	_cleanup_free_ char *text = state_text(s, oci_version, pid, state_json);
	_cleanup_close_ int fd = -1;
	ssize_t n;
	int r;

	if (!text)
		return err_set(e, -ENOMEM, "linux.seccomp: the state for the agent: not enough memory");
	fd = connect_agent(s->listener_path, e);
	if (fd < 0)
		return fd;
	n = fd_send(fd, text, strlen(text), &listener, 1, 0);
	r = n < 0 ? (int)n : write_all(fd, text + n, strlen(text) - (size_t)n);
	return r < 0 ? err_sys(e, r, "linux.seccomp.listenerPath: send the listener to the agent at %s", s->listener_path) : 0;
}
