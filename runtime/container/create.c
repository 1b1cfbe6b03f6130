/* create.c: from a bundle to a process that waits. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/container/container.h"
#include "runtime/hooks/hooks.h"
#include "runtime/mount/mount.h"

#define CONFIG_MAX (16u << 20)
#define SECCOMP_CACHE "/run/rastrun-seccomp"

struct creation {
	const struct create *o;
	struct container *c;
	struct run *run;
	struct cgroup cg;
	char *text; /* config.json */
	size_t len;
};

/* --- reading --- */

/* RFC 3339 in UTC, as log lines begin; gmtime_r(3) would read the time zone's files. */
static char *timestamp(void)
{
	char line[128];

	log_format(line, sizeof(line), "", LOG_INFO, "");
	line[strcspn(line, " ")] = 0;
	return strdup(line);
}

static char *owner(void)
{
	char *s;

	if (geteuid() == 0)
		return strdup("root");
	return asprintf(&s, "%d", (int)geteuid()) < 0 ? NULL : s;
}

static int find_bundle(struct creation *k, struct err *e)
{
	struct state *st = &k->c->st;
	const char *bundle = k->o->bundle ? k->o->bundle : ".";

	st->bundle = realpath(bundle, NULL);
	if (!st->bundle)
		return err_sys(e, -errno, "bundle %s", bundle);
	st->created = timestamp();
	st->owner = owner();
	st->systemd_cgroup = k->o->systemd_cgroup;
	return st->created && st->owner ? 0 : err_sys(e, -ENOMEM, "bundle %s", bundle);
}

static int read_config(struct creation *k, struct err *e)
{
	const char *name = k->o->config ? k->o->config : "config.json";
	struct oci_load how = { .file = name, .systemd_cgroup = k->o->systemd_cgroup };
	_cleanup_close_ int bundle = sys_openat(AT_FDCWD, k->c->st.bundle, O_PATH | O_DIRECTORY, 0);
	int r = bundle < 0 ? bundle : file_read(bundle, name, CONFIG_MAX, &k->text, &k->len);

	if (r == -ENOENT)
		return err_set(e, r, "%s/%s: no such file or directory: a bundle is a folder with a config.json; `rastrun spec` writes one", k->c->st.bundle, name);
	if (r < 0)
		return err_sys(e, r, "%s/%s", k->c->st.bundle, name);
	r = oci_spec_parse(k->text, k->len, &how, &k->c->spec, e);
	if (r < 0)
		return r;
	k->c->st.oci_version = strdup(k->c->spec->oci_version);
	k->c->st.rootfs = k->c->spec->root_path ? mnt_bundle_path(k->c->st.bundle, k->c->spec->root_path) : strdup("");
	return k->c->st.oci_version ? 0 : err_sys(e, -ENOMEM, "%s", name);
}

/* --- making --- */

static int make_cgroup(struct creation *k, struct err *e)
{
	const struct oci_spec *s = k->c->spec;
	int r;

	if (k->o->no_cgroup)
		return 0;
	r = cg_open(s->cgroups_path, k->c->st.id, k->o->systemd_cgroup, k->o->rootless, &k->cg, e);
	if (r == 0)
		r = container_note_cgroup(k->c, k->cg.path, e);
	if (r == 0)
		r = cg_create(&k->cg, s->resources, e);
	if (r < 0 || k->cg.none) {
		container_note_cgroup(k->c, NULL, NULL);
		return r;
	}
	r = cg_apply(&k->cg, s->resources, "linux.resources", e);
	return r < 0 ? r : cg_devices(&k->cg, s->resources, e);
}

static const char *cache_dir(void)
{
	return geteuid() == 0 ? SECCOMP_CACHE : NULL;
}

static int make_process(struct creation *k, struct err *e)
{
	struct rt_request rq = RT_REQUEST_INIT;
	struct run *run = k->run;
	_cleanup_free_ char *cgroup_path = NULL;
	int r;

	rq.spec = k->c->spec;
	rq.id = k->c->st.id;
	rq.bundle = k->c->st.bundle;
	rq.cgroup_fd = k->cg.fd;
	if (k->cg.fd >= 0 && asprintf(&cgroup_path, "%s/%s", k->cg.mount, k->cg.path) < 0)
		return err_sys(e, -ENOMEM, "cgroup");
	rq.cgroup_path = cgroup_path;
	rq.no_pivot = k->o->no_pivot;
	rq.no_new_keyring = k->o->no_new_keyring;
	rq.seccomp_cache = cache_dir();
	rq.notify_socket = getenv("NOTIFY_SOCKET");
	if (rq.notify_socket && rq.notify_socket[0] != '/')
		rq.notify_socket = NULL; /* abstract: it belongs to a network namespace */
	preserved_put(&k->o->preserve, run->fds, &rq);
	r = 0;
	if (k->o->console_socket)
		r = rq.console_socket = run->console = socket_connect(k->o->console_socket, e);
	if (r >= 0 && k->o->waits)
		r = rq.start_socket = run->start = container_listen(k->c, e);
	if (r >= 0)
		r = rt_plan_make(&rq, &run->plan, e);
	return r < 0 ? r : rt_spawn(run->plan, &run->child, e);
}

