/* main.c: options, start, and the wait. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include "base/base.h"
#include "base/opt.h"
#include "base/trim.h"
#include "config.h"
#include "services/logger/logd.h"
#include "services/logger/protocol.h"
#include "services/logger/sandbox.h"

#define EVENTS 32

static const char *log_dir = "/var/log/rastos", *run_dir = "/run/rastos", *size_text;
static long files = LOGD_DEFAULT_FILES;

static const struct opt options[] = {
	{"log-dir", 'd', OPT_STRING, "DIR", "where NAME.log is written (default /var/log/rastos)", &log_dir},
	{"run-dir", 0, OPT_STRING, "DIR", "where log.state and the folder log for lines that the disk refuses are (default /run/rastos)",
		&run_dir},
	{"Without rastd", 0, OPT_GROUP, NULL, NULL, NULL},
	{"size", 's', OPT_STRING, "BYTES", "rotate NAME.log at this size (default 1M)", &size_text},
	{"files", 'n', OPT_INT, "N", "rotated files that are kept (default 8)", &files},
};

static const struct program program = {
	.name = "rastlogd",
	.summary = "write the output of services to their log files, each line exactly once",
	.man = "rastlogd(8)",
	.opts = options,
	.n_opts = ARRAY_SIZE(options),
	.operands = "[NAME]",
	.version = RAST_VERSION,
};

static int make_pipes(struct logd *d, struct err *e)
{
	if (d->stage[0] < 0) {
		int r = sys_pipe2(d->stage, O_CLOEXEC);
		if (r < 0)
			return err_sys(e, r, "make the stage pipe");
	}
	int r = sys_pipe2(d->scratch, O_CLOEXEC);
	if (r < 0)
		return err_sys(e, r, "make the scratch pipe");
	/* What fits into scratch has to fit into the stage pipe, in slots too; and all of it into d->in. */
	int size = fcntl(d->stage[1], F_GETPIPE_SZ);
	if (size > (int)LOGD_IN_MAX)
		size = LOGD_IN_MAX;
	fcntl(d->scratch[1], F_SETPIPE_SZ, size);
	int scratch = fcntl(d->scratch[1], F_GETPIPE_SZ);
	if (size <= 0 || scratch <= 0 || scratch > size)
		return err_set(e, -EINVAL, "descriptors %d and %d have to be the two ends of an ordinary pipe", LOGD_STAGE_READ_FD,
			LOGD_STAGE_WRITE_FD);
	d->scratch_size = (unsigned)scratch;
	d->null = sys_openat(AT_FDCWD, "/dev/null", O_WRONLY, 0);
	return d->null < 0 ? err_sys(e, d->null, "open /dev/null") : 0;
}

