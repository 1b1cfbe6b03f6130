/* container.c: roots of containers: an image's topmost layer, writable, with a config.json beside it. */
#include "runtime/image/priv.h"

#include <btrfsutil.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "runtime/image/bundle.h"
#include "runtime/image/tree-priv.h"

/* A root in dirfd under this name. Snapshots are for the same btrfs only. */
static int make_root(struct image_store *s, const struct image_info *i, int dirfd, const char *name, struct err *e)
{
	char file[DIGEST_TEXT_MAX];
	struct stat here, there;
	bool snapshot = s->btrfs;

	if (!layer_is_whole(s, &i->chain))
		return err_set(e, -EBADMSG, "image '%s': its topmost layer is missing; import or pull it again", i->name);
	/* each subvolume of a btrfs has a device number of its own; only trying tells whether it is the same one */
	if (snapshot && tree_clone(true, s->layers, digest_file(&i->chain, file), dirfd, name, NULL) == 0)
		return 0;
	if (snapshot && (fstat(s->layers, &here) < 0 || fstat(dirfd, &there) < 0 || here.st_dev == there.st_dev))
		return tree_clone(true, s->layers, digest_file(&i->chain, file), dirfd, name, e); /* to say why */
	tree_remove(dirfd, name, NULL);
	return tree_clone(false, s->layers, digest_file(&i->chain, file), dirfd, name, e);
}

static int load_config(struct image_store *s, const struct image_info *i, json_t **ret, struct err *e)
{
	_cleanup_free_ char *config = NULL, *manifest = NULL;
	int r = image_documents(s, i, &config, &manifest, e);

	if (r < 0)
		return r;
	*ret = json_loads(config, JSON_REJECT_DUPLICATES, NULL);
	return *ret ? 0 : err_set(e, -EBADMSG, "the configuration of '%s' is damaged; import or pull it again", i->name);
}

static int write_json(int dirfd, const char *file, const json_t *o, struct err *e)
{
	return record_write(dirfd, file, o, true, e);
}

static int open_dir(int dirfd, const char *name, bool make, int *ret, struct err *e)
{
	int r = make ? sys_mkdirat(dirfd, name, 0700) : 0;

	if (r == 0 || r == -EEXIST)
		r = *ret = sys_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	return r < 0 ? err_sys(e, r, "open %s", name) : 0;
}

/* --- volumes --- */

/* "var/lib/db" as the name of a folder. */
static int volume_name(const char *path, char buf[NAME_MAX + 1])
{
	size_t n = 0;

	for (; *path; path++) {
		const char *as = *path == '/' ? "%2F" : *path == '%' ? "%25" : NULL;
		if (n + 4 > NAME_MAX)
			return -ENAMETOOLONG;
		n += (size_t)snprintf(buf + n, NAME_MAX + 1 - n, "%.3s", as ? as : (char[]){*path, '\0'});
	}
	return 0;
}

