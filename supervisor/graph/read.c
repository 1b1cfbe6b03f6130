/* read.c: map and check a compiled graph; see graph.h. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "base/str.h"
#include "base/sys.h"
#include "supervisor/graph.h"

/* n elements of this size and alignment lie behind the header. */
static bool array_ok(const struct graph *g, gref off, uint32_t n, size_t size, unsigned align)
{
	return n == 0 || (off >= sizeof(*g) && off % align == 0 && off <= g->size && n <= (g->size - off) / size);
}

/* The blob ends with a NUL byte, so a string that begins inside ends inside. */
static bool str_ok(const struct graph *g, gref r)
{
	return r == 0 || (r >= sizeof(*g) && r < g->size);
}

static bool strs_ok(const struct graph *g, uint32_t n, gref off)
{
	const gref *v;

	if (!array_ok(g, off, n, sizeof(*v), 4))
		return false;
	v = graph_at(g, off);
	for (uint32_t i = 0; i < n; i++)
		if (v[i] == 0 || !str_ok(g, v[i]))
			return false;
	return true;
}

static bool ids_ok(const struct graph *g, struct gids l)
{
	const uint32_t *v = graph_ids(g, l);

	if (!array_ok(g, l.off, l.n, sizeof(*v), 4))
		return false;
	for (uint32_t i = 0; i < l.n; i++)
		if (v[i] >= g->n_services)
			return false;
	return true;
}

static bool argv_ok(const struct graph *g, struct gstrv v)
{
	return strs_ok(g, v.n, v.off);
}

static bool signal_ok(int32_t sig)
{
	return sig >= 0 && sig <= 64;
}

static bool settings_arrays_ok(const struct graph *g, const struct gsettings *s)
{
	const struct glimit *l = graph_at(g, s->limits);

	if (!array_ok(g, s->limits, s->n_limits, sizeof(*l), 8) || !strs_ok(g, s->n_cgroup > UINT32_MAX / 2 ? UINT32_MAX : 2 * s->n_cgroup, s->cgroup) || !array_ok(g, s->success, s->n_success, sizeof(int32_t), 4))
		return false;
	for (uint32_t i = 0; i < s->n_limits; i++)
		if (l[i].resource > 15) /* RLIM_NLIMITS of asm-generic/resource.h is 16 */
			return false;
	return true;
}

static bool settings_ok(const struct graph *g, gref off)
{
	const struct gsettings *s = graph_at(g, off);

	return s && array_ok(g, off, 1, sizeof(*s), 8) && argv_ok(g, s->pre_start) && argv_ok(g, s->post_stop) && argv_ok(g, s->exec_reload) &&
		argv_ok(g, s->exec_stop) && argv_ok(g, s->groups) && argv_ok(g, s->environment) && argv_ok(g, s->environment_files) &&
		str_ok(g, s->user) && str_ok(g, s->group) && str_ok(g, s->working_directory) && str_ok(g, s->root_directory) && str_ok(g, s->tty) &&
		settings_arrays_ok(g, s) && signal_ok(s->stop_signal) && signal_ok(s->reload_signal) && s->notify_access <= ACCESS_NONE && s->kill_main_only <= 1 && s->no_new_privileges <= 1 &&
		s->log_files <= 100;
}

static bool edges_ok(const struct graph *g, const struct gservice *s)
{
	return ids_ok(g, s->depends) && ids_ok(g, s->dependents) && ids_ok(g, s->wants) && ids_ok(g, s->wanted_by) && ids_ok(g, s->after) &&
		ids_ok(g, s->before) && ids_ok(g, s->conflicts) && ids_ok(g, s->contents) && ids_ok(g, s->requires_one) && ids_ok(g, s->watched_by);
}

static bool service_ok(const struct graph *g, const struct gservice *s)
{
	bool process = s->type == SVC_ONESHOT || s->type == SVC_LONGRUN;

	return s->name && str_ok(g, s->name) && str_ok(g, s->description) && s->file && str_ok(g, s->file) && s->type <= SVC_VIRTUAL && s->notify <= NOTIFY_SOCKET &&
		s->restart <= RESTART_ALWAYS && s->output <= OUT_INHERIT && s->boot_critical <= 1 && s->enabled <= 1 && s->on_demand <= 1 && s->reload_notify <= 1 &&
		(s->pipe_to == UINT32_MAX || s->pipe_to < g->n_services) && (s->output != OUT_PIPE || s->pipe_to != UINT32_MAX) &&
		argv_ok(g, s->exec) && (!process || s->exec.n > 0) && edges_ok(g, s) && settings_ok(g, s->settings);
}

static bool services_ok(const struct graph *g)
{
	const char *last = "";

	if (!array_ok(g, g->services, g->n_services, sizeof(struct gservice), 8))
		return false;
	for (uint32_t i = 0; i < g->n_services; i++) {
		const struct gservice *s = graph_service(g, i);
		const char *name = service_ok(g, s) ? graph_str(g, s->name) : NULL;
		if (!name || strcmp(last, name) >= 0 || !name_valid(name))
			return false;
		last = name;
	}
	return true;
}

int graph_verify(const void *blob, size_t size)
{
	const struct graph *g = blob;

	if (size < sizeof(*g) || (uintptr_t)blob % 8 != 0 || g->magic != GRAPH_MAGIC || g->version != GRAPH_VERSION || g->size != size || ((const char *)blob)[size - 1] != 0)
		return -EBADMSG;
	if (g->crc != crc32c(0, (const char *)blob + 16, size - 16))
		return -EBADMSG;
	if (!services_ok(g) || (g->boot_target != UINT32_MAX && g->boot_target >= g->n_services) || !strs_ok(g, g->n_warnings, g->warnings))
		return -EBADMSG;
	return 0;
}

int graph_map(int dirfd, const char *path, const struct graph **ret, struct err *e)
{
	_cleanup_close_ int fd = sys_openat(dirfd, path, O_RDONLY, 0);
	struct stat st;
	void *p;

	if (fd < 0)
		return err_sys(e, fd, "compiled graph %s", path);
	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "compiled graph %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct graph) || st.st_size > UINT32_MAX)
		return err_set(e, -EBADMSG, "compiled graph %s: %jd bytes are no graph; run rastctl apply to compile the service files anew", path, (intmax_t)st.st_size);
	p = sys_mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (SYS_IS_ERR(p))
		return err_sys(e, SYS_ERR(p), "compiled graph %s: mmap", path);
	if (graph_verify(p, (size_t)st.st_size) < 0) {
		munmap(p, (size_t)st.st_size);
		return err_set(e, -EBADMSG, "compiled graph %s is damaged or of another version; run rastctl apply to compile the service files anew", path);
	}
	*ret = p;
	return 0;
}

void graph_unmap(const struct graph *g)
{
	if (g)
		munmap((void *)(uintptr_t)g, g->size);
}

uint32_t graph_find(const struct graph *g, const char *name)
{
	uint32_t lo = 0, hi = g->n_services;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int r = strcmp(graph_str(g, graph_service(g, mid)->name), name);
		if (r == 0)
			return mid;
		if (r < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return UINT32_MAX;
}