static int write_down(struct creation *k, struct err *e)
{
	struct state *st = &k->c->st;
	pid_t pid = k->run->child.pid;
	int r = proc_start_time(pid, &st->start_time);

	if (r < 0)
		return err_sys(e, r, "the container's process");
	st->pid = pid;
	r = k->c->spec->intel_rdt ? rdt_apply(k->c->spec->intel_rdt, st->id, pid, &st->rdt, e) : 0;
	return r < 0 ? r : container_save(k->c, e);
}

static int tell(struct creation *k, struct err *e)
{
	int r = 0;

	if (k->o->pid_file)
		r = write_pid_file(k->o->pid_file, k->run->child.pid, e);
	if (r == 0 && k->o->pidfd_socket)
		r = socket_send_fd(k->o->pidfd_socket, k->c->st.id, k->run->child.pidfd, e);
	return r;
}

/* Take back what was made, the process first. */
static void undo(struct creation *k)
{
	siginfo_t si;

	if (k->run->child.pid > 0) {
		sys_pidfd_send_signal(k->run->child.pidfd, SIGKILL, NULL, 0);
		sys_waitid(P_PID, (id_t)k->run->child.pid, &si, WEXITED);
		k->run->child.pid = 0;
	}
	if (k->cg.fd >= 0)
		cg_remove(&k->cg, NULL);
	rdt_remove(&k->c->st.rdt);
	if (k->c->dir >= 0)
		container_forget(k->c, NULL);
}

int container_create(const struct create *o, struct container *c, struct run *run, struct err *e)
{
	struct creation k = { .o = o, .c = c, .run = run, .cg = CGROUP_NONE };
	static int (*const steps[])(struct creation *k, struct err *e) = { make_cgroup, make_process, write_down, tell };
	int r = find_bundle(&k, e);

	if (r == 0)
		r = read_config(&k, e);
	if (r == 0)
		r = container_new(o->root, o->id, c, e); /* -EEXIST leaves the other one alone */
	if (r == 0) {
		r = container_save_config(c, k.text, k.len, e);
		for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
			r = steps[i](&k, e);
		if (r < 0)
			undo(&k);
	}
	free(k.text);
	cg_close(&k.cg);
	return r;
}

/* --- letting go --- */

int container_leave(struct run *run, struct err *e)
{
	return rt_detach(&run->child, e);
}

/* A poststart hook that fails is a start that fails (spec 1.3). */
static int after_start(struct container *c, struct err *e)
{
	struct state_text t;
	int r;

	if (!c->spec->hooks[OCI_HOOK_POSTSTART].n)
		return 0;
	r = state_text_make(c->spec, c->st.id, c->st.bundle, &t);
	if (r < 0)
		return err_sys(e, r, "hooks.poststart");
	r = hooks_run(c->spec, OCI_HOOK_POSTSTART, &t, "running", c->st.pid, e);
	state_text_free(&t);
	if (r < 0)
		container_kill(c, SIGKILL, true, NULL);
	return r;
}

int container_go(struct container *c, struct run *run, struct err *e)
{
	int r = rt_start(run->plan, &run->child, e);

	return r < 0 ? r : after_start(c, e);
}

int container_start(struct container *c, struct err *e)
{
	enum status s = container_status(c);
	int r;

	if (s == STATUS_STOPPED)
		return err_set(e, -ESRCH, "cannot start a container that has stopped");
	if (s != STATUS_CREATED)
		return err_set(e, -EBUSY, "cannot start an already running container");
	r = container_spec(c, e);
	if (r == 0 && !c->spec->process)
		r = err_set(e, -EINVAL, "process: it is missing, so there is nothing to run");
	if (r == 0)
		r = rt_start_at(c->dir, "start", c->spec, c->st.id, c->st.bundle, c->st.pid, e);
	container_started(c);
	if (r < 0)
		return r;
	r = after_start(c, e);
	if (r < 0)
		container_delete(c, true, NULL);
	return r;
}
