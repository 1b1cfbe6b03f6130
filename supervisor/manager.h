/* manager.h: rastd, put together: what its parts share.
 *
 * rastd is one thread around one event loop. The engine decides (engine.h, engine/), and the parts here do: process/ starts processes (spawn), hears of
 * their ends (exits), keeps cgroups (cgroups), output pipes and the logger (output, logger) and hears their sd_notify (notify); control/ speaks with
 * clients (control, jobs, events). Beside this file: the state file (state), PID 1 (pid1), a new set of services (apply), boot and shutdown (boot,
 * power), and what a predecessor left (adopt). Each part has its section below. */
#ifndef RAST_SUPERVISOR_MANAGER_H
#define RAST_SUPERVISOR_MANAGER_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>
#include "base/base.h"
#include "init/protocol.h"
#include "supervisor/engine.h"
#include "supervisor/state.h"

struct manager;
struct varlink_server;
struct varlink_call;
struct job;
struct subscriber;

/* The rare parts of a service, made when first needed. */
struct svc_ext {
	struct manager *manager;
	uint32_t i;                      /* whose it is */
	char *status_text, *error_text;  /* STATUS=; ERRNO=, BUSERROR=, VARLINKERROR= */
	uint64_t watchdog;               /* WATCHDOG_USEC=, us; 0: as in its file, NEVER: switched off */
	struct timer reload_timer;       /* how long a reload may take */
	uint64_t reload_asked;           /* when the reload signal was sent, 0: nobody waits for its answer */
	bool reload_heard;               /* RELOADING=1 was that answer's first half */
	int notify_fd;                   /* read end while notify=fd:N is waited for, -1 */
	struct source *notify_source;
	int own_notify_fd;               /* notify-access=all: its own socket, -1 */
	struct source *own_notify_source;
	int exec_fd;                     /* read end while a forked child has not yet executed its program, -1 */
	struct source *exec_source;
	int main_pidfd;                  /* a main process that is not our child (MAINPID=, adopted without PID 1), -1 */
	struct source *main_source;
	struct timer lost_timer;         /* how long PID 1's report of its end may take */
	bool waited_once;
	int *fds; char **fd_names; struct stored **stored; unsigned n_fds; /* FDSTORE=1 */
	int pipe_fd;                     /* write end of the pipe that others write into (output = pipe:NAME), -1 */
};

struct pend { uint32_t i; enum proc_kind kind; };
struct pid_slot { int32_t pid; uint32_t who; /* index << 1 | is aux */ };
struct pid_map { struct pid_slot *slot; uint32_t n, cap; };
struct child { pid_t pid; void (*cb)(struct manager *m, int code, int status, void *data); void *data; struct child *next; };

/* An entry of PID 1's fd store that nobody has claimed yet. */
struct found { char name[RINIT_NAME_MAX + 1]; int fd[RINIT_FDS_PER_ENTRY]; size_t n; struct found *next; };

struct options {
	const char *run_dir, *cgroup_root, *log_dir, *enabled_dir, *target, *boot_file, *cmdline, *libdir;
	char **config_dirs;
	bool standalone, no_logger, no_cgroup, debug, show, no_mark;
	const char *mask;
};

struct manager {
	struct options opt;
	struct loop *loop;
	struct engine e;
	struct state st;
	const struct graph *g;
	int run_fd, graph_fd;            /* directories */
	char **argv;                     /* for re-exec */

	struct timer timer;              /* for the engine's earliest deadline */
	bool run_deferred;

	/* process/spawn.c */
	struct pend *pend; uint32_t n_pend, cap_pend;
	int null_fd;
	struct rlimit nofile;            /* as it was given to us: what children get */
	bool no_into_cgroup;             /* clone3 can't put children into a cgroup: they join by themselves */
	uint64_t slow_until;             /* starting a program took long: fork until then, so as not to wait for the disk */
	void *child_stack;
	int out_slot;                    /* a low number for a child's output, -1 */

	struct pid_map pids;
	struct child *children;

	/* cgroups.c */
	int cg_fd;                       /* <cgroup root>/rastos.service, -1: no cgroup v2 */
	char *cg_path;
	int kept_fd; uint32_t kept;      /* the cgroup of service `kept`, which died and is about to be started again */
	int inotify_fd;
	struct source *inotify_source;
	struct { int wd; uint32_t i; } *watches; unsigned n_watches, cap_watches;

	/* output.c */
	uint32_t logger;                 /* index of rastlogd, NONE */
	int lg_fd, lg_peer, stage[2];    /* our end, the logger's end, the stage pipe */
	struct source *lg_source;
	uint32_t lg_cursor;              /* services before it have been announced to the logger */
	bool lg_lagging, lg_alive, lg_pump_deferred;
	int own_log_fd;
	bool own_log_added;
	struct timer lg_timer;
	struct sync *syncs;              /* who waits for SYNCED */
	uint64_t sync_token;
	int console_fd;

