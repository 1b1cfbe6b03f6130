/* seed.c: see seed.h. A seed must never be credited twice: it is replaced, durably, before the kernel is told to count it (random(4)). */
#include "init/seed.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/sys.h"

#define SEED_BYTES 512
#define CREDIT_BITS 256 /* what the kernel's pool needs to be ready */

static int write_new(const unsigned char old[SEED_BYTES], size_t n_old)
{
	unsigned char seed[SEED_BYTES];

	if (getrandom(seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed)) {
		/* The pool is not ready: what it gives is still different from the old one, and the old one's worth stays in it. */
		_cleanup_close_ int fd = sys_openat(AT_FDCWD, "/dev/urandom", O_RDONLY, 0);
		if (fd < 0 || sys_read(fd, seed, sizeof(seed)) != sizeof(seed))
			return -EIO;
		for (size_t i = 0; i < n_old; i++)
			seed[i] ^= old[i];
	}
	return file_replace(AT_FDCWD, SEED_PATH, seed, sizeof(seed), 0600);
}

void seed_load(void)
{
	struct rand_pool_info credit = {.entropy_count = CREDIT_BITS, .buf_size = 0}; /* the bytes are in already */
	unsigned char seed[SEED_BYTES];
	struct stat st;

	_cleanup_close_ int urandom = sys_openat(AT_FDCWD, "/dev/urandom", O_WRONLY, 0);
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, SEED_PATH, O_RDONLY | O_NOFOLLOW, 0);
	ssize_t n = fd < 0 ? fd : sys_read(fd, seed, sizeof(seed));
	if (n > 0 && urandom >= 0)
		(void)!sys_write(urandom, seed, (size_t)n);
	int r = write_new(seed, n > 0 ? (size_t)n : 0);
	if (r < 0) {
		if (r != -ENOENT && r != -EROFS)
			log_warning("write a new random seed to " SEED_PATH ": %s", strerror(-r));
		return;
	}
	if (n != SEED_BYTES || urandom < 0 || fstat(fd, &st) < 0 || (st.st_mode & 0077) || st.st_uid != 0)
		return; /* others may have read it: mixed in, not counted */
	(void)ioctl(urandom, RNDADDENTROPY, &credit);
}

void seed_save(void)
{
	int r = write_new(NULL, 0);

	if (r < 0 && r != -ENOENT && r != -EROFS)
		log_warning("write the random seed to " SEED_PATH ": %s", strerror(-r));
}
