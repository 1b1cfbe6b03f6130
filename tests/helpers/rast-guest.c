/* rast-guest.c: does in a guest what a VM test asks for: runs commands and carries their input, output and exit status.
 *
 * It speaks over the virtio-serial port named "rast.agent" in frames (struct frame, then `len` bytes of payload); qemu/rastvm/agent.py is the other
 * side. Several commands run at the same time, told apart by id. Statically linked and without a dependency, so that it
 * works in a rescue shell, and while everything of rastOS is broken on purpose.
 *
 * host to guest: RUN (argv, each NUL-terminated; an empty one ends it; the rest is stdin), KILL (SIGKILL to the command's process group),
 * RESUME (the machine was saved and is restored: int64 nanoseconds, what the clock is now, and 32 bytes for the random pool; answered by HELLO).
 * guest to host: HELLO (the agent has started: whatever ran before is over), OUT, ERR (pieces of output), EXIT (int32: wait status). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x4152u
#define PORT_NAME "rast.agent"
#define JOBS 32
#define ARGS 64
#define PAYLOAD_MAX (64u << 20)

enum { PIECE = 16384 }; /* the longest payload to the host */
enum { RUN = 1, KILL, RESUME, HELLO = 16, OUT, ERR, EXIT };

struct frame {
	uint16_t magic;
	uint16_t type;
	uint32_t id, len;
};

struct job {
	uint32_t id;
	pid_t pid;              /* 0: free */
	int pidfd, in, out, err;
	char *payload;          /* of RUN: argv and stdin */
	size_t in_pos, in_end;
};

static struct job jobs[JOBS];
static int port = -1;

static void must_write(const void *data, size_t n)
{
	for (const char *p = data; n > 0;) {
		ssize_t w = write(port, p, n);
		if (w < 0 && errno != EINTR && errno != EAGAIN) {
			perror("rast-guest: write to the port");
			exit(1);
		}
		if (w > 0) {
			p += w;
			n -= (size_t)w;
		}
	}
}

static void send_frame(uint16_t type, uint32_t id, const void *data, size_t n)
{
	struct frame f = { MAGIC, type, id, (uint32_t)n };
	char whole[sizeof f + PIECE];

	memcpy(whole, &f, sizeof f);
	memcpy(whole + sizeof f, data, n);
	must_write(whole, sizeof f + n); /* in one go: an agent that is killed leaves a whole frame or none */
}