static int open_inside(int rootfd, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
	int fd = (int)syscall(SYS_openat2, rootfd, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* A volume that isn't there yet begins as what the image has at its place. */
static int make_volume(int volumes, int rootfd, const char *path, const char *name, struct err *e)
{
	char tmp[] = ".new";
	int r;

	if (faccessat(volumes, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	r = tree_remove(volumes, tmp, e);
	r = r < 0 ? r : sys_mkdirat(volumes, tmp, 0755);
	_cleanup_close_ int to = r < 0 ? r : sys_openat(volumes, tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (to < 0)
		return err_sys(e, to, "make a volume");
	_cleanup_close_ int from = open_inside(rootfd, path);
	if (from < 0 && from != -ENOENT && from != -ENOTDIR)
		return err_sys(e, from, "the image's /%s", path);
	r = from >= 0 ? tree_copy(from, to, e) : 0;
	if (r == 0 && syncfs(to) < 0)
		r = err_sys(e, -errno, "flush the volume");
	if (r < 0)
		return r;
	r = sys_renameat(volumes, tmp, volumes, name);
	return r < 0 ? err_sys(e, r, "rename the volume to %s", name) : 0;
}

static int make_volumes(const char *bundle, int dirfd, int rootfd, const json_t *doc, json_t *config, struct err *e)
{
	_cleanup_strv_ char **paths = NULL;
	_cleanup_close_ int volumes = -1;
	int r = bundle_volumes(doc, &paths, e);

	if (r < 0 || !paths)
		return r;
	r = open_dir(dirfd, "volumes", true, &volumes, e);
	for (char **p = paths; *p && r == 0; p++) {
		_cleanup_free_ char *source = NULL, *destination = NULL;
		char name[NAME_MAX + 1];
		r = volume_name(*p, name);
		r = r < 0 ? err_sys(e, r, "volume /%s", *p) : make_volume(volumes, rootfd, *p, name, e);
		if (r < 0)
			return within(r, e, "volume /%s", *p);
		if (asprintf(&source, "%s/volumes/%s", bundle, name) < 0 || asprintf(&destination, "/%s", *p) < 0 || bundle_add_bind(config, source, destination) < 0)
			return err_set(e, -ENOMEM, "out of memory");
	}
	return r;
}

/* --- unpack --- */

static int fill_bundle(struct image_store *s, const struct image_info *i, int dirfd, const struct image_container *o, struct err *e)
{
	_cleanup_json_ json_t *doc = NULL, *config = NULL;
	_cleanup_close_ int root = -1;
	int r = load_config(s, i, &doc, e);

	r = r < 0 ? r : make_root(s, i, dirfd, "rootfs", e);
	r = r < 0 ? r : open_dir(dirfd, "rootfs", false, &root, e);
	r = r < 0 ? r : bundle_config(root, doc, o, &config, e);
	return r < 0 ? r : write_json(dirfd, "config.json", config, e);
}

int image_unpack(struct image_store *s, const char *name, const char *path, const struct image_container *o, struct err *e)
{
	_cleanup_image_info_ struct image_info i = {0};
	_cleanup_free_ char *tmp = NULL;
	_cleanup_close_ int dirfd = -1;
	int r = image_find(s, name, &i, e);

	if (r < 0)
		return r;
	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(e, -EEXIST, "%s is there already", path);
	if (asprintf(&tmp, "%.*s.partial-%d", (int)(strlen(path) - (str_ends(path, "/") ? 1 : 0)), path, (int)getpid()) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	r = sys_mkdirat(AT_FDCWD, tmp, 0700);
	r = r < 0 ? err_sys(e, r, "make %s", tmp) : open_dir(AT_FDCWD, tmp, false, &dirfd, e);
	r = r < 0 ? r : fill_bundle(s, &i, dirfd, o, e);
	if (r == 0 && syscall(SYS_renameat2, AT_FDCWD, tmp, AT_FDCWD, path, RENAME_NOREPLACE) < 0)
		r = err_sys(e, -errno, "rename %s to %s", tmp, path);
	if (r < 0 && dirfd >= 0) {
		tree_remove(dirfd, "rootfs", NULL);
		rm_rf(AT_FDCWD, tmp);
	}
	return within(r, e, "unpack '%s'", i.name);
}

/* --- container services --- */

/* The image that the container's root was made of. */
static bool is_of_image(int dirfd, const struct image_info *i)
{
	_cleanup_json_ json_t *o = NULL;

	return record_read(dirfd, "container.json", &o, NULL) == 0 && json_text(o, "chain") && streq(json_text(o, "chain"), i->chain.text) &&
		faccessat(dirfd, "rootfs", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Out of the old root's way only when the new one is there: a failure leaves the container as it was. */
static int replace_root(struct image_store *s, const struct image_info *i, int dirfd, struct err *e)
{
	_cleanup_json_ json_t *record = json_pack("{ss ss}", "image", i->name, "chain", i->chain.text);
	int r = tree_remove(dirfd, "rootfs.new", e);

	r = r < 0 ? r : make_root(s, i, dirfd, "rootfs.new", e);
	if (r < 0)
		return r;
	r = sys_unlinkat(dirfd, "container.json", 0); /* from here on it is of no image, until all is done */
	if (r < 0 && r != -ENOENT)
		return err_sys(e, r, "remove container.json");
	r = tree_remove(dirfd, "rootfs", e);
	if (r == 0 && (r = sys_renameat(dirfd, "rootfs.new", dirfd, "rootfs")) < 0)
		err_sys(e, r, "rename rootfs.new");
	if (r == 0 && syncfs(dirfd) < 0)
		r = err_sys(e, -errno, "flush the root");
	return r < 0 ? r : record ? write_json(dirfd, "container.json", record, e) : err_set(e, -ENOMEM, "out of memory");
}

static int make_container(struct image_store *s, const struct image_info *i, int dirfd, const char *bundle, const struct image_container *o, struct err *e)
{
	_cleanup_json_ json_t *doc = NULL, *config = NULL;
	_cleanup_close_ int root = -1;
	int r = load_config(s, i, &doc, e);

	if (r == 0 && (o->fresh || !is_of_image(dirfd, i)))
		r = replace_root(s, i, dirfd, e);
	r = r < 0 ? r : open_dir(dirfd, "rootfs", false, &root, e);
	r = r < 0 ? r : bundle_config(root, doc, o, &config, e);
	r = r < 0 ? r : make_volumes(bundle, dirfd, root, doc, config, e);
	return r < 0 ? r : write_json(dirfd, "config.json", config, e);
}

int image_container_make(struct image_store *s, const char *image, const char *name, const struct image_container *o, char **bundle, struct err *e)
{
	_cleanup_image_info_ struct image_info i = {0};
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int dirfd = -1;
	int r = name_valid(name) ? image_find(s, image, &i, e) : err_set(e, -EINVAL, "'%s' can't be a container's name", name);

	if (r < 0)
		return r;
	if (asprintf(&path, "%s/containers/%s", s->root, name) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	r = open_dir(s->containers, name, true, &dirfd, e);
	r = r < 0 ? r : make_container(s, &i, dirfd, path, o, e);
	if (r < 0)
		return within(r, e, "container '%s' of image '%s'", name, i.name);
	*bundle = TAKE_PTR(path);
	return 0;
}

int image_container_remove(struct image_store *s, const char *name, struct err *e)
{
	_cleanup_close_ int dirfd = -1;
	int r = name_valid(name) ? open_dir(s->containers, name, false, &dirfd, e) : err_set(e, -EINVAL, "'%s' can't be a container's name", name);

	r = r < 0 ? r : tree_remove(dirfd, "rootfs.new", e);
	r = r < 0 ? r : tree_remove(dirfd, "rootfs", e);
	if (r == 0 && (r = rm_rf(s->containers, name)) < 0)
		err_sys(e, r, "remove containers/%s", name);
	return r;
}
