/* fds.c: which descriptors the program gets: 0, 1, 2, those it was promised from 3 on, and no other. A leaked one to a folder of the host is
 * the whole host (CVE-2024-21626), so all others are closed, whoever opened them. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "runtime/process/process.h"

/* Out of the way of the numbers that are going to be given away. */
static int move_up(int *fd, int above)
{
	int copy;

	if (*fd < 0 || *fd >= above)
		return 0;
	copy = fcntl(*fd, F_DUPFD_CLOEXEC, above);
	if (copy < 0)
		return -errno;
	*fd = copy;
	return 0;
}

static int place_promised(const struct rt_request *rq)
{
	int above = 3 + (int)rq->n_fds;
	bool placed = true;

	for (size_t i = 0; i < rq->n_fds; i++)
		placed = placed && (rq->fds[i] == 3 + (int)i || rq->fds[i] < 0);
	for (size_t i = 0; i < rq->n_fds; i++) { /* first all up, so that none is overwritten before its turn */
		int to = 3 + (int)i, r;
		if (rq->fds[i] < 0) {
			close(to);
			r = 0;
		} else if (placed) {
			r = fd_set_cloexec(to, false);
		} else {
			int tmp = fcntl(rq->fds[i], F_DUPFD_CLOEXEC, above + (int)i);
			r = tmp == above + (int)i || tmp < 0 ? tmp : dup3(tmp, above + (int)i, O_CLOEXEC);
		}
		if (r < 0)
			return -errno;
	}
	for (size_t i = 0; !placed && i < rq->n_fds; i++)
		if (rq->fds[i] >= 0 && dup2(above + (int)i, 3 + (int)i) < 0)
			return -errno;
	return 0;
}

/* Now, not at execve: a container may wait for its start for days, and would hold what the runtime had open, its lock too. */
static int close_others(unsigned from, int a, int b)
{
	unsigned low = (unsigned)MIN(a, b), high = (unsigned)MAX(a, b);

	if (a < 0 || b < 0) /* one of them at most */
		low = high;
	if ((int)high < 0)
		return close_range(from, ~0U, 0);
	if (close_range(from, low - 1, 0) < 0 || (high > low + 1 && close_range(low + 1, high - 1, 0) < 0))
		return -1;
	return close_range(high + 1, ~0U, 0);
}

/* A user who isn't root opens /dev/stdout again, and a pipe or file of root's would refuse him; runc and crun give them away, too. Never /dev/null:
 * that is everybody's. */
void fds_give_to_user(const struct child *c)
{
	uid_t uid = c->plan->process->user.uid;

	for (int i = 0; uid != 0 && c->tty < 0 && i < 3; i++) {
		int fd = c->plan->rq.stdio[i] >= 0 ? c->plan->rq.stdio[i] : i;
		struct stat st;
		if (fstat(fd, &st) < 0 || st.st_uid == uid || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
			continue;
		(void)!fchown(fd, uid, (gid_t)-1); /* not on a read-only file system, not of other user namespaces */
	}
}

int fds_arrange(struct child *c, struct err *e)
{
	const struct rt_request *rq = &c->plan->rq;
	int above = 4 + 2 * (int)rq->n_fds, r;

	r = move_up(&c->chan, above);
	if (r == 0)
		r = move_up(&c->plan->rq.start_socket, above);
	if (r == 0 && rq->n_fds)
		r = place_promised(rq);
	for (int i = 0; r == 0 && i < 3 && c->tty < 0; i++)
		if (rq->stdio[i] >= 0 && dup2(rq->stdio[i], i) < 0)
			r = -errno;
	if (r == 0 && close_others(3 + (unsigned)rq->n_fds, c->chan, rq->start_socket) < 0)
		r = -errno;
	return r < 0 ? err_sys(e, r, "the program's descriptors") : 0;
}