	/* pid1.c */
	int p1_fd;                       /* -1: standalone */
	struct source *p1_source;
	uint64_t p1_seq;                 /* last exit report taken */
	bool p1_ack_due;
	struct rinit_exit *early; uint32_t n_early; /* reports that came before adoption */
	struct found *found;
	bool ready;                      /* adoption is done: reports are taken as they come */
	uint32_t instance, early_power;
	struct timer lost_timer;         /* processes whose end nobody reports */
	uint32_t n_awaited, n_unchecked, check_from;
	bool have_children;              /* at adoption: after a re-exec */
	int listen_fd, notify_fd;        /* found in, or put into, the fd store */
	struct source *notify_source;

	/* control */
	struct varlink_server *server;
	struct job *jobs;
	bool jobs_dirty;
	struct subscriber *subscribers;
	struct apply *apply;

	/* idle.c */
	uint32_t begun_since_idle;       /* processes */
	uint32_t idle_from;

	/* boot, power */
	struct timer settle_timer, fail_timer, shell_timer, power_timer, status_timer;
	unsigned power_stage;
	char **words;                    /* of the kernel command line */
	bool reexec;
	bool quit;
};

static inline struct manager *engine_manager(struct engine *e) { return e->data; }
static inline const char *nm(struct manager *m, const struct svc *s) { return svc_name(&m->e, s); }

/* manager.c */
void manager_schedule(struct manager *m);          /* let the engine run at the end of this round */
void manager_run_now(struct manager *m);           /* what follows from an event that can't wait; manager_schedule() as well */
void manager_deliver(struct manager *m, struct svc *s, enum svc_event ev); /* engine_event + schedule */
struct svc_ext *manager_ext(struct manager *m, struct svc *s);        /* NULL: no memory */
void manager_ext_free(struct manager *m, struct svc *s);
static inline struct svc *ext_svc(const struct svc_ext *x) { return &x->manager->e.s[x->i]; }
extern const struct engine_ops manager_ops;
int  manager_load(struct manager *m, const struct graph *g);  /* engine for g; takes over nothing */
void manager_set_timer(struct manager *m);

/* process/spawn.c */
int  spawn_gather(struct engine *e, struct svc *s, enum proc_kind kind);
void spawn_flush(struct engine *e);
void spawn_init(struct manager *m);
void spawn_exec_failed(struct manager *m, struct svc *s, enum proc_kind kind); /* a forked child has ended without executing its program */
void spawn_executed(struct manager *m, struct svc *s); /* it has: its end is known, while the word of its report pipe has not been read */
int  spawn_helper(struct manager *m, char *const argv[], void (*cb)(struct manager *m, int code, int status, void *data), void *data); /* a program of ours, beside the services */

int  spawn_helper_tty(struct manager *m, char *const argv[], const char *tty, void (*cb)(struct manager *m, int code, int status, void *data), void *data);

/* remember.c: for the history. why: of a failed boot, else NULL. */
void remember_apply(struct manager *m);
void remember_boot(struct manager *m, bool good, const char *why);
bool remember_busy(void); /* a failed boot is being written down: a reboot can wait a moment for that */

/* process/pidmap.c */
int  pidmap_put(struct pid_map *p, pid_t pid, uint32_t i, bool aux);
bool pidmap_get(const struct pid_map *p, pid_t pid, uint32_t *i, bool *aux);
void pidmap_del(struct pid_map *p, pid_t pid);
void pidmap_free(struct pid_map *p);

/* process/exits.c */
int  exits_init(struct manager *m);
void exits_reap(struct manager *m);                                /* all that have ended */
void exits_report(struct manager *m, pid_t pid, int code, int status); /* one that somebody else has reaped */
int  exits_watch(struct manager *m, struct svc *s);                /* its main process is not our child: watch it by pidfd */
void exits_unwatch(struct manager *m, struct svc *s);
void exits_lost(struct manager *m, struct svc *s, bool aux);       /* it is gone and nobody knows how */

/* process/cgroups.c */
int  cgroups_init(struct manager *m);
int  cgroups_open(struct manager *m, struct svc *s);               /* make and open; caller owns the descriptor */
void cgroups_let_go(struct manager *m);                           /* services get other numbers: none is kept open any more */
void cgroups_drop(struct manager *m, struct svc *s);               /* one that was kept for a restart is not needed after all */
void cgroups_apply_keys(struct manager *m, struct svc *s);
bool cgroups_empty(struct engine *e, struct svc *s);
void cgroups_kill(struct engine *e, struct svc *s);
void cgroups_signal(struct engine *e, struct svc *s, int sig, bool all);
bool cgroups_has(struct manager *m, const struct svc *s, pid_t pid);
uint32_t cgroups_find(struct manager *m, pid_t pid);               /* whose process is it? index or NONE */
void cgroups_settle(struct manager *m);                            /* after adoption: watch what has to be empty soon */

