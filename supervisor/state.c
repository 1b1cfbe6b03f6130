/* state.c: see state.h. */
#include "supervisor/manager.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"

#define FILE_NAME "state"

/* Fill the older of two copies. crc covers all behind it. The barriers keep the compiler (and the processor) from storing the sequence
 * number first; a copy that was interrupted has a wrong CRC in any case. */
static void put(uint32_t *crc0, uint32_t *crc1, const void *r, size_t n)
{
	uint32_t *seq0 = crc0 + 1, *seq1 = crc1 + 1;
	bool first = (int32_t)(*seq0 - *seq1) < 0;
	uint32_t *crc = first ? crc0 : crc1, *seq = first ? seq0 : seq1, next = (first ? *seq1 : *seq0) + 1;
	memcpy(seq + 1, r, n);
	FAULT_POINT("half-written");
	__atomic_thread_fence(__ATOMIC_RELEASE);
	uint32_t sum = crc32c(crc32c(0, &next, sizeof(next)), r, n);
	__atomic_store_n(crc, sum, __ATOMIC_RELEASE);
	__atomic_store_n(seq, next, __ATOMIC_RELEASE);
}

static bool whole(const uint32_t *crc, size_t n)
{
	return crc[1] && *crc == crc32c(0, crc + 1, n + sizeof(uint32_t));
}

static bool get(const uint32_t *crc0, const uint32_t *crc1, void *r, size_t n)
{
	bool a = whole(crc0, n), b = whole(crc1, n);
	if (!a && !b) {
		memset(r, 0, n);
		return false;
	}
	bool first = a && (!b || (int32_t)(crc0[1] - crc1[1]) > 0);
	memcpy(r, (first ? crc0 : crc1) + 2, n);
	return true;
}

void state_put(struct state *st, uint32_t i, const struct svc_rec *r)
{
	struct state_record *x = &st->rec[i];
	put(&x->c[0].crc, &x->c[1].crc, r, sizeof(*r));
}

bool state_get(const struct state *st, uint32_t i, struct svc_rec *r)
{
	const struct state_record *x = &st->rec[i];
	return get(&x->c[0].crc, &x->c[1].crc, r, sizeof(*r));
}

void state_put_boot(struct state *st)
{
	put(&st->h->boot[0].crc, &st->h->boot[1].crc, &st->boot, sizeof(st->boot));
}

static int map(int fd, size_t size, struct state *ret)
{
	void *p = sys_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (SYS_IS_ERR(p))
		return SYS_ERR(p);
	ret->h = p;
	ret->rec = (struct state_record *)(ret->h + 1);
	ret->size = size;
	return 0;
}

int state_create(int rundir, const char *name, const struct graph *g, const struct boot_rec *boot, struct state *ret, struct err *e)
{
	*ret = (struct state){.boot = *boot};
	size_t size = sizeof(struct state_header) + g->n_services * sizeof(struct state_record);
	_cleanup_close_ int fd = sys_openat(rundir, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, fd, "make the state file %s", name);
	int r = posix_fallocate(fd, 0, (off_t)size); /* a hole that can't be filled would be SIGBUS later */
	if (r)
		return err_sys(e, -r, "make room for %zu bytes in the state file", size);
	r = map(fd, size, ret);
	if (r < 0)
		return err_sys(e, r, "map the state file");
	*ret->h = (struct state_header){.magic = STATE_MAGIC,
		.version = STATE_VERSION,
		.record_size = sizeof(struct state_record),
		.n = g->n_services,
		.generation = g->generation};
	for (uint32_t i = 0; i < g->n_services; i++) {
		const char *s = graph_str(g, graph_service(g, i)->name);
		ret->rec[i].key = fnv1a64(s, strlen(s));
	}
	state_put_boot(ret);
	return 0;
}

int state_publish(int rundir, const char *name, struct err *e)
{
	int r = sys_renameat(rundir, name, rundir, FILE_NAME);
	return r < 0 ? err_sys(e, r, "rename %s to " FILE_NAME, name) : 0;
}

int state_open(int rundir, struct state *ret, struct err *e)
{
	struct stat sb;
	*ret = (struct state){0};
	_cleanup_close_ int fd = sys_openat(rundir, FILE_NAME, O_RDWR | O_NOFOLLOW, 0);
	if (fd < 0)
		return err_sys(e, fd, "open the state file");
	if (fstat(fd, &sb) < 0)
		return err_sys(e, -errno, "stat the state file");
	if (sb.st_size < (off_t)sizeof(struct state_header))
		return err_set(e, -EBADMSG, "the state file is too short");
	int r = map(fd, (size_t)sb.st_size, ret);
	if (r < 0)
		return err_sys(e, r, "map the state file");
	const struct state_header *h = ret->h;
	bool ours = h->magic == STATE_MAGIC && h->version == STATE_VERSION && h->record_size == sizeof(struct state_record) &&
		    (uint64_t)h->n * sizeof(struct state_record) + sizeof(*h) == ret->size;
	if (ours && get(&h->boot[0].crc, &h->boot[1].crc, &ret->boot, sizeof(ret->boot)))
		return 0;
	state_close(ret);
	return err_set(e, -EBADMSG, "the state file is damaged or of another version of rastd");
}

void state_close(struct state *st)
{
	if (st->h)
		munmap(st->h, st->size);
	*st = (struct state){0};
}
