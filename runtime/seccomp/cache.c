/* cache.c: compiled filters on disk.
 *
 * One file per profile, called by a hash of what it was made from; the file holds all of that too, so that a hash that meets another one is seen. What
 * it was made from: the profile, libseccomp's version, the kernel's release and machine. Only a folder and files that are ours and that nobody else
 * can write are used; a checksum finds torn ones (nothing is synced). A file is never changed, only replaced as a whole, so that it may be mapped. */
#include "runtime/seccomp/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"

#define MAGIC "RASTBPF1"
#define FILE_MAX (4U << 20)
#define FILES_MAX 128

struct header {
	char magic[8];
	uint32_t crc;     /* CRC-32C of all behind this field */
	uint32_t n_insns;
	uint64_t key_len; /* the key stands behind the instructions */
};

static int make_key(const struct oci_seccomp *s, struct buf *key)
{
	const struct scmp_version *v = seccomp_version();
	struct utsname u;

	if (!v || uname(&u) < 0)
		return -ENOTSUP;
	(void)buf_addf(key, "%u.%u.%u %s %s %s", v->major, v->minor, v->micro, u.release, u.version, u.machine);
	(void)buf_add(key, "", 1);
	(void)buf_add(key, s->canonical, s->canonical_len);
	return key->failed ? -ENOMEM : 0;
}

static void file_name(const struct buf *key, char name[32])
{
	(void)snprintf(name, 32, "%016" PRIx64 ".bpf", fnv1a64(key->data, key->len));
}

int cache_open(const char *dir)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (r == -ENOENT) {
		r = mkdir_p(dir, 0700);
		if (r >= 0)
			r = sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	}
	if (r < 0)
		return r;
	fd = r;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return -EPERM;
	return take_fd(&fd);
}

static bool ours(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() && !(st->st_mode & 022) && st->st_nlink == 1 &&
	       st->st_size > (off_t)sizeof(struct header) && st->st_size <= FILE_MAX;
}

static bool whole(const struct header *h, size_t size, const struct buf *key)
{
	const char *data = (const char *)h;
	size_t insns = (size_t)h->n_insns * sizeof(struct sock_filter);

	if (memcmp(h->magic, MAGIC, 8) != 0 || h->n_insns == 0 || h->n_insns > BPF_MAXINSNS || h->key_len != key->len ||
	    size != sizeof(*h) + insns + key->len)
		return false;
	return memcmp(data + sizeof(*h) + insns, key->data, key->len) == 0 &&
	       crc32c(0, data + offsetof(struct header, n_insns), size - offsetof(struct header, n_insns)) == h->crc;
}

int cache_get(int dirfd, const struct oci_seccomp *s, struct filter *ret)
{
	_cleanup_buf_ struct buf key = { 0 };
	_cleanup_close_ int fd = -1;
	struct stat st;
	char name[32];
	int r = make_key(s, &key);

	if (r < 0)
		return r;
	file_name(&key, name);
	fd = sys_openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!ours(&st))
		return 0;
	void *map = sys_mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (SYS_IS_ERR(map))
		return SYS_ERR(map);
	const struct header *h = map;
	if (!whole(h, (size_t)st.st_size, &key)) {
		(void)munmap(map, (size_t)st.st_size);
		return 0;
	}
	ret->map = map;
	ret->map_len = (size_t)st.st_size;
	ret->prog.len = (unsigned short)h->n_insns;
	ret->prog.filter = (struct sock_filter *)(void *)((char *)map + sizeof(*h));
	ret->cached = true;
	return 1;
}

/* A machine with more profiles than this begins anew: the cache is a convenience, not a store. */
static void make_room(int dirfd)
{
	_cleanup_closedir_ DIR *dir = NULL;
	int n = 0;

	(void)dir_open(dirfd, ".", &dir);
	for (struct dirent *d; dir && (d = readdir(dir));)
		n += d->d_name[0] != '.';
	if (n < FILES_MAX)
		return;
	rewinddir(dir);
	for (struct dirent *d; (d = readdir(dir));)
		if (d->d_name[0] != '.')
			(void)sys_unlinkat(dirfd, d->d_name, 0);
}

int cache_put(int dirfd, const struct oci_seccomp *s, const struct sock_fprog *prog)
{
	_cleanup_buf_ struct buf key = { 0 }, file = { 0 };
	struct header h = { .magic = MAGIC, .n_insns = prog->len };
	char name[32], temp[64];
	int r = make_key(s, &key);

	if (r < 0)
		return r;
	h.key_len = key.len;
	(void)buf_add(&file, &h, sizeof(h));
	(void)buf_add(&file, prog->filter, prog->len * sizeof(struct sock_filter));
	(void)buf_add(&file, key.data, key.len);
	if (file.failed)
		return -ENOMEM;
	h.crc = crc32c(0, file.data + offsetof(struct header, n_insns), file.len - offsetof(struct header, n_insns));
	memcpy(file.data, &h, sizeof(h));
	file_name(&key, name);
	(void)snprintf(temp, sizeof(temp), ".%s.%d", name, (int)getpid());
	make_room(dirfd);
	_cleanup_close_ int fd = sys_openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fd;
	r = write_all(fd, file.data, file.len);
	if (r >= 0)
		r = sys_renameat(dirfd, temp, dirfd, name);
	if (r < 0)
		(void)sys_unlinkat(dirfd, temp, 0);
	return r;
}
