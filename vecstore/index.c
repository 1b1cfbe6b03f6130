/* index.c: loading an index, and what it knows about the rows in it. */
#include "vecstore/index.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include "base/file.h"
#include "base/log.h"
#include "base/sys.h"
#include "vecstore/filter.h"

/* --- checking --- */

static uint64_t section_len(const struct index_head *h, enum section s)
{
	uint64_t n = h->n;

	switch (s) {
	case S_ROWS: return 8 * n;
	case S_SCALE: return 4 * n;
	case S_BIAS: return h->metric == VS_L2 ? 4 * n : 0;
	case S_CODES: return n * h->stride;
	case S_FACT_AT: return 8 * (n + 1);
	case S_FACTS: return h->section[s].len;
	case S_LEVEL: return h->graph ? n : 0;
	case S_LINKS: return h->graph ? n * h->m * 8 : 0;
	case S_UPPER_AT: return h->graph ? 4 * n : 0;
	default: return h->graph ? 4ull * h->upper_lists * h->m : 0;
	}
}

static const char *head_wrong(const struct index_head *h, size_t len)
{
	if (h->n == 0 || h->n > INDEX_ROWS_MAX || h->dim == 0 || h->dim > VS_DIM_MAX || h->stride != (h->dim + 63) / 64 * 64 || h->metric > VS_L2 || h->graph > 1)
		return "its head has impossible numbers";
	if (h->graph && (h->m < 2 || h->m > 128 || h->entry >= h->n || h->top >= INDEX_LEVELS || h->upper_lists > (uint64_t)h->n * INDEX_LEVELS))
		return "its graph's head has impossible numbers";
	for (unsigned s = 0; s < SECTIONS; s++) {
		uint64_t at = h->section[s].at, n = h->section[s].len;
		if (n != section_len(h, s) || at < INDEX_HEAD || at % 64 != 0 || at > len || n > len - at)
			return "a section is not where it can be";
	}
	return NULL;
}

static const char *rows_wrong(const uint8_t *map, const struct index_head *h)
{
	const uint64_t *row = (const void *)(map + h->section[S_ROWS].at), *at = (const void *)(map + h->section[S_FACT_AT].at);
	const uint8_t *facts = map + h->section[S_FACTS].at;

	for (uint32_t i = 0; i < h->n; i++) {
		struct fact f;
		if (i && row[i] <= row[i - 1])
			return "its rows are not in order";
		if (at[i] > h->section[S_FACTS].len || at[i + 1] > h->section[S_FACTS].len || at[i + 1] < at[i] || at[i + 1] - at[i] < sizeof(f) + 2)
			return "a row's facts are not where they can be";
		memcpy(&f, facts + at[i], sizeof(f));
		if (f.id_len == 0 || f.id_len > VS_ID_MAX || at[i + 1] - at[i] != sizeof(f) + f.meta_len + f.id_len + 1ull || facts[at[i + 1] - 1] != 0)
			return "a row's facts have an impossible length";
	}
	return NULL;
}

int index_check_memory(const uint8_t *map, size_t len, bool sections, struct index_head *h, const char **why)
{
	uint8_t page[INDEX_HEAD];

	*why = "it is too short";
	if (len < INDEX_HEAD)
		return -EBADMSG;
	memcpy(page, map, sizeof(page));
	memcpy(h, page, sizeof(*h));
	*why = "it is no index, or one of another format";
	if (memcmp(h->magic, INDEX_MAGIC, sizeof(h->magic)) != 0 || h->format != INDEX_FORMAT)
		return -EBADMSG;
	memset(page + offsetof(struct index_head, crc), 0, 4);
	*why = "its head is damaged";
	if (crc32c(0, page, sizeof(page)) != h->crc)
		return -EBADMSG;
	*why = head_wrong(h, len);
	for (unsigned s = 0; s < SECTIONS && sections && !*why; s++)
		if (crc32c(0, map + h->section[s].at, h->section[s].len) != h->section[s].crc)
			*why = "a section is damaged";
	if (!*why && sections)
		*why = rows_wrong(map, h);
	return *why ? -EBADMSG : 0;
}

