/* output.c: where a service's output goes.
 *
 * output=log: one pipe per service, made before its first start and kept until the service leaves the set. Both ends go into PID 1's fd
 * store before the process starts, so whatever dies, what was written stays in the pipe. We keep the write end (every run needs it); the
 * logger has a read end. A read end for a later logger is made from the write end through /proc/self/fd. output=pipe:NAME: the same, but
 * the read end is NAME's standard input. */
#include "supervisor/process/logger.h"

#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

static bool logged(struct manager *m, const struct svc *s)
{
	return s->def->output == OUT_LOG && m->logger != NONE && svc_index(&m->e, s) != m->logger;
}

/* --- making pipes, and keeping them safe --- */

struct batch {
	struct pid1_entry e[RINIT_BATCH_MAX];
	char names[RINIT_BATCH_MAX][RINIT_NAME_MAX + 1];
	struct svc *who[RINIT_BATCH_MAX]; /* whose read end goes to the logger; NULL: nobody's */
	size_t n;
};

static void batch_send(struct manager *m, struct batch *b)
{
	int r = b->n ? pid1_store(m, b->e, b->n) : 0;
	if (r < 0)
		log_err("keep %zu output pipes in PID 1: %s: they don't survive rastd", b->n, strerror(-r));
	for (size_t k = 0; k < b->n; k++) {
		if (b->who[k])
			logger_add(m, b->who[k], b->e[k].fd[0]);
		close(b->e[k].fd[0]);
	}
	b->n = 0;
}

static int make_pipe(struct manager *m, struct batch *b, const char *kind, struct svc *s, struct svc *announce)
{
	int fds[2];
	int r = sys_pipe2(fds, O_CLOEXEC);
	if (r < 0)
		return r;
	snprintf(b->names[b->n], sizeof(b->names[0]), "%s/%s", kind, nm(m, s));
	b->e[b->n] = (struct pid1_entry){.name = b->names[b->n], .fd = {fds[0], fds[1]}, .n = 2};
	b->who[b->n] = announce;
	if (++b->n == RINIT_BATCH_MAX)
		batch_send(m, b);
	return fds[1];
}

static void prepare_log(struct manager *m, struct batch *b, struct svc *s)
{
	if (s->log_fd >= 0 || !logged(m, s))
		return;
	s->log_fd = make_pipe(m, b, "log", s, s);
	if (s->log_fd < 0)
		log_err("service '%s': make its output pipe: %s: output goes to rastd's own", nm(m, s), strerror(-s->log_fd));
}

static void prepare_consumer(struct manager *m, struct batch *b, struct svc *s)
{
	struct svc_ext *x = manager_ext(m, s);
	if (!x || x->pipe_fd >= 0)
		return;
	x->pipe_fd = make_pipe(m, b, "pipe", s, NULL);
	if (x->pipe_fd < 0)
		log_err("service '%s': make its input pipe: %s", nm(m, s), strerror(-x->pipe_fd));
}

int output_prepare(struct manager *m, const struct pend *p, uint32_t n)
{
	struct batch b;
	b.n = 0;
	for (uint32_t k = 0; k < n; k++) {
		struct svc *s = &m->e.s[p[k].i];
		prepare_log(m, &b, s);
		if (s->consumer)
			prepare_consumer(m, &b, s);
		if (s->def->output == OUT_PIPE && s->def->pipe_to < m->e.n)
			prepare_consumer(m, &b, &m->e.s[s->def->pipe_to]);
	}
	batch_send(m, &b);
	return 0;
}

int output_fd(struct manager *m, struct svc *s)
{
	switch (s->def->output) {
	case OUT_LOG:
		return logged(m, s) && s->log_fd >= 0 ? s->log_fd : STDERR_FILENO;
	case OUT_PIPE: {
		struct svc_ext *x = s->def->pipe_to < m->e.n ? m->e.s[s->def->pipe_to].ext : NULL;
		return x && x->pipe_fd >= 0 ? x->pipe_fd : m->null_fd;
	}
	case OUT_NULL:
		return m->null_fd;
	case OUT_CONSOLE:
	case OUT_TTY:
		return m->console_fd >= 0 ? m->console_fd : STDERR_FILENO;
	default:
		return STDERR_FILENO;
	}
}

static int read_end(int write_fd)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", write_fd);
	return sys_openat(AT_FDCWD, path, O_RDONLY, 0);
}

int output_stdin(struct manager *m, struct svc *s)
{
	return s->consumer && s->ext && s->ext->pipe_fd >= 0 ? read_end(s->ext->pipe_fd) : -1;
}

/* --- a new set of services --- */

void output_init(struct manager *m)
{
	m->logger = m->opt.no_logger ? NONE : graph_find(m->g, "rastlogd");
	for (uint32_t i = 0; i < m->e.n; i++)
		m->e.s[i].consumer = 0;
	for (uint32_t i = 0; i < m->e.n; i++)
		if (m->e.s[i].def->output == OUT_PIPE && m->e.s[i].def->pipe_to < m->e.n)
			m->e.s[m->e.s[i].def->pipe_to].consumer = 1;
	logger_init(m);
}

