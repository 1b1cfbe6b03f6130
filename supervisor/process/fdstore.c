/* fdstore.c: descriptors that a service gives us for its next run (FDSTORE=1), sd_pid_notify_with_fds(3).
 *
 * Entry "fd/SERVICE/N" of PID 1's store: the descriptor, and a memfd with its name beside it, since the name of an entry is too short for both; a second line
 * in it says that the descriptor is not watched. One that is watched leaves the store when its other end is gone. */
#include "supervisor/process/notify.h"

#include <linux/kcmp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "supervisor/process/spawn.h"

#define FDNAME_MAX 255 /* sd_listen_fds(3) */
#define NOT_WATCHED "\nFDPOLL=0"

/* One is allocated for each stored descriptor, so that the loop can hold on to it while others come and go. */
struct stored {
	struct svc_ext *of;
	unsigned number;           /* N of its entry */
	bool no_poll;
	struct source *source;
};

static const char *entry_name(struct manager *m, struct svc *s, unsigned k, char name[RINIT_NAME_MAX + 1])
{
	snprintf(name, RINIT_NAME_MAX + 1, "fd/%s/%u", nm(m, s), s->ext->stored[k]->number);
	return name;
}

static void store(struct manager *m, struct svc *s, unsigned k)
{
	char name[RINIT_NAME_MAX + 1], text[FDNAME_MAX + sizeof(NOT_WATCHED)];
	_cleanup_close_ int memo = memfd_create("fdname", MFD_CLOEXEC);
	entry_name(m, s, k, name);
	snprintf(text, sizeof(text), "%s%s", s->ext->fd_names[k], s->ext->stored[k]->no_poll ? NOT_WATCHED : "");
	struct pid1_entry e = {.name = name, .fd = {s->ext->fds[k], memo}, .n = memo >= 0 ? 2 : 1};
	if (memo >= 0 && write_all(memo, text, strlen(text)) < 0)
		e.n = 1;
	int r = pid1_store(m, &e, 1);
	if (r < 0)
		log_warning("service '%s': keep its descriptor %s: %s", nm(m, s), s->ext->fd_names[k], strerror(-r));
}

static void forget(struct manager *m, struct svc *s, unsigned k)
{
	struct svc_ext *x = s->ext;
	char name[RINIT_NAME_MAX + 1];
	pid1_drop(m, entry_name(m, s, k, name));
	loop_remove_fd(x->stored[k]->source);
	free(x->stored[k]);
	close(x->fds[k]);
	free(x->fd_names[k]);
}

static void remove_at(struct manager *m, struct svc *s, unsigned k)
{
	struct svc_ext *x = s->ext;
	forget(m, s, k);
	x->n_fds--;
	for (; k < x->n_fds; k++) {
		x->fds[k] = x->fds[k + 1];
		x->fd_names[k] = x->fd_names[k + 1];
		x->stored[k] = x->stored[k + 1];
	}
}

/* The other end is gone: nobody can want it any more. */
static int on_hangup(struct source *src, int fd, uint32_t events, void *data)
{
	struct stored *f = data;
	struct svc_ext *x = f->of;
	for (unsigned k = 0; k < x->n_fds; k++)
		if (x->stored[k] == f) {
			log_debug("service '%s': stored descriptor %s is closed at its other end", nm(x->manager, ext_svc(x)), x->fd_names[k]);
			remove_at(x->manager, ext_svc(x), k);
			break;
		}
	return 0;
}

static int grow(struct svc_ext *x)
{
	size_t n = x->n_fds + 1;
	int *fds = realloc(x->fds, n * sizeof(*fds));
	if (fds)
		x->fds = fds;
	char **names = realloc(x->fd_names, n * sizeof(*names));
	if (names)
		x->fd_names = names;
	struct stored **stored = realloc(x->stored, n * sizeof(*stored));
	if (stored)
		x->stored = stored;
	return fds && names && stored ? 0 : -ENOMEM;
}

/* They stand in the order of their numbers: it is the same whoever looks. */
static void put(struct svc_ext *x, struct stored *f, int fd, char *name)
{
	unsigned k = x->n_fds++;
	for (; k > 0 && x->stored[k - 1]->number > f->number; k--) {
		x->fds[k] = x->fds[k - 1];
		x->fd_names[k] = x->fd_names[k - 1];
		x->stored[k] = x->stored[k - 1];
	}
	x->fds[k] = fd;
	x->fd_names[k] = name;
	x->stored[k] = f;
}

