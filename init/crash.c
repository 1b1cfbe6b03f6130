/* crash.c: PID 1 has a fault of its own (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT).
 *
 * On a stack of its own: say what happened, on the console and in the kernel's log; write our state into the memfd that was made for this at
 * boot; execute ourselves anew with it. The services never notice. A fault while doing that executes us without the state; another
 * one, or a program that can't be executed, leaves the smallest thing that keeps a machine alive: a loop that reaps.
 * The kernel delivers these signals to an init because there is a handler (kernel/signal.c, SIGNAL_UNKILLABLE). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/str.h"
#include "init/console.h"
#include "init/pid1.h"

#define STACK_SIZE 65536
#define CRASHES_MAX 16            /* within an hour: then a new program is no cure either */
#define CALM_US (3600 * SECOND_US)
#define SYNC_TRIES 50             /* of 100 ms each, before a reboot */

static struct pid1 *self;
static volatile sig_atomic_t depth;
static int exe = -1;
static char stack[STACK_SIZE] __attribute__((aligned(16)));

static uint64_t fault_ip(const void *context)
{
#if defined(__x86_64__)
	return (uint64_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return ((const ucontext_t *)context)->uc_mcontext.pc;
#else
	return 0;
#endif
}

void crash_keep_alive(void)
{
	for (;;) {
		while (waitpid(-1, NULL, 0) > 0)
			;
		nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
	}
}

/* A disk that hangs must not keep us from restarting: a child writes the data out, for a while. */
static void __attribute__((noreturn)) end_machine(void)
{
	pid_t pid = self->machine ? fork() : -1;

	if (pid == 0) {
		sync();
		_exit(0);
	}
	for (int i = 0; pid > 0 && i < SYNC_TRIES && waitpid(pid, NULL, WNOHANG) == 0; i++)
		nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
	if (self->machine)
		reboot(RB_AUTOBOOT);
	_exit(1);
}

static void count_crash(void)
{
	uint64_t now = now_us();

	self->crashes++;
	self->crash_burst = now - self->last_crash < CALM_US ? self->crash_burst + 1 : 1;
	self->last_crash = now;
}

int crash_exe(void)
{
	return exe;
}

static void on_fault(int sig, siginfo_t *si, void *context)
{
	int level = depth++;

	if (level > 1)
		crash_keep_alive();
	if (level == 1) {
		state_exec(NULL, "--after-crash");
		crash_keep_alive();
	}
	count_crash();
	console_say("PID 1 had a fault: %s (code %d) at address %#llx, instruction %#llx; fault %u of this boot; the supervisor said last: %s", signal_name(sig),
		si->si_code, (unsigned long long)(uintptr_t)si->si_addr, (unsigned long long)fault_ip(context), self->crashes,
		*self->status ? self->status : "nothing");
	log_err("PID 1 had a fault: %s at %#llx", signal_name(sig), (unsigned long long)fault_ip(context));
	if (self->crash_reboot)
		end_machine();
	if (self->crash_burst < CRASHES_MAX)
		state_exec(self, "--after-crash");
	console_say("PID 1 can't go on: services keep running, but nothing is supervised any more. Reboot when you can (reboot -f).");
	crash_keep_alive();
}

void crash_install(struct pid1 *p)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	stack_t alt = {.ss_sp = stack, .ss_size = sizeof(stack)};

	self = p;
	exe = p->exe;
	p->state_fd = memfd_create("rastinit-state", MFD_CLOEXEC);
	sigaltstack(&alt, NULL);
	sigfillset(&sa.sa_mask);
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++) {
		sigdelset(&sa.sa_mask, faults[i]); /* a fault inside the handler comes back to it: see level */
		sigaction(faults[i], &sa, NULL);
	}
}