void output_forget(struct manager *m, struct svc *s)
{
	char name[RINIT_NAME_MAX + 1];
	if (s->log_fd >= 0) {
		logger_drop(m, nm(m, s));
		snprintf(name, sizeof(name), "log/%s", nm(m, s));
		pid1_drop(m, name);
		close(s->log_fd);
		s->log_fd = -1;
	}
	if (s->ext && s->ext->pipe_fd >= 0) {
		snprintf(name, sizeof(name), "pipe/%s", nm(m, s));
		pid1_drop(m, name);
		close(s->ext->pipe_fd);
		s->ext->pipe_fd = -1;
	}
}

/* A run has ended: an unfinished line is to be written now rather than when something follows. Most often the pipe is empty, and nobody is
 * told. */
void output_ended(struct manager *m, struct svc *s)
{
	int n = 0;
	if (s->log_fd >= 0 && (ioctl(s->log_fd, FIONREAD, &n) < 0 || n > 0))
		logger_flush(m, nm(m, s));
}

/* --- what a former rastd left --- */

static int adopt_pipe(struct manager *m, const char *service, bool input, const int *fds, size_t n)
{
	uint32_t i = graph_find(m->g, service);
	if (i == NONE || n != 2)
		return 0;
	struct svc *s = &m->e.s[i];
	if (input && !manager_ext(m, s))
		return 0;
	int *to = input ? &s->ext->pipe_fd : &s->log_fd;
	if (*to >= 0)
		close(*to);
	*to = fds[1];
	close(fds[0]);
	return 1;
}

int output_adopt(struct manager *m, const char *name, const int *fds, size_t n)
{
	if (streq(name, "log/rastd") && n == 2) {
		close(fds[0]);
		m->own_log_fd = fds[1];
		return 1;
	}
	if (str_starts(name, "log/"))
		return adopt_pipe(m, name + 4, false, fds, n);
	if (str_starts(name, "pipe/"))
		return adopt_pipe(m, name + 5, true, fds, n);
	return logger_adopt(m, name, fds, n);
}

/* --- without PID 1 --- */

/* The pipe that is standard output and error of a process, as we gave it; -1: they are something else by now. */
static int pipe_of(pid_t pid)
{
	char out[40], err[40];
	struct stat a, b;
	snprintf(out, sizeof(out), "/proc/%d/fd/1", pid);
	snprintf(err, sizeof(err), "/proc/%d/fd/2", pid);
	if (stat(out, &a) < 0 || stat(err, &b) < 0 || !S_ISFIFO(a.st_mode) || a.st_ino != b.st_ino || a.st_dev != b.st_dev)
		return -1;
	return sys_openat(AT_FDCWD, out, O_RDWR, 0); /* reading, too: between two loggers nobody else would, and the service got SIGPIPE */
}

/* Nobody has kept the pipes, nor our end of the logger's socket: the services' processes have the former, and a new logger gets the latter. */
void output_recover(struct manager *m)
{
	struct mark k = {0};
	if (m->p1_fd >= 0 || m->logger == NONE)
		return;
	for (uint32_t i = 0; i < m->e.n; i++) {
		struct svc *s = &m->e.s[i];
		if (!logged(m, s) || s->log_fd >= 0 || !s->r.pid)
			continue;
		s->log_fd = pipe_of(s->r.pid);
		if (s->log_fd < 0)
			log_warning("service '%s': its output pipe is lost, since no PID 1 has kept it: restart it to have its output logged", nm(m, s));
	}
	mark_restart(&m->e, &m->logger, 1, MARK_IMPLICIT, &k);
	mark_clear(&k);
}

/* --- the console --- */

/* State changes for a person to see. Never waits: a serial line that is stopped costs a line, not the boot. */
static _printf_(2, 0) void console_line(struct manager *m, const char *fmt, va_list ap)
{
	char line[1024];
	if (m->console_fd < 0)
		return;
	int n = vsnprintf(line, sizeof(line) - 2, fmt, ap);
	n = MIN(n, (int)sizeof(line) - 3);
	if (n < 0)
		return;
	memcpy(line + n, "\r\n", 3);
	int console = open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (console >= 0 && write(console, line, (size_t)n + 2) < 0)
		log_debug("console: %m");
	closep(&console);
}

void output_console(struct manager *m, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	console_line(m, fmt, ap);
	va_end(ap);
}

/* Does a line of the log appear on the console by itself? The kernel shows its messages above a level (proc(5), /proc/sys/kernel/printk), and stderr
 * is the console as long as PID 1 has started us. */
static bool console_has_log(struct manager *m, int level)
{
	_cleanup_free_ char *text = NULL;
	if (log_target() == LOG_TO_STDERR)
		return !m->opt.standalone;
	return log_target() == LOG_TO_KMSG && file_read(AT_FDCWD, "/proc/sys/kernel/printk", 64, &text, NULL) == 0 && level < atoi(text);
}

void output_tell(struct manager *m, int level, const char *fmt, ...)
{
	char text[LOG_LINE_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_msg(level, "%s", text);
	if (!console_has_log(m, level))
		output_console(m, "rastd: %s", text);
}
