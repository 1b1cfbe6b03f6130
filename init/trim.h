/* trim.h: give back what only boot needed. */
#ifndef RAST_INIT_TRIM_H
#define RAST_INIT_TRIM_H

/* Drop the program's clean, file-backed pages from our own mapping: what the loop needs comes back from the page cache by itself. */
void trim_boot_memory(void);

#endif
