/* filter.c: get, load and free a filter; see seccomp.h. */
#include "runtime/seccomp/priv.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "base/mem.h"

#ifndef SECCOMP_FILTER_FLAG_TSYNC_ESRCH
#define SECCOMP_FILTER_FLAG_TSYNC_ESRCH (1UL << 4)
#endif

int filter_get(const struct oci_seccomp *s, const char *cache_dir, struct filter *ret, struct err *e)
{
	_cleanup_close_ int dirfd = cache_dir ? cache_open(cache_dir) : -1;
	struct filter f = { .flags = s->flags };
	int r = dirfd >= 0 ? cache_get(dirfd, s, &f) : 0;

	if (s->notifies)
		f.flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	if (s->notifies && (s->flags & SECCOMP_FILTER_FLAG_TSYNC)) /* both return a number: the kernel wants to be told which one is meant */
		f.flags |= SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
	if (r <= 0) {
		r = filter_compile(s, &f.prog, e);
		if (r < 0)
			return r;
		if (dirfd >= 0)
			(void)cache_put(dirfd, s, &f.prog);
	}
	*ret = f;
	return 0;
}

void filter_free(struct filter *f)
{
	if (f->map)
		(void)munmap(f->map, f->map_len);
	else
		free(f->prog.filter);
	*f = (struct filter){ 0 };
}

int filter_install(const struct filter *f)
{
	long r;

	if (f->prog.len == 0)
		return 0;
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, f->flags, &f->prog);
	if (r < 0)
		return -errno;
	if (f->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
		return (int)r;
	return r > 0 ? -ESRCH : 0; /* TSYNC: a thread that can't have it */
}

int filter_steal(int pidfd, int their_fd)
{
	long r = syscall(SYS_pidfd_getfd, pidfd, their_fd, 0);

	return r < 0 ? -errno : (int)r;
}