static int watch(struct logd *d, int fd, uint32_t events, void *tag)
{
	struct epoll_event ev = {.events = events, .data.ptr = tag};
	return epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static int make_buffers(struct logd *d)
{
	void *m = mmap(NULL, LOGD_IN_MAX + LOGD_OUT_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return -errno;
	d->in = m;
	d->out = d->in + LOGD_IN_MAX;
	return 0;
}

static int watch_signals(struct logd *d, int *signals)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	*signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *signals < 0 ? -errno : watch(d, *signals, EPOLLIN, signals);
}

static int set_up(struct logd *d, int *signals, const char *state, struct err *e)
{
	int r = make_buffers(d);
	if (r < 0)
		return err_sys(e, r, "reserve %u bytes", LOGD_IN_MAX + LOGD_OUT_MAX);
	r = make_pipes(d, e);
	if (r < 0)
		return r;
	d->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (d->epoll < 0 || (r = watch_signals(d, signals)) < 0 ||
		(d->control >= 0 && (r = watch(d, d->control, EPOLLIN, &d->control)) < 0))
		return err_sys(e, r < 0 ? r : -errno, "set up epoll");
	store_open_dirs(d);
	_cleanup_err_ struct err j = {0};
	if (journal_open(&d->journal, state, &j) < 0) {
		if (!d->journal.map)
			return err_set(e, j.code, "%s", err_text(&j));
		log_warning("%s; going on without it: what a killed logger was writing may then be written twice, or to rastlogd.log",
			err_text(&j));
	}
	spare_scan(d);
	return batch_recover(d, e);
}

static void on_pipe(struct logd *d, struct service *s, uint32_t events)
{
	int r = service_drain(d, s, TAIL_KEEP);
	if (!(events & EPOLLHUP))
		return;
	while (r == 0) /* nobody can write any more: there will be no other edge */
		r = service_drain(d, s, TAIL_END);
	if (r == 1) /* never under rastd: PID 1 holds both ends */
		service_remove(d, s);
}

/* Somebody has written behind an unfinished line. */
static void look_at_unfinished(struct logd *d)
{
	for (size_t i = 0; i < d->n_services && !d->fatal; i++)
		if (d->services[i]->async)
			service_drain(d, d->services[i], TAIL_KEEP);
}

static void on_signal(struct logd *d, int signals)
{
	struct signalfd_siginfo si;
	while (read(signals, &si, sizeof si) == (ssize_t)sizeof si) {
		if (si.ssi_signo == SIGIO)
			look_at_unfinished(d);
		else if (si.ssi_signo == SIGHUP)
			store_close_all(d);
		else
			d->quit = true;
	}
}

/* Idle: give the buffers' pages back, and sleep for ever unless something waits to be moved back. */
static int sleep_ms(struct logd *d)
{
	if (d->in_touched)
		madvise(d->in, LOGD_IN_MAX + LOGD_OUT_MAX, MADV_DONTNEED);
	d->in_touched = false;
	if (!d->spare_any)
		return -1;
	uint64_t now = now_us();
	return d->retry_at <= now ? 0 : (int)((d->retry_at - now) / 1000 + 1);
}

static int wait_events(struct logd *d, struct epoll_event *ev)
{
	bool tidy = d->in_touched || d->trim;
	int n = epoll_wait(d->epoll, ev, EVENTS, tidy ? 0 : sleep_ms(d));
	if (n != 0 || !tidy)
		return n;
	int ms = sleep_ms(d);
	if (!d->trim)
		return epoll_wait(d->epoll, ev, EVENTS, ms);
	d->trim = false;
	(void)malloc_trim(0);
	return trim_and_wait(d->epoll, ev, EVENTS, ms);
}

static void serve(struct logd *d, int *signals)
{
	struct epoll_event ev[EVENTS];
	while (!d->quit && !d->fatal && (d->control >= 0 || d->n_services)) {
		int n = wait_events(d, ev);
		bool control = false;
		for (int i = 0; i < n && !d->fatal; i++) {
			if (ev[i].data.ptr == signals)
				on_signal(d, *signals);
			else if (ev[i].data.ptr == &d->control)
				control = true;
			else
				on_pipe(d, ev[i].data.ptr, ev[i].events);
		}
		if (control) /* last: it may remove services that have events in this round */
			control_read(d);
		if (d->spare_any && now_us() >= d->retry_at)
			spare_retry(d);
	}
}

static int usage(const char *text)
{
	fprintf(stderr, "rastlogd: %s\n", text);
	return 2;
}

/* Stand-alone: standard input is the pipe. */
static int add_stdin(struct logd *d, const char *name)
{
	uint64_t size = LOGD_DEFAULT_SIZE;
	if (!name_valid(name))
		return usage("a NAME has 1 to 63 letters, digits or _.@:- and does not begin with . or -");
	if (size_text && parse_size(size_text, &size) < 0)
		return usage("--size wants a number of bytes such as 65536, 512K or 1M");
	if (files < 0 || files > 99)
		return usage("--files wants a number from 0 to 99");
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	int r = fd < 0 ? -errno : service_add(d, name, fd, size, files ? (uint32_t)files : UINT32_MAX);
	if (r == -EINVAL)
		return usage("standard input has to be a pipe: PROGRAM 2>&1 | rastlogd NAME");
	if (r < 0)
		fprintf(stderr, "rastlogd: standard input: %s\n", strerror(-r));
	return r < 0 ? 1 : 0;
}

static bool is_socket(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int prepare(struct logd *d, const char *name, char *spare, size_t size)
{
	d->log_dir = log_dir;
	if (name)
		return 0;
	if (!is_socket(LOGD_CONTROL_FD))
		return usage("descriptor 3 is not rastd's socket. To log one program: PROGRAM 2>&1 | rastlogd --log-dir DIR NAME");
	d->control = LOGD_CONTROL_FD;
	d->stage[0] = LOGD_STAGE_READ_FD;
	d->stage[1] = LOGD_STAGE_WRITE_FD;
	for (int fd = LOGD_CONTROL_FD; fd <= LOGD_STAGE_WRITE_FD; fd++)
		fd_set_cloexec(fd, true);
	snprintf(spare, size, "%s/log", run_dir);
	d->spare_dir = spare;
	return 0;
}

int main(int argc, char **argv)
{
	static struct logd d = {.log_fd = -1, .spare_fd = -1, .control = -1, .stage = {-1, -1}, .spare_file = -1};
	static char spare[4096]; /* d points to it */
	char state[4096];
	int signals, r = opt_parse(&program, options, ARRAY_SIZE(options), &argc, &argv);
	if (r)
		return r;
	if (argc > 1)
		return usage("one NAME at most; see --help");
	const char *name = argc ? argv[0] : NULL;
	log_init("rastlogd", LOG_TO_STDERR, -1);
	umask(0022);
	if ((r = prepare(&d, name, spare, sizeof spare)))
		return r;
	_cleanup_err_ struct err e = {0};
	snprintf(state, sizeof state, "%s/log.state", run_dir);
	sandbox_enter();
	if (set_up(&d, &signals, name ? NULL : state, &e) < 0) {
		log_err("%s", err_text(&e));
		return 1;
	}
	if (name && (r = add_stdin(&d, name)))
		return r;
	control_event(&d, LOGD_READY, "", 0, 0, 0);
	serve(&d, &signals);
	if (!d.fatal) /* unfinished lines stay in their pipes for the next one */
		control_drain_all(&d, name ? TAIL_END : TAIL_KEEP);
	return d.fatal ? 1 : 0;
}
