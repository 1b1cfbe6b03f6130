#include "services/logger/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include "base/base.h"

#define JOURNAL_MAGIC 0x4c534152u /* "RASL" */
#define JOURNAL_VERSION 1
#define JOURNAL_BYTES 4096

struct journal_file {
	uint32_t magic, version;
	uint64_t pad[7];
	struct journal_record copy[2];
};

static uint32_t record_crc(const struct journal_record *r)
{
	size_t from = offsetof(struct journal_record, phase);
	return crc32c(0, (const char *)r + from, sizeof *r - from);
}

/* The seq is guarded too: without it a copy that was half filled could pass as an older one. */
static uint32_t record_sum(const struct journal_record *r)
{
	return record_crc(r) ^ (uint32_t)r->seq ^ (uint32_t)(r->seq >> 32);
}

static bool record_valid(const struct journal_record *r)
{
	return r->seq && r->crc == record_sum(r) && memchr(r->name, 0, sizeof r->name);
}

static int map_private(struct journal *j)
{
	void *m = mmap(NULL, JOURNAL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return -errno;
	j->map = m;
	j->map->magic = JOURNAL_MAGIC;
	j->map->version = JOURNAL_VERSION;
	return 0;
}

static int map_shared(struct journal *j, const char *path, struct err *e)
{
	_cleanup_close_ int fd = sys_openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, fd, "open %s", path);
	/* Blocks are reserved now: a store into a hole of a full tmpfs would be SIGBUS. */
	int r = posix_fallocate(fd, 0, JOURNAL_BYTES);
	if (r)
		return err_sys(e, -r, "reserve %d bytes for %s", JOURNAL_BYTES, path);
	void *m = sys_mmap(NULL, JOURNAL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (SYS_IS_ERR(m))
		return err_sys(e, SYS_ERR(m), "map %s", path);
	j->map = m;
	j->shared = true;
	return 0;
}

int journal_open(struct journal *j, const char *path, struct err *e)
{
	*j = (struct journal){0};
	int r = path ? map_shared(j, path, e) : 0;
	if (!j->map) {
		int q = map_private(j);
		if (q < 0)
			return err_sys(e, q, "map %d bytes", JOURNAL_BYTES);
		return r;
	}
	if (j->map->magic != JOURNAL_MAGIC || j->map->version != JOURNAL_VERSION) {
		memset(j->map, 0, JOURNAL_BYTES);
		j->map->version = JOURNAL_VERSION;
		__atomic_store_n(&j->map->magic, JOURNAL_MAGIC, __ATOMIC_RELEASE);
	}
	struct journal_record last;
	j->seq = journal_last(j, &last) ? last.seq : 0;
	return r;
}

void journal_close(struct journal *j)
{
	if (j->map)
		munmap(j->map, JOURNAL_BYTES);
	j->map = NULL;
}

bool journal_last(const struct journal *j, struct journal_record *r)
{
	const struct journal_record *c = j->map->copy, *best = NULL;
	for (unsigned i = 0; i < 2; i++)
		if (record_valid(&c[i]) && (!best || c[i].seq > best->seq))
			best = &c[i];
	if (best)
		*r = *best;
	return best != NULL;
}

void journal_commit(struct journal *j, struct journal_record *r)
{
	r->seq = ++j->seq;
	r->crc = record_sum(r);
	struct journal_record *c = &j->map->copy[r->seq & 1];
	size_t from = sizeof c->seq;
	__atomic_store_n(&c->seq, 0, __ATOMIC_SEQ_CST); /* from here on this copy counts for nothing */
	memcpy((char *)c + from, (const char *)r + from, sizeof *c - from);
	__atomic_store_n(&c->seq, r->seq, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
