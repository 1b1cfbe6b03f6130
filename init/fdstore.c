/* fdstore.c: see fdstore.h.
 *
 * Entries fill the table from the front, so that pages behind the last one are never touched; a table of 16-bit indexes, open
 * addressing with linear probing, finds a name. Deletion closes the gap by moving later members of the run forward (Knuth, TAOCP
 * volume 3, 6.4, algorithm R). */
#include "init/fdstore.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define SLOTS (2 * FDSTORE_MAX) /* a power of two; at most half full */
#define EMPTY 0                 /* a slot holds index + 1 */

static struct entry {
	char name[RINIT_NAME_MAX + 1]; /* "": free */
	int fds[RINIT_FDS_PER_ENTRY];  /* -1: none */
} entries[FDSTORE_MAX];
static uint16_t slots[SLOTS];
static unsigned n_entries, end, first_free; /* end: behind the last used one; first_free: no free one before it */

static unsigned home(const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return (h ^ (h >> 16)) & (SLOTS - 1);
}

/* The slot that holds name, or the empty one where it belongs. */
static unsigned find_slot(const char *name)
{
	unsigned s = home(name);

	while (slots[s] != EMPTY && strcmp(entries[slots[s] - 1].name, name) != 0)
		s = (s + 1) & (SLOTS - 1);
	return s;
}

static void close_fds(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static struct entry *make(const char *name, unsigned slot)
{
	unsigned i = first_free;

	if (n_entries == FDSTORE_MAX)
		return NULL;
	while (entries[i].name[0])
		i++;
	memcpy(entries[i].name, name, strlen(name) + 1);
	entries[i].fds[0] = entries[i].fds[1] = -1;
	slots[slot] = (uint16_t)(i + 1);
	first_free = i + 1;
	end = MAX(end, i + 1);
	n_entries++;
	return &entries[i];
}

int fdstore_put(const char *name, const int *fds, unsigned n)
{
	struct entry *e;
	unsigned slot;

	if (n == 0 || n > RINIT_FDS_PER_ENTRY || !*name || strlen(name) > RINIT_NAME_MAX) {
		close_fds(fds, n);
		return -EINVAL;
	}
	slot = find_slot(name);
	e = slots[slot] != EMPTY ? &entries[slots[slot] - 1] : make(name, slot);
	if (!e) {
		close_fds(fds, n);
		return -ENOSPC;
	}
	close_fds(e->fds, RINIT_FDS_PER_ENTRY);
	for (unsigned i = 0; i < RINIT_FDS_PER_ENTRY; i++)
		e->fds[i] = i < n ? fds[i] : -1;
	return 0;
}

static void close_gap(unsigned gap)
{
	for (unsigned s = (gap + 1) & (SLOTS - 1); slots[s] != EMPTY; s = (s + 1) & (SLOTS - 1)) {
		unsigned h = home(entries[slots[s] - 1].name);
		if (((s - h) & (SLOTS - 1)) < ((s - gap) & (SLOTS - 1)))
			continue; /* its home lies behind the gap: it would not be found there */
		slots[gap] = slots[s];
		gap = s;
	}
	slots[gap] = EMPTY;
}

bool fdstore_drop(const char *name)
{
	unsigned slot = *name ? find_slot(name) : 0, i;

	if (!*name || slots[slot] == EMPTY)
		return false;
	i = slots[slot] - 1u;
	close_fds(entries[i].fds, RINIT_FDS_PER_ENTRY);
	close_gap(slot);
	entries[i].name[0] = '\0';
	first_free = MIN(first_free, i);
	n_entries--;
	while (end > 0 && !entries[end - 1].name[0])
		end--;
	return true;
}

bool fdstore_next(unsigned *pos, struct rinit_fd_entry *e, int fds[RINIT_FDS_PER_ENTRY])
{
	while (*pos < end && !entries[*pos].name[0])
		(*pos)++;
	if (*pos >= end)
		return false;
	memset(e, 0, sizeof(*e));
	memcpy(e->name, entries[*pos].name, sizeof(e->name));
	for (e->n_fds = 0; e->n_fds < RINIT_FDS_PER_ENTRY && entries[*pos].fds[e->n_fds] >= 0; e->n_fds++)
		fds[e->n_fds] = entries[*pos].fds[e->n_fds];
	(*pos)++;
	return true;
}

unsigned fdstore_count(void)
{
	return n_entries;
}

void fdstore_clear(void)
{
	for (unsigned i = 0; i < end; i++)
		if (entries[i].name[0])
			close_fds(entries[i].fds, RINIT_FDS_PER_ENTRY);
	memset(entries, 0, end * sizeof(entries[0]));
	memset(slots, 0, sizeof(slots));
	n_entries = end = first_free = 0;
}
