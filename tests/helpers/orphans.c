/* orphans.c: N processes that lose their parent and die: all become PID 1's to reap. Prints how many were made.
 *
 * Every one of them waits until the last has been made (a pipe's end that is closed), so that they arrive as one crowd of zombies. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* One of a batch: a child that makes `n` grandchildren and exits, which orphans them. */
static int batch(int n, int gate)
{
	char byte;

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();
		if (pid < 0)
			return i;
		if (pid == 0) {
			_exit(read(gate, &byte, 1) < 0 ? 2 : i % 100);
		}
	}
	return n;
}

int main(int argc, char **argv)
{
	int wanted = argc > 1 ? atoi(argv[1]) : 1000, made = 0, gate[2], counts[2];

	if (pipe(gate) || pipe(counts))
		return 1;
	for (int left = wanted; left > 0; left -= 250) {
		int got = 0;
		pid_t pid = fork();
		if (pid < 0)
			break;
		if (pid == 0) {
			close(gate[1]);
			got = batch(left < 250 ? left : 250, gate[0]);
			_exit(write(counts[1], &got, sizeof got) != sizeof got);
		}
		waitpid(pid, NULL, 0);
		if (read(counts[0], &got, sizeof got) == sizeof got)
			made += got;
	}
	close(gate[1]);
	printf("%d\n", made);
	return made == wanted ? 0 : 1;
}
