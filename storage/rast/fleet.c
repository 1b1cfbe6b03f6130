/* fleet.c: rast fleet: give other machines what this one has learned, and learn from them. See vecstore/history/pack.h. */
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "storage/rast/history.h"
#include "vecstore/history/pack.h"

static struct { const char *key, *keys, *name; } set = {.keys = "/etc/rastos/fleet.d"};

static int verb_export(int argc, char **argv, void *data)
{
	_cleanup_history_ struct history h = {0};
	_cleanup_buf_ struct buf rows = {0}, pack = {0};
	_cleanup_err_ struct err e = {0};
	uint32_t n = 0;

	if (argc != 2 || !set.key)
		return rast_error(RAST_USAGE, "fleet export takes the file to write, and --key=FILE");
	int status = open_to_read(&h);
	if (status)
		return status;
	if (pack_rows(&h, &rows, &n, &e) < 0 || pack_sign(&rows, (uint64_t)time(NULL), set.key, &pack, &e) < 0)
		return rast_fail(&e);
	int r = file_replace(AT_FDCWD, argv[1], pack.data, pack.len, 0644);
	if (r < 0)
		return rast_error(RAST_FAILED, "write %s: %s", argv[1], strerror(-r));
	if (rast.json)
		printf("{\"changes\": %u, \"bytes\": %zu}\n", n, pack.len);
	else if (!rast.quiet)
		printf("%u changes, %zu bytes\n", n, pack.len);
	return RAST_OK;
}

static int verb_import(int argc, char **argv, void *data)
{
	_cleanup_history_ struct history h = {0};
	_cleanup_free_ char *pack = NULL;
	_cleanup_err_ struct err e = {0};
	const void *rows;
	char signer[256];
	size_t n, n_rows;

	if (argc != 2 || !set.name)
		return rast_error(RAST_USAGE, "fleet import takes a pack, and --name=NAME: it takes the place of the one of that name");
	int r = file_read(AT_FDCWD, argv[1], PACK_BYTES_MAX, &pack, &n);
	if (r < 0)
		return rast_error(r == -ENOENT ? RAST_NOT_THERE : RAST_FAILED, "read %s: %s", argv[1], strerror(-r));
	if (pack_verify(pack, n, set.keys, &rows, &n_rows, signer, &e) < 0) {
		err_prefix(&e, "%s", argv[1]);
		return rast_fail(&e);
	}
	if (history_open(&h, hist.dir, HISTORY_WRITE, &e) < 0 || history_begin(&h, HISTORY_WRITE, &e) < 0 || pack_put(&h, set.name, rows, n_rows, &e) < 0 || history_commit(&h, &e) < 0)
		return rast_fail(&e);
	if (rast.json)
		printf("{\"name\": \"%s\", \"bytes\": %zu}\n", set.name, n_rows);
	else if (!rast.quiet)
		printf("pack %s, signed by %s\n", set.name, signer);
	return RAST_OK;
}

static int verb_remove(int argc, char **argv, void *data)
{
	_cleanup_history_ struct history h = {0};
	_cleanup_err_ struct err e = {0};
	char key[128];

	if (argc != 2)
		return rast_error(RAST_USAGE, "fleet remove takes the name of a pack");
	int len = snprintf(key, sizeof(key), "fleet/%.80s", argv[1]);
	if (history_open(&h, hist.dir, HISTORY_WRITE, &e) < 0 || history_begin(&h, HISTORY_WRITE, &e) < 0)
		return rast_fail(&e);
	int r = vs_doc_delete(h.txn, key, (size_t)len, &e);
	if (r == -ENOENT)
		return rast_error(RAST_NOT_THERE, "there is no pack %s", argv[1]);
	return r < 0 || history_commit(&h, &e) < 0 ? rast_fail(&e) : RAST_OK;
}

static const struct opt export_options[] = {{"key", 0, OPT_STRING, "FILE", "private key to sign with (Ed25519, PEM)", &set.key}, {HIST_DIR}};
static const struct opt import_options[] = {
	{"name", 0, OPT_STRING, "NAME", "what to call it here", &set.name},
	{"keys", 0, OPT_STRING, "DIR", "public keys that packs are believed from (/etc/rastos/fleet.d)", &set.keys},
	{HIST_DIR},
};
static const struct opt remove_options[] = {{HIST_DIR}};

#define OPTS(table) table, ARRAY_SIZE(table)
static const struct verb verbs[] = {
	{"fleet export", "FILE", "Write what became of this machine's changes, as hashes, signed", verb_export, OPTS(export_options), "file"},
	{"fleet import", "FILE", "Learn from a signed pack of another machine", verb_import, OPTS(import_options), "file"},
	{"fleet remove", "NAME", "Forget a pack", verb_remove, OPTS(remove_options), ""},
};
const struct rast_commands rast_fleet = {"What other machines have learned", verbs, ARRAY_SIZE(verbs)};