/* Takes fd when it returns 0. */
static int add(struct manager *m, struct svc *s, int fd, const char *name, unsigned number, bool no_poll)
{
	struct svc_ext *x = manager_ext(m, s);
	if (!x || grow(x) < 0)
		return -ENOMEM;
	if (x->n_fds >= PLAN_EXTRA_MAX)
		return -ENOSPC;
	struct stored *f = calloc(1, sizeof(*f));
	char *copy = strdup(name);
	if (!f || !copy) {
		free(f);
		free(copy);
		return -ENOMEM;
	}
	*f = (struct stored){.of = x, .number = number, .no_poll = no_poll};
	if (!no_poll) /* regular files can't be waited for, and have no other end */
		(void)loop_add_fd(m->loop, fd, EPOLLHUP | EPOLLERR, on_hangup, f, &f->source);
	put(x, f, fd, copy);
	return 0;
}

/* A service that stores what it was given at its start would fill the store with the same descriptor. */
static bool has(const struct svc *s, int fd)
{
	pid_t me = getpid();
	for (unsigned k = 0; s->ext && k < s->ext->n_fds; k++)
		if (syscall(SYS_kcmp, me, me, KCMP_FILE, s->ext->fds[k], fd) == 0)
			return true;
	return false;
}

static unsigned next_number(const struct svc *s)
{
	const struct svc_ext *x = s->ext;
	return x && x->n_fds ? x->stored[x->n_fds - 1]->number + 1 : 0;
}

static bool name_ok(const char *name)
{
	if (!name || !*name || strlen(name) > FDNAME_MAX)
		return false;
	for (; *name; name++)
		if ((unsigned char)*name <= ' ' || (unsigned char)*name >= 0x7f || *name == ':')
			return false;
	return true;
}

void fdstore_add(struct manager *m, struct svc *s, struct news *n)
{
	const char *name = n->fdname ? n->fdname : "stored";
	if (!name_ok(name)) {
		log_warning("service '%s': FDNAME= is no name of a descriptor (up to %d characters of ASCII, no space and no colon): it is called 'stored'", nm(m, s),
			FDNAME_MAX);
		name = "stored";
	}
	if (!n->n_fds)
		log_warning("service '%s': FDSTORE=1 came without a descriptor", nm(m, s));
	for (size_t k = 0; k < n->n_fds; k++) {
		if (has(s, n->fds[k]))
			continue;
		int r = add(m, s, n->fds[k], name, next_number(s), n->no_poll);
		if (r < 0) {
			log_warning("service '%s': can't keep descriptor %s: %s", nm(m, s), name, r == -ENOSPC ? "it has stored 64 already" : strerror(-r));
			continue;
		}
		n->fds[k] = -1;
		store(m, s, s->ext->n_fds - 1);
	}
}

void fdstore_remove(struct manager *m, struct svc *s, const char *name)
{
	struct svc_ext *x = s->ext;
	if (!name)
		log_warning("service '%s': FDSTOREREMOVE=1 needs FDNAME=", nm(m, s));
	for (unsigned k = 0; x && name && k < x->n_fds;)
		if (streq(x->fd_names[k], name))
			remove_at(m, s, k);
		else
			k++;
}

void fdstore_drop(struct manager *m, struct svc *s)
{
	struct svc_ext *x = s->ext;
	if (!x)
		return;
	for (unsigned k = 0; k < x->n_fds; k++)
		forget(m, s, k);
	free(x->fds);
	free(x->fd_names);
	free(x->stored);
	x->fds = NULL;
	x->fd_names = NULL;
	x->stored = NULL;
	x->n_fds = 0;
}

int fdstore_adopt(struct manager *m, const char *name, const int *fds, size_t n)
{
	char service[RINIT_NAME_MAX + 1], text[FDNAME_MAX + sizeof(NOT_WATCHED)] = "stored";
	const char *slash = strrchr(name, '/');
	if (!str_starts(name, "fd/") || slash <= name + 3 || n < 1)
		return 0;
	snprintf(service, sizeof(service), "%.*s", (int)(slash - name - 3), name + 3);
	uint32_t i = graph_find(m->g, service);
	if (i == NONE)
		return 0;
	if (n > 1) {
		ssize_t len = sys_pread(fds[1], text, sizeof(text) - 1, 0);
		text[MAX(len, 0)] = '\0';
		close(fds[1]);
	}
	char *line = strchr(text, '\n');
	if (line)
		*line = '\0';
	if (add(m, &m->e.s[i], fds[0], text, (unsigned)strtoul(slash + 1, NULL, 10), line != NULL) < 0)
		close(fds[0]);
	return 1;
}
