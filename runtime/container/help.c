/* help.c: small things that create and exec share. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/container/container.h"
#include "runtime/ns/ns.h"

void run_free(struct run *r)
{
	rt_plan_free(r->plan);
	rt_child_close(&r->child);
	oci_process_free(r->process);
	closep(&r->console);
	closep(&r->start);
	closep(&r->target);
	*r = (struct run)RUN_INIT;
}

/* A path that is too long for sun_path goes through its folder's descriptor. */
int socket_connect(const char *path, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_close_ int file = -1;

	if (fd < 0)
		return err_sys(e, -errno, "socket");
	if (strlen(path) < sizeof(a.sun_path)) {
		memcpy(a.sun_path, path, strlen(path));
	} else {
		file = sys_openat(AT_FDCWD, path, O_PATH, 0);
		if (file < 0)
			return err_sys(e, file, "socket %s", path);
		snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d", file);
	}
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(e, -errno, "socket %s", path);
	return take_fd(&fd);
}

int socket_send_fd(const char *path, const char *what, int fd, struct err *e)
{
	_cleanup_close_ int sock = socket_connect(path, e);
	ssize_t n;

	if (sock < 0)
		return sock;
	n = fd_send(sock, what, strlen(what), &fd, 1, 0);
	return n < 0 ? err_sys(e, (int)n, "socket %s", path) : 0;
}

/* Whoever waits for the file finds it whole. */
int write_pid_file(const char *path, pid_t pid, struct err *e)
{
	_cleanup_free_ char *tmp = NULL;
	char text[16];
	int r;

	snprintf(text, sizeof(text), "%d", (int)pid);
	if (asprintf(&tmp, "%s.%d.new", path, (int)getpid()) < 0)
		return err_sys(e, -ENOMEM, "pid file %s", path);
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, tmp, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	r = fd < 0 ? fd : write_all(fd, text, strlen(text));
	if (r == 0)
		r = sys_renameat(AT_FDCWD, tmp, AT_FDCWD, path);
	return r < 0 ? err_sys(e, r, "pid file %s", path) : 0;
}

/* LISTEN_FDS of our caller come first (sd_listen_fds(3)), then --preserve-fds. A number that nobody has opened would later be one of ours. */
int preserved_find(unsigned n, struct preserved *ret, struct err *e)
{
	const char *listen = getenv("LISTEN_FDS");
	uint64_t n_listen = 0;

	*ret = (struct preserved){ 0 };
	if (listen && parse_u64(listen, &n_listen) == 0 && n_listen <= 128)
		ret->listen = (unsigned)n_listen;
	ret->n = n + ret->listen;
	if (ret->n > 256)
		return err_set(e, -E2BIG, "more than 256 descriptors are to be passed on");
	/* What is free is filled, so that nothing of ours gets a number that the container is given; the child closes it. */
	for (unsigned i = 0; i < ret->n; i++) {
		int fd = 3 + (int)i;
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		ret->gap[i] = true;
		if (dup3(2, fd, O_CLOEXEC) < 0 && dup3(0, fd, O_CLOEXEC) < 0)
			return err_sys(e, -errno, "keeping descriptor %d free (--preserve-fds)", fd);
	}
	return 0;
}

void preserved_put(const struct preserved *p, int fds[256], struct rt_request *rq)
{
	for (unsigned i = 0; i < p->n; i++)
		fds[i] = p->gap[i] ? -1 : 3 + (int)i;
	rq->fds = fds;
	rq->n_fds = p->n;
	rq->listen_fds = p->listen;
}

bool runs_rootless(void)
{
	return geteuid() != 0 || ns_in_user_namespace();
}
