/* kexec-load.c: loads a kernel for kexec, as `kexec -s -l` does: KERNEL INITRAMFS COMMAND-LINE. kexec_file_load(2) takes a bzImage. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int kernel = argc == 4 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1, initramfs = argc == 4 ? open(argv[2], O_RDONLY | O_CLOEXEC) : -1;

	if (kernel < 0 || initramfs < 0) {
		fprintf(stderr, "usage: kexec-load KERNEL INITRAMFS COMMAND-LINE\n");
		return 2;
	}
	if (syscall(SYS_kexec_file_load, kernel, initramfs, strlen(argv[3]) + 1, argv[3], 0UL) != 0) {
		perror("kexec_file_load");
		return 1;
	}
	return 0;
}
