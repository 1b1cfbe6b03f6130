/* pid1.h: stage 2, PID 1 of the running system.
 *
 * What it promises: it does not die, it does not allocate after boot, and nothing that rastd was told or gave is lost when rastd dies.
 * Everything is in fixed tables: the descriptor store (fdstore.c), exit reports (exits.c), own children and deadlines (pid1.c).
 * pid1_main() in pid1.c is the list of steps; after "from now on we must not die" only the main loop runs.
 *
 *   apifs.c      API file systems, /dev links          link.c       the socket pair with rastd: protocol.h
 *   groups.c     cgroups of our own                    fdstore.c    descriptors kept for rastd
 *   setup*.c     the child that prepares the machine   exits.c      exit reports kept for rastd
 *   supervise.c  rastd: start, back-off, liveness      power.c      signals and requests that end the machine
 *   watchdog.c   the hardware watchdog                 shutdown*.c  how the machine ends
 *   crash.c      a fault of our own                    state.c      handing everything to the next program (re-exec) */
#ifndef RAST_INIT_PID1_H
#define RAST_INIT_PID1_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "init/cmdline.h"
#include "init/protocol.h"

#define PID1_DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define SUPERVISOR_ARGS_MAX 32
#define SECOND_US 1000000ull

struct pid1_options {
	char **argv;
	const char *supervisor;  /* NULL: rast.supervisor= of the kernel command line, or the one that is installed */
	char **arguments;        /* for the supervisor; NULL-terminated, or NULL */
	const char *after_crash, *reexec; /* descriptor number of a state file, or NULL */
};
int pid1_main(const struct pid1_options *options);

/* --- own children: everything else that we reap was orphaned to us and is reported to rastd --- */
enum role { ROLE_NONE, ROLE_RASTD, ROLE_SETUP, ROLE_SHELL, ROLE_EMERGENCY, ROLE_HELPER, N_ROLES };
struct child {
	pid_t pid; /* 0: none */
	enum role role;
};
#define CHILDREN_MAX 8

/* --- deadlines: one per purpose; 0: not armed --- */
enum deadline { DUE_SETUP, DUE_RASTD_START, DUE_ALIVE, DUE_ALIVE_KILL, DUE_POWER, DUE_LINK, DUE_WATCHDOG, N_DEADLINES };

enum phase { PHASE_SETUP, PHASE_EMERGENCY, PHASE_RUN, PHASE_STOPPING /* rastd stops the services */, PHASE_END };

struct pid1 {
	/* who we are */
	bool machine;             /* PID 1 of a machine: may touch clock, sysctl, host name, consoles, reboot(2) */
	bool container;           /* PID 1 of a container, said by $container: may mount */
	char cmdline[CMDLINE_MAX];
	char supervisor[256];
	char args[1024];          /* its arguments, each with its NUL */
	unsigned n_args;
	int exe;                  /* our own program, for a re-exec that needs no path */

	/* the loop */
	int epoll, signals;
	enum phase phase;
	uint64_t due[N_DEADLINES];
	struct child children[CHILDREN_MAX];

	/* rastd */
	int ours, theirs;         /* the socket pair: our end and rastd's */
	pid_t rastd;
	bool hello;               /* this instance has said HELLO */
	unsigned starts;          /* of rastd in this boot */
	uint64_t deaths[8];       /* times of its last bad deaths, newest first */
	unsigned early_kills;     /* SIGKILLed before HELLO, in a row */
	uint64_t alive_every;     /* us; 0: it is not supervised */
	char status[256];         /* its last RINIT_STATUS */

	/* power */
	enum rinit_power power;   /* what is asked for, 0: nothing */
	char power_argument[256]; /* for reboot(2) */
	bool power_told;          /* rastd has begun (RINIT_SHUTDOWN_BEGIN) */
	bool power_orderly;       /* rastd has stopped everything (RINIT_SHUTDOWN) */
	uint64_t cad[7];          /* times of the last ctrl-alt-dels */
	uint64_t shutdown_limit;  /* us */

	/* watchdog */
	int watchdog;             /* -1: none */
	uint64_t watchdog_us;     /* its time-out; 0: not wanted */

	/* faults */
	bool crash_reboot;
	unsigned crashes;         /* faults of our own in this boot */
	int state_fd;             /* memfd for state.c, made at boot so that a fault needs nothing new */
	char path[256];           /* where our program was started from */
	uint64_t power_limit;     /* us that rastd has for its part of the end */
	uint64_t last_crash;      /* CLOCK_MONOTONIC, us */
	unsigned crash_burst;     /* faults without an hour of rest in between */
	/* new fields go here, at the end: state.c */
};