/* process/output.c */
int  output_prepare(struct manager *m, const struct pend *p, uint32_t n); /* make the pipes, keep them safe */
int  output_fd(struct manager *m, struct svc *s);                  /* what becomes stdout and stderr; borrowed */
int  output_stdin(struct manager *m, struct svc *s);               /* read end for a consumer (owned), or -1 */
void output_init(struct manager *m);
void output_ended(struct manager *m, struct svc *s);
void output_forget(struct manager *m, struct svc *s);              /* the service is no longer in the set */
int  output_adopt(struct manager *m, const char *name, const int *fds, size_t n); /* an entry of the fd store; takes what it wants: 1, else 0 */
/* Everything that is in a pipe now is to be in its file: cb is called once, with 0 or a negative errno (-ENOTCONN: no logger). disk: and on the disk. */
int  output_sync(struct manager *m, bool disk, void (*cb)(struct manager *m, int error, void *data), void *data);
void output_recover(struct manager *m);                             /* after adoption, without PID 1 */
void output_logger_gone(struct manager *m);
void output_console(struct manager *m, const char *fmt, ...) _printf_(2, 3);
void output_tell(struct manager *m, int level, const char *fmt, ...) _printf_(3, 4); /* into the log and, once, on the console */

/* pid1.c */
int  pid1_init(struct manager *m);                                 /* HELLO, and everything up to READY */
struct pid1_entry { const char *name; int fd[2]; unsigned n; };
int  pid1_store(struct manager *m, const struct pid1_entry *v, size_t n); /* on return they survive us. 0 when standalone */
void pid1_drop(struct manager *m, const char *name);
void pid1_ack(struct manager *m);
int  pid1_send(struct manager *m, unsigned type, uint64_t arg, uint64_t arg2, const char *text);

void pid1_take_early(struct manager *m);                           /* after adoption */

/* adopt.c */
int  adopt_all(struct manager *m);

/* process/notify.c */
int  notify_init(struct manager *m);
void notify_path(struct manager *m, const struct svc *s, char *buf, size_t size); /* what becomes NOTIFY_SOCKET */
int  notify_own(struct manager *m, struct svc *s, uid_t uid);      /* notify-access=all: make the socket, for this user */
void notify_forget_own(struct manager *m, struct svc *s);
int  notify_fd_watch(struct manager *m, struct svc *s, int fd);    /* takes fd */
int  notify_adopt(struct manager *m, const char *name, const int *fds, size_t n);
void notify_forget(struct manager *m, struct svc *s);              /* its process is gone */
void fdstore_drop(struct manager *m, struct svc *s);
int  fdstore_adopt(struct manager *m, const char *name, const int *fds, size_t n); /* 1: taken */

/* process/reload.c */
const char *reload_refused(struct manager *m, const struct svc *s); /* why it can't be done; NULL: it can */
int  reload_begin(struct manager *m, struct svc *s);
void reload_ended(struct manager *m, struct svc *s, bool good);    /* however it was done */
void reload_says(struct manager *m, struct svc *s, uint64_t when); /* RELOADING=1 */
bool reload_ready(struct manager *m, struct svc *s);               /* READY=1 while it is up: was a reload's end */
void reload_extend(struct manager *m, struct svc *s, uint64_t until); /* us */
void reload_resume(struct manager *m, struct svc *s);              /* a new rastd: go on waiting */

/* process/said.c */
void said_adopt(struct manager *m);
void said_forget(struct manager *m, struct svc *s);                /* a new run begins, or the service is gone */

/* control/control.c, jobs.c, events.c */
int  control_init(struct manager *m);
void jobs_check(struct manager *m);
void jobs_renumber(struct manager *m, const uint32_t *map, uint32_t n);
void events_state(struct manager *m, struct svc *s, enum svc_state old);
void events_boot(struct manager *m);
void events_generation(struct manager *m);
void events_power(struct manager *m, const char *text);

/* idle.c */
void idle_due(struct manager *m);                                  /* much was done: memory is worth giving back once it is over */
void idle_check(struct manager *m);                                /* is it over? */

/* apply.c, boot.c, power.c */
void apply_from_signal(struct manager *m);
void boot_init(struct manager *m);
void boot_shell(struct manager *m);
void boot_mark(struct manager *m, const char *how);                /* good, failed; PID 1 itself marks what was left in order */
bool boot_value(struct manager *m, const char *key, char *buf, size_t size); /* of what stage 1 has decided */
int  boot_compile(struct manager *m);
int  boot_begin(struct manager *m);                                /* a fresh boot: start the target */
void boot_resume(struct manager *m);
void boot_stay(struct manager *m);                                 /* don't reboot because of a failed boot */
void boot_isolated(struct manager *m, const char *name);           /* somebody has gone over to this target */
void boot_check(struct manager *m);                                /* after changes: is the target up? */
void boot_masks(struct manager *m);
void power_begin(struct manager *m, enum rinit_power kind, bool force, const char *message);
void power_check(struct manager *m);
void power_resume(struct manager *m);
void apply_check(struct manager *m);                               /* after changes: may the new set take over? */
void apply_resume(struct manager *m);
int  manager_reexec(struct manager *m);

#ifdef RAST_FAULTS
void fault_point(const char *name);
#define FAULT_POINT(name) fault_point(name)
#else
#define FAULT_POINT(name) do { } while (0)
#endif

#endif
