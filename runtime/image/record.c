/* record.c: our own small JSON files. */
#include "runtime/image/priv.h"

#include <errno.h>
#include <fcntl.h>

const char *json_text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

int record_read(int dirfd, const char *file, json_t **ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	json_error_t where;
	size_t n;
	int r = file_read(dirfd, file, DOCUMENT_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, r, "read %s", file);
	json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, &where);
	if (!json_is_object(o)) {
		json_decref(o);
		return err_set(e, -EBADMSG, "%s is damaged: line %d: %s", file, where.line, o ? "no object" : where.text);
	}
	*ret = o;
	return 0;
}

static int write_plain(int dirfd, const char *file, const char *text)
{
	char tmp[300];

	snprintf(tmp, sizeof(tmp), ".new-%s", file);
	_cleanup_close_ int fd = sys_openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	int r = fd < 0 ? fd : write_all(fd, text, strlen(text));
	return r < 0 ? r : sys_renameat(dirfd, tmp, dirfd, file);
}

int record_write(int dirfd, const char *file, const json_t *o, bool durable, struct err *e)
{
	_cleanup_free_ char *text = json_dumps(o, JSON_INDENT(1) | JSON_SORT_KEYS);
	int r = -ENOMEM;

	if (text && durable)
		r = file_replace(dirfd, file, text, strlen(text), 0644);
	else if (text)
		r = write_plain(dirfd, file, text);
	return r < 0 ? err_sys(e, r, "write %s", file) : 0;
}
