/* floor: the least that starting services can cost. A bare loop that does a supervisor's work and nothing else.
 *
 *   floor oneshots|chain|longruns N HOW[+cgroup][+session]
 *
 * HOW: fork, vfork, clone3 (PIDFD), clone3vm (VM|VFORK|PIDFD). +cgroup: a cgroup v2 of its own for each child, made before it, and the child
 * born in it (CLONE_INTO_CGROUP); removed when a oneshot has ended. +session: setsid(2) in the child, which also makes it a group of its own for the
 * scheduler (autogroup, sched(7)): on a busy machine it then has to wait for its turn. Runs as PID 1 of the benchmark's namespaces, like the supervisors
 * it stands beside, and stays when it is done; a longrun that dies is started again at once: that is the floor of the restart latency. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "page.h"

#define STAMP "/bench/stamp"
#define CGROUP "/sys/fs/cgroup/floor"

enum how { FORK, VFORK, CLONE3, CLONE3VM };
static const char *const how_names[] = { "fork", "vfork", "clone3", "clone3vm" };

static struct {
	enum how how;
	bool cgroup, session, stay;
	unsigned n;
	pid_t pid[BENCH_SLOTS];
} g;

/* clone3 without libc's wrapper returning twice on one stack: with CLONE_VM|CLONE_VFORK the child runs on this very frame. */
static inline __attribute__((always_inline)) long raw_clone3(struct clone_args *a, size_t size) {
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "0"((long)SYS_clone3), "D"(a), "S"(size) : "rcx", "r11", "memory");
	return r;
}

static void die(const char *what) {
	dprintf(2, "floor: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static int open_cgroup(unsigned i) {
	char path[64];
	int fd;

	snprintf(path, sizeof path, CGROUP "/b%04u", i);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		die(path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

static void __attribute__((noreturn)) child(char **argv) {
	if (g.session)
		setsid();
	execv(STAMP, argv);
	_exit(127);
}

static __attribute__((noinline)) pid_t spawn_clone3(char **argv, int cgroup_fd, uint64_t flags) {
	int pidfd = -1;
	struct clone_args a = {
		.flags = flags | CLONE_PIDFD | (cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = cgroup_fd >= 0 ? (uint64_t)cgroup_fd : 0,
	};
	long pid = raw_clone3(&a, sizeof a);

	if (pid == 0)
		child(argv);
	if (pid < 0) {
		errno = (int)-pid;
		die("clone3");
	}
	close(pidfd);
	return (pid_t)pid;
}

static __attribute__((noinline)) pid_t spawn_fork(char **argv, bool v) {
	pid_t pid;

	if (v)
		pid = vfork();
	else
		pid = fork();
	if (pid == 0)
		child(argv);
	if (pid < 0)
		die("fork");
	return pid;
}

static void spawn(unsigned i) {
	char number[16];
	char *argv[] = { (char *)"stamp", (char *)(g.stay ? "stay" : "once"), number, NULL };
	int fd = g.cgroup ? open_cgroup(i) : -1;

	snprintf(number, sizeof number, "%u", i);
	if (g.how == CLONE3 || g.how == CLONE3VM)
		g.pid[i] = spawn_clone3(argv, fd, g.how == CLONE3VM ? CLONE_VM | CLONE_VFORK : 0);
	else
		g.pid[i] = spawn_fork(argv, g.how == VFORK);
	if (fd >= 0)
		close(fd);
}

static void remove_cgroup(unsigned i) {
	char path[64];

	snprintf(path, sizeof path, CGROUP "/b%04u", i);
	rmdir(path);
}

/* Reap one child; its index. */
static unsigned reap(void) {
	pid_t pid = wait(NULL);

	if (pid < 0)
		die("wait");
	for (unsigned i = 0; i < g.n; i++)
		if (g.pid[i] == pid) {
			if (g.cgroup && !g.stay)
				remove_cgroup(i);
			return i;
		}
	return BENCH_SLOTS;
}

static void run_oneshots(void) {
	for (unsigned i = 0; i < g.n; i++)
		spawn(i);
	for (unsigned i = 0; i < g.n; i++)
		reap();
}

static void run_chain(void) {
	for (unsigned i = 0; i < g.n; i++) {
		spawn(i);
		reap();
	}
}

static void run_longruns(void) {
	g.stay = true;
	for (unsigned i = 0; i < g.n; i++)
		spawn(i);
	for (;;) {
		unsigned i = reap();
		if (i < g.n)
			spawn(i);
	}
}

static const struct { const char *name; void (*run)(void); } modes[] = {
	{ "oneshots", run_oneshots }, { "chain", run_chain }, { "longruns", run_longruns },
};

static int parse_how(char *s) {
	char *how = strsep(&s, "+");

	for (char *word; (word = strsep(&s, "+"));) {
		if (strcmp(word, "cgroup") == 0)
			g.cgroup = true;
		else if (strcmp(word, "session") == 0)
			g.session = true;
		else
			return -1;
	}
	for (unsigned i = 0; i < sizeof how_names / sizeof *how_names; i++)
		if (strcmp(how, how_names[i]) == 0) {
			g.how = (enum how)i;
			return 0;
		}
	return -1;
}

int main(int argc, char **argv) {
	if (argc == 4 && (g.n = (unsigned)atoi(argv[2])) > 0 && g.n <= BENCH_SLOTS && parse_how(argv[3]) == 0)
		for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++)
			if (strcmp(argv[1], modes[i].name) == 0) {
				if (g.cgroup && g.how != CLONE3 && g.how != CLONE3VM) {
					fprintf(stderr, "floor: a child is born in its cgroup by clone3 only: use clone3+cgroup\n");
					return 2;
				}
				if (g.cgroup && mkdir(CGROUP, 0755) < 0)
					die(CGROUP);
				modes[i].run();
				for (;;)
					pause();
			}
	fprintf(stderr, "usage: floor oneshots|chain|longruns N fork|vfork|clone3|clone3vm[+cgroup][+session]\n");
	return 2;
}
