/* service.c: the table of services, sorted by name: a few dozen bytes each. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include "base/base.h"
#include "services/logger/logd.h"
#include "services/logger/protocol.h"

static size_t position(const struct logd *d, const char *name, bool *found)
{
	size_t lo = 0, hi = d->n_services;
	*found = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(d->services[mid]->name, name);
		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct service *service_find(struct logd *d, const char *name)
{
	bool found;
	size_t i = position(d, name, &found);
	return found ? d->services[i] : NULL;
}

static void set_limits(struct service *s, uint64_t max_size, uint32_t max_files)
{
	s->max_size = !max_size ? LOGD_DEFAULT_SIZE : (uint32_t)MIN(MAX(max_size, 4096u), UINT32_MAX);
	s->max_files = !max_files ? LOGD_DEFAULT_FILES : max_files == UINT32_MAX ? 0 : (uint8_t)MIN(max_files, 99u);
}

/* A descriptor that tee(2) and edge-triggered epoll work with: the read end of a pipe. */
static int check_pipe(int fd)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISFIFO(st.st_mode) && (flags & O_ACCMODE) != O_WRONLY ? 0 : -EINVAL;
}

static bool same_pipe(int a, int b)
{
	struct stat sa, sb;
	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static int insert(struct logd *d, struct service *s)
{
	if (d->n_services == d->cap_services) {
		size_t cap = d->cap_services ? d->cap_services * 2 : 64;
		struct service **v = realloc(d->services, cap * sizeof *v);
		if (!v)
			return -ENOMEM;
		d->services = v;
		d->cap_services = cap;
	}
	bool found;
	size_t i = position(d, s->name, &found);
	memmove(d->services + i + 1, d->services + i, (d->n_services - i) * sizeof *d->services);
	d->services[i] = s;
	d->n_services++;
	return 0;
}

/* EPOLLET: an unfinished line that stays in its pipe must not keep us awake; see set_async() of batch.c. */
static int watch(struct logd *d, struct service *s)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = s};
	s->async = false;
	return epoll_ctl(d->epoll, EPOLL_CTL_ADD, s->pipe, &ev) < 0 ? -errno : 0;
}

/* Closing alone would leave it in the epoll set: PID 1 holds the same open file. */
static void unwatch(struct logd *d, struct service *s)
{
	epoll_ctl(d->epoll, EPOLL_CTL_DEL, s->pipe, NULL);
	close(s->pipe);
	s->pipe = -1;
}

static int service_new(struct logd *d, const char *name, int pipe, struct service **ret)
{
	size_t len = strlen(name) + 1;
	struct service *s = calloc(1, sizeof *s + len);
	if (!s)
		return -ENOMEM;
	s->pipe = pipe;
	s->slot = -1;
	memcpy(s->name, name, len);
	s->spare = d->spare_any && spare_has(d, name);
	int r = watch(d, s);
	if (r >= 0)
		r = insert(d, s);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* An existing service gets another pipe: what is in the old one comes first. */
static int exchange_pipe(struct logd *d, struct service *s, int pipe)
{
	int r = service_drain(d, s, TAIL_END);
	if (r < 0)
		return r;
	unwatch(d, s);
	s->pipe = pipe;
	return watch(d, s);
}

int service_add(struct logd *d, const char *name, int pipe, uint64_t max_size, uint32_t max_files)
{
	_cleanup_close_ int fd = pipe;
	int r = check_pipe(fd);
	if (r < 0)
		return r;
	struct service *s = service_find(d, name);
	if (s && !same_pipe(s->pipe, fd))
		r = exchange_pipe(d, s, take_fd(&fd));
	else if (!s && (r = service_new(d, name, fd, &s)) >= 0)
		take_fd(&fd);
	if (r < 0)
		return r;
	set_limits(s, max_size, max_files);
	return 0;
}

void service_remove(struct logd *d, struct service *s)
{
	bool found;
	size_t i = position(d, s->name, &found);
	if (found) {
		memmove(d->services + i, d->services + i + 1, (d->n_services - i - 1) * sizeof *d->services);
		d->n_services--;
	}
	store_close(d, s);
	unwatch(d, s);
	free(s);
}
