/* end.c: kill, delete. */
#include <errno.h>
#include <regex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/str.h"
#include "runtime/cli/cli.h"

static bool all, force, by_regex;

const struct opt kill_opts[] = {
	{ "all", 'a', OPT_FLAG, NULL, "To all processes of the container", &all },
	{ "regex", 'r', OPT_FLAG, NULL, "ID is a regular expression", &by_regex },
};

const struct opt delete_opts[] = {
	{ "force", 'f', OPT_FLAG, NULL, "Kill it first if it runs; it's no error if there is none", &force },
	{ "regex", 'r', OPT_FLAG, NULL, "ID is a regular expression", &by_regex },
};

/* The ids that are meant: as written, or those that match. */
static int select_ids(const char *word, char ***ret, struct err *e)
{
	char **every = NULL;
	regex_t re;
	int r;

	*ret = NULL;
	if (!by_regex)
		return strv_push(ret, word) < 0 ? err_sys(e, -ENOMEM, "ids") : 0;
	if (regcomp(&re, word, REG_EXTENDED | REG_NOSUB) != 0)
		return err_set(e, -EINVAL, "--regex: '%s' is no regular expression", word);
	r = state_list(cli.root, &every, e);
	for (size_t i = 0; r == 0 && every && every[i]; i++)
		if (regexec(&re, every[i], 0, NULL, 0) == 0)
			r = strv_push(ret, every[i]);
	regfree(&re);
	strv_free(every);
	return r;
}

static int kill_one(const char *id, int sig, struct err *e)
{
	_cleanup_container_ struct container c = CONTAINER_INIT;
	int r = container_open(cli.root, id, false, &c, e);

	return r < 0 ? r : container_kill(&c, sig, all, e);
}

int cmd_kill(int argc, char **argv, void *data)
{
	_cleanup_err_ struct err e = { 0 };
	_cleanup_strv_ char **ids = NULL;
	int sig = SIGTERM, r;

	if (argc < 2 || argc > 3)
		return cli_usage("kill", "a container id and at most one signal are wanted");
	if (log_open() != 0)
		return 1;
	if (argc == 3)
		sig = parse_signal(argv[2]);
	if (sig < 0) {
		err_set(&e, -EINVAL, "unknown signal \"%s\"", argv[2]);
		return cli_fail(&e);
	}
	r = select_ids(argv[1], &ids, &e);
	for (size_t i = 0; r == 0 && ids && ids[i]; i++)
		r = kill_one(ids[i], sig, &e);
	return r < 0 ? cli_fail(&e) : 0;
}

static int delete_one(const char *id, struct err *e)
{
	_cleanup_container_ struct container c = CONTAINER_INIT;
	int r = container_open(cli.root, id, true, &c, e);

	if (r == -ENOENT && force) {
		err_clear(e);
		return 0;
	}
	return r < 0 ? r : container_delete(&c, force, e);
}

int cmd_delete(int argc, char **argv, void *data)
{
	int failed = 0;

	if (argc < 2)
		return cli_usage("delete", "a container id is wanted");
	if (log_open() != 0)
		return 1;
	for (int i = 1; i < argc; i++) {
		_cleanup_err_ struct err e = { 0 };
		_cleanup_strv_ char **ids = NULL;
		int r = select_ids(argv[i], &ids, &e);
		for (size_t k = 0; r == 0 && ids && ids[k]; k++)
			r = delete_one(ids[k], &e);
		if (r < 0)
			failed = cli_fail(&e);
	}
	return failed;
}
