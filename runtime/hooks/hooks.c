/* hooks.c: see hooks.h. */
#include "runtime/hooks/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/sys.h"

#define EXEC_FAILED 127

static json_t *annotations(const struct oci_spec *spec)
{
	json_t *o = json_object();

	for (size_t i = 0; o && i < spec->annotations.n; i++)
		json_object_set_new(o, spec->annotations.v[i].key, json_string(spec->annotations.v[i].value));
	return o;
}

/* `{"ociVersion": ..., "id": ...` without the end, and the rest without the beginning. */
int state_text_make(const struct oci_spec *spec, const char *id, const char *bundle, struct state_text *ret)
{
	json_t *head = json_pack("{s:s, s:s}", "ociVersion", spec->oci_version, "id", id);
	json_t *tail = json_pack("{s:s, s:o}", "bundle", bundle ? bundle : "/", "annotations", annotations(spec));

	*ret = (struct state_text){ .head = head ? json_dumps(head, JSON_COMPACT) : NULL, .tail = tail ? json_dumps(tail, JSON_COMPACT) : NULL };
	json_decref(head);
	json_decref(tail);
	if (!ret->head || !ret->tail) {
		state_text_free(ret);
		return -ENOMEM;
	}
	ret->head[strlen(ret->head) - 1] = ',';
	ret->tail[0] = ',';
	return 0;
}

void state_text_free(struct state_text *t)
{
	free(t->head);
	free(t->tail);
	*t = (struct state_text){ 0 };
}

char *state_text_json(const struct state_text *t, const char *status, pid_t pid)
{
	char *s;

	return asprintf(&s, "%s\"status\":\"%s\",\"pid\":%d%s", t->head, status, (int)pid, t->tail) < 0 ? NULL : s;
}

/* A file in memory to read the state from: a pipe could be too small for large annotations and a hook that reads nothing. */
static int state_file(const struct state_text *t, const char *status, pid_t pid)
{
	char middle[64];
	int n = snprintf(middle, sizeof(middle), "\"status\":\"%s\",\"pid\":%d", status, (int)pid), r;
	_cleanup_close_ int fd = memfd_create("state", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	r = write_all(fd, t->head, strlen(t->head));
	if (r == 0)
		r = write_all(fd, middle, (size_t)n);
	if (r == 0)
		r = write_all(fd, t->tail, strlen(t->tail));
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? r : take_fd(&fd);
}

static _Noreturn void run_child(const struct oci_hook *h, int in)
{
	char *alone[] = { (char *)h->path, NULL };
	sigset_t none;

	setsid(); /* a group of its own, to be killed as a whole */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (in == 0)
		fd_set_cloexec(0, false);
	else
		dup2(in, 0);
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	execve(h->path, h->args.n ? (char *const *)h->args.v : alone, h->env.n ? (char *const *)h->env.v : environ);
	_exit(EXEC_FAILED);
}

static int judge(const siginfo_t *si, struct err *e)
{
	if (si->si_code == CLD_EXITED && si->si_status == 0)
		return 0;
	if (si->si_code == CLD_EXITED && si->si_status == EXEC_FAILED)
		return err_set(e, -ENOEXEC, "it can't be executed (exit status 127): is the path right, and the file a program?");
	if (si->si_code == CLD_EXITED)
		return err_set(e, -ECANCELED, "exit status %d", si->si_status);
	return err_set(e, -ECANCELED, "killed by signal %d", si->si_status);
}

/* Wait for the hook; seconds 0: for ever. */
static int wait_for(int pidfd, pid_t pid, uint32_t seconds, struct err *e)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	siginfo_t si = { 0 };
	bool late = false;
	int n, r;

	do
		n = poll(&p, 1, seconds ? (int)MIN(seconds, 2000000u) * 1000 : -1);
	while (n < 0 && errno == EINTR);
	if (n == 0) {
		late = true;
		kill(-pid, SIGKILL); /* not reaped yet: the number is still its */
		sys_pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	}
	r = sys_waitid(P_PID, (id_t)pid, &si, WEXITED);
	if (late)
		return err_set(e, -ETIMEDOUT, "killed: it took longer than its timeout of %u s", seconds);
	return r < 0 ? err_sys(e, r, "waiting") : judge(&si, e);
}

static int run_one(const struct oci_hook *h, const struct state_text *t, const char *status, pid_t container, struct err *e)
{
	_cleanup_close_ int in = state_file(t, status, container);
	_cleanup_close_ int pidfd = -1;
	struct clone_args a = { .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD };
	int pid;

	if (in < 0)
		return err_sys(e, in, "the state for it");
	pid = sys_clone3(&a, sizeof(a));
	if (pid == 0)
		run_child(h, in);
	return pid < 0 ? err_sys(e, pid, "fork") : wait_for(pidfd, pid, h->timeout, e);
}

int hooks_run(const struct oci_spec *spec, enum oci_hook_kind kind, const struct state_text *t, const char *status, pid_t pid, struct err *e)
{
	const struct oci_hooks *hooks = &spec->hooks[kind];
	int failed = 0;

	for (size_t i = 0; i < hooks->n; i++) {
		_cleanup_err_ struct err own = { 0 };
		int r = run_one(&hooks->v[i], t, status, pid, &own);
		if (r == 0)
			continue;
		if (!failed)
			err_set(e, r, "hooks.%s[%zu]: %s: %s", oci_hook_name(kind), i, hooks->v[i].path, err_text(&own));
		failed = r;
		if (kind != OCI_HOOK_POSTSTOP)
			break;
	}
	return failed;
}