int index_map(int dirfd, const char *file, bool sections, struct index *x, struct err *e)
{
	_cleanup_close_ int fd = sys_openat(dirfd, file, O_RDONLY, 0);
	const char *why = NULL;
	void *map;

	if (fd < 0)
		return err_sys(e, fd, "open index %s", file);
	if (fstat(fd, &x->st) < 0)
		return err_sys(e, -errno, "stat index %s", file);
	x->bad = true;
	if (x->st.st_size < (off_t)INDEX_HEAD)
		return err_set(e, -EBADMSG, "index %s is too short; rastvec index builds it anew", file);
	map = sys_mmap(NULL, (size_t)x->st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (SYS_IS_ERR(map))
		return err_sys(e, SYS_ERR(map), "map index %s", file);
	x->map = map;
	x->len = (size_t)x->st.st_size;
	if (index_check_memory(x->map, x->len, sections, &x->h, &why) < 0) {
		index_unmap(x);
		return err_set(e, -EBADMSG, "index %s: %s; rastvec index builds it anew", file, why);
	}
	x->bad = false;
	x->verified = sections;
	x->seen = x->h.version;
	return 0;
}

void index_unmap(struct index *x)
{
	if (x->map)
		munmap((void *)(uintptr_t)x->map, x->len);
	x->map = NULL;
}

/* --- the cache of a handle --- */

static void index_reset(struct index *x)
{
	index_unmap(x);
	free(x->dead);
	x->dead = NULL;
	x->n_dead = 0;
	for (unsigned i = 0; i < FILTERS_KEPT; i++) {
		free(x->filter[i].text);
		free(x->filter[i].bit);
		x->filter[i] = (struct filter_bits){ 0 };
	}
}

void index_cache_free(struct vs *s)
{
	while (s->indexes) {
		struct index *x = s->indexes;
		s->indexes = x->next;
		index_reset(x);
		free(x);
	}
}

static struct index *cached(struct vs *s, const char *name)
{
	struct index *x = s->indexes;

	while (x && !streq(x->name, name))
		x = x->next;
	if (x)
		return x;
	x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	snprintf(x->name, sizeof(x->name), "%s", name);
	x->next = s->indexes;
	s->indexes = x;
	return x;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* The chain of the version that an index was built at: a store that was restored and went another way has another one. */
static bool chain_fits(struct vs_txn *t, const struct index_head *h)
{
	uint8_t key[12];
	struct log_head head;
	struct slice v;

	if (h->version == t->head.version)
		return h->chain == t->head.chain;
	put_be64(key, h->version);
	put_be32(key + 8, 0);
	if (h->version > t->head.version || kv_get(t, T_LOG, key, sizeof(key), &v) < 0 || v.n < sizeof(head))
		return false;
	memcpy(&head, v.p, sizeof(head));
	return head.chain == h->chain;
}

static void mark_dead(struct index *x, uint64_t row)
{
	const uint64_t *rows = index_section(x, S_ROWS);
	uint32_t lo = 0, hi = x->h.n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (rows[mid] < row)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < x->h.n && rows[lo] == row && !bit_get(x->dead, lo)) {
		bit_set(x->dead, lo);
		x->n_dead++;
	}
}

/* Read what has become of the index's rows since it was built, or since we looked last. */
static int follow_log(struct vs_txn *t, struct index *x, uint32_t coll)
{
	_cleanup_kv_cur_ struct kv_cur cur = { 0 };
	uint8_t key[12];
	int r;

	if (!x->dead)
		x->dead = calloc(x->h.n / 64 + 1, 8);
	if (!x->dead)
		return -ENOMEM;
	if (x->seen == t->head.version)
		return 0;
	if (x->seen > t->head.version || x->seen + 1 < t->head.log_from)
		return -ESTALE;
	put_be64(key, x->seen + 1);
	put_be32(key + 8, 0);
	r = kv_cur_open(t, T_LOG, &cur);
	for (r = r < 0 ? r : kv_cur_seek(&cur, key, sizeof(key)); r == 0; r = kv_cur_next(&cur)) {
		struct slice v;
		struct log_entry en;
		size_t at;

		r = kv_cur_value(&cur, &v);
		if (r < 0 || cur.key.n != sizeof(key))
			return -EBADMSG;
		at = get_be32(cur.key.p + 8) == 0 ? sizeof(struct log_head) : 0;
		for (; at + sizeof(en) <= v.n; at += sizeof(en) + en.key_len) {
			memcpy(&en, v.p + at, sizeof(en));
			if (en.coll == coll && en.gone)
				mark_dead(x, en.gone);
		}
	}
	if (r != -ENOENT)
		return r;
	x->seen = t->head.version;
	return 0;
}

struct index *index_for(struct vs_txn *t, const struct coll_state *c)
{
	struct index *x;
	struct stat st;
	char file[VS_NAME_MAX + 8];

	if (t->as_of || (t->write && t->changed) || c->d.dim == 0)
		return NULL;
	x = cached(t->s, c->name);
	snprintf(file, sizeof(file), "%s.idx", c->name);
	if (!x || fstatat(t->s->dirfd, file, &st, 0) < 0)
		return NULL;
	if (!(x->map || x->bad) || !same_file(&st, &x->st)) {
		index_reset(x);
		if (index_map(t->s->dirfd, file, false, x, NULL) < 0)
			return NULL;
	}
	if (x->bad || memcmp(x->h.uuid, t->head.uuid, sizeof(x->h.uuid)) != 0 || x->h.coll != c->d.number || x->h.dim != c->d.dim || x->h.metric != c->d.metric || !chain_fits(t, &x->h))
		return NULL;
	if (!x->verified) {
		const char *why;
		struct index_head h;
		x->bad = index_check_memory(x->map, x->len, true, &h, &why) < 0;
		x->verified = true;
		if (x->bad) {
			log_warning("store %s: index %s: %s; searching without it, rastvec index builds it anew", t->s->dir, file, why);
			return NULL;
		}
	}
	return follow_log(t, x, c->d.number) < 0 ? NULL : x;
}

uint64_t index_oldest_stamp(struct vs *s)
{
	_cleanup_closedir_ DIR *d = NULL;
	uint64_t oldest = UINT64_MAX - 1;

	if (dir_open(s->dirfd, ".", &d) < 0)
		return oldest;
	for (struct dirent *de; (de = readdir(d));) {
		struct index x = { 0 };
		if (!str_ends(de->d_name, ".idx") || index_map(s->dirfd, de->d_name, false, &x, NULL) < 0)
			continue;
		oldest = MIN(oldest, x.h.version);
		index_unmap(&x);
	}
	return oldest;
}

/* --- filters over an index --- */

void index_record(const struct index *x, uint32_t i, struct vs_record *r)
{
	const uint64_t *at = index_section(x, S_FACT_AT), *rows = index_section(x, S_ROWS);
	const uint8_t *p = (const uint8_t *)index_section(x, S_FACTS) + at[i];
	struct fact f;

	memcpy(&f, p, sizeof(f));
	*r = (struct vs_record){ .id = (const char *)p + sizeof(f) + f.meta_len, .row = rows[i], .version = f.version, .time_us = f.time_us, .meta = { p + sizeof(f), f.meta_len } };
}

static int fill(struct index *x, const struct vs_filter *f, struct filter_bits *to)
{
	char *text = strdup(f->text);
	uint64_t *bit = calloc(x->h.n / 64 + 1, 8);

	if (!text || !bit) {
		free(text);
		free(bit);
		return -ENOMEM;
	}
	free(to->text);
	free(to->bit);
	*to = (struct filter_bits){ .text = text, .bit = bit };
	for (uint32_t i = 0; i < x->h.n; i++) {
		struct vs_record r;
		index_record(x, i, &r);
		if (vs_filter_match(f, &r))
			bit_set(bit, i);
	}
	return 0;
}

/* A row never changes, so what a filter said about it holds as long as the index does. The dead are taken out each time. */
const uint64_t *index_filter(struct vs *s, struct index *x, const struct vs_filter *f, uint64_t *count)
{
	struct filter_bits *found = NULL, *oldest = &x->filter[0];

	for (unsigned i = 0; i < FILTERS_KEPT && !found; i++) {
		if (x->filter[i].text && streq(x->filter[i].text, f->text))
			found = &x->filter[i];
		if (x->filter[i].used < oldest->used)
			oldest = &x->filter[i];
	}
	s->cache_hits += found != NULL;
	s->cache_misses += !found;
	if (!found) {
		if (fill(x, f, oldest) < 0)
			return NULL;
		found = oldest;
	}
	found->used = ++x->clock;
	*count = 0;
	for (size_t i = 0; i <= x->h.n / 64; i++) {
		found->bit[i] &= ~x->dead[i]; /* the dead don't come back */
		*count += (unsigned)__builtin_popcountll(found->bit[i]);
	}
	return found->bit;
}
