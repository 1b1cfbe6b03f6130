/* store.c: the folder, its locks, and the images' records. */
#include "runtime/image/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include "base/file.h"
#include "runtime/image/name.h"

static int open_part(int fd, const char *name, bool create, int *ret, struct err *e)
{
	int r = create ? sys_mkdirat(fd, name, 0700) : 0;

	if (r == 0 || r == -EEXIST)
		r = *ret = sys_openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	return r < 0 ? err_sys(e, r, "open %s", name) : 0;
}

static int open_parts(struct image_store *s, bool create, struct err *e)
{
	const struct {
		const char *name;
		int *fd;
	} parts[] = {{"images", &s->images}, {"layers", &s->layers}, {"blobs", &s->blobs}, {"partial", &s->partial}, {"containers", &s->containers}};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++)
		r = open_part(s->fd, parts[i].name, create, parts[i].fd, e);
	return r;
}

static int take_lock(int dirfd, const char *file, int how, int *ret, struct err *e)
{
	_cleanup_close_ int fd = sys_openat(dirfd, file, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_sys(e, fd, "open %s", file);
	if (flock(fd, how | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		log_notice("waiting for another program that has the lock %s", file);
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return err_sys(e, -errno, "lock %s", file);
	*ret = take_fd(&fd);
	return 0;
}

/* A layer that was whole but not flushed can be trusted as long as the machine has not been down; see layer.c. */
static void read_boot_id(char boot[40])
{
	_cleanup_free_ char *text = NULL;

	if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, NULL) == 0)
		snprintf(boot, 40, "%s", str_strip(text));
}

static int open_all(struct image_store *s, const char *root, bool create, enum image_lock lock, struct err *e)
{
	struct statfs fs;
	int r = create ? mkdir_p(root, 0700) : 0;

	if (r < 0)
		return err_sys(e, r, "make %s", root);
	s->root = realpath(root, NULL);
	s->fd = sys_openat(AT_FDCWD, root, O_RDONLY | O_DIRECTORY, 0);
	if (s->fd == -ENOENT)
		return err_set(e, -ENOENT, "there are no images: %s is not there; 'rast image import' or 'rast image pull' makes it", root);
	if (s->fd < 0 || !s->root)
		return err_sys(e, s->fd < 0 ? s->fd : -errno, "open %s", root);
	if (fstatfs(s->fd, &fs) < 0)
		return err_sys(e, -errno, "look at the file system of %s", root);
	s->btrfs = fs.f_type == BTRFS_SUPER_MAGIC;
	read_boot_id(s->boot);
	r = take_lock(s->fd, "lock", lock == IMAGE_REMOVE ? LOCK_EX : LOCK_SH, &s->lock_fd, e);
	if (r == 0)
		r = open_parts(s, create, e);
	return within(r, e, "%s", root);
}

int image_store_open(const char *root, bool create, enum image_lock lock, struct image_store **ret, struct err *e)
{
	struct image_store *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->fd = s->lock_fd = s->import_fd = s->images = s->layers = s->blobs = s->partial = s->containers = -1;
	int r = open_all(s, root, create, lock, e);
	if (r < 0)
		image_store_close(s);
	else
		*ret = s;
	return r;
}

void image_store_close(struct image_store *s)
{
	if (!s)
		return;
	int fds[] = {s->images, s->layers, s->blobs, s->partial, s->containers, s->import_fd, s->lock_fd, s->fd};
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		closep(&fds[i]);
	free(s->root);
	free(s);
}

void image_store_closep(struct image_store **s)
{
	image_store_close(*s);
}

int store_import_lock(struct image_store *s, struct err *e)
{
	return s->import_fd >= 0 ? 0 : take_lock(s->fd, "import.lock", LOCK_EX, &s->import_fd, e);
}

/* --- images --- */

void image_info_clear(struct image_info *i)
{
	free(i->name);
	free(i->platform);
	free(i->source);
	free(i->layers);
	*i = (struct image_info){0};
}

int store_image_file(const char *name, char **ret, struct err *e)
{
	int r = image_name_to_file(name, ret);

	return r < 0 ? err_sys(e, r, "image '%s'", name) : 0;
}

static int read_layers(const json_t *list, struct image_info *i)
{
	size_t n = json_array_size(list);

	if (n == 0 || n > LAYERS_MAX)
		return -EBADMSG;
	i->layers = calloc(n, sizeof(*i->layers));
	if (!i->layers)
		return -ENOMEM;
	i->n_layers = n;
	for (size_t k = 0; k < n; k++) {
		const char *s = json_string_value(json_array_get(list, k));
		if (!s || digest_parse(s, &i->layers[k]) < 0)
			return -EBADMSG;
	}
	i->chain = i->layers[n - 1];
	return 0;
}

static int copy_text(const json_t *o, const char *key, char **ret)
{
	const char *s = json_text(o, key);

	if (!s)
		return -EBADMSG;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

static int image_from_json(const json_t *o, struct image_info *i)
{
	const char *manifest = json_text(o, "manifest"), *config = json_text(o, "config");
	int r;

	if (!manifest || !config || digest_parse(manifest, &i->manifest) < 0 || digest_parse(config, &i->config) < 0)
		return -EBADMSG;
	if ((r = copy_text(o, "name", &i->name)) < 0 || (r = copy_text(o, "platform", &i->platform)) < 0 || (r = copy_text(o, "source", &i->source)) < 0)
		return r;
	i->bytes = (uint64_t)json_integer_value(json_object_get(o, "bytes"));
	i->imported_us = (uint64_t)json_integer_value(json_object_get(o, "imported_us"));
	return read_layers(json_object_get(o, "layers"), i);
}

static int read_image(struct image_store *s, const char *file, struct image_info *ret, struct err *e)
{
	_cleanup_json_ json_t *o = NULL;
	_cleanup_image_info_ struct image_info i = {0};
	int r = record_read(s->images, file, &o, e);

	if (r < 0)
		return within(r, e, "%s/images", s->root);
	r = image_from_json(o, &i);
	if (r < 0)
		return err_set(e, r, "%s/images/%s is damaged: import the image again", s->root, file);
	*ret = i;
	i = (struct image_info){0};
	return 0;
}

int store_write_image(struct image_store *s, const struct image_info *i, struct err *e)
{
	_cleanup_free_ char *file = NULL;
	_cleanup_json_ json_t *o = json_pack("{ss ss ss ss ss sI sI s[]}", "name", i->name, "manifest", i->manifest.text, "config", i->config.text,
		"platform", i->platform, "source", i->source, "bytes", (json_int_t)i->bytes, "imported_us", (json_int_t)i->imported_us, "layers");
	json_t *layers = json_object_get(o, "layers");
	int r = store_image_file(i->name, &file, e);

	for (size_t k = 0; k < i->n_layers && layers; k++)
		if (json_array_append_new(layers, json_string(i->layers[k].text)) < 0)
			layers = NULL;
	if (r == 0 && !layers)
		r = err_set(e, -ENOMEM, "out of memory");
	return r < 0 ? r : record_write(s->images, file, o, true, e);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the images' files, sorted. */
static int list_files(int dirfd, char ***ret)
{
	_cleanup_closedir_ DIR *d = NULL;
	int r = dir_open(dirfd, ".", &d);

	if (r < 0)
		return r;
	for (struct dirent *de; r == 0 && (de = readdir(d));)
		if (de->d_name[0] != '.' && str_ends(de->d_name, ".json"))
			r = strv_push(ret, de->d_name);
	if (*ret)
		qsort(*ret, strv_len(*ret), sizeof(**ret), compare);
	return r;
}

int image_each(struct image_store *s, image_cb cb, void *data, struct err *e)
{
	_cleanup_strv_ char **files = NULL;
	int r = list_files(s->images, &files);

	if (r < 0)
		return err_sys(e, r, "read %s/images", s->root);
	for (size_t k = 0; files && files[k] && r >= 0; k++) {
		_cleanup_image_info_ struct image_info i = {0};
		r = read_image(s, files[k], &i, e);
		if (r == 0)
			r = cb(&i, data);
	}
	return r;
}

/* What is not there, and what is nearly called so. */
static int no_such_image(struct image_store *s, const char *name, struct err *e)
{
	_cleanup_strv_ char **files = NULL;
	const char *near;
	_cleanup_free_ char *file = NULL, *shown = NULL;

	if (list_files(s->images, &files) == 0 && image_name_to_file(name, &file) == 0) {
		near = str_nearest(file, (const char *const *)files, files ? strv_len(files) : 0);
		if (near && image_name_from_file(near, &shown) == 0)
			return err_set(e, -ENOENT, "there is no image '%s'; did you mean '%s'?", name, shown);
	}
	return err_set(e, -ENOENT, "there is no image '%s'; 'rast image list' shows them all", name);
}

int image_find(struct image_store *s, const char *name, struct image_info *ret, struct err *e)
{
	struct image_name n;
	_cleanup_free_ char *file = NULL, *text = NULL;
	int r = image_name_parse(name, &n, e);

	if (r < 0)
		return r;
	text = image_name_text(&n);
	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	r = store_image_file(text, &file, e);
	if (r < 0)
		return r;
	if (faccessat(s->images, file, F_OK, 0) < 0)
		return no_such_image(s, text, e);
	return read_image(s, file, ret, e);
}
