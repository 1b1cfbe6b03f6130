/* trim.c: see trim.h.
 *
 * The kernel maps 64 KiB around every page that is touched (fault_around_bytes, mm/memory.c), so a library call between dropping the pages and
 * sleeping would bring back as much as a whole page table of ours: the system calls are made in place. */
#include "base/trim.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PAGE 4096ul
#define RANGES 8

static struct {
	uintptr_t from, size;
} ranges[RANGES];
static unsigned n_ranges;

/* The program itself comes first. Libraries, where it is not static, are left alone: others share them. */
static int find_ranges(struct dl_phdr_info *info, size_t size, void *data)
{
	for (unsigned i = 0; i < info->dlpi_phnum && n_ranges < RANGES; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t from = (info->dlpi_addr + h->p_vaddr) & ~(PAGE - 1), to = info->dlpi_addr + h->p_vaddr + h->p_memsz;
		if (h->p_type != PT_LOAD || (h->p_flags & PF_W))
			continue;
		ranges[n_ranges].from = from;
		ranges[n_ranges++].size = to - from;
	}
	return 1;
}

static void prepare(void)
{
	if (n_ranges == 0)
		dl_iterate_phdr(find_ranges, NULL);
}

#if defined(__x86_64__)
static inline __attribute__((always_inline)) long call6(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return r;
}

__attribute__((noinline)) static int drop_and_wait(int epoll, struct epoll_event *ev, int n, int timeout_ms)
{
	for (unsigned i = 0; i < n_ranges; i++)
		call6(SYS_madvise, (long)ranges[i].from, (long)ranges[i].size, MADV_DONTNEED, 0, 0, 0);
	long r = call6(SYS_epoll_pwait, epoll, (long)ev, n, timeout_ms, 0, 0);
	if (r >= 0)
		return (int)r;
	errno = (int)-r;
	return -1;
}
#else
static int drop_and_wait(int epoll, struct epoll_event *ev, int n, int timeout_ms)
{
	for (unsigned i = 0; i < n_ranges; i++)
		(void)madvise((void *)ranges[i].from, ranges[i].size, MADV_DONTNEED);
	return epoll_wait(epoll, ev, n, timeout_ms);
}
#endif

int trim_and_wait(int epoll, struct epoll_event *ev, int n, int timeout_ms)
{
	prepare();
	return drop_and_wait(epoll, ev, n, timeout_ms);
}
