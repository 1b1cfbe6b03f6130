/* said.c: what a service says about itself. Texts are too long for the state file: they are in /run/rastos/status.d/NAME, lines KEY=VALUE, and there for the
 * next rastd, too. A file is replaced as a whole. */
#include "supervisor/process/notify.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>

#define DIR_NAME "status.d"
#define TEXT_MAX 512

static void file_of(struct manager *m, const struct svc *s, char path[128])
{
	snprintf(path, 128, DIR_NAME "/%s", nm(m, s));
}

static void save(struct manager *m, struct svc *s)
{
	struct svc_ext *x = s->ext;
	_cleanup_buf_ struct buf b = {0};
	char path[128];
	file_of(m, s, path);
	if (x->status_text)
		buf_addf(&b, "STATUS=%s\n", x->status_text);
	if (x->error_text)
		buf_addf(&b, "ERROR=%s\n", x->error_text);
	if (x->watchdog)
		buf_addf(&b, "WATCHDOG_USEC=%" PRIu64 "\n", x->watchdog);
	sys_mkdirat(m->run_fd, DIR_NAME, 0755);
	int r = b.failed ? -ENOMEM : file_replace(m->run_fd, path, b.data, b.len, 0644);
	if (r < 0)
		log_warning("service '%s': what it says about itself is not kept for the next rastd: %s", nm(m, s), strerror(-r));
}

/* One line of UTF-8 without control characters, whatever came. */
static char *clean(const char *text)
{
	char *v = strndup(text, TEXT_MAX);
	size_t n = v ? strlen(v) : 0;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)v[i] < ' ' || v[i] == 0x7f)
			v[i] = '?';
	for (size_t i = 0; (i += utf8_span(v + i, n - i)) < n; i++)
		v[i] = '?';
	return v;
}

static void set(struct manager *m, struct svc *s, char **to, const char *text)
{
	char *v = *text ? clean(text) : NULL;
	if (*text && !v)
		return;
	free(*to);
	*to = v;
	save(m, s);
}

void said_status(struct manager *m, struct svc *s, const char *text)
{
	struct svc_ext *x = manager_ext(m, s);
	if (x)
		set(m, s, &x->status_text, text);
}

void said_error(struct manager *m, struct svc *s, const char *text)
{
	struct svc_ext *x = manager_ext(m, s);
	if (x)
		set(m, s, &x->error_text, text);
}

void said_watchdog(struct manager *m, struct svc *s, uint64_t us)
{
	struct svc_ext *x = manager_ext(m, s);
	if (!x)
		return;
	x->watchdog = us;
	save(m, s);
}

void said_forget(struct manager *m, struct svc *s)
{
	struct svc_ext *x = s->ext;
	char path[128];
	if (!x || (!x->status_text && !x->error_text && !x->watchdog))
		return;
	free(x->status_text);
	free(x->error_text);
	x->status_text = x->error_text = NULL;
	x->watchdog = 0;
	file_of(m, s, path);
	sys_unlinkat(m->run_fd, path, 0);
}

static void take_line(struct svc_ext *x, char *line)
{
	char *v = strchr(line, '=');
	if (!v)
		return;
	*v++ = '\0';
	if (streq(line, "STATUS") && !x->status_text)
		x->status_text = strdup(v);
	else if (streq(line, "ERROR") && !x->error_text)
		x->error_text = strdup(v);
	else if (streq(line, "WATCHDOG_USEC"))
		parse_u64(v, &x->watchdog);
}

static void adopt_one(struct manager *m, int dirfd, const char *name)
{
	_cleanup_free_ char *text = NULL;
	uint32_t i = graph_find(m->g, name);
	struct svc_ext *x = i == NONE ? NULL : manager_ext(m, &m->e.s[i]);
	if (!x || file_read(dirfd, name, 4096, &text, NULL) < 0) {
		sys_unlinkat(dirfd, name, 0);
		return;
	}
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
		take_line(x, line);
}

void said_adopt(struct manager *m)
{
	_cleanup_closedir_ DIR *d = NULL;
	int fd = sys_openat(m->run_fd, DIR_NAME, O_DIRECTORY | O_RDONLY, 0);
	if (fd < 0 || !(d = fdopendir(fd)))
		return;
	for (struct dirent *de; (de = readdir(d));)
		if (de->d_name[0] != '.')
			adopt_one(m, dirfd(d), de->d_name);
}
