/* trim.c: see trim.h */
#include "init/trim.h"

#include <stdint.h>
#include <sys/mman.h>

extern const char __executable_start, etext; /* made by the linker */

void trim_boot_memory(void)
{
	uintptr_t page = 4096, from = (uintptr_t)&__executable_start & ~(page - 1), to = (uintptr_t)&etext & ~(page - 1);

	(void)madvise((void *)from, to - from, MADV_DONTNEED); /* text is mapped from the file: nothing is lost */
}
