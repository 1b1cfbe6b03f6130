/* layer.c: the trees of chain ids, and when they can be trusted.
 *
 *   1. partial/X is made: a snapshot of the layer below, or an empty tree;
 *   2. the archive is applied to it, and both digests have turned out right;
 *   3. it is renamed to layers/X and made read-only (a read-only subvolume can't be renamed to another folder);
 *   4. layers/X.json is written, with the boot id: as long as the machine runs, what the kernel has in memory counts;
 *   5. when all layers of an image are there, everything is flushed, and the records lose the boot id.
 * A process that is killed leaves partial/X, or layers/X without a record: rubbish that store_sweep() removes. A machine that loses power
 * before 5 has records with a boot id that is no more: those layers are rubbish too. */
#include "runtime/image/priv.h"

#include <errno.h>
#include <fcntl.h>
#include "base/file.h"
#include "runtime/image/apply.h"
#include "runtime/image/plan.h"
#include "runtime/image/stream.h"
#include "runtime/image/tree.h"

#define ENTRIES_MAX 4000000

int layer_chains(const struct plan *p, struct digest *chains, struct err *e)
{
	for (size_t i = 0; i < p->n; i++)
		if (chain_id(i ? &chains[i - 1] : NULL, &p->diffs[i], &chains[i]) < 0)
			return err_set(e, -EIO, "the hash of a chain id failed");
	return 0;
}

static void record_name(const struct digest *chain, char buf[DIGEST_TEXT_MAX + 8])
{
	char file[DIGEST_TEXT_MAX];

	snprintf(buf, DIGEST_TEXT_MAX + 8, "%s.json", digest_file(chain, file));
}

static bool record_counts(const struct image_store *s, const json_t *o)
{
	const char *boot = json_text(o, "boot");

	return !boot || (*s->boot && streq(boot, s->boot));
}

bool layer_is_whole(struct image_store *s, const struct digest *chain)
{
	char record[DIGEST_TEXT_MAX + 8], file[DIGEST_TEXT_MAX];
	_cleanup_json_ json_t *o = NULL;

	record_name(chain, record);
	return record_read(s->layers, record, &o, NULL) == 0 && record_counts(s, o) && faccessat(s->layers, digest_file(chain, file), F_OK, 0) == 0;
}

uint64_t layer_bytes(struct image_store *s, const struct digest *chain)
{
	char record[DIGEST_TEXT_MAX + 8];
	_cleanup_json_ json_t *o = NULL;

	record_name(chain, record);
	return record_read(s->layers, record, &o, NULL) == 0 ? (uint64_t)json_integer_value(json_object_get(o, "bytes")) : 0;
}

/* --- making --- */

/* Not the image's fault: another time it may work. */
static bool is_the_disk_s(int error)
{
	return error == -ENOSPC || error == -EDQUOT || error == -EIO || error == -ENOMEM || error == -EROFS || error == -EMFILE || error == -ENFILE;
}

static int apply(struct image_store *s, struct source *from, const struct plan *p, size_t i, const char *file, uint64_t max, struct apply_counts *counts, struct err *e)
{
	const struct plan_layer *l = &p->layers[i];
	const struct apply_limits limits = {.entries = ENTRIES_MAX, .file_size = max};
	_cleanup_stream_ struct stream *stream = NULL;
	_cleanup_err_ struct err why = {0};
	struct file_part part = {.fd = -1};
	int r = from->ops->layer(from, l, &part, e);

	if (r < 0)
		return r;
	_cleanup_close_ int fd = part.fd;
	if (digest_is_set(&l->blob) && part.size != l->size)
		return err_set(e, -EBADMSG, "it has %llu bytes, and the manifest says %llu", (unsigned long long)part.size, (unsigned long long)l->size);
	_cleanup_close_ int root = sys_openat(s->partial, file, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (root < 0)
		return err_sys(e, root, "open partial/%s", file);
	r = stream_open(&(struct stream_input){.fd = fd, .offset = part.offset, .size = part.size, .blob = &l->blob, .diff = &p->diffs[i], .max = max}, &stream, e);
	if (r < 0)
		return r;
	r = layer_apply(root, stream_next, stream, &limits, counts, &why);
	if (r < 0 && why.code) /* the archive or the tree; otherwise the stream knows */
		return err_set(e, is_the_disk_s(why.code) ? why.code : -EBADMSG, "%s", err_text(&why));
	return stream_finish(stream, NULL, NULL, e);
}

static int write_record(struct image_store *s, const struct digest *chain, const struct digest *below, const struct digest *diff, const struct apply_counts *c, struct err *e)
{
	char record[DIGEST_TEXT_MAX + 8];
	_cleanup_json_ json_t *o = json_pack("{ss ss* ss sI sI ss}", "chain", chain->text, "below", below ? below->text : NULL, "diff", diff->text, "bytes",
		(json_int_t)c->bytes, "entries", (json_int_t)c->entries, "boot", s->boot);

	record_name(chain, record);
	return o ? record_write(s->layers, record, o, false, e) : err_set(e, -ENOMEM, "out of memory");
}

static int make(struct image_store *s, struct source *from, const struct plan *p, size_t i, const struct digest *chains, uint64_t max, struct err *e)
{
	char file[DIGEST_TEXT_MAX], below[DIGEST_TEXT_MAX];
	struct apply_counts counts = {0};
	int r;

	digest_file(&chains[i], file);
	r = tree_remove(s->partial, file, e);
	r = r < 0 ? r : tree_remove(s->layers, file, e);
	if (r == 0 && i == 0)
		r = tree_make(s->btrfs, s->partial, file, e);
	else if (r == 0)
		r = tree_clone(s->btrfs, s->layers, digest_file(&chains[i - 1], below), s->partial, file, e);
	if (r < 0)
		return r;
	r = apply(s, from, p, i, file, max, &counts, e);
	if (from->ops->layer_done)
		from->ops->layer_done(from, &p->layers[i], r);
	if (r < 0)
		return r;
	if (counts.lost_xattrs)
		log_warning("layer %.19s: %u extended attributes could not be set here", chains[i].text, counts.lost_xattrs);
	r = sys_renameat(s->partial, file, s->layers, file);
	if (r < 0)
		return err_sys(e, r, "rename partial/%s", file);
	r = tree_read_only(s->btrfs, s->layers, file, true, e);
	return r < 0 ? r : write_record(s, &chains[i], i ? &chains[i - 1] : NULL, &p->diffs[i], &counts, e);
}

int layer_make(struct image_store *s, struct source *from, const struct plan *p, size_t i, const struct digest *chains, uint64_t max, struct err *e)
{
	char file[DIGEST_TEXT_MAX];
	int r = make(s, from, p, i, chains, max, e);

	if (r < 0) {
		tree_remove(s->partial, digest_file(&chains[i], file), NULL);
		return within(r, e, "layer %zu of %zu", i + 1, p->n);
	}
	return 0;
}

/* --- durability --- */

/* The record without the boot id; and, for the layer that containers are made of, with what image_verify() will compare. */
static int settle(struct image_store *s, const struct digest *chain, bool top, struct err *e)
{
	char record[DIGEST_TEXT_MAX + 8], file[DIGEST_TEXT_MAX];
	_cleanup_json_ json_t *o = NULL;
	struct digest tree;

	record_name(chain, record);
	int r = record_read(s->layers, record, &o, e);
	bool add_tree = top && !json_text(o, "tree");
	if (r < 0 || (!json_object_get(o, "boot") && !add_tree))
		return r;
	if (add_tree) {
		r = tree_digest(s->layers, digest_file(chain, file), false, &tree, e);
		if (r == 0 && json_object_set_new(o, "tree", json_string(tree.text)) < 0)
			r = err_set(e, -ENOMEM, "out of memory");
		if (r < 0)
			return r;
	}
	json_object_del(o, "boot");
	return record_write(s->layers, record, o, true, e);
}

static bool any_unsettled(struct image_store *s, const struct digest *chains, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char record[DIGEST_TEXT_MAX + 8];
		_cleanup_json_ json_t *o = NULL;
		record_name(&chains[i], record);
		if (record_read(s->layers, record, &o, NULL) < 0 || json_object_get(o, "boot"))
			return true;
	}
	return false;
}

