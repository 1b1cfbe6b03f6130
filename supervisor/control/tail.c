/* tail.c: the last lines of a service's log, for answers. Read by a child: the disk that logs are on may be slow, or hang, and then the answer comes without
 * them. */
#include <string.h>
#include "supervisor/control/control.h"

#define TAIL_MAX 16384 /* bytes of a log file that are looked at */
#define PATIENCE 2000000u /* us */

struct tail {
	struct manager *m;
	pid_t pid;
	int fd;
	struct source *source;
	struct timer timer;
	struct buf text;
	tail_cb cb;
	void *data;
};

/* --- in the child --- */

static json_t *lines_of(struct manager *m, const char *name, unsigned lines)
{
	json_t *a = json_array();
	char path[4096], buf[TAIL_MAX + 1];
	struct stat sb;
	snprintf(path, sizeof(path), "%s/%s.log", m->opt.log_dir, name);
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (!a || fd < 0 || fstat(fd, &sb) < 0 || !S_ISREG(sb.st_mode))
		return a;
	off_t from = sb.st_size > TAIL_MAX ? sb.st_size - TAIL_MAX : 0;
	ssize_t n = sys_pread(fd, buf, TAIL_MAX, from);
	if (n <= 0)
		return a;
	buf[n] = '\0';
	char *p = buf + n - (buf[n - 1] == '\n');
	*p = '\0';
	for (unsigned k = 0; k < lines && p > buf; k++) {
		char *nl = memrchr(buf, '\n', (size_t)(p - buf));
		if (!nl && from)
			break; /* cut at its beginning */
		char *line = nl ? nl + 1 : buf;
		json_t *j = json_string(line);
		json_array_insert_new(a, 0, j ? j : json_string("(not UTF-8)"));
		p = nl ? nl : buf;
		*p = '\0';
	}
	return a;
}

static void child_main(struct manager *m, const char *name, unsigned lines, int fd) __attribute__((noreturn));
static void child_main(struct manager *m, const char *name, unsigned lines, int fd)
{
	char *text = json_dumps(lines_of(m, name, lines), JSON_COMPACT);
	if (text)
		(void)!write_all(fd, text, strlen(text));
	_exit(0);
}

/* --- in rastd --- */

static void finish(struct tail *t)
{
	json_t *a = t->text.data ? json_loadb(t->text.data, t->text.len, 0, NULL) : NULL;
	loop_remove_fd(t->source);
	timer_disarm(t->m->loop, &t->timer);
	close(t->fd);
	t->cb(t->m, json_is_array(a) ? a : json_array(), t->data);
	buf_free(&t->text);
	free(t);
}

static int on_text(struct source *src, int fd, uint32_t events, void *data)
{
	struct tail *t = data;
	char buf[4096];
	ssize_t n = sys_read(fd, buf, sizeof(buf));
	if (n > 0)
		buf_add(&t->text, buf, (size_t)n);
	else if (n != -EAGAIN)
		finish(t);
	return 0;
}

static int on_patience(struct timer *timer, void *data)
{
	struct tail *t = data;
	log_warning("the log files can't be read within %u s: an answer goes without them", PATIENCE / 1000000);
	kill(t->pid, SIGKILL);
	t->text.len = 0;
	finish(t);
	return 0;
}

static int begin(struct tail *t, const char *name, unsigned lines)
{
	int fds[2];
	int r = sys_pipe2(fds, O_CLOEXEC);
	if (r < 0)
		return r;
	t->pid = fork();
	if (t->pid == 0)
		child_main(t->m, name, lines, fds[1]);
	close(fds[1]);
	t->fd = fds[0];
	fd_set_nonblock(t->fd, true);
	r = t->pid < 0 ? -EAGAIN : loop_add_fd(t->m->loop, t->fd, EPOLLIN, on_text, t, &t->source);
	if (r < 0) {
		close(t->fd);
		return r;
	}
	timer_init(&t->timer, on_patience, t);
	return timer_arm_in(t->m->loop, &t->timer, PATIENCE);
}

void tail_begin(struct manager *m, const char *name, unsigned lines, tail_cb cb, void *data)
{
	struct tail *t = lines ? calloc(1, sizeof(*t)) : NULL;
	if (t)
		*t = (struct tail){.m = m, .cb = cb, .data = data};
	if (t && begin(t, name, lines) >= 0)
		return;
	free(t);
	cb(m, json_array(), data);
}