/* The host may not have opened its end yet: then read says 0, and poll is of no use. */
static void must_read(void *data, size_t n)
{
	for (char *p = data; n > 0;) {
		ssize_t r = read(port, p, n);
		if (r < 0 && errno != EINTR && errno != EAGAIN) {
			perror("rast-guest: read from the port");
			exit(1);
		}
		if (r == 0)
			usleep(20000);
		if (r > 0) {
			p += r;
			n -= (size_t)r;
		}
	}
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Pass on what is there now. Returns 0 at the end of file. */
static int forward(struct job *j, int *fd, uint16_t type)
{
	char buf[PIECE];

	for (;;) {
		ssize_t r = *fd >= 0 ? read(*fd, buf, sizeof buf) : 0;
		if (r > 0) {
			send_frame(type, j->id, buf, (size_t)r);
			continue;
		}
		if (r < 0 && (errno == EAGAIN || errno == EINTR))
			return 1;
		close_fd(fd);
		return 0;
	}
}

static void feed(struct job *j)
{
	ssize_t w = j->in_pos < j->in_end ? write(j->in, j->payload + j->in_pos, j->in_end - j->in_pos) : 0;

	if (w > 0)
		j->in_pos += (size_t)w;
	if (j->in_pos == j->in_end || (w < 0 && errno != EAGAIN && errno != EINTR))
		close_fd(&j->in);
}

/* What a background process of the command still writes later is not waited for. */
static void finish(struct job *j)
{
	int status = 0;

	waitpid(j->pid, &status, 0);
	forward(j, &j->out, OUT);
	forward(j, &j->err, ERR);
	send_frame(EXIT, j->id, &status, sizeof status);
	close_fd(&j->pidfd);
	close_fd(&j->in);
	close_fd(&j->out);
	close_fd(&j->err);
	free(j->payload);
	j->pid = 0;
}

static void child(char **argv, int in, int out, int err)
{
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	syscall(SYS_close_range, 3, ~0U, 0);
	setenv("PATH", "/usr/bin:/usr/sbin:/bin:/sbin", 1);
	execvp(argv[0], argv);
	fprintf(stderr, "rast-guest: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void refuse(uint32_t id, const char *why)
{
	int status = 126 << 8;

	send_frame(ERR, id, why, strlen(why));
	send_frame(EXIT, id, &status, sizeof status);
}

/* Split payload into argv; returns where stdin begins, or 0 when it makes no sense. */
static size_t parse(char *payload, size_t len, char **argv)
{
	size_t pos = 0, n = 0;

	while (pos < len && payload[pos] && n < ARGS) {
		argv[n++] = payload + pos;
		pos += strnlen(payload + pos, len - pos) + 1;
	}
	argv[n] = NULL;
	return n > 0 && pos < len && payload[pos] == 0 ? pos + 1 : 0;
}

static void run(uint32_t id, char *payload, size_t len)
{
	char *argv[ARGS + 1];
	int in[2], out[2], err[2];
	struct job *j = NULL;
	size_t stdin_at = parse(payload, len, argv);

	for (size_t i = 0; i < JOBS && !j; i++)
		j = jobs[i].pid ? NULL : &jobs[i];
	if (!j || !stdin_at || pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
		refuse(id, "rast-guest: too many commands, or one that is malformed\n");
		free(payload);
		return;
	}
	pid_t pid = fork();
	if (pid == 0)
		child(argv, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	if (pid < 0) {
		refuse(id, "rast-guest: fork failed\n");
		close(in[1]);
		close(out[0]);
		close(err[0]);
		free(payload);
		return;
	}
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);
	*j = (struct job){ .id = id, .pid = pid, .pidfd = (int)syscall(SYS_pidfd_open, pid, 0), .in = in[1], .out = out[0], .err = err[0], .payload = payload, .in_pos = stdin_at, .in_end = len };
}

/* Two machines restored from one state would show the same time and draw the same random numbers. */
static void resume(const char *payload, size_t len)
{
	struct { int64_t ns; unsigned char seed[32]; } told;
	struct { struct rand_pool_info info; unsigned char seed[sizeof told.seed]; } add = { .info = { .entropy_count = 256, .buf_size = sizeof told.seed } };

	if (len != sizeof told)
		return;
	memcpy(&told, payload, sizeof told);
	memcpy(add.seed, told.seed, sizeof told.seed);
	clock_settime(CLOCK_REALTIME, &(struct timespec){ told.ns / 1000000000, told.ns % 1000000000 });
	int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, RNDADDENTROPY, &add) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
		perror("rast-guest: reseed the random numbers");
	if (fd >= 0)
		close(fd);
	send_frame(HELLO, 0, "", 0);
}

static void request(void)
{
	struct frame f;
	char *payload;

	must_read(&f, sizeof f);
	if (f.magic != MAGIC || f.len > PAYLOAD_MAX || !(payload = malloc(f.len + 1u))) {
		fprintf(stderr, "rast-guest: the host sent something that is no frame\n");
		exit(1);
	}
	must_read(payload, f.len);
	if (f.type == RUN) {
		run(f.id, payload, f.len);
		return;
	}
	if (f.type == RESUME)
		resume(payload, f.len);
	for (size_t i = 0; f.type == KILL && i < JOBS; i++)
		if (jobs[i].pid && jobs[i].id == f.id)
			kill(-jobs[i].pid, SIGKILL);
	free(payload);
}

/* The port is found by its name in sysfs; there is no udev in a small guest. */
static int open_port(void)
{
	DIR *d = opendir("/sys/class/virtio-ports");
	int fd = -1;

	for (struct dirent *e; d && fd < 0 && (e = readdir(d));) {
		char path[512], name[64] = "";
		snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", e->d_name);
		int f = open(path, O_RDONLY | O_CLOEXEC);
		if (f >= 0 && read(f, name, sizeof name - 1) >= 0 && strncmp(name, PORT_NAME, strlen(PORT_NAME)) == 0) {
			snprintf(path, sizeof path, "/dev/%s", e->d_name);
			fd = open(path, O_RDWR | O_CLOEXEC);
		}
		if (f >= 0)
			close(f);
	}
	if (d)
		closedir(d);
	return fd;
}

static void step(void)
{
	struct pollfd p[1 + JOBS * 4];

	p[0] = (struct pollfd){ port, POLLIN, 0 };
	for (size_t i = 0; i < JOBS; i++) {
		struct job *j = &jobs[i];
		int used = j->pid != 0;
		p[1 + i * 4] = (struct pollfd){ used ? j->pidfd : -1, POLLIN, 0 };
		p[2 + i * 4] = (struct pollfd){ used ? j->in : -1, POLLOUT, 0 };
		p[3 + i * 4] = (struct pollfd){ used ? j->out : -1, POLLIN, 0 };
		p[4 + i * 4] = (struct pollfd){ used ? j->err : -1, POLLIN, 0 };
	}
	if (poll(p, sizeof p / sizeof *p, -1) < 0)
		return;
	for (size_t i = 0; i < JOBS; i++) {
		struct job *j = &jobs[i];
		if (p[3 + i * 4].revents)
			forward(j, &j->out, OUT);
		if (p[4 + i * 4].revents)
			forward(j, &j->err, ERR);
		if (p[2 + i * 4].revents)
			feed(j);
		if (p[1 + i * 4].revents)
			finish(j);
	}
	if (p[0].revents & POLLIN)
		request();
	else if (p[0].revents & POLLHUP)
		usleep(20000);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	for (int tries = 0; (port = open_port()) < 0; tries++) {
		if (tries == 300) {
			fprintf(stderr, "rast-guest: this machine has no virtio-serial port named " PORT_NAME "\n");
			return 1;
		}
		usleep(100000);
	}
	send_frame(HELLO, 0, "", 0);
	for (;;)
		step();
}