int layers_flush(struct image_store *s, const struct digest *chains, size_t n, struct err *e)
{
	int r = 0;

	if (any_unsettled(s, chains, n) && syncfs(s->fd) < 0)
		return err_sys(e, -errno, "flush %s", s->root);
	for (size_t i = 0; i < n && r == 0; i++)
		r = settle(s, &chains[i], i + 1 == n, e);
	return r;
}

/* --- rubbish --- */

int layer_remove(struct image_store *s, const char *file, struct err *e)
{
	char record[DIGEST_TEXT_MAX + 8];

	snprintf(record, sizeof(record), "%s.json", file); /* first: a tree without a record does not count */
	int r = sys_unlinkat(s->layers, record, 0);
	if (r < 0 && r != -ENOENT)
		return err_sys(e, r, "remove %s", record);
	return tree_remove(s->layers, file, e);
}

static int sweep_partial(struct image_store *s, const char *name, struct err *e)
{
	return str_starts(name, "blob-") ? 0 : tree_remove(s->partial, name, e);
}

static int sweep_layer(struct image_store *s, const char *name, struct err *e)
{
	char file[DIGEST_TEXT_MAX + 8];
	struct digest chain;

	snprintf(file, sizeof(file), "%.*s", (int)(strlen(name) - (str_ends(name, ".json") ? 5 : 0)), name);
	if (digest_from_file(file, &chain) < 0 || layer_is_whole(s, &chain))
		return 0;
	return layer_remove(s, file, e);
}

static int each_name(struct image_store *s, int dirfd, int (*sweep)(struct image_store *, const char *, struct err *), struct err *e)
{
	_cleanup_closedir_ DIR *d = NULL;
	int r = dir_open(dirfd, ".", &d);

	if (r < 0)
		return err_sys(e, r, "read a folder of %s", s->root);
	for (struct dirent *de; r == 0 && (de = readdir(d));)
		if (!streq(de->d_name, ".") && !streq(de->d_name, ".."))
			r = sweep(s, de->d_name, e);
	return r;
}

/* Temporary files of records and documents (base/replace.c, record.c): their names begin with a dot. */
static int sweep_temporary(int dirfd)
{
	_cleanup_closedir_ DIR *d = NULL;
	int r = dir_open(dirfd, ".", &d);

	if (r < 0)
		return r;
	for (struct dirent *de; r == 0 && (de = readdir(d));)
		if (de->d_name[0] == '.' && !streq(de->d_name, ".") && !streq(de->d_name, ".."))
			r = sys_unlinkat(dirfd, de->d_name, 0);
	return r;
}

int store_sweep(struct image_store *s, struct err *e)
{
	const int dirs[] = {s->images, s->layers, s->blobs};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(dirs) && r == 0; i++)
		r = sweep_temporary(dirs[i]);
	if (r < 0)
		return err_sys(e, r, "remove temporary files of %s", s->root);
	r = each_name(s, s->partial, sweep_partial, e);
	return r < 0 ? r : each_name(s, s->layers, sweep_layer, e);
}