/* pid1.c */
void pid1_arm(struct pid1 *p, enum deadline d, uint64_t in_us);
void pid1_disarm(struct pid1 *p, enum deadline d);
void pid1_child_add(struct pid1 *p, pid_t pid, enum role role);
pid_t pid1_child(const struct pid1 *p, enum role role); /* 0: none */
void pid1_idle(struct pid1 *p);                            /* rastd has nothing to do any more: now for what could wait */
void pid1_reap(struct pid1 *p);
/* Like fork(); the child has default signals and is born in the cgroup of that name, or in ours (NULL, or when it can't be: then it is to join by itself). */
pid_t pid1_fork(struct pid1 *p, enum role role, const char *group);
void pid1_reset_signals(void);

/* apifs.c, groups.c */
void apifs_proc(void);                                   /* /proc, which tells who we are; taken away again where it is not ours to mount */
void apifs_mount(const struct pid1 *p);
bool apifs_mount_late(struct pid1 *p);                   /* by a child, once: what nobody is to wait for, when the machine is quiet. False: nothing to do */
void rcu_hurry(const struct pid1 *p, bool on);            /* while a boot or a shutdown waits for the kernel, and nothing else matters */
#define GROUP_ROOT "/sys/fs/cgroup"
#define GROUP_OWN "rastos.init/pid1"
#define GROUP_RASTD "rastos.init/rastd"
#define GROUP_SHELL "rastos.init/shell"
#define GROUP_SERVICES "rastos.service"
#define GROUP_CONTAINERS "rastos.container"
void groups_make(void);
void groups_enter(const char *group);                   /* for a forked child: itself */
int  groups_open(const char *group);                    /* a descriptor of its folder, for CLONE_INTO_CGROUP */
void groups_kill(const char *group);
void groups_kill_and_renew(const char *group);                /* when processes are to be started in it again */

/* setup.c: runs in a child; returns its exit status */
int setup_run(const struct pid1 *p);

/* supervise.c */
void supervise_start(struct pid1 *p);
void supervise_died(struct pid1 *p, const siginfo_t *si);
void supervise_hello(struct pid1 *p);
void supervise_alive(struct pid1 *p, uint64_t every_us);
void supervise_silent(struct pid1 *p);                  /* DUE_ALIVE */
void supervise_shell(struct pid1 *p);

/* link.c */
int link_make(struct pid1 *p);
void link_read(struct pid1 *p);
void link_flush(struct pid1 *p);                        /* send what is waiting; arms EPOLLOUT when the queue is full */
void link_reset(struct pid1 *p);                        /* rastd died: what it has not read is thrown away, HELLO will bring it again */
void link_send(struct pid1 *p, enum rinit_type type, uint64_t arg); /* POWER, SIGNAL: now or, if the queue is full, not at all */
bool link_is_live(void);                                /* this instance has got its READY */
void link_resume(bool live);                            /* after a re-exec of PID 1 */

/* power.c */
void power_accept(const struct pid1 *p);                 /* ctrl-alt-del and the keyboard request become signals (machine only) */
void power_signal(struct pid1 *p, int sig);
void power_request(struct pid1 *p, enum rinit_power kind); /* tell rastd; the hard limit runs from here */
void power_begun(struct pid1 *p, enum rinit_power kind, uint64_t limit_s);
void power_finish(struct pid1 *p, enum rinit_power kind, const char *argument);
void power_overdue(struct pid1 *p);                     /* DUE_POWER */

/* watchdog.c */
void watchdog_open(struct pid1 *p);
void watchdog_feed(struct pid1 *p);
void watchdog_disarm(struct pid1 *p);

/* crash.c */
void crash_install(struct pid1 *p);
void crash_keep_alive(void) __attribute__((noreturn));  /* the least that an init does: reap, for ever */
int crash_exe(void);                                    /* our own program, for an exec that trusts nothing else */

/* state.c */
int state_save(const struct pid1 *p, int fd);           /* no allocation, only system calls: used by the crash handler */
int state_load(struct pid1 *p, int fd);
void state_exec(struct pid1 *p, const char *option) __attribute__((noinline)); /* returns only when it failed */

/* shutdown.c: ends the machine, or exits. */
void shutdown_run(struct pid1 *p) __attribute__((noreturn));

#endif
