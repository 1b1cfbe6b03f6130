/* follow.c: logs -f: woken by inotify only, through rotations. */
#include "supervisor/ctl/logs.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>

static struct stream *find(struct stream **streams, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (streq(streams[i]->name, name))
			return streams[i];
	return NULL;
}

/* "NAME.log" or "NAME.log.3" -> NAME */
static bool service_of(const char *file, char name[64])
{
	const char *dot = NULL;
	for (const char *p = file; (p = strstr(p, ".log")); p++)
		dot = p;
	if (!dot || dot == file || dot - file > 63)
		return false;
	snprintf(name, 64, "%.*s", (int)(dot - file), file);
	return name_valid(name);
}

static int add_stream(struct stream ***streams, unsigned *n, const char *name)
{
	struct stream **v = realloc(*streams, (*n + 2) * sizeof *v);
	if (!v)
		return -ENOMEM;
	*streams = v;
	struct stream *s = NULL;
	int r = stream_open(&s, set.log_dir, NULL, name, ULONG_MAX);
	if (r < 0 || !s)
		return r;
	v[(*n)++] = s;
	return 0;
}

/* Services whose files changed in this round; each once. */
struct changed {
	struct stream *of[64];
	unsigned n;
	bool all; /* more than that, or inotify lost count */
};

static void note(struct changed *c, struct stream *s)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->of[i] == s)
			return;
	if (c->n == ARRAY_SIZE(c->of))
		c->all = true;
	else
		c->of[c->n++] = s;
}

static bool is_wanted(char *const *names, const char *name)
{
	if (!names)
		return true;
	for (; *names; names++)
		if (streq(*names, name))
			return true;
	return false;
}

static void on_event(const struct inotify_event *e, struct stream ***streams, unsigned *n, char *const *names, struct changed *c)
{
	char name[64];
	if (e->mask & IN_Q_OVERFLOW)
		c->all = true;
	if (!e->len || !service_of(e->name, name))
		return;
	struct stream *s = find(*streams, *n, name);
	if (!s && is_wanted(names, name) && add_stream(streams, n, name) >= 0)
		s = (*streams)[*n - 1];
	if (s)
		note(c, s);
}

static int show(struct stream **streams, unsigned n, const struct changed *c)
{
	struct stream **which = c->all ? streams : (struct stream **)c->of;
	unsigned count = c->all ? n : c->n;
	for (unsigned i = 0; i < count; i++)
		stream_refresh(which[i], set.log_dir);
	int r = logs_merge(which, count, false, ULONG_MAX);
	fflush(stdout);
	return r;
}

static int wait_round(int fd, struct stream ***streams, unsigned *n, char *const *names)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct changed c = {.n = 0};
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = STDOUT_FILENO}}; /* the second: the reader of our pipe has gone */
	if (poll(p, 2, -1) < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[1].revents & (POLLERR | POLLNVAL))
		return -EPIPE;
	ssize_t len = read(fd, buf, sizeof buf);
	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (char *at = buf; at < buf + len;) {
		const struct inotify_event *e = (const struct inotify_event *)at;
		if (e->mask & IN_IGNORED)
			return -ENOENT;
		on_event(e, streams, n, names, &c);
		at += sizeof *e + e->len;
	}
	return show(*streams, *n, &c);
}

int logs_follow(struct stream ***streams, unsigned *n, char *const *names)
{
	_cleanup_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0 || inotify_add_watch(fd, set.log_dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0)
		return ctl_error(CTL_FAILED, "watch %s: %s", set.log_dir, strerror(errno));
	for (char *const *name = names; name && *name; name++) /* that came between the first look and the watch, like the rest */
		if (!find(*streams, *n, *name))
			add_stream(streams, n, *name);
	struct changed everything = {.all = true};
	int r = show(*streams, *n, &everything);
	while (r >= 0)
		r = wait_round(fd, streams, n, names);
	if (r == -EPIPE)
		return CTL_OK;
	if (r == -ENOENT)
		return ctl_error(CTL_FAILED, "%s has been removed", set.log_dir);
	return ctl_error(CTL_FAILED, "follow: %s", strerror(-r));
}
