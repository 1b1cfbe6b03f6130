/* pidmap.c: from a pid to its service: open addressing with linear probing; a removal moves what follows back, so there are no tombstones.
 */
#include "supervisor/manager.h"

static uint32_t home(const struct pid_map *p, pid_t pid)
{
	return ((uint32_t)pid * 2654435761u) & (p->cap - 1);
}

static void insert(struct pid_map *p, struct pid_slot x)
{
	uint32_t k = home(p, x.pid);
	while (p->slot[k].pid && p->slot[k].pid != x.pid)
		k = (k + 1) & (p->cap - 1);
	p->n += !p->slot[k].pid;
	p->slot[k] = x;
}

static int grow(struct pid_map *p)
{
	struct pid_map bigger = {.cap = p->cap ? p->cap * 2 : 64};
	bigger.slot = calloc(bigger.cap, sizeof(*bigger.slot));
	if (!bigger.slot)
		return -ENOMEM;
	for (uint32_t k = 0; k < p->cap; k++)
		if (p->slot[k].pid)
			insert(&bigger, p->slot[k]);
	free(p->slot);
	*p = bigger;
	return 0;
}

int pidmap_put(struct pid_map *p, pid_t pid, uint32_t i, bool aux)
{
	if ((p->n + 1) * 4 > p->cap * 3 && grow(p) < 0 && p->n + 1 >= p->cap)
		return -ENOMEM;
	insert(p, (struct pid_slot){pid, i << 1 | aux});
	return 0;
}

static uint32_t find(const struct pid_map *p, pid_t pid)
{
	if (!p->cap || pid <= 0)
		return NONE;
	for (uint32_t k = home(p, pid); p->slot[k].pid; k = (k + 1) & (p->cap - 1))
		if (p->slot[k].pid == pid)
			return k;
	return NONE;
}

bool pidmap_get(const struct pid_map *p, pid_t pid, uint32_t *i, bool *aux)
{
	uint32_t k = find(p, pid);
	if (k == NONE)
		return false;
	*i = p->slot[k].who >> 1;
	*aux = p->slot[k].who & 1;
	return true;
}

void pidmap_del(struct pid_map *p, pid_t pid)
{
	uint32_t hole = find(p, pid);
	if (hole == NONE)
		return;
	p->n--;
	p->slot[hole].pid = 0;
	for (uint32_t k = (hole + 1) & (p->cap - 1); p->slot[k].pid; k = (k + 1) & (p->cap - 1)) {
		struct pid_slot x = p->slot[k];
		p->slot[k].pid = 0;
		p->n--;
		insert(p, x);
	}
}

void pidmap_free(struct pid_map *p)
{
	free(p->slot);
	*p = (struct pid_map){0};
}
