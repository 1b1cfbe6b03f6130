/* stage1-history.c: ask the history which snapshot to boot: rast-decide, in a process of its own, with a deadline.
 *
 * Whatever goes wrong here (no program, no store, a damaged one, a disk that hangs, an answer that makes no sense) comes out as a negative
 * errno, which decide() takes for "what the rules say". A child that hangs in the kernel can't be killed: it is left behind. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"
#include "init/console.h"
#include "init/stage1.h"

#define PROGRAM "/usr/lib/rastos/rast-decide"
#define DEADLINE_MS 5000
#define ANSWER_MAX 512 /* bytes that are looked at: the first line */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void child(const struct stage1 *s, const uint32_t *candidates, unsigned n, uint32_t failed, uint32_t otherwise, int in, int out)
{
	static char words[LEDGER_MAX + 8][96];
	char *argv[LEDGER_MAX + 9];
	unsigned k = 0;

	snprintf(words[k++], sizeof(words[0]), PROGRAM);
	snprintf(words[k++], sizeof(words[0]), "--store=" STAGE1_TOP "/@rastos/store");
	snprintf(words[k++], sizeof(words[0]), "--failed=%u", failed);
	snprintf(words[k++], sizeof(words[0]), "--otherwise=%u", otherwise);
	if (s->ledger_there)
		snprintf(words[k++], sizeof(words[0]), "--write=" STAGE1_TOP "/@rastos/decision.json");
	for (unsigned i = 0; i < n; i++)
		snprintf(words[k++], sizeof(words[0]), "%u", candidates[i]);
	for (unsigned i = 0; i < k; i++)
		argv[i] = words[i];
	argv[k] = NULL;
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	execv(PROGRAM, argv);
	_exit(127);
}

/* All that comes until the other side closes; longer than the buffer is thrown away. 0, or -ETIMEDOUT. */
static int read_answer(int fd, int64_t deadline, char *buf, size_t size)
{
	size_t have = 0;

	buf[0] = '\0';
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = deadline - now_ms();
		char rest[1024];
		if (left <= 0)
			return -ETIMEDOUT;
		int r = poll(&p, 1, (int)left);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0)
			continue;
		ssize_t n = sys_read(fd, rest, sizeof(rest));
		if (n <= 0)
			return (int)n;
		size_t take = MIN((size_t)n, size - 1 - have);
		memcpy(buf + have, rest, take);
		have += take;
		buf[have] = '\0';
	}
}

static void wait_or_leave(pid_t pid, int64_t deadline)
{
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (now_ms() > deadline) {
			kill(pid, SIGKILL);
			nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
			if (waitpid(pid, NULL, WNOHANG) == 0)
				console_say("rast-decide hangs and can't be killed: it is left behind");
			return;
		}
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	}
}

/* "chosen 3" or "none WHY". */
static int understand(char *answer, int timed_out, unsigned n)
{
	uint64_t index;

	answer[strcspn(answer, "\n")] = '\0';
	if (str_starts(answer, "chosen ") && parse_u64(answer + 7, &index) == 0 && index < n)
		return (int)index;
	if (str_starts(answer, "none ")) {
		console_say("the history has no preference: %s", answer + 5);
		return -ENODATA;
	}
	console_say(timed_out < 0 ? "the history gave no answer within %d s: going on without it" : "the history could not be asked: going on without it", DEADLINE_MS / 1000);
	return -EIO;
}

int stage1_ask_history(const struct ledger *l, const uint32_t *candidates, unsigned n, uint32_t failed, uint32_t otherwise, void *data)
{
	unsigned char slot[LEDGER_SLOT_SIZE];
	char answer[ANSWER_MAX];
	struct stage1 *s = data;
	int in[2], out[2];

	if (access(PROGRAM, X_OK) < 0 || n > LEDGER_MAX)
		return -ENOSYS;
	if (sys_pipe2(in, O_CLOEXEC) < 0)
		return -EMFILE;
	if (sys_pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return -EMFILE;
	}
	int64_t deadline = now_ms() + DEADLINE_MS;
	ledger_encode(l, slot);
	int r = write_all(in[1], slot, sizeof(slot)); /* before there is a child: a slot fits into the pipe, and nobody can have closed it */
	pid_t pid = r < 0 ? r : fork();
	if (pid == 0)
		child(s, candidates, n, failed, otherwise, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	close(in[1]);
	answer[0] = '\0';
	if (pid > 0)
		r = read_answer(out[0], deadline, answer, sizeof(answer));
	close(out[0]);
	if (pid > 0)
		wait_or_leave(pid, deadline);
	return understand(answer, r, n);
}
